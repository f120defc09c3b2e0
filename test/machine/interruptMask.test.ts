/** What cleared IF last: noted by the engine where it can, told by the host else, the same on all engines and at every instruction. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { FLAG_IF } from "../../src/cpu/registerBits";
import type { FollowedFlag } from "../../src/cpu/maskCause";
import type { MachineConfiguration } from "../../src/machine/types";
import { DATA, EOI, ICR_LOW, testGuest, TO_SELF } from "./testGuest";

const VECTOR = 0x40;
const ROUNDS = 40;
const STAR = 0xc000_0081;
const LSTAR = 0xc000_0082;
const SFMASK = 0xc000_0084;

/** Clears IF by CLI (also where it is clear), with a prefix, by POPF, by SYSCALL, and by the gate of an interrupt that its handler ends; again and again, so that it is generated. */
function start(engine: NonNullable<MachineConfiguration["engine"]>, followed: FollowedFlag): { at(instruction: number): unknown } {
  const guest = testGuest(
    (a) => {
      const msr = (index: number, low: number, high: number): void =>
        void a.mov("rcx", index).mov("rax", low).mov("rdx", high).bytes(0x0f, 0x30);
      a.label("cpu0");
      msr(STAR, 0, 8);
      a.mov("rcx", LSTAR).address("rax", "system").mov("rdx", 0).bytes(0x0f, 0x30);
      msr(SFMASK, FLAG_IF, 0);
      a.mov("rsi", ROUNDS);
      a.label("round").bytes(0xfb).nop(2).bytes(0xfa).nop().bytes(0xfa).nop(3);
      a.bytes(0xfb).nop().bytes(0x2e, 0xfa).nop();
      // push 2; popfq; with interrupts on before.
      a.bytes(0xfb).nop().push(2).bytes(0x9d).nop();
      a.bytes(0xfb).nop();
      a.apicWrite(ICR_LOW, TO_SELF | VECTOR).nop(3);
      a.bytes(0x0f, 0x05).label("behind").nop();
      // dec rsi
      a.bytes(0x48, 0xff, 0xce).jcc("nz", "round").exit();
      a.label("system").nop().jmp("behind");
      a.label(`vector${VECTOR}`).nop(2).apicWrite(EOI, 0).inc(DATA).iretq();
    },
    { engine },
  );
  const { machine } = guest;
  machine.hooks = {};
  machine.followInterruptFlag(followed);
  const [vcpu] = machine.cpus;
  return {
    at: (instruction) => {
      machine.run(instruction - machine.instructions());
      const { interruptsMaskedBy, systemFlags, rip } = vcpu.state;
      return {
        retired: vcpu.retired,
        flag: systemFlags & FLAG_IF,
        rip,
        cause: interruptsMaskedBy?.cause,
        since: interruptsMaskedBy?.since,
      };
    },
  };
}

describe("what cleared IF last", () => {
  test("is the same whether the engine notes it or the host is told, on every engine, at every instruction", () => {
    const told = start("reference", "told");
    const others = (["reference", "interpreter", "jit"] as const).map((engine) => ({ engine, guest: start(engine, "noted") }));
    const causes = new Set<string>();
    for (let instruction = 1; instruction < 900; instruction++) {
      const expected = told.at(instruction);
      causes.add(JSON.stringify(expected, (_, value: unknown) => (typeof value === "bigint" ? value.toString(16) : value)));
      for (const { engine, guest } of others) assert.deepEqual(guest.at(instruction), expected, `${engine}, instruction ${instruction}`);
    }
    assert.ok(causes.size > 500, `${causes.size}: ${[...causes].at(-1)}`);
  });

  test("is the same after long runs in generated code", () => {
    for (const instructions of [1100, 1103, 1117, 1139, 1151, 1170]) {
      const expected = start("reference", "told").at(instructions);
      for (const engine of ["interpreter", "jit"] as const)
        assert.deepEqual(start(engine, "noted").at(instructions), expected, `${engine}, instruction ${instructions}`);
    }
  });
});
