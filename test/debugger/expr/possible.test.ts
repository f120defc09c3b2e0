import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { mayHold, parseExpression } from "../../../src/debugger/expr";

const fields = new Set(["vector", "cpu", "mode"]);
const vectors = (text: string): number => {
  const expression = parseExpression(text);
  return Array.from({ length: 256 }, (_, vector) => mayHold(expression, "vector", vector, fields)).filter((may) => may).length;
};

describe("what a condition can hold for, by one field alone", () => {
  const table: readonly (readonly [text: string, possible: number])[] = [
    ["vector == 0xf7", 1],
    ["vector == 0xf7 && cpu == 1", 1],
    ["cpu == 1 && vector == 0xf7", 1],
    ['mode == "fixed" && (vector == 0x20 || vector == 0x21)', 2],
    ["vector >= 0x20 && vector < 0x30", 16],
    ["!(vector == 3)", 255],
    ["vector != 3 || cpu == 0", 256],
    ["vector == 3 || cpu == 0", 256],
    ["0", 0],
    ["vector", 255],
    ["cpu == 1", 256],
    ["vector + 1 == 3", 256],
    // What stands before may fail, which is told.
    ["some_symbol == 1 && vector == 3", 256],
    ["u32[0] == 1 && vector == 3", 256],
    ["vector == 3 && u32[0] == 1", 1],
    ["$vector == 3", 256],
  ];
  for (const [text, possible] of table) test(text, () => assert.equal(vectors(text), possible));
});
