// What the other tests rest on: a session gets the focus, whatever VS Code has given it to before.
import assert from "node:assert/strict";
import * as vscode from "vscode";
import { api } from "./extension";
import { FakeAdapter } from "./fakeAdapter";
import { startFake } from "./fakeSession";
import { endAll, start } from "./guests";
import { eventually, log, test } from "./runner";

/** A file system with one file, which is read when `open` is called. */
class SlowFiles implements vscode.FileSystemProvider, vscode.Disposable {
  readonly onDidChangeFile = new vscode.EventEmitter<vscode.FileChangeEvent[]>().event;
  asked = false;
  open = (): void => undefined;
  private readonly opened = new Promise<void>((resolve) => (this.open = resolve));

  watch = (): vscode.Disposable => new vscode.Disposable(() => undefined);
  stat = (): vscode.FileStat => ({ type: vscode.FileType.File, ctime: 0, mtime: 0, size: 1 });
  readDirectory = (): [] => [];
  createDirectory = (): void => undefined;
  writeFile = (): void => undefined;
  delete = (): void => undefined;
  rename = (): void => undefined;

  private readonly registered = vscode.workspace.registerFileSystemProvider("slow", this, { isReadonly: true });

  async readFile(): Promise<Uint8Array> {
    this.asked = true;
    await this.opened;
    return new Uint8Array([10]);
  }

  dispose(): void {
    this.registered.dispose();
  }
}

test("a session gets the focus after one that ended while VS Code opened its source", async () => {
  const files = new SlowFiles();
  const fake = await FakeAdapter.start();
  fake.source = "slow:///source.c";
  try {
    await startFake(fake);
    await eventually("VS Code opens the source", () => (files.asked ? true : undefined));
    await endAll();
    files.open();
    const ended = await eventually("the focus of the session that has ended", () => vscode.debug.activeDebugSession);
    log(`the focus is on "${ended.name}"`);
    const { session } = await start({ name: "next", stopOnEntry: true });
    assert.equal(vscode.debug.activeDebugSession?.id, session.id);
    await endAll();
    await eventually("no session has the focus", () => (vscode.debug.activeDebugSession === undefined ? true : undefined));
    assert.equal((await api()).sessions.shown, undefined);
  } finally {
    fake.close();
    files.dispose();
  }
});
