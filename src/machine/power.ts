import type { InterruptBus } from "../apic/bus";
import type { IoApic } from "../apic/ioApic";
import { CR0_ET } from "../cpu/registerBits";
import { CS } from "../cpu/segmentRegisters";
import { REAL_ACCESS } from "../cpu/system/descriptors";
import { startTimerTicks } from "../devices/firmwareInit";
import type { PcBoard } from "../devices/pcBoard";
import type { PortSpace } from "../devices/ports";
import { facsAddress, WAKING_VECTOR } from "../firmware/firmwareTables";
import type { CodeCache } from "../tcg/codeCache";
import type { Course } from "./course";
import type { HandlerFrames } from "./handlerFrames";
import type { PhysicalMemory } from "./physicalMemory";
import type { Scheduler } from "./scheduler";
import type { Vcpu } from "./vcpu";

/** What is powered. */
export interface Powered {
  readonly cpus: readonly Vcpu[];
  readonly bus: InterruptBus;
  readonly ioApic: IoApic;
  readonly board: PcBoard;
  readonly ports: PortSpace;
  readonly memory: PhysicalMemory;
  readonly code: CodeCache;
  readonly frames: HandlerFrames;
  readonly course: Course;
  readonly scheduler: Scheduler;
  /** No firmware image runs: the machine stands in for what one would have set up. */
  readonly bare: boolean;
}

function powerOnCpus({ cpus, bus, ioApic, frames }: Powered): void {
  for (const vcpu of cpus) {
    vcpu.system.powerOn();
    vcpu.apic.reset(false);
    frames.clear(vcpu.index);
    vcpu.changed();
  }
  bus.reset();
  ioApic.reset();
}

/** Everything but memory as after power-on; time and instruction counts go on. */
export function powerOn(machine: Powered): void {
  const { course } = machine;
  machine.code.flush();
  course.end = undefined;
  course.resetRequested = false;
  course.sleeping = false;
  machine.scheduler.turns.reset();
  powerOnCpus(machine);
  machine.board.reset();
  if (machine.bare) machine.board.initializeAsFirmware(machine.ports);
}

/** ACPI S3: the CPUs lose their state. Nothing runs before the board wakes. */
export function sleep({ course, cpus, scheduler }: Powered): void {
  course.sleeping = true;
  for (const { state } of cpus) state.activity = "wait-for-SIPI";
  scheduler.current?.processor.yield();
}

/**
 * The end of S3: CPUs and devices as after power-on, memory as it was. In the firmware's place the bootstrap processor starts in real mode at the waking vector that
 * the guest left in the FACS (ACPI specification, "Waking and Initialization Process"); without one the machine starts anew.
 */
export function wake(machine: Powered): void {
  const { course, board, ports, memory, scheduler } = machine;
  course.sleeping = false;
  powerOnCpus(machine);
  board.wakeUp();
  board.initializeAsFirmware(ports);
  startTimerTicks(ports);
  const vector = new DataView(memory.read(facsAddress(memory.size) + WAKING_VECTOR, 4).buffer).getUint32(0, true);
  if (vector === 0) {
    scheduler.requestReset();
    return;
  }
  const [bootstrap] = machine.cpus;
  const { state } = bootstrap;
  state.cr0 = CR0_ET;
  state.setSegment(CS, (vector >>> 4) & 0xffff, BigInt((vector >>> 4) << 4), 0xffff, REAL_ACCESS);
  state.rip = BigInt(vector & 0xf);
  bootstrap.apic.setVirtualWire();
  bootstrap.changed();
  scheduler.kicked(bootstrap);
}
