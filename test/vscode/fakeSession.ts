import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import * as vscode from "vscode";
import { api } from "./extension";
import { FakeAdapter } from "./fakeAdapter";
import { folder, focused } from "./guests";
import { eventually } from "./runner";

/** Starts a session against a fake adapter. */
export async function startFake(fake: FakeAdapter): Promise<void> {
  const program = join(folder().uri.fsPath, "guest.bin");
  writeFileSync(program, "any file will do");
  const launch = { type: "apicscope", request: "launch", name: "fake", program, debugServer: fake.port };
  assert.equal(await vscode.debug.startDebugging(folder(), launch), true);
}

/** Runs a body in a session against a fake adapter, which has stopped once, in CPU 0. */
export async function inSession(body: (fake: FakeAdapter) => Promise<void>): Promise<void> {
  const { breakpoints, sessions } = await api();
  const fake = await FakeAdapter.start();
  try {
    await startFake(fake);
    await eventually("the first stop is shown", () => sessions.shown?.history.state);
    await focused(await eventually("the session", () => sessions.shown));
    await body(fake);
  } finally {
    await vscode.debug.stopDebugging();
    fake.close();
    await breakpoints.removeAll();
    await eventually("the session ends", () => (sessions.shown === undefined ? true : undefined));
  }
}
