import { UserError } from "../../machine/errors";
import type { ElfFile } from "./elf";
import { SectionFlag } from "./elf";
import { isMangled, readableName, withoutTemplates, type Demangle } from "./names";

/** A named address, as linked. */
export interface PlainSymbol {
  readonly name: string;
  readonly address: bigint;
  /** 0 when unknown: the symbol then reaches to the next. */
  readonly size: bigint;
  readonly kind: "function" | "object" | "none";
  readonly global: boolean;
}

/** What GCC and LLVM put behind the names of functions that they make of others. */
const cloneMark = /(\.(constprop|isra|part|cold|lto_priv|specialized|llvm)(\.\d+)*)+$/;

export interface SymbolHit {
  readonly symbol: PlainSymbol;
  readonly offset: bigint;
}

/** Symbols by address and by name. */
export class SymbolTable {
  private readonly sorted: readonly PlainSymbol[];
  private readonly byName = new Map<string, PlainSymbol[]>();
  /** Mangled names by their readable form; made when a name is looked for that no symbol has as it stands. */
  private byReadable: ReadonlyMap<string, readonly string[]> | undefined;
  private readonly readable = new Map<string, string>();
  private clones: ReadonlyMap<string, readonly string[]> | undefined;

  /** `absolute` symbols are found by name only. A symbol without size ends at `limit(address)`, if not at the next symbol. */
  constructor(
    symbols: readonly PlainSymbol[],
    absolute: readonly PlainSymbol[],
    private readonly limit: (address: bigint) => bigint,
    private readonly demangle?: Demangle,
  ) {
    this.sorted = withoutCopied(symbols, absolute).sort((a, b) =>
      a.address < b.address ? -1 : a.address > b.address ? 1 : rank(a) - rank(b),
    );
    for (const symbol of [...symbols, ...absolute]) {
      const known = this.byName.get(symbol.name);
      if (known === undefined) this.byName.set(symbol.name, [symbol]);
      else known.push(symbol);
    }
  }

  get size(): number {
    return this.sorted.length;
  }

  /** All symbols called `name`, as it stands in the file or readably; globals first. */
  named(name: string): readonly PlainSymbol[] {
    const names = this.byName.has(name) ? [name] : (this.mangledNames.get(name) ?? []);
    return names.flatMap((each) => this.byName.get(each) ?? []).sort((a, b) => Number(b.global) - Number(a.global));
  }

  /**
   * {@link named}, the instances of the template `name`, and the functions that the compiler made of those for special arguments, or of a part of them: `name.constprop.0`,
   * `name.isra.1`, `name.part.2`.
   */
  functionsNamed(name: string): readonly PlainSymbol[] {
    this.clones ??= this.findClones();
    const clones = (this.clones.get(name) ?? []).flatMap((each) => this.byName.get(each) ?? []);
    return [...this.named(name), ...clones];
  }

  /** Names of clones and of instances of templates by the readable name of what they were made of. */
  private findClones(): ReadonlyMap<string, readonly string[]> {
    const index = new Map<string, string[]>();
    const add = (base: string, name: string): void => {
      const known = index.get(base);
      if (known === undefined) index.set(base, [name]);
      else known.push(name);
    };
    for (const name of this.byName.keys()) {
      const mark = cloneMark.exec(name);
      // Cold parts are jumped to from within the function.
      if (mark?.[0].includes(".cold") === true) continue;
      const whole = this.readableOf(mark === null ? name : name.slice(0, mark.index));
      const plain = withoutTemplates(whole);
      if (mark !== null) add(whole, name);
      if (plain !== whole) add(plain, name);
    }
    return index;
  }

  /** All names, in their readable form. */
  names(): Iterable<string> {
    return new Set([...this.byName.keys()].map((name) => this.readableOf(name)));
  }

  /** A symbol's name as people write it: without mangling and parameters. */
  readableOf(name: string): string {
    if (this.demangle === undefined || !isMangled(name)) return name;
    let readable = this.readable.get(name);
    if (readable === undefined) this.readable.set(name, (readable = readableName(name, this.demangle)));
    return readable;
  }

  private get mangledNames(): ReadonlyMap<string, readonly string[]> {
    if (this.byReadable !== undefined) return this.byReadable;
    const index = new Map<string, string[]>();
    for (const name of this.demangle === undefined ? [] : this.byName.keys()) {
      const readable = this.readableOf(name);
      if (readable === name) continue;
      const known = index.get(readable);
      if (known === undefined) index.set(readable, [name]);
      else known.push(name);
    }
    this.byReadable = index;
    return index;
  }

  /** The symbol that `address` belongs to: the nearest at or below that reaches it, of several at one place the most telling. */
  find(address: bigint): SymbolHit | undefined {
    let low = 0;
    let high = this.sorted.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.sorted[middle].address <= address) low = middle + 1;
      else high = middle;
    }
    // A sized symbol may enclose labels behind it; look back a little for one that still covers the address.
    for (let i = low - 1; i >= 0 && i >= low - 32; i--) {
      const symbol = this.sorted[i];
      const offset = address - symbol.address;
      if (symbol.size > 0n ? offset < symbol.size : address < this.limit(symbol.address) || offset === 0n) return { symbol, offset };
    }
    return undefined;
  }
}

/**
 * Linux for x86-64 links the variables that each CPU has a copy of at 0 and up (below `__per_cpu_end`), where none of them ever lies: they are found by name only.
 */
function withoutCopied(symbols: readonly PlainSymbol[], absolute: readonly PlainSymbol[]): PlainSymbol[] {
  const addressOf = (wanted: string): bigint | undefined =>
    (symbols.find(({ name }) => name === wanted) ?? absolute.find(({ name }) => name === wanted))?.address;
  const end = addressOf("__per_cpu_start") === 0n ? (addressOf("__per_cpu_end") ?? 0n) : 0n;
  return symbols.filter(({ address }) => address >= end);
}

/** Of symbols at one address the one sorted last is found: global before local, functions before objects before labels. */
function rank(symbol: PlainSymbol): number {
  return (symbol.kind === "function" ? 4 : symbol.kind === "object" ? 2 : 0) + (symbol.global ? 1 : 0);
}

/** The symbol table of an ELF file. */
export function elfSymbolTable(elf: ElfFile, demangle?: Demangle): SymbolTable {
  const allocated = elf.sections.filter((section) => (section.flags & SectionFlag.Alloc) !== 0n);
  const limit = (address: bigint): bigint => {
    const section = allocated.find((candidate) => address >= candidate.address && address < candidate.address + BigInt(candidate.size));
    return section === undefined ? address : section.address + BigInt(section.size);
  };
  const symbols: PlainSymbol[] = [];
  const absolute: PlainSymbol[] = [];
  for (const { name, address, size, kind, binding, section } of elf.symbols()) {
    const symbol = { name, address, size, kind, global: binding !== "local" };
    if (section === 0xfff1) absolute.push(symbol);
    else symbols.push(symbol);
  }
  return new SymbolTable(symbols, absolute, limit, demangle);
}

const mapLine = /^\s*([0-9a-fA-F]{4,16})\s+([A-Za-z?-])\s+(\S+)(?:\s+\[(\S+)\])?\s*$/;

/** Whether `bytes` look like a System.map, /proc/kallsyms or `nm` listing. */
export function isSymbolMap(bytes: Uint8Array): boolean {
  const text = new TextDecoder().decode(bytes.subarray(0, 4096));
  const first = text.split("\n").find((line) => line.trim() !== "");
  return first !== undefined && mapLine.test(first);
}

/** Reads a System.map, /proc/kallsyms or `nm` listing (`address type name [module]` lines). */
export function readSymbolMap(bytes: Uint8Array, name: string, demangle?: Demangle): SymbolTable {
  const symbols: PlainSymbol[] = [];
  const absolute: PlainSymbol[] = [];
  let number = 0;
  let anyAddress = false;
  for (const line of new TextDecoder().decode(bytes).split("\n")) {
    number++;
    if (line.trim() === "") continue;
    const match = mapLine.exec(line);
    if (match === null) throw new UserError(`${name} is damaged: line ${number} is not of the form "address type name".`, name);
    const [, digits, type, symbol] = match;
    const address = BigInt(`0x${digits}`);
    const lower = type.toLowerCase();
    if (lower === "u") continue;
    anyAddress ||= address !== 0n;
    const kind = lower === "t" || lower === "w" ? "function" : "bdrgsv".includes(lower) ? "object" : "none";
    const entry: PlainSymbol = { name: symbol, address, size: 0n, kind, global: lower !== type };
    if (lower === "a") absolute.push(entry);
    else symbols.push(entry);
  }
  if (!anyAddress) throw new UserError(`${name} has only zero addresses; read /proc/kallsyms as root to see them.`, name);
  // A listing does not say where its last symbol ends, so that one stands for its own address only.
  const last = symbols.reduce((highest, symbol) => (symbol.address > highest ? symbol.address : highest), 0n);
  return new SymbolTable(symbols, absolute, () => last, demangle);
}
