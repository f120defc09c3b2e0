// Files with symbols, and images that carry debug information: read in parts, unpacked by the host.
import * as zlib from "node:zlib";
import { ElfFile, isElf, SegmentType, type Inflate } from "../debugger/symbols/elf";
import { bytesOf, FileSource, MemorySource, type ByteSource } from "../debugger/symbols/source";
import { HostImageFile } from "./imageFile";
import { WHOLE_IMAGE } from "./wholeImage";

type Unpack = (data: Uint8Array, options: { maxOutputLength: number; chunkSize: number }) => Uint8Array;

/** Unpacks sections of symbol files. zstd comes with Node 22.15; before, there is none. */
export const inflateSection: Inflate = (data, size, kind) => {
  const { zstdDecompressSync } = zlib as { zstdDecompressSync?: Unpack };
  const unpack: Unpack | undefined = kind === "zlib" ? zlib.inflateSync : zstdDecompressSync;
  // In one piece: pieces that are joined afterwards take the memory twice.
  return unpack?.(data, { maxOutputLength: Math.max(size, 1), chunkSize: size + 64 });
};

/** A file that is read in parts until it is closed. @throws UserError when it cannot be opened */
export function openSymbolFile(path: string): { readonly source: FileSource; readonly close: () => void } {
  const file = new HostImageFile(path, false, "symbols");
  return { source: new FileSource(file), close: () => file.close() };
}

/**
 * What of an image is booted: all of it but, of an ELF file of hundreds of megabytes, which are debug information, only what is loaded. Its section table is left
 * out then. @throws UserError for a damaged ELF file
 */
function bootedPart(source: ByteSource, path: string): Uint8Array {
  if (source.size <= WHOLE_IMAGE || !isElf(source)) return bytesOf(source);
  const elf = new ElfFile(source, path);
  const end = Math.max(4096, ...elf.segments.map(({ type, offset, fileSize }) => (type === SegmentType.Load ? offset + fileSize : 0)));
  const bytes = bytesOf(source, 0, end).slice();
  // e_shoff, and e_shentsize to e_shstrndx.
  if (elf.bits === 64) {
    bytes.fill(0, 0x28, 0x30);
    bytes.fill(0, 0x3a, 0x40);
  } else {
    bytes.fill(0, 0x20, 0x24);
    bytes.fill(0, 0x2e, 0x34);
  }
  return bytes;
}

/** Reads the part of an image that is booted. @throws UserError when it cannot be read */
export function readImage(path: string): Uint8Array {
  const file = new HostImageFile(path, false, "program");
  try {
    return bootedPart(new FileSource(file), path);
  } finally {
    file.close();
  }
}

/** The part that is booted of an image that was read as a whole. @throws UserError for a damaged ELF file */
export function bootedBytes(image: Uint8Array, path: string): Uint8Array {
  return bootedPart(new MemorySource(image), path);
}
