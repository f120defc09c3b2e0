// Looks for guests in the workspace, within bounds: a workspace may be as large as a kernel's tree with all its objects.
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { join } from "node:path";
import * as vscode from "vscode";
import { guestConfiguration, isCandidate, type FoundGuest, type GuestConfiguration } from "./configurations";
import { identifyGuest, type GuestFile } from "./identify";

/** Files listed of a folder, files looked into, guests offered, and milliseconds spent. */
const maximumListed = 20_000;
const maximumCandidates = 500;
const maximumGuests = 20;
const patienceMilliseconds = 4_000;

const leftOut = "{**/node_modules/**,**/.git/**,**/.hg/**,**/.svn/**,**/__pycache__/**,**/deps/**,**/CMakeFiles/**}";

/** A guest of a workspace folder, ready to be debugged. */
export interface WorkspaceGuest {
  readonly folder: vscode.WorkspaceFolder;
  readonly guest: FoundGuest;
  /** The configuration as launch.json would have it, its paths relative to the folder. */
  readonly configuration: GuestConfiguration;
}

/** The guests of the workspace folders, those nearest to their folder first. */
export async function findGuests(folders: readonly vscode.WorkspaceFolder[], token?: vscode.CancellationToken): Promise<WorkspaceGuest[]> {
  const until = Date.now() + patienceMilliseconds;
  const found: WorkspaceGuest[] = [];
  for (const folder of folders) {
    if (folder.uri.scheme !== "file") continue;
    const listed = await vscode.workspace.findFiles(new vscode.RelativePattern(folder, "**/*"), leftOut, maximumListed, token);
    const root = folder.uri.path.endsWith("/") ? folder.uri.path : `${folder.uri.path}/`;
    const paths = listed.filter(({ path }) => path.startsWith(root)).map(({ path }) => path.slice(root.length));
    const depth = (path: string): number => path.split("/").length;
    const candidates = paths.filter(isCandidate).sort((a, b) => depth(a) - depth(b) || a.localeCompare(b));
    for (const path of candidates.slice(0, maximumCandidates)) {
      if (found.length >= maximumGuests || Date.now() > until || token?.isCancellationRequested === true) return found;
      const kind = identify(join(folder.uri.fsPath, path));
      if (kind === undefined) continue;
      const guest = { path, kind };
      found.push({ folder, guest, configuration: guestConfiguration(guest, paths, "${workspaceFolder}/") });
      // The extension host has other things to do, too.
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
  return found;
}

/** Looks into a file; what cannot be read is no guest. */
function identify(path: string): ReturnType<typeof identifyGuest> {
  let descriptor: number | undefined;
  try {
    descriptor = openSync(path, "r");
    const opened = descriptor;
    const stat = fstatSync(opened);
    if (!stat.isFile()) return undefined;
    const file: GuestFile = {
      size: stat.size,
      read(offset, length) {
        const bytes = new Uint8Array(length);
        return bytes.subarray(0, readSync(opened, bytes, 0, length, offset));
      },
    };
    return identifyGuest(file);
  } catch {
    return undefined;
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}
