import type { InterruptEvent } from "../apic/events";
import { StageCode, stages } from "../apic/recordStore";
import type { DeliveredEvent } from "../cpu/system/context";
import { UserError } from "../machine/errors";
import type { Fields } from "./cpuScope";
import { apicNames } from "./cpuScope";
import type { CompiledExpression, Scope } from "./expr";
import { checkExpression, compile, mayHold, parseExpression } from "./expr";
import { lintKinds, type Lint } from "./lints/lint";
import { filterNames, type FilterName } from "./filterNames";
import { parseHitCondition, type HitTest } from "./hitCondition";
import { extraRegisters } from "./registerAccess";
import type { SymbolStore } from "./symbols/table";
import type { DebugCpu } from "./target";

const interruptFieldNames = ["vector", "mode", "src", "dst", "cpu", "trigger", "source", "shorthand", "count", "time"] as const;
const exceptionFieldNames = ["vector", "errorCode", "cr2", "rip", "cpu", "count", "time"] as const;
const guestFieldNames = ["cpu", "count", "time"] as const;
const lintFieldNames = ["kind", "severity", "vector", "cpu", "count", "time"] as const;
/** What each budget measures, in instructions retired by the CPU or, for the latency, by the machine; and the nesting depth of handlers. */
const budgetFields = {
  "budget.latency": "latency",
  "budget.handler": "duration",
  "budget.masked": "duration",
  "budget.nesting": "depth",
} as const;
export type BudgetName = keyof typeof budgetFields;
const budgetFieldNames = (measured: string): readonly string[] => [measured, "vector", "source", "cpu", "count", "time"];

const fieldTexts: Readonly<Record<string, readonly string[]>> = {
  mode: ["fixed", "lowpri", "smi", "nmi", "init", "sipi", "extint"],
  trigger: ["edge", "level"],
  source: ["ipi", "ioapic", "msi", "timer", "lint0", "lint1", "error", "thermal", "pmc", "cmci", "pic", "debugger"],
  shorthand: ["none", "self", "all", "others"],
  kind: lintKinds,
  severity: ["warning", "note"],
};

/** The fields that conditions of `filter` may use. */
export function fieldsOf(filter: FilterName): readonly string[] {
  switch (filter) {
    case "cpu.exception":
      return exceptionFieldNames;
    case "interrupt.lint":
      return lintFieldNames;
    case "budget.latency":
    case "budget.handler":
    case "budget.masked":
    case "budget.nesting":
      return budgetFieldNames(budgetFields[filter]);
    case "cpu.tripleFault":
    case "guest.stuck":
    case "guest.end":
      return guestFieldNames;
    case "interrupt.send":
    case "interrupt.accept":
    case "interrupt.deliver":
    case "interrupt.eoi":
    case "interrupt.drop":
    case "interrupt.storm":
    case "nmi":
    case "smi":
    case "init":
    case "sipi":
      return interruptFieldNames;
  }
}

/** The filters that an interrupt's event may stop. */
export function filtersOf(event: InterruptEvent): readonly FilterName[] {
  switch (event.stage) {
    case "send":
      return ["interrupt.send"];
    case "accept":
      return ["interrupt.accept"];
    case "request":
    case "return":
      return [];
    case "eoi":
      return ["interrupt.eoi"];
    case "drop":
      return ["interrupt.drop"];
    case "deliver":
      switch (event.record.mode) {
        case "nmi":
        case "smi":
        case "init":
        case "sipi":
          return [event.record.mode, "interrupt.deliver"];
        case "fixed":
        case "lowpri":
        case "extint":
          return ["interrupt.deliver"];
      }
  }
}

/** `count` is the how-manieth event of this kind, vector and CPU it is; `time` nanoseconds of virtual time. */
export function interruptFields(event: InterruptEvent, count: number, time: number): Fields {
  const { record, cpu } = event;
  return {
    vector: BigInt(record.vector),
    mode: record.mode,
    src: BigInt(record.src),
    dst: BigInt(record.dst),
    cpu: BigInt(cpu),
    trigger: record.trigger,
    source: record.source,
    shorthand: record.shorthand,
    count: BigInt(count),
    time: BigInt(Math.floor(time)),
  };
}

export function lintFields(lint: Lint): Fields {
  return {
    kind: lint.kind,
    severity: lint.severity,
    vector: BigInt(lint.vector),
    cpu: BigInt(lint.cpu),
    count: BigInt(lint.count),
    time: BigInt(Math.floor(lint.time)),
  };
}

/** A measure of a budget: of an interrupt where there is one. */
export interface BudgetMeasure {
  readonly budget: BudgetName;
  readonly cpu: number;
  /** Instructions, or handlers. */
  readonly value: number;
  readonly vector: number;
  readonly source: string;
}

export function measureFields(measure: BudgetMeasure, count: number, time: number): Fields {
  const { budget, value, vector, source, cpu } = measure;
  return {
    [budgetFields[budget]]: BigInt(value),
    vector: BigInt(vector),
    source,
    cpu: BigInt(cpu),
    count: BigInt(count),
    time: BigInt(Math.floor(time)),
  };
}

export function exceptionFields(cpu: number, event: DeliveredEvent, count: number, time: number): Fields {
  return {
    vector: BigInt(event.vector),
    errorCode: BigInt(event.errorCode),
    cr2: event.address,
    rip: event.rip,
    cpu: BigInt(cpu),
    count: BigInt(count),
    time: BigInt(Math.floor(time)),
  };
}

/** A breakpoint on events as its owner wrote it. */
export interface FilterSpec {
  /** The owner's own name for it. */
  readonly id: string;
  readonly filter: string;
  readonly condition?: string | undefined;
  readonly hitCondition?: string | undefined;
  readonly enabled?: boolean | undefined;
}

export interface FilterStatus {
  readonly id: string;
  /** Unique among all breakpoints of the session; missing when it is not verified. */
  readonly number?: number;
  readonly verified: boolean;
  readonly message?: string;
  readonly hits: number;
}

/** Who set a breakpoint: each owner replaces its own only. */
export type FilterOwner = "client" | "launch" | "workspace";

interface ArmedFilter {
  /** Unique among all breakpoints of the session. */
  readonly number: number;
  readonly spec: FilterSpec;
  readonly filter: FilterName;
  readonly condition: CompiledExpression | undefined;
  /** Of interrupts: by vector, 1 where the condition may hold. */
  readonly vectors: Uint8Array;
  readonly hitTest: HitTest;
  hits: number;
  warned: boolean;
}

export function isFilterName(name: string): name is FilterName {
  return filterNames.some((known) => known === name);
}

/** Checks the name of a filter. Throws a {@link UserError} that lists the valid ones. */
export function filterName(name: string): FilterName {
  if (!isFilterName(name)) throw new UserError(`There is no filter '${name}'; the filters are ${filterNames.join(", ")}.`, "filter");
  return name;
}

const stageFilters: readonly (readonly [stage: number, filter: FilterName])[] = [
  [StageCode.send, "interrupt.send"],
  [StageCode.accept, "interrupt.accept"],
  [StageCode.deliver, "interrupt.deliver"],
  [StageCode.eoi, "interrupt.eoi"],
  [StageCode.drop, "interrupt.drop"],
];

/** Breakpoints on events are numbered from here, apart from those on code and data. */
const firstNumber = 1_000_000;

/** All breakpoints on events, by filter: an event that nobody asked for costs one look-up. */
export class EventFilters {
  private readonly owners = new Map<FilterOwner, readonly ArmedFilter[]>();
  private readonly armed = new Map<FilterName, ArmedFilter[]>();
  /** By stage and vector: 1 where a breakpoint may be met. */
  private readonly vectors = new Uint8Array(stages.length * 256);
  private changedHits = new Set<ArmedFilter>();
  private nextNumber = firstNumber;

  constructor(
    private readonly symbols: SymbolStore,
    private readonly cpus: readonly DebugCpu[],
    /** Told once for each condition that cannot be evaluated. */
    private readonly warn: (message: string) => void,
    /** Told when breakpoints were replaced. */
    private readonly changed: () => void = () => undefined,
  ) {}

  /** Makes one breakpoint ready. Throws a {@link UserError} for an unknown filter or field or a wrong condition. */
  private arm(spec: FilterSpec): ArmedFilter {
    const filter = filterName(spec.filter);
    const hitTest = parseHitCondition(spec.hitCondition);
    const text = spec.condition?.trim() ?? "";
    if (text === "" && Object.hasOwn(budgetFields, filter))
      throw new UserError(
        `${filter} needs a condition that says how much is too much, such as ${budgetFields[filter as BudgetName]} > 5000.`,
        "condition",
      );
    const number = this.nextNumber++;
    if (text === "")
      return { number, spec, filter, condition: undefined, vectors: new Uint8Array(256).fill(1), hitTest, hits: 0, warned: false };
    try {
      const expression = parseExpression(text);
      const lapic = new Set(apicNames(this.cpus[0]));
      checkExpression(expression, {
        names: fieldsOf(filter),
        values: filterTexts(filter),
        isKnown: (given) => {
          const name = given.replace(/^cpu\d{1,2}\./, "");
          const lower = name.toLowerCase();
          return lapic.has(lower) || extraRegisters.includes(lower) || this.symbols.addressesOf(name).length > 0;
        },
      });
      const fields = new Set(fieldsOf(filter));
      const vectors = Uint8Array.from({ length: 256 }, (_, vector) => (mayHold(expression, "vector", vector, fields) ? 1 : 0));
      return { number, spec, filter, condition: compile(expression), vectors, hitTest, hits: 0, warned: false };
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      throw new UserError(`The condition "${text}" of ${filter} is wrong: ${error.message}`, "condition");
    }
  }

  /** Checks without setting. Throws a {@link UserError} for the first wrong one. */
  check(specs: readonly FilterSpec[]): void {
    for (const spec of specs) this.arm(spec);
  }

  /** Replaces an owner's breakpoints. Those that stay as they were keep their hits; wrong ones are told of and left out. */
  replace(owner: FilterOwner, specs: readonly FilterSpec[]): FilterStatus[] {
    const old = new Map((this.owners.get(owner) ?? []).map((armed) => [JSON.stringify(keyOf(armed.spec)), armed]));
    const list: ArmedFilter[] = [];
    const statuses = specs.map((spec): FilterStatus => {
      try {
        const kept = old.get(JSON.stringify(keyOf(spec)));
        const armed = kept === undefined ? this.arm(spec) : { ...kept, spec };
        list.push(armed);
        return { id: spec.id, number: armed.number, verified: true, hits: armed.hits };
      } catch (error) {
        if (!(error instanceof UserError)) throw error;
        return { id: spec.id, verified: false, message: error.message, hits: 0 };
      }
    });
    this.owners.set(owner, list);
    this.armed.clear();
    for (const armed of [...this.owners.values()].flat())
      if (armed.spec.enabled !== false) this.armed.set(armed.filter, [...(this.armed.get(armed.filter) ?? []), armed]);
    this.vectors.fill(0);
    for (const [stage, filter] of stageFilters)
      for (const { vectors } of this.armed.get(filter) ?? []) vectors.forEach((may, vector) => (this.vectors[stage * 256 + vector] |= may));
    this.changed();
    return statuses;
  }

  /** Whether a breakpoint may be met by an interrupt with this vector at this stage ({@link StageCode}), whose mode has no filter of its own. */
  mayMeet(stage: number, vector: number): boolean {
    return this.vectors[stage * 256 + vector] !== 0;
  }

  /** Whether anybody asked for `filter`. */
  has(filter: FilterName): boolean {
    return this.armed.has(filter);
  }

  /** Counts an event against all breakpoints of `filter`. Returns the numbers of those that say to stop. `scope` is made only if needed. */
  meet(filter: FilterName, scope: () => Scope): readonly number[] {
    const list = this.armed.get(filter);
    if (list === undefined) return [];
    const met: number[] = [];
    let made: Scope | undefined;
    for (const armed of list) {
      if (armed.condition !== undefined) {
        made ??= scope();
        if (!this.holds(armed, armed.condition, made)) continue;
      }
      armed.hits++;
      this.changedHits.add(armed);
      if (armed.hitTest(armed.hits)) met.push(armed.number);
    }
    return met;
  }

  private holds(armed: ArmedFilter, condition: CompiledExpression, scope: Scope): boolean {
    try {
      return condition.test(scope);
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      if (!armed.warned) {
        armed.warned = true;
        this.warn(
          `The condition "${armed.spec.condition ?? ""}" of ${armed.filter} could not be evaluated and counts as false: ${error.message}`,
        );
      }
      return false;
    }
  }

  /** Hits of the owner's breakpoints that changed since the last call. */
  takeChangedHits(owner: FilterOwner): { id: string; hits: number }[] {
    const own = new Set(this.owners.get(owner) ?? []);
    const changed = [...this.changedHits].filter((armed) => own.has(armed)).map(({ spec, hits }) => ({ id: spec.id, hits }));
    this.changedHits = new Set();
    return changed;
  }

  /** Remembers the hits. Returns what brings them back, to breakpoints that are there still. */
  saveHits(): () => void {
    const hits = new Map([...this.owners.values()].flat().map((armed) => [armed.number, armed.hits]));
    return () => {
      for (const armed of [...this.owners.values()].flat()) {
        const before = hits.get(armed.number) ?? 0;
        if (before !== armed.hits) this.changedHits.add(armed);
        armed.hits = before;
      }
    };
  }

  /** Begins to count anew: the guest was started again. */
  resetHits(): void {
    for (const armed of [...this.owners.values()].flat()) armed.hits = 0;
  }
}

function keyOf(spec: FilterSpec): readonly (string | undefined)[] {
  return [spec.id, spec.filter, spec.condition, spec.hitCondition];
}

/** The texts that the fields of `filter` take. */
function filterTexts(filter: FilterName): Readonly<Record<string, readonly string[]>> {
  const fields = fieldsOf(filter);
  return Object.fromEntries(Object.entries(fieldTexts).filter(([name]) => fields.includes(name)));
}
