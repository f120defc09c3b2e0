import type { State } from "../common/state";
import { WORD_BUDGET, WORD_SHADOW } from "../tcg/layout";
import type { Activity, CpuState } from "./state";

/** Saving and restoring a CPU: the one place that says what of {@link CpuState} makes up its state, and in which order a saved machine holds it. */

/** MSRs that have fields of their own. */
const MSR_FIELDS = [
  "star",
  "lstar",
  "cstar",
  "sfmask",
  "kernelGsBase",
  "sysenterCs",
  "sysenterEsp",
  "sysenterEip",
  "tscAux",
  "tscOffset",
  "pat",
  "miscEnable",
  "mtrrDefType",
  "tscAdjust",
] as const;

/** What {@link CpuState.save} gives. */
export function saveState(cpu: CpuState): State {
  return {
    gprs: [...cpu.slots.slice(0, 16)],
    rip: cpu.rip,
    flags: cpu.rflags,
    segments: [...cpu.selector.keys()].map((i) => [cpu.selector[i], cpu.segBase(i), cpu.limit[i], cpu.access[i]]),
    tables: [cpu.gdtrBase, cpu.gdtrLimit, cpu.idtrBase, cpu.idtrLimit],
    control: [cpu.cr0, cpu.cr2, cpu.cr3, cpu.cr4, cpu.efer, cpu.xcr0, cpu.cpl],
    protectionKeys: [cpu.pkru, cpu.pkrs],
    debug: [...cpu.dr, cpu.dr6, cpu.dr7],
    pdptes: [...cpu.pdptes],
    msrs: MSR_FIELDS.map((field) => cpu[field]),
    smbase: cpu.smbase,
    fpu: cpu.fpu.save(),
    sse: [cpu.mxcsr, ...cpu.xmm],
    avx: [...cpu.ymmUpper],
    plain: [...cpu.plainMsrs].sort((a, b) => a[0] - b[0]).map(([index, value]) => [index, value]),
    activity: cpu.activity,
    events: [cpu.intrPending, cpu.nmiPending, cpu.smiPending, cpu.initPending, cpu.nmiBlocked, cpu.inSmm],
    boundary: [cpu.words[WORD_SHADOW / 4] === cpu.budget, cpu.stackShadow, cpu.freshDelivery, cpu.midString, cpu.mwaitBreaksOnMasked],
    traps: cpu.trapBits,
    random: cpu.randomNumbers,
  };
}

/** What {@link CpuState.restore} does. */
export function restoreState(cpu: CpuState, state: State): void {
  const saved = state as unknown as {
    gprs: bigint[];
    rip: bigint;
    flags: number;
    segments: [number, bigint, number, number][];
    tables: [bigint, number, bigint, number];
    control: [number, bigint, number, number, number, number, number];
    protectionKeys: [number, number];
    debug: [bigint, bigint, bigint, bigint, number, number];
    pdptes: bigint[];
    msrs: bigint[];
    smbase: number;
    fpu: State;
    sse: [number, ...bigint[]];
    avx: bigint[];
    plain: [number, bigint][];
    activity: Activity;
    events: boolean[];
    boundary: boolean[];
    traps: number;
    random: number;
  };
  saved.gprs.forEach((value, i) => cpu.setGpr(i, value));
  cpu.rip = saved.rip;
  cpu.rflags = saved.flags;
  saved.segments.forEach(([selector, base, limit, access], i) => cpu.setSegment(i, selector, base, limit, access));
  [cpu.gdtrBase, cpu.gdtrLimit, cpu.idtrBase, cpu.idtrLimit] = saved.tables;
  [cpu.cr0, cpu.cr2, cpu.cr3, cpu.cr4, cpu.efer, cpu.xcr0, cpu.cpl] = saved.control;
  [cpu.pkru, cpu.pkrs] = saved.protectionKeys;
  for (let i = 0; i < 4; i++) {
    cpu.dr[i] = saved.debug[i] as bigint;
    cpu.pdptes[i] = saved.pdptes[i];
  }
  cpu.dr6 = saved.debug[4];
  cpu.dr7 = saved.debug[5];
  MSR_FIELDS.forEach((field, i) => (cpu[field] = saved.msrs[i]));
  cpu.smbase = saved.smbase;
  cpu.fpu.restore(saved.fpu);
  const [mxcsr, ...xmm] = saved.sse;
  cpu.mxcsr = mxcsr;
  cpu.xmm.set(xmm);
  cpu.ymmUpper.set(saved.avx);
  cpu.plainMsrs.clear();
  for (const [index, value] of saved.plain) cpu.plainMsrs.set(index, value);
  cpu.activity = saved.activity;
  [cpu.intrPending, cpu.nmiPending, cpu.smiPending, cpu.initPending, cpu.nmiBlocked, cpu.inSmm] = saved.events;
  cpu.words[WORD_BUDGET / 4] = 0;
  const [shadow] = saved.boundary;
  cpu.words[WORD_SHADOW / 4] = shadow ? 0 : -1;
  [, cpu.stackShadow, cpu.freshDelivery, cpu.midString, cpu.mwaitBreaksOnMasked] = saved.boundary;
  cpu.trapBits = saved.traps;
  cpu.randomNumbers = saved.random;
  cpu.pending = undefined;
  // Who cleared IF is no part of the state: only those who follow it know.
  cpu.interruptsMaskedBy?.clear();
}
