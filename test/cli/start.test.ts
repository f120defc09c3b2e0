/** How the command line starts: by what V8 compiled when it was built. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { hasV8Flags, v8Flags } from "../../src/cli/v8Flags";

test("V8 takes the code cache that the build left", () => {
  const look = `
    const { readFileSync } = require("node:fs");
    const { Script } = require("node:vm");
    const script = new Script(readFileSync("dist/main.js", "latin1"), { cachedData: readFileSync("dist/main.cache") });
    console.log(script.cachedDataRejected);`;
  const flags = hasV8Flags(process.versions.v8) ? v8Flags : [];
  const { stdout, stderr } = spawnSync(process.execPath, [...flags, "-e", look], { encoding: "utf8" });
  assert.equal(stdout.trim(), "false", stderr);
});

test("the flags that V8 is given are known to it", { skip: !hasV8Flags(process.versions.v8) }, () => {
  const { status, stderr } = spawnSync(process.execPath, ["-e", `require("node:v8").setFlagsFromString("${v8Flags.join(" ")}")`], {
    encoding: "utf8",
  });
  assert.deepEqual({ status, stderr }, { status: 0, stderr: "" });
});
