import { UserError } from "../machine/errors";
import type { Watch, WatchHit } from "../machine/watches";
import type { BreakpointOptions } from "./codeBreakpoints";
import { accessesOf, changesByItself, parsePlace, placeText, toWatches, type AccessType, type DataPlace } from "./dataPlaces";
import { checkExpression, compile, parseExpression, type CompiledExpression, type Scope } from "./expr";
import type { Fields } from "./cpuScope";
import { parseHitCondition, type HitTest } from "./hitCondition";
import { hex } from "./numbers";
import { extraRegisters } from "./registerAccess";
import type { DebugMachine } from "./target";

/** A data breakpoint as its owner wrote it. */
export interface DataRequest extends Omit<BreakpointOptions, "logMessage"> {
  readonly dataId: string;
  /** `write` if left out. */
  readonly access?: AccessType | undefined;
  /** What the person calls the place; in words if left out. */
  readonly name?: string | undefined;
}

export interface DataBreakpointStatus {
  readonly id: number;
  readonly verified: boolean;
  readonly message?: string;
  readonly reason?: "failed";
}

/** Each owner replaces its own only. */
export type DataOwner = "client" | "console";

/** A data breakpoint as lists show it. */
export interface DataBreakpointView {
  readonly id: number;
  readonly owner: DataOwner;
  readonly place: DataPlace;
  readonly name: string;
  readonly access: AccessType;
  readonly condition: string;
  readonly hits: number;
}

/** Accesses that a person is to be told of. */
export interface DataHit {
  readonly id: number;
  /** The CPU that made it; -1: a device. */
  readonly cpu: number;
  readonly text: string;
}

interface DataBreakpoint extends DataBreakpointView {
  readonly watches: readonly Watch[];
  readonly compiled: CompiledExpression | undefined;
  readonly hitTest: HitTest;
  /** By CPU: what a register of the local APIC was when last looked at. */
  readonly last: Map<number, bigint>;
  hits: number;
  warned: boolean;
}

/** A breakpoint as plain data. */
function viewOf({ id, owner, place, name, access, condition, hits }: DataBreakpoint): DataBreakpointView {
  return { id, owner, place, name, access, condition, hits };
}

/** Fields of conditions: `value` and `old` are of the bytes accessed (0 where nobody knows), `access` is "read" or "write". */
export const dataFields: readonly string[] = ["value", "old", "address", "size", "access", "cpu", "time"];

/** What data breakpoints ask of the session. */
export interface DataHost {
  readonly machine: DebugMachine;
  /** A number for a new breakpoint. */
  takeId(): number;
  scope(cpu: number, fields: Fields): Scope;
  symbolOf(address: bigint): string | undefined;
  warn(message: string): void;
}

/** Breakpoints on accesses to data: memory, ports and registers. */
export class DataBreakpoints {
  private readonly owners = new Map<DataOwner, readonly DataBreakpoint[]>();
  private byId = new Map<number, DataBreakpoint>();
  private apic: readonly DataBreakpoint[] = [];

  constructor(private readonly host: DataHost) {}

  get list(): readonly DataBreakpointView[] {
    return [...this.byId.values()].map(viewOf);
  }

  /** Replaces the owner's breakpoints; wrong ones are told of and left out. */
  replace(owner: DataOwner, requests: readonly DataRequest[]): DataBreakpointStatus[] {
    const list: DataBreakpoint[] = [];
    const statuses = requests.map((request): DataBreakpointStatus => {
      const id = this.host.takeId();
      try {
        list.push(this.make(id, owner, request));
        return { id, verified: true };
      } catch (error) {
        if (!(error instanceof UserError)) throw error;
        return { id, verified: false, message: error.message, reason: "failed" };
      }
    });
    this.owners.set(owner, list);
    this.apply();
    return statuses;
  }

  /** Adds one of the console's. Throws a {@link UserError} for what is wrong with it. */
  add(request: DataRequest): DataBreakpointView {
    const made = this.make(this.host.takeId(), "console", request);
    this.owners.set("console", [...(this.owners.get("console") ?? []), made]);
    this.apply();
    return viewOf(made);
  }

  /** Takes away the console's breakpoints, or one. Throws a {@link UserError} for an id that is none of them. */
  remove(id?: number): void {
    const own = this.owners.get("console") ?? [];
    if (id !== undefined && !own.some((breakpoint) => breakpoint.id === id))
      throw new UserError(`The console has set no watchpoint ${id}.`, "id");
    this.owners.set("console", id === undefined ? [] : own.filter((breakpoint) => breakpoint.id !== id));
    this.apply();
  }

  private make(id: number, owner: DataOwner, request: DataRequest): DataBreakpoint {
    const place = parsePlace(request.dataId, this.host.machine.cpus.length);
    const access = request.access ?? "write";
    const possible = accessesOf(place);
    if (!possible.includes(access))
      throw new UserError(`Only a ${possible.join(" or ")} of ${placeText(place)} can be seen, not a ${access}.`, "accessType");
    const condition = request.condition?.trim() ?? "";
    return {
      id,
      owner,
      place,
      name: request.name ?? placeText(place),
      access,
      condition,
      watches: toWatches(place, access).map((watch) => ({ ...watch, id })),
      compiled: condition === "" ? undefined : this.compile(condition),
      hitTest: parseHitCondition(request.hitCondition),
      last: new Map(),
      hits: 0,
      warned: false,
    };
  }

  private compile(text: string): CompiledExpression {
    const expression = parseExpression(text);
    checkExpression(expression, {
      names: [...dataFields, ...extraRegisters],
      values: { access: ["read", "write"] },
      isKnown: (name) => /^[\w.$:]+$/.test(name),
    });
    return compile(expression);
  }

  private apply(): void {
    const all = [...this.owners.values()].flat();
    this.byId = new Map(all.map((breakpoint) => [breakpoint.id, breakpoint]));
    this.apic = all.filter(({ place }) => place.kind === "apic");
    this.host.machine.setWatches(all.flatMap(({ watches }) => watches));
    this.remember();
  }

  /** Registers of local APICs are as they are now: what changed them is no news. */
  remember(): void {
    for (const breakpoint of this.apic) for (const cpu of this.cpusOf(breakpoint)) breakpoint.last.set(cpu, this.register(breakpoint, cpu));
  }

  private cpusOf({ place }: DataBreakpoint): readonly number[] {
    const wanted = place.kind === "apic" ? place.cpu : -1;
    return this.host.machine.cpus.map(({ index }) => index).filter((index) => wanted < 0 || index === wanted);
  }

  private register({ place }: DataBreakpoint, cpu: number): bigint {
    if (place.kind !== "apic") return 0n;
    return this.host.machine.cpus[cpu].apic.registers().find(({ name }) => name === place.register)?.value ?? 0n;
  }

  /** An access to something watched was made. Returns what the person is to be told, if anything. */
  hit(hit: WatchHit): DataHit | undefined {
    const breakpoint = this.byId.get(hit.id);
    if (breakpoint === undefined) return undefined;
    if (breakpoint.place.kind !== "apic") return this.judge(breakpoint, hit);
    const old = breakpoint.last.get(hit.cpu);
    const value = this.register(breakpoint, hit.cpu);
    breakpoint.last.set(hit.cpu, value);
    const byItself = hit.write && changesByItself(breakpoint.place);
    if (byItself && old === value) return undefined;
    return this.judge(breakpoint, { ...hit, old: hit.write ? old : undefined, value }, byItself ? "changed" : undefined);
  }

  /** Whether registers of local APICs are watched, which interrupts change. */
  get watchesApics(): boolean {
    return this.apic.length > 0;
  }

  /** An interrupt went a step at CPU `cpu`: its local APIC's registers may have changed without a write. */
  interrupt(cpu: number): DataHit[] {
    const hits: DataHit[] = [];
    for (const breakpoint of this.apic) {
      if (breakpoint.access === "read" || !changesByItself(breakpoint.place) || !this.cpusOf(breakpoint).includes(cpu)) continue;
      const old = breakpoint.last.get(cpu);
      const value = this.register(breakpoint, cpu);
      if (old === value) continue;
      breakpoint.last.set(cpu, value);
      const hit = this.judge(breakpoint, { id: breakpoint.id, cpu, write: true, address: 0n, size: 0, old, value }, "changed");
      if (hit !== undefined) hits.push(hit);
    }
    return hits;
  }

  private judge(breakpoint: DataBreakpoint, hit: WatchHit, verb = hit.write ? "wrote" : "read"): DataHit | undefined {
    if (!this.holds(breakpoint, hit)) return undefined;
    breakpoint.hits++;
    return breakpoint.hitTest(breakpoint.hits) ? { id: breakpoint.id, cpu: hit.cpu, text: this.text(breakpoint, hit, verb) } : undefined;
  }

  private holds(breakpoint: DataBreakpoint, { cpu, write, address, size, old, value }: WatchHit): boolean {
    const { compiled } = breakpoint;
    if (compiled === undefined) return true;
    const fields: Fields = {
      value: value ?? 0n,
      // Where nothing was replaced, nothing changed.
      old: old ?? value ?? 0n,
      address,
      size: BigInt(size),
      access: write ? "write" : "read",
      cpu: BigInt(cpu),
      time: BigInt(Math.floor(this.host.machine.now())),
    };
    try {
      return compiled.test(this.host.scope(cpu, fields));
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      if (!breakpoint.warned) {
        breakpoint.warned = true;
        this.host.warn(
          `The condition "${breakpoint.condition}" of the watchpoint on ${breakpoint.name} could not be evaluated and counts as false: ${error.message}`,
        );
      }
      return false;
    }
  }

  private text({ name, place }: DataBreakpoint, { cpu, write, address, size, old, value }: WatchHit, verb: string): string {
    const rip = this.host.machine.currentAddress();
    const symbol = rip === 0n ? undefined : this.host.symbolOf(rip);
    const at = cpu < 0 || rip === 0n || verb === "changed" ? "" : ` at ${symbol ?? hex(rip)}`;
    const who = verb === "changed" ? `${name} changed` : `${cpu < 0 ? "A device" : `CPU ${cpu}`} ${verb} ${name}`;
    const shown = (number: bigint): string => hex(number);
    const what =
      value === undefined ? "" : write ? `: ${old === undefined ? "" : `${shown(old)} -> `}${shown(value)}` : `: ${shown(value)}`;
    const part = "size" in place && place.size > size ? ` (${size} ${size === 1 ? "byte" : "bytes"} at ${hex(address)})` : "";
    return `${who}${part}${what}${at}`;
  }

  /** Remembers the hits. Returns what brings them back, to breakpoints that are there still. */
  saveHits(): () => void {
    const hits = new Map([...this.byId.values()].map(({ id, hits: count }) => [id, count]));
    return () => {
      for (const breakpoint of this.byId.values()) breakpoint.hits = hits.get(breakpoint.id) ?? 0;
    };
  }

  resetHits(): void {
    for (const breakpoint of this.byId.values()) breakpoint.hits = 0;
  }
}
