/** The XSAVE instructions: as a processor executed them, and the faults and registers that user code does not see. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { CR0_TS, CR4_OSXSAVE, CR4_PKE } from "../../../src/cpu/registerBits";
import { SLOT_XMM, VECTOR_UPPER } from "../../../src/tcg/layout";
import type { Assembler } from "../../machine/assembler";
import { MIB } from "../../machine/runGuest";
import { DATA, pageEntry, PT, testGuest, type TestGuest } from "../../machine/testGuest";
import { AREA_BYTES, AT, STATE_BYTES, xsaveCases } from "./cases";

const CASES = 0x20_0000;
/** Opcode and reg field. */
const operations = {
  xsave: [0xae, 4],
  xrstor: [0xae, 5],
  xsaveopt: [0xae, 6],
  xrstors: [0xc7, 3],
  xsavec: [0xc7, 4],
  xsaves: [0xc7, 5],
} as const;
type Name = keyof typeof operations;
const order: readonly Name[] = ["xsave", "xsaveopt", "xsavec"];

/** One of the instructions with an absolute address: nine bytes. */
function use(a: Assembler, name: Name, address: number, mask: number, wide = true): Assembler {
  const [opcode, reg] = operations[name];
  return a
    .mov("rax", mask)
    .mov("rdx", 0)
    .bytes(wide ? 0x48 : 0x40, 0x0f, opcode, (reg << 3) | 4, 0x25)
    .dword(address);
}

/** A guest whose system has enabled XSAVE, with every component. RSI becomes the vector of a fault, which skips nine bytes. */
function guestOf(write: (a: Assembler) => unknown, configure: (guest: TestGuest) => void = () => undefined, cpuModel = "max"): TestGuest {
  const guest = testGuest(
    (a) => {
      write(a.label("cpu0"));
      a.exit();
      for (const [vector, hasError] of [
        [6, false],
        [7, false],
        [13, true],
        [14, true],
      ] as const) {
        a.label(`vector${vector}`).mov("rsi", vector);
        if (hasError) a.bytes(0x48, 0x83, 0xc4, 0x08);
        a.bytes(0x48, 0x83, 0x04, 0x24, 0x09).iretq();
      }
    },
    { memory: 16 * MIB, cpuModel },
  );
  const [cpu] = guest.machine.cpus;
  cpu.state.cr4 |= CR4_OSXSAVE;
  cpu.state.xcr0 = 7;
  configure(guest);
  cpu.changed();
  return guest;
}

/** Runs instructions and returns the vectors delivered. */
function vectors(write: (a: Assembler) => unknown, configure?: (guest: TestGuest) => void, cpuModel?: string): number[] {
  const guest = guestOf(write, configure, cpuModel);
  guest.finish();
  return guest.deliveries.map(({ vector }) => vector);
}

describe("XRSTOR, XSAVE, XSAVEOPT and XSAVEC as the processor executed them", () => {
  test("recorded cases", () => {
    const cases = [...xsaveCases()];
    const changes = gunzipSync(readFileSync(join(import.meta.dirname, "data", "xsave.bin.gz")));
    const bytes = AREA_BYTES + 1;
    assert.equal(changes.length, cases.length * bytes);
    const guest = guestOf((a) => {
      cases.forEach((state, i) => {
        const view = new DataView(state.buffer);
        const base = CASES + i * STATE_BYTES;
        const wide = view.getUint8(AT.wide);
        a.mov("rsi", 0);
        use(a, "xrstor", base + AT.first, 7);
        use(a, "xrstor", base + AT.second, view.getUint8(AT.restoreMask), (wide & 1) !== 0);
        use(a, order[view.getUint8(AT.kind)], base + AT.target, view.getUint8(AT.saveMask), (wide & 2) !== 0);
        a.store(base + AT.trap, "rsi");
      });
    });
    cases.forEach((state, i) => {
      guest.machine.memory.write(CASES + i * STATE_BYTES, state);
    });
    guest.finish();
    let refused = 0;
    const failures: string[] = [];
    cases.forEach((state, i) => {
      const after = guest.machine.memory.read(CASES + i * STATE_BYTES, STATE_BYTES);
      const expected = changes.subarray(i * bytes, (i + 1) * bytes).map((byte, at) => byte ^ (at < AREA_BYTES ? state[AT.target + at] : 0));
      if (expected[AREA_BYTES] !== 0) refused++;
      // MXCSR_MASK of AMD's processors has their bit 17.
      after[AT.target + 30] &= ~2;
      expected[30] &= ~2;
      // They save the pointers of the x87 unit (FOP, FIP, FDP) only when an exception waits.
      if ((expected[2] & 0x80) === 0) for (const area of [after.subarray(AT.target), expected]) area.fill(0, 6, 24);
      assert.equal(after[AT.trap], expected[AREA_BYTES], `case ${i}: the vector`);
      for (let at = 0; at < AREA_BYTES; at += 8) {
        const [actual, wanted] = [after.subarray(AT.target), expected].map((from) =>
          Buffer.from(from.subarray(at, at + 8))
            .reverse()
            .toString("hex"),
        );
        if (actual === wanted) continue;
        const what = `${order[state[AT.kind]]} of ${state[AT.saveMask]} after XRSTOR of ${state[AT.restoreMask]}`;
        failures.push(`case ${i}: ${what}, byte ${at}: ${actual} instead of ${wanted}`);
      }
    });
    assert.deepEqual(failures.slice(0, 20), [], `${failures.length} differ`);
    assert.ok(refused > 100, `${refused} refused`);
  });
});

describe("faults of the XSAVE instructions", () => {
  const all = Object.keys(operations) as Name[];

  test("#UD without CR4.OSXSAVE, #NM with CR0.TS, #GP for misaligned areas", () => {
    for (const name of all) {
      const one = (address: number) => (a: Assembler) => use(a, name, address, 7);
      assert.deepEqual(
        vectors(one(DATA), ({ machine }) => {
          machine.cpus[0].state.cr4 &= ~CR4_OSXSAVE;
          machine.cpus[0].state.cr0 |= CR0_TS;
        }),
        [6],
        name,
      );
      assert.deepEqual(
        vectors(one(DATA + 8), ({ machine }) => {
          machine.cpus[0].state.cr0 |= CR0_TS;
        }),
        [7],
        name,
      );
      assert.deepEqual(vectors(one(DATA + 32)), [13], name);
    }
  });

  test("a page that cannot be written leaves the area alone; one that cannot be read leaves the state alone", () => {
    const area = DATA + 0x1000 - 576;
    for (const name of ["xsave", "xsavec", "xsaveopt", "xsaves"] as const) {
      const guest = guestOf(
        (a) => use(a, name, area, 7),
        ({ machine }) => {
          const entry = new Uint8Array(8);
          new DataView(entry.buffer).setUint32(0, pageEntry((DATA >> 12) + 1, 0), true);
          machine.memory.write(PT + ((DATA >> 12) + 1) * 8, entry);
          machine.cpus[0].state.slots.fill(5n, (SLOT_XMM + VECTOR_UPPER) / 8, (SLOT_XMM + VECTOR_UPPER) / 8 + 32);
          machine.cpus[0].mmu.tlb.flush();
        },
      );
      guest.finish();
      assert.deepEqual(
        guest.deliveries.map(({ vector }) => vector),
        [14],
        name,
      );
      assert.ok(
        guest.machine.memory.read(area, 576).every((byte) => byte === 0),
        name,
      );
    }
  });

  test("XSETBV takes what the CPU has, x87 always, AVX only with SSE; XGETBV of 1 tells what is in use", () => {
    const setbv =
      (index: number, low: number, high = 0) =>
      (a: Assembler) =>
        a
          .mov("rcx", index)
          .mov("rax", low)
          .mov("rdx", high)
          // Nine bytes, as the handler skips.
          .bytes(0x0f, 0x01, 0xd1, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90);
    for (const [value, fault] of [
      [1, false],
      [3, false],
      [7, false],
      [0, true],
      [2, true],
      [5, true],
      [0x47, true],
    ] as const)
      assert.deepEqual(vectors(setbv(0, value)), fault ? [13] : [], String(value));
    assert.deepEqual(vectors(setbv(0, 7, 1)), [13]);
    assert.deepEqual(vectors(setbv(1, 7)), [13]);
    assert.deepEqual(vectors(setbv(0, 7), undefined, "max,-avx"), [13]);
    const guest = guestOf(
      (a) => a.mov("rcx", 1).bytes(0x0f, 0x01, 0xd0).store(DATA, "rax"),
      ({ machine }) => {
        machine.cpus[0].state.fpu.initialize();
        machine.cpus[0].state.slots[(SLOT_XMM + VECTOR_UPPER) / 8] = 1n;
      },
    );
    guest.finish();
    assert.equal(guest.read32(DATA), 4);
  });

  test("XSAVES and XRSTORS: the compacted format only, CPL 0 only; IA32_XSS has no bits", () => {
    const guest = guestOf(
      (a) => {
        use(a, "xsaves", DATA, 7);
        // VPXOR YMM1, YMM1, YMM1.
        a.bytes(0xc5, 0xf5, 0xef, 0xc9);
        use(a, "xrstors", DATA, 7);
        a.bytes(0xc5, 0xfe, 0x7f, 0x0c, 0x25).dword(DATA + 0x400);
      },
      ({ machine }) => {
        const { slots } = machine.cpus[0].state;
        slots.set([1n, 2n], (SLOT_XMM + 16) / 8);
        slots.set([3n, 4n], (SLOT_XMM + 16 + VECTOR_UPPER) / 8);
      },
    );
    guest.finish();
    assert.deepEqual(guest.deliveries, []);
    assert.deepEqual(
      [0, 8, 16, 24].map((at) => guest.read32(DATA + 0x400 + at)),
      [1, 2, 3, 4],
    );
    // An area of zeros is of the standard format.
    assert.deepEqual(
      vectors((a) => use(a, "xrstors", DATA, 7)),
      [13],
    );
    const write = (value: number) => (a: Assembler) =>
      a.mov("rcx", 0xda0).mov("rax", value).mov("rdx", 0).bytes(0x0f, 0x30, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90);
    assert.deepEqual(vectors(write(0)), []);
    assert.deepEqual(vectors(write(0x100)), [13]);
  });

  test("PKRU is component 9", () => {
    const guest = guestOf(
      (a) => {
        use(a, "xsavec", DATA, 0x200);
        // WRPKRU.
        a.mov("rax", 0x55).mov("rcx", 0).mov("rdx", 0).bytes(0x0f, 0x01, 0xef);
        use(a, "xsave", DATA + 0x1000, 0x200);
        use(a, "xrstor", DATA, 0x200);
      },
      ({ machine }) => {
        machine.cpus[0].state.cr4 |= CR4_PKE;
        machine.cpus[0].state.xcr0 = 0x207;
        machine.cpus[0].state.pkru = 0x30;
      },
    );
    guest.finish();
    assert.deepEqual(guest.deliveries, []);
    assert.deepEqual([guest.read32(DATA + 576), guest.read32(DATA + 0x1000 + 2688)], [0x30, 0x55]);
    assert.equal(guest.machine.cpus[0].state.pkru, 0x30);
  });

  test("CPUID leaf 0xD tells sizes and places", () => {
    const guest = guestOf((a) => a);
    const { state, system } = guest.machine.cpus[0];
    const leaf = (subleaf: number) => system.model.cpuid(0xd, subleaf, state, { enabled: true, x2apic: false });
    assert.deepEqual([leaf(0).eax & 7, leaf(0).ebx], [7, 832]);
    state.xcr0 = 3;
    assert.equal(leaf(0).ebx, 576);
    assert.equal(leaf(1).eax & 0xf, 0xf);
    assert.deepEqual(leaf(2), { eax: 256, ebx: 576, ecx: 0, edx: 0 });
    assert.deepEqual(leaf(9), { eax: 8, ebx: 2688, ecx: 0, edx: 0 });
  });
});
