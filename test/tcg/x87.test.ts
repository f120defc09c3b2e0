/** The engine's own x87 code against the unit: what it does it does alike, and what it leaves it leaves untouched. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { X87Host } from "../../src/cpu/fpu/core";
import { FpuState } from "../../src/cpu/fpu/state";
import { X87Unit } from "../../src/cpu/fpu/unit";
import { assembleInterpreter } from "../../src/tcg/interpreter/interpreter";
import { CPU_STATE_BYTES, TLB_ADDEND, TLB_ENTRIES, TLB_ENTRY_BYTES, WORD_TLB } from "../../src/tcg/layout";
import { EngineMemory } from "../../src/tcg/memory";
import { x87Operation } from "../../src/tcg/x87/operation";
import { generator } from "../machine/determinism";

const OPERAND = 0x100;

/** One engine whose function works on page 0; the unit works on a copy of the same state. */
class Bench {
  readonly memory = new EngineMemory({ cpus: 1, ram: 4096, codeArena: 4096 });
  readonly cpu = this.memory.stateOf(0);
  readonly engine = new FpuState(this.memory.memory.buffer, this.cpu);
  readonly fpu = new FpuState();
  readonly ram = new DataView(this.memory.memory.buffer, this.memory.ramBase, 4096);
  private readonly copy = new DataView(new ArrayBuffer(4096));
  private readonly run: (cpu: number, address: bigint, rip: bigint, operation: number) => number;
  private readonly unit: X87Unit;

  constructor() {
    const { memory, cpu, copy } = this;
    const none = (): number => 0;
    const module = new WebAssembly.Module(assembleInterpreter());
    const table = new WebAssembly.Table({ element: "anyfunc", initial: 1 });
    const host = { returned: none, helper: none, load: none, store: none, segment: none, fault: none, divide: none };
    const { exports } = new WebAssembly.Instance(module, { env: { memory: memory.memory, table, ...host } });
    this.run = exports["x87"] as typeof this.run;
    const tlb = cpu + CPU_STATE_BYTES;
    memory.u8.fill(0xff, tlb, tlb + TLB_ENTRIES * TLB_ENTRY_BYTES);
    memory.view.setInt32(cpu + WORD_TLB, tlb, true);
    memory.view.setBigUint64(tlb, 0n, true);
    memory.view.setBigUint64(tlb + 8, 0n, true);
    memory.view.setInt32(tlb + TLB_ADDEND, memory.ramBase, true);
    const access = (size: 2 | 4 | 8, at: number): bigint =>
      size === 2 ? BigInt(copy.getUint16(at, true)) : size === 4 ? BigInt(copy.getUint32(at, true)) : copy.getBigUint64(at, true);
    const flat: X87Host = {
      read: (address, offset, size) => access(size, Number(address) + offset),
      write: (address, offset, size, value) => {
        const at = Number(address) + offset;
        if (size === 2) copy.setUint16(at, Number(value), true);
        else if (size === 4) copy.setUint32(at, Number(value), true);
        else copy.setBigUint64(at, value, true);
        return true;
      },
      probeWrite: () => true,
      floatingPointError: () => undefined,
      numericErrors: true,
      carry: false,
      zero: false,
      parity: false,
      setFlags: () => undefined,
      setAx: () => undefined,
      environment: () => ({ field: 4, real: false }),
    };
    this.unit = new X87Unit(this.fpu, flat);
  }

  private look(fpu: FpuState, view: DataView): string {
    const registers = [...fpu.exponents].map((se, i) => `${se.toString(16)}:${fpu.significands[i].toString(16)}`);
    const bytes = [0, 8].map((at) => view.getBigUint64(OPERAND + at, true).toString(16));
    return JSON.stringify([registers, fpu.status, fpu.occupied, fpu.control, bytes]);
  }

  /** Executes the instruction both ways on the engine's state. Returns whether the engine's code did it. */
  check(opcode: number, modrm: number, what: string): boolean {
    const operation = x87Operation(opcode, modrm);
    this.fpu.restore(this.engine.save());
    new Uint8Array(this.copy.buffer).set(new Uint8Array(this.ram.buffer, this.ram.byteOffset, 4096));
    const before = this.look(this.engine, this.ram);
    const done = this.run(this.cpu, BigInt(OPERAND), 0x1234n, operation) === 1;
    const after = this.look(this.engine, this.ram);
    if (done) {
      assert.ok(this.unit.execute(opcode, modrm, BigInt(OPERAND), false), `${what}: the unit raises an error`);
      assert.equal(after, this.look(this.fpu, this.copy), `${what}, before: ${before}`);
    } else assert.equal(after, before, `${what} was left alone`);
    return done;
  }
}

/** All instructions that the engine may do itself. */
const instructions: readonly (readonly [opcode: number, modrm: number])[] = Array.from({ length: 8 * 256 }, (_, n): [number, number] => [
  n >> 8,
  n & 255,
]).filter(([opcode, modrm]) => x87Operation(opcode, modrm) >= 0 && (modrm >= 0xc0 || (modrm & 0xc7) === 0));

class Values {
  readonly next: () => number;
  constructor(seed: number) {
    this.next = generator(seed * 2654435 + 12345);
  }
  below(n: number): number {
    return this.next() % n;
  }
  /** Significands with many zeros and ones, so that sums and quotients come out even, and halves do. */
  significand(): bigint {
    const random = (BigInt(this.next()) << 32n) | BigInt(this.next());
    const length = BigInt(1 + this.below(63));
    const patterns = [
      0n,
      random,
      (random >> length) << length,
      (1n << length) - 1n,
      ~((1n << length) - 1n),
      random & 0x7ff_ffffn,
      0x400n,
      0x80_0000_0000n,
    ];
    return BigInt.asUintN(64, patterns[this.below(patterns.length)]) | (1n << 63n);
  }
  float(): { se: number; m: bigint } {
    const sign = this.below(2) << 15;
    switch (this.below(16)) {
      case 0:
        return { se: sign, m: 0n };
      case 1:
        return { se: sign | this.below(0x8000), m: this.significand() };
      case 2:
        return { se: sign | 0x7fff, m: this.significand() };
      case 3:
        return { se: sign, m: this.significand() >> BigInt(1 + this.below(60)) };
      default:
        return { se: sign | (0x3fff + this.below(140) - 70), m: this.significand() };
    }
  }
}

function prepare(bench: Bench, values: Values): void {
  const { engine, ram } = bench;
  engine.control = values.below(6) === 0 ? values.below(0x2000) : 0x3f | (values.below(4) << 8) | (values.below(4) << 10);
  engine.status = values.below(0x10000) & (values.below(8) === 0 ? 0xffff : ~0x3f);
  engine.occupied = values.below(3) === 0 ? values.below(256) : values.below(2) === 0 ? 0xff : 0xff & ~(1 << ((engine.top + 7) & 7));
  for (let i = 0; i < 8; i++) engine.setPhysical(i, values.float());
  // Near-equal numbers cancel.
  if (values.below(4) === 0) {
    const { se, m } = engine.physical(engine.top);
    engine.setPhysical((engine.top + 1 + values.below(3)) & 7, { se: se ^ (values.below(2) << 15), m: m ^ BigInt(values.below(4)) });
  }
  const number = (values.below(2) === 0 ? 1 : -1) * (values.below(1 << 30) / (1 + values.below(1 << 20)));
  switch (values.below(5)) {
    case 0:
      ram.setFloat64(OPERAND, number, true);
      break;
    case 1:
      ram.setFloat32(OPERAND, number, true);
      break;
    case 2:
      ram.setInt32(OPERAND, values.below(3) - 1, true);
      break;
    default:
      ram.setUint32(OPERAND, values.next(), true);
      ram.setUint32(OPERAND + 4, values.next(), true);
      ram.setUint32(OPERAND + 8, values.next(), true);
  }
}

describe("the engine's x87 code", () => {
  test("does what the unit does, or nothing", () => {
    const bench = new Bench();
    const values = new Values(1);
    const done = new Map<string, number>();
    for (let round = 0; round < 100; round++) {
      for (const [opcode, modrm] of instructions) {
        prepare(bench, values);
        const name = `${(0xd8 + opcode).toString(16)} ${modrm.toString(16)}`;
        if (bench.check(opcode, modrm, name)) done.set(name, (done.get(name) ?? 0) + 1);
      }
    }
    for (const [opcode, modrm] of instructions) {
      // FLD ST(7) takes what must be full from where must be room.
      if (opcode === 1 && modrm === 0xc7) continue;
      const name = `${(0xd8 + opcode).toString(16)} ${modrm.toString(16)}`;
      assert.ok((done.get(name) ?? 0) >= 4, `${name} is hardly ever done: ${done.get(name) ?? 0}`);
    }
  });

  test("rounds quotients and roots of every kind", () => {
    const bench = new Bench();
    const values = new Values(2);
    const { engine } = bench;
    engine.initialize();
    engine.occupied = 0xff;
    let done = 0;
    for (let i = 0; i < 6000; i++) {
      engine.control = 0x3f | (values.below(4) << 8) | (values.below(4) << 10);
      engine.flags = 0;
      engine.top = 0;
      engine.occupied = 0xff;
      engine.setPhysical(0, { se: 0x3fff + values.below(8), m: values.significand() });
      engine.setPhysical(1, { se: 0x3fff + values.below(8), m: values.significand() });
      // Exact squares and their neighbours.
      if (i % 3 === 0) {
        const root = values.significand() >> 32n;
        engine.setPhysical(0, {
          se: 0x3fff + values.below(8),
          m: BigInt.asUintN(64, (root * root + BigInt(values.below(3) - 1)) | (1n << 63n)),
        });
      }
      if (bench.check(1, 0xfa, `root ${i}`)) done++;
      if (bench.check(0, 0xf1, `quotient ${i}`)) done++;
      if (bench.check(0, 0xc9, `product ${i}`)) done++;
    }
    assert.ok(done > 17_000, `${done} done`);
  });
});
