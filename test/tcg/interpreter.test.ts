import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { OpBuilder } from "../../src/tcg/builder";
import { assembleInterpreter, type EngineHost, type RunFunction } from "../../src/tcg/interpreter/interpreter";
import { BLOCK_HEADER_BYTES, SLOT_CC_AUX, SLOT_CC_RES, SLOT_GPR, SLOT_ZERO, WORD_BUDGET, slotOfGpr } from "../../src/tcg/layout";
import { EngineMemory } from "../../src/tcg/memory";
import { EXIT_BREAK, EXIT_FAULT, type OpName, opNames } from "../../src/tcg/ops";
import { ReferenceInterpreter } from "../../src/tcg/reference";
import { packFlags, unpackFlags } from "../../src/tcg/flags";
import { divide } from "./divide";

/** Host whose 64-bit division follows the definition and whose faults are counted by the exit reason. */
function host(memory: EngineMemory): EngineHost {
  return {
    helper: () => 0,
    load: () => 1,
    store: () => 1,
    returned: () => 0,
    segment: () => 1,
    fault: () => 1,
    divide: (op) => divide(memory, op),
  };
}

/** xorshift, seeded: the same inputs on every run. */
function random(seed: number): () => bigint {
  let state = BigInt(seed) | 1n;
  return () => {
    state ^= BigInt.asUintN(64, state << 13n);
    state ^= state >> 7n;
    state ^= BigInt.asUintN(64, state << 17n);
    return state;
  };
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
  0x7fffffffn,
  0x80000000n,
  0xffffffffn,
  (1n << 63n) - 1n,
  1n << 63n,
  (1n << 64n) - 1n,
];

describe("emitted interpreter against the reference interpreter", () => {
  const memory = new EngineMemory({ cpus: 1, ram: 4096, codeArena: 1 << 16 });
  const imports = host(memory);
  const module = new WebAssembly.Module(assembleInterpreter());
  const instance = new WebAssembly.Instance(module, {
    env: { memory: memory.memory, table: new WebAssembly.Table({ element: "anyfunc", initial: 1 }), ...imports },
  });
  const emitted = instance.exports["run"] as RunFunction;
  const reference = new ReferenceInterpreter(memory, imports);
  const cpu = memory.stateOf(0);
  const slots = new BigUint64Array(memory.memory.buffer, cpu, 64);

  function execute(
    run: RunFunction,
    name: OpName,
    inputs: { a: bigint; b: bigint; d: bigint; imm: bigint; flags: number; fields: number },
  ): string {
    const builder = new OpBuilder();
    const [rd, ra, rb] = [slotOfGpr(0), slotOfGpr(1), slotOfGpr(2)];
    builder.emit(
      name,
      rd,
      ra,
      name.startsWith("br_") || name.startsWith("get_") || name.startsWith("movc_") ? inputs.fields & 1 : rb,
      inputs.imm,
    );
    builder.emit("brk");
    builder.emit("movi", slotOfGpr(3), SLOT_ZERO, SLOT_ZERO, 77);
    builder.emit("brk");
    const block = memory.arenaBase;
    memory.u8.set(builder.bytes(), block + BLOCK_HEADER_BYTES);
    slots.fill(0n);
    slots[SLOT_GPR / 8] = inputs.d;
    slots[ra / 8] = inputs.a;
    slots[rb / 8] = inputs.b;
    const bit = (n: number): boolean => ((inputs.flags >> n) & 1) !== 0;
    const packed = packFlags({ cf: bit(0), pf: bit(1), af: bit(2), zf: bit(3), sf: bit(4), of: bit(5) });
    slots[SLOT_CC_RES / 8] = packed.result;
    slots[SLOT_CC_AUX / 8] = packed.auxiliary;
    memory.view.setInt32(cpu + WORD_BUDGET, 100, true);
    const reason = run(cpu, block + BLOCK_HEADER_BYTES, block, 1);
    const flags = unpackFlags(slots[SLOT_CC_RES / 8], slots[SLOT_CC_AUX / 8]);
    assert.ok(reason === EXIT_BREAK || reason === EXIT_FAULT, `exit ${reason}`);
    return JSON.stringify([reason, slots.slice(0, 5).join(), flags]);
  }

  const simple = opNames.filter(
    (name) =>
      !/^(brk|exit|goto|gotoFar|jump|lookup|lookupUnlessRequest|br|brz|brnz|br_.*|helper|x87|fastCall|shadow|segment|v_.*|bulk|(ld|ldw|st)\d.*)$/.test(
        name,
      ),
  );
  for (const name of simple) {
    test(name, () => {
      const next = random(opNames.indexOf(name) * 7919 + 12345);
      const pick = (): bigint => {
        const choice = next();
        return (choice & 1n) === 0n ? boundary[Number((choice >> 8n) % BigInt(boundary.length))] : next() >> ((choice >> 16n) % 64n);
      };
      for (let i = 0; i < 400; i++) {
        const needsAddress = /^lea|^aligned/.test(name);
        const width = name === "canon" ? (i % 2 === 0 ? 16n : 7n) : undefined;
        const imm =
          width ?? (needsAddress ? (next() & 0x3_ffff_ffffn) | ((1n << (next() % 4n)) << 48n) : (next() & 3n) === 0n ? pick() : 0n);
        const inputs = { a: pick(), b: pick(), d: pick(), imm, flags: Number(next() & 63n), fields: Number(next() & 1n) };
        const described = JSON.stringify({ ...inputs }, (_, value: unknown) => (typeof value === "bigint" ? value.toString(16) : value));
        assert.equal(execute(emitted, name, inputs), execute(reference.run, name, inputs), `${name} ${described}`);
      }
    });
  }
  for (const [imm, inside, outside] of [
    [16n, 0xffff_8000_0000_0000n, 0x8000_0000_0000n],
    [7n, 0xff00_0000_0000_0000n, 0x100_0000_0000_0000n],
  ]) {
    test(`canon of ${64n - imm} bits`, () => {
      const fault = (a: bigint): boolean =>
        execute(emitted, "canon", { a, b: 0n, d: 0n, imm, flags: 0, fields: 0 }).startsWith(`[${EXIT_FAULT},`);
      assert.deepEqual([inside, inside - 1n, outside, outside - 1n].map(fault), [false, true, true, false]);
    });
  }
  test("every op but control and memory was compared", () => assert.ok(simple.length > 120, String(simple.length)));
});
