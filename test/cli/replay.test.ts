/** Interactive sessions: standard input, the input log, replay. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { cli, ECHO, elf, OpenCli, type Outcome, scratchFolder } from "./harness";

const folder = scratchFolder();
const echo = elf(folder, "echo", ECHO);
const log = join(folder, "session.log");
const figures = ({ err }: Outcome): string[] =>
  [/instructions \d+/, /virtual time [\d.]+/, /state hash \w+/].map((line) => line.exec(err)?.[0] ?? err);

/** Types a few words to the echo guest, at moments of the wall clock's choosing. */
async function session(...args: string[]): Promise<Outcome> {
  const run = new OpenCli("run", echo, "--stats", ...args);
  for (const word of ["hello", " there", ", world"]) {
    run.send(word);
    await run.said(word);
    await new Promise((resolve) => setTimeout(resolve, 30));
  }
  run.send("q");
  return run.ended;
}

describe("a guest that sleeps until input comes", () => {
  test("is waited for while standard input is open", async () => {
    const { status, out } = await session();
    assert.equal(out, "hello there, worldq");
    assert.equal(status, 1);
  });

  test("is dead once standard input has ended", async () => {
    const { status, err } = await cli("run", echo);
    assert.equal(status, 3);
    assert.match(err, /every CPU waits for ever/);
  });

  test("ends at --timeout", async () => {
    const run = new OpenCli("run", echo, "--timeout", "0.5");
    assert.equal((await run.ended).status, 124);
  });
});

describe("--record and --replay", () => {
  test("repeat a session to the instruction", async () => {
    const recorded = await session("--record", log);
    const replayed = await cli("run", echo, "--stats", "--replay", log);
    assert.equal(recorded.status, 1);
    assert.equal(replayed.status, 1, replayed.err);
    assert.equal(replayed.out, recorded.out);
    assert.deepEqual(figures(replayed), figures(recorded));
    assert.match(replayed.err, /the replay is the same as the recording/);
    assert.match(readFileSync(log, "utf8"), /^apicscope input log 1\n/);
  });

  test("repeat a paced session, whose inputs come while virtual time goes by", async () => {
    const file = join(folder, "paced.log");
    const recorded = await session("--pace", "--record", file);
    const replayed = await cli("run", echo, "--stats", "--replay", file);
    assert.deepEqual(figures(replayed), figures(recorded));
    assert.match(replayed.err, /the replay is the same as the recording/);
  });

  test("repeat a run that was ended by a limit", async () => {
    const file = join(folder, "limit.log");
    await cli("run", "guests/smp/smp.elf", "--cpus", "2", "--max-instructions", "123456", "--record", file);
    const { status, err } = await cli("run", "guests/smp/smp.elf", "--cpus", "2", "--replay", file);
    assert.equal(status, 124);
    assert.match(err, /the replay is the same as the recording: 123456 instructions/);
  });

  test("a recording that cannot be written is named by its option", async () => {
    const { status, err } = await cli("run", "guests/smp/smp.elf", "--record", `${log}/no/such/folder`);
    assert.equal(status, 2);
    assert.match(err, /^apicscope: --record names .*, which cannot be written: /m);
  });

  test("a recording that was cut off replays as far as it goes", async () => {
    const file = join(folder, "cut.log");
    const run = new OpenCli("run", echo, "--record", file);
    run.send("abc");
    await run.said("abc");
    run.kill();
    await run.ended;
    const { out, err } = await cli("run", echo, "--replay", file);
    assert.equal(out, "abc");
    assert.match(err, /was cut off before the recording's end/);
  });

  const changed = (name: string, change: (lines: string[]) => string[]): string => {
    const file = join(folder, name);
    writeFileSync(file, change(readFileSync(log, "utf8").split("\n")).join("\n"));
    return file;
  };
  const refused: [string, () => string[], RegExp][] = [
    [
      "a changed byte",
      () => [echo, "--replay", changed("byte", (lines) => lines.map((line) => line.replace('"uart0"', '"uart1"')))],
      /byte is damaged at line 3\./,
    ],
    [
      "a missing line",
      () => [echo, "--replay", changed("line", (lines) => lines.filter((_, i) => i !== 2))],
      /line is damaged at line 3\./,
    ],
    [
      "half a line",
      () => [echo, "--replay", changed("half", (lines) => [...lines.slice(0, 3), lines[3].slice(0, 20)])],
      /half is damaged at line 4\./,
    ],
    [
      "another version",
      () => [echo, "--replay", changed("version", (lines) => ["apicscope input log 99", ...lines.slice(1)])],
      /input log of version 99/,
    ],
    ["another kind of file", () => [echo, "--replay", "package.json"], /package\.json is no input log\./],
    ["a missing file", () => [echo, "--replay", "no-such.log"], /no-such\.log: there is no such file/],
    ["another image", () => ["guests/smp/smp.elf", "--replay", log], /was made with another image\./],
    ["another number of CPUs", () => [echo, "--cpus", "2", "--replay", log], /was made with cpus 1, and this machine has 2\./],
    ["another amount of memory", () => [echo, "--memory", "64", "--replay", log], /was made with memory/],
    ["another command line", () => [echo, "--cmdline", "quiet", "--replay", log], /was made with another command line\./],
  ];
  for (const [what, args, message] of refused) {
    test(`${what} is refused in one sentence`, async () => {
      const { status, out, err } = await cli("run", ...args());
      assert.equal(status, 2, err);
      assert.equal(out, "");
      assert.match(err, message);
      assert.doesNotMatch(err, /\n\s+at /);
    });
  }
});
