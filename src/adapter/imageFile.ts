// Disk images as files of the host, by random access: an image of many gigabytes is never read as a whole.
import { closeSync, constants, fstatSync, fsyncSync, openSync, readSync, writeSync } from "node:fs";
import { inflateRawSync } from "node:zlib";
import { UserError } from "../common/errors";
import type { ImageFile, Inflate } from "../devices/block/image";

const text = (error: unknown): string => {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  if (code === "ENOENT") return "there is no such file";
  if (code === "EACCES" || code === "EPERM") return "permission is denied";
  if (code === "EISDIR") return "it is a folder";
  if (code === "EROFS") return "its file system is read-only";
  return error instanceof Error ? error.message : String(error);
};

/** An open image file; the descriptor lives until `close`. */
export class HostImageFile implements ImageFile {
  readonly size: number;
  private readonly descriptor: number;

  /**
   * @param subject launch attribute or option that messages name
   * @throws UserError when the file cannot be opened or is not a regular file.
   */
  constructor(
    readonly name: string,
    readonly writable: boolean,
    private readonly subject: string,
  ) {
    try {
      this.descriptor = openSync(name, writable ? constants.O_RDWR : constants.O_RDONLY);
    } catch (error) {
      throw new UserError(`${name} cannot be opened${writable ? " for writing" : ""}: ${text(error)}.`, subject);
    }
    const stat = fstatSync(this.descriptor);
    if (!stat.isFile()) {
      this.close();
      throw new UserError(`${name} is not a regular file.`, subject);
    }
    this.size = stat.size;
  }

  read(offset: number, target: Uint8Array): void {
    for (let done = 0; done < target.length;) {
      let count: number;
      try {
        count = readSync(this.descriptor, target, done, target.length - done, offset + done);
      } catch (error) {
        throw new UserError(`${this.name} cannot be read: ${text(error)}.`, this.subject);
      }
      if (count === 0) throw new UserError(`${this.name} became shorter while it was in use.`, this.subject);
      done += count;
    }
  }

  write(offset: number, bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length;) {
      try {
        done += writeSync(this.descriptor, bytes, done, bytes.length - done, offset + done);
      } catch (error) {
        throw new UserError(`${this.name} cannot be written: ${text(error)}.`, this.subject);
      }
    }
  }

  flush(): void {
    try {
      fsyncSync(this.descriptor);
    } catch (error) {
      throw new UserError(`${this.name} cannot be written: ${text(error)}.`, this.subject);
    }
  }

  close(): void {
    closeSync(this.descriptor);
  }
}

/** Raw deflate, bounded. */
export const inflateRaw: Inflate = (data, size) => inflateRawSync(data, { maxOutputLength: size, finishFlush: 2 });
