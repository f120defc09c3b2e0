/** The PVH boot protocol (Xen's x86/HVM direct boot ABI), and the plain ELF start, which hands over the same information block. */
import { ByteWriter, ImageReader, alignUp, cString } from "./bytes";
import type { BootContext } from "./bootContext";
import { elfExtent, loadElf, physicalEntry, type Elf } from "./elf";
import { identityLimit, PageTables } from "./pageTables";
import { PAGE } from "./ram";
import { gprs, longMode, protectedMode } from "./state";
import { MemoryType, type BootState } from "./types";

const START_INFO_MAGIC = 0x336ec578;
const NOTE_PHYS32_ENTRY = 18;
const COMMAND_LINE_LIMIT = 65535;
const STACK_SIZE = 0x4000;

/** The entry point that an ELF note of name "Xen" and type 18 gives, or undefined. */
export function findPvhEntry(elf: Elf): number | undefined {
  for (const note of elf.notes) {
    const reader = new ImageReader(note);
    for (let at = 0; reader.has(at, 12);) {
      const nameSize = reader.u32(at);
      const size = reader.u32(at + 4);
      const body = at + 12 + alignUp(nameSize, 4);
      const isXen = nameSize === 4 && reader.u32(at + 12) === 0x006e6558;
      if (isXen && reader.u32(at + 8) === NOTE_PHYS32_ENTRY && (size === 4 || size === 8) && reader.has(body, size)) {
        return reader.u32(body);
      }
      at = body + alignUp(size, 4);
    }
  }
  return undefined;
}

/** Writes hvm_start_info version 1 with module list, memory map and command line. @returns its address. */
function placeStartInfo(context: BootContext, end: number, reserved: Parameters<BootContext["memoryMap"]>[0]): number {
  const { plan } = context;
  const modules = context.placeModules(end);
  const list = new ByteWriter();
  for (const module of modules) {
    list.u64(module.start, module.end - module.start, plan.place(cString(module.text), 8, "module command line"), 0);
  }
  const ranges = context.memoryMap(reserved);
  const map = new ByteWriter();
  for (const range of ranges) map.u64(range.start, range.end - range.start).u32(range.type, 0);
  const info = new ByteWriter().u32(START_INFO_MAGIC, 1, 0, modules.length);
  info.u64(modules.length === 0 ? 0 : plan.place(list.finish(), 8, "module list"));
  info.u64(plan.place(context.commandLine(COMMAND_LINE_LIMIT), 8, "command line"));
  info.u64(context.tables.rsdp, plan.place(map.finish(), 8, "memory map")).u32(ranges.length, 0);
  return plan.place(info.finish(), 8, "start information");
}

/** Boots an ELF image at its PVH entry. */
export function bootPvh(context: BootContext, elf: Elf, entry: number): BootState {
  loadElf(elf, context.image, context.plan);
  if (!elf.segments.some((segment) => entry >= segment.physical && entry < segment.physical + segment.memorySize)) {
    throw context.bad(`the PVH entry 0x${entry.toString(16)} lies in none of the ELF file's segments.`);
  }
  const info = placeStartInfo(context, elfExtent(elf).end, []);
  return context.state({
    ...protectedMode(context.gdt),
    kind: "pvh",
    entryName: "PVH entry",
    rip: BigInt(entry),
    gprs: gprs({ rbx: BigInt(info) }),
  });
}

/**
 * Starts an ELF image that follows no boot protocol, as if its entry point had been called as a C function with a pointer to PVH's start
 * information: on a stack of 16 KiB in reserved memory, with return address 0, the pointer as the first argument by the calling convention
 * and in EBX.
 *
 * A 64-bit image starts in 64-bit mode with low memory identity-mapped, to 4 GiB or the end of RAM, whichever is higher, and, if it is
 * linked above that, with its segments at their virtual addresses. A 32-bit image starts in flat protected mode without paging.
 */
export function bootPlainElf(context: BootContext, elf: Elf): BootState {
  const { plan } = context;
  loadElf(elf, context.image, plan);
  const wide = elf.bits === 64;
  const identity = identityLimit(context.request.memory);
  const high = wide ? elf.segments.filter((segment) => segment.virtual >= BigInt(identity)) : [];

  const pages = new PageTables();
  if (wide) {
    pages.mapIdentity(identity);
    for (const segment of high) {
      if (!pages.map(segment.virtual, segment.physical, segment.memorySize)) {
        throw context.bad(
          `segment ${segment.index} of the ELF file cannot be mapped at 0x${segment.virtual.toString(16)}: the address is not canonical or contradicts another segment's, or the physical one is not as far into a page.`,
        );
      }
    }
  }
  // One block directly below the tables: page tables, then the stack.
  const size = alignUp(pages.size + STACK_SIZE, PAGE);
  const base = context.tables.start - size;
  const free = plan.find(size, PAGE, base, context.tables.start, true);
  if (free === undefined) throw plan.full("page tables and stack", size);
  plan.keep(base, base + size, wide ? "page tables and stack" : "stack");
  plan.memory.write(base, pages.build(base));
  plan.clear(base + pages.size, size - pages.size);
  const reserved = [{ start: base, end: base + size, type: MemoryType.reserved }];

  const info = placeStartInfo(context, elfExtent(elf).end, reserved);
  const top = base + size;
  if (wide) {
    const inHigh = high.some((segment) => elf.entry >= segment.virtual && elf.entry < segment.virtual + BigInt(segment.memorySize));
    const entry = inHigh ? elf.entry : BigInt(physicalEntry(elf, context.imageName));
    return context.state(
      {
        ...longMode(context.gdt, base),
        kind: "elf",
        entryName: "ELF entry (64-bit)",
        rip: entry,
        // A function's caller pushed the return address on a stack aligned to 16 bytes.
        gprs: gprs({ rsp: BigInt(top - 24), rdi: BigInt(info), rbx: BigInt(info) }),
      },
      reserved,
    );
  }
  const argument = new ByteWriter().u32(0, info).finish();
  const stack = top - 20;
  plan.memory.write(stack, argument);
  return context.state(
    {
      ...protectedMode(context.gdt),
      kind: "elf",
      entryName: "ELF entry (32-bit)",
      rip: BigInt(physicalEntry(elf, context.imageName)),
      gprs: gprs({ rsp: BigInt(stack), rbx: BigInt(info) }),
    },
    reserved,
  );
}
