/** `apicscope run --break`: where it stops, what it tells, and its exit status. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { Breaks } from "../../src/cli/breaks";
import { symbolStoreOf } from "../../src/cli/watchers";
import { Machine } from "../../src/machine/machine";

const guest = "guests/smp/smp.elf";

function run(...args: string[]): { status: number | null; out: string; err: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, ["dist/cli.js", "run", guest, "--cpus", "2", ...args]);
  return { status, out: stdout.toString(), err: stderr.toString() };
}

describe("run --break", () => {
  test("stops at an interrupt's event, with the records and the state of all CPUs", () => {
    const { status, err } = run("--break", "interrupt.deliver: vector == 0xf0 && cpu == 1");
    assert.equal(status, 6);
    assert.match(err, /stopped after \d+ instructions: IPI vector 0xf0, CPU 0 -> CPU 1, delivered/);
    assert.match(err, /source ipi, mode fixed, vector 0xf0, src 0, dst 1/);
    assert.match(err, /^apicscope: CPU 0: running, interrupts off, at 0x/m);
    assert.match(err, /^apicscope: CPU 1: rip 0x[0-9a-f]{16} rflags 0x[0-9a-f]+ cr3 0x[0-9a-f]+$/m);
    assert.match(err, /local APIC: IRR {}, ISR {0xf0}, PPR 0xf0/);
  });

  test("stops at a symbol, under a condition, at the first of several", () => {
    const { status, err, out } = run("--break", "run_tests+0x0: cpu == 1", "--break", "fixed_ipi_test: rsp != 0");
    assert.equal(status, 6);
    assert.match(err, /stopped after \d+ instructions: CPU 0 reached a function breakpoint/);
    assert.match(err, /<fixed_ipi_test/);
    assert.doesNotMatch(out, /PASS/);
  });

  test("that is never reached changes nothing", () => {
    const plain = run("--stats");
    const watched = run("--stats", "--break", "interrupt.deliver: vector == 0x7e");
    assert.equal(watched.status, plain.status);
    assert.equal(watched.out, plain.out);
    const hash = (text: string): string | undefined => /state hash (\w+)/.exec(text)?.[1];
    assert.equal(hash(watched.err), hash(plain.err));
  });

  test("takes no snapshots: it never goes back", () => {
    const image = new Uint8Array(readFileSync(guest));
    const machine = Machine.create({ cpus: 2, memory: 64 << 20 });
    machine.boot({ image, imageName: guest });
    const breaks = new Breaks(["interrupt.deliver: vector == 0x7e"], machine, symbolStoreOf(image, guest));
    for (let portion = 0; portion < 12; portion++) if (breaks.run(1_000_000, Infinity).kind !== "limit") break;
    assert.ok(machine.instructions() > 1_000_000);
    assert.equal(machine.snapshots.list.length, 0);
  });

  test("that names nothing is refused", () => {
    for (const [text, why] of [
      ["no_such_function", /no function or label 'no_such_function'/],
      ["interrupt.deliver: valve == 3", /valve/],
      [": vector == 3", /names no event and no place/],
      ["budget.latency", /needs a condition/],
    ] as const) {
      const { status, err } = run("--break", text);
      assert.equal(status, 2, text);
      assert.match(err, why);
    }
  });
});
