import { UserError } from "../machine/errors";
import type { CompiledExpression, Scope, Template } from "./expr";
import { checkExpression, compile, parseExpression, parseTemplate } from "./expr";
import { parseHitCondition, type HitTest } from "./hitCondition";
import { hex, parseAddress } from "./numbers";
import { extraRegisters } from "./registerAccess";
import type { SymbolStore } from "./symbols/table";

/** When a code breakpoint stops and what it says. */
export interface BreakpointOptions {
  readonly condition?: string | undefined;
  readonly hitCondition?: string | undefined;
  /** With it, the breakpoint writes this and does not stop. */
  readonly logMessage?: string | undefined;
}

export interface LineRequest extends BreakpointOptions {
  readonly line: number;
}

export interface FunctionRequest extends BreakpointOptions {
  readonly name: string;
}

export interface InstructionRequest extends BreakpointOptions {
  readonly address: bigint;
}

/** What became of a breakpoint; in words when it stands nowhere. */
export interface CodeBreakpointStatus {
  readonly id: number;
  readonly verified: boolean;
  readonly message?: string;
  /** Why it is not verified: its code is not in memory yet, or it cannot be set. */
  readonly reason?: "pending" | "failed";
  /** The line that it really stands on. */
  readonly line?: number;
  readonly file?: string;
  readonly addresses: readonly bigint[];
}

const notLoaded = "The code is not in memory yet; the breakpoint binds when it is loaded.";

export type BreakpointKind = "line" | "function" | "instruction" | "data";

interface Place {
  readonly addresses: readonly bigint[];
  readonly line?: number;
  readonly file?: string;
}

interface CodeBreakpoint {
  readonly id: number;
  readonly kind: BreakpointKind;
  place: Place;
  /** Finds the place anew, when symbols have moved. Throws a UserError. */
  readonly resolve: () => Place;
  /** The code that it was set on has been seen in memory. Until then other code may lie at its addresses, which it does not stop. */
  isBound: boolean;
  /** What the owner last heard of that and of the place. */
  told: string;
  readonly condition: CompiledExpression | undefined;
  readonly hitTest: HitTest;
  readonly log: Template | undefined;
  hits: number;
  warned: boolean;
}

/** What reaching an address comes to. */
export interface Reached {
  /** Breakpoints that say to stop; empty to go on. */
  readonly ids: readonly number[];
  readonly kind: BreakpointKind | undefined;
  /** Log messages to write. */
  readonly logs: readonly string[];
}

/** What breakpoints must know of the guest's memory. */
export interface CodePresence {
  /** Whether the code that the symbols name lies at a linear address, as one of the CPUs or CPU `cpu` sees it; true where nothing tells. */
  isThere(address: bigint, cpu?: number): boolean;
}

/**
 * Breakpoints on code, by linear address: pages need not be mapped yet, nor the code be loaded. Each set replaces the former one of its kind (and, for lines, of
 * its file).
 */
export class CodeBreakpoints {
  private nextId = 1;
  private readonly lines = new Map<string, readonly CodeBreakpoint[]>();
  private functions: readonly CodeBreakpoint[] = [];
  private instructions: readonly CodeBreakpoint[] = [];
  private byAddress = new Map<bigint, CodeBreakpoint[]>();
  /** Those whose code has not been seen yet. */
  private readonly waiting = new Set<CodeBreakpoint>();
  /** Set while the machine goes over known ground: what is found there is told at its end, if it still holds ({@link tellBindings}). */
  silent = false;

  constructor(
    private readonly symbols: SymbolStore,
    private readonly fields: readonly string[],
    private readonly changed: () => void,
    private readonly warn: (message: string) => void,
    private readonly presence: CodePresence = { isThere: () => true },
    private readonly told: (status: CodeBreakpointStatus) => void = () => undefined,
  ) {}

  /** A number that no other breakpoint of the session has. */
  takeId(): number {
    return this.nextId++;
  }

  setLines(path: string, requests: readonly LineRequest[]): CodeBreakpointStatus[] {
    const list: CodeBreakpoint[] = [];
    const statuses = requests.map((request) =>
      this.set(list, "line", request, () => {
        const places = this.symbols.lineBreakpoints(path, request.line);
        if (places === undefined || places.addresses.length === 0) throw new UserError(this.whyNoCode(path, request.line));
        return { addresses: places.addresses, line: places.line, file: path };
      }),
    );
    this.lines.set(path, list);
    this.rebuild();
    return statuses;
  }

  private whyNoCode(path: string, line: number): string {
    if (this.symbols.codeLines(path).length > 0) return `There is no code on or after line ${line} of ${path}.`;
    return `The debug information names no file ${path}; set "sourceMap" if it was built elsewhere.`;
  }

  setFunctions(requests: readonly FunctionRequest[]): CodeBreakpointStatus[] {
    const list: CodeBreakpoint[] = [];
    const statuses = requests.map((request) =>
      this.set(list, "function", request, () => {
        const addresses = this.functionAddresses(request.name.trim());
        if (addresses.length === 0) throw new UserError(`There is no function or label '${request.name}' in the symbols.`);
        const place = this.symbols.lineAt(addresses[0]);
        return { addresses, ...(place === undefined ? {} : { line: place.line, file: place.file }) };
      }),
    );
    this.functions = list;
    this.rebuild();
    return statuses;
  }

  /** Addresses of `name`, `name+0x10` or, written `*0x1000` or `0x1000`, an address. */
  private functionAddresses(name: string): readonly bigint[] {
    const address = /^\*?\s*(0x[0-9a-f]+)$/i.exec(name);
    if (address !== null) return [parseAddress(address[1], "address")];
    const offset = /^(.+?)\s*\+\s*(0x[0-9a-f]+|\d+)$/i.exec(name);
    if (offset !== null) return this.symbols.addressesOf(offset[1]).map((base) => BigInt.asUintN(64, base + BigInt(offset[2])));
    return this.symbols.functionBreakpoints(name);
  }

  setInstructions(requests: readonly InstructionRequest[]): CodeBreakpointStatus[] {
    const list: CodeBreakpoint[] = [];
    const statuses = requests.map((request) => this.set(list, "instruction", request, () => ({ addresses: [request.address] })));
    this.instructions = list;
    this.rebuild();
    return statuses;
  }

  private set(list: CodeBreakpoint[], kind: BreakpointKind, options: BreakpointOptions, resolve: () => Place): CodeBreakpointStatus {
    const id = this.nextId++;
    try {
      const place = resolve();
      const isBound = kind === "instruction" || this.isThere(place);
      const breakpoint: CodeBreakpoint = {
        id,
        kind,
        place,
        resolve,
        isBound,
        told: "",
        condition: this.compileCondition(options.condition),
        hitTest: parseHitCondition(options.hitCondition),
        log: options.logMessage === undefined || options.logMessage === "" ? undefined : parseTemplate(options.logMessage),
        hits: 0,
        warned: false,
      };
      breakpoint.told = summaryOf(breakpoint);
      list.push(breakpoint);
      return statusOf(breakpoint);
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      return { id, verified: false, message: error.message, reason: "failed", addresses: [] };
    }
  }

  private get all(): CodeBreakpoint[] {
    return [...[...this.lines.values()].flat(), ...this.functions, ...this.instructions];
  }

  private isThere({ addresses }: Place): boolean {
    return addresses.some((address) => this.presence.isThere(address));
  }

  /** Looks whether the code of breakpoints that wait for it has been loaded. */
  bindLoaded(): void {
    for (const breakpoint of this.waiting) if (this.isThere(breakpoint.place)) this.bind(breakpoint);
  }

  private bind(breakpoint: CodeBreakpoint): void {
    breakpoint.isBound = true;
    this.waiting.delete(breakpoint);
    this.tell(breakpoint);
  }

  /** Tells what has come to hold, if it was not told yet. */
  private tell(breakpoint: CodeBreakpoint): void {
    const summary = summaryOf(breakpoint);
    if (this.silent || summary === breakpoint.told) return;
    breakpoint.told = summary;
    this.told(statusOf(breakpoint));
  }

  /** The machine went elsewhere in its course: only what is in memory there is bound. */
  bindAnew(): void {
    for (const breakpoint of this.all) breakpoint.isBound = breakpoint.kind === "instruction" || this.isThere(breakpoint.place);
    this.rebuild();
  }

  /** Tells what has come to hold since it was last told. */
  tellBindings(): void {
    for (const breakpoint of this.all) this.tell(breakpoint);
  }

  /** Symbols have moved: finds all places anew. */
  symbolsMoved(): void {
    for (const breakpoint of this.all) {
      if (breakpoint.kind === "instruction") continue;
      const before = breakpoint.place.addresses;
      try {
        breakpoint.place = breakpoint.resolve();
      } catch (error) {
        if (!(error instanceof UserError)) throw error;
        continue;
      }
      if (before.join() === breakpoint.place.addresses.join()) continue;
      breakpoint.isBound = this.isThere(breakpoint.place);
      this.tell(breakpoint);
    }
    this.rebuild();
  }

  private compileCondition(text: string | undefined): CompiledExpression | undefined {
    if (text === undefined || text.trim() === "") return undefined;
    const expression = parseExpression(text);
    // Any name may be a local variable of the place, which is known only there; what is no name at all is caught here.
    checkExpression(expression, { names: [...this.fields, ...extraRegisters], isKnown: (name) => /^[\w.$:]+$/.test(name) });
    return compile(expression);
  }

  private rebuild(): void {
    this.byAddress = new Map();
    this.waiting.clear();
    for (const breakpoint of this.all) {
      if (!breakpoint.isBound) this.waiting.add(breakpoint);
      for (const address of breakpoint.place.addresses) this.byAddress.set(address, [...(this.byAddress.get(address) ?? []), breakpoint]);
    }
    this.changed();
  }

  get addresses(): Iterable<bigint> {
    return this.byAddress.keys();
  }

  has(address: bigint): boolean {
    return this.byAddress.has(address);
  }

  /** Counts the arrival of CPU `cpu` at `address` and tells whether it stops there. */
  reach(address: bigint, scope: Scope, cpu?: number): Reached {
    const ids: number[] = [];
    const logs: string[] = [];
    let kind: BreakpointKind | undefined;
    for (const breakpoint of this.byAddress.get(address) ?? []) {
      if (!breakpoint.isBound) {
        if (!this.presence.isThere(address, cpu)) continue;
        this.bind(breakpoint);
      }
      if (!this.holds(breakpoint, scope)) continue;
      breakpoint.hits++;
      if (!breakpoint.hitTest(breakpoint.hits)) continue;
      if (breakpoint.log !== undefined) logs.push(breakpoint.log.render(scope));
      else {
        ids.push(breakpoint.id);
        kind ??= breakpoint.kind;
      }
    }
    return { ids, kind, logs };
  }

  private holds(breakpoint: CodeBreakpoint, scope: Scope): boolean {
    const { condition } = breakpoint;
    if (condition === undefined) return true;
    try {
      return condition.test(scope);
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      if (!breakpoint.warned) {
        breakpoint.warned = true;
        this.warn(
          `The condition "${condition.expression.text}" of the breakpoint at ${hex(breakpoint.place.addresses[0])} could not be evaluated and counts as false: ${error.message}`,
        );
      }
      return false;
    }
  }

  /** Remembers the hits. Returns what brings them back, to breakpoints that are there still. */
  saveHits(): () => void {
    const hits = new Map(this.all.map((breakpoint) => [breakpoint.id, breakpoint.hits]));
    return () => {
      for (const breakpoint of this.all) breakpoint.hits = hits.get(breakpoint.id) ?? 0;
    };
  }

  resetHits(): void {
    for (const breakpoint of this.all) breakpoint.hits = 0;
  }
}

/** Whether a breakpoint is bound, and where, to be compared. */
const summaryOf = ({ isBound, place }: CodeBreakpoint): string => `${isBound} ${place.line} ${place.addresses.join()}`;

function statusOf({ id, place, isBound }: CodeBreakpoint): CodeBreakpointStatus {
  return { id, verified: isBound, ...(isBound ? {} : { message: notLoaded, reason: "pending" }), ...place };
}
