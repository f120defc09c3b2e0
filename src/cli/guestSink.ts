import { closeSync, writeSync } from "node:fs";

const LINE_FEED = 0x0a;
/** Bytes that are kept at most. */
const ROOM = 4096;

/**
 * A file or standard output as the end of a guest's serial port or console. Guests send byte by byte, a slice of the run each: what is kept is written in one piece, at the end of a line or when the
 * run says so, synchronously, so that nothing is lost or late.
 */
export class GuestSink {
  private readonly kept = Buffer.allocUnsafeSlow(ROOM);
  private length = 0;

  constructor(private readonly descriptor: number) {}

  write(bytes: Uint8Array): void {
    for (const byte of bytes) {
      this.kept[this.length++] = byte;
      if (byte === LINE_FEED || this.length === ROOM) this.flush();
    }
  }

  /** Writes what is kept. */
  flush(): void {
    const { length } = this;
    this.length = 0;
    for (let done = 0; done < length;) {
      try {
        done += writeSync(this.descriptor, this.kept, done, length - done);
      } catch (error) {
        const code = error instanceof Error && "code" in error ? String(error.code) : "";
        // A full pipe: try again. A closed one: the reader has had enough.
        if (code === "EAGAIN") continue;
        if (code === "EPIPE") return;
        throw error;
      }
    }
  }

  close(): void {
    this.flush();
    if (this.descriptor > 2) closeSync(this.descriptor);
  }
}
