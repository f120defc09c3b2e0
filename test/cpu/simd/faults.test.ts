import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { MODE_FPU_EM, MODE_FPU_TS, MODE_OSFXSR } from "../../../src/cpu/mode";
import { SLOT_MXCSR, SLOT_XMM } from "../../../src/tcg/layout";
import { FlatMachine, userMode } from "../frontend/flatMachine";
import { AT, simdCases } from "./cases";
import { execute, hex } from "./execute";

const USER = userMode(64) | MODE_OSFXSR;
const CODE = 0x1000;
/** The last 8 bytes of a page. */
const CROSSING = 0x2ff8;
/** An aligned operand lies in one page: its second half does not fault where the first did not. */
const aligned = /^mov(aps|apd|dqa|ntps|ntpd|ntdq)$/;

function machineIn(mode = USER): FlatMachine {
  const machine = new FlatMachine();
  machine.mode = mode;
  machine.slots[SLOT_MXCSR / 8] = 0x1f80n;
  return machine;
}

function run(machine: FlatMachine, code: string, address = 0x2000): number | undefined {
  machine.ram.set(Buffer.from(code, "hex"), CODE);
  machine.rip = BigInt(CODE);
  machine.slots[0] = BigInt(address);
  machine.execute(1);
  return machine.trap?.vector;
}

describe("faults of SSE and MMX", () => {
  test("an access that faults leaves registers, MXCSR and memory alone", () => {
    const machine = machineIn();
    machine.unmapAll();
    let faults = 0;
    for (const { name, code, instructions, state } of simdCases(2)) {
      for (let failing = 0; failing < (aligned.test(name) ? 1 : 40); failing++) {
        machine.refuseAccess = (access) => access === failing;
        const after = execute(machine, code, state, instructions);
        machine.refuseAccess = () => false;
        if (machine.trap?.vector !== 14) break;
        faults++;
        const expected = state.slice();
        new DataView(expected.buffer).setUint16(AT.flags, 0x8d5, true);
        expected[AT.trap] = 14;
        assert.equal(hex(after), hex(expected), `access ${failing} of ${name}`);
      }
    }
    assert.ok(faults > 500, `${faults} faults`);
  });

  test("aligned forms refuse misaligned operands, the others take them", () => {
    const machine = machineIn();
    for (const code of ["0f2808", "0f2908", "0f5808", "660f6f08", "660f7f08", "660fe708", "660ffc08", "0f2b08"]) {
      assert.equal(run(machine, code, 0x2008), 13, code);
      assert.equal(machine.trap?.error, 0);
      assert.equal(run(machine, code, 0x2010), undefined, code);
    }
    for (const code of ["0f1008", "0f1108", "f30f6f08", "f30f7f08", "f20ff008", "f30f5808", "0f1608"]) {
      assert.equal(run(machine, code, 0x2001), undefined, code);
    }
  });

  test("128 bits across a page", () => {
    const machine = machineIn();
    machine.slots.set([0x1122334455667788n, 0x99aabbccddeeff00n], SLOT_XMM / 8 + 2);
    assert.equal(run(machine, "0f1108", CROSSING), undefined);
    assert.equal(machine.readBytes(CROSSING, 16), 0x99aabbccddeeff001122334455667788n);
    machine.slots.fill(0n, SLOT_XMM / 8 + 2, SLOT_XMM / 8 + 4);
    assert.equal(run(machine, "0f1008", CROSSING + 3), undefined);
    assert.equal(machine.slots[SLOT_XMM / 8 + 2], 0xeeff001122334455n);
  });

  test("CR0.EM, CR0.TS and CR4.OSFXSR", () => {
    const plain = userMode(64);
    for (const [code, mmx] of [
      ["0f58ca", false],
      ["0f28ca", false],
      ["0fae10", false],
      ["0ffcca", true],
      ["0f77", true],
    ] as const) {
      assert.equal(run(machineIn(plain), code), mmx ? undefined : 6, code);
      assert.equal(run(machineIn(USER | MODE_FPU_EM), code), 6, code);
      assert.equal(run(machineIn(USER | MODE_FPU_TS), code), 7, code);
      assert.equal(run(machineIn(USER | MODE_FPU_EM | MODE_FPU_TS), code), 6, code);
    }
    // Neither fences nor hints belong to the unit.
    for (const code of ["0faef8", "0faee8", "0faef0", "0f1808", "0fae38", "f390", "0fc308"]) {
      assert.equal(run(machineIn(plain | MODE_FPU_EM | MODE_FPU_TS), code), undefined, code);
    }
  });

  test("LDMXCSR refuses bits that do not exist", () => {
    const machine = machineIn();
    machine.writeBytes(0x2000, 4, 0x11f80n);
    assert.equal(run(machine, "0fae10"), 13);
    assert.equal(machine.slots[SLOT_MXCSR / 8], 0x1f80n);
    machine.writeBytes(0x2000, 4, 0xffffn);
    assert.equal(run(machine, "0fae10"), undefined);
    assert.equal(machine.slots[SLOT_MXCSR / 8], 0xffffn);
    assert.equal(run(machine, "0fae18", 0x2010), undefined);
    assert.equal(machine.readBytes(0x2010, 4), 0xffffn);
  });
});
