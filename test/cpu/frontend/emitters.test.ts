import assert from "node:assert/strict";
import { test } from "node:test";
import { mnemonics } from "../../../src/cpu/decode/mnemonics";
import { emitterOf } from "../../../src/cpu/frontend/emitters";

test("every mnemonic of the opcode tables has an emitter", () => {
  for (const name of mnemonics) assert.equal(typeof emitterOf(name), "function", name);
});
