/** What a CPU model lacks: absent in CPUID, its instructions #UD, its bits of control registers and its MSRs #GP. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type FeatureName, features } from "../../../src/cpu/features";
import { DECODE_OK, DECODE_UNDEFINED, Decoder } from "../../../src/cpu/decode/decoder";
import { MODE_64, MODE_FLAT, MODE_LONG, MODE_PROTECTED } from "../../../src/cpu/mode";
import type { CpuState } from "../../../src/cpu/state";
import { type CpuidResult, CpuModel } from "../../../src/cpu/system/cpuModel";
import { arrange } from "../../../src/cpu/topology";
import { codeOf } from "../decode/icedCompare";
import { parseCpuModel } from "../../../src/cpu/models";
import type { Assembler } from "../../machine/assembler";
import { DATA, testGuest, type TestGuest } from "../../machine/testGuest";

/** Runs `write`, whose first exception ends the run; returns the vectors delivered. */
function outcome(cpuModel: string, write: (a: Assembler) => unknown): number[] {
  const guest = testGuest(
    (a) => {
      write(a.label("cpu0").mov("rax", DATA).mov("rcx", 0).mov("rdx", 0));
      a.exit();
      for (const vector of [6, 13]) a.label(`vector${vector}`).exit();
    },
    { cpuModel },
  );
  guest.finish();
  return guest.deliveries.map(({ vector }) => vector);
}

/** CPUID of the CPU of such a machine, without one. */
function cpuid(cpuModel: string, leaf: number, subleaf = 0): CpuidResult {
  const model = new CpuModel(parseCpuModel(cpuModel, "cpuModel"), arrange(1, {}, "cpuModel"));
  const state = { index: 0, cr4: 0, xcr0: 1, code64: true } as CpuState;
  return model.cpuid(leaf, subleaf, state, { enabled: true, x2apic: false });
}

/** How a CPU decodes an instruction of 64-bit code. */
function decode(cpuModel: string, code: readonly number[]): number {
  const mode = MODE_PROTECTED | MODE_64 | MODE_LONG | MODE_FLAT;
  const bytes = Uint8Array.from(code);
  const decoder = new Decoder(parseCpuModel(cpuModel, "cpuModel").features);
  const status = decoder.decode(codeOf(bytes), 0, mode, 100);
  // Instructions of units that the CPU does not have are decoded for their length only.
  return decoder.row.mnemonic === "simd" ? DECODE_UNDEFINED : status;
}

const hex = (text: string): number[] => [...Buffer.from(text.replaceAll(" ", ""), "hex")];

/** An instruction of each feature that has any, with RAX an address. */
const instructions: Partial<Record<FeatureName, string>> = {
  sse3: "f2 0f f0 00",
  ssse3: "66 0f 38 00 00",
  "sse4.1": "66 0f 38 17 00",
  "sse4.2": "f2 0f 38 f1 c8",
  aes: "66 0f 38 dc c8",
  pclmulqdq: "66 0f 3a 44 c8 00",
  sha: "0f 38 c8 c8",
  avx: "c5 f8 28 c8",
  avx2: "c5 fd fc c8",
  fma: "c4 e2 71 98 c2",
  f16c: "c4 e2 79 13 c8",
  vaes: "c4 e2 7d dc c8",
  vpclmulqdq: "c4 e3 7d 44 c8 00",
  movbe: "0f 38 f0 08",
  popcnt: "f3 0f b8 c8",
  rdrand: "0f c7 f1",
  rdseed: "48 0f c7 f9",
  bmi1: "c4 e2 78 f2 c8",
  bmi2: "c4 e3 7b f0 c8 03",
  adx: "66 0f 38 f6 c8",
  smap: "0f 01 ca",
  clflushopt: "66 0f ae 38",
  clwb: "66 0f ae 30",
  rdpid: "f3 0f c7 f9",
  rdtscp: "0f 01 f9",
  lahf: "9f",
  cx16: "48 0f c7 08",
  monitor: "0f 01 c8",
  xsave: "0f ae 20",
  xsaveopt: "0f ae 30",
  xsavec: "0f c7 20",
  xsaves: "0f c7 28",
};

describe("features that a model has or lacks", () => {
  for (const { name, at, bit, base } of features) {
    if (base === true) continue;
    test(name, () => {
      const bitOf = (cpuModel: string): number => (cpuid(cpuModel, at[0], at[1])[at[2]] >>> bit) & 1;
      assert.deepEqual([bitOf(`max,-${name}`), bitOf(`max,+${name}`)], [0, 1]);
      const code = instructions[name];
      if (code === undefined) return;
      assert.equal(decode(`max,-${name}`, hex(code)), DECODE_UNDEFINED);
      assert.equal(decode(`max,+${name}`, hex(code)), DECODE_OK);
    });
  }

  test("the instruction of one that it lacks is #UD", () => {
    const movbe = (a: Assembler): unknown => a.bytes(...hex(instructions.movbe ?? ""));
    assert.deepEqual(outcome("max,-movbe", movbe), [6]);
    assert.deepEqual(outcome("max", movbe), []);
  });

  test("LZCNT and TZCNT are BSR and BSF where they do not exist", () => {
    const result = (cpuModel: string): number[] => {
      const guest = testGuest(
        (a) =>
          a
            .label("cpu0")
            .mov("rax", 0x100)
            .bytes(0xf3, 0x48, 0x0f, 0xbd, 0xc8)
            .store(DATA, "rcx")
            .mov("rax", 0)
            .mov("rcx", 7)
            .bytes(0xf3, 0x48, 0x0f, 0xbc, 0xc8)
            .store(DATA + 8, "rcx")
            .exit(),
        { cpuModel },
      );
      guest.finish();
      return [guest.read32(DATA), guest.read32(DATA + 8)];
    };
    assert.deepEqual(result("max"), [55, 64]);
    assert.deepEqual(result("max,-lzcnt,-bmi1"), [8, 7]);
  });
});

describe("bits that a model lacks are reserved", () => {
  const writeCr4 = (bits: number) => (a: Assembler) => a.bytes(0x0f, 0x20, 0xe0).bytes(0x48, 0x0d).dword(bits).bytes(0x0f, 0x22, 0xe0);
  for (const { name, cr4, base } of features) {
    if (cr4 === undefined || base === true) continue;
    test(`CR4 of ${name}`, () => {
      assert.deepEqual(outcome(`max,-${name}`, writeCr4(cr4)), [13]);
      // The number of paging levels cannot change in long mode.
      if (name !== "la57") assert.deepEqual(outcome(`max,+${name}`, writeCr4(cr4)), []);
    });
  }

  const writeMsr = (index: number, low: number) => (a: Assembler) => a.mov("rcx", index).mov("rax", low).mov("rdx", 0).bytes(0x0f, 0x30);
  for (const [what, removed, index, low] of [
    ["EFER.NXE", "nx", 0xc000_0080, 0xd01],
    ["IA32_TSC_ADJUST", "tsc-adjust", 0x3b, 5],
    ["IA32_TSC_AUX", "rdtscp,-rdpid", 0xc000_0103, 5],
    ["IA32_TSC_DEADLINE", "tsc-deadline", 0x6e0, 0],
    ["IA32_APIC_BASE.EXTD", "x2apic", 0x1b, 0xfee0_0d00],
  ] as const) {
    test(what, () => {
      assert.deepEqual(outcome(`max,-${removed}`, writeMsr(index, low)), [13]);
      assert.deepEqual(outcome("max", writeMsr(index, low)), []);
    });
  }
});

describe("CPUID of a topology", () => {
  const guest = (cpuModel: string) => testGuest((a) => a.label("cpu0").exit(), { cpus: 12, cpuModel });
  const of = (machine: TestGuest, cpu: number, leaf: number, subleaf = 0) => {
    const { state, system } = machine.machine.cpus[cpu];
    return system.model.cpuid(leaf, subleaf, state, { enabled: true, x2apic: false });
  };

  test("Intel: leaves 1, 4, 0xB and 0x1F agree with the APIC ids", () => {
    const machine = guest("max,sockets=2,threads=2");
    machine.machine.cpus.forEach((cpu, index) => {
      const id = cpu.apicId;
      assert.equal(of(machine, index, 1).ebx >>> 24, id);
      assert.equal((of(machine, index, 1).ebx >>> 16) & 0xff, 8);
      assert.equal((of(machine, index, 1).edx >>> 28) & 1, 1);
      for (const leaf of [0xb, 0x1f]) {
        const [thread, core, end] = [0, 1, 2].map((subleaf) => of(machine, index, leaf, subleaf));
        assert.deepEqual([thread.eax, thread.ebx, thread.ecx, thread.edx], [1, 2, 0x100, id]);
        assert.deepEqual([core.eax, core.ebx, core.ecx, core.edx], [3, 6, 0x201, id]);
        assert.deepEqual([end.ebx, end.ecx], [0, 2]);
      }
      const cache = of(machine, index, 4).eax;
      assert.equal((cache >>> 14) & 0xfff, 1);
      assert.equal(cache >>> 26, 3);
    });
    assert.deepEqual(
      machine.machine.cpus.map(({ apicId }) => apicId >> 3),
      [0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1],
    );
    assert.equal(of(machine, 0, 0x8000_0000).eax, 0x8000_0008);
    assert.deepEqual(of(machine, 0, 0x8000_001e), of(machine, 0, 0x1f));
  });

  test("AMD: leaves 0x80000008, 0x8000001D and 0x8000001E", () => {
    const machine = guest("max,vendor=amd,sockets=2,threads=2");
    machine.machine.cpus.forEach((cpu, index) => {
      assert.equal(of(machine, index, 0x8000_0008).ecx, (3 << 12) | 5);
      const { eax, ebx, ecx } = of(machine, index, 0x8000_001e);
      assert.deepEqual([eax, ebx, ecx], [cpu.apicId, (Math.floor(index / 2) % 3) | (1 << 8), index < 6 ? 0 : 1]);
      assert.equal((of(machine, index, 0x8000_001d).eax >>> 14) & 0xfff, 1);
    });
    const { ebx, edx, ecx } = of(machine, 0, 0);
    assert.equal(Buffer.from(new Uint32Array([ebx, edx, ecx]).buffer).toString(), "AuthenticAMD");
    assert.deepEqual(of(machine, 0, 4), { eax: 0, ebx: 0, ecx: 0, edx: 0 });
    assert.equal(of(machine, 0, 0x8000_0001).edx & 0x1, 1, "feature bits of leaf 1 are repeated");
  });

  test("a CPU alone has no threads to count", () => {
    const machine = testGuest((a) => a.label("cpu0").exit());
    assert.equal((of(machine, 0, 1).edx >>> 28) & 1, 0);
    assert.equal((of(machine, 0, 1).ebx >>> 16) & 0xff, 1);
  });
});

describe("random numbers", () => {
  const draw = (seed: number): number[] => {
    const guest = testGuest(
      (a) => {
        a.label("cpu0");
        for (let i = 0; i < 4; i++) a.bytes(0x48, 0x0f, 0xc7, 0xf0).store(DATA + 8 * i, "rax");
        a.exit();
      },
      { seed },
    );
    guest.finish();
    return [0, 4, 8, 12, 16, 20, 24, 28].map((at) => guest.read32(DATA + at));
  };

  test("are those of the seed, differ and set CF", () => {
    const first = draw(1);
    assert.deepEqual(draw(1), first);
    assert.notDeepEqual(draw(2), first);
    assert.equal(new Set(first).size, 8);
    assert.ok(parseCpuModel("max", "cpuModel").features.rdrand);
  });
});

describe("AMD's performance counter registers", () => {
  const access = (cpuModel: string): TestGuest =>
    testGuest(
      (a) => {
        // A counter of 48 bits: all ones written, read back.
        a.label("cpu0").mov("rcx", 0xc001_0004).mov("rax", 0xffff_ffff).mov("rdx", 0xffff_ffff).bytes(0x0f, 0x30).bytes(0x0f, 0x32);
        a.store(DATA, "rdx").exit();
        a.label("vector13").exit(1);
      },
      { cpuModel },
    );

  test("are there on AMD's processors", () => {
    const guest = access("max,vendor=amd");
    guest.finish();
    assert.equal(guest.read32(DATA), 0xffff);
  });

  test("and on no other", () => assert.deepEqual(access("max").run(1000), { kind: "exit", status: 3 }));
});
