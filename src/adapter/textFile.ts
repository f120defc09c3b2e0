// Text files that a session writes on request.
import { closeSync, openSync, writeSync } from "node:fs";
import { UserError } from "../common/errors";

/** Writes a file piece by piece. @throws UserError when it cannot be written */
export function writeTextFile(file: string, pieces: () => Iterable<string>): void {
  const cannot = (error: unknown): UserError =>
    new UserError(`${file} cannot be written: ${error instanceof Error ? error.message : String(error)}.`, file);
  let descriptor: number;
  try {
    descriptor = openSync(file, "w");
  } catch (error) {
    throw cannot(error);
  }
  try {
    for (const piece of pieces()) {
      const bytes = Buffer.from(piece);
      try {
        for (let done = 0; done < bytes.length;) done += writeSync(descriptor, bytes, done);
      } catch (error) {
        throw cannot(error);
      }
    }
  } finally {
    closeSync(descriptor);
  }
}
