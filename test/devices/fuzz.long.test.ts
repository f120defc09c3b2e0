import { test } from "node:test";
import { fuzzTarget } from "./fuzz/fuzzer";
import { targets } from "./fuzz/targets";

for (const [index, target] of targets.entries()) {
  test(`${target.name}: 1,000,000 random accesses`, () => fuzzTarget(target, 1_000_000, 0x10f0220 + index));
}
