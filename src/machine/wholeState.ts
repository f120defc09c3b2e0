import type { InterruptBus } from "../apic/bus";
import type { DelayLine } from "../apic/delayLine";
import type { InterruptLedger } from "../apic/ledger";
import { UserError } from "../common/errors";
import { StateHash } from "../common/hash";
import { encodeState, type State } from "../common/state";
import type { WriteMonitor } from "../cpu/writeMonitor";
import type { Device } from "../devices/device";
import { StateReader } from "../devices/stateReader";
import type { CodeCache } from "../tcg/codeCache";
import type { EngineMemory } from "../tcg/memory";
import type { Course } from "./course";
import type { HandlerFrames } from "./handlerFrames";
import type { PageHashes } from "./pageHashes";
import type { PageTracker } from "./pageTracker";
import type { PhysicalMemory } from "./physicalMemory";
import type { Scheduler } from "./scheduler";
import type { MachineState } from "./snapshots";
import type { Vcpu } from "./vcpu";

/** What a machine's state is spread over. */
export interface StateParts extends RamParts {
  readonly cpus: readonly Vcpu[];
  readonly bus: InterruptBus;
  readonly ledger: InterruptLedger;
  readonly frames: HandlerFrames;
  /** Local APICs are with their CPUs. */
  readonly devices: readonly Device[];
  readonly monitor: WriteMonitor;
  readonly course: Course;
  readonly scheduler: Scheduler;
  readonly delayLine: DelayLine;
}

/** RAM, and what is known of its content. */
interface RamParts {
  readonly engineMemory: EngineMemory;
  readonly memory: PhysicalMemory;
  readonly tracker: PageTracker;
  readonly pageHashes: PageHashes;
  readonly code: CodeCache;
}

/** State of everything but RAM, canonical: the same on every engine; at instruction boundaries only. */
export function saveState(parts: StateParts): State {
  const { cpus, course } = parts;
  return {
    cpus: cpus.map((cpu) => cpu.state.save()),
    apics: cpus.map((cpu) => cpu.apic.save()),
    bus: parts.bus.save(),
    ledger: parts.ledger.save(),
    frames: parts.frames.save(),
    devices: parts.devices.map((device) => device.save()),
    time: [course.retired, course.idleNanoseconds, ...(parts.scheduler.turns.save() as number[])],
    counts: cpus.map(({ processor }) => [processor.retired, processor.attempted, processor.taken]),
    monitor: parts.monitor.save().map(([cpu, line]) => [cpu, line]),
  };
}

/** State that `restoreMachineState` takes over: `saveState` and what the course of events needs beside it. */
export function saveMachineState(parts: StateParts): MachineState {
  const { cpus, course } = parts;
  return {
    state: saveState(parts),
    course: {
      idleSince: course.idleSince,
      dueRun: course.dueRun,
      only: course.only,
      end: course.end ?? null,
      resetRequested: course.resetRequested,
      sleeping: course.sleeping,
      stopRequested: course.stopRequested,
      held: cpus.map((cpu) => cpu.held),
      shielded: cpus.map(({ processor }) => processor.interruptsHeld),
      schedule: parts.scheduler.turns.schedule,
      delays: parts.delayLine.rules,
    },
    tlbs: cpus.map((cpu) => cpu.mmu.tlb.save()),
  };
}

/**
 * Takes over a state of a machine of the same make, RAM apart: `pages` lists the pages of RAM whose content changed with it.
 * @throws UserError when the state is damaged or foreign; the machine is of no use then
 */
export function restoreMachineState(parts: StateParts, saved: MachineState, pages: readonly number[]): void {
  for (const page of pages) {
    const physical = parts.memory.physicalPage(page);
    parts.pageHashes.touched(page);
    if (parts.code.hasCode(physical)) parts.code.dropPage(physical);
  }
  const { cpus, devices, course } = parts;
  const state = new StateReader(saved.state, "the machine");
  const lists = (key: string): readonly State[] => {
    const list = state.list(key);
    if (list.length === cpus.length) return list;
    throw new UserError(`The saved state has ${list.length} CPUs, and the machine has ${cpus.length}.`, "state");
  };
  const deviceStates = state.list("devices");
  if (deviceStates.length !== devices.length)
    throw new UserError(`The saved state has ${deviceStates.length} devices, and the machine has ${devices.length}.`, "state");
  // Time first: devices arm their timers by it.
  const [retired, idle, ...turns] = state.numbers("time");
  course.retired = retired;
  course.idleNanoseconds = idle;
  for (const [index, cpu] of lists("cpus").entries()) cpus[index].state.restore(cpu);
  for (const [index, counts] of lists("counts").entries()) cpus[index].processor.restoreCounts(counts as readonly number[]);
  parts.bus.restore(state.raw("bus"));
  for (const [index, device] of devices.entries()) device.restore(deviceStates[index]);
  for (const [index, apic] of lists("apics").entries()) cpus[index].apic.restore(apic);
  // Interrupts that APICs ask for again while they are restored are no events.
  parts.ledger.restore(state.raw("ledger"));
  parts.frames.restore(state.raw("frames"));
  parts.monitor.restore(state.list("monitor") as readonly (readonly [number, number])[]);
  parts.scheduler.turns.restore(turns, saved.course.schedule);
  parts.delayLine.rules = saved.course.delays;
  course.idleSince = saved.course.idleSince;
  course.dueRun = saved.course.dueRun;
  course.only = saved.course.only;
  course.end = saved.course.end ?? undefined;
  course.resetRequested = saved.course.resetRequested;
  course.sleeping = saved.course.sleeping;
  course.stopRequested = saved.course.stopRequested;
  for (const [index, vcpu] of cpus.entries()) {
    vcpu.held = saved.course.held[index] ?? false;
    vcpu.processor.interruptsHeld = saved.course.shielded[index] ?? false;
    vcpu.system.debug.update();
    vcpu.changed();
    vcpu.mmu.tlb.restore(saved.tlbs[index]);
  }
}

/**
 * Takes over a whole state of a machine of the same make. `page` gives the content of a page of RAM, undefined for zeros.
 * @throws UserError when the state is damaged or foreign; the machine is of no use then
 */
export function loadMachineState(parts: StateParts, saved: MachineState, page: (number: number) => Uint8Array | undefined): void {
  const { tracker } = parts;
  const { ram } = parts.engineMemory;
  const zeros = new Uint8Array(4096);
  const changed: number[] = [];
  for (let number = 0; number < tracker.pages; number++) {
    tracker.touch(number);
    ram.set(page(number) ?? zeros, number * 4096);
    changed.push(number);
  }
  restoreMachineState(parts, saved, changed);
}

/** Hash of the whole state, RAM included; at instruction boundaries only. */
export function stateHash(parts: StateParts): string {
  const hash = new StateHash();
  parts.pageHashes.update(hash);
  parts.tracker.arm();
  encodeState(saveState(parts), (bytes) => hash.update(bytes));
  return hash.digest();
}
