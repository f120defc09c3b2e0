/**
 * What the block layer needs of the host: files by random access, and a decompressor. Synchronous, because the guest's disk command must complete
 * at a given instruction whatever the host does; a browser worker has synchronous file access as well.
 */

/** A file of the host, open for reading and perhaps for writing. Never read as a whole. */
export interface ImageFile {
  /** As the user named it, for messages. */
  readonly name: string;
  /** Bytes. Fixed while it is open. */
  readonly size: number;
  readonly writable: boolean;
  /** Fills `target` from byte `offset` on; offset + target.length is at most `size`. @throws UserError when the host fails. */
  read(offset: number, target: Uint8Array): void;
  /** @throws UserError when the host fails, or the file is not writable. */
  write(offset: number, bytes: Uint8Array): void;
  /** Makes what was written durable. */
  flush(): void;
}

/** Inflates raw deflate data that gives at most `size` bytes. @throws for data that is damaged. */
export type Inflate = (data: Uint8Array, size: number) => Uint8Array;

/** The content of a disk as an image format gives it. */
export interface BlockSource {
  /** "raw" or "qcow2". */
  readonly format: string;
  /** Bytes of the virtual disk. */
  readonly size: number;
  /** Fills `target` from byte `offset` on; the range lies inside the disk. @throws UserError for damaged metadata. */
  read(offset: number, target: Uint8Array): void;
  /** Undefined where the format cannot be written. */
  readonly write: ((offset: number, bytes: Uint8Array) => void) | undefined;
  flush(): void;
}

export const SECTOR = 512;

/** How the guest's writes are kept: in memory (the file is never written), not at all (the disk is write-protected), or in memory and in the file. */
export type WriteMode = "overlay" | "readonly" | "write-through";

export const DISK_INTERFACES = ["ide", "ahci", "virtio"] as const;
export type DiskInterface = (typeof DISK_INTERFACES)[number];
export const IMAGE_FORMATS = ["raw", "qcow2"] as const;
export type ImageFormat = (typeof IMAGE_FORMATS)[number];

/** A disk of the machine. */
export interface DiskConfiguration {
  readonly file: ImageFile;
  /** Default "ide". */
  readonly interface?: DiskInterface;
  /** Default: found out from the file's first bytes. */
  readonly format?: ImageFormat;
  /** Default "overlay". */
  readonly mode?: WriteMode;
}
