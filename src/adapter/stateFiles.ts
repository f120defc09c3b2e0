// A machine's saved state as a file of this host.
import { closeSync, openSync, readFileSync, renameSync, writeSync } from "node:fs";
import { deflateRawSync, inflateRawSync } from "node:zlib";
import { UserError } from "../common/errors";
import type { Machine } from "../machine/machine";
import { readStateFile, writeStateFile } from "../machine/stateFile";

/** Saves the machine's state; the file is there only when it is whole. @throws UserError when it cannot be written */
export function saveState(machine: Machine, file: string): void {
  const part = `${file}.part`;
  try {
    const descriptor = openSync(part, "w");
    try {
      writeStateFile(
        machine,
        (bytes) => {
          for (let done = 0; done < bytes.length;) done += writeSync(descriptor, bytes, done);
        },
        (data) => deflateRawSync(data, { level: 1 }),
      );
    } finally {
      closeSync(descriptor);
    }
    renameSync(part, file);
  } catch (error) {
    if (!(error instanceof Error && "code" in error)) throw error;
    throw new UserError(`${file}: cannot be written: ${error.message}.`, "save-state");
  }
}

/** Takes a machine that has been booted to a saved state. @throws UserError when the file cannot be read, is damaged, or of another machine */
export function loadState(machine: Machine, file: string): void {
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(file);
  } catch {
    throw new UserError(`${file}: there is no such file, or it may not be read.`, "load-state");
  }
  readStateFile(machine, bytes, file, (data, size) => inflateRawSync(data, { maxOutputLength: Math.max(1, size) }));
}
