import type { MachineHooks } from "./types";

/** What the guest sends to the outside, kept together until the end of a slice so that a hook hears of many bytes at once. */
export class GuestOutput {
  private serialBytes: number[] = [];
  private debugBytes: number[] = [];
  private consoleParts: Uint8Array[] = [];

  /** A byte sent through the first serial port. */
  serial(byte: number): void {
    this.serialBytes.push(byte);
  }

  /** A byte sent to the debug console's ports. */
  debugConsole(byte: number): void {
    this.debugBytes.push(byte);
  }

  /** Bytes sent through the virtio console. */
  console(bytes: Uint8Array): void {
    this.consoleParts.push(bytes);
  }

  /** Hands what has come to `hooks`; what has no hook is dropped. */
  flush(hooks: MachineHooks): void {
    if (this.debugBytes.length > 0) {
      const bytes = Uint8Array.from(this.debugBytes);
      this.debugBytes = [];
      hooks.debugConsole?.(bytes);
    }
    if (this.serialBytes.length > 0) {
      const bytes = Uint8Array.from(this.serialBytes);
      this.serialBytes = [];
      hooks.serial?.(bytes);
    }
    if (this.consoleParts.length > 0) for (const bytes of this.consoleParts.splice(0)) hooks.console?.(bytes);
  }
}
