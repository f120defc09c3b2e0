import type { State } from "../common/state";
import { DEBUG_CONSOLE_PORT, DEBUG_EXIT_PORT, FIRMWARE_DEBUG_PORT } from "./board";
import type { Device, DeviceContext, RegisterView } from "./device";
import { byteHandler } from "./ports";
import { StateReader } from "./stateReader";

/** isa-debug-exit: writing v to port 0xf4 (four ports wide) ends the run with status (v << 1) | 1. */
export class DebugExit implements Device {
  readonly name = "debugexit";

  /** `exit` hears the status; the machine stops at the next instruction boundary. */
  constructor(context: DeviceContext, exit: (status: number) => void) {
    context.mapPorts(this.name, DEBUG_EXIT_PORT, 4, {
      read: () => 0,
      write: (_port, _size, value) => exit(((value << 1) | 1) >>> 0),
    });
  }

  reset(): void {}

  save(): State {
    return null;
  }

  restore(): void {}

  registers(): readonly RegisterView[] {
    return [];
  }
}

/** Debug consoles at 0xe9 and 0x402: each written byte goes to the host. Reads give 0xe9, by which guests find them. */
export class DebugConsole implements Device {
  readonly name = "debugcon";

  constructor(context: DeviceContext, output: (byte: number) => void) {
    const handler = byteHandler(
      () => 0xe9,
      (_port, value) => output(value),
    );
    context.mapPorts("debugcon", DEBUG_CONSOLE_PORT, 1, handler);
    context.mapPorts("debugcon.firmware", FIRMWARE_DEBUG_PORT, 1, handler);
  }

  reset(): void {}

  save(): State {
    return null;
  }

  restore(): void {}

  registers(): readonly RegisterView[] {
    return [];
  }
}

/**
 * Port 0x80: the power-on self test's code, also written as a delay. With the rest of the DMA page registers, 0x80 to 0x8f,
 * it reads back what was written.
 */
export class PostCode implements Device {
  readonly name = "port80";
  private readonly pages = new Uint8Array(16);

  constructor(context: DeviceContext) {
    context.mapPorts(
      this.name,
      0x80,
      16,
      byteHandler(
        (port) => this.pages[port & 15],
        (port, value) => {
          this.pages[port & 15] = value;
        },
      ),
    );
  }

  /** The last code written. */
  get code(): number {
    return this.pages[0];
  }

  reset(): void {
    this.pages.fill(0);
  }

  save(): State {
    return { pages: this.pages.slice() };
  }

  restore(state: State): void {
    this.pages.set(new StateReader(state, this.name).bytes("pages", 16));
  }

  registers(): readonly RegisterView[] {
    return [{ name: "POST code", value: BigInt(this.pages[0]), bits: 8 }];
  }
}
