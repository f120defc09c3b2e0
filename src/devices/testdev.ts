import type { State } from "../common/state";
import { TESTDEV_IRQ_PORT, TESTDEV_MMIO_BASE, TESTDEV_MMIO_SIZE, TESTDEV_PORT } from "./board";
import type { Device, DeviceContext, IrqLine, RegisterView } from "./device";
import { byteHandler } from "./ports";
import { StateReader } from "./stateReader";

/**
 * The PC test device that public APIC and I/O test suites look for ("pc-testdev"): a 32-bit port latch at 0xe0 to 0xe3, a page
 * flush port at 0xe4 that here has nothing to flush, a byte-wide latch at 0xe8 to 0xeb, one port per interrupt line from 0x2000
 * (written non-zero: asserted), and 64 KiB of device memory at 0xff000000 that reads back what was written.
 */
export class TestDevice implements Device {
  readonly name = "testdev";
  private readonly latch = new Uint8Array(4);
  private readonly byteLatch = new Uint8Array(4);
  private readonly levels: Uint8Array;
  private readonly memory = new Uint8Array(TESTDEV_MMIO_SIZE);

  /** @param irqLines the lines that ports 0x2000 and up drive, by number */
  constructor(
    context: DeviceContext,
    private readonly irqLines: readonly IrqLine[],
  ) {
    this.levels = new Uint8Array(irqLines.length);
    const keep = (name: string, first: number, bytes: Uint8Array): void => {
      context.mapPorts(
        name,
        first,
        4,
        byteHandler(
          (port) => bytes[port - first],
          (port, value) => {
            bytes[port - first] = value;
          },
        ),
      );
    };
    keep("testdev.latch", TESTDEV_PORT, this.latch);
    context.mapPorts("testdev.flush", TESTDEV_PORT + 4, 4, { read: () => 0, write: () => undefined });
    keep("testdev.bytes", TESTDEV_PORT + 8, this.byteLatch);
    context.mapPorts("testdev.irq", TESTDEV_IRQ_PORT, irqLines.length, {
      read: (port) => this.levels[port - TESTDEV_IRQ_PORT],
      // One write drives one line, whatever its width.
      write: (port, _size, value) => this.drive(port - TESTDEV_IRQ_PORT, value !== 0),
    });
    context.mapMmio("testdev.memory", TESTDEV_MMIO_BASE, TESTDEV_MMIO_SIZE, {
      read: (offset, size) => {
        let value = 0n;
        for (let byte = size - 1; byte >= 0; byte--) value = (value << 8n) | BigInt(this.memory[offset + byte]);
        return value;
      },
      write: (offset, size, value) => {
        for (let byte = 0; byte < size; byte++) this.memory[offset + byte] = Number((value >> BigInt(byte * 8)) & 0xffn);
      },
    });
  }

  private drive(line: number, level: boolean): void {
    if (this.levels[line] === (level ? 1 : 0)) return;
    this.levels[line] = level ? 1 : 0;
    this.irqLines[line](level);
  }

  reset(): void {
    for (let line = 0; line < this.irqLines.length; line++) this.drive(line, false);
    this.latch.fill(0);
    this.byteLatch.fill(0);
    this.memory.fill(0);
  }

  save(): State {
    return { latch: this.latch.slice(), byteLatch: this.byteLatch.slice(), levels: this.levels.slice(), memory: this.memory.slice() };
  }

  restore(state: State): void {
    const reader = new StateReader(state, this.name);
    this.latch.set(reader.bytes("latch", 4));
    this.byteLatch.set(reader.bytes("byteLatch", 4));
    this.levels.set(reader.bytes("levels", this.levels.length));
    this.memory.set(reader.bytes("memory", TESTDEV_MMIO_SIZE));
  }

  registers(): readonly RegisterView[] {
    const value = new DataView(this.latch.buffer).getUint32(0, true);
    const high = [...this.levels.keys()].filter((line) => this.levels[line] !== 0);
    return [
      { name: "latch", value: BigInt(value), bits: 32 },
      {
        name: "lines",
        value: high.reduce((bits, line) => bits | (1n << BigInt(line)), 0n),
        bits: this.levels.length,
        text: high.length === 0 ? "none driven" : `driven: ${high.join(", ")}`,
      },
    ];
  }
}
