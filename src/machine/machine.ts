import { InterruptBus } from "../apic/bus";
import type { DelayLine, DelayRule } from "../apic/delayLine";
import type { StampSource } from "../apic/events";
import { IoApic } from "../apic/ioApic";
import { InterruptLedger } from "../apic/records";
import { ApicRegion } from "../apic/region";
import { assert, unreachable, UserError } from "../common/errors";
import { StateHash } from "../common/hash";
import type { Moment } from "../common/moment";
import { encodeState, type State } from "../common/state";
import { type FollowedFlag, MaskCause } from "../cpu/maskCause";
import { X86Translator } from "../cpu/frontend/translator";
import { DEFAULT_MODEL, parseCpuModel } from "../cpu/models";
import { FLAG_IF } from "../cpu/registerBits";
import { CpuModel } from "../cpu/system/cpuModel";
import { arrange } from "../cpu/topology";
import { WriteMonitor } from "../cpu/writeMonitor";
import { IOAPIC_ID, IOAPIC_PINS } from "../devices/board";
import { DeviceBus } from "../devices/bus";
import { VirtualClock } from "../devices/clock";
import type { Device, IrqLine } from "../devices/device";
import { startTimerTicks } from "../devices/firmwareInit";
import { INPUT_KEYS, INPUT_MOUSE } from "../devices/keyboardController";
import { MmioSpace } from "../devices/mmio";
import { PcBoard } from "../devices/pcBoard";
import { PortSpace } from "../devices/ports";
import { VIDEO_BYTES } from "../devices/vga/displayAdapter";
import type { ScreenImage, ScreenRenderer } from "../devices/vga/screen";
import { type ScreenSnapshot, snapshotOf } from "../devices/vga/snapshot";
import { biosState, bootImage, type BootRequest, type BootState } from "../firmware/boot";
import { checkFirmware } from "../firmware/romBoot";
import { explainBlock, type BlockExplanation } from "../tcg/backend/explainBlock";
import { type Decision, DecisionRing } from "../cpu/decisions";
import { helperNames } from "../cpu/helperIds";
import type { Jit } from "../tcg/backend/jit";
import type { JitStats } from "../tcg/backend/jitStats";
import type { CallCounts } from "./callCounts";
import { CodeCache } from "../tcg/codeCache";
import { APIC_HOST, APIC_REGISTERS, HOST_WATCHED, OBSERVED_ALL, OBSERVED_HANDLERS, OBSERVED_MASK, WORD_OBSERVED } from "../tcg/layout";
import { EngineMemory } from "../tcg/memory";
import { applyBootState } from "./bootState";
import { Coherence } from "./coherence";
import { Course } from "./course";
import { DebugPoints } from "./debugPoints";
import { makeEngine } from "./engine";
import { GuestOutput } from "./guestOutput";
import { TestHypercalls } from "./hypercalls";
import { type Input, Inputs, type InputTarget, type Position } from "./inputs";
import { type MachineMake, machineMake } from "./make";
import { MAX_CPUS, MAX_MEMORY } from "./limits";
import { makeBoard } from "./makeBoard";
import { type CpuSurroundings, makeCpu } from "./makeCpu";
import { PageHashes } from "./pageHashes";
import { PageTracker } from "./pageTracker";
import { HandlerFrames } from "./handlerFrames";
import { PhysicalMemory } from "./physicalMemory";
import { type Powered, powerOn, sleep, wake } from "./power";
import { type Goal, Scheduler } from "./scheduler";
import { type MachineState, Snapshots } from "./snapshots";
import type { MachineConfiguration, MachineHooks, MachineInjection, RunEnd } from "./types";
import type { Schedule } from "./turns";
import type { Vcpu } from "./vcpu";
import { type Watch, Watches } from "./watches";
import { restoreMachineState, saveMachineState, saveState, type StateParts } from "./wholeState";

const CODE_ARENA = 64 << 20;

/** What the guest is booted from. */
export type BootInput = Pick<BootRequest, "image" | "imageName" | "cmdline" | "initrd">;

export interface MachineStats {
  readonly instructions: number;
  readonly virtualTime: number;
  readonly blocksTranslated: number;
  readonly blocksAlive: number;
  readonly codeBytes: number;
  readonly codeFlushes: number;
  readonly tlbMisses: number;
  readonly slices: number;
  /** Instructions of blocks that the interpreter entered; the rest ran in generated code. */
  readonly interpreted: number;
  readonly calls: CallCounts;
  /** Of the translator; undefined without one. */
  readonly jit: JitStats | undefined;
}

/**
 * The whole machine: CPUs, board, clock and scheduler. Deterministic: the same configuration, image and input give the same run to the instruction.
 * CPUs take turns; virtual time is the number of instructions retired by all of them plus what was skipped while all were idle, in nanoseconds.
 */
export class Machine implements StampSource, InputTarget {
  readonly cpus: readonly Vcpu[];
  readonly ledger: InterruptLedger;
  readonly bus: InterruptBus;
  private readonly delayLine: DelayLine;
  /** Its rules as a replay knows them without being told. */
  private knownRules: readonly DelayRule[] = [];
  readonly ioApic: IoApic;
  readonly board: PcBoard;
  readonly memory: PhysicalMemory;
  readonly code: CodeCache;
  readonly debugPoints: DebugPoints;
  private readonly watches: Watches;
  /** The handlers that each CPU is in. */
  readonly frames: HandlerFrames;
  readonly snapshots: Snapshots;
  /** Where everything from outside enters: recorded and replayed there. */
  readonly inputs = new Inputs(this);
  private hooksNow: MachineHooks = {};

  /** A line of the debugger's own to each pin of the I/O APIC. */
  private readonly injectedPins: readonly IrqLine[];
  private readonly translator: X86Translator;
  private readonly engineMemory: EngineMemory;
  private readonly tracker: PageTracker;
  private readonly coherence: Coherence;
  private readonly pageHashes: PageHashes;
  private readonly ports = new PortSpace();
  private readonly mmio: MmioSpace;
  private readonly clock: VirtualClock;
  private readonly deviceBus: DeviceBus;
  private readonly monitor: WriteMonitor;
  private booted: BootInput | undefined;
  private bootState: BootState | undefined;

  private readonly course: Course;
  private readonly scheduler: Scheduler;
  private readonly output = new GuestOutput();
  private readonly jit: Jit | undefined;
  private readonly calls: CallCounts;
  /** In a run, or in the middle of a change of state that needs no telling: writes to memory do not come from outside. */
  private inside = false;

  /** @throws UserError naming the attribute that does not fit. */
  static create(configuration: MachineConfiguration): Machine {
    const { cpus, memory } = configuration;
    if (!Number.isInteger(cpus) || cpus < 1 || cpus > MAX_CPUS)
      throw new UserError(`\`cpus\` is ${cpus}: choose 1 to ${MAX_CPUS}.`, "cpus");
    if (!Number.isInteger(memory / 4096) || memory < 1 << 20) throw new UserError("`memory` must be at least 1 MiB.", "memory");
    if (memory > MAX_MEMORY * 2 ** 20)
      throw new UserError(`\`memory\` is ${Math.round(memory / 2 ** 20)} MiB: at most ${MAX_MEMORY} MiB fit the emulator.`, "memory");
    const { quantum } = configuration;
    if (quantum !== undefined && (!Number.isInteger(quantum) || quantum < 1)) {
      throw new UserError(`\`quantum\` is ${quantum}: it is a number of instructions, at least 1.`, "quantum");
    }
    if (configuration.firmware !== undefined) checkFirmware(configuration.firmware.image, configuration.firmware.name);
    return new Machine(configuration);
  }

  private constructor(private readonly configuration: MachineConfiguration) {
    // Video memory is the end of the engine's RAM, so that it is tracked, hashed and kept in snapshots with it.
    const video = configuration.devices?.includes("vga") === true ? VIDEO_BYTES : 0;
    const ram = configuration.memory + video;
    this.engineMemory = new EngineMemory({
      cpus: configuration.cpus,
      ram,
      codeArena: CODE_ARENA,
      rom: configuration.firmware?.image.length ?? 0,
      provider: configuration.provider,
    });
    this.course = new Course(this.engineMemory);
    this.coherence = new Coherence(this.engineMemory);
    this.tracker = new PageTracker(ram / 4096, () => this.coherence.distrustWrites());
    const { ramBase, u8, i32 } = this.engineMemory;
    this.pageHashes = new PageHashes(i32.subarray(ramBase / 4, (ramBase + ram) / 4));
    this.tracker.listen(this.pageHashes);
    this.tracker.listen({ touched: (page) => this.engineMemory.expectWrite(ramBase + page * 4096) });
    this.snapshots = new Snapshots(this, u8.subarray(ramBase, ramBase + ram), this.tracker, configuration.provider);
    this.mmio = new MmioSpace(() => this.coherence.mapChanged());
    this.memory = new PhysicalMemory(
      this.engineMemory,
      this.ports,
      this.mmio,
      (address, length) => this.written(address, length),
      () => this.scheduler.deviceRead(),
      this.tracker,
      (cpu) => this.cpus[cpu].state.inSmm,
      video,
    );
    if (configuration.firmware !== undefined) this.memory.loadRom(configuration.firmware.image);
    this.clock = new VirtualClock(
      () => this.now(),
      (deadline) => this.scheduler.deadlineMoved(deadline),
    );
    this.scheduler = new Scheduler(
      configuration.cpus,
      configuration.quantum,
      this.course,
      this.clock,
      this.inputs,
      (instructions) => {
        this.ledger.settle();
        this.output.flush(this.hooks);
        this.jit?.poll(instructions);
      },
      () => this.ledger.settle(),
    );
    const { interruptRecords } = configuration;
    const journal = { buffer: this.engineMemory.memory.buffer, base: this.engineMemory.journalBase };
    this.ledger = new InterruptLedger(this, interruptRecords === undefined ? { journal } : { journal, capacity: interruptRecords });
    this.ledger.observe({
      interruptEvent: (event) => this.hooks.interrupt?.(event),
      interruptStorm: (storm) => this.hooks.storm?.(storm),
      misuse: (misuse) => this.hooks.misuse?.(misuse),
      wanted: () => this.hooks.interrupt !== undefined,
      stage: (slot, stage, cpu) => this.hooks.stage?.(slot, stage, cpu) !== false,
      wantsMisuse: () => this.hooks.misuse !== undefined,
    });
    this.bus = new InterruptBus(this.ledger);
    this.delayLine = this.bus.connectDelays(this.clock);
    this.frames = new HandlerFrames(this.engineMemory, configuration.cpus);
    this.deviceBus = new DeviceBus(this.clock, this.ports, this.mmio, this.memory);
    this.code = new CodeCache(
      this.engineMemory,
      (page) => this.coherence.distrustWrites(page),
      () => undefined,
      () => this.coherence.forgetBlocks(),
    );
    this.monitor = new WriteMonitor(
      (page) => this.coherence.distrustWrites(page),
      (cpu) => this.monitorTriggered(cpu),
    );
    const calls = new TestHypercalls(this.bus);
    const testDevice = configuration.devices?.includes("testdev") === true;
    const selection = parseCpuModel(configuration.cpuModel ?? DEFAULT_MODEL, "cpuModel");
    const topology = arrange(configuration.cpus, selection.arrangement, "cpuModel");
    const { apicIds } = topology;
    const model = new CpuModel(selection, topology, configuration.seed);
    this.translator = new X86Translator(model.features);
    const engine = makeEngine(
      configuration,
      this.engineMemory,
      this.code,
      () => this.scheduler.current,
      (record, cpu) => this.ledger.returned(record, cpu),
    );
    this.jit = engine.jit;
    this.calls = engine.calls;
    this.debugPoints = new DebugPoints(() => this.code.flush());
    this.watches = new Watches(this.memory, (hit) => this.hooks.watch?.(hit));
    const surroundings: CpuSurroundings = {
      engineMemory: this.engineMemory,
      engine,
      memory: this.memory,
      code: this.code,
      monitor: this.monitor,
      model,
      translator: this.translator,
      clock: this.clock,
      scheduler: this.scheduler,
      bus: this.bus,
      ledger: this.ledger,
      frames: this.frames,
      debugPoints: this.debugPoints,
      stamps: this,
      hypercall: testDevice ? calls.call.bind(calls) : undefined,
      hooks: () => this.hooks,
      watchChanged: (vcpu) => this.watchChanged(vcpu),
      tripleFault: (cpu) => this.tripleFault(cpu),
    };
    this.cpus = apicIds.map((apicId, index) => makeCpu(index, apicId, surroundings));
    this.scheduler.attach(this.cpus);
    this.coherence.attach({ memory: this.memory, code: this.code, monitor: this.monitor, scheduler: this.scheduler, cpus: this.cpus });
    this.ioApic = new IoApic(this.deviceBus, this.bus, { id: IOAPIC_ID });
    this.board = makeBoard(configuration, apicIds, {
      deviceBus: this.deviceBus,
      bus: this.bus,
      ioApic: this.ioApic,
      memory: this.memory,
      output: this.output,
      hooks: () => this.hooks,
      currentCpu: () => this.currentCpu(),
      systemManagement: () => this.cpus[0].raiseSmi(),
      memoryRouted: () => this.coherence.memoryRouted(),
      finish: (end) => this.finish(end),
      sleep: () => sleep(this.powered),
      wake: () => wake(this.powered),
      reset: () => this.requestReset(),
    });
    this.injectedPins = Array.from({ length: IOAPIC_PINS }, (_, pin) => this.ioApic.line(pin, "debugger"));
    this.apicRegion = new ApicRegion(this.deviceBus, this.bus);
    this.coherence.mapChanged();
    this.parts = {
      cpus: this.cpus,
      bus: this.bus,
      ledger: this.ledger,
      frames: this.frames,
      devices: this.devices,
      monitor: this.monitor,
      course: this.course,
      scheduler: this.scheduler,
      delayLine: this.delayLine,
    };
    powerOn(this.powered);
  }

  /** What state is spread over, RAM apart. */
  private readonly parts: StateParts;

  private get powered(): Powered {
    const { cpus, bus, ioApic, board, ports, memory, code, frames, course, scheduler } = this;
    return { cpus, bus, ioApic, board, ports, memory, code, frames, course, scheduler, bare: this.configuration.firmware === undefined };
  }

  /** What hears of events: exchanged as a whole. */
  get hooks(): MachineHooks {
    return this.hooksNow;
  }

  set hooks(hooks: MachineHooks) {
    this.hooksNow = hooks;
    this.hooksChanged();
  }

  /** Says in the engine's memory what somebody hears of that the engine would do by itself, or has a hand in: to be called when hooks want something else than before. */
  hooksChanged(): void {
    const { hooks, translator, cpus, delayLine } = this;
    const handlers = hooks.exception !== undefined || hooks.handlerEntered !== undefined || hooks.handlerReturned !== undefined;
    const all = translator.interruptFlag === "told" || (handlers && hooks.handlersOnly !== true);
    const observed =
      (all ? OBSERVED_ALL : 0) | (handlers ? OBSERVED_HANDLERS : 0) | (translator.interruptFlag === "unseen" ? 0 : OBSERVED_MASK);
    const told = this.ledger.observed || hooks.storm !== undefined || this.ledger.wantsMisuse || delayLine.holds;
    for (const { state, mmu, apic } of cpus) {
      state.words[WORD_OBSERVED / 4] = observed;
      const host = (APIC_REGISTERS + APIC_HOST * 4) / 4;
      if (told || mmu.watch !== undefined || apic.accessed !== undefined) state.words[host] |= HOST_WATCHED;
      else state.words[host] &= ~HOST_WATCHED;
    }
  }

  /**
   * Whether what clears IF is remembered (`CpuState.interruptsMaskedBy`), and whether each change of it is told as well (`hooks.interruptFlag`), which costs a call out for each of them.
   */
  followInterruptFlag(followed: FollowedFlag): void {
    if (this.translator.interruptFlag === followed) return;
    this.translator.interruptFlag = followed;
    for (const vcpu of this.cpus) {
      const { state, index } = vcpu;
      state.interruptsMaskedBy =
        followed === "unseen" ? undefined : (state.interruptsMaskedBy ?? new MaskCause(state.words, index, this, () => vcpu.retired));
    }
    this.hooksChanged();
    this.code.flush();
  }

  /** Where the local APICs' register pages are mapped. */
  readonly apicRegion: ApicRegion;

  /** Loads an image and sets the bootstrap processor to its entry. @throws UserError when the image or memory does not fit. */
  boot(input: BootInput): BootState {
    return this.withoutTelling(() => this.loadImage(input));
  }

  private loadImage(input: BootInput): BootState {
    this.booted = input;
    const state = bootImage(
      { ...input, cpus: this.cpus.length, apicIds: this.cpus.map((cpu) => cpu.apicId), memory: this.memory.size, hpet: true },
      this.memory,
    );
    applyBootState(this.cpus[0], state);
    if (state.kind === "multiboot1" || state.kind === "multiboot2") startTimerTicks(this.ports);
    this.bootState = state;
    return state;
  }

  /** Starts the firmware at the reset vector, as power-on does. */
  bootFirmware(): BootState {
    assert(this.configuration.firmware !== undefined, "a machine without firmware has nothing at its reset vector");
    this.bootState = { ...biosState(), entryName: `${this.configuration.firmware.name} at the reset vector` };
    return this.bootState;
  }

  /** What was booted, once it was. */
  get bootInformation(): BootState | undefined {
    return this.bootState;
  }

  /** The guest wants a reset: the run ends with it. */
  private requestReset(): void {
    this.course.resetRequested = true;
    this.requestStop();
  }

  /** A system reset: everything as at power-on, memory cleared, the image loaded anew. Time and instruction counts go on. */
  reset(): void {
    this.inputs.enter({ kind: "reset" });
  }

  private resetAll(): void {
    for (let page = 0; page < this.tracker.pages; page++) this.tracker.touch(page);
    this.engineMemory.u8.fill(0, this.engineMemory.ramBase, this.engineMemory.ramBase + this.engineMemory.ramBytes);
    powerOn(this.powered);
    if (this.booted !== undefined) this.loadImage(this.booted);
  }

  /** What the run of this machine depends on beside inputs: two machines with the same make run the same. */
  get make(): MachineMake {
    return machineMake(this.configuration, this.booted);
  }

  /** Where the machine stands; between runs only. */
  position(): Position {
    return this.scheduler.position();
  }

  /** Carries out an input from outside; `inputs` calls it. */
  apply(input: Input): boolean {
    this.course.idleSince = -1;
    return this.withoutTelling(() => this.carryOut(input));
  }

  private carryOut(input: Input): boolean {
    switch (input.kind) {
      case "device":
        return (this.devices.find(({ name }) => name === input.device)?.receive?.(input.bytes) ?? 0) > 0;
      case "reset":
        this.resetAll();
        return true;
      case "memory":
        this.memory.write(input.address, input.bytes);
        return true;
      case "state":
        this.restoreMachine({ ...this.saveMachine(), state: input.state }, []);
        return true;
      case "schedule":
        this.scheduler.turns.setSchedule(input);
        return true;
      case "delays":
        this.delayLine.rules = input.rules;
        this.knownRules = this.delayLine.rules;
        this.hooksChanged();
        return true;
      case "held":
      case "shield":
      case "only":
        if (input.cpu >= this.cpus.length)
          throw new UserError(`An input is for CPU ${input.cpu}, which this machine does not have.`, "replay");
        if (input.kind === "held") this.cpus[input.cpu].held = input.held;
        else if (input.kind === "shield") this.cpus[input.cpu].processor.interruptsHeld = input.held;
        else this.course.only = input.cpu;
        return true;
      default:
        return unreachable(input);
    }
  }

  private withoutTelling<T>(action: () => T): T {
    const before = this.inside;
    this.inside = true;
    try {
      return action();
    } finally {
      this.inside = before;
    }
  }

  /** The debugger has changed registers, or written to devices as a guest would; memory tells by itself. */
  edited(): void {
    this.course.idleSince = -1;
    if (!this.inputs.recording) return;
    this.inputs.done({ kind: "state", state: this.saveState() });
    // An IPI that was sent by hand may have used up a rule, which is no part of the guest's state.
    const { rules } = this.delayLine;
    if (rules !== this.knownRules) this.inputs.done({ kind: "delays", rules });
    this.knownRules = rules;
  }

  /** Instructions retired by all CPUs since the machine was made; exact inside an instruction, which does not count itself. */
  instructions(): number {
    return this.scheduler.instructions();
  }

  /** Nanoseconds of virtual time. */
  now(): number {
    return this.scheduler.now();
  }

  instructionsOf(cpu: number): number {
    return this.cpus[cpu].retired;
  }

  currentCpu(): number {
    return this.scheduler.current?.index ?? -1;
  }

  currentAddress(): bigint {
    return this.scheduler.current?.linearRip() ?? 0n;
  }

  currentRip(): bigint {
    return this.scheduler.current?.processor.currentRip ?? 0n;
  }

  moment(into: Moment): void {
    this.scheduler.moment(into);
  }

  /** Stops the run after the current instruction (from a hook), or before the next slice. */
  requestStop(): void {
    this.scheduler.requestStop();
  }

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

  private runCpus(maxInstructions: number, only: number | undefined, until: number, goal?: Goal): RunEnd {
    const wanted = only ?? -1;
    if (wanted !== this.course.only) this.inputs.enter({ kind: "only", cpu: wanted });
    // After its end only an input, a reset, brings a machine back.
    if (this.course.end !== undefined) this.inputs.takeDue();
    this.inside = true;
    this.memory.deviceWatch = this.watches.forDevices;
    this.hooksChanged();
    try {
      return this.scheduler.run(maxInstructions, until, goal);
    } finally {
      this.inside = false;
      this.memory.deviceWatch = undefined;
      this.knownRules = this.delayLine.rules;
      this.output.flush(this.hooks);
    }
  }

  private finish(end: RunEnd): void {
    this.course.end = end;
    this.requestStop();
  }

  private tripleFault(cpu: number): void {
    this.hooks.tripleFault?.(cpu);
    if (this.configuration.tripleFault === "reset") this.requestReset();
    else this.finish({ kind: "triple-fault", cpu });
  }

  /** Memory was written by something that is no CPU: a device, the debugger. */
  private written(address: number, length: number): void {
    this.coherence.outsideWrite(address, length);
    if (!this.inside && this.inputs.recording) this.inputs.done({ kind: "memory", address, bytes: this.memory.read(address, length) });
  }

  private monitorTriggered(cpu: number): void {
    const vcpu = this.cpus[cpu];
    if (vcpu.state.activity !== "mwait") return;
    vcpu.state.activity = "running";
    this.scheduler.kicked(vcpu);
  }

  /** Watches of the debugger, or of the guest's debug registers on `vcpu`, changed. Translations stay: what is cached of page tables depends on the guest alone. */
  private watchChanged(vcpu: Vcpu): void {
    vcpu.mmu.watch = this.watches.dataFor(vcpu);
    vcpu.mmu.distrustAll();
    this.hooksChanged();
  }

  /** Code breakpoints by linear address, for all CPUs; they stop the run before the instruction. */
  setBreakpoints(linear: ReadonlySet<bigint>): void {
    this.debugPoints.setBreakpoints(linear);
  }

  /** Lets CPU `cpu` pass the breakpoint it stands at once. */
  resumeFrom(cpu: number): void {
    this.cpus[cpu].processor.resumeFromHere();
  }

  /** Places whose accesses are reported through `hooks.watch`; they replace the former ones. */
  setWatches(watches: readonly Watch[]): void {
    this.watches.set(watches);
    for (const vcpu of this.cpus) {
      this.watchChanged(vcpu);
      vcpu.system.registerWatch = this.watches.registersFor(vcpu.index);
      vcpu.apic.accessed = this.watches.apicFor(vcpu.index);
    }
  }

  /** Drops all translated code, or only what was generated from it; nothing else changes. For tests. */
  discardCode(what: "all" | "generated"): void {
    if (what === "all") this.code.flush();
    else this.jit?.discardAll();
  }

  /**
   * The translated block that holds the code at a linear address, as CPU `cpu` runs it in its present mode; undefined where nothing has run. Changes nothing.
   */
  explainBlock(cpu: number, linear: bigint): BlockExplanation | undefined {
    const { mmu, system, state } = this.cpus[cpu];
    const physical = mmu.inspect(linear);
    const block = physical < 0 ? undefined : this.code.covering(physical, system.computeMode());
    return block === undefined
      ? undefined
      : explainBlock(this.engineMemory, this.code, block, state.base, (id) => helperNames[id] ?? `${id}`, this.jit?.targets);
  }

  /** Whether the CPUs' loops keep their last decisions. */
  followDecisions(follow: boolean): void {
    for (const { processor } of this.cpus) processor.decisions = follow ? new DecisionRing() : undefined;
  }

  /** The last decisions of a CPU's loop, oldest first; undefined unless they are kept. */
  decisions(cpu: number): readonly Decision[] | undefined {
    return this.cpus[cpu].processor.decisions?.all();
  }

  setHeld(cpu: number, held: boolean): void {
    if (held !== this.cpus[cpu].held) this.inputs.enter({ kind: "held", cpu, held });
  }

  /** Keeps maskable interrupts from CPU `cpu`, or lets them through again. */
  shieldFromInterrupts(cpu: number, held: boolean): void {
    if (held !== this.cpus[cpu].processor.interruptsHeld) this.inputs.enter({ kind: "shield", cpu, held });
  }

  /** How CPUs share the time. */
  get schedule(): Schedule {
    return this.scheduler.turns.schedule;
  }

  setSchedule({ quantum, seed }: Schedule): void {
    this.inputs.enter({ kind: "schedule", quantum, seed });
  }

  /** IPIs that are to be held back on their way. */
  get delays(): readonly DelayRule[] {
    return this.delayLine.rules;
  }

  setDelays(rules: readonly DelayRule[]): void {
    this.inputs.enter({ kind: "delays", rules });
  }

  /** Bytes arrive at the first serial port. */
  serialInput(bytes: Uint8Array): void {
    this.deviceInput("uart0", bytes);
  }

  /** Bytes arrive at the device with this name: a serial line, a keyboard. */
  deviceInput(device: string, bytes: Uint8Array): void {
    if (bytes.length > 0) this.inputs.enter({ kind: "device", device, bytes: bytes.slice() });
  }

  /** True when a CPU sleeps that bytes for `device` would wake. */
  awaitsInput(device: string): boolean {
    if (this.devices.find(({ name }) => name === device)?.awaitsInput !== true) return false;
    return this.cpus.some(({ activity, state }) => (activity === "halted" || activity === "mwait") && (state.systemFlags & FLAG_IF) !== 0);
  }

  /** Keys go down or up: set 1 scan codes, as `scanCodes` gives them by the W3C's names. A keyboard that is switched off, or full, takes none. */
  keyboardInput(codes: Uint8Array): void {
    this.deviceInput(this.board.keyboard.name, Uint8Array.of(INPUT_KEYS, ...codes));
  }

  /**
   * The mouse moves by counts to the right and downwards, the wheel turns towards the user (-32768 to 32767 each), `buttons` are down (bit 0 left, 1 right, 2 middle, 3 back,
   * 4 forward).
   */
  mouseInput(dx: number, dy: number, wheel: number, buttons: number): void {
    const bytes = new Uint8Array(8);
    const view = new DataView(bytes.buffer);
    view.setUint8(0, INPUT_MOUSE);
    for (const [index, value] of [dx, dy, wheel].entries())
      view.setInt16(1 + 2 * index, Math.max(-0x8000, Math.min(0x7fff, Math.trunc(value))), true);
    view.setUint8(7, buttons & 0x1f);
    this.deviceInput(this.board.keyboard.name, bytes);
  }

  /** Draws what the guest's screen shows now into the renderer's image. The guest notices nothing. */
  screen(renderer: ScreenRenderer): ScreenImage {
    return renderer.draw(this.board.screen((address, length) => this.memory.read(address, length)));
  }

  /** What the guest's screen shows now, as data: its text cells, or its pixels. The guest notices nothing; later changes do not show in it. */
  screenSnapshot(): ScreenSnapshot {
    return snapshotOf(this.board.screen((address, length) => this.memory.read(address, length)));
  }

  /** Bytes arrive at the virtio console, where there is one. */
  consoleInput(bytes: Uint8Array): void {
    if (this.board.console !== undefined) this.deviceInput(this.board.console.name, bytes);
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

  /** Every device, the I/O APIC among them; local APICs are with their CPUs. */
  get devices(): readonly Device[] {
    return [...this.board.devices, this.ioApic];
  }

  /** State of everything but RAM, canonical; at instruction boundaries only. */
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
    this.withoutTelling(() => {
      for (const page of pages) {
        const physical = this.memory.physicalPage(page);
        this.pageHashes.touched(page);
        if (this.code.hasCode(physical)) this.code.dropPage(physical);
      }
      restoreMachineState(this.parts, saved);
    });
  }

  /** The content of RAM, without the holes of the physical address space; to be read only. */
  get ram(): Uint8Array {
    const { u8, ramBase, ramBytes } = this.engineMemory;
    return u8.subarray(ramBase, ramBase + ramBytes);
  }

  /**
   * Takes over a whole state of a machine of the same make. `page` gives the content of a page of RAM, undefined for zeros. Snapshots are gone.
   * @throws UserError when the state is damaged or foreign; the machine is of no use then
   */
  load(saved: MachineState, page: (number: number) => Uint8Array | undefined): void {
    this.snapshots.clear();
    const { ram } = this;
    const zeros = new Uint8Array(4096);
    const changed: number[] = [];
    for (let number = 0; number < this.tracker.pages; number++) {
      this.tracker.touch(number);
      ram.set(page(number) ?? zeros, number * 4096);
      changed.push(number);
    }
    this.restoreMachine(saved, changed);
  }

  /** Hash of the whole state, RAM included; at instruction boundaries only. */
  stateHash(): string {
    const hash = new StateHash();
    this.pageHashes.update(hash);
    this.tracker.arm();
    encodeState(this.saveState(), (bytes) => hash.update(bytes));
    return hash.digest();
  }

  stats(): MachineStats {
    const usage = this.code.usage;
    return {
      instructions: this.course.retired,
      virtualTime: this.now(),
      blocksTranslated: this.code.translated,
      blocksAlive: usage.blocks,
      codeBytes: usage.bytes,
      codeFlushes: this.code.flushes,
      tlbMisses: this.cpus.reduce((sum, cpu) => sum + cpu.mmu.misses, 0),
      slices: this.scheduler.slices,
      interpreted: Math.min(this.code.interpreted, this.course.retired),
      calls: this.calls,
      jit: this.jit?.stats,
    };
  }
}
