import { withoutTemplates } from "../names";
import type { AddressRange, Interval } from "../intervals";
import { IntervalIndex } from "../intervals";
import { At, Form, Language, Tag } from "./constants";
import { startOfCall } from "./inlined";
import { entryRanges } from "./lists";
import type { Entry, Unit } from "./unit";

/** A function with code. Addresses are as linked. */
export interface FunctionInfo {
  /** The name with its namespaces and classes: `ns::Class::method`. */
  readonly name: string;
  /** The linker's (mangled) name, where it differs. */
  readonly linkageName: string | undefined;
  /** Where calls arrive. */
  readonly low: bigint;
  readonly ranges: readonly AddressRange[];
  readonly entry: Entry;
}

/** Functions of one unit, found by address. */
export class UnitFunctions {
  readonly all: readonly FunctionInfo[];
  private readonly index: IntervalIndex<FunctionInfo>;
  /** The unit uses location lists: variables can be found anywhere in a function, also before its prologue is over. */
  readonly hasLocationLists: boolean;
  private inlinedCalls: ReadonlyMap<string, readonly InlinedCall[]> | undefined;

  constructor(
    private readonly unit: Unit,
    private readonly isCode: (address: bigint) => boolean,
  ) {
    const { abbreviations } = unit.entries;
    const all: FunctionInfo[] = [];
    const intervals: Interval<FunctionInfo>[] = [];
    let hasLists = false;
    for (let index = 0; index < abbreviations.length; index++) {
      const { tag, attributes } = abbreviations[index];
      if (tag === Tag.variable || tag === Tag.formal_parameter) {
        const location = attributes.find((spec) => spec.name === At.location)?.form;
        hasLists ||= location === Form.sec_offset || location === Form.loclistx;
      }
      if (tag !== Tag.subprogram) continue;
      const entry = unit.entry(index);
      const ranges = entryRanges(entry).filter((range) => isCode(range.low));
      if (ranges.length === 0) continue;
      const info = describeFunction(entry, ranges);
      all.push(info);
      for (const range of ranges) intervals.push({ ...range, value: info });
    }
    this.all = all;
    this.index = new IntervalIndex(intervals);
    this.hasLocationLists = hasLists;
  }

  at(address: bigint): FunctionInfo | undefined {
    return this.index.find(address)?.value;
  }

  /** Where copies of the function `name`, qualified or not, that were inlined into functions of this unit begin. */
  inlinedCopies(name: string): bigint[] {
    this.inlinedCalls ??= this.readInlinedCalls();
    const calls = this.inlinedCalls.get(unqualified(name)) ?? [];
    return calls.filter(({ qualified }) => !name.includes("::") || isMeant(qualified, name)).map(({ address }) => address);
  }

  private readInlinedCalls(): ReadonlyMap<string, readonly InlinedCall[]> {
    const { abbreviations } = this.unit.entries;
    const found = new Map<string, InlinedCall[]>();
    for (let index = 0; index < abbreviations.length; index++) {
      if (abbreviations[index].tag !== Tag.inlined_subroutine) continue;
      const entry = this.unit.entry(index);
      const name = entry.name;
      const ranges = entryRanges(entry).filter((range) => this.isCode(range.low));
      if (name === undefined || ranges.length === 0) continue;
      const call = { qualified: qualifiedName(entry), address: startOfCall(ranges, entry.address(At.entry_pc)) };
      for (const key of new Set([name, withoutTemplates(name)])) {
        const known = found.get(key);
        if (known === undefined) found.set(key, [call]);
        else known.push(call);
      }
    }
    return found;
  }
}

/** A call that the compiler replaced by the function's code. */
interface InlinedCall {
  readonly qualified: string | undefined;
  /** Where the code begins, as linked. */
  readonly address: bigint;
}

/** A name without its namespaces and classes; arguments of a template may have some of their own. */
export function unqualified(name: string): string {
  let depth = 0;
  for (let at = name.length - 1; at > 0; at--) {
    if (name[at] === ">") depth++;
    else if (name[at] === "<") depth--;
    else if (depth <= 0 && name[at] === ":" && name[at - 1] === ":") return name.slice(at + 1);
  }
  return name;
}

/** Whether what is called `own` in full is meant by `name`: also an instance of a template by the template's name. */
export function isMeant(own: string | undefined, name: string): boolean {
  return own === name || (own !== undefined && !name.includes("<") && withoutTemplates(own) === name);
}

function describeFunction(entry: Entry, ranges: readonly AddressRange[]): FunctionInfo {
  const linkage = entry.owner(At.linkage_name)?.string(At.linkage_name) ?? entry.owner(At.mips_linkage_name)?.string(At.mips_linkage_name);
  return { name: qualifiedName(entry) ?? linkage ?? "", linkageName: linkage, low: ranges[0].low, ranges, entry };
}

/** The entry's name after those of the namespaces and types around its declaration. */
export function qualifiedName(entry: Entry): string | undefined {
  const owner = entry.owner(At.name);
  const name = owner?.string(At.name);
  if (owner === undefined || name === undefined) return undefined;
  // The declaration stands in its class or namespace; an out-of-line definition does not.
  let place: Entry | undefined = owner;
  for (const origin of entry.origins()) place = origin;
  const parts = [name];
  let parent = place.parent;
  for (let depth = 0; parent !== undefined && depth < 32; depth++, parent = parent.parent) {
    switch (parent.tag) {
      case Tag.namespace:
        parts.unshift(parent.string(At.name) ?? "(anonymous namespace)");
        break;
      case Tag.module:
      case Tag.class_type:
      case Tag.structure_type:
      case Tag.union_type:
      case Tag.enumeration_type:
      case Tag.interface_type: {
        const outer = parent.name;
        if (outer !== undefined) parts.unshift(outer);
        break;
      }
      default:
    }
  }
  return parts.join("::");
}

/** A function or an inlined call as it stands on the (logical) stack. */
export interface ScopeInfo {
  readonly name: string;
  /** The subprogram or inlined_subroutine entry: what its variables hang from. */
  readonly entry: Entry;
  /** For inlined calls, where the call stands in the source; undefined for the function itself. */
  readonly call: { readonly file: string | undefined; readonly line: number; readonly column: number } | undefined;
}

/** The function around `address` and the calls inlined into it there, innermost first. */
export function scopesAt(info: FunctionInfo, address: bigint, fileOf: (unit: Unit, index: number) => string | undefined): ScopeInfo[] {
  const scopes: ScopeInfo[] = [{ name: info.name, entry: info.entry, call: undefined }];
  let at = childAt(info.entry, address);
  while (at !== undefined) {
    if (at.tag === Tag.inlined_subroutine) {
      const file = at.number(At.call_file);
      scopes.unshift({
        name: qualifiedName(at) ?? "",
        entry: at,
        call: {
          file: file === undefined ? undefined : fileOf(at.unit, file),
          line: at.number(At.call_line) ?? 0,
          column: at.number(At.call_column) ?? 0,
        },
      });
    }
    at = childAt(at, address);
  }
  return scopes;
}

/** The block or inlined call directly under `entry` that covers `address`. */
export function childAt(entry: Entry, address: bigint): Entry | undefined {
  for (const child of entry.children()) {
    if (child.tag !== Tag.lexical_block && child.tag !== Tag.inlined_subroutine) continue;
    if (entryRanges(child).some((range) => range.low <= address && address < range.high)) return child;
  }
  return undefined;
}

/** Whether the unit was written in assembly: no prologues, no types. */
export function isAssembly(unit: Unit): boolean {
  return unit.root.language === Language.mipsAssembler;
}
