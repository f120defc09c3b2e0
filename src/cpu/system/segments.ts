import { SLOT_SEG_BASE } from "../../tcg/layout";
import { EXC_GP, EXC_NP, EXC_SS } from "../exceptions";
import {
  AR_CODE,
  AR_CONFORMING,
  AR_DB,
  AR_L,
  AR_PRESENT,
  AR_UNUSABLE,
  AR_WRITABLE,
  CS,
  DS,
  ES,
  FS,
  GS,
  LDTR,
  SS,
  TR,
} from "../segmentRegisters";
import { fail, type SystemContext } from "./context";
import { canonical, type Descriptor, dplOf, isSystem, REAL_ACCESS, typeOf, V86_ACCESS } from "./descriptors";

/** Segment register loads (SDM vol. 2, "MOV"; vol. 3, "Segment Loading Instructions in IA-32e Mode") and the checks on selectors. */
export class Segments {
  constructor(private readonly c: SystemContext) {}

  /** MOV, POP, LDS and so on to segment register `segment` (not CS). */
  load(segment: number, selector: number): boolean {
    const { state, tables } = this.c;
    if (!state.protectedMode || state.vm86) {
      this.loadReal(segment, selector);
      return true;
    }
    const errorCode = selector & 0xfffc;
    if (errorCode === 0) {
      if (segment === SS && !(state.code64 && state.cpl < 3 && (selector & 3) === state.cpl)) return fail(state, EXC_GP, 0);
      this.loadNull(segment, selector);
      return true;
    }
    const descriptor = tables.read(selector);
    if (descriptor === undefined) return false;
    if (descriptor === "outside" || isSystem(descriptor.access)) return fail(state, EXC_GP, errorCode);
    const { access } = descriptor;
    const rpl = selector & 3;
    if (segment === SS) {
      const writableData = (access & (AR_CODE | AR_WRITABLE)) === AR_WRITABLE;
      if (rpl !== state.cpl || !writableData || dplOf(access) !== state.cpl) return fail(state, EXC_GP, errorCode);
      if ((access & AR_PRESENT) === 0) return fail(state, EXC_SS, errorCode);
    } else {
      const code = (access & AR_CODE) !== 0;
      if (code && (access & AR_WRITABLE) === 0) return fail(state, EXC_GP, errorCode);
      const conforming = code && (access & AR_CONFORMING) !== 0;
      if (!conforming && (rpl > dplOf(access) || state.cpl > dplOf(access))) return fail(state, EXC_GP, errorCode);
      if ((access & AR_PRESENT) === 0) return fail(state, EXC_NP, errorCode);
    }
    if (!tables.markAccessed(descriptor)) return false;
    this.set(segment, selector, descriptor);
    return true;
  }

  /** Puts a checked descriptor into a segment register. */
  set(segment: number, selector: number, descriptor: Descriptor): void {
    this.c.state.setSegment(segment, selector, descriptor.base, descriptor.limit, descriptor.access | 1);
  }

  /** A null selector: in 64-bit mode the base is kept at zero except FS and GS, whose base is cleared as well. */
  loadNull(segment: number, selector: number): void {
    const { state } = this.c;
    const access = segment === SS && state.code64 ? 0x93 | (state.cpl << 5) | AR_DB | AR_UNUSABLE : AR_UNUSABLE;
    state.setSegment(segment, selector, 0n, 0, access);
  }

  /** Real and virtual-8086 mode: base = selector * 16. In real mode limit and rights stay as they were, which "unreal" code relies on. */
  loadReal(segment: number, selector: number): void {
    const { state } = this.c;
    if (state.vm86) state.setSegment(segment, selector, BigInt(selector << 4), 0xffff, V86_ACCESS);
    else if (segment === CS) state.setSegment(CS, selector, BigInt(selector << 4), state.limit[CS], REAL_ACCESS);
    else {
      const usable = (state.access[segment] & AR_UNUSABLE) === 0;
      const access = usable ? (state.access[segment] & ~(AR_CODE | AR_CONFORMING)) | REAL_ACCESS : REAL_ACCESS;
      state.setSegment(segment, selector, BigInt(selector << 4), usable ? state.limit[segment] : 0xffff, access);
    }
  }

  /** Enters CS at privilege `cpl` with a checked code descriptor. */
  setCode(selector: number, descriptor: Descriptor, cpl: number): void {
    this.set(CS, (selector & ~3) | cpl, descriptor);
    this.setCpl(cpl);
  }

  setCpl(cpl: number): void {
    const { state } = this.c;
    state.cpl = cpl;
  }

  /** On a return to an outer level: data segments that the new level may not use become null (SDM vol. 2, "RET"). */
  dropInaccessible(): void {
    const { state } = this.c;
    for (const segment of [ES, DS, FS, GS]) {
      const access = state.access[segment];
      const conformingCode = (access & (AR_CODE | AR_CONFORMING)) === (AR_CODE | AR_CONFORMING);
      if ((access & AR_UNUSABLE) === 0 && (conformingCode || dplOf(access) >= state.cpl)) continue;
      state.selector[segment] = 0;
      // The base of FS and GS survives in 64-bit mode, where it is an MSR.
      const keep = state.longMode && (segment === FS || segment === GS);
      const base = state.slots[SLOT_SEG_BASE / 8 + segment];
      state.setSegment(segment, 0, keep ? base : 0n, 0, AR_UNUSABLE);
    }
  }

  /** LLDT (SDM vol. 2). */
  lldt(selector: number): boolean {
    const { state } = this.c;
    if ((selector & 0xfffc) === 0) {
      state.setSegment(LDTR, selector, 0n, 0, AR_UNUSABLE);
      return true;
    }
    return this.loadSystem(LDTR, selector, (access) => typeOf(access) === 2);
  }

  /** LTR (SDM vol. 2): an available TSS becomes busy. */
  ltr(selector: number): boolean {
    const { state } = this.c;
    if ((selector & 0xfffc) === 0) return fail(state, EXC_GP, 0);
    const available = (access: number): boolean => typeOf(access) === 9 || (typeOf(access) === 1 && !state.longMode);
    return this.loadSystem(TR, selector, available);
  }

  private loadSystem(register: number, selector: number, typeFits: (access: number) => boolean): boolean {
    const { state, tables } = this.c;
    const errorCode = selector & 0xfffc;
    if ((selector & 4) !== 0) return fail(state, EXC_GP, errorCode);
    const descriptor = tables.read(selector);
    if (descriptor === undefined) return false;
    if (descriptor === "outside" || !isSystem(descriptor.access) || !typeFits(descriptor.access)) return fail(state, EXC_GP, errorCode);
    if ((descriptor.access & AR_PRESENT) === 0) return fail(state, EXC_NP, errorCode);
    let base = descriptor.base;
    if (state.longMode) {
      const upper = tables.readUpperBase(descriptor);
      if (upper === undefined) return false;
      if (upper === "outside") return fail(state, EXC_GP, errorCode);
      base |= upper;
      if (!canonical(base, this.c.model.linearBits)) return fail(state, EXC_GP, errorCode);
    }
    let access = descriptor.access;
    if (register === TR) {
      if (!tables.markBusy(descriptor.address, access, true)) return false;
      access |= 2;
    }
    state.setSegment(register, selector, base, descriptor.limit, access);
    return true;
  }

  /** The descriptor as LAR, LSL, VERR and VERW look at it: undefined with nothing recorded means "not accessible" (ZF = 0); "fault": recorded. */
  probe(selector: number): Descriptor | undefined | "fault" {
    const { tables } = this.c;
    if ((selector & 0xfffc) === 0) return undefined;
    const descriptor = tables.read(selector);
    if (descriptor === undefined) return "fault";
    return descriptor === "outside" ? undefined : descriptor;
  }

  /** Whether CPL and RPL may look at the segment (conforming code: always). */
  visible(descriptor: Descriptor): boolean {
    const { access } = descriptor;
    if (!isSystem(access) && (access & (AR_CODE | AR_CONFORMING)) === (AR_CODE | AR_CONFORMING)) return true;
    return dplOf(access) >= this.c.state.cpl && dplOf(access) >= (descriptor.selector & 3);
  }

  /** Slow path of the `segment` op: exact limit and type check. The offset in the segment, or -1 with the fault recorded. */
  checkOffset(segment: number, offset: number, size: number, write: boolean): boolean {
    const { state } = this.c;
    const access = state.access[segment];
    const vector = segment === SS ? EXC_SS : EXC_GP;
    if ((access & AR_UNUSABLE) !== 0) return fail(state, EXC_GP, 0);
    const code = (access & AR_CODE) !== 0;
    if (write ? code || (access & AR_WRITABLE) === 0 : code && (access & AR_WRITABLE) === 0) return fail(state, EXC_GP, 0);
    const last = offset + size - 1;
    const limit = state.limit[segment];
    if (!code && (access & AR_CONFORMING) !== 0) {
      const top = (access & AR_DB) !== 0 ? 0xffffffff : 0xffff;
      return offset > limit && last <= top ? true : fail(state, vector, 0);
    }
    return last <= limit ? true : fail(state, vector, 0);
  }

  /** Whether a code descriptor fits a transfer: 64-bit code must not have D set as well. */
  validCodeSize(access: number): boolean {
    return !(this.c.state.longMode && (access & AR_L) !== 0 && (access & AR_DB) !== 0);
  }
}
