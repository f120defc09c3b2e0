import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { exceptionFilters } from "../../src/adapter/protocol";
import { filterNames } from "../../src/debugger/filterNames";
import { parseHitCondition } from "../../src/debugger/hitCondition";
import { splitAssignment } from "../../src/debugger/inspect/assignment";
import { Handles } from "../../src/debugger/inspect/handles";
import { parseAddress } from "../../src/debugger/numbers";

describe("hit conditions", () => {
  const cases: [text: string | undefined, hits: number[]][] = [
    [undefined, [1, 2, 3, 4, 5, 6, 7]],
    ["", [1, 2, 3, 4, 5, 6, 7]],
    ["3", [3]],
    ["== 3", [3]],
    [" = 3", [3]],
    [">= 5", [5, 6, 7]],
    [">5", [6, 7]],
    ["<= 2", [1, 2]],
    ["< 2", [1]],
    ["% 3", [3, 6]],
  ];
  for (const [text, expected] of cases)
    test(JSON.stringify(text), () => {
      const stops = parseHitCondition(text);
      assert.deepEqual(
        [1, 2, 3, 4, 5, 6, 7].filter((hits) => stops(hits)),
        expected,
      );
    });
  for (const text of ["often", "3 4", ">= ", "-1", "% 0", "0x3", "1.5", "!= 2"])
    test(`${JSON.stringify(text)} is refused`, () =>
      assert.throws(() => parseHitCondition(text), new RegExp(text.replace(/[%!.]/g, "\\$&").trim())));
});

describe("addresses", () => {
  test("keep all 64 bits", () => {
    assert.equal(parseAddress("0xffffffff81000f12", "a"), 0xffffffff81000f12n);
    assert.equal(parseAddress("18446744073709551615", "a"), 0xffffffffffffffffn);
    assert.equal(parseAddress("-1", "a"), 0xffffffffffffffffn);
    assert.equal(parseAddress(4096, "a"), 4096n);
  });
  for (const wrong of ["", "rip", "0x", "0xfffffffffffffffff", 1.5, 2 ** 60, null, undefined, {}])
    test(`${JSON.stringify(wrong)} is refused by name`, () =>
      assert.throws(() => parseAddress(wrong, "memoryReference"), /memoryReference/));
});

describe("assignments", () => {
  const cases: [text: string, parts: [target: string, value: string] | undefined][] = [
    ["rax = 5", ["rax", "5"]],
    ["u32[rax + 4]=rbx == 3", ["u32[rax + 4]", "rbx == 3"]],
    ["rax == 5", undefined],
    ["rax != 5 && rbx <= 3 || rcx >= 2", undefined],
    ['mode == "a=b"', undefined],
    ["rax", undefined],
  ];
  for (const [text, parts] of cases)
    test(text, () => {
      const found = splitAssignment(text);
      assert.deepEqual(found === undefined ? undefined : [found.target, found.value], parts);
    });
});

test("the debugger knows exactly the filters that the adapter offers", () =>
  assert.deepEqual(
    exceptionFilters.map(({ filter }) => filter),
    [...filterNames],
  ));

test("handles are never used twice and end with clear", () => {
  const handles = new Handles<string>("frame");
  const first = handles.add("a");
  assert.equal(handles.get(first), "a");
  handles.clear();
  assert.throws(() => handles.get(first), /no frame 1; it may belong to an earlier stop/);
  assert.notEqual(handles.add("b"), first);
});
