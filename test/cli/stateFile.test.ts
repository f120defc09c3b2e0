/** States saved to files: the same future, and anything else refused. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { cli, scratchFolder, type Outcome } from "./harness";

const folder = scratchFolder();
const smp = "guests/smp/smp.elf";
const file = join(folder, "state");
const run = (...args: string[]): Promise<Outcome> => cli("run", smp, "--cpus", "4", ...args);
const hash = ({ err }: Outcome): string => /state hash (\w+)/.exec(err)?.[1] ?? err;

describe("--save-state and --load-state", () => {
  test("a loaded state goes on as the run that it was saved from", async () => {
    const whole = await run("--stats");
    const first = await run("--stats", "--max-instructions", "700000", "--save-state", file);
    const second = await run("--stats", "--load-state", file);
    assert.equal(whole.status, 1, whole.err);
    assert.equal(first.status, 124, first.err);
    assert.equal(second.status, whole.status, second.err);
    assert.equal(first.out + second.out, whole.out);
    assert.equal(hash(second), hash(whole));
  });

  test("a recording that begins with a state is replayed with it, and with no other", async () => {
    const log = join(folder, "log");
    await run("--load-state", file, "--record", log);
    const again = await run("--load-state", file, "--replay", log);
    assert.match(again.err, /the replay is the same as the recording/);
    const other = await run("--replay", log);
    assert.equal(other.status, 2);
    assert.match(other.err, /was made with another state to begin with\./);
  });

  const changed = (name: string, change: (bytes: Buffer) => Buffer): string => {
    const path = join(folder, name);
    writeFileSync(path, change(Buffer.from(readFileSync(file))));
    return path;
  };
  const flip =
    (at: number) =>
    (bytes: Buffer): Buffer => {
      bytes[at < 0 ? bytes.length + at : at] ^= 0x10;
      return bytes;
    };
  const refused: [string, () => string[], RegExp][] = [
    ["cut in half", () => ["--load-state", changed("half", (bytes) => bytes.subarray(0, bytes.length >> 1))], /half is damaged\./],
    ["without its end", () => ["--load-state", changed("end", (bytes) => bytes.subarray(0, -33))], /end is damaged\./],
    ["with a byte changed in RAM", () => ["--load-state", changed("ram", flip(-5000))], /ram is damaged\./],
    ["with a byte changed in the hash", () => ["--load-state", changed("hash", flip(-1))], /hash is damaged\./],
    ["with a byte changed at the front", () => ["--load-state", changed("front", flip(60))], /front is damaged\./],
    ["of another version", () => ["--load-state", changed("version", flip(16))], /is a saved state of version/],
    ["of another kind", () => ["--load-state", "package.json"], /package\.json is no saved state\./],
    ["that is missing", () => ["--load-state", join(folder, "none")], /none: there is no such file/],
    ["of a machine with more memory", () => ["--memory", "64", "--load-state", file], /was made with memory/],
    ["of another command line", () => ["--cmdline", "x", "--load-state", file], /was made with another command line\./],
  ];
  for (const [what, args, message] of refused) {
    test(`a file ${what} is refused in one sentence`, async () => {
      const { status, err } = await run(...args());
      assert.equal(status, 2, err);
      assert.match(err, message);
      assert.doesNotMatch(err, /\n\s+at /);
    });
  }
});
