import type { InterruptBus } from "../apic/bus";
import { LocalApic } from "../apic/localApic";
import type { InterruptLedger } from "../apic/ledger";
import type { X86Translator } from "../cpu/frontend/translator";
import { Mmu } from "../cpu/mmu";
import { Processor } from "../cpu/processor";
import { CpuState } from "../cpu/state";
import type { EnteredEvent, EventKind } from "../cpu/system/context";
import type { CpuModel } from "../cpu/system/cpuModel";
import { CpuSystem, type SystemHost } from "../cpu/system/system";
import type { WriteMonitor } from "../cpu/writeMonitor";
import type { VirtualClock } from "../devices/clock";
import type { CodeCache } from "../tcg/codeCache";
import { APIC_REGISTERS, APIC_WORDS, CPU_JUMP_CACHE, WORD_JUMP_CACHE } from "../tcg/layout";
import { KIND_EXTERNAL } from "../tcg/interpreter/transfers";
import type { EngineMemory } from "../tcg/memory";
import type { DebugPoints } from "./debugPoints";
import type { Engine } from "./engine";
import type { HandlerFrame, HandlerFrames } from "./handlerFrames";
import type { PhysicalMemory } from "./physicalMemory";
import type { Scheduler } from "./scheduler";
import type { MachineHooks } from "./types";
import { Vcpu } from "./vcpu";

/** What a CPU of a machine is put into. */
export interface CpuSurroundings {
  readonly engineMemory: EngineMemory;
  readonly engine: Engine;
  readonly memory: PhysicalMemory;
  readonly code: CodeCache;
  readonly monitor: WriteMonitor;
  readonly model: CpuModel;
  readonly translator: X86Translator;
  readonly clock: VirtualClock;
  readonly scheduler: Scheduler;
  readonly bus: InterruptBus;
  readonly ledger: InterruptLedger;
  readonly frames: HandlerFrames;
  readonly debugPoints: DebugPoints;
  /** What answers VMCALL, where something does. */
  readonly hypercall: SystemHost["hypercall"];
  /** The hooks of the moment: a debugger may exchange them. */
  readonly hooks: () => MachineHooks;
  /** Watched data pages of this CPU changed. */
  watchChanged(vcpu: Vcpu): void;
  tripleFault(cpu: number): void;
}

function handlerEntered(vcpu: Vcpu, event: EnteredEvent, surroundings: CpuSurroundings): void {
  const { ledger, frames, scheduler } = surroundings;
  const { index } = vcpu;
  const record = event.kind === "external" ? ledger.lastDelivered(index) : event.kind === "nmi" ? ledger.pendingLatch(index, "nmi") : 0;
  frames.entered(index, event, vcpu.state, record, scheduler.instructions(), vcpu.retired);
  tellEntered(index, event.vector, event.kind, record, surroundings);
}

/** Delivers an interrupt in its ordinary case, which the engine does without the host. False: it is not that, and nothing is done. */
function deliverInEngine(vcpu: Vcpu, vector: number, flags: number, surroundings: CpuSurroundings): boolean {
  const { engine, ledger } = surroundings;
  const { state, index } = vcpu;
  if (engine.interrupt === undefined) return false;
  const record = ledger.lastDelivered(index);
  if (engine.interrupt(state.base, vector, 0, KIND_EXTERNAL, flags, record | 0, Math.floor(record / 0x1_0000_0000)) === 0) return false;
  tellEntered(index, vector, "external", record, surroundings);
  return true;
}

function tellEntered(index: number, vector: number, kind: EventKind, record: number, { frames, hooks }: CpuSurroundings): void {
  const observers = hooks();
  if (observers.handlerEntered === undefined || observers.handlerStarts?.(index, vector, kind, record) === false) return;
  const frame = frames.top(index);
  if (frame !== undefined) observers.handlerEntered(index, frame);
}

function handlerReturned(vcpu: Vcpu, { ledger, frames, hooks }: CpuSurroundings): void {
  const { index } = vcpu;
  const observers = hooks();
  let ended: HandlerFrame | undefined;
  const tell = observers.handlerReturned === undefined ? undefined : (frame: HandlerFrame): void => void (ended = frame);
  const record = frames.returned(index, vcpu.state, tell);
  if (record > 0) ledger.returned(record, index);
  if (ended !== undefined) observers.handlerReturned?.(index, ended);
}

/** A CPU with its MMU, local APIC and system side, wired to its machine. CPU 0 is the bootstrap processor. */
export function makeCpu(index: number, apicId: number, surroundings: CpuSurroundings): Vcpu {
  const { engine, memory, code, monitor, model, scheduler, ledger, hooks } = surroundings;
  const state = new CpuState(surroundings.engineMemory, index, index === 0);
  state.gigabytePages = model.features.pdpe1gb;
  state.physicalBits = model.physicalBits;
  state.interruptFlagChanged = (enabled) => hooks().interruptFlag?.(index, enabled);
  state.idtLoaded = () => hooks().idtLoaded?.(index);
  state.words[WORD_JUMP_CACHE / 4] = state.base + CPU_JUMP_CACHE;
  const mmu = new Mmu(state, memory, code);
  mmu.tlb.monitor = monitor;
  const vcpu = new Vcpu(state, mmu, memory, {
    kicked: (kicked) => scheduler.kicked(kicked),
    started: (started) => {
      ledger.delivered(started.index, "sipi");
      hooks().cpuStarted?.(started.index);
    },
  });
  const apic = new LocalApic({
    cpu: vcpu,
    bus: surroundings.bus,
    clock: surroundings.clock,
    apicId,
    registers: new Uint32Array(state.memory.memory.buffer, state.base + APIC_REGISTERS, APIC_WORDS),
    model: { physicalBits: model.physicalBits, x2apic: model.features.x2apic, tscDeadline: model.features["tsc-deadline"] },
    tsc: { read: () => BigInt.asUintN(64, BigInt(scheduler.now()) + state.tscOffset), ticksPerNanosecond: 1 },
  });
  const observer = {
    wantsDeliveries: (): boolean => hooks().exception !== undefined,
    delivering: (event: Parameters<NonNullable<MachineHooks["exception"]>>[1]): void => hooks().exception?.(index, event),
    entered: (event: EnteredEvent): void => handlerEntered(vcpu, event, surroundings),
    returned: (): void => handlerReturned(vcpu, surroundings),
    tripleFault: (): void => surroundings.tripleFault(index),
  };
  const { hypercall } = surroundings;
  const system: CpuSystem = new CpuSystem(state, mmu, memory, apic, model, observer, {
    now: () => scheduler.now(),
    pause: () => scheduler.paused(vcpu),
    trap: (_cpu, bits) => vcpu.processor.addTrap(bits),
    breakpoint: (_cpu, rip) => vcpu.processor.reachedBreakpoint(rip),
    eventTaken: (_cpu, kind) => {
      if (kind === "init") surroundings.frames.clear(index);
      ledger.delivered(index, kind);
    },
    watchChanged: () => surroundings.watchChanged(vcpu),
    deliver: (vector, flags) => deliverInEngine(vcpu, vector, flags, surroundings),
    monitor,
    ...(hypercall === undefined ? {} : { hypercall }),
  });
  const { jit } = engine;
  const processor = new Processor(
    state,
    mmu,
    system,
    code,
    memory,
    surroundings.translator,
    apic,
    engine.run,
    surroundings.debugPoints.forCpu(vcpu),
    jit === undefined ? undefined : (block, cpu) => jit.hot(block, cpu),
  );
  vcpu.attach({ processor, system, apic });
  surroundings.bus.onBaseChanged(() => vcpu.apicPage.follow());
  return vcpu;
}
