import { fstatSync, statSync } from "node:fs";
import { devNull } from "node:os";
import { EscapeFilter } from "./escape";

/** What standard input is told to. */
export interface InputSink {
  /** Bytes for the guest. */
  bytes(bytes: Uint8Array): void;
  /** The person asked to end the run. */
  quit(): void;
  /** The person asked for the machine's state to be saved. */
  save(): void;
  /** Words for the person. */
  say(text: string): void;
}

/** "nothing": the null device. */
export type InputKind = "terminal" | "nothing" | "bytes";

/** What standard input is, told without making the stream where that can be: it loads half of Node, 5 ms. */
export function kindOfInput(): InputKind {
  try {
    const standardInput = fstatSync(0);
    if (!standardInput.isCharacterDevice()) return "bytes";
    if (standardInput.rdev === statSync(devNull).rdev) return "nothing";
  } catch {
    // Where there is none, the stream knows what to do.
  }
  return process.stdin.isTTY === true ? "terminal" : "bytes";
}

/**
 * Standard input as the guest's console. A terminal is put into raw mode, so that every key, Ctrl-C among them, reaches the guest; Ctrl-A begins a command to APICScope. The size of the
 * terminal means nothing to a serial line and is ignored. Anything else (a pipe, a file) is passed on as it is.
 */
export class StandardInput {
  private ended = false;
  private wake: (() => void) | undefined;
  private readonly terminal: boolean;

  constructor(sink: InputSink) {
    const { stdin } = process;
    this.terminal = stdin.isTTY === true;
    const filter = new EscapeFilter(sink);
    stdin.on("data", (bytes: Buffer) => {
      if (this.terminal) filter.input(bytes);
      else sink.bytes(bytes);
      this.wake?.();
    });
    for (const event of ["end", "error", "close"])
      stdin.on(event, () => {
        this.ended = true;
        this.wake?.();
      });
    if (this.terminal) {
      stdin.setRawMode(true);
      process.on("exit", this.restore);
    }
    stdin.resume();
  }

  private readonly restore = (): void => {
    process.stdin.setRawMode(false);
  };

  /** True when input may still come. */
  get open(): boolean {
    return !this.ended;
  }

  /** Resolves when something has come or nothing more will, or after so many milliseconds. */
  async wait(milliseconds: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = milliseconds < 0x7fff_ffff ? setTimeout(resolve, milliseconds) : undefined;
      this.wake = () => {
        clearTimeout(timer);
        resolve();
      };
      if (this.ended) this.wake();
    });
    this.wake = undefined;
  }

  close(): void {
    if (this.terminal) {
      this.restore();
      process.removeListener("exit", this.restore);
    }
    process.stdin.pause();
  }
}
