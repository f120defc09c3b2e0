import assert from "node:assert/strict";
import { test } from "node:test";
import { LineEnds, SerialHistory } from "../../src/extension/console/serialText";

test("lines that end by LF alone begin at the left, however the text is cut", () => {
  const text = "one\ntwo\r\nthree\r\n\n";
  const expected = "one\r\ntwo\r\nthree\r\n\r\n";
  assert.equal(new LineEnds().next(text), expected);
  const ends = new LineEnds();
  assert.equal([...text].map((character) => ends.next(character)).join(""), expected);
});

test("a terminal that is opened late gets the newest output", () => {
  const history = new SerialHistory();
  for (let index = 0; index < 3000; index++) history.add(`${index}:${"x".repeat(1000)}\n`);
  assert.ok(history.text.length <= 1_100_000);
  assert.ok(history.text.endsWith(`2999:${"x".repeat(1000)}\n`));
});
