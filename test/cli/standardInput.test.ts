import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";

/** What a process with such a standard input says that it is, and whether it had to make Node's stream to know. */
function kindOf(input: "ignore" | "pipe"): string {
  const code = `
    const { kindOfInput } = require("./src/cli/standardInput.ts");
    let streams = 0;
    const stdin = Object.getOwnPropertyDescriptor(process, "stdin");
    Object.defineProperty(process, "stdin", { get: () => (streams++, stdin.get.call(process)) });
    console.log(kindOfInput(), streams);`;
  const { stdout, stderr } = spawnSync(process.execPath, ["--require", "tsx/cjs", "--eval", code], {
    stdio: [input, "pipe", "pipe"],
    encoding: "utf8",
  });
  assert.equal(stderr, "");
  return stdout.trim();
}

test("the null device and pipes are told apart without Node's streams", () => {
  assert.equal(kindOf("ignore"), "nothing 0");
  assert.equal(kindOf("pipe"), "bytes 0");
});
