import { IdeController } from "../../../src/devices/ata/ideController";
import { openCdrom, openDisk } from "../../../src/devices/block/openDisk";
import { Probe, TestBoard } from "../testBoard";
import { MemoryFile, patterned } from "../block/images";

export const SECTORS = 200;
export const CD_SECTORS = 40;
/** Where the bus-master registers are. */
export const MASTER = 0xc000;

/** An IDE controller with a disk as primary master and a CD as secondary master, decoded and allowed to use the bus. */
export class IdeRig {
  readonly board = new TestBoard();
  readonly content = patterned(SECTORS * 512);
  readonly disc = patterned(CD_SECTORS * 2048);
  readonly disk = openDisk("disk0", { file: new MemoryFile(this.content) });
  readonly irq14 = new Probe();
  readonly irq15 = new Probe();
  readonly controller: IdeController;

  constructor() {
    const slots = [
      { disk: this.disk, cdrom: false },
      undefined,
      { disk: openCdrom("cdrom", new MemoryFile(this.disc)), cdrom: true },
      undefined,
    ];
    this.controller = new IdeController(this.board.context, slots, [this.irq14.line, this.irq15.line]);
    this.controller.reset();
    this.controller.writeConfig(0x20, 4, MASTER);
    this.controller.enable();
  }

  /** Writes the task file of the channel at `base` and the command, high order bytes first. */
  command(base: number, command: number, lba: number, count: number, device = 0xe0): void {
    const { board } = this;
    board.out(base + 6, device | ((lba >> 24) & 15));
    board.out(base + 2, count >> 8);
    board.out(base + 2, count & 0xff);
    board.out(base + 3, (lba >>> 24) & 0xff);
    board.out(base + 3, lba & 0xff);
    board.out(base + 4, 0);
    board.out(base + 4, (lba >> 8) & 0xff);
    board.out(base + 5, 0);
    board.out(base + 5, (lba >> 16) & 0xff);
    board.out(base + 7, command);
  }

  readWords(base: number, words: number): Uint8Array {
    const bytes = new Uint8Array(words * 2);
    for (let i = 0; i < words; i++) new DataView(bytes.buffer).setUint16(i * 2, this.board.in(base, 2), true);
    return bytes;
  }

  writeWords(base: number, bytes: Uint8Array): void {
    for (let i = 0; i < bytes.length; i += 2) this.board.out(base, bytes[i] | (bytes[i + 1] << 8), 2);
  }

  /** Sends a packet to the CD and waits until it has been carried out. */
  packet(bytes: readonly number[], features = 0, limit = 0x800): void {
    const { board } = this;
    board.out(0x176, 0);
    board.out(0x171, features);
    board.out(0x174, limit & 0xff);
    board.out(0x175, limit >> 8);
    board.out(0x177, 0xa0);
    this.writeWords(
      0x170,
      Uint8Array.from({ length: 12 }, (_, i) => bytes[i] ?? 0),
    );
    board.run(100_000);
  }

  /** Fills a region table at 0x1000. */
  regions(list: readonly (readonly [address: number, length: number])[]): void {
    const view = new DataView(this.board.memory.bytes.buffer);
    list.forEach(([address, length], index) => {
      view.setUint32(0x1000 + index * 8, address, true);
      view.setUint32(0x1004 + index * 8, (length & 0xffff) | (index === list.length - 1 ? 0x80000000 : 0), true);
    });
  }
}
