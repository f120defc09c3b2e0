import { EXC_GP, EXC_NP, EXC_SS, EXC_TS } from "../exceptions";
import { CR0_PG, CR0_TS, CR4_PAE, FLAG_NT, FLAG_VM } from "../registerBits";
import { AR_CODE, AR_CONFORMING, AR_PRESENT, AR_UNUSABLE, AR_WRITABLE, CS, DS, ES, FS, GS, LDTR, SS, TR } from "../segmentRegisters";
import { fail, type SystemContext } from "./context";
import { type Descriptor, dplOf, isCode, isSystem, typeOf, V86_ACCESS } from "./descriptors";
import type { Segments } from "./segments";

/** How a task is switched to: JMP, CALL or interrupt (nested), IRET. */
export type TaskSwitchKind = "jump" | "nested" | "return";

/** Field offsets of the 32-bit and the 16-bit TSS (SDM vol. 3, "Task-State Segment (TSS)", "16-Bit Task-State Segment"). */
const layout32 = {
  size: 4,
  limit: 0x67,
  eip: 0x20,
  eflags: 0x24,
  registers: 0x28,
  segments: 0x48,
  count: 6,
  ldt: 0x60,
  cr3: 0x1c,
} as const;
const layout16 = { size: 2, limit: 0x2b, eip: 0x0e, eflags: 0x10, registers: 0x12, segments: 0x22, count: 4, ldt: 0x2a, cr3: -1 } as const;

/** Hardware task switching outside long mode (SDM vol. 3, "Task Management"). */
export class TaskSwitcher {
  /** Called when the new task's T flag asks for a debug trap. */
  onDebugTrap: () => void = () => undefined;

  constructor(
    private readonly c: SystemContext,
    private readonly segments: Segments,
    private readonly loadCr3: (value: number) => boolean,
  ) {}

  /**
   * Switches to the task of a checked, present TSS descriptor. `returnEip` is what the old task resumes at. false: fault recorded (in the old task before
   * the commit point, in the new one after it).
   */
  switchTo(tss: Descriptor, kind: TaskSwitchKind, returnEip: bigint, ext = 0): boolean {
    const { state, mmu, tables } = this.c;
    const newLayout = (typeOf(tss.access) & 8) !== 0 ? layout32 : layout16;
    const oldLayout = (typeOf(state.access[TR]) & 8) !== 0 ? layout32 : layout16;
    const tssError = (tss.selector & 0xfffc) + ext;
    if (tss.limit < newLayout.limit) return fail(state, EXC_TS, tssError);
    const busy = (tss.access & 2) !== 0;
    if (kind === "return" ? !busy : busy) return kind === "return" ? fail(state, EXC_TS, tssError) : fail(state, EXC_GP, tssError);

    // Read all of the new task before the old one is touched.
    const read = (offset: number, size: number): number | undefined => {
      const value = mmu.read((tss.base + BigInt(offset)) & 0xffff_ffffn, size as 2 | 4);
      return value === undefined ? undefined : Number(value);
    };
    const { size } = newLayout;
    const image: number[] = [];
    const wanted: [number, number][] = [
      [newLayout.eip, size],
      [newLayout.eflags, size],
    ];
    for (let i = 0; i < 8; i++) wanted.push([newLayout.registers + i * size, size]);
    for (let i = 0; i < newLayout.count; i++) wanted.push([newLayout.segments + i * size, 2]);
    wanted.push([newLayout.ldt, 2]);
    if (newLayout.cr3 >= 0) wanted.push([newLayout.cr3, 4], [0x64, 2]);
    for (const [offset, bytes] of wanted) {
      const value = read(offset, bytes);
      if (value === undefined) return false;
      image.push(value);
    }
    const oldBase = state.trBase;
    const saveSize = oldLayout.size * (10 + oldLayout.count);
    if (!mmu.probeWrite((oldBase + BigInt(oldLayout.eip)) & 0xffff_ffffn, saveSize)) return false;
    if (kind === "nested" && !mmu.probeWrite(tss.base, 2)) return false;

    // Save the old task.
    const oldSelector = state.selector[TR];
    const oldDescriptor = tables.read(oldSelector & ~4);
    if (oldDescriptor === undefined) return false;
    let flags = state.rflags;
    if (kind === "return") flags &= ~FLAG_NT;
    const put = (offset: number, value: number): void => {
      mmu.write(
        (oldBase + BigInt(offset)) & 0xffff_ffffn,
        oldLayout.size,
        BigInt(value >>> 0) & (oldLayout.size === 2 ? 0xffffn : 0xffff_ffffn),
      );
    };
    put(oldLayout.eip, Number(returnEip & 0xffff_ffffn));
    put(oldLayout.eflags, flags);
    for (let i = 0; i < 8; i++) put(oldLayout.registers + i * oldLayout.size, state.gpr32(i));
    for (let i = 0; i < oldLayout.count; i++) {
      mmu.write((oldBase + BigInt(oldLayout.segments + i * oldLayout.size)) & 0xffff_ffffn, 2, BigInt(state.selector[i]));
    }
    if (kind !== "nested" && oldDescriptor !== "outside") tables.markBusy(oldDescriptor.address, oldDescriptor.access, false);
    if (kind === "nested") mmu.write(tss.base, 2, BigInt(oldSelector));
    if (kind !== "return") tables.markBusy(tss.address, tss.access, true);

    // From here on faults belong to the new task.
    state.setSegment(TR, tss.selector, tss.base, tss.limit, tss.access | 2);
    state.cr0 |= CR0_TS;
    const [eip, eflags] = image;
    let newFlags = size === 4 ? eflags : eflags & 0xffff;
    if (kind === "nested") newFlags |= FLAG_NT;
    state.rflags = newFlags;
    state.rip = BigInt(eip >>> 0);
    for (let i = 0; i < 8; i++) state.setGpr32(i, size === 4 ? image[2 + i] : (image[2 + i] & 0xffff) | 0xffff0000);
    const selectors = image.slice(10, 10 + newLayout.count);
    while (selectors.length < 6) selectors.push(0);
    const ldt = image[10 + newLayout.count];
    const trap = size === 4 && (image[12 + newLayout.count] & 1) !== 0;
    if (newLayout.cr3 >= 0 && (state.cr0 & CR0_PG) !== 0) {
      const cr3 = image[11 + newLayout.count] >>> 0;
      if (!this.loadCr3((state.cr4 & CR4_PAE) !== 0 ? cr3 & ~0x1f : cr3)) return this.failInNewTask();
    }
    if (!this.loadNewSegments(selectors, ldt, ext)) return this.failInNewTask();
    if (trap) this.onDebugTrap();
    return true;
  }

  /** The switch is done; what failed since is the new task's fault, at its first instruction. */
  private failInNewTask(): false {
    const { pending } = this.c.state;
    if (pending !== undefined) pending.committed = true;
    return false;
  }

  private loadNewSegments(selectors: readonly number[], ldt: number, ext: number): boolean {
    const { state, mmu, tables } = this.c;
    for (let i = 0; i < 6; i++) state.setSegment(i, selectors[i], 0n, 0, AR_UNUSABLE);
    state.setSegment(LDTR, ldt, 0n, 0, AR_UNUSABLE);
    if ((ldt & 0xfffc) !== 0) {
      const error = (ldt & 0xfffc) + ext;
      if ((ldt & 4) !== 0) return fail(state, EXC_TS, error);
      const descriptor = tables.read(ldt);
      if (descriptor === undefined) return false;
      if (descriptor === "outside" || !isSystem(descriptor.access) || typeOf(descriptor.access) !== 2) return fail(state, EXC_TS, error);
      if ((descriptor.access & AR_PRESENT) === 0) return fail(state, EXC_TS, error);
      state.setSegment(LDTR, ldt, descriptor.base, descriptor.limit, descriptor.access);
    }
    if ((state.systemFlags & FLAG_VM) !== 0) {
      for (let i = 0; i < 6; i++) state.setSegment(i, selectors[i], BigInt(selectors[i] << 4), 0xffff, V86_ACCESS);
      state.cpl = 3;
      mmu.tlb.selectIndex();
      return true;
    }
    state.cpl = selectors[CS] & 3;
    mmu.tlb.selectIndex();
    return (
      this.loadStack(selectors[SS], ext) &&
      [ES, DS, FS, GS].every((s) => this.loadData(s, selectors[s], ext)) &&
      this.loadCode(selectors[CS], ext)
    );
  }

  private loadStack(selector: number, ext: number): boolean {
    const { state, tables } = this.c;
    const error = (selector & 0xfffc) + ext;
    if ((selector & 0xfffc) === 0) return fail(state, EXC_TS, error);
    const descriptor = tables.read(selector);
    if (descriptor === undefined) return false;
    if (descriptor === "outside") return fail(state, EXC_TS, error);
    const { access } = descriptor;
    const writable = !isSystem(access) && (access & (AR_CODE | AR_WRITABLE)) === AR_WRITABLE;
    if (!writable || dplOf(access) !== state.cpl || (selector & 3) !== state.cpl) return fail(state, EXC_TS, error);
    if ((access & AR_PRESENT) === 0) return fail(state, EXC_SS, error);
    if (!tables.markAccessed(descriptor)) return false;
    this.segments.set(SS, selector, descriptor);
    return true;
  }

  private loadData(segment: number, selector: number, ext: number): boolean {
    const { state, tables } = this.c;
    if ((selector & 0xfffc) === 0) return true;
    const error = (selector & 0xfffc) + ext;
    const descriptor = tables.read(selector);
    if (descriptor === undefined) return false;
    if (descriptor === "outside" || isSystem(descriptor.access)) return fail(state, EXC_TS, error);
    const { access } = descriptor;
    const code = (access & AR_CODE) !== 0;
    if (code && (access & AR_WRITABLE) === 0) return fail(state, EXC_TS, error);
    const conforming = code && (access & AR_CONFORMING) !== 0;
    if (!conforming && (dplOf(access) < (selector & 3) || dplOf(access) < state.cpl)) return fail(state, EXC_TS, error);
    if ((access & AR_PRESENT) === 0) return fail(state, EXC_NP, error);
    if (!tables.markAccessed(descriptor)) return false;
    this.segments.set(segment, selector, descriptor);
    return true;
  }

  private loadCode(selector: number, ext: number): boolean {
    const { state, tables } = this.c;
    const error = (selector & 0xfffc) + ext;
    if ((selector & 0xfffc) === 0) return fail(state, EXC_TS, error);
    const descriptor = tables.read(selector);
    if (descriptor === undefined) return false;
    if (descriptor === "outside" || !isCode(descriptor.access)) return fail(state, EXC_TS, error);
    const conforming = (descriptor.access & AR_CONFORMING) !== 0;
    const fits = conforming ? dplOf(descriptor.access) <= (selector & 3) : dplOf(descriptor.access) === (selector & 3);
    if (!fits) return fail(state, EXC_TS, error);
    if ((descriptor.access & AR_PRESENT) === 0) return fail(state, EXC_NP, error);
    if (!tables.markAccessed(descriptor)) return false;
    this.segments.setCode(selector, descriptor, state.cpl);
    return state.rip <= BigInt(descriptor.limit) ? true : fail(state, EXC_GP, 0);
  }
}
