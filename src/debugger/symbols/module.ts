import { UserError } from "../../machine/errors";
import { DwarfInfo } from "./dwarf/info";
import type { WorkWatch } from "../../common/work";
import type { Inflate } from "./elf";
import { ElfFile, ElfType, SectionFlag, SectionType, isElf } from "./elf";
import type { Demangle } from "./names";
import { bytesOf, toSource, type ByteSource } from "./source";
import { perCpuSection, type PerCpuSection } from "./perCpu";
import { placeNowhere, type SectionAddresses } from "./relocations";
import type { SymbolTable } from "./symtab";
import { elfSymbolTable, isSymbolMap, readSymbolMap } from "./symtab";

/** What symbols are compared with: the program as it is loaded. */
export interface LoadedImage {
  readonly name: string;
  /** Of the image's own ELF file, when it is one. */
  readonly buildId?: string | undefined;
  readonly entry?: bigint | undefined;
  /** The image's bytes at a linked virtual address; undefined where unknown. */
  bytesAt(address: bigint, size: number): Uint8Array | undefined;
}

/** What is read from a file. */
interface Content {
  readonly kind: "dwarf" | "elf" | "map";
  readonly elf: ElfFile | undefined;
  readonly dwarf: DwarfInfo | undefined;
  readonly symbols: SymbolTable;
  readonly perCpu: PerCpuSection | undefined;
}

/** How a file is read. */
export interface ModuleOptions {
  readonly inflate?: Inflate | undefined;
  readonly watch?: WorkWatch | undefined;
  readonly demangle?: Demangle | undefined;
}

/** Magic numbers of files that are packed as a whole, and what unpacks them. */
const packed = [
  { magic: [0x1f, 0x8b], by: "gunzip" },
  { magic: [0xfd, 0x37, 0x7a, 0x58, 0x5a], by: "unxz" },
  { magic: [0x28, 0xb5, 0x2f, 0xfd], by: "unzstd" },
];

/** One file of symbols and where it was loaded: run-time address = linked address + offset, modulo 2^64. */
export class SymbolModule {
  /** Nobody said where it is loaded: it may lie elsewhere than linked. */
  canSlide = false;
  /** What could not be used, in words for the user. */
  readonly warnings: string[] = [];
  private content: Content;
  private known: SectionAddresses;

  /**
   * Reads `bytes` as an ELF file or a symbol map. Throws a {@link UserError} naming `name` when it is neither or is damaged. `sections` says where those of an unlinked
   * file lie; where it says nothing the file is put at `elsewhere`, which is {@link nowhere}.
   */
  constructor(
    readonly name: string,
    private readonly bytes: Uint8Array | ByteSource,
    /** May change, when it becomes known where the module lies. */
    public offset: bigint,
    private readonly options: ModuleOptions = {},
    sections: SectionAddresses = new Map(),
    private readonly elsewhere = placeNowhere(0),
  ) {
    this.known = sections;
    this.content = this.read();
    if (this.isUnlinked) this.offset = sections.size === 0 ? elsewhere : 0n;
    else if (sections.size > 0)
      throw new UserError(`${name} is linked: "sections" is for unlinked files such as kernel modules; "offset" moves a linked one.`, name);
  }

  private read(): Content {
    const { kind, elf, dwarf, symbols } = this.parse();
    return { kind, elf, dwarf, symbols, perCpu: perCpuSection((name) => symbols.named(name).at(0)?.address) };
  }

  private parse(): Omit<Content, "perCpu"> {
    const { name, bytes, options } = this;
    if (!isElf(bytes)) {
      const start = bytesOf(toSource(bytes), 0, 4096);
      const pack = packed.find(({ magic }) => magic.every((byte, index) => start[index] === byte));
      if (pack !== undefined) throw new UserError(`${name} is compressed as a whole; unpack it first (${pack.by}).`, name);
      if (!isSymbolMap(start)) throw new UserError(`${name} is neither an ELF file nor a System.map.`, name);
      return { kind: "map", elf: undefined, dwarf: undefined, symbols: readSymbolMap(bytesOf(toSource(bytes)), name, options.demangle) };
    }
    const elf = new ElfFile(bytes, name, options.inflate, this.known);
    const symbols = elfSymbolTable(elf, options.demangle);
    const dwarf = this.readDwarf(elf);
    if (dwarf === undefined && symbols.size === 0) throw new UserError(`${name} has neither symbols nor debug information.`, name);
    return { kind: dwarf === undefined ? "elf" : "dwarf", elf, dwarf, symbols };
  }

  get kind(): Content["kind"] {
    return this.content.kind;
  }

  get elf(): ElfFile | undefined {
    return this.content.elf;
  }

  get dwarf(): DwarfInfo | undefined {
    return this.content.dwarf;
  }

  get symbols(): SymbolTable {
    return this.content.symbols;
  }

  /** Where Linux keeps what each CPU has its own copy of; undefined for files without. */
  get perCpu(): PerCpuSection | undefined {
    return this.content.perCpu;
  }

  /** An object file that no linker has given addresses. */
  get isUnlinked(): boolean {
    return this.elf?.isUnlinked === true;
  }

  /** Where sections of an unlinked file lie, as far as it is known; empty while it is nowhere. */
  get sections(): SectionAddresses {
    return this.known;
  }

  /** The sections of an unlinked file lie elsewhere than before, or are not loaded any more. Returns whether that changes anything. */
  moveSections(sections: SectionAddresses): boolean {
    const { known } = this;
    if (sections.size === known.size && [...sections].every(([name, address]) => known.get(name) === address)) return false;
    this.known = sections;
    this.warnings.length = 0;
    this.content = this.read();
    this.offset = sections.size === 0 ? this.elsewhere : 0n;
    return true;
  }

  private readDwarf(elf: ElfFile): DwarfInfo | undefined {
    if (elf.debugSection("debug_info") === undefined) return undefined;
    const info = new DwarfInfo(elf, this.options.watch);
    if (info.splitUnits > 0)
      this.warnings.push(
        `${elf.name} keeps debug information in separate .dwo files, which are not read: only symbols are used for that code. Rebuild without -gsplit-dwarf.`,
      );
    return info.units.length > 0 ? info : undefined;
  }

  /**
   * Bytes of an address in the file's code: what its debug information says, else its ELF class. 64-bit kernels come in ELF32
   * files too, as Multiboot loaders want them.
   */
  get addressSize(): number {
    return this.dwarf?.units.at(0)?.addressSize ?? (this.elf?.bits === 32 ? 4 : 8);
  }

  /** The linked address of a run-time address. */
  toLinked(address: bigint): bigint {
    return BigInt.asUintN(64, address - this.offset);
  }

  /** The run-time address of a linked address. */
  toLoaded(address: bigint): bigint {
    return BigInt.asUintN(64, address + this.offset);
  }

  /** The file's bytes at the run-time `address`, at most `size`; undefined where it has none. */
  codeAt(address: bigint, size: number): Uint8Array | undefined {
    const linked = this.toLinked(address);
    for (let length = size; length > 0; length >>= 1) {
      const bytes = this.elf?.bytesAt(linked, length);
      if (bytes !== undefined) return bytes;
    }
    return undefined;
  }

  /** Which of the bytes of {@link codeAt} stand otherwise in memory: of unlinked files, those that relocations write to. */
  patchedAt(address: bigint, size: number): Uint8Array | undefined {
    return this.elf?.patchedAt(this.toLinked(address), size);
  }

  /** Whether the run-time `address` lies in this module's code. */
  hasCode(address: bigint): boolean {
    return this.elf !== undefined && this.elf.isCode(this.toLinked(address));
  }

  /**
   * Throws a {@link UserError} when the module cannot be the symbols of `image`: build ids differ or, where one has none, the entry
   * point or bytes of code differ. Symbol maps and stripped debug files hold nothing to compare but the build id.
   */
  checkMatches(image: LoadedImage): void {
    const { elf } = this;
    if (elf === undefined || elf.isUnlinked) return;
    const mismatch = (why: string): never => {
      throw new UserError(`${this.name} does not match ${image.name}: ${why}.`, this.name);
    };
    const id = elf.buildId();
    if (id !== undefined && image.buildId !== undefined) {
      if (id !== image.buildId) mismatch(`their build ids are ${id.slice(0, 16)} and ${image.buildId.slice(0, 16)}`);
      return;
    }
    if (image.entry !== undefined && elf.type === ElfType.Executable && elf.entry !== 0n && elf.entry !== image.entry)
      mismatch(`their entry points are 0x${elf.entry.toString(16)} and 0x${image.entry.toString(16)}`);
    for (const section of elf.sections) {
      if ((section.flags & SectionFlag.Exec) === 0n || section.type === SectionType.Nobits) continue;
      const mine = bytesOf(elf.sectionSource(section), 0, maximumCompared);
      const theirs = image.bytesAt(section.address, mine.length);
      if (theirs === undefined) continue;
      const difference = mine.findIndex((byte, i) => byte !== theirs[i]);
      if (difference >= 0) mismatch(`their code differs at 0x${(section.address + BigInt(difference)).toString(16)}`);
    }
  }
}

/** How much of each code section is compared with the image: enough to tell builds apart. */
const maximumCompared = 65_536;

/** An ELF file seen as a loaded image, for {@link SymbolModule.checkMatches}. */
export function elfImage(elf: ElfFile): LoadedImage {
  return { name: elf.name, buildId: elf.buildId(), entry: elf.entry, bytesAt: (address, size) => elf.bytesAt(address, size) };
}
