/** The x87 unit as guests reach it: through the front end, guest memory and the processor's exceptions. */
import { describe, test } from "node:test";
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { encodeState } from "../../../src/common/state";
import { FpuState } from "../../../src/cpu/fpu/state";
import type { Assembler } from "../../machine/assembler";
import { CODE, DATA, pageEntry, PT, testGuest, type TestGuest } from "../../machine/testGuest";
import { type Case, cases } from "./cases";
import { type Outcome, OutcomeReader, stateImage } from "./outcome";

const IMAGES = 0x20_0000;
const STRIDE = 512;
/** An instruction with an absolute address as its operand. */
const at = (a: Assembler, opcode: number, reg: number, address: number): Assembler => a.bytes(opcode, (reg << 3) | 4, 0x25).dword(address);
const fnstsw = (a: Assembler, address: number): Assembler => at(a, 0xdd, 7, address);
const fldcw = (a: Assembler, value: number): Assembler => at(a.storeImmediate(DATA + 0x100, value), 0xd9, 5, DATA + 0x100);
const FNINIT = [0xdb, 0xe3];
const FLD1 = [0xd9, 0xe8];
const FLDZ = [0xd9, 0xee];
const WAIT = 0x9b;

describe("recorded cases through the front end", () => {
  const all: { c: Case; wanted: Outcome }[] = [];
  const reader = new OutcomeReader(gunzipSync(readFileSync(join("test", "cpu", "fpu", "data", "x87.bin.gz"))));
  let n = 0;
  for (const c of cases()) {
    const wanted = reader.next(c);
    if (n++ % 61 === 0 && !c.form.transcendental && !/^fu?comip?$/.test(c.form.name)) all.push({ c, wanted });
  }

  test(`${all.length} of them`, () => {
    const guest = testGuest((a) => {
      a.label("cpu0");
      all.forEach(({ c }, i) => {
        const base = IMAGES + i * STRIDE;
        at(a, 0xdd, 4, base); // frstor
        a.push(c.rflags & ~0x200)
          .popf()
          .mov("rsi", base + 112)
          .mov("rax", 0);
        a.push(c.rflags & ~0x200)
          .popf()
          .bytes(...c.form.code)
          .pushf();
        at(a, 0xdd, 6, base + 256); // fnsave
        a.store(base + 384, "rax")
          .bytes(0x58)
          .store(base + 392, "rax");
      });
      a.exit();
    });
    all.forEach(({ c }, i) => {
      guest.machine.memory.write(IMAGES + i * STRIDE, stateImage(c));
      guest.machine.memory.write(IMAGES + i * STRIDE + 112, c.memory);
    });
    guest.finish();
    all.forEach(({ c, wanted }, i) => {
      const base = IMAGES + i * STRIDE;
      const image = new DataView(guest.machine.memory.read(base + 256, 108).buffer);
      const name = `${c.form.name} number ${i}`;
      assert.equal(image.getUint16(0, true), wanted.control, name);
      assert.equal(image.getUint16(4, true), wanted.status, name);
      assert.equal(image.getUint16(8, true), wanted.tags, name);
      assert.deepEqual(guest.machine.memory.read(base + 112, 16), wanted.memory, name);
      assert.equal(guest.read32(base + 384) & 0xffff, wanted.ax, name);
      assert.equal(guest.read32(base + 392) & 0x8d5, wanted.flags, name);
      wanted.registers.forEach((value, physical) => {
        const offset = 28 + ((physical - (wanted.status >> 11)) & 7) * 10;
        assert.equal(image.getBigUint64(offset, true), value.m, name);
        assert.equal(image.getUint16(offset + 8, true), value.se, name);
      });
    });
  });
});

/** Runs `write`; returns what was delivered, as vector and label. */
function faults(write: (a: Assembler) => void, cr0: number): { guest: TestGuest; delivered: string[] } {
  const guest = testGuest((a) => {
    write(a.label("cpu0"));
    a.exit();
    // Every fault ends the program.
    for (const vector of [7, 16]) a.label(`vector${vector}`).exit();
  });
  const vcpu = guest.machine.cpus[0];
  vcpu.state.cr0 = cr0;
  vcpu.changed();
  guest.finish();
  const names = ["here"].filter((name) => guest.code.has(name));
  return {
    guest,
    delivered: guest.deliveries.map(({ vector, rip }) => `${vector} ${names.find((name) => guest.code.at(name) === rip) ?? "elsewhere"}`),
  };
}

const CR0 = 0x8001_0033;
const MP = 2;
const EM = 4;
const TS = 8;
const NE = 0x20;

describe("availability", () => {
  test("TS and EM keep x87 instructions and FXSAVE away", () => {
    for (const bit of [TS, EM]) {
      assert.deepEqual(faults((a) => a.label("here").bytes(...FLD1), CR0 | bit).delivered, ["7 here"]);
      assert.deepEqual(faults((a) => a.label("here").bytes(0x0f, 0xae, 0x04, 0x25).dword(DATA), CR0 | bit).delivered, ["7 here"]);
    }
  });

  test("WAIT asks for TS and MP together", () => {
    assert.deepEqual(faults((a) => a.label("here").bytes(WAIT), CR0 | TS | MP).delivered, ["7 here"]);
    assert.deepEqual(faults((a) => a.label("here").bytes(WAIT), (CR0 | TS) & ~MP).delivered, []);
    assert.deepEqual(faults((a) => a.label("here").bytes(WAIT), CR0 | EM).delivered, []);
  });
});

describe("#MF", () => {
  /** 1 / 0 with division by zero unmasked. */
  const divide = (a: Assembler): Assembler => fldcw(a.bytes(...FNINIT), 0x37b).bytes(...FLD1, ...FLDZ, 0xd8, 0xf9);
  const divideReversed = (a: Assembler): Assembler => fldcw(a.bytes(...FNINIT), 0x37b).bytes(...FLD1, ...FLDZ, 0xd8, 0xf1);

  test("comes with the next waiting instruction, not with others", () => {
    const { guest, delivered } = faults((a) => fnstsw(divide(a), DATA).label("here").bytes(WAIT), CR0 | NE);
    assert.deepEqual(delivered, ["16 here"]);
    assert.equal(guest.read32(DATA) & 0xffff, 0xb084, "ZE, ES, B; nothing popped or replaced");
    assert.deepEqual(
      faults(
        (a) =>
          divide(a)
            .label("here")
            .bytes(...FLD1),
        CR0 | NE,
      ).delivered,
      ["16 here"],
    );
    assert.deepEqual(faults((a) => divide(a).bytes(0xdb, 0xe2, WAIT), CR0 | NE).delivered, [], "FNCLEX forgets it");
    assert.deepEqual(faults((a) => divideReversed(a).bytes(WAIT), CR0 | NE).delivered, [], "0 / 1 is no error");
  });

  test("a mask lifted later reports what was recorded before", () => {
    const write = (a: Assembler): void => {
      fldcw(a.bytes(...FNINIT, ...FLD1, ...FLDZ, 0xd8, 0xf9), 0x37b)
        .label("here")
        .bytes(WAIT);
    };
    assert.deepEqual(faults(write, CR0 | NE).delivered, ["16 here"]);
  });

  test("without CR0.NE the instruction goes on", () => {
    assert.deepEqual(faults((a) => divide(a).bytes(WAIT), CR0 & ~NE).delivered, []);
  });

  test("pointers name the instruction and its operand, and the opcode of the unmasked exception", () => {
    const { guest } = faults((a) => {
      fldcw(a.bytes(...FNINIT), 0x37b)
        .bytes(...FLD1)
        .label("here");
      at(a, 0xd8, 6, DATA + 0x40); // fdiv dword [DATA + 0x40], which is zero
      at(a, 0xd9, 6, DATA); // fnstenv
    }, CR0 | NE);
    assert.equal(guest.read32(DATA + 12), Number(guest.code.at("here")));
    assert.equal(guest.read32(DATA + 16), 8 | (0x034 << 16));
    assert.equal(guest.read32(DATA + 20), DATA + 0x40);
    assert.equal(guest.read32(DATA + 24), 0xffff_0010);
  });
});

describe("memory", () => {
  test("a store that faults at its second page changes nothing", () => {
    const page = 0x20;
    const guest = testGuest((a) => {
      a.label("cpu0").bytes(...FNINIT, ...FLD1);
      at(a, 0xdb, 7, page * 4096 - 4); // fstp m80
      a.label("after").exit(1).label("vector14");
      fnstsw(a, DATA).exit();
    });
    guest.machine.memory.write(PT + page * 8, Uint8Array.of(...new Uint8Array(8)));
    assert.ok(CODE < (page - 1) * 4096 && pageEntry(page) > 0);
    guest.finish();
    assert.deepEqual(
      guest.deliveries.map(({ vector }) => vector),
      [14],
    );
    assert.equal(guest.read32(DATA) & 0xffff, 0x3800, "ST(0) is still there");
    assert.equal(guest.read32(page * 4096 - 4), 0);
  });

  test("FXSAVE and FXRSTOR carry the whole unit; misaligned areas are refused", () => {
    const guest = testGuest((a) => {
      fldcw(a.label("cpu0").bytes(...FNINIT), 0x27f).bytes(...FLD1, ...FLDZ, 0xd9, 0xeb);
      a.bytes(0x48, 0x0f, 0xae, 0x04, 0x25)
        .dword(DATA + 0x200)
        .bytes(...FNINIT);
      a.bytes(0x48, 0x0f, 0xae, 0x0c, 0x25).dword(DATA + 0x200);
      at(a, 0xdb, 7, DATA); // fstp m80: pi
      a.label("odd")
        .bytes(0x0f, 0xae, 0x04, 0x25)
        .dword(DATA + 0x208);
      a.label("vector13").exit();
    });
    guest.finish();
    assert.deepEqual(
      guest.deliveries.map(({ vector, rip }) => [vector, rip]),
      [[13, guest.code.at("odd")]],
    );
    assert.deepEqual([guest.read32(DATA + 0x200), guest.read32(DATA + 0x204) & 0xff], [0x2800_027f, 0xe0]);
    assert.deepEqual([guest.read32(DATA), guest.read32(DATA + 4), guest.read32(DATA + 8) & 0xffff], [0x2168c235, 0xc90fdaa2, 0x4000]);
    assert.equal(guest.machine.cpus[0].state.fpu.control, 0x27f);
  });
});

test("the unit's state survives save and restore", () => {
  const before = new FpuState();
  before.control = 0xf7b;
  before.status = 0x7a45;
  before.occupied = 0x5a;
  before.opcode = 0x123;
  before.instructionOffset = 0xffff_8000_1234_5678n;
  before.operandSelector = 0x23;
  for (let i = 0; i < 8; i++) before.setPhysical(i, { se: i * 0x1111, m: BigInt(i) << 61n });
  const after = new FpuState();
  after.restore(before.save());
  const bytes = (state: FpuState): number[] => {
    const all: number[] = [];
    encodeState(state.save(), (part) => all.push(...part));
    return all;
  };
  assert.deepEqual(bytes(after), bytes(before));
  assert.equal(after.tags, before.tags);
});
