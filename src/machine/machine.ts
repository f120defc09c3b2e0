import { InterruptBus } from "../apic/bus";
import type { StampSource } from "../apic/events";
import { IoApic } from "../apic/ioApic";
import { LocalApic } from "../apic/localApic";
import { InterruptLedger } from "../apic/records";
import { ApicRegion } from "../apic/region";
import { assert, unreachable, UserError } from "../common/errors";
import { StateHash } from "../common/hash";
import { LastWrites } from "../common/lastWrites";
import { encodeState, type State } from "../common/state";
import { X86Translator } from "../cpu/frontend/translator";
import { Mmu } from "../cpu/mmu";
import { Processor, type SliceEnd } from "../cpu/processor";
import { DEFAULT_MODEL, parseCpuModel } from "../cpu/models";
import { CR0_ET, CS, CpuState, FLAG_IF } from "../cpu/state";
import type { EnteredEvent } from "../cpu/system/context";
import { CpuModel } from "../cpu/system/cpuModel";
import { CpuSystem, type SystemHost } from "../cpu/system/system";
import { arrange } from "../cpu/topology";
import { WriteMonitor } from "../cpu/writeMonitor";
import { openCdrom, openDisk } from "../devices/block/openDisk";
import { IOAPIC_ID, IOAPIC_PINS, PCI_HOLE_BASE } from "../devices/board";
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
import { StateReader } from "../devices/stateReader";
import { biosState, bootImage, type BootRequest, type BootState } from "../firmware/boot";
import { facsAddress, WAKING_VECTOR } from "../firmware/firmwareTables";
import { checkFirmware, provideFirmwareFiles } from "../firmware/romBoot";
import { defaultJitOptions, eagerJitOptions, type GeneratedImports, Jit, type JitStats } from "../tcg/backend/jit";
import { CodeCache } from "../tcg/codeCache";
import { assembleInterpreter, type EngineHost, type RunFunction } from "../tcg/interpreter/interpreter";
import { CPU_STATE_BYTES, MMU_INDEXES, TLB_ENTRIES, TLB_ENTRY_BYTES, WORD_JUMP_CACHE } from "../tcg/layout";
import { EngineMemory } from "../tcg/memory";
import { ReferenceInterpreter } from "../tcg/reference";
import { applyBootState } from "./bootState";
import { DebugPoints } from "./debugPoints";
import { TestHypercalls } from "./hypercalls";
import { type Input, Inputs, type InputTarget, type Position } from "./inputs";
import { type MachineMake, machineMake } from "./make";
import { PageHashes } from "./pageHashes";
import { PageTracker } from "./pageTracker";
import { HandlerFrames } from "./handlerFrames";
import { PhysicalMemory } from "./physicalMemory";
import { type MachineState, Snapshots } from "./snapshots";
import { Turns } from "./turns";
import type { MachineConfiguration, MachineHooks, MachineInjection, RunEnd } from "./types";
import { Vcpu } from "./vcpu";

/** Guest instructions a CPU runs before the next one's turn. */
export const DEFAULT_QUANTUM = 10_000;
const CODE_ARENA = 64 << 20;
/** Nanoseconds of idle virtual time, with nothing but timers going by, after which a machine counts as dead. */
const IDLE_LIMIT = 30e9;
/** Virtual time that PAUSE takes on the only CPU that can run: delay loops cost the host a fraction of what they wait for. */
const PAUSE_NANOSECONDS = 256;
/** The same for reading an I/O port. */
const PORT_READ_NANOSECONDS = 500;
/** Bound of one slice: a host gets control back at least so often (instructions). */
const MAX_SLICE = 100_000;

export const MAX_CPUS = 64;
/** Slots that the table of generated functions begins with. */
const FUNCTION_SLOTS = 1024;

/** Where SMRAM and shadow RAM are. */
const LEGACY_AREA = 0xa0000;
const LEGACY_AREA_END = 0x100000;

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
  readonly ioApic: IoApic;
  readonly board: PcBoard;
  readonly memory: PhysicalMemory;
  readonly code: CodeCache;
  readonly debugPoints: DebugPoints;
  /** The handlers that each CPU is in. */
  readonly frames: HandlerFrames;
  readonly snapshots: Snapshots;
  /** Where everything from outside enters: recorded and replayed there. */
  readonly inputs = new Inputs(this);
  hooks: MachineHooks = {};

  /** A line of the debugger's own to each pin of the I/O APIC. */
  private readonly injectedPins: readonly IrqLine[];
  private readonly translator: X86Translator;
  private readonly engineMemory: EngineMemory;
  private readonly tracker: PageTracker;
  private readonly pageHashes: PageHashes;
  private readonly ports = new PortSpace();
  private readonly mmio: MmioSpace;
  private readonly clock: VirtualClock;
  private readonly deviceBus: DeviceBus;
  private readonly monitor: WriteMonitor;
  private booted: BootInput | undefined;
  private bootState: BootState | undefined;

  private retiredBase = 0;
  private idleNanoseconds = 0;
  /** CPU executing now, and what it had retired when its slice began. */
  private current: Vcpu | undefined;
  private currentStart = 0;
  private readonly turns: Turns;
  private jit: Jit | undefined;
  private sliceEnd = Infinity;
  private stopRequested = false;
  private end: RunEnd | undefined;
  private resetRequested = false;
  /** In ACPI S3. */
  private sleeping = false;
  private slices = 0;
  private idleSince = -1;
  /** The timers due at this point of time have run. */
  private dueRun = false;
  /** The only CPU that runs, or -1. */
  private only = -1;
  /** In a run, or in the middle of a change of state that needs no telling: writes to memory do not come from outside. */
  private inside = false;
  private serialBytes: number[] = [];
  private consoleBytes: number[] = [];
  private consoleOutput: Uint8Array[] = [];

  /** @throws UserError naming the attribute that does not fit. */
  static create(configuration: MachineConfiguration): Machine {
    const { cpus, memory } = configuration;
    if (!Number.isInteger(cpus) || cpus < 1 || cpus > MAX_CPUS)
      throw new UserError(`\`cpus\` is ${cpus}: choose 1 to ${MAX_CPUS}.`, "cpus");
    if (!Number.isInteger(memory / 4096) || memory < 1 << 20) throw new UserError("`memory` must be at least 1 MiB.", "memory");
    if (memory > 3584 * 2 ** 20)
      throw new UserError(`\`memory\` is ${Math.round(memory / 2 ** 20)} MiB: at most 3584 MiB fit the emulator.`, "memory");
    const { quantum } = configuration;
    if (quantum !== undefined && (!Number.isInteger(quantum) || quantum < 1)) {
      throw new UserError(`\`quantum\` is ${quantum}: it is a number of instructions, at least 1.`, "quantum");
    }
    if (configuration.firmware !== undefined) checkFirmware(configuration.firmware.image, configuration.firmware.name);
    return new Machine(configuration);
  }

  private constructor(private readonly configuration: MachineConfiguration) {
    this.turns = new Turns(configuration.cpus, configuration.quantum ?? DEFAULT_QUANTUM);
    // Video memory is the end of the engine's RAM, so that it is tracked, hashed and kept in snapshots with it.
    const video = configuration.devices?.includes("vga") === true ? VIDEO_BYTES : 0;
    const ram = configuration.memory + video;
    this.engineMemory = new EngineMemory({
      cpus: configuration.cpus,
      ram,
      codeArena: CODE_ARENA,
      rom: configuration.firmware?.image.length ?? 0,
    });
    this.tracker = new PageTracker(ram / 4096, () => this.distrustWrites());
    const { ramBase, u8, i32 } = this.engineMemory;
    this.pageHashes = new PageHashes(i32.subarray(ramBase / 4, (ramBase + ram) / 4));
    this.tracker.listen(this.pageHashes);
    this.snapshots = new Snapshots(this, u8.subarray(ramBase, ramBase + ram), this.tracker);
    this.mmio = new MmioSpace(() => this.mapChanged());
    this.memory = new PhysicalMemory(
      this.engineMemory,
      this.ports,
      this.mmio,
      (address, length) => this.outsideWrite(address, length),
      () => this.portRead(),
      this.tracker,
      (cpu) => this.cpus[cpu].state.inSmm,
      video,
    );
    if (configuration.firmware !== undefined) this.memory.loadRom(configuration.firmware.image);
    this.clock = new VirtualClock(
      () => this.now(),
      (deadline) => this.deadlineMoved(deadline),
    );
    this.ledger = new InterruptLedger(this);
    this.ledger.observe({
      interruptEvent: (event) => this.hooks.interrupt?.(event),
      interruptStorm: (storm) => this.hooks.storm?.(storm),
      misuse: (misuse) => this.hooks.misuse?.(misuse),
      wanted: () => this.hooks.interrupt !== undefined,
    });
    this.bus = new InterruptBus(this.ledger);
    this.frames = new HandlerFrames(configuration.cpus);
    this.deviceBus = new DeviceBus(this.clock, this.ports, this.mmio, this.memory);
    this.code = new CodeCache(
      this.engineMemory,
      (page) => this.distrustWrites(page),
      () => undefined,
      () => this.forgetBlocks(),
    );
    this.monitor = new WriteMonitor(
      (page) => this.distrustWrites(page),
      (cpu) => this.monitorTriggered(cpu),
    );
    const calls = new TestHypercalls(this.bus);
    if ((configuration.devices ?? []).includes("testdev")) this.hypercalls = calls.call.bind(calls);
    const selection = parseCpuModel(configuration.cpuModel ?? DEFAULT_MODEL, "cpuModel");
    const topology = arrange(configuration.cpus, selection.arrangement, "cpuModel");
    const { apicIds } = topology;
    const model = new CpuModel(selection, topology, configuration.seed);
    const translator = new X86Translator(model.features);
    this.translator = translator;
    const run = this.makeEngine(configuration);
    this.debugPoints = new DebugPoints(() => this.pointsChanged());
    this.cpus = apicIds.map((apicId, index) => this.makeCpu(index, apicId, model, translator, run));
    this.ioApic = new IoApic(this.deviceBus, this.bus, { id: IOAPIC_ID });
    const pins = Array.from({ length: IOAPIC_PINS }, (_, pin) => this.ioApic.line(pin, `gsi ${pin}`));
    this.injectedPins = Array.from({ length: IOAPIC_PINS }, (_, pin) => this.ioApic.line(pin, "debugger"));
    const below = Math.min(configuration.memory, PCI_HOLE_BASE);
    this.board = new PcBoard(
      this.deviceBus,
      {
        cpus: configuration.cpus,
        memoryBelow4G: below,
        memoryAbove4G: configuration.memory - below,
        ...(video === 0 ? {} : { video: this.memory.video }),
        ...(configuration.startTime === undefined ? {} : { epochSeconds: Math.floor(configuration.startTime / 1000) }),
        devices: configuration.devices ?? [],
        seed: configuration.seed ?? 0,
        disks: (configuration.disks ?? []).map((disk, index) => ({
          disk: openDisk(`disk${index}`, disk, configuration.inflate),
          interface: disk.interface ?? "ide",
        })),
        ...(configuration.cdrom === undefined ? {} : { cdrom: openCdrom("cdrom", configuration.cdrom) }),
      },
      {
        intr: (level) => {
          for (const apic of this.bus.apics) apic.setLint(0, level);
          pins[0](level);
        },
        idlePicEoi: () => this.ledger.misused({ kind: "pic-eoi-nothing-in-service", cpu: this.currentCpu(), vector: -1 }),
        ioApicPin: (pin, level) => {
          if (pin !== 0) pins[pin](level);
        },
        serial: (port, byte) => {
          if (port === 0) this.serialBytes.push(byte);
        },
        console: (bytes) => void this.consoleOutput.push(bytes),
        debugConsole: (byte) => void (this.hooks.debugConsole === undefined ? this.serialBytes : this.consoleBytes).push(byte),
        smi: () => this.cpus[0].raiseSmi(),
        shadow: (attributes) => {
          if (this.memory.setShadow(attributes)) this.memoryRouted();
        },
        smram: (mode) => {
          if (this.memory.setSmram(mode)) this.memoryRouted();
        },
        exit: (status) => this.finish({ kind: "exit", status }),
        powerOff: () => this.finish({ kind: "power-off" }),
        // A firmware's way back from S3 is its own, and none here has one.
        ...(configuration.firmware === undefined ? { sleep: () => this.sleep(), wake: () => this.wake() } : {}),
        reset: () => {
          this.resetRequested = true;
          this.requestStop();
        },
        // A20 is always open, as on processors without the pin.
        a20: () => undefined,
        nmiMask: () => undefined,
      },
    );
    if (configuration.firmware !== undefined) {
      provideFirmwareFiles(this.board.fwCfg, {
        ...configuration.firmware,
        memoryBelow4G: below,
        memoryAbove4G: configuration.memory - below,
        apicIds,
      });
    }
    this.bus.connectPic(() => this.board.pic.acknowledge());
    this.apicRegion = new ApicRegion(this.deviceBus, this.bus);
    this.mapChanged();
    this.powerOn();
  }

  /**
   * Whether changes of IF by CLI and STI are told (`hooks.interruptFlag`) and remembered (`CpuState.interruptsMaskedBy`); those by deliveries, IRET and POPF always are.
   * Costs a call out for each CLI and STI.
   */
  followInterruptFlag(follow: boolean): void {
    this.translator.followInterruptFlag = follow;
    this.code.flush();
  }

  /** Where the local APICs' register pages are mapped. */
  readonly apicRegion: ApicRegion;

  /** What answers VMCALL, where something does. */
  private readonly hypercalls: SystemHost["hypercall"];

  private makeCpu(index: number, apicId: number, model: CpuModel, translator: X86Translator, run: RunFunction): Vcpu {
    const state = new CpuState(this.engineMemory, index, index === 0);
    state.interruptsMaskedBy = new LastWrites(1, this);
    state.interruptFlagChanged = (enabled) => this.hooks.interruptFlag?.(index, enabled);
    const tlbs = MMU_INDEXES * TLB_ENTRIES * TLB_ENTRY_BYTES;
    state.words[WORD_JUMP_CACHE / 4] = state.base + CPU_STATE_BYTES + tlbs;
    const mmu = new Mmu(state, this.memory, this.code);
    mmu.monitor = this.monitor;
    const vcpu = new Vcpu(state, mmu, this.memory, {
      kicked: (kicked) => this.kicked(kicked),
      started: (started) => {
        this.ledger.delivered(started.index, "sipi");
        this.hooks.cpuStarted?.(started.index);
      },
    });
    const apic = new LocalApic({
      cpu: vcpu,
      bus: this.bus,
      clock: this.clock,
      apicId,
      model: { x2apic: model.features.x2apic, tscDeadline: model.features["tsc-deadline"] },
      tsc: { read: () => BigInt.asUintN(64, BigInt(this.now()) + state.tscOffset), ticksPerNanosecond: 1 },
    });
    const observer = {
      delivering: (event: Parameters<NonNullable<MachineHooks["exception"]>>[1]): void => this.hooks.exception?.(index, event),
      entered: (event: EnteredEvent): void => this.handlerEntered(vcpu, event),
      returned: (): void => this.handlerReturned(vcpu),
      tripleFault: (): void => {
        this.hooks.tripleFault?.(index);
        this.finish({ kind: "triple-fault", cpu: index });
      },
    };
    const system: CpuSystem = new CpuSystem(state, mmu, this.memory, apic, model, observer, {
      now: () => this.now(),
      pause: () => this.paused(vcpu),
      trap: (_cpu, bits) => vcpu.processor.addTrap(bits),
      breakpoint: (_cpu, rip) => vcpu.processor.reachedBreakpoint(rip),
      eventTaken: (_cpu, kind) => {
        if (kind === "init") this.frames.clear(index);
        this.ledger.delivered(index, kind);
      },
      watchChanged: () => this.watchChanged(vcpu),
      monitor: this.monitor,
      ...(this.hypercalls === undefined ? {} : { hypercall: this.hypercalls }),
    });
    const processor = new Processor(
      state,
      mmu,
      system,
      this.code,
      this.memory,
      translator,
      apic,
      run,
      this.debugPoints.forCpu(vcpu),
      this.jit === undefined ? undefined : (block, cpu) => this.jit?.hot(block, cpu),
    );
    vcpu.attach({ processor, system, apic });
    return vcpu;
  }

  private handlerEntered(vcpu: Vcpu, event: EnteredEvent): void {
    const { index } = vcpu;
    const { ledger } = this;
    const record = event.kind === "external" ? ledger.lastDelivered(index) : event.kind === "nmi" ? ledger.pendingLatch(index, "nmi") : 0;
    const frame = this.frames.entered(index, event, record, this.instructions(), vcpu.retired);
    this.hooks.handlerEntered?.(index, frame);
  }

  private handlerReturned(vcpu: Vcpu): void {
    const frame = this.frames.returned(vcpu.index, vcpu.state.gpr(4));
    if (frame === undefined) return;
    if (frame.record !== 0) this.ledger.returned(frame.record, vcpu.index);
    this.hooks.handlerReturned?.(vcpu.index, frame);
  }

  /** Instantiates the engine: the emitted interpreter, or the reference one for tests. Calls out go to the CPU that is executing. */
  private makeEngine({ engine, jit }: MachineConfiguration): RunFunction {
    const executing = (): Vcpu => {
      if (this.current === undefined) throw new Error("generated code called out while no CPU executes");
      return this.current;
    };
    const host: EngineHost = {
      helper: (id, a, b, lo, hi) => executing().system.helper(id, a, b, lo, hi),
      load: (kind, lo, hi) => executing().mmu.load(kind, lo, hi),
      store: (kind, lo, hi) => executing().mmu.store(kind, lo, hi),
      segment: (op) => executing().system.segment(op),
      fault: (code) => executing().system.fault(code),
      divide: (op) => executing().system.divide(op),
    };
    if (engine === "reference") return new ReferenceInterpreter(this.engineMemory, host).run;
    const module = new WebAssembly.Module(assembleInterpreter(this.engineMemory.pages));
    const table = new WebAssembly.Table({ element: "anyfunc", initial: FUNCTION_SLOTS });
    const { memory } = this.engineMemory;
    const { exports } = new WebAssembly.Instance(module, { env: { memory, table, ...host } });
    const run = exports["run"] as RunFunction;
    if (engine === "interpreter") return run;
    const imports: GeneratedImports = {
      run,
      helper: (id, a, b, lo, hi) => executing().system.helper(id, a, b, lo, hi),
      hostAddress: (kind, lo, hi) => executing().mmu.hostAddress(kind, lo, hi),
      getFlags: exports["getFlags"] as GeneratedImports["getFlags"],
      setFlags: exports["setFlags"] as GeneratedImports["setFlags"],
    };
    this.jit = new Jit(
      this.engineMemory,
      this.code,
      table,
      imports,
      { ...(engine === "jit" ? eagerJitOptions : defaultJitOptions), ...jit },
      () => performance.now(),
    );
    this.code.generated = this.jit;
    return run;
  }

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

  /** A system reset: everything as at power-on, memory cleared, the image loaded anew. Time and instruction counts go on. */
  reset(): void {
    this.inputs.enter({ kind: "reset" });
  }

  private resetAll(): void {
    for (let page = 0; page < this.tracker.pages; page++) this.tracker.touch(page);
    this.engineMemory.u8.fill(0, this.engineMemory.ramBase, this.engineMemory.ramBase + this.engineMemory.ramBytes);
    this.powerOn();
    if (this.booted !== undefined) this.loadImage(this.booted);
  }

  /** What the run of this machine depends on beside inputs: two machines with the same make run the same. */
  get make(): MachineMake {
    return machineMake(this.configuration, this.booted);
  }

  /** Where the machine stands; between runs only. */
  position(): Position {
    let tried = 0;
    let taken = 0;
    for (const { processor } of this.cpus) {
      tried += processor.attempted;
      taken += processor.taken;
    }
    return { tried, taken, time: this.now() };
  }

  /** Carries out an input from outside; `inputs` calls it. */
  apply(input: Input): boolean {
    this.idleSince = -1;
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
      case "held":
      case "only":
        if (input.cpu >= this.cpus.length)
          throw new UserError(`An input is for CPU ${input.cpu}, which this machine does not have.`, "replay");
        if (input.kind === "held") this.cpus[input.cpu].held = input.held;
        else this.only = input.cpu;
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
    this.idleSince = -1;
    if (this.inputs.recording) this.inputs.done({ kind: "state", state: this.saveState() });
  }

  /** ACPI S3: the CPUs lose their state. Nothing runs before the board wakes. */
  private sleep(): void {
    this.sleeping = true;
    for (const { state } of this.cpus) state.activity = "wait-for-SIPI";
    this.current?.processor.yield();
  }

  /**
   * The end of S3: CPUs and devices as after power-on, memory as it was. In the firmware's place the bootstrap processor starts in real mode at the waking vector that
   * the guest left in the FACS (ACPI specification, "Waking and Initialization Process"); without one the machine starts anew.
   */
  private wake(): void {
    this.sleeping = false;
    this.powerOnCpus();
    this.board.wakeUp();
    this.board.initializeAsFirmware(this.ports);
    startTimerTicks(this.ports);
    const vector = new DataView(this.memory.read(facsAddress(this.memory.size) + WAKING_VECTOR, 4).buffer).getUint32(0, true);
    if (vector === 0) {
      this.resetRequested = true;
      this.requestStop();
      return;
    }
    const [bootstrap] = this.cpus;
    const { state } = bootstrap;
    state.cr0 = CR0_ET;
    state.setSegment(CS, (vector >>> 4) & 0xffff, BigInt((vector >>> 4) << 4), 0xffff, 0x9b);
    state.rip = BigInt(vector & 0xf);
    bootstrap.apic.setVirtualWire();
    bootstrap.changed();
    this.kicked(bootstrap);
  }

  private powerOnCpus(): void {
    for (const vcpu of this.cpus) {
      vcpu.system.powerOn();
      vcpu.apic.reset(false);
      this.frames.clear(vcpu.index);
      vcpu.changed();
    }
    this.bus.reset();
    this.ioApic.reset();
  }

  private powerOn(): void {
    this.code.flush();
    this.end = undefined;
    this.resetRequested = false;
    this.sleeping = false;
    this.turns.reset();
    this.powerOnCpus();
    this.board.reset();
    if (this.configuration.firmware === undefined) this.board.initializeAsFirmware(this.ports);
  }

  /** Instructions retired by all CPUs since the machine was made; exact inside an instruction, which does not count itself. */
  instructions(): number {
    return this.current === undefined ? this.retiredBase : this.retiredBase + this.current.retired - this.currentStart;
  }

  /** Nanoseconds of virtual time. */
  now(): number {
    return this.instructions() + this.idleNanoseconds;
  }

  instructionsOf(cpu: number): number {
    return this.cpus[cpu].retired;
  }

  currentCpu(): number {
    return this.current?.index ?? -1;
  }

  currentAddress(): bigint {
    return this.current?.linearRip() ?? 0n;
  }

  currentRip(): bigint {
    return this.current?.processor.currentRip ?? 0n;
  }

  /** Stops the run after the current instruction (from a hook), or before the next slice. */
  requestStop(): void {
    this.stopRequested = true;
    this.current?.processor.yield();
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

  private runCpus(maxInstructions: number, only: number | undefined, until: number): RunEnd {
    const wanted = only ?? -1;
    if (wanted !== this.only) this.inputs.enter({ kind: "only", cpu: wanted });
    // After its end only an input, a reset, brings a machine back.
    if (this.end !== undefined) this.inputs.takeDue();
    // A guest that only faults retires nothing, and must not hold the host for it.
    let left = maxInstructions;
    this.inside = true;
    try {
      for (;;) {
        if (!this.dueRun && this.clock.nextDeadline() <= this.now()) {
          this.dueRun = true;
          this.clock.runDue(this.now());
        }
        const ended = this.takeEnd();
        if (ended !== undefined) return ended;
        if (this.inputs.replaying && this.inputs.takeDue()) continue;
        if (left <= 0 || this.now() >= until) return { kind: "limit" };
        const upcoming = this.inputs.upcoming;
        const vcpu = this.pick();
        if (vcpu === undefined) {
          this.dueRun = false;
          if (!this.skipIdle(Math.min(until, upcoming?.time ?? Infinity))) return { kind: "dead" };
          continue;
        }
        const toDeadline = Math.min(this.clock.nextDeadline(), until) - this.now();
        let budget = Math.min(this.only < 0 ? this.turns.budget : left, left, Math.max(1, toDeadline), MAX_SLICE);
        if (upcoming !== undefined) {
          const steps = upcoming.tried - this.position().tried;
          vcpu.processor.stopAfterEvent = steps === 0;
          budget = Math.min(budget, Math.max(1, steps));
        }
        const { attempted } = vcpu.processor;
        const why = this.slice(vcpu, budget);
        this.dueRun = false;
        vcpu.processor.stopAfterEvent = false;
        left -= vcpu.processor.attempted - attempted;
        if (why === "debug" && this.end === undefined) {
          this.stopRequested = false;
          return { kind: "breakpoint", cpu: vcpu.index };
        }
      }
    } finally {
      this.inside = false;
      this.flushSerial();
    }
  }

  private slice(vcpu: Vcpu, budget: number): SliceEnd {
    this.current = vcpu;
    this.currentStart = vcpu.retired;
    const attempted = vcpu.processor.attempted;
    this.sliceEnd = this.now() + budget;
    this.slices++;
    try {
      return vcpu.processor.slice(budget);
    } finally {
      const done = vcpu.retired - this.currentStart;
      this.current = undefined;
      this.retiredBase += done;
      if (done > 0) this.idleSince = -1;
      this.sliceEnd = Infinity;
      if (this.only >= 0) this.turns.ignore();
      else this.turns.settle(vcpu.index, vcpu.processor.attempted - attempted, !vcpu.held && vcpu.processor.runnable);
      if (this.serialBytes.length + this.consoleBytes.length + this.consoleOutput.length > 0) this.flushSerial();
      this.jit?.poll();
    }
  }

  /** The CPU whose turn it is, or the next runnable one after it. */
  private pick(): Vcpu | undefined {
    if (this.only >= 0) {
      const vcpu = this.cpus[this.only];
      return vcpu.processor.runnable ? vcpu : undefined;
    }
    const index = this.turns.pick((cpu) => !this.cpus[cpu].held && this.cpus[cpu].processor.runnable);
    return index < 0 ? undefined : this.cpus[index];
  }

  /** Nobody can run: virtual time jumps to the next deadline. false: none will ever come, or nothing has happened for too long. */
  private skipIdle(until: number): boolean {
    const deadline = this.clock.nextDeadline();
    if (deadline === Infinity) return false;
    const considered = this.only < 0 ? this.cpus.filter((cpu) => !cpu.held) : [this.cpus[this.only]];
    if (!this.sleeping && considered.every((cpu) => cpu.processor.hopeless)) return false;
    const now = this.now();
    if (this.idleSince < 0) this.idleSince = now;
    else if (now - this.idleSince > IDLE_LIMIT) {
      this.idleSince = -1;
      return false;
    }
    this.idleNanoseconds += Math.max(0, Math.min(deadline, until) - now);
    return true;
  }

  private takeEnd(): RunEnd | undefined {
    if (this.end !== undefined) {
      this.stopRequested = false;
      return this.end;
    }
    if (this.resetRequested) {
      this.resetRequested = false;
      this.stopRequested = false;
      return { kind: "reset" };
    }
    if (!this.stopRequested) return undefined;
    this.stopRequested = false;
    return { kind: "stop" };
  }

  private finish(end: RunEnd): void {
    this.end = end;
    this.requestStop();
  }

  private kicked(vcpu: Vcpu): void {
    if (this.current === vcpu || vcpu.held || !vcpu.processor.runnable) return;
    this.turns.call(vcpu.index, this.current !== undefined);
    this.current?.processor.yield();
  }

  /** Whether another CPU than `vcpu` could run now. */
  private othersCanRun(vcpu: Vcpu): boolean {
    return this.cpus.some((other) => other !== vcpu && !other.held && other.processor.runnable);
  }

  /** PAUSE: a CPU that spins hands its turn to one that can run; alone, it only lets time go by, as much as real processors do. */
  private paused(vcpu: Vcpu): void {
    if (!this.othersCanRun(vcpu)) return this.linger(vcpu, PAUSE_NANOSECONDS);
    this.turns.pass();
    vcpu.processor.yield();
  }

  /** A port is read: on a real board that takes about a microsecond, which bounds how often a guest can poll. */
  private portRead(): void {
    const vcpu = this.current;
    if (vcpu !== undefined && !this.othersCanRun(vcpu)) this.linger(vcpu, PORT_READ_NANOSECONDS);
  }

  /** Lets `nanoseconds` of virtual time go by inside an instruction, at most to the next deadline. */
  private linger(vcpu: Vcpu, nanoseconds: number): void {
    const deadline = this.clock.nextDeadline();
    const skipped = Math.max(0, Math.min(nanoseconds, deadline - this.now()));
    this.idleNanoseconds += skipped;
    this.sliceEnd += skipped;
    if (deadline < this.sliceEnd) vcpu.processor.yield();
  }

  private deadlineMoved(deadline: number): void {
    if (this.current !== undefined && deadline < this.sliceEnd) this.current.processor.yield();
  }

  private monitorTriggered(cpu: number): void {
    const vcpu = this.cpus[cpu];
    if (vcpu.state.activity !== "mwait") return;
    vcpu.state.activity = "running";
    this.kicked(vcpu);
  }

  /** Stores to physical page `page`, or to any, must be looked at again. */
  private distrustWrites(page = -1): void {
    for (const vcpu of this.cpus ?? []) vcpu.mmu.distrustWrites(page);
  }

  private forgetBlocks(): void {
    for (const vcpu of this.cpus ?? []) {
      vcpu.processor.invalidateResume();
      vcpu.mmu.flushJumps();
    }
  }

  private mapChanged(): void {
    if (this.memory === undefined) return;
    this.memory.mapChanged();
    for (const vcpu of this.cpus ?? []) vcpu.mmu.flush();
  }

  /** RAM and ROM changed places: code may be other code now. */
  private memoryRouted(): void {
    this.outsideWrite(LEGACY_AREA, LEGACY_AREA_END - LEGACY_AREA);
    this.mapChanged();
  }

  private outsideWrite(address: number, length: number): void {
    for (let at = address; at < address + length; at = at - (at % 4096) + 4096) {
      const chunk = Math.min(address + length, at - (at % 4096) + 4096) - at;
      if (this.code.hasCode(Math.floor(at / 4096)) && this.code.written(at, chunk)) this.current?.processor.request();
      this.monitor.written(at, chunk);
    }
    if (!this.inside && this.inputs.recording) this.inputs.done({ kind: "memory", address, bytes: this.memory.read(address, length) });
  }

  /** Breakpoints or watchpoints changed: translations and TLBs are made anew. */
  private pointsChanged(): void {
    this.code.flush();
    for (const vcpu of this.cpus) this.watchChanged(vcpu);
  }

  private watchChanged(vcpu: Vcpu): void {
    vcpu.mmu.watch = this.debugPoints.watchFor(vcpu, this.hooksForWatch);
    vcpu.mmu.flush();
  }

  private readonly hooksForWatch = (cpu: number, linear: bigint, size: number, write: boolean): void =>
    this.hooks.watchpoint?.(cpu, linear, size, write);

  /** Code breakpoints by linear address, for all CPUs; they stop the run before the instruction. */
  setBreakpoints(linear: ReadonlySet<bigint>): void {
    this.debugPoints.setBreakpoints(linear);
  }

  /** Lets CPU `cpu` pass the breakpoint it stands at once. */
  resumeFrom(cpu: number): void {
    this.cpus[cpu].processor.resumeFromHere();
  }

  /** Ranges whose accesses are reported through hooks.watchpoint. */
  setWatchpoints(ranges: readonly { linear: bigint; size: number; read: boolean; write: boolean }[]): void {
    this.debugPoints.setWatchpoints(ranges);
  }

  /** Drops all translated code, or only what was generated from it; nothing else changes. For tests. */
  discardCode(what: "all" | "generated"): void {
    if (what === "all") this.code.flush();
    else this.jit?.discardAll();
  }

  setHeld(cpu: number, held: boolean): void {
    if (held !== this.cpus[cpu].held) this.inputs.enter({ kind: "held", cpu, held });
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
    this.idleSince = -1;
    this.edited();
  }

  private flushSerial(): void {
    if (this.consoleBytes.length > 0) {
      const bytes = Uint8Array.from(this.consoleBytes);
      this.consoleBytes = [];
      this.hooks.debugConsole?.(bytes);
    }
    if (this.serialBytes.length > 0) {
      const bytes = Uint8Array.from(this.serialBytes);
      this.serialBytes = [];
      this.hooks.serial?.(bytes);
    }
    for (const bytes of this.consoleOutput.splice(0)) this.hooks.console?.(bytes);
  }

  /** Every device, the I/O APIC among them; local APICs are with their CPUs. */
  get devices(): readonly Device[] {
    return [...this.board.devices, this.ioApic];
  }

  /** State of everything but RAM, canonical; at instruction boundaries only. */
  saveState(): State {
    return {
      cpus: this.cpus.map((cpu) => cpu.state.save()),
      apics: this.cpus.map((cpu) => cpu.apic.save()),
      bus: this.bus.save(),
      ledger: this.ledger.save(),
      frames: this.frames.save(),
      devices: this.devices.map((device) => device.save()),
      time: [this.retiredBase, this.idleNanoseconds, ...(this.turns.save() as number[])],
      counts: this.cpus.map(({ processor }) => [processor.retired, processor.attempted, processor.taken]),
      monitor: this.monitor.save().map(([cpu, line]) => [cpu, line]),
    };
  }

  /** State that `restoreMachine` takes over: `saveState` and what the course of events needs beside it. */
  saveMachine(): MachineState {
    return {
      state: this.saveState(),
      course: {
        idleSince: this.idleSince,
        dueRun: this.dueRun,
        only: this.only,
        end: this.end ?? null,
        resetRequested: this.resetRequested,
        sleeping: this.sleeping,
        stopRequested: this.stopRequested,
        held: this.cpus.map((cpu) => cpu.held),
      },
      tlbs: this.cpus.map((cpu) => cpu.mmu.saveTlb()),
    };
  }

  /**
   * Takes over a state of a machine of the same make, RAM apart: `pages` lists the pages of RAM whose content changed with it.
   * @throws UserError when the state is damaged or foreign
   */
  restoreMachine(saved: MachineState, pages: readonly number[]): void {
    this.withoutTelling(() => this.takeOver(saved, pages));
  }

  private takeOver(saved: MachineState, pages: readonly number[]): void {
    const state = new StateReader(saved.state, "the machine");
    const lists = (key: string): readonly State[] => {
      const list = state.list(key);
      if (list.length === this.cpus.length) return list;
      throw new UserError(`The saved state has ${list.length} CPUs, and the machine has ${this.cpus.length}.`, "state");
    };
    const devices = state.list("devices");
    if (devices.length !== this.devices.length)
      throw new UserError(`The saved state has ${devices.length} devices, and the machine has ${this.devices.length}.`, "state");
    for (const page of pages) {
      const physical = this.memory.physicalPage(page);
      this.pageHashes.touched(page);
      if (this.code.hasCode(physical)) this.code.dropPage(physical);
    }
    // Time first: devices arm their timers by it.
    const [retired, idle, ...turns] = state.numbers("time");
    this.retiredBase = retired;
    this.idleNanoseconds = idle;
    for (const [index, cpu] of lists("cpus").entries()) this.cpus[index].state.restore(cpu);
    for (const [index, counts] of lists("counts").entries()) this.cpus[index].processor.restoreCounts(counts as readonly number[]);
    this.bus.restore(state.raw("bus"));
    for (const [index, device] of this.devices.entries()) device.restore(devices[index]);
    for (const [index, apic] of lists("apics").entries()) this.cpus[index].apic.restore(apic);
    // Interrupts that APICs ask for again while they are restored are no events.
    this.ledger.restore(state.raw("ledger"));
    this.frames.restore(state.raw("frames"));
    this.monitor.restore(state.list("monitor") as readonly (readonly [number, number])[]);
    this.turns.restore(turns);
    const { course } = saved;
    this.idleSince = course.idleSince;
    this.dueRun = course.dueRun;
    this.only = course.only;
    this.end = course.end ?? undefined;
    this.resetRequested = course.resetRequested;
    this.sleeping = course.sleeping;
    this.stopRequested = course.stopRequested;
    for (const [index, vcpu] of this.cpus.entries()) {
      vcpu.held = course.held[index] ?? false;
      vcpu.system.debug.update();
      vcpu.changed();
      vcpu.mmu.restoreTlb(saved.tlbs[index]);
    }
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
      instructions: this.retiredBase,
      virtualTime: this.now(),
      blocksTranslated: this.code.translated,
      blocksAlive: usage.blocks,
      codeBytes: usage.bytes,
      codeFlushes: this.code.flushes,
      tlbMisses: this.cpus.reduce((sum, cpu) => sum + cpu.mmu.misses, 0),
      slices: this.slices,
      jit: this.jit?.stats,
    };
  }
}
