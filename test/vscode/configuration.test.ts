import assert from "node:assert/strict";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as vscode from "vscode";
import { ConfigurationProvider } from "../../src/extension/configuration";
import { api, extension } from "./extension";
import { folder } from "./guests";
import { errorsOf } from "./inputs";
import { test } from "./runner";

async function provider(): Promise<ConfigurationProvider> {
  const { extensionUri, exports } = await extension();
  return new ConfigurationProvider(extensionUri, exports.breakpoints);
}

const launch = { type: "apicscope", request: "launch", name: "test" };

test("left-out attributes get their defaults, given ones stay", async () => {
  const resolved = await (await provider()).resolveDebugConfiguration(folder(), { ...launch, program: "kernel.elf", cpus: 2 });
  assert.deepEqual(
    { cpus: resolved?.["cpus"] as number, memory: resolved?.["memory"] as number, engine: resolved?.["engine"] as string },
    { cpus: 2, memory: 128, engine: "auto" },
  );
  assert.equal(resolved?.["program"], "kernel.elf");
});

test("F5 without a launch.json debugs the bundled guest", async () => {
  const empty = {} as vscode.DebugConfiguration;
  const resolved = await (await provider()).resolveDebugConfiguration(folder(), empty);
  assert.equal(resolved?.type, "apicscope");
  assert.match(String(resolved?.["program"]), /smp\.elf$/);
});

test("a resolved configuration carries the workspace's interrupt breakpoints", async () => {
  const { breakpoints } = await api();
  const program = join(folder().uri.fsPath, "guest.bin");
  writeFileSync(program, "not a guest");
  const { id } = await breakpoints.add({ filter: "nmi", condition: "dst == 1" });
  const resolved = await (await provider()).resolveDebugConfigurationWithSubstitutedVariables(folder(), { ...launch, program });
  assert.deepEqual(resolved?.["workspaceInterruptBreakpoints"], [{ id, filter: "nmi", enabled: true, condition: "dst == 1" }]);
  rmSync(program);
});

for (const [name, sentence] of [
  ["No program", /"program" is missing/],
  ["Missing file", /"program" names .*nowhere\.elf, which does not exist/],
] as const) {
  test(`launch.json's '${name}' is refused with one sentence`, async () => {
    const shown = await errorsOf(async () => assert.equal(await vscode.debug.startDebugging(folder(), name), false));
    assert.equal(shown.length, 1);
    assert.match(shown[0], sentence);
    assert.deepEqual((await api()).sessions.all, []);
  });
}
