import type { DelayRule } from "../apic/delayLine";
import type { State } from "../common/state";
import type { PageTracker } from "./pageTracker";
import type { Schedule } from "./turns";
import type { RunEnd } from "./types";
import { UndoLog, type UndoMark } from "./undoLog";
import type { MemoryProvider } from "./undoMemory";

/** All of a machine's state but the content of RAM. */
export interface MachineState {
  /** Canonical, the same on every engine: what the state hash is made of. */
  readonly state: State;
  readonly course: {
    readonly idleSince: number;
    readonly dueRun: boolean;
    readonly only: number;
    readonly end: RunEnd | null;
    readonly resetRequested: boolean;
    readonly sleeping: boolean;
    readonly stopRequested: boolean;
    readonly held: readonly boolean[];
    /** CPUs that maskable interrupts are kept from. */
    readonly shielded: readonly boolean[];
    readonly schedule: Schedule;
    readonly delays: readonly DelayRule[];
  };
  /** By CPU: translations that it has cached. */
  readonly tlbs: readonly Int32Array[];
}

/** A moment that the machine can be taken back to. */
export interface Snapshot {
  /** Instructions retired by all CPUs. */
  readonly instructions: number;
  /** Nanoseconds of virtual time. */
  readonly time: number;
}

class Taken implements Snapshot {
  constructor(
    readonly instructions: number,
    readonly time: number,
    readonly saved: MachineState,
    readonly mark: UndoMark,
  ) {}
}

/** What snapshots are taken of. */
export interface SnapshotTarget {
  instructions(): number;
  now(): number;
  saveMachine(): MachineState;
  restoreMachine(saved: MachineState, pages: readonly number[]): void;
}

/**
 * Snapshots of one machine in memory: a chain of states, with the pages of RAM that were written between one and the next. Taking one costs the state of CPUs and
 * devices, and a copy of each page at its first write afterwards; going back costs the pages written since. At instruction boundaries only, between runs.
 */
export class Snapshots {
  private readonly undo: UndoLog;
  private chain: Taken[] = [];

  constructor(
    private readonly machine: SnapshotTarget,
    ram: Uint8Array,
    tracker: PageTracker,
    provider?: MemoryProvider,
  ) {
    this.undo = new UndoLog(ram, tracker, provider);
  }

  /** The snapshots there are, oldest first. */
  get list(): readonly Snapshot[] {
    return this.chain;
  }

  /** Pages of RAM that were written since the newest snapshot. */
  get newestPages(): number {
    return this.undo.newestPages;
  }

  /** The host's clock in milliseconds, for {@link copying}; undefined: nothing is measured. Guest state does not depend on it. */
  set clock(clock: (() => number) | undefined) {
    this.undo.clock = clock;
  }

  /** Milliseconds that copying pages for the newest snapshot has taken so far. */
  get copying(): number {
    return this.undo.copying;
  }

  /** Bytes of RAM content that the snapshots keep. */
  get bytes(): number {
    return this.undo.bytes;
  }

  /** Takes a snapshot of the machine as it stands. The run goes on as if none had been taken. */
  take(): Snapshot {
    const { machine } = this;
    const taken = new Taken(machine.instructions(), machine.now(), machine.saveMachine(), this.undo.mark());
    this.chain.push(taken);
    return taken;
  }

  /** Takes the machine back to `snapshot`; later ones are gone, it stays. */
  restore(snapshot: Snapshot): void {
    const at = this.chain.findIndex((taken) => taken === snapshot);
    if (at < 0) throw new Error("the snapshot was dropped");
    const taken = this.chain[at];
    const pages: number[] = [];
    this.undo.returnTo(taken.mark, (page) => pages.push(page));
    this.chain.length = at + 1;
    this.machine.restoreMachine(taken.saved, pages);
  }

  /** Forgets `snapshot`; the others stay. */
  drop(snapshot: Snapshot): void {
    const at = this.chain.findIndex((taken) => taken === snapshot);
    if (at < 0) return;
    this.undo.drop(this.chain[at].mark);
    this.chain.splice(at, 1);
  }

  /** Forgets all. */
  clear(): void {
    while (this.chain.length > 0) this.drop(this.chain[0]);
  }
}
