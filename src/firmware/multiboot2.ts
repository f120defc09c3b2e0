/** Multiboot 2 (Multiboot2 Specification 2.0). */
import { VGA_TEXT_BASE } from "../devices/board";
import { RSDP_V1_LENGTH } from "./acpi/tables";
import { ByteWriter, alignDown, alignUp, cString, type ImageReader } from "./bytes";
import { LOADER_NAME, type BootContext } from "./bootContext";
import { elfExtent, isElf, loadElf, parseElf, physicalEntry, placeSections } from "./elf";
import { loadByAddresses, type AddressFields } from "./multiboot1";
import { lowRamEnd, MIB } from "./ram";
import { gprs, multibootMode } from "./state";
import type { BootState } from "./types";

const HEADER_MAGIC = 0xe85250d6;
const LOADER_MAGIC = 0x36d76289n;
const SEARCH_LENGTH = 32768;
const ARCHITECTURE_I386 = 0;
const ARCHITECTURE_MIPS = 4;
const COMMAND_LINE_LIMIT = 65535;

/** Header tags. */
const enum Tag {
  end = 0,
  information = 1,
  address = 2,
  entry = 3,
  console = 4,
  framebuffer = 5,
  moduleAlignment = 6,
  efiBootServices = 7,
  efiEntry32 = 8,
  efiEntry64 = 9,
  relocatable = 10,
}

/** Information tags. */
const enum Info {
  commandLine = 1,
  loaderName = 2,
  module = 3,
  basicMemory = 4,
  memoryMap = 6,
  framebuffer = 8,
  elfSections = 9,
  oldRsdp = 14,
  newRsdp = 15,
  loadBase = 21,
}

/** Those that can be given; the load base only for images that can be moved, ELF sections only for ELF files. */
const GIVEN: ReadonlySet<number> = new Set([
  Info.commandLine,
  Info.loaderName,
  Info.module,
  Info.basicMemory,
  Info.memoryMap,
  Info.framebuffer,
  Info.elfSections,
  Info.oldRsdp,
  Info.newRsdp,
  Info.loadBase,
]);

export interface Multiboot2Header {
  readonly offset: number;
  readonly length: number;
  readonly architecture: number;
}

/** Finds the header, or undefined. */
export function findMultiboot2(image: ImageReader): Multiboot2Header | undefined {
  for (let offset = 0; offset + 16 <= Math.min(image.length, SEARCH_LENGTH); offset += 8) {
    if (image.u32(offset) !== HEADER_MAGIC) continue;
    const architecture = image.u32(offset + 4);
    const length = image.u32(offset + 8);
    if (((HEADER_MAGIC + architecture + length + image.u32(offset + 12)) & 0xffffffff) === 0) return { offset, length, architecture };
  }
  return undefined;
}

interface Relocation {
  readonly minimum: number;
  readonly maximum: number;
  readonly alignment: number;
  readonly preferHighest: boolean;
  readonly preferLowest: boolean;
}

interface Wishes {
  readonly addresses: AddressFields | undefined;
  readonly entry: number | undefined;
  readonly relocation: Relocation | undefined;
  readonly framebuffer: boolean;
}

/** Reads the header's tags. Anything required that cannot be had is the user's to know. */
function readTags(context: BootContext, header: Multiboot2Header): Wishes {
  const { image } = context;
  if (header.architecture !== ARCHITECTURE_I386) {
    const name = header.architecture === ARCHITECTURE_MIPS ? "MIPS" : `architecture ${header.architecture}`;
    throw context.bad(`the Multiboot 2 header is for ${name}, not for i386.`);
  }
  const end = header.offset + header.length;
  if (header.length < 16 || end > image.length) throw context.bad("the file is truncated within its Multiboot 2 header.");
  let addresses: AddressFields | undefined;
  let entry: number | undefined;
  let relocation: Relocation | undefined;
  let framebuffer = false;
  let efi: string | undefined;
  // Tags are at least 8 bytes and at most the search length can matter, which bounds the loop.
  for (let at = header.offset + 16; ;) {
    if (at + 8 > end) throw context.bad("the tags of the Multiboot 2 header have no end tag.");
    const type = image.u16(at);
    const required = (image.u16(at + 2) & 1) === 0;
    const size = image.u32(at + 4);
    if (type === (Tag.end as number)) break;
    if (size < 8 || at + size > end) throw context.bad(`tag ${type} of the Multiboot 2 header has a wrong size, ${size} bytes.`);
    const need = (bytes: number): void => {
      if (size < bytes) throw context.bad(`tag ${type} of the Multiboot 2 header is too short: ${size} bytes instead of ${bytes}.`);
    };
    const field = (index: number): number => image.u32(at + 8 + index * 4);
    switch (type as Tag) {
      case Tag.information:
        for (let i = 0; required && i < Math.floor((size - 8) / 4); i++) {
          if (!GIVEN.has(field(i))) {
            throw context.bad(`the Multiboot 2 header requires information ${field(i)}, which a machine without firmware does not have.`);
          }
        }
        break;
      case Tag.address:
        need(24);
        addresses = {
          headerAddress: field(0),
          loadAddress: field(1) === 0xffffffff ? undefined : field(1),
          loadEnd: field(2),
          bssEnd: field(3),
        };
        break;
      case Tag.entry:
        need(12);
        entry = field(0);
        break;
      case Tag.console:
      case Tag.moduleAlignment:
        // The console is a text screen and modules always stand on page boundaries.
        break;
      case Tag.framebuffer:
        framebuffer = true;
        break;
      case Tag.efiBootServices:
        if (required) efi = "EFI boot services";
        break;
      case Tag.efiEntry32:
      case Tag.efiEntry64:
        if (required) efi = "an EFI entry point";
        break;
      case Tag.relocatable: {
        need(24);
        const alignment = field(2);
        if (alignment === 0 || (alignment & (alignment - 1)) !== 0) {
          throw context.bad(
            `the relocatable tag of the Multiboot 2 header asks for an alignment of ${alignment}, which is no power of two.`,
          );
        }
        relocation = { minimum: field(0), maximum: field(1), alignment, preferLowest: field(3) === 1, preferHighest: field(3) === 2 };
        break;
      }
      default:
        if (required) throw context.bad(`the Multiboot 2 header has tag ${type}, which is not known, and does not say it is optional.`);
    }
    at += alignUp(size, 8);
  }
  if (efi !== undefined && entry === undefined) {
    throw context.bad(`the Multiboot 2 header requires ${efi}, and there is no EFI firmware: give it an entry address tag as well.`);
  }
  return { addresses, entry, relocation, framebuffer };
}

/** How far to move an image that lies at [start, end) so that it suits its relocatable tag. */
function chooseOffset(context: BootContext, start: number, end: number, relocation: Relocation): number {
  const { plan } = context;
  const size = end - start;
  // The tag's maximum is the highest address the image may end at.
  const limit = Math.min(relocation.maximum + 1, plan.tablesStart);
  const fits = start >= Math.max(relocation.minimum, MIB) && end <= limit && start === alignDown(start, relocation.alignment);
  if (fits && !relocation.preferHighest && !relocation.preferLowest) return 0;
  const place = plan.find(size, relocation.alignment, Math.max(relocation.minimum, MIB), limit, relocation.preferHighest);
  if (place === undefined) throw plan.full("the relocatable image", size);
  return place - start;
}

/** Boots an image with this header. */
export function bootMultiboot2(context: BootContext, header: Multiboot2Header): BootState {
  const { image, plan } = context;
  const wishes = readTags(context, header);
  const info = new ByteWriter().u32(0, 0);
  const tag = (type: Info, write: () => void): void => {
    const at = info.length;
    info.u32(type, 0);
    write();
    info.patch32(at + 4, info.length - at).align(8);
  };

  let entry: number;
  let end: number;
  let offset = 0;
  if (wishes.addresses !== undefined) {
    if (wishes.entry === undefined) throw context.bad("the Multiboot 2 header has an address tag and no entry address tag.");
    ({ end } = loadByAddresses(context, header.offset, wishes.addresses));
    entry = wishes.entry;
  } else {
    if (!isElf(image)) {
      throw context.bad("the Multiboot 2 header has no address tag and the file is not ELF: there is no telling where to load it.");
    }
    const elf = parseElf(image, context.imageName);
    const extent = elfExtent(elf);
    if (wishes.relocation !== undefined) {
      if (extent.end > lowRamEnd(Number.MAX_SAFE_INTEGER)) throw context.bad("the ELF file is linked above 3 GiB, where there is no RAM.");
      offset = chooseOffset(context, extent.start, extent.end, wishes.relocation);
    }
    loadElf(elf, image, plan, offset);
    end = extent.end + offset;
    entry = (wishes.entry ?? physicalEntry(elf, context.imageName)) + offset;
    if (elf.sections !== undefined) {
      const sections = placeSections(elf, elf.sections, image, plan, offset);
      tag(Info.elfSections, () => info.u32(sections.count, sections.entrySize, sections.names).bytes(sections.table));
    }
    if (wishes.relocation !== undefined) tag(Info.loadBase, () => info.u32(extent.start + offset));
  }

  const modules = context.placeModules(end);
  const { lower, upper } = context.basicMemory();
  tag(Info.commandLine, () => info.bytes(context.commandLine(COMMAND_LINE_LIMIT)));
  tag(Info.loaderName, () => info.bytes(cString(LOADER_NAME)));
  for (const module of modules) tag(Info.module, () => info.u32(module.start, module.end).bytes(cString(module.text)));
  tag(Info.basicMemory, () => info.u32(lower / 1024, Math.floor(upper / 1024)));
  tag(Info.memoryMap, () => {
    info.u32(24, 0);
    for (const range of context.memoryMap()) info.u64(range.start, range.end - range.start).u32(range.type, 0);
  });
  if (wishes.framebuffer) {
    // What there is: an 80 by 25 text screen (type 2), 160 bytes a line, 16 bits a character.
    tag(Info.framebuffer, () => info.u64(VGA_TEXT_BASE).u32(160, 80, 25).u8(16, 2).u16(0));
  }
  tag(Info.oldRsdp, () => info.bytes(context.tables.rsdpBytes.subarray(0, RSDP_V1_LENGTH)));
  tag(Info.newRsdp, () => info.bytes(context.tables.rsdpBytes));
  info.u32(0, 8);
  info.patch32(0, info.length);
  const address = plan.place(info.finish(), 8, "Multiboot 2 information");

  return context.state({
    ...multibootMode(context.multibootGdt),
    kind: "multiboot2",
    entryName: "Multiboot 2 entry",
    rip: BigInt(entry),
    gprs: gprs({ rax: LOADER_MAGIC, rbx: BigInt(address) }),
    loadOffset: BigInt(offset),
  });
}
