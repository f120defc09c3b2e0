// Linux's modules as they lie in a guest's memory: which are loaded, and where the sections of one are. Known by what has not changed in a long time (how `struct module` begins, from Linux 4.5 on also
// `struct mod_kallsyms`) and by the module's own file, so that no debug information of the kernel is needed.
import type { ElfFile, ElfSection } from "./elf";
import { SectionFlag, SectionType } from "./elf";
import { bytesOf } from "./source";
import type { SectionAddresses } from "./relocations";

/** Reads up to `size` bytes of the kernel's memory; undefined where nothing is mapped. */
export type ReadKernel = (address: bigint, size: number) => Uint8Array | undefined;

/** One entry of the kernel's list of modules. */
export interface LoadedModule {
  readonly name: string;
  /** Address of its `struct module`. */
  readonly address: bigint;
  readonly state: number;
}

/** `enum module_state`. */
export const ModuleState = { live: 0, coming: 1, going: 2, unformed: 3 } as const;

/** The list of a guest may be damaged: it is followed so far. */
const mostModules = 4096;
/** What is read of a guest's table of symbols. */
const mostSymbols = 65_536;
const mostNames = 4 << 20;
/** What the kernel reads while it loads a module, and does not keep. */
const readOnly = new Set([".modinfo", "__versions"]);
/** Where the file keeps what becomes `struct module`. */
const structSection = ".gnu.linkonce.this_module";

/** Words of the guest: pointers and what is as long. */
class Words {
  constructor(
    readonly bytes: 4 | 8,
    private readonly read: ReadKernel,
  ) {}

  block(address: bigint, size: number): Uint8Array | undefined {
    const found = this.read(address, size);
    return found === undefined || found.length < size ? undefined : found;
  }

  in(block: Uint8Array, offset: number): bigint {
    const view = new DataView(block.buffer, block.byteOffset, block.byteLength);
    return this.bytes === 8 ? view.getBigUint64(offset, true) : BigInt(view.getUint32(offset, true));
  }

  at(address: bigint): bigint | undefined {
    const block = this.block(address, this.bytes);
    return block === undefined ? undefined : this.in(block, 0);
  }
}

/** Names of modules and of most symbols are ASCII; they are compared only. */
const textUpTo0 = (bytes: Uint8Array): string => {
  const end = bytes.indexOf(0);
  return String.fromCharCode(...bytes.subarray(0, Math.min(end < 0 ? bytes.length : end, 512)));
};

/** The kernel's modules, from the list that begins at `head` (its symbol `modules`); undefined where no such list can be read. */
export function readModules(head: bigint, bits: 32 | 64, read: ReadKernel): LoadedModule[] | undefined {
  const words = new Words(bits === 64 ? 8 : 4, read);
  const { bytes } = words;
  const found: LoadedModule[] = [];
  let before = head;
  for (let at = words.at(head); at !== head; at = words.at(before)) {
    // Each entry points back at the one before; a list that is not there yet, or that is being changed, does not.
    if (at === undefined || found.length === mostModules || words.at(at + BigInt(bytes)) !== before) return undefined;
    // struct module: the state in a word, the list's two pointers, the name.
    const block = words.block(at - BigInt(bytes), 3 * bytes + 64 - bytes);
    if (block === undefined) return undefined;
    const state = new DataView(block.buffer, block.byteOffset).getUint32(0, true);
    found.push({ name: textUpTo0(block.subarray(3 * bytes)), address: at - BigInt(bytes), state });
    before = at;
  }
  return found;
}

/** The name under which the kernel knows the module of this file. */
export function moduleName(elf: ElfFile): string {
  const bytes = elf.bits / 8;
  const own = elf.section(structSection);
  if (own !== undefined && own.type !== SectionType.Nobits) {
    const name = textUpTo0(bytesOf(elf.sectionSource(own), 3 * bytes, 64 - bytes));
    if (name !== "") return name;
  }
  const information = elf.section(".modinfo");
  if (information !== undefined && information.type !== SectionType.Nobits) {
    const text = new TextDecoder("latin1").decode(bytesOf(elf.sectionSource(information), 0, mostNames));
    const entry = text.split("\0").find((line) => line.startsWith("name="));
    if (entry !== undefined) return entry.slice(5);
  }
  const file = elf.name.replace(/^.*[\\/]/, "").replace(/\.ko\b.*$/, "");
  return file.replaceAll("-", "_");
}

/** What a file says of its own symbols. */
interface OwnSymbol {
  readonly section: ElfSection;
  /** Offset in the section. */
  readonly value: bigint;
}

/** The symbols of a file whose names no other has, by name. */
function uniqueSymbols(elf: ElfFile): ReadonlyMap<string, OwnSymbol> {
  const found = new Map<string, OwnSymbol>();
  const repeated = new Set<string>();
  for (const { name, address, section } of elf.symbols()) {
    const place = elf.sections.at(section);
    if (place === undefined) continue;
    if (found.has(name)) repeated.add(name);
    found.set(name, { section: place, value: address - place.address });
  }
  for (const name of repeated) found.delete(name);
  return found;
}

/** Counts what symbols say of where a section begins. */
class Votes {
  private readonly bases = new Map<string, Map<bigint, number>>();

  add({ section, value }: OwnSymbol, address: bigint): void {
    const { name } = section;
    const base = address - value;
    const known = this.bases.get(name) ?? new Map<bigint, number>();
    known.set(base, (known.get(base) ?? 0) + 1);
    this.bases.set(name, known);
  }

  /** Where the sections lie on which nearly all agree; undefined when they do not: the file is another than the loaded one. */
  result(): Map<string, bigint> | undefined {
    const found = new Map<string, bigint>();
    for (const [name, bases] of this.bases) {
      const total = [...bases.values()].reduce((sum, count) => sum + count, 0);
      const [best] = [...bases].sort(([, a], [, b]) => b - a);
      if (best[1] * 10 < total * 9) return undefined;
      found.set(name, best[0]);
    }
    return found;
  }
}

/** Votes of the table of symbols that the kernel keeps of a module, `struct mod_kallsyms` at `address`. Returns whether there is one. */
function readKallsyms(words: Words, address: bigint, own: ReadonlyMap<string, OwnSymbol>, votes: Votes): boolean {
  const { bytes } = words;
  const head = words.block(address, 3 * bytes);
  if (head === undefined) return false;
  const table = words.in(head, 0);
  const count = new DataView(head.buffer, head.byteOffset).getUint32(bytes, true);
  const strings = words.in(head, 2 * bytes);
  const entry = bytes === 8 ? 24 : 16;
  if (count < 2 || count > mostSymbols || table === 0n || strings === 0n) return false;
  // The first symbol of all tables is empty, and the first name too.
  const first = words.block(table, entry);
  const empty = words.block(strings, 1);
  if (first === undefined || first.some((byte) => byte !== 0) || empty?.[0] !== 0) return false;
  const symbols = words.block(table, count * entry);
  if (symbols === undefined) return false;
  const view = new DataView(symbols.buffer, symbols.byteOffset);
  let matches = 0;
  for (let at = entry; at < symbols.length; at += entry) {
    const nameOffset = view.getUint32(at, true);
    const section = view.getUint16(at + (bytes === 8 ? 6 : 14), true);
    if (nameOffset === 0 || nameOffset > mostNames || section === 0) continue;
    const name = words.block(strings + BigInt(nameOffset), 128) ?? words.block(strings + BigInt(nameOffset), 16);
    const symbol = name === undefined ? undefined : own.get(textUpTo0(name));
    if (symbol === undefined) continue;
    votes.add(symbol, words.in(symbols, at + (bytes === 8 ? 8 : 4)));
    matches++;
  }
  return matches > 0;
}

/**
 * Where the sections of a module's file lie that the kernel has loaded, of those of which something tells: the kernel's own table of the module's symbols, and what it was told as
 * functions of initialisation and exit. Sections whose memory is given back once a module lives are not among them. "mismatch" when the file is not that of the loaded module.
 */
export function findSections(elf: ElfFile, loaded: LoadedModule, read: ReadKernel): SectionAddresses | "mismatch" {
  const words = new Words(elf.bits === 64 ? 8 : 4, read);
  const { bytes } = words;
  const own = uniqueSymbols(elf);
  const votes = new Votes();
  const struct = elf.section(structSection);
  const size = Math.min(struct?.size ?? 0, 4096);
  const content = words.block(loaded.address, size);
  if (struct !== undefined && content !== undefined) {
    votes.add({ section: struct, value: 0n }, loaded.address);
    for (let offset = 0; offset + bytes <= size; offset += bytes) {
      const pointer = words.in(content, offset);
      if (pointer !== 0n && readKallsyms(words, pointer, own, votes)) break;
    }
    for (const { offset, target } of elf.references(struct)) {
      const pointer = offset + bytes <= size ? words.in(content, offset) : 0n;
      const section = elf.sections.find(
        ({ flags, address, size: length }) => (flags & SectionFlag.Alloc) !== 0n && target >= address && target < address + BigInt(length),
      );
      if (pointer !== 0n && section !== undefined) votes.add({ section, value: target - section.address }, pointer);
    }
  }
  const found = votes.result();
  if (found === undefined) return "mismatch";
  const isOver = loaded.state === ModuleState.live || loaded.state === ModuleState.going;
  for (const name of found.keys()) if (readOnly.has(name) || (isOver && name.startsWith(".init."))) found.delete(name);
  return found;
}
