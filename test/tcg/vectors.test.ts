/** The vector ops that the interpreter carries out in line against the helper that defines them, and that they are carried out in line on ordinary operands. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { FpuState } from "../../src/cpu/fpu/state";
import { Helper } from "../../src/cpu/helperIds";
import { operationNumber } from "../../src/cpu/simd/operations";
import { SimdUnit } from "../../src/cpu/simd/unit";
import { interpreterImports } from "../../src/tcg/backend/imports";
import { defaultJitOptions, Jit } from "../../src/tcg/backend/jit";
import { OpBuilder } from "../../src/tcg/builder";
import { type Block, CodeCache } from "../../src/tcg/codeCache";
import { assembleInterpreter, ENTER_BLOCK, type EngineHost, type RunFunction } from "../../src/tcg/interpreter/interpreter";
import { BLOCK_FUNCTION, SLOT_CC_AUX, SLOT_MXCSR, SLOT_XMM, slotOfTemp, slotOfXmm, WORD_BUDGET } from "../../src/tcg/layout";
import { EngineMemory } from "../../src/tcg/memory";
import { EXIT_FAULT } from "../../src/tcg/ops";
import { vectorNames, type VectorName } from "../../src/tcg/vector/names";

const memory = new EngineMemory({ cpus: 1, ram: 4096, codeArena: 1 << 16 });
const cpu = memory.stateOf(0);
const slots = new BigUint64Array(memory.memory.buffer, cpu, 128);
const unit = new SimdUnit({ slots, fpu: new FpuState(), arithmeticFault: () => undefined });
let calls = 0;
const host: EngineHost = {
  helper: (_id, a, b, lo, hi) => {
    calls++;
    return unit.run(a, b, lo, hi);
  },
  load: () => 1,
  store: () => 1,
  returned: () => 0,
  segment: () => 1,
  fault: () => 1,
  divide: () => 1,
};
const table = new WebAssembly.Table({ element: "anyfunc", initial: 4 });
const module = new WebAssembly.Module(assembleInterpreter());
const { exports } = new WebAssembly.Instance(module, { env: { memory: memory.memory, table, ...host } });
const emitted = exports["run"] as RunFunction;
const code = new CodeCache(
  memory,
  () => undefined,
  () => undefined,
  () => undefined,
);
const jit = new Jit(
  memory,
  code,
  table,
  {
    ...interpreterImports(exports),
    helper: (id, a, b, lo, hi) => host.helper(id, a, b, lo, hi),
    hostAddress: () => 0,
  },
  { ...defaultJitOptions, threshold: 1, batch: 1, patience: 1, maximumModules: 1e9 },
);
code.generated = jit;
let physical = 0x10_0000;

/** xorshift, seeded: the same inputs on every run. */
function generator(seed: number): () => bigint {
  let state = (BigInt(seed) * 0x9e37_79b9_7f4a_7c15n) | 1n;
  return () => {
    state ^= BigInt.asUintN(64, state << 13n);
    state ^= state >> 7n;
    state ^= BigInt.asUintN(64, state << 17n);
    return state;
  };
}

const view = new DataView(new ArrayBuffer(8));
function double(value: number): bigint {
  view.setFloat64(0, value);
  return view.getBigUint64(0);
}
function single(value: number): bigint {
  view.setFloat32(0, value);
  return BigInt(view.getUint32(0));
}
const edges = [
  ...[
    0,
    1,
    1.5,
    3,
    1e16,
    2 ** 31,
    2 ** 31 - 0.5,
    2 ** 62,
    2 ** 63,
    1e-300,
    1e300,
    2 ** -1022,
    2 ** -1023,
    5e-324,
    Infinity,
    NaN,
    1.7e308,
  ].map(double),
  0x7ff0_0000_0000_0001n,
  0x3ff0_0000_0000_0001n,
];
const edges32 = [
  ...[0, 1, 1.5, 3, 1e8, 2 ** 31, 2 ** 31 - 129, 2 ** 62, 2 ** -126, 2 ** -127, 2 ** -149, 2 ** -119, 3e38, Infinity, NaN].map(single),
  0x7f80_0001n,
  0x3f80_0001n,
];

type How = "emitted" | "generated" | "helper";

/** An instruction with the op alone, operands in XMM1 and in temporaries (which the instruction loads) or XMM2. */
function blockOf(name: VectorName, flags: number, fromTemps: boolean): Block {
  const builder = new OpBuilder();
  builder.instruction(0);
  const from = fromTemps ? slotOfTemp(2) : slotOfXmm(2);
  if (fromTemps) for (const half of [0, 8]) builder.emit("mov", from + half, slotOfXmm(2) + half);
  builder.emit(`v_${name}`, Helper.simd, slotOfXmm(1), from, flags * 2 ** 32 + operationNumber(name));
  builder.emit("exit");
  physical += 64;
  const block = code.add({ physical, rip: BigInt(physical), mode: 2, codeLimit: -1, secondPage: -1 }, builder, 4);
  jit.hot(block, cpu);
  return block;
}

function run(name: VectorName, flags: number, a: readonly bigint[], b: readonly bigint[], mxcsr: number, how: How, block?: Block): string {
  slots.fill(0n, 0, WORD_BUDGET / 8);
  slots.fill(0n, SLOT_XMM / 8);
  const [to, from] = [slotOfXmm(1), slotOfXmm(2)];
  slots.set(a, to / 8);
  slots.set(b, from / 8);
  slots[SLOT_MXCSR / 8] = BigInt(mxcsr);
  slots[SLOT_CC_AUX / 8] = 1n << 63n;
  let fault: boolean;
  if (how === "helper") fault = unit.run(to, from, operationNumber(name), flags) !== 0;
  else {
    const at = block ?? blockOf(name, flags, false);
    memory.view.setInt32(cpu + WORD_BUDGET, 100, true);
    if (how === "generated") {
      assert.notEqual(memory.u32[(at.header + BLOCK_FUNCTION) >>> 2], 0, "the block has no generated code");
      fault = emitted(cpu, at.entry, at.header, ENTER_BLOCK) === EXIT_FAULT;
    } else fault = emitted(cpu, at.entry, at.header, 1) === EXIT_FAULT;
  }
  const state = [...slots.slice(0, 19), slots[SLOT_MXCSR / 8], ...slots.slice(to / 8, to / 8 + 4)];
  return `${fault} ${state.map((word) => word.toString(16)).join(" ")}`;
}

describe("vector ops in line", () => {
  for (const name of vectorNames) {
    test(name, () => {
      const next = generator(operationNumber(name) + 1);
      const is32 = /(ss|ps)$|^cvtt?ss|^cvtt?ps/.test(name) && !name.startsWith("cvtsd2");
      const pick = (): bigint => {
        const choice = next();
        const sign = (choice >> 40n) & 1n;
        if ((choice & 3n) === 0n) return next();
        if (is32) {
          const half = (at: bigint): bigint =>
            edges32[Number((choice >> at) % BigInt(edges32.length))] | (((choice >> (at + 3n)) & 1n) << 31n);
          // Ordinary numbers: exponents around that of 1.
          if ((choice & 3n) === 1n) return (next() & 0x83ff_ffff_83ff_ffffn) | 0x3c00_0000_3c00_0000n;
          return (half(9n) << 32n) | half(20n);
        }
        if ((choice & 3n) === 1n) return (next() & 0x803f_ffff_ffff_ffffn) | 0x3fc0_0000_0000_0000n;
        if ((choice & 3n) === 2n) return edges[Number((choice >> 9n) % BigInt(edges.length))] | (sign << 63n);
        return (choice >> 10n) % 80n;
      };
      const wides = /^cvt(si2|t?s[sd]2si)/.test(name) ? [0, 0x100] : [0];
      const immediates = name.startsWith("cmp")
        ? [0, 1, 2, 3, 4, 5, 6, 7]
        : /^(shuf|pshuf)/.test(name)
          ? [0, 0x1b, 0xe4, 0x4e, 0xb1, 0xd2]
          : [0];
      const blocks = wides
        .flatMap((wide) => immediates.map((immediate) => wide | immediate))
        .flatMap((flags) => [true, false].map((fromTemps) => ({ flags, block: blockOf(name, flags, fromTemps) })));
      calls = 0;
      for (let i = 0; i < 600; i++) {
        const a = [pick(), pick()];
        const b = [pick(), pick()];
        // Mostly the default with PE set, and DE and UE; else without it, other roundings, DAZ, FTZ, exceptions that are not masked.
        const choice = next();
        const mxcsr =
          i % 3 === 1
            ? 0x1fa0
            : i % 3 === 2
              ? 0x1fb2
              : [0x1f80, 0x3fa0, 0x9fa0, 0x1fe0, 0x1fbf, Number(choice & 0xffffn)][Number((choice >> 20n) % 6n)];
        const { flags, block } = blocks[i % blocks.length];
        const described = `${name} ${a.map((v) => v.toString(16)).join()} ${b.map((v) => v.toString(16)).join()} mxcsr ${mxcsr.toString(16)} ${flags}`;
        const expected = run(name, flags, a, b, mxcsr, "helper");
        assert.equal(run(name, flags, a, b, mxcsr, "emitted", block), expected, described);
        const before = calls;
        assert.equal(run(name, flags, a, b, mxcsr, "generated", block), expected, `generated: ${described}`);
        calls = before;
      }
      assert.ok(calls < 595, `the helper was called ${calls} times of 600`);
    });
  }

  test("ordinary numbers never reach the helper", () => {
    calls = 0;
    for (const format of ["ps", "pd", "ss", "sd"] as const) {
      const value = (x: number): bigint[] => {
        const word =
          format.startsWith("p") || format.startsWith("s") ? (format.endsWith("d") ? double(x) : (single(x) << 32n) | single(x)) : 0n;
        return [word, word];
      };
      for (const op of ["add", "sub", "mul", "div", "sqrt", "min", "max", "cmp"] as const)
        run(`${op}${format}`, 1, value(3), value(0.7), 0x1fa0, "emitted");
      for (const op of ["add", "sub", "mul"] as const) run(`${op}${format}`, 0, value(0), value(-0.7), 0x1fa0, "emitted");
    }
    assert.equal(calls, 0);
  });
});
