import type { State } from "../../common/state";
import type { DeviceContext, RegisterView } from "../device";
import { PciDevice } from "../pciDevice";
import { StateReader } from "../stateReader";
import { Dispi, type FrameMode } from "./dispi";
import { GLYPH_HEIGHT, glyphRow } from "./font";
import { vgaScreen } from "./picture";
import type { Screen } from "./screen";
import type { Vga } from "./vga";
import { PLANE_BYTES, VgaWindow, WINDOW_BASE, WINDOW_BYTES } from "./window";

/** Video memory of the display adapter. */
export const VIDEO_BYTES = 16 << 20;
const DISPI_PORT = 0x1ce;
const REGISTER_BAR_BYTES = 0x1000;
/** In BAR 2: the VGA's ports from 0x3c0, and the DISPI registers, two bytes each. */
const LEGACY_OFFSET = 0x400;
const LEGACY_BYTES = 0x20;
const DISPI_OFFSET = 0x500;
const DISPI_BYTES = 0x16;

/** Video memory: plain memory for the guest, and part of its snapshots. */
export interface VideoMemory {
  readonly bytes: Uint8Array;
  /** To be called before the device itself writes [offset, offset + length). */
  touch(offset: number, length: number): void;
}

/**
 * A display adapter: 1234:1111, the frame buffer in BAR 0, VGA ports and DISPI registers in BAR 2, DISPI at 0x1ce and 0x1cf as well. While no linear mode is on, it is a VGA, whose
 * planes are the start of video memory and show in the legacy window.
 */
export class DisplayAdapter extends PciDevice {
  private readonly dispi: Dispi;
  private readonly window: VgaWindow;

  constructor(
    context: DeviceContext,
    private readonly video: VideoMemory,
    private readonly vga: Vga,
  ) {
    super(context, "display", {
      vendor: 0x1234,
      device: 0x1111,
      classCode: 0x030000,
      revision: 2,
      subsystemVendor: 0x1af4,
      subsystem: 0x1100,
    });
    const { bytes } = video;
    this.dispi = new Dispi(bytes.length, () => {
      video.touch(0, bytes.length);
      bytes.fill(0);
    });
    this.window = new VgaWindow(vga, video, () => this.dispi.bank);
    context.mapMmio("display.window", WINDOW_BASE, WINDOW_BYTES, this.window);
    // The handler serves what does not go to memory directly: accesses over a page's edge.
    this.addMemoryBar(
      0,
      bytes.length,
      {
        read: (offset, size) => {
          let value = 0n;
          for (let byte = size - 1; byte >= 0; byte--) value = (value << 8n) | BigInt(bytes[offset + byte] ?? 0xff);
          return value;
        },
        write: (offset, size, value) => {
          video.touch(offset, size);
          for (let byte = 0; byte < size; byte++) bytes[offset + byte] = Number((value >> BigInt(8 * byte)) & 0xffn);
        },
      },
      { prefetchable: true, video: true },
    );
    this.addMemoryBar(2, REGISTER_BAR_BYTES, {
      read: (offset, size) => this.readRegisters(offset, size),
      write: (offset, size, value) => this.writeRegisters(offset, size, value),
    });
    // The index at 0x1ce and the data at 0x1cf are words that overlap: each access starts at its own port.
    context.mapPorts("display.dispi", DISPI_PORT, 3, {
      read: (port, size) => {
        const value = port === DISPI_PORT ? this.dispi.index : port === DISPI_PORT + 1 ? this.dispi.read(this.dispi.index) : 0;
        return size === 1 ? value & 0xff : value;
      },
      write: (port, size, value) => {
        if (size !== 2) return;
        if (port === DISPI_PORT) this.dispi.index = value;
        else if (port === DISPI_PORT + 1) this.writeDispi(this.dispi.index, value);
      },
    });
  }

  private readRegisters(offset: number, size: number): bigint {
    if (offset >= DISPI_OFFSET && offset < DISPI_OFFSET + DISPI_BYTES) {
      const value = this.dispi.read((offset - DISPI_OFFSET) >> 1) >> (8 * (offset & 1));
      return BigInt(size === 1 ? value & 0xff : value);
    }
    let value = 0n;
    for (let byte = size - 1; byte >= 0; byte--)
      value = (value << 8n) | BigInt(this.legacy(offset + byte) ? this.vga.readPort(0x3c0 + offset + byte - LEGACY_OFFSET) : 0xff);
    return value;
  }

  private legacy(offset: number): boolean {
    return offset >= LEGACY_OFFSET && offset < LEGACY_OFFSET + LEGACY_BYTES;
  }

  private writeRegisters(offset: number, size: number, value: bigint): void {
    if (offset >= DISPI_OFFSET && offset < DISPI_OFFSET + DISPI_BYTES) {
      if (size === 2 && offset % 2 === 0) this.writeDispi((offset - DISPI_OFFSET) >> 1, Number(value));
      return;
    }
    for (let byte = 0; byte < size; byte++) {
      if (this.legacy(offset + byte))
        this.vga.writePort(0x3c0 + offset + byte - LEGACY_OFFSET, Number((value >> BigInt(8 * byte)) & 0xffn));
    }
  }

  private writeDispi(index: number, value: number): void {
    this.dispi.write(index, value);
    this.vga.wideColours = this.dispi.wideColours;
  }

  /** The linear mode that shows, if any. */
  get mode(): FrameMode | undefined {
    return this.dispi.mode;
  }

  /** What shows now. */
  get screen(): Screen {
    const { mode } = this;
    const memory = this.video.bytes;
    return mode === undefined ? vgaScreen(this.vga, memory, this.dispi.planar) : { kind: "frame", mode, memory, colours: this.vga.colours };
  }

  /** Leaves text mode 3 as a VGA BIOS does: its colours, a font, and a screen of blanks. */
  initializeAsFirmware(): void {
    const { bytes } = this.video;
    this.vga.loadTextColours();
    this.video.touch(0, 4 * PLANE_BYTES);
    for (let address = 0; address < 0x8000; address += 2) bytes.set([0x20, 0x07], 4 * address);
    for (let character = 0; character < 256; character++)
      for (let row = 0; row < GLYPH_HEIGHT; row++) bytes[4 * (character * 32 + row) + 2] = glyphRow(character, row);
  }

  override reset(): void {
    super.reset();
    this.dispi.reset();
    this.window.reset();
  }

  protected override saveMore(): State {
    return { dispi: this.dispi.save(), latch: this.window.save() };
  }

  protected override restoreMore(state: State): void {
    const reader = new StateReader(state, this.name);
    this.dispi.restore(new StateReader(reader.raw("dispi"), `${this.name}.dispi`));
    this.window.restore(reader.number("latch"));
  }

  override registers(): readonly RegisterView[] {
    const names = ["ID", "XRES", "YRES", "BPP", "ENABLE", "BANK", "VIRT_WIDTH", "VIRT_HEIGHT", "X_OFFSET", "Y_OFFSET", "VIDEO_MEMORY_64K"];
    const { mode } = this;
    return [
      ...super.registers(),
      ...names.map((name, index) => ({ name: `DISPI ${name}`, value: BigInt(this.dispi.read(index)), bits: 16 })),
      {
        name: "mode",
        value: mode === undefined ? 0n : 1n,
        bits: 1,
        text: mode === undefined ? "as the VGA's registers say" : `${mode.width} by ${mode.height}, ${mode.depth} bits`,
      },
    ];
  }
}
