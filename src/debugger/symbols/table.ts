import { UserError } from "../../machine/errors";
import type { SourceLine } from "./dwarf/info";
import type { WorkWatch } from "../../common/work";
import type { Inflate } from "./elf";
import { withoutCopy, type CpuPlacement } from "./perCpu";
import type { LoadedImage } from "./module";
import { SymbolModule } from "./module";
import type { SourceMapping } from "./paths";
import { placeNowhere, type SectionAddresses } from "./relocations";
import type { Demangle } from "./names";
import type { ByteSource } from "./source";
import { isWhole, mapPath, matchPaths, normalisePath } from "./paths";

/** What is known of a code or data address. `file` is a path on this machine (source mapping applied). */
export interface SymbolLocation {
  readonly module: string;
  readonly symbol: string | undefined;
  /** Distance from the symbol's address; 0 without symbol. */
  readonly offset: bigint;
  readonly file: string | undefined;
  readonly line: number | undefined;
  readonly column: number | undefined;
}

/** One logical frame at an address: the function itself or a call inlined into it. */
export interface FrameName {
  readonly name: string;
  readonly file: string | undefined;
  readonly line: number | undefined;
  readonly column: number | undefined;
  /** True for calls that the compiler inlined: they share the machine frame of the function below. */
  readonly inlined: boolean;
}

export interface BreakpointPlaces {
  readonly line: number;
  readonly addresses: readonly bigint[];
}

export interface SymbolStoreOptions {
  readonly sourceMap?: readonly SourceMapping[] | undefined;
  readonly inflate?: Inflate | undefined;
  /** Hears of indexing that takes long, and may end it. */
  readonly watch?: WorkWatch | undefined;
  /** Reads mangled names; without it they stay as they are. */
  readonly demangle?: Demangle | undefined;
}

/**
 * The symbols of all files of a session. Addresses are run-time addresses. Damage that shows only when a part of a file is first read
 * is not thrown: that file then answers nothing, and {@link warnings} says why.
 */
export class SymbolStore {
  private readonly loaded: SymbolModule[] = [];
  private readonly late = new Set<string>();
  private readonly paths = new Map<SymbolModule, ReadonlyMap<string, readonly string[]>>();

  private readonly sourceMap: SourceMapping[];
  private directory: string | undefined;

  constructor(private readonly options: SymbolStoreOptions = {}) {
    this.sourceMap = [...(options.sourceMap ?? [])];
  }

  get modules(): readonly SymbolModule[] {
    return this.loaded;
  }

  /** What could not be used of the files so far, in words for the user. */
  get warnings(): readonly string[] {
    return [...this.loaded.flatMap((module) => module.warnings), ...this.late];
  }

  /**
   * Adds the symbol file `name` with content `bytes`, loaded `offset` above its linked addresses or, when it is unlinked, with its `sections` where they are said to lie.
   * Throws a {@link UserError} when it is no symbol file, is damaged or does not match `image`.
   */
  add(
    name: string,
    bytes: Uint8Array | ByteSource,
    offset = 0n,
    image?: LoadedImage,
    sections: SectionAddresses = new Map(),
  ): SymbolModule {
    const module = new SymbolModule(name, bytes, offset, this.options, sections, placeNowhere(this.loaded.length));
    if (image !== undefined) module.checkMatches(image);
    this.loaded.push(module);
    return module;
  }

  /** Runs a lookup; damage in the file makes it find nothing. */
  private guard<T>(find: () => T | undefined): T | undefined {
    try {
      return find();
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      this.late.add(error.message);
      return undefined;
    }
  }

  /** The module whose code contains `address`. */
  moduleAt(address: bigint): SymbolModule | undefined {
    return this.loaded.find((module) => module.hasCode(address));
  }

  private local(path: string): string {
    const mapped = mapPath(path, this.sourceMap);
    return this.directory === undefined || isWhole(mapped) ? mapped : normalisePath(`${this.directory}/${mapped}`);
  }

  /** Paths of debug information that are relative, mapped or not, start from `directory` from now on. */
  startPathsFrom(directory: string): void {
    this.directory = directory;
    this.paths.clear();
  }

  /** Maps further paths, those given before first. */
  addSourceMap(mappings: readonly SourceMapping[]): void {
    this.sourceMap.push(...mappings);
    this.paths.clear();
  }

  /** The source line of the code at `address`, its range in run-time addresses. */
  lineAt(address: bigint): SourceLine | undefined {
    for (const module of this.loaded) {
      const line = this.guard(() => module.dwarf?.lineAt(module.toLinked(address)));
      if (line !== undefined)
        return { ...line, file: this.local(line.file), low: module.toLoaded(line.low), high: module.toLoaded(line.high) };
    }
    return undefined;
  }

  /** Symbol, offset and source line of `address`: functions of the debug information first, then the nearest symbol of any file. */
  lookup(address: bigint): SymbolLocation | undefined {
    const line = this.lineAt(address);
    const place = { file: line?.file, line: line?.line, column: line?.column };
    for (const module of this.loaded) {
      const linked = module.toLinked(address);
      const info = this.guard(() => module.dwarf?.functionAt(linked));
      if (info !== undefined && linked >= info.low) return { module: module.name, symbol: info.name, offset: linked - info.low, ...place };
    }
    for (const module of this.loaded) {
      const hit = this.guard(() => module.symbols.find(module.toLinked(address)));
      if (hit !== undefined)
        return { module: module.name, symbol: module.symbols.readableOf(hit.symbol.name), offset: hit.offset, ...place };
    }
    const module = line === undefined ? undefined : this.moduleAt(address);
    return module === undefined ? undefined : { module: module.name, symbol: undefined, offset: 0n, ...place };
  }

  /** `symbol+0x1c` for `address`, or undefined when nothing is known of it. */
  describe(address: bigint): string | undefined {
    const hit = this.lookup(address);
    if (hit?.symbol === undefined) return undefined;
    return hit.offset === 0n ? hit.symbol : `${hit.symbol}+0x${hit.offset.toString(16)}`;
  }

  /** The logical frames at `address`, innermost first; at least one when the address has a symbol. */
  framesAt(address: bigint): FrameName[] {
    for (const module of this.loaded) {
      const scopes = this.guard(() => module.dwarf?.scopesAt(module.toLinked(address))) ?? [];
      if (scopes.length === 0) continue;
      const line = this.lineAt(address);
      let place = { file: line?.file, line: line?.line, column: line?.column };
      const frames: FrameName[] = [];
      for (const scope of scopes) {
        frames.push({ name: scope.name, ...place, inlined: scope.call !== undefined });
        if (scope.call !== undefined)
          place = {
            file: scope.call.file === undefined ? undefined : this.local(scope.call.file),
            line: scope.call.line,
            column: scope.call.column,
          };
      }
      return frames;
    }
    const hit = this.lookup(address);
    return hit === undefined
      ? []
      : [{ name: hit.symbol ?? hit.module, file: hit.file, line: hit.line, column: hit.column, inlined: false }];
  }

  /**
   * Addresses of the symbol, function or variable `name` (qualified or not), without repeats, as the CPU of `placement` sees them. Throws a {@link UserError} for a per-CPU variable whose copy
   * is not found.
   */
  addressesOf(name: string, placement?: CpuPlacement): bigint[] {
    const found = new Set<bigint>();
    for (const module of this.loaded) {
      for (const { address } of this.guard(() => module.symbols.named(name)) ?? []) {
        const place = placement === undefined ? module.toLoaded(address) : placement.place(module, address);
        if (place === undefined) throw new UserError(`${name} is ${withoutCopy}`);
        found.add(place);
      }
      if (found.size > 0) continue;
      for (const info of this.guard(() => module.dwarf?.findFunctions(name)) ?? []) found.add(module.toLoaded(info.low));
    }
    return [...found];
  }

  /**
   * Where a breakpoint on the function or label `name` stops: after the prologue where there is one, in the clones of it that the compiler made, and where its code was inlined.
   */
  functionBreakpoints(name: string): bigint[] {
    const found = new Set<bigint>();
    for (const module of this.loaded) {
      const add = (address: bigint): unknown => found.add(module.toLoaded(address));
      // The symbol table knows the plain names of all functions at once; the names of debug information take a walk through it.
      const named = this.guard(() => module.symbols.functionsNamed(name)) ?? [];
      for (const { address } of named) {
        const info = this.guard(() => module.dwarf?.functionAt(address));
        const after = info !== undefined && info.low === address ? this.guard(() => module.dwarf?.afterPrologue(info)) : undefined;
        add(after ?? address);
        (this.guard(() => module.dwarf?.inlinedNear(address, name)) ?? []).forEach(add);
      }
      if (named.length > 0) continue;
      for (const info of this.guard(() => module.dwarf?.findFunctions(name)) ?? [])
        add(this.guard(() => module.dwarf?.afterPrologue(info)) ?? info.low);
      (this.guard(() => module.dwarf?.findInlined(name)) ?? []).forEach(add);
    }
    return [...found].sort((a, b) => (a < b ? -1 : 1));
  }

  /** Debug-information paths of a module by the normalised local path they map to. */
  private filesOf(module: SymbolModule): ReadonlyMap<string, readonly string[]> {
    let files = this.paths.get(module);
    if (files === undefined) {
      const index = new Map<string, string[]>();
      for (const file of this.guard(() => module.dwarf?.files())?.keys() ?? []) {
        const local = this.local(file);
        index.set(local, [...(index.get(local) ?? []), file]);
      }
      files = index;
      this.paths.set(module, files);
    }
    return files;
  }

  private *filesMatching(path: string): Generator<{ module: SymbolModule; file: string }> {
    for (const module of this.loaded) {
      const files = this.filesOf(module);
      for (const local of matchPaths(path, files.keys())) for (const file of files.get(local) ?? []) yield { module, file };
    }
  }

  /** Local paths of all source files. */
  sources(): string[] {
    return [...new Set(this.loaded.flatMap((module) => [...this.filesOf(module).keys()]))].sort();
  }

  /** Where a breakpoint on `line` of the local source file `path` stops; the line moves down to the next that has code. */
  lineBreakpoints(path: string, line: number): BreakpointPlaces | undefined {
    let best = Infinity;
    let addresses: bigint[] = [];
    for (const { module, file } of this.filesMatching(path)) {
      const places = this.guard(() => module.dwarf?.addressesOf(file, line));
      if (places === undefined || places.line > best) continue;
      if (places.line < best) addresses = [];
      best = places.line;
      addresses.push(...places.addresses.map((address) => module.toLoaded(address)));
    }
    return best === Infinity ? undefined : { line: best, addresses: [...new Set(addresses)].sort((a, b) => (a < b ? -1 : 1)) };
  }

  /** Lines of the local source file `path` that have code, ascending. */
  codeLines(path: string): number[] {
    const lines = new Set<number>();
    for (const { module, file } of this.filesMatching(path))
      for (const line of this.guard(() => module.dwarf?.codeLines(file)) ?? []) lines.add(line);
    return [...lines].sort((a, b) => a - b);
  }
}
