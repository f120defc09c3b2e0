import type { InterruptBus } from "../apic/bus";
import type { InterruptEvent, InterruptRecord } from "../apic/events";
import type { DelayRule } from "../apic/delayLine";
import type { IoApic } from "../apic/ioApic";
import type { LocalApic } from "../apic/localApic";
import type { RecordStore } from "../apic/recordStore";
import type { CoursePoint, RecordChanges, RecordQuery } from "../apic/recordQueries";
import type { Decision } from "../cpu/decisions";
import type { FollowedFlag } from "../cpu/maskCause";
import type { Activity, CpuState } from "../cpu/state";
import type { BlockExplanation } from "../tcg/backend/explainBlock";
import type { Device } from "../devices/device";
import type { HandlerFrames } from "../machine/handlerFrames";
import type { Inputs, Position } from "../machine/inputs";
import type { Goal } from "../machine/scheduler";
import type { Snapshots } from "../machine/snapshots";
import type { MachineHooks, RunEnd } from "../machine/types";
import type { Schedule } from "../machine/turns";
import type { Watch } from "../machine/watches";
import type { InjectionRequest } from "./injections";

/** A vCPU as the debugger uses it; `machine/` provides it. Addresses are linear unless they say physical. */
export interface DebugCpu {
  readonly index: number;
  readonly apicId: number;
  readonly state: CpuState;
  readonly apic: LocalApic;
  readonly activity: Activity;
  /** The next instruction is in the shadow of STI or of a load of SS. */
  readonly inShadow: boolean;
  /** Instructions this CPU has retired. */
  readonly retired: number;
  /** Instructions tried and events taken by this CPU. */
  readonly steps: number;
  readonly mmu: {
    /** Physical address of a linear one, without side effects; -1 where nothing is mapped. */
    inspect(linear: bigint): number;
  };
  linearRip(): bigint;
  setRip(value: bigint): void;
  codeBits(): 16 | 32 | 64;
  /** The readable bytes from `linear` on, at most `length`; undefined when there are none. Devices are not read. */
  readMemory(linear: bigint, length: number): Uint8Array | undefined;
  /** Copies the readable bytes from linear (high:low) on, at most `length`, into `bytes` from `at` on. Returns how many. */
  copyMemory(low: number, high: number, bytes: Uint8Array, at: number, length: number): number;
  /** Writes plain memory and returns how many bytes were written. */
  writeMemory(linear: bigint, bytes: Uint8Array): number;
  /** Physical memory as it stands, without side effects; undefined where there is no plain memory. */
  readPhysical(physical: number, length: number): Uint8Array | undefined;
  /** Writes plain physical memory and returns how many bytes were written. */
  writePhysical(physical: number, bytes: Uint8Array): number;
  /** To be called after `state` was changed from outside. */
  changed(): void;
}

/** What the debugger asks of the interrupts' book. */
export interface DebugLedger {
  readonly lastId: number;
  /** The records as numbers; to be read only. */
  readonly store: RecordStore;
  record(id: number): InterruptRecord | undefined;
  records(query?: RecordQuery): readonly InterruptRecord[];
  changes(since: CoursePoint, limit: number): RecordChanges;
  lastEvents(cpu: number, count: number): readonly InterruptEvent[];
  inService(cpu: number): readonly InterruptRecord[];
  /** Id of the record that waits in the IRR for `vector`, 0 for none. */
  pendingId(cpu: number, vector: number): number;
}

/** The machine as the debugger uses it. */
export interface DebugMachine {
  hooks: MachineHooks;
  /** The hooks want something else than before. */
  hooksChanged(): void;
  readonly cpus: readonly DebugCpu[];
  readonly ledger: DebugLedger;
  readonly ioApic: IoApic;
  readonly bus: InterruptBus;
  readonly devices: readonly Device[];
  /** The bus. */
  readonly memory: {
    /** A store as by CPU `cpu`, with all its effects. */
    write(physical: number, size: 1 | 2 | 4 | 8, value: bigint, cpu: number): void;
  };
  readonly frames: Pick<HandlerFrames, "of" | "isTopUnrecorded" | "copyTop">;
  instructions(): number;
  /** Linear address of the instruction that executes now, 0n when none does. */
  currentAddress(): bigint;
  now(): number;
  /** `until`: virtual time in nanoseconds to stop at. */
  run(maxInstructions: number, until?: number): RunEnd;
  /** Runs one CPU while the others stand still. */
  runCpu(cpu: number, instructions: number): RunEnd;
  requestStop(): void;
  /** Where the machine stands in its course; between runs only. */
  position(): Position;
  /** In a replay: runs up to so many instructions towards `goal`. */
  runTowards(goal: Goal, maxInstructions: number): RunEnd;
  /** Whether the last run towards a goal got there. */
  readonly atGoal: boolean;
  readonly snapshots: Snapshots;
  readonly inputs: Pick<Inputs, "recorder" | "journal" | "replay" | "live" | "replayed">;
  /** A system reset: everything as at power-on, the image loaded anew. */
  reset(): void;
  /** Whether what clears IF is remembered, and each change of IF told. */
  followInterruptFlag(followed: FollowedFlag): void;
  setBreakpoints(linear: ReadonlySet<bigint>): void;
  /** Places whose accesses are told by `hooks.watch`. */
  setWatches(watches: readonly Watch[]): void;
  /** Passes the breakpoint at this CPU's RIP once. */
  resumeFrom(cpu: number): void;
  setHeld(cpu: number, held: boolean): void;
  /** Keeps maskable interrupts from a CPU: they stay pending. */
  shieldFromInterrupts(cpu: number, held: boolean): void;
  /** How CPUs share the time. */
  readonly schedule: Schedule;
  setSchedule(schedule: Schedule): void;
  /** IPIs that are to be held back on their way. */
  readonly delays: readonly DelayRule[];
  setDelays(rules: readonly DelayRule[]): void;
  serialInput(bytes: Uint8Array): void;
  /** Sends an interrupt on the debugger's behalf. */
  inject(request: InjectionRequest): void;
  /** The translated block at a linear address; undefined where nothing has run. */
  explainBlock(cpu: number, linear: bigint): BlockExplanation | undefined;
  /** Whether the CPUs' loops keep their last decisions. */
  followDecisions(follow: boolean): void;
  decisions(cpu: number): readonly Decision[] | undefined;
  /** Registers were changed, or devices written to, from outside. */
  edited(): void;
}
