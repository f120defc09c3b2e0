import { EXC_GP, EXC_NP, EXC_SS, EXC_TS } from "../exceptions";
import { FLAG_IF, FLAG_IOPL, FLAG_NT, FLAG_RF, FLAG_VIF, FLAG_VIP, FLAG_VM } from "../registerBits";
import { AR_CONFORMING, AR_DB, AR_L, AR_PRESENT, AR_UNUSABLE, CS, DS, ES, FS, GS, SS } from "../segmentRegisters";
import { fail, type SystemContext } from "./context";
import type { Delivery } from "./delivery";
import { canonical, type Descriptor, dplOf, isCode, isSystem, typeOf, V86_ACCESS } from "./descriptors";
import type { FlatTransfer } from "./flatTransfer";
import type { Segments } from "./segments";
import { StackCursor } from "./stack";
import type { TaskSwitcher } from "./taskSwitch";

type Size = 2 | 4 | 8;

/** Types of system descriptors that far transfers go through. */
const TYPE_TASK_GATE = 5;
const isTss = (type: number): boolean => type === 1 || type === 3 || type === 9 || type === 11;
const isCallGate = (type: number): boolean => type === 4 || type === 12;

/** Far JMP, CALL, RET and IRET (SDM vol. 2 for each; vol. 3, "Privilege Levels", "Task Management"). SLOT_RIP holds the next instruction's RIP on entry. */
export class FarTransfer {
  constructor(
    private readonly c: SystemContext,
    private readonly segments: Segments,
    private readonly delivery: Delivery,
    private readonly tasks: TaskSwitcher,
    private readonly flat: FlatTransfer,
  ) {}

  /** JMP and CALL to selector:offset with operand size `size` in bytes. */
  transfer(call: boolean, selector: number, offset: bigint, size: Size): boolean {
    const { state, tables } = this.c;
    if (!state.protectedMode || state.vm86) return this.transferReal(call, selector, offset, size);
    if ((selector & 0xfffc) === 0) return fail(state, EXC_GP, 0);
    const error = selector & 0xfffc;
    const target = tables.read(selector);
    if (target === undefined) return false;
    if (target === "outside") return fail(state, EXC_GP, error);
    if (!isSystem(target.access)) return this.toSegment(call, target, selector, offset, size);
    const type = typeOf(target.access);
    if (isCallGate(type) && !(state.longMode && type === 4)) return this.throughGate(call, target);
    if (state.longMode) return fail(state, EXC_GP, error);
    if (type === TYPE_TASK_GATE) return this.throughTaskGate(call, target);
    if (!isTss(type)) return fail(state, EXC_GP, error);
    if (dplOf(target.access) < state.cpl || dplOf(target.access) < (selector & 3)) return fail(state, EXC_GP, error);
    if ((target.access & AR_PRESENT) === 0) return fail(state, EXC_NP, error);
    return this.tasks.switchTo(target, call ? "nested" : "jump", state.rip);
  }

  private transferReal(call: boolean, selector: number, offset: bigint, size: Size): boolean {
    const { state, mmu } = this.c;
    const target = size === 2 ? offset & 0xffffn : offset & 0xffff_ffffn;
    if (target > BigInt(state.limit[CS])) return fail(state, EXC_GP, 0);
    if (call) {
      const stack = StackCursor.current(state, mmu, this.segments);
      if (!stack.push(size, BigInt(state.selector[CS])) || !stack.push(size, state.rip)) return false;
      stack.commit();
    }
    this.segments.loadReal(CS, selector);
    state.rip = target;
    return true;
  }

  /** Checks a code descriptor for a direct far transfer (no gate) at the current privilege. */
  private toSegment(call: boolean, code: Descriptor, selector: number, offset: bigint, size: Size): boolean {
    const { state, mmu, tables } = this.c;
    const error = selector & 0xfffc;
    if (!isCode(code.access) || !this.segments.validCodeSize(code.access)) return fail(state, EXC_GP, error);
    const conforming = (code.access & AR_CONFORMING) !== 0;
    const dpl = dplOf(code.access);
    if (conforming ? dpl > state.cpl : dpl !== state.cpl || (selector & 3) > state.cpl) return fail(state, EXC_GP, error);
    if ((code.access & AR_PRESENT) === 0) return fail(state, EXC_NP, error);
    const target = size === 2 ? offset & 0xffffn : size === 4 ? offset & 0xffff_ffffn : offset;
    const to64 = state.longMode && (code.access & AR_L) !== 0;
    if (to64 ? !canonical(target, state.linearBits) : (target & 0xffff_ffffn) > BigInt(code.limit)) return fail(state, EXC_GP, 0);
    if (call) {
      const stack = StackCursor.current(state, mmu, this.segments);
      if (!stack.push(size, BigInt(state.selector[CS])) || !stack.push(size, state.rip)) return false;
      if (!tables.markAccessed(code)) return false;
      stack.commit();
    } else if (!tables.markAccessed(code)) return false;
    this.segments.setCode(selector, code, state.cpl);
    state.rip = to64 ? target : target & 0xffff_ffffn;
    return true;
  }

  private throughTaskGate(call: boolean, gate: Descriptor): boolean {
    const { state, tables } = this.c;
    const error = gate.selector & 0xfffc;
    if (dplOf(gate.access) < state.cpl || dplOf(gate.access) < (gate.selector & 3)) return fail(state, EXC_GP, error);
    if ((gate.access & AR_PRESENT) === 0) return fail(state, EXC_NP, error);
    const selector = gate.low >>> 16;
    const tssError = selector & 0xfffc;
    if ((selector & 4) !== 0) return fail(state, EXC_GP, tssError);
    const tss = tables.read(selector);
    if (tss === undefined) return false;
    if (tss === "outside" || !isSystem(tss.access) || !isTss(typeOf(tss.access))) return fail(state, EXC_GP, tssError);
    if ((tss.access & AR_PRESENT) === 0) return fail(state, EXC_NP, tssError);
    return this.tasks.switchTo(tss, call ? "nested" : "jump", state.rip);
  }

  private throughGate(call: boolean, gate: Descriptor): boolean {
    const { state, mmu, tables } = this.c;
    const error = gate.selector & 0xfffc;
    if (dplOf(gate.access) < state.cpl || dplOf(gate.access) < (gate.selector & 3)) return fail(state, EXC_GP, error);
    if ((gate.access & AR_PRESENT) === 0) return fail(state, EXC_NP, error);
    const wide = typeOf(gate.access) === 12;
    const size: Size = state.longMode ? 8 : wide ? 4 : 2;
    let target = BigInt((gate.low & 0xffff) | (wide ? gate.high & 0xffff0000 : 0)) & 0xffff_ffffn;
    if (state.longMode) {
      const upper = tables.readUpperBase(gate);
      if (upper === undefined) return false;
      if (upper === "outside") return fail(state, EXC_GP, error);
      target |= upper;
    }
    const selector = gate.low >>> 16;
    const codeError = selector & 0xfffc;
    if (codeError === 0) return fail(state, EXC_GP, 0);
    const code = tables.read(selector);
    if (code === undefined) return false;
    if (code === "outside" || !isCode(code.access) || dplOf(code.access) > state.cpl) return fail(state, EXC_GP, codeError);
    if (state.longMode && (code.access & (AR_L | AR_DB)) !== AR_L) return fail(state, EXC_GP, codeError);
    const conforming = (code.access & AR_CONFORMING) !== 0;
    const dpl = dplOf(code.access);
    if (!call && !conforming && dpl !== state.cpl) return fail(state, EXC_GP, codeError);
    if ((code.access & AR_PRESENT) === 0) return fail(state, EXC_NP, codeError);
    if (state.longMode ? !canonical(target, state.linearBits) : target > BigInt(code.limit)) return fail(state, EXC_GP, 0);
    if (call && !conforming && dpl < state.cpl) return this.innerCall(code, selector, target, size, gate.high & 0x1f);
    if (call) {
      const stack = StackCursor.current(state, mmu, this.segments);
      if (!stack.push(size, BigInt(state.selector[CS])) || !stack.push(size, state.rip)) return false;
      stack.commit();
    }
    if (!tables.markAccessed(code)) return false;
    this.segments.setCode(selector, code, state.cpl);
    state.rip = target;
    return true;
  }

  /** A call through a gate to a more privileged level: stack switch, parameters copied (SDM vol. 3, "Stack Switching"). */
  private innerCall(code: Descriptor, selector: number, target: bigint, size: Size, parameters: number): boolean {
    const { state, mmu, tables } = this.c;
    const level = dplOf(code.access);
    const oldCpl = state.cpl;
    const oldSs = state.selector[SS];
    const oldRsp = state.gpr(4);
    const oldStack = StackCursor.current(state, mmu, this.segments);
    let stack: StackCursor;
    let descriptor: Descriptor | undefined;
    let newSs = level;
    const copied: bigint[] = [];
    if (state.longMode) {
      const rsp = this.delivery.longStack(4 + level * 8, 0);
      if (rsp === undefined) return false;
      stack = new StackCursor(state, mmu, this.segments, 0n, rsp, 64, false, true);
    } else {
      const found = this.delivery.innerStack(level, 0);
      if (found === undefined) return false;
      descriptor = found.descriptor;
      newSs = found.selector;
      const width = (descriptor.access & AR_DB) !== 0 ? 32 : 16;
      if (!this.delivery.roomOnStack(descriptor, found.pointer, size * (4 + parameters), width)) return fail(state, EXC_SS, newSs & 0xfffc);
      for (let i = parameters - 1; i >= 0; i--) {
        const value = oldStack.peek(i * size, size);
        if (value === undefined) return false;
        copied.push(value);
      }
      stack = new StackCursor(state, mmu, this.segments, descriptor.base, BigInt(found.pointer), width, false, true);
    }
    state.cpl = level;
    mmu.tlb.selectIndex();
    const pushed =
      stack.push(size, BigInt(oldSs)) &&
      stack.push(size, oldRsp) &&
      copied.every((value) => stack.push(size, value)) &&
      stack.push(size, BigInt(state.selector[CS])) &&
      stack.push(size, state.rip) &&
      tables.markAccessed(code) &&
      (descriptor === undefined || tables.markAccessed(descriptor));
    if (!pushed) {
      state.cpl = oldCpl;
      mmu.tlb.selectIndex();
      return false;
    }
    if (descriptor !== undefined) this.segments.set(SS, newSs, descriptor);
    else state.setSegment(SS, level, 0n, 0, 0x93 | (level << 5) | AR_DB | AR_UNUSABLE);
    stack.commit();
    this.segments.setCode(selector, code, level);
    mmu.tlb.selectIndex();
    state.rip = target;
    return true;
  }

  /** RET far, releasing `release` bytes of parameters. */
  farReturn(size: Size, release: number): boolean {
    const { state, mmu } = this.c;
    const stack = StackCursor.current(state, mmu, this.segments);
    const rip = stack.pop(size);
    if (rip === undefined) return false;
    const cs = stack.pop(size);
    if (cs === undefined) return false;
    const selector = Number(cs & 0xffffn);
    stack.pointer += BigInt(release);
    wrap(stack);
    if (!state.protectedMode || state.vm86) {
      if (rip > BigInt(state.limit[CS])) return fail(state, EXC_GP, 0);
      stack.commit();
      this.segments.loadReal(CS, selector);
      state.rip = rip;
      return true;
    }
    return this.returnTo(selector, rip, size, stack, release, undefined);
  }

  /** IRET in every mode (SDM vol. 2, "IRET/IRETD/IRETQ"). */
  iret(size: Size): boolean {
    const { state, mmu } = this.c;
    if (!state.protectedMode) return this.iretReal(size, false);
    if (size === 8 && this.flat.frame()) {
      this.loadFlags(this.flat.frameFlags, size, state.cpl);
      if (this.flat.leave()) this.segments.dropInaccessible();
      mmu.tlb.selectIndex();
      return true;
    }
    if (state.vm86) return (state.systemFlags & FLAG_IOPL) === FLAG_IOPL ? this.iretReal(size, true) : fail(state, EXC_GP, 0);
    if ((state.systemFlags & FLAG_NT) !== 0) {
      if (state.longMode) return fail(state, EXC_GP, 0);
      return this.iretTask();
    }
    const stack = StackCursor.current(state, mmu, this.segments);
    const rip = stack.pop(size);
    if (rip === undefined) return false;
    const cs = stack.pop(size);
    if (cs === undefined) return false;
    const flags = stack.pop(size);
    if (flags === undefined) return false;
    const image = Number(flags & 0xffff_ffffn);
    if ((image & FLAG_VM) !== 0 && size === 4 && state.cpl === 0 && !state.longMode) return this.iretToV86(stack, rip, cs, image);
    return this.returnTo(Number(cs & 0xffffn), rip, size, stack, 0, image);
  }

  private iretReal(size: Size, v86: boolean): boolean {
    const { state, mmu } = this.c;
    const stack = StackCursor.current(state, mmu, this.segments);
    const rip = stack.pop(size);
    if (rip === undefined) return false;
    const cs = stack.pop(size);
    if (cs === undefined) return false;
    const flags = stack.pop(size);
    if (flags === undefined) return false;
    if (rip > BigInt(state.limit[CS])) return fail(state, EXC_GP, 0);
    stack.commit();
    this.segments.loadReal(CS, Number(cs & 0xffffn));
    state.rip = rip;
    const keep = FLAG_VM | FLAG_VIF | FLAG_VIP | (v86 ? FLAG_IOPL : 0);
    const image = Number(flags & 0xffff_ffffn);
    if (size === 2)
      state.rflags = (state.rflags & (0xffff0000 | (v86 ? FLAG_IOPL : 0))) | (image & 0xffff & ~(v86 ? FLAG_IOPL : 0) & IRET_FLAGS);
    else state.rflags = (state.rflags & keep) | (image & IRET_FLAGS & ~keep);
    return true;
  }

  private iretTask(): boolean {
    const { state, mmu, tables } = this.c;
    const link = mmu.read(state.trBase, 2);
    if (link === undefined) return false;
    const selector = Number(link);
    const error = selector & 0xfffc;
    if ((selector & 4) !== 0 || error === 0) return fail(state, EXC_TS, error);
    const tss = tables.read(selector);
    if (tss === undefined) return false;
    const type = tss === "outside" ? 0 : typeOf(tss.access);
    if (tss === "outside" || !isSystem(tss.access) || (type !== 3 && type !== 11)) return fail(state, EXC_TS, error);
    if ((tss.access & AR_PRESENT) === 0) return fail(state, EXC_NP, error);
    return this.tasks.switchTo(tss, "return", state.rip);
  }

  private iretToV86(stack: StackCursor, rip: bigint, cs: bigint, image: number): boolean {
    const { state, mmu } = this.c;
    const rest: number[] = [];
    for (let i = 0; i < 6; i++) {
      const value = stack.pop(4);
      if (value === undefined) return false;
      rest.push(Number(value));
    }
    if (rip > 0xffffn) return fail(state, EXC_GP, 0);
    const [esp, ss, es, ds, fs, gs] = rest;
    state.rflags = image & (IRET_FLAGS | FLAG_VM | FLAG_VIF | FLAG_VIP | FLAG_IOPL);
    state.cpl = 3;
    state.setGpr32(4, esp);
    const load = (segment: number, selector: number): void =>
      state.setSegment(segment, selector & 0xffff, BigInt((selector & 0xffff) << 4), 0xffff, V86_ACCESS);
    load(CS, Number(cs & 0xffffn));
    load(SS, ss);
    load(ES, es);
    load(DS, ds);
    load(FS, fs);
    load(GS, gs);
    mmu.tlb.selectIndex();
    state.rip = rip & 0xffffn;
    return true;
  }

  /** The protected-mode end of RET and IRET: same or outer privilege. `image`: EFLAGS popped by IRET, undefined for RET. */
  private returnTo(selector: number, rip: bigint, size: Size, stack: StackCursor, release: number, image: number | undefined): boolean {
    const { state, mmu, tables } = this.c;
    const error = selector & 0xfffc;
    if (error === 0) return fail(state, EXC_GP, 0);
    const code = tables.read(selector);
    if (code === undefined) return false;
    const rpl = selector & 3;
    if (code === "outside" || !isCode(code.access) || !this.segments.validCodeSize(code.access) || rpl < state.cpl)
      return fail(state, EXC_GP, error);
    const conforming = (code.access & AR_CONFORMING) !== 0;
    if (conforming ? dplOf(code.access) > rpl : dplOf(code.access) !== rpl) return fail(state, EXC_GP, error);
    if ((code.access & AR_PRESENT) === 0) return fail(state, EXC_NP, error);
    const to64 = state.longMode && (code.access & AR_L) !== 0;
    if (to64 ? !canonical(rip, state.linearBits) : rip > BigInt(code.limit)) return fail(state, EXC_GP, 0);
    const outer = rpl > state.cpl;
    const from64 = state.code64;
    let ssDescriptor: Descriptor | undefined;
    let newSs = 0;
    let newRsp = 0n;
    const popsStack = outer || (image !== undefined && from64);
    if (popsStack) {
      const rsp = stack.pop(size);
      if (rsp === undefined) return false;
      const ss = stack.pop(size);
      if (ss === undefined) return false;
      newRsp = rsp;
      newSs = Number(ss & 0xffffn);
      const ssError = newSs & 0xfffc;
      if (ssError === 0) {
        if (!to64 || rpl === 3 || (newSs & 3) !== rpl) return fail(state, EXC_GP, 0);
      } else {
        const found = tables.read(newSs);
        if (found === undefined) return false;
        if (found === "outside") return fail(state, EXC_GP, ssError);
        const writable = !isSystem(found.access) && (found.access & 0xa) === 2;
        if ((newSs & 3) !== rpl || dplOf(found.access) !== rpl || !writable) return fail(state, EXC_GP, ssError);
        if ((found.access & AR_PRESENT) === 0) return fail(state, EXC_SS, ssError);
        ssDescriptor = found;
      }
    }
    if (!tables.markAccessed(code) || (ssDescriptor !== undefined && !tables.markAccessed(ssDescriptor))) return false;
    const oldCpl = state.cpl;
    if (image !== undefined) this.loadFlags(image, size, oldCpl);
    if (!popsStack) stack.commit();
    this.segments.setCode(selector, code, rpl);
    if (popsStack) {
      if (ssDescriptor !== undefined) this.segments.set(SS, newSs, ssDescriptor);
      else state.setSegment(SS, newSs, 0n, 0, 0x93 | (rpl << 5) | AR_DB | AR_UNUSABLE);
      this.setStackPointer(newRsp + BigInt(outer ? release : 0), size, to64, ssDescriptor);
    }
    if (outer) this.segments.dropInaccessible();
    mmu.tlb.selectIndex();
    state.rip = to64 ? rip : rip & 0xffff_ffffn;
    return true;
  }

  private setStackPointer(value: bigint, size: Size, to64: boolean, ss: Descriptor | undefined): void {
    const { state } = this.c;
    if (to64) state.setGpr(4, BigInt.asUintN(64, value));
    else if (ss !== undefined && (ss.access & AR_DB) === 0)
      state.setGpr(4, (state.gpr(4) & ~0xffffn & 0xffff_ffff_ffff_ffffn) | (value & 0xffffn));
    else state.setGpr(4, size === 2 ? value & 0xffffn : value & 0xffff_ffffn);
  }

  /** EFLAGS of IRET in protected mode: IOPL only at CPL 0, IF only at CPL <= IOPL. */
  private loadFlags(image: number, size: Size, cpl: number): void {
    const { state } = this.c;
    let mask = IRET_FLAGS;
    if (cpl > 0) mask &= ~FLAG_IOPL;
    if (cpl > ((state.systemFlags >> 12) & 3)) mask &= ~FLAG_IF;
    if (cpl === 0) mask |= FLAG_VIF | FLAG_VIP;
    if (size === 2) mask &= 0xffff;
    state.rflags = (state.rflags & ~mask & ~(size === 2 ? 0 : FLAG_RF)) | (image & mask);
  }
}

/** Flags that IRET and POPF may load at CPL 0: CF PF AF ZF SF TF IF DF OF IOPL NT RF AC ID. */
const IRET_FLAGS = 0x257fd5;

function wrap(stack: StackCursor): void {
  if (stack.width === 64) stack.pointer = BigInt.asUintN(64, stack.pointer);
  else stack.pointer &= stack.width === 32 ? 0xffff_ffffn : 0xffffn;
}
