import type { DelayRule } from "../apic/delayLine";
import type { InterruptBus } from "../apic/bus";
import type { IoApic } from "../apic/ioApic";
import type { InterruptLedger } from "../apic/ledger";
import type { State } from "../common/state";
import { type Decision, DecisionRing } from "../cpu/decisions";
import { helperNames } from "../cpu/helperIds";
import type { FollowedFlag } from "../cpu/maskCause";
import { FLAG_IF } from "../cpu/registerBits";
import { IOAPIC_PINS } from "../devices/board";
import type { Device, IrqLine } from "../devices/device";
import { keyboardInput, mouseInput } from "../devices/keyboardController";
import type { PcBoard } from "../devices/pcBoard";
import type { ScreenImage, ScreenRenderer } from "../devices/vga/screen";
import { type ScreenSnapshot, snapshotOf } from "../devices/vga/snapshot";
import type { BootState } from "../firmware/boot";
import { explainBlock, type BlockExplanation } from "../tcg/backend/explainBlock";
import type { CodeCache } from "../tcg/codeCache";
import { Boot, type BootInput } from "./boot";
import type { HandlerFrames } from "./handlerFrames";
import { InputEffects } from "./inputEffects";
import { Inputs, type Position } from "./inputs";
import { type MachineStats, machineStats } from "./machineStats";
import { type MachineMake, machineMake } from "./make";
import { checkConfiguration, type MachineParts, makeParts } from "./makeParts";
import type { PhysicalMemory } from "./physicalMemory";
import { powerOn } from "./power";
import type { Goal, Scheduler } from "./scheduler";
import { type MachineState, Snapshots } from "./snapshots";
import type { Schedule } from "./turns";
import type { MachineConfiguration, MachineHooks, MachineInjection, RunEnd } from "./types";
import type { Vcpu } from "./vcpu";
import type { Watch } from "./watches";
import { loadMachineState, restoreMachineState, saveMachineState, saveState, stateHash } from "./wholeState";

/**
 * The whole machine, as those above it use it. Deterministic: the same configuration, image and input give the same run to the instruction.
 * CPUs take turns; virtual time is the number of instructions retired by all of them plus what was skipped while all were idle, in nanoseconds.
 */
export class Machine {
  readonly cpus: readonly Vcpu[];
  readonly ledger: InterruptLedger;
  readonly bus: InterruptBus;
  readonly ioApic: IoApic;
  readonly board: PcBoard;
  /** Every device, the I/O APIC among them; local APICs are with their CPUs. */
  readonly devices: readonly Device[];
  readonly memory: PhysicalMemory;
  readonly code: CodeCache;
  /** The handlers that each CPU is in. */
  readonly frames: HandlerFrames;
  readonly snapshots: Snapshots;
  /** Where everything from outside enters: recorded and replayed there. */
  readonly inputs = new Inputs({
    position: () => this.scheduler.position(),
    apply: (input) => this.effects.apply(input),
  });

  private readonly parts: MachineParts;
  private readonly scheduler: Scheduler;
  private readonly starting: Boot;
  private readonly effects: InputEffects;
  /** A line of the debugger's own to each pin of the I/O APIC. */
  private readonly injectedPins: readonly IrqLine[];

  /** @throws UserError naming the attribute that does not fit. */
  static create(configuration: MachineConfiguration): Machine {
    checkConfiguration(configuration);
    return new Machine(configuration);
  }

  private constructor(private readonly configuration: MachineConfiguration) {
    const parts = makeParts(configuration, this.inputs);
    this.parts = parts;
    this.cpus = parts.cpus;
    this.ledger = parts.ledger;
    this.bus = parts.bus;
    this.ioApic = parts.ioApic;
    this.board = parts.board;
    this.devices = parts.devices;
    this.memory = parts.memory;
    this.code = parts.code;
    this.frames = parts.frames;
    this.scheduler = parts.scheduler;
    this.snapshots = new Snapshots(this, parts.engineMemory.ram, parts.tracker, configuration.provider);
    this.starting = new Boot(parts, configuration.firmware);
    this.effects = new InputEffects(parts, this.starting, this.inputs);
    this.injectedPins = Array.from({ length: IOAPIC_PINS }, (_, pin) => this.ioApic.line(pin, "debugger"));
    powerOn(parts);
  }

  // --- How it begins ---

  /** Loads an image and sets the bootstrap processor to its entry. @throws UserError when the image or memory does not fit. */
  boot(input: BootInput): BootState {
    return this.inputs.withoutTelling(() => this.starting.load(input));
  }

  /** Starts the firmware at the reset vector, as power-on does. */
  bootFirmware(): BootState {
    return this.starting.loadFirmware();
  }

  /** A system reset: everything as at power-on, memory cleared, the image loaded anew. Time and instruction counts go on. */
  reset(): void {
    this.inputs.enter({ kind: "reset" });
  }

  /** What the run of this machine depends on beside inputs: two machines with the same make run the same. */
  get make(): MachineMake {
    return machineMake(this.configuration, this.starting.booted);
  }

  // --- Where it stands ---

  /** Where the machine stands; between runs only. */
  position(): Position {
    return this.scheduler.position();
  }

  /** Instructions retired by all CPUs since the machine was made; exact inside an instruction, which does not count itself. */
  instructions(): number {
    return this.scheduler.instructions();
  }

  /** Nanoseconds of virtual time. */
  now(): number {
    return this.scheduler.now();
  }

  /** Linear address of the instruction that executes now, 0n when none does. */
  currentAddress(): bigint {
    return this.scheduler.current?.linearRip() ?? 0n;
  }

  stats(): MachineStats {
    return machineStats(this.parts);
  }

  // --- Running ---

  /**
   * Runs until `maxInstructions` more have retired, virtual time reaches `until` (nanoseconds), or something ends the run. CPUs take turns of a quantum; one
   * that waits for another yields. How a run is cut into calls changes nothing in it.
   */
  run(maxInstructions: number, until = Infinity): RunEnd {
    return this.runCpus(maxInstructions, undefined, until);
  }

  /** Runs only CPU `cpu`, the others held; timers and devices go on. */
  runCpu(cpu: number, instructions: number): RunEnd {
    return this.runCpus(instructions, cpu, Infinity);
  }

  /** In a replay of what has happened already: runs up to `maxInstructions` towards `goal`. */
  runTowards(goal: Goal, maxInstructions: number): RunEnd {
    return this.runCpus(maxInstructions, undefined, Infinity, goal);
  }

  /** Whether the last run towards a goal got there. */
  get atGoal(): boolean {
    return this.scheduler.atGoal;
  }

  /** Stops the run after the current instruction (from a hook), or before the next slice. */
  requestStop(): void {
    this.scheduler.requestStop();
  }

  private runCpus(maxInstructions: number, only: number | undefined, until: number, goal?: Goal): RunEnd {
    const { course, observers, output } = this.parts;
    const wanted = only ?? -1;
    if (wanted !== course.only) this.inputs.enter({ kind: "only", cpu: wanted });
    // After its end only an input, a reset, brings a machine back.
    if (course.end !== undefined) this.inputs.takeDue();
    observers.runBegins();
    try {
      return this.inputs.withoutTelling(() => this.scheduler.run(maxInstructions, until, goal));
    } finally {
      observers.runEnds();
      this.effects.rulesKnown();
      output.flush(observers.hooks);
    }
  }

  /** How CPUs share the time. */
  get schedule(): Schedule {
    return this.scheduler.turns.schedule;
  }

  setSchedule({ quantum, seed }: Schedule): void {
    this.inputs.enter({ kind: "schedule", quantum, seed });
  }

  setHeld(cpu: number, held: boolean): void {
    if (held !== this.cpus[cpu].held) this.inputs.enter({ kind: "held", cpu, held });
  }

  /** Keeps maskable interrupts from CPU `cpu`, or lets them through again. */
  shieldFromInterrupts(cpu: number, held: boolean): void {
    if (held !== this.cpus[cpu].processor.interruptsHeld) this.inputs.enter({ kind: "shield", cpu, held });
  }

  /** IPIs that are to be held back on their way. */
  get delays(): readonly DelayRule[] {
    return this.parts.delayLine.rules;
  }

  setDelays(rules: readonly DelayRule[]): void {
    this.inputs.enter({ kind: "delays", rules });
  }

  // --- What a debugger hears of, asks and changes ---

  /** What hears of events: exchanged as a whole. */
  get hooks(): MachineHooks {
    return this.parts.observers.hooks;
  }

  set hooks(hooks: MachineHooks) {
    this.parts.observers.hooks = hooks;
  }

  /** To be called when hooks want something else than before. */
  hooksChanged(): void {
    this.parts.observers.changed();
  }

  /**
   * Whether what clears IF is remembered (`CpuState.interruptsMaskedBy`), and whether each change of it is told as well (`hooks.interruptFlag`), which costs a call out for each of them.
   */
  followInterruptFlag(followed: FollowedFlag): void {
    this.parts.observers.followInterruptFlag(followed);
  }

  /** Places whose accesses are reported through `hooks.watch`; they replace the former ones. */
  setWatches(watches: readonly Watch[]): void {
    this.parts.observers.setWatches(watches);
  }

  /** Code breakpoints by linear address, for all CPUs; they stop the run before the instruction. */
  setBreakpoints(linear: ReadonlySet<bigint>): void {
    this.parts.debugPoints.setBreakpoints(linear);
  }

  /** Lets CPU `cpu` pass the breakpoint it stands at once. */
  resumeFrom(cpu: number): void {
    this.cpus[cpu].processor.resumeFromHere();
  }

  /**
   * The translated block that holds the code at a linear address, as CPU `cpu` runs it in its present mode; undefined where nothing has run. Changes nothing.
   */
  explainBlock(cpu: number, linear: bigint): BlockExplanation | undefined {
    const { mmu, system, state } = this.cpus[cpu];
    const physical = mmu.inspect(linear);
    const block = physical < 0 ? undefined : this.code.covering(physical, system.computeMode());
    if (block === undefined) return undefined;
    const { engineMemory, engine } = this.parts;
    return explainBlock(engineMemory, this.code, block, state.base, (id) => helperNames[id] ?? `${id}`, engine.jit?.targets);
  }

  /** Drops all translated code, or only what was generated from it; nothing else changes. For tests. */
  discardCode(what: "all" | "generated"): void {
    if (what === "all") this.code.flush();
    else this.parts.engine.jit?.discardAll();
  }

  /** Whether the CPUs' loops keep their last decisions. */
  followDecisions(follow: boolean): void {
    for (const { processor } of this.cpus) processor.decisions = follow ? new DecisionRing() : undefined;
  }

  /** The last decisions of a CPU's loop, oldest first; undefined unless they are kept. */
  decisions(cpu: number): readonly Decision[] | undefined {
    return this.cpus[cpu].processor.decisions?.all();
  }

  /** An interrupt that a debugger sends: it goes the way of all others, with source "debugger" where it has no other. */
  inject(request: MachineInjection): void {
    switch (request.kind) {
      case "message":
        this.bus.inject({ mode: request.mode, vector: request.vector, cpu: request.cpu });
        break;
      case "msi":
        this.bus.msi(request.address, request.data);
        break;
      case "pin":
        if (request.level !== "low") this.injectedPins[request.pin](true);
        if (request.level !== "high") this.injectedPins[request.pin](false);
        break;
      case "spurious":
        this.cpus[request.cpu].apic.raiseSpurious();
        break;
    }
    this.edited();
  }

  /** The debugger has changed registers, or written to devices as a guest would; memory tells by itself. */
  edited(): void {
    this.effects.edited();
  }

  // --- What a person at the guest sees and types ---

  /** Bytes arrive at the device with this name: a serial line, a keyboard. */
  deviceInput(device: string, bytes: Uint8Array): void {
    if (bytes.length > 0) this.inputs.enter({ kind: "device", device, bytes: bytes.slice() });
  }

  /** True when a CPU sleeps that bytes for `device` would wake. */
  awaitsInput(device: string): boolean {
    if (this.devices.find(({ name }) => name === device)?.awaitsInput !== true) return false;
    return this.cpus.some(({ activity, state }) => (activity === "halted" || activity === "mwait") && (state.systemFlags & FLAG_IF) !== 0);
  }

  /** Bytes arrive at the first serial port. */
  serialInput(bytes: Uint8Array): void {
    this.deviceInput("uart0", bytes);
  }

  /** Bytes arrive at the virtio console, where there is one. */
  consoleInput(bytes: Uint8Array): void {
    if (this.board.console !== undefined) this.deviceInput(this.board.console.name, bytes);
  }

  /** Keys go down or up: set 1 scan codes, as `scanCodes` gives them by the W3C's names. A keyboard that is switched off, or full, takes none. */
  keyboardInput(codes: Uint8Array): void {
    this.deviceInput(this.board.keyboard.name, keyboardInput(codes));
  }

  /**
   * The mouse moves by counts to the right and downwards, the wheel turns towards the user (-32768 to 32767 each), `buttons` are down (bit 0 left, 1 right, 2 middle, 3 back,
   * 4 forward).
   */
  mouseInput(dx: number, dy: number, wheel: number, buttons: number): void {
    this.deviceInput(this.board.keyboard.name, mouseInput(dx, dy, wheel, buttons));
  }

  /** Draws what the guest's screen shows now into the renderer's image. The guest notices nothing. */
  screen(renderer: ScreenRenderer): ScreenImage {
    return renderer.draw(this.board.screen((address, length) => this.memory.read(address, length)));
  }

  /** What the guest's screen shows now, as data: its text cells, or its pixels. The guest notices nothing; later changes do not show in it. */
  screenSnapshot(): ScreenSnapshot {
    return snapshotOf(this.board.screen((address, length) => this.memory.read(address, length)));
  }

  // --- Its state, saved, taken over and hashed; at instruction boundaries only ---

  /** State of everything but RAM, canonical. */
  saveState(): State {
    return saveState(this.parts);
  }

  /** State that `restoreMachine` takes over: `saveState` and what the course of events needs beside it. */
  saveMachine(): MachineState {
    return saveMachineState(this.parts);
  }

  /**
   * Takes over a state of a machine of the same make, RAM apart: `pages` lists the pages of RAM whose content changed with it.
   * @throws UserError when the state is damaged or foreign
   */
  restoreMachine(saved: MachineState, pages: readonly number[]): void {
    this.inputs.withoutTelling(() => restoreMachineState(this.parts, saved, pages));
  }

  /** The content of RAM, without the holes of the physical address space; to be read only. */
  get ram(): Uint8Array {
    return this.parts.engineMemory.ram;
  }

  /**
   * Takes over a whole state of a machine of the same make. `page` gives the content of a page of RAM, undefined for zeros. Snapshots are gone.
   * @throws UserError when the state is damaged or foreign; the machine is of no use then
   */
  load(saved: MachineState, page: (number: number) => Uint8Array | undefined): void {
    this.snapshots.clear();
    this.inputs.withoutTelling(() => loadMachineState(this.parts, saved, page));
  }

  /** Hash of the whole state, RAM included. */
  stateHash(): string {
    return stateHash(this.parts);
  }
}
