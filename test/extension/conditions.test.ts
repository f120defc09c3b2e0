import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { conditionExamples, conditionProblem, hitConditionProblem } from "../../src/extension/conditions";

describe("conditions as they are typed", () => {
  test("good ones pass", () => {
    const good = [
      "",
      ...conditionExamples,
      "(vector & 0xf0) == 0x30 || cpu != 0",
      "rip >= 0xffffffff81000000",
      'mode != "sipi"',
      "!(rax == -1)",
    ];
    for (const condition of good) assert.equal(conditionProblem(condition), undefined, condition);
  });

  for (const [condition, expected] of [
    ["vector = 0xf0", /==/],
    ["(vector == 1", /\( is not closed/],
    ["vector == 1)", /no \( for/],
    ["[rsp)", /no \( for/],
    ['mode == "nmi', /quotation mark/],
    ["vector == 0x100", /0 to 255/],
    ['mode == "fix"', /"fix" is none/],
    ['source == "keyboard"', /one of ipi/],
    ["dst == 1 &&", /missing at the end/],
    ["== 1", /missing at the beginning/],
  ] as const) {
    test(`${condition} is refused with a hint`, () => assert.match(conditionProblem(condition) ?? "", expected));
  }

  test("hit conditions are a number with or without a comparison", () => {
    for (const good of ["", "5", ">= 3", "%100", "== 1"]) assert.equal(hitConditionProblem(good), undefined, good);
    for (const bad of ["x", "-1", ">=", "3 >", "=> 2"]) assert.notEqual(hitConditionProblem(bad), undefined, bad);
  });
});
