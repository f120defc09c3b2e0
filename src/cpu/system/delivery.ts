import { EXC_BP, EXC_DB, EXC_DE, EXC_DF, EXC_GP, EXC_NMI, EXC_NP, EXC_OF, EXC_PF, EXC_SS, EXC_TS } from "../exceptions";
import { FLAG_AC, FLAG_IF, FLAG_IOPL, FLAG_NT, FLAG_RF, FLAG_TF, FLAG_VM, FRAME_FLAGS_64 } from "../registerBits";
import { AR_CODE, AR_CONFORMING, AR_DB, AR_L, AR_PRESENT, AR_UNUSABLE, AR_WRITABLE, CS, DS, ES, FS, GS, SS, TR } from "../segmentRegisters";
import { joinHalves } from "../../common/halves";
import { SLOT_RIP, slotOfGpr } from "../../tcg/layout";
import { type EnteredEvent, type EventKind, fail, type SystemContext } from "./context";
import { DeliveryLog } from "./deliveryLog";
import { canonical, type Descriptor, dplOf, isCode, isSystem, typeOf } from "./descriptors";
import type { FlatTransfer } from "./flatTransfer";
import type { Segments } from "./segments";
import { StackCursor } from "./stack";
import type { TaskSwitcher } from "./taskSwitch";

/** An exception or interrupt on its way to its handler. */
export interface Event {
  readonly vector: number;
  readonly kind: EventKind;
  /** -1: none is pushed. */
  readonly errorCode: number;
  /** CR2 for #PF. */
  readonly address: bigint;
  /** DR6 bits for #DB. */
  readonly dr6: number;
  /** Raised by INT3 or INTO: like `software` but not subject to V86's IOPL rule. */
  readonly breakpoint?: boolean;
}

/** Vectors whose push includes an error code. */
const withErrorCode = new Set([8, 10, 11, 12, 13, 14, 17, 21]);

/** Classes for the double-fault rule (SDM vol. 3, "Interrupt 8 - Double Fault Exception"). */
const contributory = (vector: number): boolean => vector === EXC_DE || (vector >= EXC_TS && vector <= EXC_GP);

/** Index of RSP's lower half. */
const RSP = slotOfGpr(4) / 4;

/**
 * Delivery of interrupts and exceptions through the real-mode vector table, 16- and 32-bit gates, task gates and 64-bit gates with IST
 * (SDM vol. 3, "Interrupt and Exception Handling"; "Interrupt and Exception Handling in 64-bit Mode").
 */
export class Delivery {
  constructor(
    private readonly c: SystemContext,
    private readonly segments: Segments,
    private readonly tasks: TaskSwitcher,
    private readonly flat: FlatTransfer,
  ) {
    this.log = new DeliveryLog(c.state);
  }

  /** What was delivered last. */
  readonly log: DeliveryLog;
  private readonly frame = { vector: 0, kind: "external" as EventKind, cs: 0, ripLow: 0, ripHigh: 0, rspLow: 0, rspHigh: 0 };

  /** Delivers external interrupt `vector`: in its ordinary case at once. */
  external(vector: number): void {
    const { state, observer } = this.c;
    const event = externalEvent(vector);
    if (state.longMode && !observer.wantsDeliveries()) {
      const frame = this.leaving(event);
      if (this.flat.enter(vector, "external", state.midString ? state.rflags | FLAG_RF : state.rflags, -1)) {
        state.pending = undefined;
        this.log.note(frame, -1, 0n);
        observer.entered(frame);
        return;
      }
    }
    this.deliver(event);
  }

  /**
   * Delivers `event`, and whatever its delivery raises in turn, to a double and a triple fault. Returns false when the CPU shut down.
   */
  deliver(event: Event): boolean {
    const { state, observer } = this.c;
    let current = event;
    for (;;) {
      state.pending = undefined;
      const frame = this.leaving(current);
      this.log.note(frame, current.errorCode, current.address);
      if (observer.wantsDeliveries()) {
        observer.delivering({
          vector: current.vector,
          kind: current.kind,
          errorCode: current.errorCode,
          rip: state.rip,
          cs: state.selector[CS],
          address: current.address,
        });
      }
      if (current.vector === EXC_PF && current.kind === "exception") state.cr2 = current.address;
      if (current.vector === EXC_DB && current.kind !== "software" && current.kind !== "external") this.reportDebug(current.dr6);
      if (this.enter(current)) {
        observer.entered(frame);
        return true;
      }
      const second = state.pending as Event | undefined;
      if (second === undefined) return true;
      // CR2 is loaded when a page fault is found, also one that becomes a double fault: kernels tell an overflown stack by it.
      if (second.vector === EXC_PF) state.cr2 = second.address;
      if (current.vector === EXC_DF && current.kind === "exception") {
        state.activity = "shutdown";
        state.pending = undefined;
        observer.tripleFault();
        return false;
      }
      const first = current.kind === "exception" ? current.vector : -1;
      const doubles =
        (contributory(first) && contributory(second.vector)) ||
        (first === EXC_PF && (contributory(second.vector) || second.vector === EXC_PF));
      current = doubles
        ? { vector: EXC_DF, kind: "exception", errorCode: 0, address: 0n, dr6: 0 }
        : { vector: second.vector, kind: "exception", errorCode: second.errorCode, address: second.address, dr6: second.dr6 };
    }
  }

  /** DR6 at a #DB: B0 to B3 tell of this one, the rest is left for software to clear (SDM vol. 3, "Debug Status Register (DR6)"). */
  private reportDebug(bits: number): void {
    const { state } = this.c;
    state.dr6 = ((state.dr6 & ~0xf) | bits) >>> 0;
  }

  /** A software interrupt: one attempt, whose failure is the instruction's own fault (recorded). */
  attempt(event: Event): boolean {
    const { observer } = this.c;
    const frame = this.leaving(event);
    if (!this.enter(event)) return false;
    if (event.kind === "trap") this.reportDebug(event.dr6);
    this.log.note(frame, -1, 0n);
    if (observer.wantsDeliveries()) {
      const { vector, kind, cs } = frame;
      const rip = joinHalves(frame.ripHigh, frame.ripLow);
      observer.delivering({ vector, kind, errorCode: -1, rip, cs, address: 0n });
    }
    observer.entered(frame);
    return true;
  }

  /** Where the CPU is as `event` comes. The same object each time. */
  private leaving({ vector, kind }: Event): EnteredEvent {
    const { words, selector } = this.c.state;
    const { frame } = this;
    frame.vector = vector;
    frame.kind = kind;
    frame.cs = selector[CS];
    frame.ripLow = words[SLOT_RIP / 4];
    frame.ripHigh = words[SLOT_RIP / 4 + 1];
    frame.rspLow = words[RSP];
    frame.rspHigh = words[RSP + 1];
    return frame;
  }

  private enter(event: Event): boolean {
    const { state } = this.c;
    if (state.longMode && this.flat.enter(event.vector, event.kind, this.flagsImage(event), this.pushedErrorCode(event) ?? -1)) return true;
    if (!state.protectedMode) return this.enterReal(event);
    const software = event.kind === "software";
    if (state.vm86 && software && event.breakpoint !== true && (state.systemFlags & FLAG_IOPL) !== FLAG_IOPL) return fail(state, EXC_GP, 0);
    return state.longMode ? this.enterLong(event) : this.enterProtected(event);
  }

  private enterReal(event: Event): boolean {
    const { state, mmu } = this.c;
    if (event.vector * 4 + 3 > state.idtrLimit) return fail(state, EXC_GP, 0);
    const entry = mmu.read((state.idtrBase + BigInt(event.vector * 4)) & 0xffff_ffffn, 4);
    if (entry === undefined) return false;
    const stack = StackCursor.current(state, mmu, this.segments);
    if (!stack.push(2, BigInt(state.rflags))) return false;
    if (!stack.push(2, BigInt(state.selector[CS]))) return false;
    if (!stack.push(2, state.rip)) return false;
    stack.commit();
    this.segments.loadReal(CS, Number(entry >> 16n));
    state.rip = entry & 0xffffn;
    state.systemFlags &= ~(FLAG_IF | FLAG_TF | FLAG_AC | FLAG_RF);
    return true;
  }

  /** Error code of a fault about the IDT entry itself. */
  private idtError(event: Event): number {
    return event.vector * 8 + 2 + this.ext(event);
  }

  private ext(event: Event): number {
    return event.kind === "software" ? 0 : 1;
  }

  private pushedErrorCode(event: Event): number | undefined {
    return event.kind === "exception" && withErrorCode.has(event.vector) ? Math.max(event.errorCode, 0) : undefined;
  }

  /**
   * RFLAGS as pushed: faults, and whatever comes between iterations of a string instruction, set RF so that the resumed instruction passes its breakpoint
   * (SDM vol. 3, "Instruction-Breakpoint Exception Condition").
   */
  private flagsImage(event: Event): number {
    const { state } = this.c;
    const fault = event.kind === "exception" && event.vector !== EXC_DB && event.vector !== EXC_DF && event.vector !== 18;
    return state.rflags | (fault || state.midString ? FLAG_RF : 0);
  }

  private enterProtected(event: Event): boolean {
    const { state, mmu, tables } = this.c;
    const offset = event.vector * 8;
    if (offset + 7 > state.idtrLimit) return fail(state, EXC_GP, this.idtError(event));
    const gate = mmu.read((state.idtrBase + BigInt(offset)) & 0xffff_ffffn, 8);
    if (gate === undefined) return false;
    const low = Number(gate & 0xffff_ffffn);
    const high = Number(gate >> 32n);
    const type = (high >> 8) & 0x1f;
    if (type !== 5 && type !== 6 && type !== 7 && type !== 14 && type !== 15) return fail(state, EXC_GP, this.idtError(event));
    if (event.kind === "software" && ((high >> 13) & 3) < state.cpl) return fail(state, EXC_GP, this.idtError(event));
    if ((high & 0x8000) === 0) return fail(state, EXC_NP, this.idtError(event));
    const selector = low >>> 16;
    if (type === 5) return this.throughTaskGate(event, selector);
    const wide = type >= 14;
    const size = wide ? 4 : 2;
    const target = wide ? ((low & 0xffff) | (high & 0xffff0000)) >>> 0 : low & 0xffff;
    const interruptGate = (type & 1) === 0;
    const ext = this.ext(event);
    const codeError = (selector & 0xfffc) + ext;
    if ((selector & 0xfffc) === 0) return fail(state, EXC_GP, ext);
    const code = tables.read(selector);
    if (code === undefined) return false;
    if (code === "outside" || !isCode(code.access) || dplOf(code.access) > state.cpl) return fail(state, EXC_GP, codeError);
    if ((code.access & AR_PRESENT) === 0) return fail(state, EXC_NP, codeError);
    const conforming = (code.access & AR_CONFORMING) !== 0;
    const inner = !conforming && dplOf(code.access) < state.cpl;
    const fromV86 = state.vm86;
    if (fromV86 && (conforming || dplOf(code.access) !== 0)) return fail(state, EXC_GP, codeError);
    const newCpl = inner ? dplOf(code.access) : state.cpl;
    const image = this.flagsImage(event);
    const errorCode = this.pushedErrorCode(event);
    const oldCpl = state.cpl;
    const oldSs = state.selector[SS];
    const oldEsp = state.gpr(4);
    let stack: StackCursor;
    let stackDescriptor: Descriptor | undefined;
    let newSs = 0;
    if (inner) {
      const found = this.innerStack(newCpl, ext);
      if (found === undefined) return false;
      stackDescriptor = found.descriptor;
      newSs = found.selector;
      // Pushes run with the new level's rights; CPL is put back if one of them faults.
      state.cpl = newCpl;
      mmu.tlb.selectIndex();
      const bytes = size * ((fromV86 ? 9 : 5) + (errorCode === undefined ? 0 : 1));
      const width = (stackDescriptor.access & AR_DB) !== 0 ? 32 : 16;
      if (!this.roomOnStack(stackDescriptor, found.pointer, bytes, width)) {
        state.cpl = oldCpl;
        mmu.tlb.selectIndex();
        return fail(state, EXC_SS, (newSs & 0xfffc) + ext);
      }
      stack = new StackCursor(state, mmu, this.segments, stackDescriptor.base, BigInt(found.pointer), width, false, true);
    } else stack = StackCursor.current(state, mmu, this.segments, ext);
    const pushAll = (): boolean => {
      if (fromV86) for (const segment of [GS, FS, DS, ES]) if (!stack.push(size, BigInt(state.selector[segment]))) return false;
      if (inner && (!stack.push(size, BigInt(oldSs)) || !stack.push(size, oldEsp))) return false;
      if (!stack.push(size, BigInt(image)) || !stack.push(size, BigInt(state.selector[CS])) || !stack.push(size, state.rip)) return false;
      return errorCode === undefined || stack.push(size, BigInt(errorCode));
    };
    const room = BigInt(target) <= BigInt(code.limit);
    const pushed = room && pushAll();
    if (!pushed) {
      state.cpl = oldCpl;
      mmu.tlb.selectIndex();
      return room ? false : fail(state, EXC_GP, ext);
    }
    if (!tables.markAccessed(code)) return false;
    if (fromV86) {
      state.systemFlags &= ~FLAG_VM;
      for (const segment of [GS, FS, DS, ES]) state.setSegment(segment, 0, 0n, 0, AR_UNUSABLE);
    }
    if (stackDescriptor !== undefined) {
      if (!tables.markAccessed(stackDescriptor)) return false;
      this.segments.set(SS, newSs, stackDescriptor);
    }
    stack.commit();
    this.segments.setCode(selector, code, newCpl);
    mmu.tlb.selectIndex();
    state.rip = BigInt(target);
    state.systemFlags &= ~(FLAG_TF | FLAG_NT | FLAG_RF | FLAG_VM | (interruptGate ? FLAG_IF : 0));
    return true;
  }

  private throughTaskGate(event: Event, selector: number): boolean {
    const { state, tables } = this.c;
    const ext = this.ext(event);
    const errorCode = (selector & 0xfffc) + ext;
    if ((selector & 4) !== 0) return fail(state, EXC_GP, errorCode);
    const tss = tables.read(selector);
    if (tss === undefined) return false;
    if (tss === "outside" || !isSystem(tss.access) || (typeOf(tss.access) !== 1 && typeOf(tss.access) !== 9))
      return fail(state, EXC_GP, errorCode);
    if ((tss.access & AR_PRESENT) === 0) return fail(state, EXC_NP, errorCode);
    if (!this.tasks.switchTo(tss, "nested", state.rip, ext)) return false;
    const code = this.pushedErrorCode(event);
    if (code === undefined) return true;
    const stack = StackCursor.current(state, this.c.mmu, this.segments, ext);
    const wide = (typeOf(tss.access) & 8) !== 0;
    if (!stack.push(wide ? 4 : 2, BigInt(code))) return false;
    stack.commit();
    return true;
  }

  /** SS:ESP of privilege level `level` from the TSS, checked (SDM vol. 3, "Exception- or Interrupt-Handler Procedures"). */
  innerStack(level: number, ext: number): { selector: number; pointer: number; descriptor: Descriptor } | undefined {
    const { state, mmu, tables } = this.c;
    const wide = (typeOf(state.access[TR]) & 8) !== 0;
    const offset = wide ? 4 + level * 8 : 2 + level * 4;
    const trError = (state.selector[TR] & 0xfffc) + ext;
    const failed = (vector: number, code: number): undefined => void state.raise(vector, code);
    if ((state.access[TR] & AR_UNUSABLE) !== 0 || offset + (wide ? 5 : 3) > state.limit[TR]) return failed(EXC_TS, trError);
    const pointer = mmu.read((state.trBase + BigInt(offset)) & 0xffff_ffffn, wide ? 4 : 2);
    if (pointer === undefined) return undefined;
    const ss = mmu.read((state.trBase + BigInt(offset + (wide ? 4 : 2))) & 0xffff_ffffn, 2);
    if (ss === undefined) return undefined;
    const selector = Number(ss);
    const ssError = (selector & 0xfffc) + ext;
    if ((selector & 0xfffc) === 0) return failed(EXC_TS, ext);
    const descriptor = tables.read(selector);
    if (descriptor === undefined) return undefined;
    if (descriptor === "outside") return failed(EXC_TS, ssError);
    const { access } = descriptor;
    const writable = !isSystem(access) && (access & (AR_CODE | AR_WRITABLE)) === AR_WRITABLE;
    if ((selector & 3) !== level || dplOf(access) !== level || !writable) return failed(EXC_TS, ssError);
    if ((access & AR_PRESENT) === 0) return failed(EXC_SS, ssError);
    return { selector, pointer: Number(pointer), descriptor };
  }

  /** Whether `bytes` can be pushed below `pointer` within the stack segment's limit. */
  roomOnStack(descriptor: Descriptor, pointer: number, bytes: number, width: 16 | 32): boolean {
    const top = width === 32 ? 0x1_0000_0000 : 0x10000;
    const from = (pointer - bytes + top) % top;
    const last = (pointer - 1 + top) % top;
    const expandDown = (descriptor.access & AR_CONFORMING) !== 0;
    if (expandDown) return from > descriptor.limit && from <= last;
    return from <= last && last <= descriptor.limit;
  }

  private enterLong(event: Event): boolean {
    const { state, mmu, tables } = this.c;
    const offset = event.vector * 16;
    if (offset + 15 > state.idtrLimit) return fail(state, EXC_GP, this.idtError(event));
    const first = mmu.read(state.idtrBase + BigInt(offset), 8);
    if (first === undefined) return false;
    const second = mmu.read(state.idtrBase + BigInt(offset + 8), 8);
    if (second === undefined) return false;
    const low = Number(first & 0xffff_ffffn);
    const high = Number(first >> 32n);
    const type = (high >> 8) & 0x1f;
    if (type !== 14 && type !== 15) return fail(state, EXC_GP, this.idtError(event));
    if (event.kind === "software" && ((high >> 13) & 3) < state.cpl) return fail(state, EXC_GP, this.idtError(event));
    if ((high & 0x8000) === 0) return fail(state, EXC_NP, this.idtError(event));
    const selector = low >>> 16;
    const ist = high & 7;
    const target = (BigInt((low & 0xffff) | (high & 0xffff0000)) & 0xffff_ffffn) | ((second & 0xffff_ffffn) << 32n);
    const ext = this.ext(event);
    const codeError = (selector & 0xfffc) + ext;
    if ((selector & 0xfffc) === 0) return fail(state, EXC_GP, ext);
    const code = tables.read(selector);
    if (code === undefined) return false;
    if (code === "outside" || !isCode(code.access) || dplOf(code.access) > state.cpl) return fail(state, EXC_GP, codeError);
    if ((code.access & (AR_L | AR_DB)) !== AR_L) return fail(state, EXC_GP, codeError);
    if ((code.access & AR_PRESENT) === 0) return fail(state, EXC_NP, codeError);
    const conforming = (code.access & AR_CONFORMING) !== 0;
    const newCpl = conforming ? state.cpl : dplOf(code.access);
    const inner = newCpl < state.cpl;
    if (!canonical(target, state.linearBits)) return fail(state, EXC_GP, ext);
    const oldCpl = state.cpl;
    let rsp = state.gpr(4);
    if (inner || ist !== 0) {
      const at = ist !== 0 ? 28 + ist * 8 : 4 + newCpl * 8;
      const found = this.longStack(at, ext);
      if (found === undefined) return false;
      rsp = found;
    }
    rsp &= ~0xfn;
    state.cpl = newCpl;
    mmu.tlb.selectIndex();
    const stack = new StackCursor(state, mmu, this.segments, 0n, BigInt.asUintN(64, rsp), 64, false, true, ext);
    const errorCode = this.pushedErrorCode(event);
    const pushed =
      stack.push(8, BigInt(state.selector[SS])) &&
      stack.push(8, state.gpr(4)) &&
      stack.push(8, BigInt(this.flagsImage(event) & FRAME_FLAGS_64)) &&
      stack.push(8, BigInt(state.selector[CS])) &&
      stack.push(8, state.rip) &&
      (errorCode === undefined || stack.push(8, BigInt(errorCode))) &&
      tables.markAccessed(code);
    if (!pushed) {
      state.cpl = oldCpl;
      mmu.tlb.selectIndex();
      return false;
    }
    state.setGpr(4, stack.pointer);
    if (inner) state.setSegment(SS, newCpl, 0n, 0, 0x93 | (newCpl << 5) | AR_DB | AR_UNUSABLE);
    this.segments.setCode(selector, code, newCpl);
    mmu.tlb.selectIndex();
    state.rip = target;
    state.systemFlags &= ~(FLAG_TF | FLAG_NT | FLAG_RF | FLAG_VM | (type === 14 ? FLAG_IF : 0));
    return true;
  }

  /** A stack pointer of the 64-bit TSS at byte `offset`. */
  longStack(offset: number, ext: number): bigint | undefined {
    const { state, mmu } = this.c;
    if ((state.access[TR] & AR_UNUSABLE) !== 0 || offset + 7 > state.limit[TR]) {
      state.raise(EXC_TS, (state.selector[TR] & 0xfffc) + ext);
      return undefined;
    }
    const rsp = mmu.read(state.trBase + BigInt(offset), 8);
    if (rsp !== undefined && !canonical(rsp, state.linearBits)) {
      state.raise(EXC_SS, ext);
      return undefined;
    }
    return rsp;
  }
}

export const nmiEvent: Event = { vector: EXC_NMI, kind: "nmi", errorCode: -1, address: 0n, dr6: 0 };
const externalEvents = Array.from({ length: 256 }, (_, vector): Event => ({
  vector,
  kind: "external",
  errorCode: -1,
  address: 0n,
  dr6: 0,
}));
export const externalEvent = (vector: number): Event => externalEvents[vector];
export const softwareEvent = (vector: number): Event => ({
  vector,
  kind: "software",
  errorCode: -1,
  address: 0n,
  dr6: 0,
  breakpoint: vector === EXC_BP || vector === EXC_OF,
});
export const trapEvent = (dr6: number): Event => ({ vector: EXC_DB, kind: "trap", errorCode: -1, address: 0n, dr6 });
