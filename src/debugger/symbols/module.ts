import { UserError } from "../../machine/errors";
import { DwarfInfo } from "./dwarf/info";
import type { WorkWatch } from "../../common/work";
import type { Inflate } from "./elf";
import { ElfFile, ElfType, SectionFlag, SectionType, isElf } from "./elf";
import type { Demangle } from "./names";
import { bytesOf, toSource, type ByteSource } from "./source";
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

/** One file of symbols and where it was loaded: run-time address = linked address + offset, modulo 2^64. */
export class SymbolModule {
  readonly kind: "dwarf" | "elf" | "map";
  readonly elf: ElfFile | undefined;
  readonly dwarf: DwarfInfo | undefined;
  readonly symbols: SymbolTable;
  /** Nobody said where it is loaded: it may lie elsewhere than linked. */
  canSlide = false;
  /** What could not be used, in words for the user. */
  readonly warnings: string[] = [];

  /**
   * Reads `bytes` as an ELF file or a symbol map. Throws a {@link UserError} naming `name` when it is neither or is damaged.
   */
  constructor(
    readonly name: string,
    bytes: Uint8Array | ByteSource,
    /** May change once, when it becomes known where the module lies. */
    public offset: bigint,
    inflate?: Inflate,
    private readonly watch?: WorkWatch,
    demangle?: Demangle,
  ) {
    if (!isElf(bytes)) {
      if (!isSymbolMap(bytesOf(toSource(bytes), 0, 4096))) throw new UserError(`${name} is neither an ELF file nor a System.map.`, name);
      this.kind = "map";
      this.symbols = readSymbolMap(bytesOf(toSource(bytes)), name, demangle);
      return;
    }
    const elf = new ElfFile(bytes, name, inflate);
    if (elf.type === ElfType.Relocatable)
      throw new UserError(
        `${name} is an unlinked object file; give the linked image instead or, for a kernel module, /proc/kallsyms of the kernel that has loaded it.`,
        name,
      );
    this.elf = elf;
    this.symbols = elfSymbolTable(elf, demangle);
    this.dwarf = this.readDwarf(elf);
    this.kind = this.dwarf === undefined ? "elf" : "dwarf";
    if (this.dwarf === undefined && this.symbols.size === 0)
      throw new UserError(`${name} has neither symbols nor debug information.`, name);
  }

  private readDwarf(elf: ElfFile): DwarfInfo | undefined {
    if (elf.debugSection("debug_info") === undefined) return undefined;
    const info = new DwarfInfo(elf, this.watch);
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
    if (elf === undefined) return;
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
