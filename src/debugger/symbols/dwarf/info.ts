import type { WorkWatch } from "../../../common/work";
import type { ElfFile } from "../elf";
import type { Interval } from "../intervals";
import { IntervalIndex } from "../intervals";
import type { FunctionInfo, ScopeInfo } from "./functions";
import { UnitFunctions, isAssembly, qualifiedName, scopesAt } from "./functions";
import { inlinedCopiesOf } from "./inlined";
import type { LineHeader, LineRows } from "./line";
import { RowFlag, findRow, readLineHeader, runLineProgram } from "./line";
import { unitRanges } from "./lists";
import type { Entry, Unit } from "./unit";
import { NameIndex } from "./names";
import { DwarfContext, readUnits } from "./unit";

/** A place in a source file, as the debug information names it. */
export interface SourceLine {
  readonly file: string;
  readonly line: number;
  /** 1-based; 0 when unknown. */
  readonly column: number;
  /** The code of this line around the address asked for, as linked: [low, high). */
  readonly low: bigint;
  readonly high: bigint;
}

/** Where a source line has code. */
export interface LinePlaces {
  /** The line itself or, when it has no code, the next one in the file that has. */
  readonly line: number;
  readonly addresses: readonly bigint[];
}

const maximumCachedRows = 4_000_000;
/** Functions of units used last that are kept: about a kernel's. */
const maximumCachedFunctions = 60_000;

/** What the DWARF of one file says. All addresses are as linked. Units, line tables and names are read when first asked for. */
export class DwarfInfo {
  readonly context: DwarfContext;
  /** Units whose entries stand in this file. */
  readonly units: readonly Unit[];
  /** How many units were left out because their entries stand in .dwo files. */
  readonly splitUnits: number;
  private addressIndex: IntervalIndex<Unit> | undefined;
  private readonly functionCache = new Map<Unit, UnitFunctions>();
  private cachedFunctions = 0;
  private readonly headerCache = new Map<number, LineHeader>();
  private readonly rowCache = new Map<number, LineRows>();
  private cachedRows = 0;
  private fileIndex: ReadonlyMap<string, readonly Unit[]> | undefined;
  private nameIndex: NameIndex | undefined;

  /** Reads the unit headers of `elf`. */
  constructor(
    private readonly elf: ElfFile,
    private readonly watch?: WorkWatch,
  ) {
    this.context = new DwarfContext(elf.name, (name) => elf.debugSection(name));
    const units = [...readUnits(this.context, "debug_info"), ...readUnits(this.context, "debug_types")];
    this.context.units = units;
    this.units = units.filter((unit, index) => {
      if (index % 64 === 0) watch?.step(`Reading the units of ${elf.name}`, index, units.length);
      return !unit.root.isSplit;
    });
    this.splitUnits = units.length - this.units.length;
  }

  private readonly isCode = (address: bigint): boolean => this.elf.isCode(address);

  unitAt(address: bigint): Unit | undefined {
    this.addressIndex ??= new IntervalIndex(this.unitIntervals());
    return this.addressIndex.find(address)?.value;
  }

  private *unitIntervals(): Generator<Interval<Unit>> {
    for (const unit of this.units) for (const range of unitRanges(unit)) if (this.isCode(range.low)) yield { ...range, value: unit };
  }

  functionsOf(unit: Unit): UnitFunctions {
    let functions = this.functionCache.get(unit);
    if (functions === undefined) {
      functions = new UnitFunctions(unit, this.isCode);
      this.cachedFunctions += functions.all.length;
    } else this.functionCache.delete(unit);
    this.functionCache.set(unit, functions);
    for (const [oldest, old] of this.functionCache) {
      if (this.cachedFunctions <= maximumCachedFunctions || old === functions) break;
      this.functionCache.delete(oldest);
      this.cachedFunctions -= old.all.length;
    }
    return functions;
  }

  functionAt(address: bigint): FunctionInfo | undefined {
    const unit = this.unitAt(address);
    return unit === undefined ? undefined : this.functionsOf(unit).at(address);
  }

  /** The function at `address` and calls inlined there, innermost first; empty outside functions. */
  scopesAt(address: bigint): ScopeInfo[] {
    const info = this.functionAt(address);
    return info === undefined ? [] : scopesAt(info, address, (unit, index) => this.fileOf(unit, index));
  }

  private header(unit: Unit): LineHeader | undefined {
    const offset = unit.root.lineOffset;
    if (offset === undefined) return undefined;
    let header = this.headerCache.get(offset);
    if (header === undefined) {
      header = readLineHeader(unit, offset);
      this.headerCache.set(offset, header);
    }
    return header;
  }

  private rows(unit: Unit, header: LineHeader): LineRows {
    let rows = this.rowCache.get(header.programStart);
    if (rows === undefined) {
      rows = runLineProgram(unit, header, this.isCode);
      this.cachedRows += rows.lines.length;
    } else this.rowCache.delete(header.programStart);
    this.rowCache.set(header.programStart, rows);
    for (const [oldest, old] of this.rowCache) {
      if (this.cachedRows <= maximumCachedRows || old === rows) break;
      this.rowCache.delete(oldest);
      this.cachedRows -= old.lines.length;
    }
    return rows;
  }

  /** The path of file number `index` of the unit's line table. */
  fileOf(unit: Unit, index: number): string | undefined {
    return this.header(unit)?.files[index];
  }

  /** The decoded line table of the unit: its header and rows. */
  lineTable(unit: Unit): { header: LineHeader; rows: LineRows } | undefined {
    const header = this.header(unit);
    return header === undefined ? undefined : { header, rows: this.rows(unit, header) };
  }

  lineAt(address: bigint): SourceLine | undefined {
    const unit = this.unitAt(address);
    const table = unit === undefined ? undefined : this.lineTable(unit);
    if (table === undefined) return undefined;
    const { rows } = table;
    let at = findRow(rows, address);
    if (at < 0) return undefined;
    // Of several rows for one address the last one holds, but a statement is what a user's breakpoint was set on.
    for (let i = at; i >= 0 && rows.addresses[i] === rows.addresses[at] && (rows.flags[i] & RowFlag.EndSequence) === 0; i--) {
      if ((rows.flags[i] & RowFlag.Statement) === 0) continue;
      at = i;
      break;
    }
    if (rows.lines[at] === 0) return undefined;
    const file = table.header.files[rows.files[at]];
    if (file === undefined) return undefined;
    const same = (i: number): boolean =>
      (rows.flags[i] & RowFlag.EndSequence) === 0 &&
      (rows.addresses[i] === rows.addresses[i + 1] || (rows.lines[i] === rows.lines[at] && rows.files[i] === rows.files[at]));
    let first = at;
    while (first > 0 && same(first - 1)) first--;
    let last = at + 1;
    while (last < rows.lines.length - 1 && same(last)) last++;
    return { file, line: rows.lines[at], column: rows.columns[at], low: rows.addresses[first], high: rows.addresses[last] };
  }

  /** Paths of all source files that line tables name. */
  files(): ReadonlyMap<string, readonly Unit[]> {
    if (this.fileIndex !== undefined) return this.fileIndex;
    const index = new Map<string, Unit[]>();
    const seen = new Set<number>();
    for (const [number, unit] of this.units.entries()) {
      if (number % 64 === 0) this.watch?.step(`Reading the line tables of ${this.elf.name}`, number, this.units.length);
      const header = this.header(unit);
      if (header === undefined || seen.has(header.programStart)) continue;
      seen.add(header.programStart);
      for (const file of new Set(header.files)) {
        // Macros of the compiler come from "<built-in>" and "<command-line>".
        if (file === undefined || file.endsWith(">")) continue;
        const units = index.get(file);
        if (units === undefined) index.set(file, [unit]);
        else units.push(unit);
      }
    }
    this.fileIndex = index;
    return index;
  }

  /** Calls `visit` with each statement row of `file` (a path of {@link files}). */
  private eachStatement(file: string, visit: (unit: Unit, rows: LineRows, row: number) => void): void {
    for (const unit of this.files().get(file) ?? []) {
      const table = this.lineTable(unit);
      if (table === undefined) continue;
      const { rows, header } = table;
      for (let i = 0; i < rows.lines.length; i++)
        if (
          (rows.flags[i] & (RowFlag.Statement | RowFlag.EndSequence)) === RowFlag.Statement &&
          rows.lines[i] !== 0 &&
          header.files[rows.files[i]] === file
        )
          visit(unit, rows, i);
    }
  }

  /** Lines of `file` (a path of {@link files}) that have code, ascending. */
  codeLines(file: string): number[] {
    const lines = new Set<number>();
    this.eachStatement(file, (_unit, rows, row) => lines.add(rows.lines[row]));
    return [...lines].sort((a, b) => a - b);
  }

  /**
   * Where to stop for `line` of `file` (a path of {@link files}): one address for each function or inlined call that has code for the
   * line, the lowest in each; after the prologue where the line is the function's first.
   */
  addressesOf(file: string, line: number): LinePlaces | undefined {
    let best = Infinity;
    let places: { readonly unit: Unit; readonly address: bigint }[] = [];
    this.eachStatement(file, (unit, rows, row) => {
      const at = rows.lines[row];
      if (at < line || at > best) return;
      if (at < best) places = [];
      best = at;
      places.push({ unit, address: rows.addresses[row] });
    });
    if (best === Infinity) return undefined;
    const chosen = new Map<string, bigint>();
    for (const [index, { unit, address }] of places.entries()) {
      if (index % 256 === 0) this.watch?.step(`Looking for the functions of ${file}:${best}`, index, places.length);
      const scope = this.scopesAt(address)[0] as ScopeInfo | undefined;
      // Code outside functions (assembly) is one place for each run of rows; else one for each function or inlined call.
      const key = scope === undefined || isAssembly(unit) ? `@${address}` : `${scope.entry.unit.section}+${scope.entry.offset}`;
      const other = chosen.get(key);
      if (other === undefined || address < other) chosen.set(key, address);
    }
    const addresses = [...chosen.values()].map((address) => {
      const info = this.functionAt(address);
      return info?.low === address ? this.afterPrologue(info) : address;
    });
    return { line: best, addresses: [...new Set(addresses)].sort((a, b) => (a < b ? -1 : 1)) };
  }

  /** Where arguments and locals of a function can first be read: the compiler's mark, else the second line of unoptimised code. */
  afterPrologue(info: FunctionInfo): bigint {
    const { unit } = info.entry;
    const table = this.lineTable(unit);
    if (table === undefined || isAssembly(unit)) return info.low;
    const { rows } = table;
    const end = info.ranges[0].high;
    const first = findRow(rows, info.low);
    if (first < 0) return info.low;
    let second: bigint | undefined;
    for (let i = first; i < rows.lines.length && rows.addresses[i] < end; i++) {
      if ((rows.flags[i] & RowFlag.PrologueEnd) !== 0) return rows.addresses[i];
      if (second === undefined && rows.addresses[i] > info.low && rows.lines[i] !== 0 && (rows.flags[i] & RowFlag.Statement) !== 0)
        second = rows.addresses[i];
    }
    return second === undefined || this.functionsOf(unit).hasLocationLists ? info.low : second;
  }

  private get names(): NameIndex {
    this.nameIndex ??= new NameIndex(this.units, (done) =>
      this.watch?.step(`Reading the names of ${this.elf.name}`, done, this.units.length),
    );
    return this.nameIndex;
  }

  /** Functions with code called `name`, qualified or not. */
  findFunctions(name: string): FunctionInfo[] {
    const found: FunctionInfo[] = [];
    for (const entry of this.names.functions(name)) {
      const info = this.functionsOf(entry.unit).all.find((candidate) => candidate.entry.index === entry.index);
      if (info !== undefined) found.push(info);
    }
    return found;
  }

  /** Where copies of the function `name` begin that were inlined into functions of the unit around `address`. */
  inlinedNear(address: bigint, name: string): bigint[] {
    const unit = this.unitAt(address);
    return unit === undefined ? [] : this.functionsOf(unit).inlinedCopies(name);
  }

  /** The same for all units that have the function: a kernel has some of its headers' functions in thousands of places. */
  findInlined(name: string): bigint[] {
    const places = [...this.names.inlinedFunctions(name)];
    return places.flatMap(([unit, origins], index) => {
      if (index % 16 === 0) this.watch?.step(`Looking for inlined copies of ${name}`, index, places.length);
      return inlinedCopiesOf(unit, origins, this.isCode);
    });
  }

  /** Global and static variables called `name`, qualified or not. */
  findVariables(name: string): Entry[] {
    return this.names.variables(name);
  }

  /** The first complete type called `name` (without `struct` and the like). */
  findType(name: string): Entry | undefined {
    return this.names.type(name);
  }

  /** All global and static variables, with their qualified names. */
  *globals(): Generator<{ name: string; entry: Entry }> {
    for (const entry of this.names.allVariables()) {
      const name = qualifiedName(entry);
      if (name !== undefined) yield { name, entry };
    }
  }
}
