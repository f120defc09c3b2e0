/** The fuzzer's own parts, without a host's CPU. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { featureNames } from "../../src/cpu/features";
import { AT, type Block, codeOf, STATE_BYTES, WINDOW, WINDOW_CENTER } from "./block";
import { differences, smaller } from "./compare";
import { FuzzMachine } from "./emulator";
import { Generator } from "./generate";

function block(bytes: readonly number[], change: (view: DataView) => void = () => undefined): Block {
  const state = new Uint8Array(STATE_BYTES);
  const view = new DataView(state.buffer);
  view.setBigUint64(AT.rflags, 0x202n, true);
  view.setBigUint64(AT.regs + 32, BigInt(WINDOW_CENTER), true);
  view.setUint32(AT.mxcsr, 0x1f80, true);
  change(view);
  return { bits: 64, instructions: [{ text: "", bytes, volatileFlags: false }], state };
}

describe("the fuzzer", () => {
  const machine = new FuzzMachine();

  test("sees where a block ends, and what it leaves", () => {
    const one = block([0x48, 0xff, 0xc0]); // inc rax
    const after = machine.run(one);
    const view = new DataView(after.buffer);
    assert.equal(view.getUint8(AT.trap), 3);
    assert.equal(view.getBigUint64(AT.regs, true), 1n);
    assert.equal(view.getBigUint64(AT.rip, true), 0x20004n);
    assert.deepEqual(differences(one, after, after), []);
    const other = Uint8Array.from(after);
    other[AT.regs] ^= 2;
    other[AT.window + 7] ^= 1;
    assert.equal(differences(one, after, other).length, 2);
  });

  test("sees an exception with its address and error code", () => {
    const after = new DataView(machine.run(block([0x48, 0x89, 0x00], (view) => view.setBigUint64(AT.regs, 0x40123n, true))).buffer);
    assert.deepEqual([after.getUint8(AT.trap), after.getUint32(AT.error, true), after.getBigUint64(AT.cr2, true)], [14, 6, 0x40123n]);
    assert.equal(after.getBigUint64(AT.rip, true), 0x20000n);
  });

  test("makes the same blocks of the same seed, which end by themselves", () => {
    const generator = new Generator({ features: new Set(featureNames), narrow: 1 });
    for (let number = 0; number < 200; number++) {
      const one = generator.block(5, number);
      assert.deepEqual(codeOf(generator.block(5, number)), codeOf(one));
      assert.ok(smaller(one).length > 0);
      assert.notEqual(machine.run(one)[AT.trap], 255, `block ${number} ends`);
    }
  });

  test("leaves the flags of the last comparison when a repeated one runs into memory that is not there", () => {
    const reference = new FuzzMachine("reference");
    for (const code of [
      [0xf3, 0xa6], // repe cmpsb
      [0xf2, 0xae], // repne scasb
      [0xf2, 0xaf], // repne scasd
    ])
      for (const accumulator of [0x80n, 0xffff_ffffn, 0x1234_5601n]) {
        const one = block(code, (view) => {
          view.setBigUint64(AT.regs, accumulator, true);
          view.setBigUint64(AT.regs + 8, 0x10_0000n, true);
          view.setBigUint64(AT.regs + 6 * 8, BigInt(WINDOW), true);
          view.setBigUint64(AT.regs + 7 * 8, BigInt(WINDOW), true);
        });
        const after = machine.run(one);
        assert.equal(after[AT.trap], 14, "the end is a page fault");
        assert.deepEqual(differences(one, after, reference.run(one)), []);
      }
  });
});
