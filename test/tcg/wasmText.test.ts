// The text of generated functions: every kind of instruction, nesting, and bodies that are damaged.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { functionText } from "../../src/tcg/wasm/text";
import { FunctionWriter, I32, I64, M, V128, W } from "../../src/tcg/wasm/writer";

describe("WebAssembly as text", () => {
  test("instructions with their operands, structures indented", () => {
    const w = new FunctionWriter(3);
    const local = w.local(I64);
    w.local(V128);
    w.local(I32);
    w.block().loop();
    w.get(0).mem(M.i64Load, 40).set(local);
    w.get(local).i64Halves(-1, 0x7fffffff).op(W.i64Add).tee(local).op(W.i64Eqz);
    w.ifTyped(I32).i32(-5).else().call(1).end();
    w.brTable([0, 1]);
    w.end().end();
    w.byte(0xfc).unsigned(10).byte(0).byte(0);
    w.raw([0xfd, 0x0c, ...new Array<number>(16).fill(1)]).op(W.drop);
    w.raw([0xfd, 0x00, 4, 16]).raw([0xfd, 0xae, 0x01]).raw([0xfd, 0x1d, 1]);
    w.byte(0x44).raw([0, 0, 0, 0, 0, 0, 0xf0, 0x3f]).op(0xa0);
    w.get(0).returnCall(0);
    const text = functionText(w.body(), {
      function: (index) => (index === 1 ? "$helper" : undefined),
      local: (index) => (index === 0 ? "$cpu" : undefined),
    });
    assert.deepEqual(text, [
      "(local i64 v128 i32)",
      "block",
      "  loop",
      "    local.get $cpu",
      "    i64.load offset=40",
      "    local.set 3",
      "    local.get 3",
      "    i64.const 0x7fffffffffffffff",
      "    i64.add",
      "    local.tee 3",
      "    i64.eqz",
      "    if (result i32)",
      "      i32.const -5",
      "    else",
      "      call $helper",
      "    end",
      "    br_table 2 1",
      "  end",
      "end",
      "memory.copy",
      "v128.constant 0x01010101010101010101010101010101",
      "drop",
      "v128.load offset=16",
      "v128.i32x4Add",
      "v128.0x1d 1",
      "f64.const 0x000000000000f03f",
      "f64.add",
      "local.get $cpu",
      "return_call 0",
    ]);
  });

  test("a damaged body is refused", () => {
    const w = new FunctionWriter(0);
    w.block().i32(7).op(W.drop).end();
    const body = w.body();
    assert.doesNotThrow(() => functionText(body));
    for (let length = 0; length < body.length; length++) assert.throws(() => functionText(body.subarray(0, length)), RangeError);
    const unknown = body.slice();
    unknown[2] = 0x06;
    assert.throws(() => functionText(unknown), /opcode 0x6 is not known/);
  });
});
