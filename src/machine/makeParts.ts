import { InterruptBus } from "../apic/bus";
import { IoApic } from "../apic/ioApic";
import { InterruptLedger } from "../apic/ledger";
import { ApicRegion } from "../apic/region";
import { UserError } from "../common/errors";
import { X86Translator } from "../cpu/frontend/translator";
import { DEFAULT_MODEL, parseCpuModel } from "../cpu/models";
import { CpuModel } from "../cpu/system/cpuModel";
import { arrange } from "../cpu/topology";
import { WriteMonitor } from "../cpu/writeMonitor";
import { IOAPIC_ID } from "../devices/board";
import { DeviceBus } from "../devices/bus";
import { VirtualClock } from "../devices/clock";
import { MmioSpace } from "../devices/mmio";
import { PortSpace } from "../devices/ports";
import { VIDEO_BYTES } from "../devices/vga/displayAdapter";
import { checkFirmware } from "../firmware/romBoot";
import { CodeCache } from "../tcg/codeCache";
import { EngineMemory } from "../tcg/memory";
import type { Bootable } from "./boot";
import { Coherence } from "./coherence";
import { Course } from "./course";
import { DebugPoints } from "./debugPoints";
import { type Engine, makeEngine } from "./engine";
import { GuestOutput } from "./guestOutput";
import { HandlerFrames } from "./handlerFrames";
import { TestHypercalls } from "./hypercalls";
import type { Inputs } from "./inputs";
import { MAX_CPUS, MAX_MEMORY } from "./limits";
import { makeBoard } from "./makeBoard";
import { makeCpu } from "./makeCpu";
import { Observers } from "./observers";
import { PageHashes } from "./pageHashes";
import { PageTracker } from "./pageTracker";
import { PhysicalMemory } from "./physicalMemory";
import { sleep, wake } from "./power";
import { Scheduler } from "./scheduler";
import type { MachineConfiguration } from "./types";
import type { Vcpu } from "./vcpu";
import type { StateParts } from "./wholeState";

const CODE_ARENA = 64 << 20;

/** What a machine is made of. */
export interface MachineParts extends Bootable, StateParts {
  readonly engine: Engine;
  readonly output: GuestOutput;
  readonly observers: Observers;
  readonly debugPoints: DebugPoints;
}

/** @throws UserError naming the attribute that does not fit. */
export function checkConfiguration({ cpus, memory, quantum, firmware }: MachineConfiguration): void {
  if (!Number.isInteger(cpus) || cpus < 1 || cpus > MAX_CPUS) throw new UserError(`\`cpus\` is ${cpus}: choose 1 to ${MAX_CPUS}.`, "cpus");
  if (!Number.isInteger(memory / 4096) || memory < 1 << 20) throw new UserError("`memory` must be at least 1 MiB.", "memory");
  if (memory > MAX_MEMORY * 2 ** 20)
    throw new UserError(`\`memory\` is ${Math.round(memory / 2 ** 20)} MiB: at most ${MAX_MEMORY} MiB fit the emulator.`, "memory");
  if (quantum !== undefined && (!Number.isInteger(quantum) || quantum < 1)) {
    throw new UserError(`\`quantum\` is ${quantum}: it is a number of instructions, at least 1.`, "quantum");
  }
  if (firmware !== undefined) checkFirmware(firmware.image, firmware.name);
}

/**
 * Makes the parts of a machine from its configuration and connects them. Many refer to each other: what is called back finds the other part once all are there. Power is not on yet.
 * @param inputs hear of what somebody outside writes to memory
 */
export function makeParts(configuration: MachineConfiguration, inputs: Inputs): MachineParts {
  // Video memory is the end of the engine's RAM, so that it is tracked, hashed and kept in snapshots with it.
  const video = configuration.devices?.includes("vga") === true ? VIDEO_BYTES : 0;
  const ram = configuration.memory + video;
  const engineMemory = new EngineMemory({
    cpus: configuration.cpus,
    ram,
    codeArena: CODE_ARENA,
    rom: configuration.firmware?.image.length ?? 0,
    provider: configuration.provider,
  });
  const { ramBase, i32 } = engineMemory;
  const course = new Course(engineMemory);
  const coherence = new Coherence(engineMemory);
  const tracker = new PageTracker(ram / 4096, () => coherence.distrustWrites());
  const pageHashes = new PageHashes(i32.subarray(ramBase / 4, (ramBase + ram) / 4));
  tracker.listen(pageHashes);
  tracker.listen({ touched: (page) => engineMemory.expectWrite(ramBase + page * 4096) });
  const ports = new PortSpace();
  const mmio = new MmioSpace(() => coherence.mapChanged());
  const memory: PhysicalMemory = new PhysicalMemory(
    engineMemory,
    ports,
    mmio,
    (address, length) => {
      coherence.outsideWrite(address, length);
      if (inputs.recording) inputs.done({ kind: "memory", address, bytes: memory.read(address, length) });
    },
    () => scheduler.deviceRead(),
    tracker,
    (cpu) => cpus[cpu].state.inSmm,
    video,
  );
  if (configuration.firmware !== undefined) memory.loadRom(configuration.firmware.image);

  const clock: VirtualClock = new VirtualClock(
    () => scheduler.now(),
    (deadline) => scheduler.deadlineMoved(deadline),
  );
  const output = new GuestOutput();
  const scheduler: Scheduler = new Scheduler(
    configuration.cpus,
    configuration.quantum,
    course,
    clock,
    inputs,
    (instructions) => {
      ledger.settle();
      output.flush(observers.hooks);
      engine.jit?.poll(instructions);
    },
    () => ledger.settle(),
  );

  const { interruptRecords } = configuration;
  const journal = { buffer: engineMemory.memory.buffer, base: engineMemory.journalBase };
  const ledger = new InterruptLedger(scheduler, interruptRecords === undefined ? { journal } : { journal, capacity: interruptRecords });
  const bus = new InterruptBus(ledger);
  const delayLine = bus.connectDelays(clock);
  const frames = new HandlerFrames(engineMemory, configuration.cpus);
  const deviceBus = new DeviceBus(clock, ports, mmio, memory);

  const code = new CodeCache(
    engineMemory,
    (page) => coherence.distrustWrites(page),
    () => undefined,
    () => coherence.forgetBlocks(),
  );
  const monitor = new WriteMonitor(
    (page) => coherence.distrustWrites(page),
    (cpu) => endMonitorWait(cpus[cpu], scheduler),
  );
  const selection = parseCpuModel(configuration.cpuModel ?? DEFAULT_MODEL, "cpuModel");
  const topology = arrange(configuration.cpus, selection.arrangement, "cpuModel");
  const { apicIds } = topology;
  const model = new CpuModel(selection, topology, configuration.seed);
  const translator = new X86Translator(model.features);
  const engine = makeEngine(
    configuration,
    engineMemory,
    code,
    () => scheduler.current,
    (record, cpu) => ledger.returned(record, cpu),
  );
  const debugPoints = new DebugPoints(() => code.flush());
  const calls = new TestHypercalls(bus);
  const surroundings = {
    engineMemory,
    engine,
    memory,
    code,
    monitor,
    model,
    translator,
    clock,
    scheduler,
    bus,
    ledger,
    frames,
    debugPoints,
    hypercall: configuration.devices?.includes("testdev") === true ? calls.call.bind(calls) : undefined,
    hooks: () => observers.hooks,
    watchChanged: (vcpu: Vcpu) => observers.watchChanged(vcpu),
    tripleFault: (cpu: number) => {
      observers.hooks.tripleFault?.(cpu);
      if (configuration.tripleFault === "reset") scheduler.requestReset();
      else scheduler.finish({ kind: "triple-fault", cpu });
    },
  };
  const cpus: readonly Vcpu[] = apicIds.map((apicId, index) => makeCpu(index, apicId, surroundings));
  scheduler.attach(cpus);
  coherence.attach({ memory, code, monitor, scheduler, cpus });
  const observers = new Observers({ cpus, ledger, delayLine, memory, code, translator, scheduler });

  const ioApic = new IoApic(deviceBus, bus, { id: IOAPIC_ID });
  const board = makeBoard(configuration, apicIds, {
    deviceBus,
    bus,
    ioApic,
    memory,
    output,
    hooks: () => observers.hooks,
    currentCpu: () => scheduler.current?.index ?? -1,
    systemManagement: () => cpus[0].raiseSmi(),
    memoryRouted: () => coherence.memoryRouted(),
    finish: (end) => scheduler.finish(end),
    sleep: () => sleep(parts),
    wake: () => wake(parts),
    reset: () => scheduler.requestReset(),
  });
  // The local APICs' register pages.
  new ApicRegion(deviceBus, bus);
  coherence.mapChanged();

  const parts: MachineParts = {
    engineMemory,
    course,
    tracker,
    pageHashes,
    ports,
    memory,
    output,
    scheduler,
    ledger,
    bus,
    delayLine,
    frames,
    code,
    monitor,
    engine,
    debugPoints,
    cpus,
    observers,
    ioApic,
    board,
    devices: [...board.devices, ioApic],
    bare: configuration.firmware === undefined,
  };
  return parts;
}

/** The line that a CPU waits at in MWAIT was written. */
function endMonitorWait(vcpu: Vcpu, scheduler: Scheduler): void {
  if (vcpu.state.activity !== "mwait") return;
  vcpu.state.activity = "running";
  scheduler.kicked(vcpu);
}
