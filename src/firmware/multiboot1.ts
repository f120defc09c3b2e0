/** Multiboot 1 (Multiboot Specification 0.6.96). */
import { VGA_TEXT_BASE } from "../devices/board";
import { ByteWriter, cString, type ImageReader } from "./bytes";
import { LOADER_NAME, type BootContext } from "./bootContext";
import { elfExtent, isElf, loadElf, parseElf, physicalEntry, placeSections } from "./elf";
import { gprs, multibootMode } from "./state";
import type { BootState } from "./types";

const HEADER_MAGIC = 0x1badb002;
const LOADER_MAGIC = 0x2badb002n;
/** The header lies within this many bytes from the start of the file. */
const SEARCH_LENGTH = 8192;
const INFO_LENGTH = 116;
const COMMAND_LINE_LIMIT = 65535;

const FLAG_VIDEO = 1 << 2;
/** The flags an image may insist on: page-aligned modules, memory information, video mode information. */
const KNOWN_REQUIREMENTS = 0x7;
const FLAG_ADDRESSES = 1 << 16;

export interface Multiboot1Header {
  readonly offset: number;
  readonly flags: number;
}

/** Finds the header, or undefined. */
export function findMultiboot1(image: ImageReader): Multiboot1Header | undefined {
  for (let offset = 0; offset + 12 <= Math.min(image.length, SEARCH_LENGTH); offset += 4) {
    if (image.u32(offset) !== HEADER_MAGIC) continue;
    const flags = image.u32(offset + 4);
    if (((HEADER_MAGIC + flags + image.u32(offset + 8)) & 0xffffffff) === 0) return { offset, flags };
  }
  return undefined;
}

/**
 * An image with load addresses in its header instead of an ELF file: where what goes. Shared with Multiboot 2, whose address tag has the
 * same fields. `loadAddress` undefined: the file's first byte belongs at the place that follows from the header's.
 */
export interface AddressFields {
  readonly headerAddress: number;
  readonly loadAddress: number | undefined;
  readonly loadEnd: number;
  readonly bssEnd: number;
}

/** Loads a flat image. @returns where it lies. */
export function loadByAddresses(context: BootContext, headerOffset: number, fields: AddressFields): { start: number; end: number } {
  const { image, plan } = context;
  const start = fields.loadAddress ?? fields.headerAddress - headerOffset;
  const fileOffset = headerOffset - (fields.headerAddress - start);
  if (start < 0 || start > fields.headerAddress || fileOffset < 0) {
    throw context.bad("the addresses in the Multiboot header contradict the header's place in the file.");
  }
  const size = fields.loadEnd === 0 ? image.length - fileOffset : fields.loadEnd - start;
  if (size <= 0) throw context.bad("the Multiboot header's load addresses describe an empty image.");
  if (!image.has(fileOffset, size)) {
    throw context.bad(
      `the file is truncated: the Multiboot header asks for ${size} bytes at offset ${fileOffset}, it has ${image.length}.`,
    );
  }
  const end = Math.max(start + size, fields.bssEnd);
  plan.claim(start, end - start, "the image");
  plan.memory.write(start, image.slice(fileOffset, size));
  plan.clear(start + size, end - start - size);
  return { start, end };
}

/** Boots an image with this header. */
export function bootMultiboot1(context: BootContext, header: Multiboot1Header): BootState {
  const { image, plan } = context;
  const unknown = header.flags & 0xffff & ~KNOWN_REQUIREMENTS;
  if (unknown !== 0) {
    throw context.bad(`the Multiboot header requires features 0x${unknown.toString(16)} that Multiboot 1 does not define.`);
  }

  const info = new ByteWriter().zeros(INFO_LENGTH);
  let flags = 0;
  let entry: number;
  let end: number;
  if ((header.flags & FLAG_ADDRESSES) !== 0) {
    if (!image.has(header.offset, 32)) throw context.bad("the file is truncated within its Multiboot header.");
    const field = (index: number): number => image.u32(header.offset + 12 + index * 4);
    ({ end } = loadByAddresses(context, header.offset, {
      headerAddress: field(0),
      loadAddress: field(1),
      loadEnd: field(2),
      bssEnd: field(3),
    }));
    entry = field(4);
  } else {
    if (!isElf(image)) {
      throw context.bad(
        "the Multiboot header names no load addresses (flag 16) and the file is not ELF: there is no telling where to load it.",
      );
    }
    const elf = parseElf(image, context.imageName);
    loadElf(elf, image, plan);
    ({ end } = elfExtent(elf));
    entry = physicalEntry(elf, context.imageName);
    if (elf.sections !== undefined) {
      const { table, count, entrySize, names } = placeSections(elf, elf.sections, image, plan, 0);
      flags |= 1 << 5;
      info
        .patch32(28, count)
        .patch32(32, entrySize)
        .patch32(36, plan.place(table, 8, "ELF section headers"))
        .patch32(40, names);
    }
  }

  const modules = context.placeModules(end);
  const { lower, upper } = context.basicMemory();
  flags |= 1 << 0;
  info.patch32(4, lower / 1024).patch32(8, Math.floor(upper / 1024));

  flags |= 1 << 2;
  info.patch32(16, plan.place(context.commandLine(COMMAND_LINE_LIMIT), 4, "command line"));

  flags |= 1 << 3;
  const list = new ByteWriter();
  for (const module of modules) list.u32(module.start, module.end, plan.place(cString(module.text), 4, "module name"), 0);
  info.patch32(20, modules.length).patch32(24, modules.length === 0 ? 0 : plan.place(list.finish(), 4, "module list"));

  flags |= 1 << 6;
  const map = new ByteWriter();
  // Each entry's size field does not count itself.
  for (const range of context.memoryMap()) {
    map
      .u32(20)
      .u64(range.start, range.end - range.start)
      .u32(range.type);
  }
  info.patch32(44, map.length).patch32(48, plan.place(map.finish(), 4, "memory map"));

  flags |= 1 << 9;
  info.patch32(64, plan.place(cString(LOADER_NAME), 4, "boot loader name"));

  if ((header.flags & FLAG_VIDEO) !== 0) {
    // What there is: an 80 by 25 text screen (type 2), 160 bytes a line, 16 bits a character.
    flags |= 1 << 12;
    info.patch64(88, VGA_TEXT_BASE).patch32(96, 160).patch32(100, 80).patch32(104, 25).patch8(108, 16).patch8(109, 2);
  }
  info.patch32(0, flags);
  const address = plan.place(info.finish(), 8, "Multiboot information");

  return context.state({
    ...multibootMode(context.multibootGdt),
    kind: "multiboot1",
    entryName: "Multiboot entry",
    rip: BigInt(entry),
    gprs: gprs({ rax: LOADER_MAGIC, rbx: BigInt(address) }),
  });
}
