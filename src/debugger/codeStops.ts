import { CodeBreakpoints, type BreakpointKind, type CodePresence } from "./codeBreakpoints";
import { CpuScope } from "./cpuScope";
import type { DebuggerSink } from "./sink";
import { KernelModules } from "./kernelModules";
import { Slides } from "./slides";
import type { StackEntry, StackWalker } from "./stack";
import type { Outcome, Stop } from "./stops";
import { programOf } from "./symbols/program";
import type { SymbolModule } from "./symbols/module";
import { isNowhere } from "./symbols/relocations";
import type { SymbolStore } from "./symbols/table";
import type { DebugCpu, DebugMachine } from "./target";

/** As much code is compared with its file to tell whether it is loaded. */
const comparedBytes = 32;

/** Fields that conditions of code breakpoints may use beside registers, variables and symbols; they go before variables of the same name. */
const codeFields: readonly string[] = ["cpu", "time"];

/**
 * Breakpoints on code in a running machine: which addresses it stops at, whether the code is there that they are meant for, what it comes to when a CPU
 * reaches one, and from where CPUs go on without telling it again.
 */
export class CodeStops implements CodePresence {
  readonly breakpoints: CodeBreakpoints;
  private readonly slides: Slides;
  private readonly modules: KernelModules;
  /** Where each CPU stood when a stop was told: a breakpoint there is passed when the CPU goes on. */
  private readonly told = new Map<number, Place>();
  /** Where each CPU last was let pass. */
  private readonly passed = new Map<number, Place>();
  private temporary: bigint | undefined;

  constructor(
    private readonly machine: DebugMachine,
    private readonly symbols: SymbolStore,
    private readonly stack: StackWalker,
    private readonly sink: DebuggerSink,
  ) {
    this.breakpoints = new CodeBreakpoints(
      symbols,
      codeFields,
      () => this.apply(),
      (message) => {
        if (!this.breakpoints.silent) sink.output(`${message}\n`, "important");
      },
      this,
      (status) => sink.breakpointChanged?.(status),
    );
    const tell = (text: string): void => sink.output(`${text}\n`, "console");
    const moved = (module: SymbolModule): void => sink.moduleChanged?.(module);
    this.slides = new Slides(machine, symbols, tell, moved);
    this.modules = new KernelModules(machine, symbols, tell, moved);
    if (this.modules.places.length > 0) this.apply();
  }

  /** Lets a step stop at `address` beside the person's breakpoints; undefined ends that. */
  setTemporary(address: bigint | undefined): void {
    if (this.temporary === address) return;
    this.temporary = address;
    this.apply();
  }

  private apply(): void {
    const all = new Set([...this.breakpoints.addresses, ...this.modules.places]);
    if (this.temporary !== undefined) all.add(this.temporary);
    this.machine.setBreakpoints(all);
  }

  /** A CPU loads another IDT, by which kernels that chose their place are found: stops the run where {@link lookForCode} has something to do. */
  idtLoaded(): void {
    if (this.slides.idtLoaded()) this.machine.requestStop();
  }

  /** Binds what waits for its code to be loaded, and follows a kernel to where it chose to lie; between runs. */
  lookForCode(): void {
    if (this.slides.look()) {
      this.modules.look();
      this.breakpoints.symbolsMoved();
    }
    this.breakpoints.bindLoaded();
  }

  /** Looks which kernel modules the guest has loaded, as the machine was stopped or taken elsewhere in its course. */
  lookForModules(): void {
    this.modulesMoved(this.modules.look());
  }

  /** A CPU has come to where the kernel has loaded a module, or gives one's memory back. */
  private noteModules(cpu: DebugCpu): void {
    if (this.modules.places.includes(cpu.linearRip())) this.modulesMoved(this.modules.arrive(cpu));
  }

  private modulesMoved(any: boolean): void {
    if (any) this.breakpoints.symbolsMoved();
    if (!this.breakpoints.silent) this.modules.tell();
  }

  /** A CPU stands at a breakpoint's address: counts, logs, and stops or passes it. */
  arrive(cpu: DebugCpu): Outcome {
    this.noteModules(cpu);
    const reached = this.breakpoints.reach(cpu.linearRip(), this.scope(cpu), cpu.index);
    for (const line of reached.logs) this.sink.output(`${line}\n`, "console");
    if (reached.kind === undefined) {
      this.pass(cpu);
      return undefined;
    }
    this.noteTold(cpu);
    return { kind: "stop", stop: breakpointStop(cpu.index, reached.ids, reached.kind) };
  }

  /** The stop of a breakpoint that a CPU stands at without having met it yet, if any: counts and logs like {@link arrive}. */
  arriveHere(cpu: DebugCpu): Stop | undefined {
    if (!this.breakpoints.has(cpu.linearRip()) || this.hasMet(cpu)) return undefined;
    const outcome = this.arrive(cpu);
    return outcome?.kind === "stop" ? outcome.stop : undefined;
  }

  /** The same on known ground: nothing is told, and the CPU stays where it is. */
  met(cpu: DebugCpu): Stop | undefined {
    if (this.hasMet(cpu)) return undefined;
    this.noteModules(cpu);
    const reached = this.breakpoints.reach(cpu.linearRip(), this.scope(cpu), cpu.index);
    return reached.kind === undefined ? undefined : breakpointStop(cpu.index, reached.ids, reached.kind);
  }

  /** A stop is told with this CPU in focus. */
  noteTold(cpu: DebugCpu): void {
    this.told.set(cpu.index, placeOf(cpu));
  }

  /** CPUs that still stand where a stop was told go on from there without telling it again. */
  passTold(): void {
    for (const [index, at] of this.told) {
      const cpu = this.machine.cpus[index];
      if (standsAt(cpu, at)) this.pass(cpu);
      else this.told.delete(index);
    }
  }

  /** Lets a CPU go on from where it stands, without stopping it at a breakpoint there. */
  pass(cpu: DebugCpu): void {
    this.machine.resumeFrom(cpu.index);
    this.passed.set(cpu.index, placeOf(cpu));
  }

  /** Whether the CPU has met the breakpoint that it stands at: it goes on from there without meeting it again. */
  private hasMet(cpu: DebugCpu): boolean {
    return [this.told, this.passed].some((places) => {
      const at = places.get(cpu.index);
      return at !== undefined && standsAt(cpu, at);
    });
  }

  /** CPUs that stand at a breakpoint which they have reached already, and are to pass. */
  get passing(): number[] {
    return [...this.passed]
      .filter(([index, at]) => {
        const cpu = this.machine.cpus[index];
        return standsAt(cpu, at) && this.breakpoints.has(cpu.linearRip());
      })
      .map(([index]) => index);
  }

  /** The machine stands elsewhere in its course. */
  forgetTold(): void {
    this.told.clear();
    this.passed.clear();
  }

  /** The machine starts anew. */
  reset(): void {
    this.forgetTold();
    this.slides.reset();
  }

  /** What a breakpoint's condition or log message sees: the variables of the frame too, which are looked for only when asked. */
  private scope(cpu: DebugCpu): CpuScope {
    const program = programOf(this.symbols, cpu);
    let frame: StackEntry | undefined;
    return new CpuScope(cpu, {
      cpus: this.machine.cpus,
      symbols: this.symbols,
      fields: { cpu: BigInt(cpu.index), time: BigInt(Math.floor(this.machine.now())) },
      variable: (name, of) => {
        if (of !== cpu) return programOf(this.symbols, of).global(name);
        if (codeFields.includes(name)) return undefined;
        frame ??= this.stack.walk(cpu, 1)[0];
        return program.variable(name, frame.frame, frame.depth);
      },
      pointerTo: (type, stars, address) => program.pointerTo(type, stars, address),
    });
  }

  /**
   * Whether memory at `address` has what the symbol file has there, also where boot loaders put it before it is mapped. Kernels patch their code, so that a part of it may differ.
   */
  isThere(address: bigint, only?: number): boolean {
    if (isNowhere(address)) return false;
    const module = this.symbols.moduleAt(address);
    const expected = module?.codeAt(address, comparedBytes);
    if (module === undefined || expected === undefined) return true;
    const patched = module.patchedAt(address, expected.length);
    const { cpus } = this.machine;
    const isSame = (found: Uint8Array | undefined): boolean => {
      if (found === undefined || found.length < expected.length) return false;
      const compared = [...expected.keys()].filter((index) => patched?.[index] !== 1);
      return compared.filter((index) => expected[index] === found[index]).length * 4 >= compared.length * 3;
    };
    if (only !== undefined) return isSame(cpus[only].readMemory(address, expected.length));
    if (cpus.some((cpu) => isSame(cpu.readMemory(address, expected.length)))) return true;
    const physical = module.elf?.physicalAt(module.toLinked(address));
    return physical !== undefined && physical < 2n ** 52n && isSame(cpus[0].readPhysical(Number(physical), expected.length));
  }
}

/** Where a CPU stood, and when. */
interface Place {
  readonly rip: bigint;
  readonly retired: number;
}

const placeOf = ({ state, retired }: DebugCpu): Place => ({ rip: state.rip, retired });
const standsAt = ({ state, retired }: DebugCpu, at: Place): boolean => state.rip === at.rip && retired === at.retired;

function breakpointStop(cpu: number, breakpoints: readonly number[], by: BreakpointKind): Stop {
  return { kind: "breakpoint", cpu, text: `CPU ${cpu} reached ${by === "instruction" ? "an" : "a"} ${by} breakpoint`, breakpoints, by };
}
