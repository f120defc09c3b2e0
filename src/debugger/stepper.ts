import type { EventKind } from "../cpu/system/context";
import type { RunEnd } from "../machine/types";
import type { DecodedInstruction } from "./instructions";
import type { StepInterrupts } from "./runControl";
import type { Outcome } from "./stops";
import type { SourceLine } from "./symbols/dwarf/info";
import type { SymbolStore } from "./symbols/table";
import type { DebugCpu, DebugMachine } from "./target";

export type StepKind = "in" | "over" | "out";
export type StepUnit = "instruction" | "line";

export interface StepRequest {
  readonly cpu: number;
  readonly kind: StepKind;
  readonly unit: StepUnit;
  /** Whether the other CPUs run meanwhile; else they stand still. */
  readonly others: boolean;
  readonly interrupts: StepInterrupts;
}

/** What a step asks of the session. */
export interface StepHost {
  readonly machine: DebugMachine;
  readonly symbols: SymbolStore;
  instruction(cpu: DebugCpu): DecodedInstruction | undefined;
  /** Where the innermost frame returns to, and the stack pointer then. */
  caller(cpu: DebugCpu): { readonly pc: bigint; readonly sp: bigint } | undefined;
  /** Lets the step stop at `address` beside the user's breakpoints; undefined ends that. */
  setTemporary(address: bigint | undefined): void;
  hasBreakpoint(address: bigint): boolean;
  /** A CPU is at a breakpoint's address: counts, logs, and stops or passes it. */
  arrive(cpu: number): Outcome;
  /** What a run's end means besides: stops on events, the guest's end. */
  settle(end: RunEnd): Outcome;
  isHeld(cpu: number): boolean;
}

type Phase =
  | { readonly kind: "single" }
  /** Until the CPU reaches `address` with its stack pointer at or above `sp`. */
  | { readonly kind: "runTo"; readonly address: bigint; readonly sp: bigint | undefined; readonly next: "done" | "check" | "single" }
  /** The CPU is halted: until it takes an interrupt or is started. */
  | { readonly kind: "wake"; readonly retired: number };

/** What the stepped CPU is about to enter: an interrupt, exception or INT instruction. */
interface Entered {
  readonly kind: EventKind;
  /** Linear address that the handler returns to, and the stack pointer before. */
  readonly address: bigint;
  readonly sp: bigint;
}

const stackPointer = 4;

const isInterrupt = (kind: EventKind): boolean => kind === "external" || kind === "nmi";

/**
 * One step of one CPU, made in small portions so that it can be paused at any time. What happens with interrupts that arrive during a step is the request's
 * choice; a step into by instruction follows the CPU into handlers of exceptions and INT instructions, all others run them through.
 */
export class Stepper {
  private phase: Phase = { kind: "single" };
  private entered: Entered | undefined;
  private readonly cpu: DebugCpu;
  private readonly unit: StepUnit;
  private range: SourceLine | undefined;
  private started = false;
  /** Instructions that the other CPUs still have to run to keep up. */
  private owed = 0;

  /** Throws a UserError when there is no caller to step out to. */
  constructor(
    private readonly host: StepHost,
    readonly request: StepRequest,
  ) {
    this.cpu = host.machine.cpus[request.cpu];
    this.shield(true);
    this.range = request.unit === "line" ? host.symbols.lineAt(this.cpu.linearRip()) : undefined;
    // Code without line information is stepped by instruction.
    this.unit = this.range === undefined ? "instruction" : "line";
    if (request.kind === "out") {
      const caller = host.caller(this.cpu);
      if (caller !== undefined) this.enter({ kind: "runTo", address: caller.pc, sp: caller.sp, next: "done" });
    }
  }

  /** The stepped CPU delivers an exception or interrupt. True to stop at once. */
  entering(kind: EventKind, address: bigint): boolean {
    this.entered = { kind, address, sp: this.cpu.state.gpr(stackPointer) };
    return this.phase.kind !== "runTo" || this.endsIn(kind);
  }

  /** Whether the step ends at the first instruction of a handler of this kind, wherever in the step it is entered. */
  private endsIn(kind: EventKind): boolean {
    return this.request.interrupts === "into" && isInterrupt(kind);
  }

  /** The stepped CPU left wait-for-SIPI. */
  cpuStarted(): void {
    this.started = true;
  }

  /** Gives up what the step has set. */
  dispose(): void {
    this.host.setTemporary(undefined);
    this.shield(false);
  }

  private shield(held: boolean): void {
    if (this.request.interrupts === "held") this.host.machine.shieldFromInterrupts(this.cpu.index, held);
  }

  /** Runs up to about `budget` instructions of the step. "done" when it is complete. */
  advance(budget: number): Outcome | "done" {
    switch (this.phase.kind) {
      case "single":
        return this.singles(budget);
      case "runTo":
        return this.runTo(this.phase, budget);
      case "wake":
        return this.wake(this.phase, budget);
    }
  }

  private enter(phase: Phase): void {
    this.phase = phase;
    // A CPU that waits for an interrupt would wait for ever without one.
    this.shield(phase.kind !== "wake");
    this.host.setTemporary(phase.kind === "runTo" ? phase.address : undefined);
  }

  private singles(budget: number): Outcome | "done" {
    // A portion costs far more by single steps than in one run.
    for (let i = Math.max(1, Math.floor(budget / 200)); i > 0 && this.phase.kind === "single"; i--) {
      const outcome = this.single();
      if (outcome !== undefined) return outcome;
    }
    return this.runOthers();
  }

  private single(): Outcome | "done" {
    const { cpu, host, request } = this;
    const { state } = cpu;
    if (cpu.activity !== "running" && !state.intrPending && !state.nmiPending && !state.initPending) {
      this.enter({ kind: "wake", retired: cpu.retired });
      return undefined;
    }
    const sp = state.gpr(stackPointer);
    const before = cpu.linearRip();
    const { retired } = cpu;
    const instruction = request.kind === "in" && this.unit === "instruction" ? undefined : host.instruction(cpu);
    this.entered = undefined;
    host.machine.resumeFrom(cpu.index);
    const end = host.machine.runCpu(cpu.index, 1);
    this.owed++;
    if (end.kind === "dead") {
      this.enter({ kind: "wake", retired: cpu.retired });
      return undefined;
    }
    const outcome = host.settle(end) ?? (this.request.others && this.owed >= 64 ? this.runOthers() : undefined);
    if (outcome !== undefined) return outcome;
    const entered = this.takeEntered();
    if (entered !== undefined) return this.handle(entered);
    // Asked to stop before the instruction retired (another CPU's turn): once more.
    if (cpu.retired === retired && cpu.activity === "running") return undefined;
    if (instruction !== undefined && cpu.linearRip() === before && instruction.text.startsWith("rep")) {
      // Each repetition counts as an instruction; to a person the whole is one.
      this.enter({ kind: "runTo", address: BigInt.asUintN(64, before + BigInt(instruction.length)), sp, next: "check" });
      return undefined;
    }
    if (instruction?.flow === "call") {
      const called = this.called(BigInt.asUintN(64, before + BigInt(instruction.length)), sp);
      if (called) return undefined;
    }
    return this.check(instruction?.flow === "return");
  }

  private takeEntered(): Entered | undefined {
    const { entered } = this;
    this.entered = undefined;
    return entered;
  }

  /** The CPU stands at the first instruction of a handler. */
  private handle({ kind, address, sp }: Entered): "done" | undefined {
    const follows = this.request.kind === "in" && this.unit === "instruction";
    if (this.endsIn(kind) || (follows && !(isInterrupt(kind) && this.request.interrupts === "taken"))) return "done";
    this.enter({ kind: "runTo", address, sp, next: kind === "software" ? "check" : "single" });
    return undefined;
  }

  /** A call was made: runs to its return, or into the function. False when the CPU is simply where it should be. */
  private called(returnAddress: bigint, sp: bigint): boolean {
    const { cpu, host } = this;
    if (this.request.kind === "in" && this.unit === "line") {
      const pc = cpu.linearRip();
      if (host.symbols.lineAt(pc) !== undefined) {
        const address = this.afterPrologue(pc);
        if (address === pc) return false;
        this.enter({ kind: "runTo", address, sp: undefined, next: "done" });
        return true;
      }
    }
    this.enter({ kind: "runTo", address: returnAddress, sp, next: "check" });
    return true;
  }

  /** Where the function that begins at `pc` has set up its frame. */
  private afterPrologue(pc: bigint): bigint {
    const hit = this.host.symbols.lookup(pc);
    if (hit?.symbol === undefined || hit.offset !== 0n) return pc;
    const found = this.host.symbols.functionBreakpoints(hit.symbol).find((address) => address >= pc && address - pc < 256n);
    return found ?? pc;
  }

  /** Whether the step is complete where the CPU is now. */
  private check(returned: boolean): Outcome | "done" {
    const { cpu, host } = this;
    const pc = cpu.linearRip();
    if (host.hasBreakpoint(pc)) {
      const outcome = host.arrive(cpu.index);
      if (outcome !== undefined) return outcome;
    }
    if (this.unit === "instruction" || this.range === undefined) return "done";
    if (pc >= this.range.low && pc < this.range.high && !returned) return undefined;
    const line = host.symbols.lineAt(pc);
    if (line === undefined) return "done";
    const same = line.line === 0 || (line.line === this.range.line && line.file === this.range.file);
    if (!returned && (same || pc !== line.low)) {
      this.range = same ? { ...line, line: this.range.line, file: this.range.file } : line;
      return undefined;
    }
    return "done";
  }

  /** Runs the other CPUs as many instructions as the stepped one has. */
  runOthers(): Outcome {
    const count = this.owed;
    this.owed = 0;
    if (!this.request.others || count === 0) return undefined;
    for (const other of this.host.machine.cpus) {
      if (other.index === this.cpu.index || this.host.isHeld(other.index)) continue;
      const { intrPending, nmiPending, initPending } = other.state;
      if (other.activity !== "running" && !intrPending && !nmiPending && !initPending) continue;
      const end = this.host.machine.runCpu(other.index, count);
      // It went to sleep; only when all do, the guest is stuck.
      if (end.kind === "dead") continue;
      const outcome = end.kind === "breakpoint" ? this.host.arrive(end.cpu) : this.host.settle(end);
      if (outcome !== undefined) return outcome;
    }
    return undefined;
  }

  private runTo(phase: Extract<Phase, { kind: "runTo" }>, budget: number): Outcome | "done" {
    const { cpu, host } = this;
    // Alone, a CPU that waits would wait for ever.
    const end = this.request.others || cpu.activity !== "running" ? host.machine.run(budget) : host.machine.runCpu(cpu.index, budget);
    if (end.kind === "dead" && !this.request.others) return host.settle(host.machine.run(budget));
    if (end.kind !== "breakpoint") {
      const entered = this.takeEntered();
      return host.settle(end) ?? (entered !== undefined && this.endsIn(entered.kind) ? "done" : undefined);
    }
    const here = end.cpu === cpu.index && cpu.linearRip() === phase.address;
    if (!here || (phase.sp !== undefined && cpu.state.gpr(stackPointer) < phase.sp)) return host.arrive(end.cpu);
    this.enter({ kind: "single" });
    const outcome = host.hasBreakpoint(phase.address) ? host.arrive(cpu.index) : undefined;
    if (outcome !== undefined) return outcome;
    switch (phase.next) {
      case "done":
        return "done";
      case "check":
        return this.check(false);
      case "single":
        return undefined;
    }
  }

  private wake(phase: Extract<Phase, { kind: "wake" }>, budget: number): Outcome | "done" {
    const { cpu, host } = this;
    this.entered = undefined;
    // Short runs: a CPU that wakes without an interrupt (MWAIT) is noticed only after one.
    const end = host.machine.run(Math.min(budget, 1000));
    const outcome = end.kind === "breakpoint" ? host.arrive(end.cpu) : host.settle(end);
    if (outcome !== undefined) return outcome;
    const entered = this.takeEntered();
    if (entered !== undefined) {
      this.enter({ kind: "single" });
      return this.handle(entered);
    }
    return this.started || cpu.retired !== phase.retired ? "done" : undefined;
  }
}
