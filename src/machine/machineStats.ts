import type { JitStats } from "../tcg/backend/jitStats";
import type { CodeCache } from "../tcg/codeCache";
import type { CallCounts } from "./callCounts";
import type { Course } from "./course";
import type { Engine } from "./engine";
import type { Scheduler } from "./scheduler";
import type { Vcpu } from "./vcpu";

/** Figures of a machine's run so far. */
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

/** What keeps figures. */
interface StatisticParts {
  readonly cpus: readonly Vcpu[];
  readonly course: Course;
  readonly scheduler: Scheduler;
  readonly code: CodeCache;
  readonly engine: Engine;
}

/** The figures, those of slices that are over. */
export function machineStats({ cpus, course, scheduler, code, engine }: StatisticParts): MachineStats {
  const { usage } = code;
  return {
    instructions: course.retired,
    virtualTime: scheduler.now(),
    blocksTranslated: code.translated,
    blocksAlive: usage.blocks,
    codeBytes: usage.bytes,
    codeFlushes: code.flushes,
    tlbMisses: cpus.reduce((sum, cpu) => sum + cpu.mmu.tlb.misses, 0),
    slices: scheduler.slices,
    interpreted: Math.min(code.interpreted, course.retired),
    calls: engine.calls,
    jit: engine.jit?.stats,
  };
}
