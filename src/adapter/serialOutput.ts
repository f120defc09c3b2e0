// Where the guest's first serial port goes: to the client as text or bytes, to a file, or nowhere.
import { appendFileSync, writeFileSync } from "node:fs";
import { UserError } from "../machine/errors";
import type { EngineEvent } from "./rpc";

/** Values of the launch attribute `serial` that name no file. */
const words = new Set(["stdio", "terminal", "none"]);
/** Milliseconds between two pieces of output. */
const pause = 10;

/** The serial port's bytes of one machine, gathered for a moment so that few events carry them. */
export class SerialOutput {
  private waiting: Uint8Array[] = [];
  private timer: NodeJS.Timeout | undefined;
  private readonly decoder = new TextDecoder();

  /** @param target the launch attribute `serial`. Throws a {@link UserError} when it names a file that cannot be written, which is emptied else. */
  constructor(
    private readonly target: string,
    private readonly tell: (event: EngineEvent) => void,
  ) {
    if (!words.has(target)) createFile(target);
  }

  write(bytes: Uint8Array): void {
    if (this.target === "none") return;
    if (!words.has(this.target)) return appendFileSync(this.target, bytes);
    this.waiting.push(bytes.slice());
    this.timer ??= setTimeout(() => this.flush(), pause);
  }

  /** Tells what was gathered. */
  flush(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    const bytes = Uint8Array.from(Buffer.concat(this.waiting));
    this.waiting = [];
    if (bytes.length === 0) return;
    if (this.target === "terminal") return this.tell({ kind: "serial", bytes });
    // Of a character whose bytes come in two pieces the second piece is awaited.
    const text = this.decoder.decode(bytes, { stream: true });
    if (text !== "") this.tell({ kind: "output", category: "stdout", text });
  }
}

function createFile(path: string): void {
  try {
    writeFileSync(path, "");
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new UserError(`The launch attribute "serial" names ${path}, which cannot be written: ${why}.`, "serial");
  }
}
