/** Generated code against the reference interpreter: each op by itself, and random programs of ops. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { FpuState } from "../../src/cpu/fpu/state";
import { Helper } from "../../src/cpu/helperIds";
import { operationNumber } from "../../src/cpu/simd/operations";
import { SimdUnit } from "../../src/cpu/simd/unit";
import { jumpTable } from "../../src/tcg/backend/control";
import { opEmitters } from "../../src/tcg/backend/compilation";
import { interpreterImports } from "../../src/tcg/backend/imports";
import { defaultJitOptions, Jit } from "../../src/tcg/backend/jit";
import { operandUse } from "../../src/tcg/backend/operands";
import { structure } from "../../src/tcg/backend/structure";
import { OpBuilder } from "../../src/tcg/builder";
import { type Block, CodeCache } from "../../src/tcg/codeCache";
import { unpackFlags } from "../../src/tcg/flags";
import { assembleInterpreter, ENTER_BLOCK, type EngineHost, type RunFunction } from "../../src/tcg/interpreter/interpreter";
import {
  BLOCK_FUNCTION,
  BLOCK_TARGET,
  CPU_STATE_BYTES,
  SLOT_CC_AUX,
  SLOT_CC_RES,
  SLOT_RIP,
  SLOT_MXCSR,
  SLOT_SINK,
  SLOT_XMM,
  SLOT_ZERO,
  slotOfGpr,
  slotOfTemp,
  slotOfXmm,
  TLB_ADDEND,
  WORD_BLOCK,
  WORD_BUDGET,
  WORD_JUMP_CACHE,
  WORD_JUMP_FROM,
  WORD_OP,
  WORD_TLB,
} from "../../src/tcg/layout";
import { EngineMemory } from "../../src/tcg/memory";
import { conditions, EXIT_BUDGET, EXIT_FAULT, EXIT_HOT, EXIT_LEAVE, EXIT_LOOKUP, Op, type OpName, opNames } from "../../src/tcg/ops";
import { ReferenceInterpreter } from "../../src/tcg/reference";
import { type VectorName } from "../../src/tcg/vector/names";
import { generator } from "../machine/determinism";
import { divide } from "./divide";

const RAM = 8192;

/** One engine with both ways to run a block; the first page of RAM is mapped at linear 0, everything else faults. */
class Bench {
  readonly memory = new EngineMemory({ cpus: 1, ram: RAM, codeArena: 1 << 20 });
  readonly code = new CodeCache(
    this.memory,
    () => undefined,
    () => undefined,
    () => undefined,
  );
  readonly cpu = this.memory.stateOf(0);
  readonly slots = new BigUint64Array(this.memory.memory.buffer, this.cpu, CPU_STATE_BYTES / 8);
  readonly jit: Jit;
  private readonly run: RunFunction;
  private readonly reference: ReferenceInterpreter;
  private nextPhysical = 0x10_0000;

  constructor() {
    const { memory, cpu, slots } = this;
    const unit = new SimdUnit({ slots, fpu: new FpuState(), arithmeticFault: () => undefined });
    const host: EngineHost = {
      // A helper that changes everything that code might keep elsewhere.
      helper: (id, a, b, lo, hi) => {
        if (id === Helper.simd) return unit.run(a, b, lo, hi);
        for (let r = 0; r < 16; r++) this.slots[r] = BigInt.asUintN(64, this.slots[r] * 0x9e37_79b9_7f4a_7c15n + BigInt(lo + a + b));
        this.slots[SLOT_CC_RES / 8] = this.slots[3];
        this.slots[SLOT_CC_AUX / 8] = this.slots[5] & 0xc000_0000_0000_0008n;
        return 0;
      },
      load: () => 1,
      store: () => 1,
      returned: () => 0,
      segment: () => 1,
      fault: () => 1,
      divide: (op) => divide(memory, op),
    };
    const table = new WebAssembly.Table({ element: "anyfunc", initial: 4 });
    const module = new WebAssembly.Module(assembleInterpreter());
    const { exports } = new WebAssembly.Instance(module, { env: { memory: memory.memory, table, ...host } });
    this.run = exports["run"] as RunFunction;
    this.reference = new ReferenceInterpreter(memory, host);
    this.jit = new Jit(
      memory,
      this.code,
      table,
      {
        ...interpreterImports(exports),
        helper: (id, a, b, lo, hi) => host.helper(id, a, b, lo, hi),
        hostAddress: () => 0,
      },
      { ...defaultJitOptions, threshold: 1, batch: 1, patience: 1, maximumModules: 1e9 },
    );
    this.code.generated = this.jit;
    const { view } = memory;
    view.setInt32(cpu + WORD_TLB, cpu + CPU_STATE_BYTES, true);
    view.setInt32(cpu + WORD_JUMP_CACHE, cpu + CPU_STATE_BYTES + 65536, true);
    memory.u8.fill(0xff, cpu + CPU_STATE_BYTES, cpu + CPU_STATE_BYTES + 65536);
    const entry = cpu + CPU_STATE_BYTES;
    view.setBigUint64(entry, 0n, true);
    view.setBigUint64(entry + 8, 0n, true);
    view.setInt32(entry + TLB_ADDEND, memory.ramBase, true);
  }

  /** Makes a block of what `emit` emits; each instruction is to have been announced by `builder.instruction`. */
  block(emit: (builder: OpBuilder, rip: bigint) => void): Block {
    const builder = new OpBuilder();
    const physical = (this.nextPhysical += 64);
    const rip = BigInt(physical);
    emit(builder, rip);
    return this.code.add({ physical, rip, mode: 2, codeLimit: -1, secondPage: -1 }, builder, builder.instructionOps.length);
  }

  /** Runs from `block` on in generated code, where it has any. */
  enter(block: Block): number {
    return this.runGenerated(block);
  }

  private runGenerated(block: Block): number {
    let reason = this.run(this.cpu, block.entry, block.header, ENTER_BLOCK);
    const { view } = this.memory;
    while (reason === EXIT_HOT) {
      const header = view.getInt32(this.cpu + WORD_BLOCK, true);
      reason = this.run(this.cpu, view.getInt32(this.cpu + WORD_OP, true), header, this.code.at(header).count);
    }
    return reason;
  }

  /** What both engines make of `block` in the state that `prepare` sets, with `budget` instructions. */
  both(block: Block, budget: number, prepare: () => void): [string, string] {
    const outcome = (generated: boolean): string => {
      this.slots.fill(0n, 0, WORD_BUDGET / 8);
      this.memory.u8.fill(0, this.memory.ramBase, this.memory.ramBase + 4096);
      prepare();
      this.memory.view.setInt32(this.cpu + WORD_BUDGET, budget, true);
      const word = this.memory.u32[(block.header + BLOCK_FUNCTION) >>> 2];
      assert.notEqual(word, 0, "the block has no generated code");
      const reason = generated ? this.runGenerated(block) : this.reference.run(this.cpu, block.entry, block.header, block.count);
      // Where the instruction is left, the block and the op tell where it is.
      const rip = reason === EXIT_FAULT || reason === EXIT_BUDGET ? 0n : this.slots[SLOT_RIP / 8];
      const flags = unpackFlags(this.slots[SLOT_CC_RES / 8], this.slots[SLOT_CC_AUX / 8]);
      const left = this.memory.view.getInt32(this.cpu + WORD_BUDGET, true);
      const ram = Buffer.from(this.memory.u8.subarray(this.memory.ramBase, this.memory.ramBase + 4096)).toString("base64");
      return JSON.stringify([
        reason,
        left,
        this.slots.slice(0, 16).join(),
        this.slots.slice(SLOT_XMM / 8, SLOT_XMM / 8 + 8).join(),
        this.slots[SLOT_MXCSR / 8].toString(),
        rip.toString(),
        flags,
        ram.replace(/A{8,}/g, "~"),
      ]);
    };
    return [outcome(true), outcome(false)];
  }
}

const boundary = [
  0n,
  1n,
  2n,
  0x7fn,
  0x80n,
  0xffn,
  0x7fffn,
  0x8000n,
  0xffffn,
  0x7fff_ffffn,
  0x8000_0000n,
  0xffff_ffffn,
  (1n << 63n) - 1n,
  1n << 63n,
  (1n << 64n) - 1n,
];

/** Ends a block of so many instructions, at one more that leaves. */
function leave(builder: OpBuilder, rip: bigint, instructions: number): void {
  builder.instruction(instructions);
  builder.emit("movi", SLOT_RIP, SLOT_ZERO, SLOT_ZERO, rip + BigInt(instructions + 1));
  builder.emit("exit");
}

class Inputs {
  private readonly next: () => number;
  constructor(seed: number) {
    this.next = generator(seed * 7919 + 17);
  }
  below(n: number): number {
    return this.next() % n;
  }
  /** Two singles or a double, ordinary ones mostly. */
  vectorHalf(): bigint {
    const view = new DataView(new ArrayBuffer(8));
    const number = (): number => (this.below(2000) - 1000) / (1 + this.below(7));
    switch (this.below(5)) {
      case 0:
      case 1:
        view.setFloat64(0, number(), true);
        break;
      case 2:
      case 3:
        view.setFloat32(0, number(), true);
        view.setFloat32(4, number(), true);
        break;
      default:
        return this.value();
    }
    return view.getBigUint64(0, true);
  }
  /** A single beside some upper half, or a double; one half of them anything but normal where not `ordinary`. */
  scalar(bits: 32 | 64, ordinary: boolean): bigint {
    const view = new DataView(new ArrayBuffer(8));
    view.setUint32(4, this.next(), true);
    const sign = this.below(2) === 0 ? 1 : -1;
    const smallest = bits === 32 ? 2 ** -126 : 2 ** -1022;
    const large = bits === 32 ? 2 ** 127 : 2 ** 1023;
    const special = [0, smallest, smallest / 4, smallest * 1.5, large, large * 1.75, Infinity, NaN, smallest * 64, 1 / smallest];
    const number =
      sign * (ordinary || this.below(2) === 0 ? (1 + this.below(2000)) / (1 + this.below(7)) : special[this.below(special.length)]);
    if (bits === 32) view.setFloat32(0, number, true);
    else view.setFloat64(0, number, true);
    return view.getBigUint64(0, true);
  }
  value(): bigint {
    if (this.below(2) === 0) return boundary[this.below(boundary.length)];
    return ((BigInt(this.next()) << 32n) | BigInt(this.next())) >> BigInt(this.below(64));
  }
}

/** Values of MXCSR: nothing raised yet, PE, PE with DE and UE, denormal operands as zeros, results as zeros, rounding down, an exception that is not masked. */
const mxcsrs = [0x1f80, 0x1fa0, 0x1fa0, 0x1fa0, 0x1fb2, 0x1fb2, 0x1fe0, 0x9fa0, 0x3fa0, 0x1fa0 & ~0x800];

/** Fills registers and flags. */
function fill(bench: Bench, inputs: Inputs): () => void {
  const registers = Array.from({ length: 16 }, () => inputs.value());
  const vectors = Array.from({ length: 8 }, () => inputs.vectorHalf());
  const mxcsr = inputs.below(3) === 0 ? 0x1f80n : 0x1fa0n;
  const result = inputs.below(3) === 0 ? 0n : inputs.value();
  const auxiliary =
    (inputs.value() << 62n) | (BigInt(inputs.below(2)) << 3n) | (BigInt(inputs.below(2)) << 16n) | (BigInt(inputs.below(2)) << 8n);
  return () => {
    bench.slots.set(registers);
    bench.slots.set(vectors, SLOT_XMM / 8);
    bench.slots[SLOT_MXCSR / 8] = mxcsr;
    bench.slots[SLOT_CC_RES / 8] = result;
    bench.slots[SLOT_CC_AUX / 8] = BigInt.asUintN(64, auxiliary);
  };
}

const control = /^(brk|exit|goto|gotoFar|jump|lookup|lookupUnlessRequest|br|brz|brnz|br_.*|segment|shadow|bulk|x87|fastCall)$/;
const dataOps = opNames.filter((name) => !control.test(name));

/** Emits one data op with operands among a few registers and temporaries. */
function emitData(builder: OpBuilder, name: OpName, inputs: Inputs, temps: number[]): void {
  const source = (): number => {
    const choice = inputs.below(8);
    return choice === 0 ? SLOT_ZERO : choice < 3 && temps.length > 0 ? temps[inputs.below(temps.length)] : slotOfGpr(inputs.below(5));
  };
  const target = (): number => {
    if (inputs.below(4) > 0) return slotOfGpr(inputs.below(5));
    const temp = slotOfTemp(inputs.below(4));
    if (!temps.includes(temp)) builder.emit("movi", temp, SLOT_ZERO, SLOT_ZERO, inputs.value());
    temps.push(temp);
    return temp;
  };
  if (/^(ld|ldw|st)\d/.test(name)) {
    builder.memory(name, name.startsWith("st") ? source() : target(), {
      base: inputs.below(12) === 0 ? slotOfGpr(inputs.below(5)) : SLOT_ZERO,
      index: SLOT_ZERO,
      scale: 0,
      displacement: inputs.below(60) === 0 ? 5000 : inputs.below(4100),
      flags: 0,
    });
  } else if (/^(lea|aligned)/.test(name)) {
    const address = { base: source(), index: source(), scale: inputs.below(4), displacement: inputs.below(1 << 30) - (1 << 29), flags: 0 };
    builder.memory(name, name === "aligned" ? SLOT_ZERO : target(), address, 2 << inputs.below(4));
  } else if (name === "helper") {
    // Any helper but the one that vector ops stand for.
    builder.emit(name, (Helper.simd + 1 + inputs.below(99)) % 100, source(), source(), inputs.below(1000));
  } else if (name.startsWith("v_")) emitVector(builder, name, inputs);
  else if (name === "canon") builder.emit(name, SLOT_ZERO, source(), SLOT_ZERO, 16);
  else if (/^(get|movc)_/.test(name)) builder.emit(name, target(), source(), inputs.below(2));
  else if (/^i?(mulHiLof|div)\d/.test(name)) {
    // Both results go to different places, and div faults are rare where the divisor is a register.
    builder.emit(name, slotOfGpr(0), slotOfGpr(1 + inputs.below(2)), slotOfGpr(3));
  } else {
    const immediate = inputs.below(2) === 0;
    const flagsOnly = /^(subf|andf)/.test(name) && inputs.below(3) === 0;
    builder.emit(
      name,
      flagsOnly ? SLOT_SINK : target(),
      source(),
      immediate ? SLOT_ZERO : source(),
      immediate || name === "movi" ? inputs.value() : 0,
    );
  }
}

/** Emits a move between a half of one of the first vector registers and a general register. */
function emitVectorHalf(builder: OpBuilder, inputs: Inputs): void {
  const half = slotOfXmm(inputs.below(4)) + 8 * inputs.below(2);
  if (inputs.below(2) === 0) builder.emit("mov", half, slotOfGpr(inputs.below(5)));
  else builder.emit("mov", slotOfGpr(inputs.below(5)), half);
}

/** Emits a vector op on the first registers, or a pair of temporaries that takes the place of memory. */
function emitVector(builder: OpBuilder, name: OpName, inputs: Inputs): void {
  const operation = name.slice(2) as VectorName;
  const toWord = /^(pmovmskb|movmskp|cvtt?s[sd]2si)/.test(operation);
  const vector = (): number => slotOfXmm(inputs.below(4));
  let source = /^cvtsi2s/.test(operation) ? slotOfGpr(inputs.below(5)) : vector();
  if (inputs.below(3) === 0) {
    builder.emit("movi", slotOfTemp(4), SLOT_ZERO, SLOT_ZERO, inputs.vectorHalf());
    builder.emit("mov", slotOfTemp(5), slotOfGpr(inputs.below(5)));
    source = slotOfTemp(4);
  }
  const target = toWord ? slotOfTemp(6) : vector();
  const flags = (inputs.below(2) << 8) | inputs.below(operation.startsWith("cmp") ? 8 : 256);
  builder.emit(name, Helper.simd, target, source, flags * 0x1_0000_0000 + operationNumber(operation));
  if (toWord) builder.emit("mov", slotOfGpr(inputs.below(5)), target);
}

describe("generated code against the reference interpreter", () => {
  test("every op has an emitter and a known use of its operands", () => {
    assert.deepEqual(
      opNames.filter((_, opcode) => opEmitters()[opcode] === undefined),
      [],
    );
    assert.equal(operandUse.length, opNames.length);
  });

  for (const name of dataOps) {
    test(name, () => {
      const bench = new Bench();
      const inputs = new Inputs(Op[name] + 1);
      for (let i = 0; i < 12; i++) {
        const block = bench.block((builder, rip) => {
          builder.instruction(0);
          emitData(builder, name, inputs, []);
          builder.instruction(1);
          builder.emit("movi", SLOT_RIP, SLOT_ZERO, SLOT_ZERO, rip + 2n);
          builder.emit("exit");
        });
        bench.jit.hot(block, bench.cpu);
        for (let k = 0; k < 15; k++) {
          const [generated, reference] = bench.both(block, 100, fill(bench, inputs));
          assert.equal(generated, reference, `${name} number ${i}, state ${k}`);
        }
      }
    });
  }

  test("random programs with branches inside instructions", () => {
    const bench = new Bench();
    let faults = 0;
    for (let seed = 1; seed <= 400; seed++) {
      const inputs = new Inputs(seed);
      const block = bench.block((builder, rip) => randomBlock(builder, rip, inputs));
      bench.jit.hot(block, bench.cpu);
      for (let k = 0; k < 6; k++) {
        const [generated, reference] = bench.both(block, 100, fill(bench, inputs));
        assert.equal(generated, reference, `program ${seed}, state ${k}`);
        if ((JSON.parse(reference) as [number])[0] === EXIT_FAULT) faults++;
        else assert.equal((JSON.parse(reference) as [number])[0], EXIT_LEAVE);
      }
    }
    assert.ok(faults > 20, `programs that fault half-way: ${faults}`);
  });

  test("random programs of vector ops and moves of halves", () => {
    const bench = new Bench();
    const names = dataOps.filter((name) => name.startsWith("v_"));
    for (let seed = 1; seed <= 250; seed++) {
      const inputs = new Inputs(seed + 5000);
      const block = bench.block((builder, rip) => {
        const instructions = 3 + inputs.below(8);
        for (let k = 0; k < instructions; k++) {
          builder.instruction(k);
          if (inputs.below(3) === 0) emitVectorHalf(builder, inputs);
          else emitVector(builder, names[inputs.below(names.length)], inputs);
          if (inputs.below(12) === 0) builder.emit("movi", SLOT_MXCSR, SLOT_ZERO, SLOT_ZERO, 0x1f80 | (inputs.below(2) << 5));
        }
        leave(builder, rip, instructions);
      });
      bench.jit.hot(block, bench.cpu);
      for (let k = 0; k < 4; k++) {
        const [generated, reference] = bench.both(block, 100, fill(bench, inputs));
        assert.equal(generated, reference, `program ${seed}, state ${k}`);
      }
    }
  });

  for (const bits of [32, 64] as const) {
    test(`random programs of accesses from the same registers, to the end of a page and beyond, in ${bits}-bit code`, () => {
      const bench = new Bench();
      const suffix = bits === 32 ? "_32" : "";
      let faults = 0;
      let done = 0;
      for (let seed = 1; seed <= 400; seed++) {
        const inputs = new Inputs(seed + 7000);
        const register = (): number => slotOfGpr([2, 3, 4][inputs.below(3)]);
        const access = (
          builder: OpBuilder,
          kind: "ld" | "ldw" | "st",
          address: Parameters<OpBuilder["memory"]>[2],
          width: number,
        ): void => {
          const slot = kind === "ldw" ? slotOfTemp(2) : inputs.below(12) === 0 ? register() : slotOfGpr(5 + inputs.below(4));
          builder.memory(`${kind}${width}${suffix}` as OpName, slot, address);
        };
        const block = bench.block((builder, rip) => {
          const instructions = 3 + inputs.below(10);
          for (let k = 0; k < instructions; k++) {
            builder.instruction(k);
            const address = {
              base: inputs.below(10) === 0 ? SLOT_ZERO : register(),
              index: inputs.below(4) === 0 ? register() : SLOT_ZERO,
              scale: inputs.below(2),
              displacement: (inputs.below(24) - 12) * 4,
              flags: 0,
            };
            if (address.base === SLOT_ZERO) address.displacement += 64;
            const width = 8 << inputs.below(4);
            const step = (inputs.below(9) - 4) * 4;
            switch (inputs.below(8)) {
              case 0:
                builder.memory(bits === 32 ? "lea32" : "lea", register(), { ...address, index: SLOT_ZERO });
                break;
              case 1:
                builder.emit(bits === 32 ? "addf32" : inputs.below(2) === 0 ? "add" : "subf64", register(), register(), SLOT_ZERO, step);
                break;
              case 2:
                builder.emit(inputs.below(2) === 0 ? "mov" : bits === 32 ? "incf32" : "decf64", register(), register());
                break;
              case 3:
                access(builder, "ldw", address, width);
                builder.memory(`st${width}${suffix}` as OpName, slotOfTemp(2), address);
                break;
              case 4:
                if (inputs.below(3) === 0) {
                  const taken = builder.branch(`br_${conditions[inputs.below(8)]}`, SLOT_ZERO, inputs.below(2));
                  access(builder, "st", address, width);
                  builder.bind(taken);
                  break;
                }
                if (inputs.below(5) === 0) builder.emit("helper", Helper.cpuid);
                break;
              default:
                access(builder, inputs.below(2) === 0 ? "ld" : "st", address, width);
            }
          }
          leave(builder, rip, instructions);
        });
        bench.jit.hot(block, bench.cpu);
        for (let k = 0; k < 6; k++) {
          const prepare = fill(bench, inputs);
          const bases = [2, 3, 4].map(() => BigInt([0, 64, 2048, 4000, 4096 - 32][inputs.below(5)] + inputs.below(96)));
          const [generated, reference] = bench.both(block, 100, () => {
            prepare();
            bench.slots.set(bases, 2);
          });
          assert.equal(generated, reference, `program ${seed}, state ${k}`);
          if ((JSON.parse(reference) as [number])[0] === EXIT_FAULT) faults++;
          else done++;
        }
      }
      assert.ok(faults > 100 && done > 100, `${faults} programs fault, ${done} do not`);
    });

    test(`random programs of scalars of ${bits} bits, zeros and everything out of the ordinary among them`, () => {
      const bench = new Bench();
      const letter = bits === 32 ? "s" : "d";
      const names = ["add", "sub", "mul", "div", "sqrt", "min", "max", "cmp", "comi", "ucomi", "mul", "add"].map(
        (name) => `v_${name}s${letter}` as OpName,
      );
      for (let seed = 1; seed <= 400; seed++) {
        const inputs = new Inputs(seed + 9000);
        const lower = (): number => slotOfXmm(inputs.below(4));
        const block = bench.block((builder, rip) => {
          const instructions = 4 + inputs.below(10);
          for (let k = 0; k < instructions; k++) {
            builder.instruction(k);
            const kind = inputs.below(8);
            if (kind === 0) builder.emit("mov", lower(), lower());
            else if (kind === 1) builder.emit(bits === 32 ? "ld32" : "ld64", lower(), SLOT_ZERO, SLOT_ZERO, BigInt(8 * inputs.below(8)));
            else if (kind === 2) builder.emit(bits === 32 ? "st32" : "st64", lower(), SLOT_ZERO, SLOT_ZERO, BigInt(256 + 8 * k));
            else if (kind === 3 && inputs.below(2) === 0) emitVectorHalf(builder, inputs);
            else if (kind === 4) {
              // One way round an operation or the other.
              const taken = builder.branch(`br_${conditions[inputs.below(8)]}`, SLOT_ZERO, inputs.below(2));
              emitVector(builder, names[inputs.below(names.length)], inputs);
              builder.bind(taken);
            } else emitVector(builder, names[inputs.below(names.length)], inputs);
            if (inputs.below(16) === 0) builder.emit("movi", SLOT_MXCSR, SLOT_ZERO, SLOT_ZERO, mxcsrs[inputs.below(mxcsrs.length)]);
          }
          leave(builder, rip, instructions);
        });
        bench.jit.hot(block, bench.cpu);
        for (let k = 0; k < 6; k++) {
          const prepare = fill(bench, inputs);
          const mostly = inputs.below(3);
          const numbers = Array.from({ length: 16 }, () => inputs.scalar(bits, mostly !== 0));
          const mxcsr = mxcsrs[inputs.below(mxcsrs.length)];
          const [generated, reference] = bench.both(block, 100, () => {
            prepare();
            bench.slots.set(numbers.slice(0, 8), SLOT_XMM / 8);
            numbers.slice(8).forEach((number, i) => bench.memory.view.setBigUint64(bench.memory.ramBase + 8 * i, number, true));
            bench.slots[SLOT_MXCSR / 8] = BigInt(mxcsr);
          });
          assert.equal(generated, reference, `program ${seed}, state ${k}`);
        }
      }
    });
  }

  test("random graphs of blocks, on budgets that end anywhere", () => {
    for (let seed = 1; seed <= 60; seed++) {
      const bench = new Bench();
      const inputs = new Inputs(seed + 1000);
      const count = 2 + inputs.below(10);
      const rips = Array.from({ length: count }, (_, i) => BigInt(0x20_0000 + i * 64));
      const blocks = rips.map((rip, i) => {
        const builder = new OpBuilder();
        const instructions = 1 + inputs.below(4);
        for (let k = 0; k < instructions; k++) {
          builder.instruction(k);
          emitData(builder, dataOps[inputs.below(dataOps.length)], inputs, []);
        }
        builder.instruction(instructions);
        const taken = builder.branch(`br_${conditions[inputs.below(8)]}`, SLOT_ZERO, inputs.below(2));
        builder.emit("goto", SLOT_ZERO, 0, 0, rips[inputs.below(count)]);
        builder.bind(taken);
        if (i === count - 1) {
          builder.emit("movi", SLOT_RIP, SLOT_ZERO, SLOT_ZERO, rip + 60n);
          builder.emit("exit");
        } else builder.emit("goto", SLOT_ZERO, 0, 0, rips[inputs.below(count)]);
        return bench.code.add({ physical: Number(rip), rip, mode: 2, codeLimit: -1, secondPage: -1 }, builder, 60);
      });
      // The reference follows chains only.
      for (const block of blocks) chain(bench, block, blocks);
      bench.jit.hot(blocks[0], bench.cpu);
      for (const budget of [blocks[0].count, 7, 23, 200, 1000]) {
        if (budget < blocks[0].count) continue;
        const [generated, reference] = bench.both(blocks[0], budget, fill(bench, inputs));
        assert.equal(generated, reference, `graph ${seed}, budget ${budget}`);
      }
    }
  });

  for (const count of [1, 3, 8]) {
    test(`a call through a table stays in its region for ${count} targets that it has been seen to go to`, () => {
      const bench = new Bench();
      const { view } = bench.memory;
      const caller = bench.block((builder) => {
        builder.instruction(0);
        builder.emit("st64", slotOfGpr(2), SLOT_ZERO, slotOfGpr(3));
        builder.emit("jump", SLOT_ZERO, slotOfGpr(0));
      });
      bench.jit.hot(caller, bench.cpu);
      const callees = Array.from({ length: count }, (_, k) =>
        bench.block((builder, rip) => {
          builder.instruction(0);
          builder.emit("movi", slotOfGpr(1), SLOT_ZERO, SLOT_ZERO, BigInt(k + 100));
          builder.emit("movi", SLOT_RIP, SLOT_ZERO, SLOT_ZERO, rip + 1n);
          builder.emit("exit");
        }),
      );
      for (const callee of callees) {
        view.setInt32(bench.cpu + WORD_JUMP_FROM, caller.header, true);
        view.setInt32(caller.header + BLOCK_TARGET, callee.ripLow, true);
        bench.jit.hot(callee, bench.cpu);
      }
      const inside = callees.filter((callee) => callee.regions.some((region) => caller.regions.includes(region)));
      // A region is made anew so many times.
      assert.equal(inside.length, Math.min(count, 3));
      assert.equal(view.getInt32(bench.cpu + WORD_JUMP_FROM, true), 0);
      // All of them at once where they wait for a module together: the caller's first region is thrown away for it.
      bench.jit.discardAll();
      bench.jit.hot(caller, bench.cpu);
      assert.equal(caller.regions[0].blocks.length, 1 + count);
      callees.forEach((callee, k) => {
        bench.slots[0] = callee.rip;
        view.setInt32(bench.cpu + WORD_BUDGET, 10, true);
        assert.equal(bench.enter(caller), EXIT_LEAVE);
        assert.equal(bench.slots[1], BigInt(k + 100));
        assert.equal(bench.slots[SLOT_RIP / 8], callee.rip + 1n);
        assert.equal(view.getInt32(bench.cpu + WORD_BUDGET, true), 8);
      });
      for (const other of [callees[0].rip + 1n, callees[0].rip + (1n << 32n), 0x7777n]) {
        bench.slots[0] = other;
        view.setInt32(bench.cpu + WORD_BUDGET, 10, true);
        assert.equal(bench.enter(caller), EXIT_LOOKUP);
        assert.equal(bench.slots[SLOT_RIP / 8], other);
        assert.equal(view.getInt32(bench.cpu + WORD_JUMP_FROM, true), caller.header);
        assert.equal(view.getUint32(caller.header + BLOCK_TARGET, true), Number(other & 0xffff_ffffn));
      }
    });
  }

  test("a table of bits of RIP tells targets apart", () => {
    assert.deepEqual(jumpTable([0x1000n, 0x1010n, 0x1020n]), { shift: 4, slots: [0, 1, 2, -1] });
    assert.equal(jumpTable([0x5n, 0x5n + (1n << 40n)]), undefined);
  });
});

/** Chains all gotos of a block to the blocks that they name. */
function chain(bench: Bench, block: Block, blocks: readonly Block[]): void {
  for (let i = 0; i < block.ops; i++) {
    const op = block.entry + i * 16;
    if (bench.memory.u16[op >> 1] !== Op.goto) continue;
    const target = blocks.find(({ rip }) => rip === bench.memory.view.getBigUint64(op + 8, true));
    if (target !== undefined) bench.code.chain(op, target);
  }
}

function randomBlock(builder: OpBuilder, rip: bigint, inputs: Inputs): void {
  const instructions = 1 + inputs.below(8);
  for (let k = 0; k < instructions; k++) {
    builder.instruction(k);
    const temps: number[] = [];
    const ops = 1 + inputs.below(3);
    for (let n = 0; n < ops; n++) emitData(builder, dataOps[inputs.below(dataOps.length)], inputs, temps);
    if (inputs.below(3) > 0) continue;
    // A branch around an op, as instructions have them inside.
    const register = slotOfGpr(inputs.below(5));
    const over =
      inputs.below(2) === 0
        ? builder.branch("brz", register)
        : builder.branch(`br_${conditions[inputs.below(8)]}`, SLOT_ZERO, inputs.below(2));
    emitData(builder, dataOps[inputs.below(dataOps.length)], inputs, [...temps]);
    builder.bind(over);
    emitData(builder, dataOps[inputs.below(dataOps.length)], inputs, [...temps]);
  }
  leave(builder, rip, instructions);
}

describe("structured control flow", () => {
  test("a loop inside a loop has two headers and no dispatcher", () => {
    const shape = structure([[1], [2, 3], [1, 2], [0, 4], []], [0]);
    assert.deepEqual([...shape.isLoop].slice(0, 5), [1, 1, 1, 0, 0]);
    assert.equal(shape.hasRedirections, false);
  });
  test("a loop with two entries goes through the dispatcher", () => {
    const shape = structure([[1, 2], [2], [1]], [0]);
    assert.equal(shape.hasRedirections, true);
  });
});
