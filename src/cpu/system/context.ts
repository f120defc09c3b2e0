import type { InterruptController, PhysicalBus } from "../bus";
import type { Mmu } from "../mmu";
import type { CpuState } from "../state";
import type { CpuModel } from "./cpuModel";
import type { DescriptorTables } from "./descriptors";

/** What the processor tells the outside of its exceptions and events; observers change nothing. */
export interface SystemObserver {
  /** False while nobody wants `delivering`: its events are then not made. */
  wantsDeliveries(): boolean;
  /** An exception or interrupt is being delivered. `errorCode` -1: none. `kind` tells how it came to be. */
  delivering(event: DeliveredEvent): void;
  /** The handler's first instruction is next, as the state has it; the frame says where it returns to. The event is made use of again. */
  entered(event: EnteredEvent): void;
  /** An IRET completed; the state has the instruction and stack pointer it went back to. */
  returned(): void;
  /** The CPU entered shutdown by a triple fault. */
  tripleFault(): void;
}

/** How a delivery came to be, by its number in the engine's memory. */
export const eventKinds = ["exception", "external", "nmi", "software", "trap"] as const;
export type EventKind = (typeof eventKinds)[number];

/** A delivery that succeeded: what it is, and where the handler returns to, addresses in halves. */
export interface EnteredEvent {
  readonly vector: number;
  readonly kind: EventKind;
  readonly cs: number;
  readonly ripLow: number;
  readonly ripHigh: number;
  readonly rspLow: number;
  readonly rspHigh: number;
}

export interface DeliveredEvent {
  readonly vector: number;
  readonly kind: EventKind;
  readonly errorCode: number;
  /** RIP that the frame returns to. */
  readonly rip: bigint;
  readonly cs: number;
  /** CR2 for #PF. */
  readonly address: bigint;
}

/** Hears of accesses to what is no memory, after they were made and did not fault. Observers change nothing. */
export interface RegisterWatch {
  /** RDMSR and WRMSR; `old` is what a write replaced. */
  msr(index: number, write: boolean, old: bigint | undefined, value: bigint): void;
  /** MOV to and from CR0, CR2, CR3, CR4, CR8, and LMSW and CLTS. */
  control(register: number, write: boolean, old: bigint | undefined, value: bigint): void;
  /** IN, OUT, INS and OUTS; `value` is what was read or written. */
  port(port: number, size: number, write: boolean, value: number): void;
}

/** What the parts of the processor's system side share. */
export interface SystemContext {
  readonly state: CpuState;
  readonly mmu: Mmu;
  readonly bus: PhysicalBus;
  readonly tables: DescriptorTables;
  readonly controller: InterruptController;
  readonly model: CpuModel;
  readonly observer: SystemObserver;
  /** Undefined while nobody wants to know. */
  readonly registerWatch: RegisterWatch | undefined;
  /** Nanoseconds of virtual time, exact inside an instruction. */
  now(): number;
  /** Whatever the mode, paging or TLB depends on changed. */
  flushAll(): void;
}

/** Records an exception; reads as `return fail(...)`. */
export function fail(state: CpuState, vector: number, errorCode = -1): false {
  state.raise(vector, errorCode);
  return false;
}
