import { withoutCopy } from "../perCpu";
import { At, Tag } from "./constants";
import { childAt } from "./functions";
import type { DwarfInfo } from "./info";
import { readLocations } from "./lists";
import type { Location, LocationContext } from "./location";
import { evaluateLocation, optimisedOut } from "./location";
import type { RegisterNumbering, RegisterValues } from "./registers";
import type { Storage } from "./storage";
import { storageOf } from "./storage";
import { TypeInfo } from "./types";
import type { Entry } from "./unit";
import type { ValueContext } from "./values";
import { Value } from "./values";

/** The machine frame that variables are looked up in. Addresses are as linked. */
export interface VariableFrame {
  /** The address whose scopes and locations count: that of the call, in frames that called. */
  readonly address: bigint;
  readonly registers: RegisterValues;
  readonly cfa: bigint | undefined;
}

/** A parameter or local variable. */
export interface Variable {
  readonly value: Value;
  readonly isParameter: boolean;
  /** A variable of an inner block has the same name. */
  readonly isShadowed: boolean;
}

/** Blocks nest; a function with more variables than this is damage. */
const maximumVariables = 10_000;

/** Finds variables of one file and where they are. */
export class VariableReader {
  constructor(
    private readonly info: DwarfInfo,
    private readonly numbering: RegisterNumbering,
    /** The run-time address of a linked one, where it has one. */
    private readonly place: LocationContext["place"],
    private readonly context: ValueContext,
  ) {}

  /**
   * Parameters and variables of a function or inlined call (`scope`) that are in scope at the frame's address, outermost block first;
   * those of calls inlined into it belong to their own scopes.
   */
  inScope(scope: Entry, frame: VariableFrame): Variable[] {
    const entries: { entry: Entry; depth: number }[] = [];
    let block: Entry | undefined = scope;
    for (let depth = 0; block !== undefined; depth++) {
      const found = new Set<number>();
      for (const child of block.children()) {
        if (!isVariable(child) || entries.length >= maximumVariables) continue;
        entries.push({ entry: child, depth });
        for (const origin of child.origins()) found.add(origin.offset);
      }
      for (const child of this.onlyAbstract(block, found)) entries.push({ entry: child, depth });
      const inner = childAt(block, frame.address);
      block = inner?.tag === Tag.lexical_block ? inner : undefined;
    }
    const deepest = new Map<string, number>();
    for (const { entry, depth } of entries) deepest.set(entry.name ?? "", depth);
    const variables: Variable[] = [];
    for (const { entry, depth } of entries) {
      const { name } = entry;
      if (name === undefined) continue;
      variables.push({
        value: this.value(entry, name, frame),
        isParameter: entry.tag === Tag.formal_parameter,
        isShadowed: deepest.get(name) !== depth,
      });
    }
    return variables;
  }

  /** Variables that only the abstract instance of an inlined or cloned function still names: optimised out altogether. */
  private *onlyAbstract(block: Entry, found: ReadonlySet<number>): Generator<Entry> {
    const origin = block.reference(At.abstract_origin);
    for (const child of origin?.children() ?? []) if (isVariable(child) && !found.has(child.offset)) yield child;
  }

  /** The value of a global or static variable. */
  global(entry: Entry, name: string): Value {
    return this.value(entry, name, undefined);
  }

  /** A constant of an enumeration, of the enumeration's type. */
  constant(entry: Entry, name: string, type: Entry): Value {
    const info = new TypeInfo(this.info, type);
    return new Value(name, info, this.storage(entry, info, undefined), this.context);
  }

  private value(entry: Entry, name: string, frame: VariableFrame | undefined): Value {
    const type = new TypeInfo(this.info, entry.type);
    return new Value(name, type, this.storage(entry, type, frame), this.context);
  }

  private storage(entry: Entry, type: TypeInfo, frame: VariableFrame | undefined): Storage {
    const context = this.locationContext(entry, frame);
    const size = type.byteSize ?? 8;
    const constant = entry.owner(At.const_value)?.raw(At.const_value);
    if (constant?.kind === "constant") return storageOf({ kind: "value", value: constant.value }, size, context);
    if (constant?.kind === "block") return storageOf({ kind: "bytes", bytes: constant.value }, size, context);
    if (constant?.kind === "address") {
      const value = this.place(constant.value);
      return storageOf(value === undefined ? { kind: "missing", reason: withoutCopy } : { kind: "value", value }, size, context);
    }
    return storageOf(this.locate(entry, At.location, context, frame), size, context);
  }

  /** The location that attribute `name` gives at the frame's address. */
  private locate(entry: Entry, name: number, context: LocationContext, frame: VariableFrame | undefined): Location {
    const owner = entry.owner(name);
    let fallback: Uint8Array | undefined;
    for (const { range, expression } of owner === undefined ? [] : readLocations(owner, name)) {
      if (range === undefined) fallback = expression;
      else if (frame !== undefined && range.low <= frame.address && frame.address < range.high)
        return evaluateLocation(expression, context);
    }
    return fallback === undefined ? optimisedOut : evaluateLocation(fallback, context);
  }

  private locationContext(entry: Entry, frame: VariableFrame | undefined): LocationContext {
    const { unit } = entry;
    const plain: LocationContext = {
      file: unit.context.file,
      addressSize: unit.addressSize,
      place: this.place,
      unit,
      register: (number) => {
        const name = this.numbering.name(number);
        return name === undefined ? undefined : frame?.registers.get(name);
      },
      readMemory: (address, size) => this.context.readMemory(address, size),
      cfa: frame?.cfa,
    };
    return { ...plain, frameBase: () => this.frameBase(entry, plain, frame) };
  }

  /** What DW_AT_frame_base of the function around `entry` gives: an address, or the content of a register. */
  private frameBase(entry: Entry, context: LocationContext, frame: VariableFrame | undefined): bigint | undefined {
    let at: Entry | undefined = entry;
    while (at !== undefined && !at.has(At.frame_base)) at = at.parent;
    if (at === undefined) return undefined;
    const location = this.locate(at, At.frame_base, context, frame);
    switch (location.kind) {
      case "memory":
        return location.address;
      case "register":
        return context.register(location.number);
      case "value":
        return location.value;
      default:
        return undefined;
    }
  }
}

function isVariable(entry: Entry): boolean {
  return (entry.tag === Tag.variable || entry.tag === Tag.formal_parameter) && !entry.flag(At.declaration);
}
