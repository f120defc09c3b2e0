/** The bundles bring the interpreter's module as bytes: they must be what the sources make. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { assembleInterpreter } from "../../src/tcg/interpreter/interpreter";

test("bundles bring the bytes that the interpreter's generator makes", () => {
  const bytes = Buffer.from(assembleInterpreter()).toString("base64");
  for (const bundle of ["main.js", "engine.js"])
    assert.ok(readFileSync(`dist/${bundle}`, "latin1").includes(`"${bytes}"`), `dist/${bundle}: build anew`);
});
