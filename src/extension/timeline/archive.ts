// Keeps what timelines show in files of the workspace's storage, so that it outlives a reload of the window.
import { gunzip, gzip } from "node:zlib";
import { promisify } from "node:util";
import * as vscode from "vscode";
import { timelineRowLength, type TimelinePage } from "../../adapter/timelineProtocol";

const pack = promisify(gzip);
const unpack = promisify(gunzip);
/** Age at which a file that nobody asked for is removed, and the size that none is read above. */
const maximumAge = 7 * 24 * 3600 * 1000;
const maximumBytes = 256 << 20;

export class TimelineArchive {
  /** `storage`: the workspace's folder, undefined in a window without one: nothing is kept then. */
  constructor(private readonly storage: vscode.Uri | undefined) {}

  private file(key: string): vscode.Uri | undefined {
    if (!/^[\w-]{1,80}$/.test(key) || this.storage === undefined) return undefined;
    return vscode.Uri.joinPath(this.storage, "timelines", `${key}.json.gz`);
  }

  async write(key: string, page: TimelinePage): Promise<void> {
    const file = this.file(key);
    if (file !== undefined) await vscode.workspace.fs.writeFile(file, await pack(JSON.stringify(page), { level: 1 }));
  }

  /** What was kept; undefined when there is nothing, or nothing that can be read. */
  async read(key: string): Promise<TimelinePage | undefined> {
    const file = this.file(key);
    if (file === undefined) return undefined;
    try {
      const bytes = await unpack(await vscode.workspace.fs.readFile(file), { maxOutputLength: maximumBytes });
      const page = JSON.parse(bytes.toString("utf8")) as Partial<TimelinePage>;
      const { rows, places, reasons, cpus, now } = page;
      if (!Array.isArray(rows) || rows.length % timelineRowLength !== 0 || !Array.isArray(places) || !Array.isArray(reasons))
        return undefined;
      if (!Array.isArray(cpus) || now === undefined) return undefined;
      return { point: { sequence: 0, digest: 0 }, restarted: true, more: false, running: false, rows, places, reasons, cpus, now };
    } catch {
      return undefined;
    }
  }

  async remove(key: string): Promise<void> {
    const file = this.file(key);
    if (file === undefined) return;
    try {
      await vscode.workspace.fs.delete(file);
    } catch {
      // It was never written.
    }
  }

  /** Removes files of panels that are long gone. */
  async tidy(): Promise<void> {
    if (this.storage === undefined) return;
    const folder = vscode.Uri.joinPath(this.storage, "timelines");
    try {
      for (const [name] of await vscode.workspace.fs.readDirectory(folder)) {
        const file = vscode.Uri.joinPath(folder, name);
        if (Date.now() - (await vscode.workspace.fs.stat(file)).mtime > maximumAge) await vscode.workspace.fs.delete(file);
      }
    } catch {
      // There is no such folder yet.
    }
  }
}
