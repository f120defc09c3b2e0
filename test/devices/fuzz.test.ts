import { test } from "node:test";
import { fuzzTarget } from "./fuzz/fuzzer";
import { targets } from "./fuzz/targets";

for (const [index, target] of targets.entries()) {
  test(`${target.name}: 5,000 random accesses`, () => fuzzTarget(target, 5_000, 0xf0220 + index));
}
