// Golden transcripts: what a session says, line by line, compared with a file that is committed. A missing file is a failure; `UPDATE_TRANSCRIPTS=1` writes them anew.
import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import type { Client } from "./harness";

const folder = "test/adapter/transcripts";

/** Counts, times and code addresses depend on the guest's build and the board: they become the same word everywhere. */
export function normalise(text: string): string {
  return text
    .replace(/\binstruction +\d+/g, "instruction N")
    .replace(/@\d+/g, "@N")
    .replace(/\b\d{5,}\b/g, "N")
    .replace(/\d+\.\d{6} ms/g, "T ms")
    .replace(/0x[0-9a-f]{16}\b/g, "ADDRESS")
    .replace(/>\s+\((\w+\.\w+):\d+\)/g, "> ($1)")
    .replace(/(called from \S+?)(?:\+0x[0-9a-f]+)? \((\w+\.\w+):\d+\)/g, "$1 ($2)")
    .replace(/\+0x[0-9a-f]+>/g, "+X>");
}

/** Writes down a session. */
export class Transcript {
  private readonly lines: string[] = [];

  constructor(
    private readonly name: string,
    private readonly client: Client,
  ) {}

  /** A remark of the test's. */
  note(text: string): void {
    this.lines.push(`# ${text}`);
  }

  /** A line of the console at a thread, with its answer or its refusal. */
  async say(line: string, threadId = 1): Promise<string> {
    const answer = await this.client.evaluate(line, threadId).catch((error: unknown) => `error: ${(error as Error).message}`);
    this.lines.push(normalise(`> ${line}`), ...normalise(answer).split("\n"));
    return answer;
  }

  /** Text that came by another way. */
  text(text: string): void {
    this.lines.push(...normalise(text).split("\n"));
  }

  /** A stack, a line a frame; lines of the source are left out, as guests are edited. */
  async stack(threadId: number): Promise<void> {
    for (const { name, source, presentationHint } of await this.client.stack(threadId))
      this.lines.push(
        normalise(`  ${name}`).replace(/\+0x[0-9a-f]+/g, "+X") +
          (source?.name === undefined ? "" : ` (${source.name})`) +
          (presentationHint === "label" ? "  [label]" : ""),
      );
  }

  /** Compares with the golden file. */
  check(): void {
    checkGolden(this.name, `${this.lines.join("\n")}\n`);
  }
}

/** Compares a text with the golden file of this name, which must be there. */
export function checkGolden(name: string, text: string): void {
  const path = `${folder}/${name}.txt`;
  if (process.env["UPDATE_TRANSCRIPTS"] === "1") return writeFileSync(path, text);
  assert.ok(existsSync(path), `${path} is missing: look at the transcript and write it with UPDATE_TRANSCRIPTS=1`);
  assert.equal(text, readFileSync(path, "utf8"));
}
