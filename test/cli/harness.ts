/** Runs the built command line, and makes small images for it. */
import { spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";

export interface Outcome {
  readonly status: number | null;
  readonly out: string;
  readonly err: string;
}

/** A folder of the test file's own, removed at its end. */
export function scratchFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "apicscope-cli-"));
  after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** The command line with standard input as a pipe that stays open: `send` writes to it. */
export class OpenCli {
  out = "";
  err = "";
  readonly ended: Promise<Outcome>;
  private readonly child: ChildProcess;
  private heard: (() => void) | undefined;

  constructor(...args: string[]) {
    this.child = spawn(process.execPath, ["dist/cli.js", ...args], { stdio: ["pipe", "pipe", "pipe"] });
    this.child.stdout?.on("data", (bytes: Buffer) => {
      this.out += bytes.toString("latin1");
      this.heard?.();
    });
    this.child.stderr?.on("data", (bytes: Buffer) => (this.err += bytes.toString()));
    this.child.stdin?.on("error", () => undefined);
    this.ended = new Promise((resolve) => this.child.on("close", (status) => resolve({ status, out: this.out, err: this.err })));
  }

  send(text: string): void {
    this.child.stdin?.write(text);
  }

  end(): void {
    this.child.stdin?.end();
  }

  kill(): void {
    this.child.kill("SIGKILL");
  }

  /** Resolves when the guest has written `text`; rejects when it ends, or takes too long, without. */
  async said(text: string, seconds = 180): Promise<void> {
    const limit = Date.now() + seconds * 1000;
    let over = false;
    void this.ended.then(() => {
      over = true;
      this.heard?.();
    });
    while (!this.out.includes(text)) {
      if (over || Date.now() > limit)
        throw new Error(`the guest did not say ${JSON.stringify(text)} but ${JSON.stringify(this.out)}; ${this.err}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 1000);
        this.heard = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }
}

/** Runs the command line without standard input. */
export function cli(...args: string[]): Promise<Outcome> {
  const run = new OpenCli(...args);
  run.end();
  return run.ended;
}

/** A plain 32-bit ELF image whose code is `code`, loaded and entered at 2 MiB. */
export function elf(folder: string, name: string, code: readonly number[]): string {
  const bytes = new Uint8Array(0x1000 + code.length);
  const view = new DataView(bytes.buffer);
  bytes.set([0x7f, 0x45, 0x4c, 0x46, 1, 1, 1]);
  view.setUint16(16, 2, true);
  view.setUint16(18, 3, true);
  view.setUint32(20, 1, true);
  view.setUint32(24, 0x200000, true);
  view.setUint32(28, 52, true);
  view.setUint16(40, 52, true);
  view.setUint16(42, 32, true);
  view.setUint16(44, 1, true);
  [1, 0x1000, 0x200000, 0x200000, code.length, code.length, 5, 0x1000].forEach((value, i) => view.setUint32(52 + 4 * i, value, true));
  bytes.set(code, 0x1000);
  const file = join(folder, name);
  writeFileSync(file, bytes);
  return file;
}

/**
 * A guest that sleeps with interrupts on and echoes each byte of its serial port in the handler; `q` ends it with status 1.
 *
 *     mov esp, 0x280000; mov edi, 0x201000 + 0x24 * 8; mov ax, cs; shl eax, 16; mov ax, handler; mov [edi], eax; mov dword [edi + 4], 0x208e00; lidt [idtr]
 *     the 8259 by ICW1 to ICW4 to vector 0x20, all but IRQ 4 masked; UART: received data interrupts
 *     sti; again: hlt; jmp again
 *     handler: mov dx, 0x3f8; in al, dx; out dx, al; cmp al, 'q'; je quit; mov al, 0x20; out 0x20, al; iretd
 *     quit: mov dx, 0xf4; mov al, 0; out dx, al; jmp $
 *     idtr: dw 0x7ff; dd 0x201000
 */
export const ECHO: readonly number[] = [
  ...Buffer.from(
    "bc00002800bf20112000668cc8c1e01066b843008907c74704008e20000f011d5b002000b011e620b020e621b004e621b001e621b0efe62166baf903b001eefb" +
      "f4ebfd66baf803ecee3c717405b020e620cf66baf400b000eeebfeff0700102000",
    "hex",
  ),
];
