import { guestWrite, type GuestWrite } from "../guestWrite";
import { UserError } from "../../machine/errors";
import { CpuScope, apicNames } from "../cpuScope";
import type { Debugger } from "../debugger";
import type { DataPlace } from "../dataPlaces";
import { compile, parseExpression, showValue, toInteger, wholeRegisters } from "../expr";
import { hex64 } from "../numbers";
import { extraRegisters } from "../registerAccess";
import { isFrameRegister, type StackEntry } from "../stack";
import { programOf, type ProgramValues } from "../symbols/program";
import { Value } from "../symbols/dwarf/values";
import type { DebugCpu } from "../target";
import { activityText } from "../words";
import { deviceNodes } from "./apicScope";
import { assign, splitAssignment } from "./assignment";
import { findPlace } from "./places";
import { Handles } from "./handles";
import type { SetInput, VariableNode } from "./node";
import { frameRegisterNodes, registerNodes } from "./registersScope";
import { systemNodes } from "./systemScope";
import { valueNode, type ValuePlace } from "./valueNodes";

/** A line of a stack trace. */
export interface FrameView {
  readonly id: number;
  readonly name: string;
  readonly pc: bigint;
  readonly file: string | undefined;
  readonly line: number;
  readonly column: number;
  readonly inlined: boolean;
  readonly module: string | undefined;
  /** The frame was left by an interrupt or exception rather than by a call. */
  readonly interrupted: boolean;
  /** A remark between two functions. */
  readonly label: boolean;
}

export interface ScopeView {
  readonly name: string;
  readonly kind: "locals" | "registers" | "other";
  readonly reference: number;
  /** Costs more to read than a person would expect. */
  readonly expensive: boolean;
}

/** A variable as a client shows it. */
export interface VariableView {
  readonly name: string;
  readonly value: string;
  readonly type: string | undefined;
  readonly evaluateName: string | undefined;
  readonly memory: bigint | undefined;
  /** 0: no children. */
  readonly reference: number;
  readonly indexed: number | undefined;
  readonly readOnly: boolean;
  /** The guest memory that it lies in. */
  readonly location?: { readonly address: bigint; readonly size: number } | undefined;
}

interface Frame {
  readonly cpu: DebugCpu;
  readonly entry: StackEntry;
}

interface Container {
  readonly frame: Frame | undefined;
  readonly inParts: boolean;
  children(start?: number, count?: number): readonly VariableNode[];
}

const maximumChildren = 10_000;

/** Symbols offered as completions. */
const maximumSymbols = 100;

/** Looks into the stopped machine: stacks, scopes, variables, expressions. What it hands out holds until {@link clear}. */
export class Inspector {
  private readonly frames = new Handles<Frame>("frame");
  private readonly containers = new Handles<Container>("variable container", 1000);
  private stacks = new Map<number, readonly StackEntry[]>();
  private programs = new Map<number, ProgramValues>();

  constructor(private readonly session: Debugger) {}

  /** The machine ran: everything handed out is outdated. */
  clear(): void {
    this.frames.clear();
    this.containers.clear();
    this.refresh();
  }

  /** Something was changed: stacks are walked anew, handles stay. */
  refresh(): void {
    this.stacks = new Map();
    this.programs = new Map();
  }

  private program(cpu: DebugCpu): ProgramValues {
    let program = this.programs.get(cpu.index);
    if (program === undefined) {
      program = programOf(this.session.symbols, cpu);
      this.programs.set(cpu.index, program);
    }
    return program;
  }

  private stackOf(cpu: DebugCpu): readonly StackEntry[] {
    let stack = this.stacks.get(cpu.index);
    if (stack === undefined) {
      stack = this.session.stackOf(cpu);
      this.stacks.set(cpu.index, stack);
    }
    return stack;
  }

  /** Lines `start` to `start + levels` of a CPU's stack (all for 0), innermost first, and how many there are. */
  stackTrace(index: number, start = 0, levels = 0): { frames: FrameView[]; total: number } {
    const cpu = this.session.cpu(index);
    const stack = this.stackOf(cpu);
    const wanted = stack.slice(start, levels === 0 ? undefined : start + levels);
    const frames = wanted.map((entry, i): FrameView => {
      const isFirst = start + i === 0;
      const name = isFirst && cpu.activity === "wait-for-SIPI" ? "waiting for SIPI" : entry.name;
      return {
        id: this.frames.add({ cpu, entry }),
        name: isFirst && cpu.activity !== "running" && cpu.activity !== "wait-for-SIPI" ? `${name} (${activityText(cpu.activity)})` : name,
        pc: entry.pc,
        file: entry.file,
        line: entry.line ?? 0,
        column: entry.column ?? 0,
        inlined: entry.inlined,
        module: this.session.symbols.moduleAt(entry.pc)?.name,
        interrupted: entry.frame.found === "interrupt" && !entry.label,
        label: entry.label,
      };
    });
    return { frames, total: stack.length };
  }

  private frame(id: number): Frame {
    return this.frames.get(id);
  }

  /** The frame that a request without one means. */
  private defaultFrame(): Frame {
    const cpu = this.session.cpu(this.session.stop?.cpu ?? 0);
    return { cpu, entry: this.stackOf(cpu)[0] };
  }

  /** The CPU of a frame, or of the stop when no frame is given. */
  cpuOf(frameId: number | undefined): DebugCpu {
    return frameId === undefined ? this.defaultFrame().cpu : this.frame(frameId).cpu;
  }

  scopes(frameId: number): ScopeView[] {
    const frame = this.frame(frameId);
    const { cpu, entry } = frame;
    const symbolOf = this.session.symbolOf;
    const locals = this.localNodes(frame);
    const views: ScopeView[] = [];
    const add = (name: string, kind: ScopeView["kind"], children: Container["children"], expensive = false): void =>
      void views.push({ name, kind, expensive, reference: this.containers.add({ frame, children, inParts: false }) });
    if (locals.length > 0) add("Locals", "locals", () => this.localNodes(frame));
    add("Registers", "registers", () =>
      entry.innermost ? registerNodes(cpu, symbolOf) : frameRegisterNodes(entry.frame.registers, cpu.codeBits()),
    );
    add("Local APIC", "other", () => deviceNodes(cpu.apic, "lapic", (register, value) => this.store(cpu, { register, value, size: 4 })));
    add("I/O APIC", "other", () => deviceNodes(this.session.machine.ioApic));
    add("System", "other", () => systemNodes(cpu, symbolOf));
    return views;
  }

  private valuePlace({ cpu, entry }: Frame): ValuePlace {
    return { cpu, module: this.session.symbols.moduleAt(entry.frame.lookupPc), innermost: entry.innermost };
  }

  private localNodes(frame: Frame): VariableNode[] {
    const { cpu, entry } = frame;
    const place = this.valuePlace(frame);
    const variables = this.program(cpu).locals(entry.frame, entry.depth);
    return variables.map(({ value, isShadowed }) => {
      const node = valueNode(value, place);
      return isShadowed ? { ...node, name: `${node.name} (hidden)`, evaluateName: undefined } : node;
    });
  }

  /** Children of a scope or variable. */
  variables(reference: number, start?: number, count?: number): VariableView[] {
    const container = this.containers.get(reference);
    const limit = count === undefined || count === 0 ? maximumChildren : Math.min(count, maximumChildren);
    const first = start ?? 0;
    const nodes = container.children(first, limit);
    return (container.inParts ? nodes : nodes.slice(first, first + limit)).map((node) => this.view(node, container.frame));
  }

  private view(node: VariableNode, frame: Frame | undefined): VariableView {
    const { name, value, type, evaluateName, memory, indexed, children, place, inParts = false } = node;
    const reference = children === undefined ? 0 : this.containers.add({ frame, children, inParts });
    const location = place?.kind === "linear" ? { address: place.address, size: place.size } : undefined;
    return { name, value, type, evaluateName, memory, indexed, reference, readOnly: node.set === undefined, location };
  }

  /** Changes a variable and returns it as it is then. Throws a {@link UserError} when it is unknown, read-only or the value does not fit. */
  setVariable(reference: number, name: string, text: string): VariableView {
    const container = this.containers.get(reference);
    const find = (): VariableNode | undefined => container.children(0, maximumChildren).find((node) => node.name === name);
    const node = find();
    if (node === undefined) throw new UserError(`There is no variable '${name}' here.`, "name");
    const frame = container.frame ?? this.defaultFrame();
    const input = this.input(text, frame);
    const change = input.asGuest ? node.store : node.set;
    if (change === undefined)
      throw new UserError(input.asGuest ? `${name} can only be poked: leave out the colon of ":=".` : `${name} is read-only.`, "name");
    change(input);
    this.refresh();
    return this.view(find() ?? node, container.frame);
  }

  /** What a person typed as a new value: `VALUE`, or `:= VALUE` for a write as by the guest. */
  private input(typed: string, frame: Frame): SetInput {
    const guest = /^\s*:=(.*)$/s.exec(typed);
    const text = guest === null ? typed : guest[1].trim();
    return { text, asGuest: guest !== null, number: () => toInteger(compile(parseExpression(text)).evaluate(this.scope(frame))).value };
  }

  private store(cpu: DebugCpu, write: GuestWrite): void {
    guestWrite(this.session.machine, cpu, write);
  }

  /** Expressions as seen from a frame. */
  scope({ cpu, entry }: Frame): CpuScope {
    const program = this.program(cpu);
    return new CpuScope(cpu, {
      cpus: this.session.machine.cpus,
      symbols: this.session.symbols,
      frame: entry.innermost ? undefined : entry.frame.registers,
      variable: (name, of) => (of === cpu ? program.variable(name, entry.frame, entry.depth) : this.program(of).global(name)),
      pointerTo: (type, stars, address) => program.pointerTo(type, stars, address),
    });
  }

  /** Evaluates an expression in a frame; with `mayAssign` also `target = value`. Throws a {@link UserError} that says what is wrong. */
  evaluate(text: string, frameId: number | undefined, mayAssign: boolean): VariableView {
    const frame = frameId === undefined ? this.defaultFrame() : this.frame(frameId);
    const assignment = splitAssignment(text);
    if (assignment !== undefined) {
      if (!mayAssign) throw new UserError("An expression that is evaluated again and again must not assign; use == to compare.");
      return this.assign(assignment.target, assignment.value, frame);
    }
    return this.result(text, frame);
  }

  /** The number that an expression gives in a frame, unsigned. Throws a {@link UserError} when it is none. */
  number(text: string, frameId: number | undefined): bigint {
    const frame = frameId === undefined ? this.defaultFrame() : this.frame(frameId);
    return toInteger(compile(parseExpression(text)).evaluate(this.scope(frame))).value;
  }

  /** The place that an expression names, as seen from a frame. Throws a {@link UserError} for what lies nowhere. */
  place(text: string, frameId: number | undefined, bytes?: number, asAddress = false): DataPlace {
    return this.placeIn(text, frameId === undefined ? this.defaultFrame() : this.frame(frameId), bytes, asAddress);
  }

  private placeIn(text: string, frame: Frame, bytes: number | undefined, asAddress: boolean): DataPlace {
    const { cpus } = this.session.machine;
    return findPlace(text, { cpu: frame.cpu, cpus, scope: this.scope(frame) }, bytes, asAddress);
  }

  /** The place where a variable of a container lies. Throws a {@link UserError} when its accesses cannot be seen. */
  placeOfVariable(reference: number, name: string, bytes?: number): DataPlace {
    const container = this.containers.get(reference);
    const node = container.children(0, maximumChildren).find((candidate) => candidate.name === name);
    if (node === undefined) throw new UserError(`There is no variable '${name}' here.`, "name");
    if (node.place !== undefined) return node.place;
    if (node.evaluateName === undefined) throw new UserError(`Accesses to ${name} cannot be seen.`, "name");
    return this.placeIn(node.evaluateName, container.frame ?? this.defaultFrame(), bytes, false);
  }

  private result(text: string, frame: Frame): VariableView {
    const expression = parseExpression(text);
    const scope = this.scope(frame);
    const value = compile(expression).evaluate(scope);
    if (value.kind === "typed" && value.value instanceof Value && expression.format === undefined)
      return this.view({ ...valueNode(value.value, this.valuePlace(frame), text), name: text }, frame);
    const shown = showValue(value, expression.format, scope);
    if (value.kind === "string") return this.view({ name: text, value: shown, type: "text" }, frame);
    if (value.kind === "typed") return this.view({ name: text, value: shown, type: value.value.type, memory: value.value.address }, frame);
    const address = BigInt.asUintN(64, value.value);
    const symbol = expression.format === undefined && address > 0xffffn ? this.session.symbolOf(address) : undefined;
    const node: VariableNode = {
      name: text,
      value: symbol === undefined ? shown : `${shown} <${symbol}>`,
      type: `${value.sign === "signed" ? "s" : "u"}${value.bits}`,
      memory: address,
    };
    return this.view(node, frame);
  }

  /** `target = value`: registers, parts of them, `cpuN.` and `lapic.` registers, memory, variables of the program. */
  assign(target: string, value: string, frame: Frame): VariableView {
    const scope = this.scope(frame);
    if (!frame.entry.innermost && isFrameRegister(target.replace(/^\$/, "").toLowerCase()) && wholeRegisters().includes(target))
      throw new UserError(`${target} belongs to a caller's frame and cannot be set; choose the innermost frame.`);
    const input = this.input(value, frame);
    assign({
      target,
      input,
      cpu: frame.cpu,
      cpus: this.session.machine.cpus,
      scope,
      place: this.valuePlace(frame),
      store: (write) => this.store(frame.cpu, write),
    });
    this.refresh();
    const view = input.asGuest ? this.resultOfStore(target, frame) : this.result(target, frame);
    return view.location === undefined ? { ...view, location: this.locationOf(target, frame) } : view;
  }

  /** What was written as by the guest, as it is now, where it can be read: some registers can only be written, and devices are not read by looking at them. */
  private resultOfStore(target: string, frame: Frame): VariableView {
    try {
      return this.result(target, frame);
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      return this.view({ name: target, value: "written" }, frame);
    }
  }

  /** The guest memory that an expression names, if it does. */
  private locationOf(text: string, frame: Frame): VariableView["location"] {
    try {
      const place = this.placeIn(text, frame, undefined, false);
      return place.kind === "linear" ? { address: place.address, size: place.size } : undefined;
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      return undefined;
    }
  }

  /** As {@link assign}, with a frame by number. */
  setExpression(target: string, value: string, frameId: number | undefined): VariableView {
    return this.assign(target, value, frameId === undefined ? this.defaultFrame() : this.frame(frameId));
  }

  /** Names that continue `prefix`, for completion. */
  /** Names that `prefix` may become: variables and their members, registers of this and other CPUs, symbols. */
  completions(prefix: string, frameId: number | undefined): string[] {
    const frame = frameId === undefined ? this.defaultFrame() : this.frame(frameId);
    const split = /^(.*)(\.|->)([\w$]*)$/s.exec(prefix);
    const members = split === null ? [] : this.membersOf(split[1], frame).map((name) => `${split[1]}${split[2]}${name}`);
    const locals = this.localNodes(frame).map((node) => node.name);
    const cpus = this.session.machine.cpus.map((cpu) => `cpu${cpu.index}.`);
    const others = cpus.some((cpu) => prefix.startsWith(cpu)) ? cpus.flatMap((cpu) => wholeRegisters().map((name) => cpu + name)) : cpus;
    const functions = ["mem8(", "mem16(", "mem32(", "mem64(", "phys8(", "phys16(", "phys32(", "phys64("];
    const all = [...members, ...locals, ...wholeRegisters(), ...extraRegisters, ...apicNames(frame.cpu), ...others, ...functions];
    const matching = all.filter((name) => name.toLowerCase().startsWith(prefix.toLowerCase()) && name !== prefix);
    return [...new Set([...matching, ...this.symbolNames(prefix)])];
  }

  /** Members of the value that `text` is; empty when it is none. */
  private membersOf(text: string, frame: Frame): string[] {
    try {
      const value = compile(parseExpression(text)).evaluate(this.scope(frame));
      return value.kind === "typed" && value.value instanceof Value ? value.value.memberNames() : [];
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      return [];
    }
  }

  /** Symbols that begin with two characters or more. */
  private symbolNames(prefix: string): string[] {
    if (prefix.length < 2) return [];
    const found: string[] = [];
    for (const module of this.session.symbols.modules)
      for (const name of module.symbols.names()) {
        if (name.startsWith(prefix) && name !== prefix) found.push(name);
        if (found.length >= maximumSymbols) return found;
      }
    return found.sort();
  }

  /** An address in the form that clients hand back. */
  static reference(address: bigint): string {
    return hex64(address);
  }
}
