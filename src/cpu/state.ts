import type { MaskCause } from "./maskCause";
import type { State } from "../common/state";
import { FpuState } from "./fpu/state";
import { type Flags, packFlags, unpackFlags } from "../tcg/flags";
import {
  CPU_STATE_BYTES,
  SLOT_CC_AUX,
  SLOT_CC_RES,
  SLOT_GDTR_BASE,
  SLOT_IDTR_BASE,
  SLOT_KERNEL_GS_BASE,
  SLOT_LSTAR,
  SLOT_MXCSR,
  SLOT_RFLAGS,
  SLOT_RIP,
  SLOT_SEG_BASE,
  SLOT_SEG_LIMIT_R,
  SLOT_SEG_LIMIT_W,
  SLOT_SFMASK,
  SLOT_STAR,
  SLOT_TR_BASE,
  SLOT_TSC_AUX,
  SLOT_TSC_OFFSET,
  SLOT_XMM,
  VECTOR_UPPER,
  WORD_ACCESS,
  WORD_BUDGET,
  WORD_CPL,
  WORD_CPU_INDEX,
  WORD_CR4,
  WORD_GDTR_LIMIT,
  WORD_INTR,
  WORD_IDTR_LIMIT,
  WORD_LIMITS,
  WORD_MODE,
  WORD_NMI_BLOCKED,
  WORD_SELECTORS,
  WORD_SHADOW,
  X87_EVERY_OPCODE,
} from "../tcg/layout";
import type { EngineMemory } from "../tcg/memory";
import type { PendingException } from "./exceptions";
import {
  CR0_PE,
  CR4_LA57,
  CR4_OSXSAVE,
  EFER_LMA,
  FLAG_AF,
  FLAG_CF,
  FLAG_IF,
  FLAG_OF,
  FLAG_PF,
  FLAG_SF,
  FLAG_VM,
  FLAG_ZF,
  FOPCODE_COMPATIBILITY,
  MXCSR_RESET,
  STATUS_FLAGS,
  XCR0_AVX,
} from "./registerBits";
import { restoreState, saveState } from "./savedState";
import { AR_CODE, AR_CONFORMING, AR_L, AR_PRESENT, AR_S, AR_UNUSABLE, AR_WRITABLE, CS, LDTR, TR } from "./segmentRegisters";

/** The widest physical addresses that a CPU model has: 40 bits. */
export const MOST_PHYSICAL_BITS = 40;

export type Activity = "running" | "halted" | "mwait" | "wait-for-SIPI" | "shutdown";

const XMM_FIRST = SLOT_XMM / 8;
const YMM_UPPER_FIRST = (SLOT_XMM + VECTOR_UPPER) / 8;
const XMM_SLOTS = 32;
const OWN_SLOTS = CPU_STATE_BYTES / 8;

/**
 * The architectural state of one vCPU. General registers, flags, RIP and segment bases live in the engine's memory (layout.ts), where generated code reaches
 * them; the system state lives in this object. Mutable and flat: this is a hot path.
 */
export class CpuState {
  /** The slots of this CPU: index = slot offset / 8. */
  readonly slots: BigUint64Array;
  /** The same memory as 32-bit words: index = offset / 4. Low half of slot s is `words[s / 4]`. */
  readonly words: Int32Array;
  readonly base: number;
  /** XMM registers, two slots each. */
  readonly xmm: BigUint64Array;
  /** The upper halves of YMM registers, likewise. */
  readonly ymmUpper: BigUint64Array;

  /** Indexed by segment number, ES to TR. */
  readonly selector: Uint16Array;
  /** Limit in bytes, inclusive, after granularity. */
  readonly limit: Uint32Array;
  readonly access: Uint32Array;
  /** The others' bases are slots. */
  ldtrBase = 0n;

  cr0 = 0;
  cr2 = 0n;
  /** Physical address and low control bits; a safe integer. */
  cr3 = 0;
  efer = 0;
  xcr0 = 1;
  readonly dr = [0n, 0n, 0n, 0n];
  dr6 = 0xffff0ff0;
  dr7 = 0x400;
  /** Rights of protection keys, two bits each: access disable, write disable. PKRU is for user-mode addresses, IA32_PKRS for supervisor-mode ones. */
  pkru = 0;
  pkrs = 0;

  /** PAE paging: the four PDPTEs loaded with CR3. */
  readonly pdptes = [0n, 0n, 0n, 0n];

  cstar = 0n;
  sysenterCs = 0n;
  sysenterEsp = 0n;
  sysenterEip = 0n;
  pat = 0x0007040600070406n;
  private miscEnableValue = 1n;
  mtrrDefType = 0n;
  /** IA32_TSC_ADJUST. */
  tscAdjust = 0n;
  /** Random numbers that RDRAND and RDSEED have given; reset does not repeat them. */
  randomNumbers = 0;
  smbase = 0x30000;
  /** Other MSRs that are plain storage, by index. */
  readonly plainMsrs = new Map<number, bigint>();

  /** The x87 unit. */
  readonly fpu: FpuState;

  activity: Activity = "running";
  /** Latched events, taken at the next instruction boundary. */
  nmiPending = false;
  smiPending = false;
  initPending = false;
  inSmm = false;
  /** The model has pages of 1 GiB; without them the bit that asks for one is reserved. */
  gigabytePages = true;
  /** Width of physical addresses (CPUID 0x80000008 EAX bits 0 to 7). */
  physicalBits = MOST_PHYSICAL_BITS;
  /** An event was delivered and no instruction has retired since: no interrupt is taken. */
  freshDelivery = false;
  /** The interrupt shadow, if there is one, is that of a load of SS: it holds off debug traps as well. */
  stackShadow = false;
  /** The instruction at RIP is a repeated string instruction, interrupted after an iteration. */
  midString = false;
  /** DR6 bits of debug traps to take at the next boundary. */
  trapBits = 0;
  /** MWAIT was executed with ECX bit 0: a masked interrupt ends the wait. */
  mwaitBreaksOnMasked = false;
  /** What cleared IF last. Undefined while nobody follows IF. */
  interruptsMaskedBy: MaskCause | undefined;
  /** Told when IF changes, with its new value. */
  interruptFlagChanged: ((enabled: boolean) => void) | undefined;
  /** Told when LIDT loads another IDT. */
  idtLoaded: (() => void) | undefined;
  /** Exception raised by the instruction that just faulted, to be delivered; or undefined. */
  pending: PendingException | undefined;

  constructor(
    readonly memory: EngineMemory,
    readonly index: number,
    readonly bootstrap: boolean,
  ) {
    this.base = memory.stateOf(index);
    this.slots = new BigUint64Array(memory.memory.buffer, this.base, OWN_SLOTS);
    this.words = new Int32Array(memory.memory.buffer, this.base, OWN_SLOTS * 2);
    this.xmm = this.slots.subarray(XMM_FIRST, XMM_FIRST + XMM_SLOTS);
    this.ymmUpper = this.slots.subarray(YMM_UPPER_FIRST, YMM_UPPER_FIRST + XMM_SLOTS);
    this.selector = new Uint16Array(memory.memory.buffer, this.base + WORD_SELECTORS, 8);
    this.limit = new Uint32Array(memory.memory.buffer, this.base + WORD_LIMITS, 8);
    this.access = new Uint32Array(memory.memory.buffer, this.base + WORD_ACCESS, 8);
    this.fpu = new FpuState(memory.memory.buffer, this.base);
    this.words[WORD_CPU_INDEX / 4] = index;
    this.words[WORD_SHADOW / 4] = -1;
    this.mxcsr = MXCSR_RESET;
  }

  // What transfers of control look at is in the engine's memory, where it can be read in halves: big integers would cost more than the transfer.

  get cpl(): number {
    return this.words[WORD_CPL / 4];
  }

  set cpl(value: number) {
    this.words[WORD_CPL / 4] = value;
  }

  /** The local APIC asks for an interrupt to be taken. */
  get intrPending(): boolean {
    return this.words[WORD_INTR / 4] !== 0;
  }

  set intrPending(value: boolean) {
    this.words[WORD_INTR / 4] = value ? 1 : 0;
  }

  /** NMIs wait for an IRET. */
  get nmiBlocked(): boolean {
    return this.words[WORD_NMI_BLOCKED / 4] !== 0;
  }

  set nmiBlocked(value: boolean) {
    this.words[WORD_NMI_BLOCKED / 4] = value ? 1 : 0;
  }

  get gdtrLimit(): number {
    return this.words[WORD_GDTR_LIMIT / 4];
  }

  set gdtrLimit(value: number) {
    this.words[WORD_GDTR_LIMIT / 4] = value;
  }

  get idtrLimit(): number {
    return this.words[WORD_IDTR_LIMIT / 4];
  }

  set idtrLimit(value: number) {
    this.words[WORD_IDTR_LIMIT / 4] = value;
  }

  get idtrBase(): bigint {
    return this.slots[SLOT_IDTR_BASE / 8];
  }

  set idtrBase(value: bigint) {
    this.slots[SLOT_IDTR_BASE / 8] = value;
  }

  get gdtrBase(): bigint {
    return this.slots[SLOT_GDTR_BASE / 8];
  }

  set gdtrBase(value: bigint) {
    this.slots[SLOT_GDTR_BASE / 8] = value;
  }

  get trBase(): bigint {
    return this.slots[SLOT_TR_BASE / 8];
  }

  set trBase(value: bigint) {
    this.slots[SLOT_TR_BASE / 8] = value;
  }

  get star(): bigint {
    return this.slots[SLOT_STAR / 8];
  }

  set star(value: bigint) {
    this.slots[SLOT_STAR / 8] = value;
  }

  get lstar(): bigint {
    return this.slots[SLOT_LSTAR / 8];
  }

  set lstar(value: bigint) {
    this.slots[SLOT_LSTAR / 8] = value;
  }

  get sfmask(): bigint {
    return this.slots[SLOT_SFMASK / 8];
  }

  set sfmask(value: bigint) {
    this.slots[SLOT_SFMASK / 8] = value;
  }

  get kernelGsBase(): bigint {
    return this.slots[SLOT_KERNEL_GS_BASE / 8];
  }

  set kernelGsBase(value: bigint) {
    this.slots[SLOT_KERNEL_GS_BASE / 8] = value;
  }

  get cr4(): number {
    return this.words[WORD_CR4 / 4] >>> 0;
  }

  set cr4(value: number) {
    this.words[WORD_CR4 / 4] = value;
  }

  get tscAux(): bigint {
    return this.slots[SLOT_TSC_AUX / 8];
  }

  set tscAux(value: bigint) {
    this.slots[SLOT_TSC_AUX / 8] = value;
  }

  /** Added to virtual time to give the TSC. */
  get tscOffset(): bigint {
    return this.slots[SLOT_TSC_OFFSET / 8];
  }

  set tscOffset(value: bigint) {
    this.slots[SLOT_TSC_OFFSET / 8] = value;
  }

  /** IA32_MISC_ENABLE. */
  get miscEnable(): bigint {
    return this.miscEnableValue;
  }

  set miscEnable(value: bigint) {
    this.miscEnableValue = value;
    this.words[X87_EVERY_OPCODE / 4] = (value & FOPCODE_COMPATIBILITY) !== 0n ? 1 : 0;
  }

  /** Control and status of SSE arithmetic (SDM vol. 1, "MXCSR Control and Status Register"). */
  get mxcsr(): number {
    return this.words[SLOT_MXCSR / 4];
  }

  set mxcsr(value: number) {
    this.slots[SLOT_MXCSR / 8] = BigInt(value);
  }

  /** SSE and AVX registers as power-on leaves them; INIT does not touch them. */
  resetVectors(): void {
    this.mxcsr = MXCSR_RESET;
    this.xmm.fill(0n);
    this.ymmUpper.fill(0n);
  }

  gpr(register: number): bigint {
    return this.slots[register];
  }

  setGpr(register: number, value: bigint): void {
    this.slots[register] = value;
  }

  /** Low 32 bits of a general register, unsigned. */
  gpr32(register: number): number {
    return this.words[register * 2] >>> 0;
  }

  /** Writes a general register's low 32 bits and clears the upper half, as 32-bit instructions do. */
  setGpr32(register: number, value: number): void {
    this.words[register * 2] = value;
    this.words[register * 2 + 1] = 0;
  }

  get rip(): bigint {
    return this.slots[SLOT_RIP / 8];
  }

  set rip(value: bigint) {
    this.slots[SLOT_RIP / 8] = value;
  }

  get budget(): number {
    return this.words[WORD_BUDGET / 4];
  }

  get mode(): number {
    return this.words[WORD_MODE / 4];
  }

  get flags(): Flags {
    return unpackFlags(this.slots[SLOT_CC_RES / 8], this.slots[SLOT_CC_AUX / 8]);
  }

  set flags(flags: Flags) {
    const { result, auxiliary } = packFlags(flags);
    this.slots[SLOT_CC_RES / 8] = result;
    this.slots[SLOT_CC_AUX / 8] = auxiliary;
  }

  setZeroFlag(zf: boolean): void {
    this.flags = { ...this.flags, zf };
  }

  /** RFLAGS without the status flags (their bits are 0). */
  get systemFlags(): number {
    return this.words[SLOT_RFLAGS / 4];
  }

  set systemFlags(value: number) {
    const before = this.words[SLOT_RFLAGS / 4];
    this.words[SLOT_RFLAGS / 4] = (value & ~STATUS_FLAGS) | 2;
    if (((before ^ value) & FLAG_IF) === 0) return;
    if ((value & FLAG_IF) === 0) this.interruptsMaskedBy?.note();
    this.interruptFlagChanged?.((value & FLAG_IF) !== 0);
  }

  /** The whole RFLAGS (its upper 32 bits are always zero), unsigned. */
  get rflags(): number {
    const { words } = this;
    const result = words[SLOT_CC_RES / 4];
    const resultHigh = words[SLOT_CC_RES / 4 + 1];
    const aux = words[SLOT_CC_AUX / 4];
    const carries = words[SLOT_CC_AUX / 4 + 1];
    let parity = (result ^ (aux >>> 8)) & 0xff;
    parity ^= parity >>> 4;
    parity ^= parity >>> 2;
    parity ^= parity >>> 1;
    let value = words[SLOT_RFLAGS / 4] | 2;
    if (carries < 0) value |= FLAG_CF;
    if ((parity & 1) === 0) value |= FLAG_PF;
    if ((aux & 8) !== 0) value |= FLAG_AF;
    if ((result | resultHigh) === 0) value |= FLAG_ZF;
    if (resultHigh >>> 31 !== ((aux >>> 16) & 1)) value |= FLAG_SF;
    if (((carries ^ (carries << 1)) & 0x8000_0000) !== 0) value |= FLAG_OF;
    return value >>> 0;
  }

  set rflags(value: number) {
    this.systemFlags = value;
    // As packFlags makes them of six flags.
    const { words } = this;
    const zero = (value & FLAG_ZF) !== 0;
    const carry = value & FLAG_CF;
    const top = ((value & FLAG_OF) !== 0 ? 1 : 0) ^ carry;
    words[SLOT_CC_RES / 4] = zero ? 0 : 1;
    words[SLOT_CC_RES / 4 + 1] = 0;
    words[SLOT_CC_AUX / 4] =
      ((value & FLAG_AF) !== 0 ? 8 : 0) | ((value & FLAG_SF) !== 0 ? 1 << 16 : 0) | (((value & FLAG_PF) !== 0) !== zero ? 1 << 8 : 0);
    words[SLOT_CC_AUX / 4 + 1] = (carry << 31) | (top << 30);
  }

  segBase(segment: number): bigint {
    if (segment === LDTR) return this.ldtrBase;
    if (segment === TR) return this.trBase;
    return this.slots[SLOT_SEG_BASE / 8 + segment];
  }

  /** Sets a whole segment register (selector, base, inclusive byte limit, access rights) and, for ES to GS, what generated code derives from it. */
  setSegment(segment: number, selector: number, base: bigint, limit: number, access: number): void {
    this.selector[segment] = selector;
    this.limit[segment] = limit;
    this.access[segment] = access;
    if (segment === LDTR) this.ldtrBase = base;
    else if (segment === TR) this.trBase = base;
    else {
      this.slots[SLOT_SEG_BASE / 8 + segment] = base;
      this.updateSegmentBounds(segment);
    }
  }

  /** The same for ES to GS with base 0, as system calls and flat descriptors load them. */
  setFlatSegment(segment: number, selector: number, limit: number, access: number): void {
    this.selector[segment] = selector;
    this.words[SLOT_SEG_BASE / 4 + segment * 2] = 0;
    this.words[SLOT_SEG_BASE / 4 + segment * 2 + 1] = 0;
    if (this.limit[segment] === limit && this.access[segment] === access) return;
    this.limit[segment] = limit;
    this.access[segment] = access;
    this.updateSegmentBounds(segment);
  }

  /** Recomputes the fast bounds of the `segment` op (SDM vol. 3, "Limit Checking", "Type Checking"). Real and V86 mode keep present, readable, writable access rights. */
  updateSegmentBounds(segment: number): void {
    const access = this.access[segment];
    const code = (access & AR_CODE) !== 0;
    const usable = (access & AR_UNUSABLE) === 0 && (access & AR_PRESENT) !== 0 && (access & AR_S) !== 0;
    const expandDown = !code && (access & AR_CONFORMING) !== 0;
    const bound = this.limit[segment] + 1;
    const readable = usable && !expandDown && (!code || (access & AR_WRITABLE) !== 0);
    const writable = usable && !expandDown && !code && (access & AR_WRITABLE) !== 0;
    this.setBound(SLOT_SEG_LIMIT_R, segment, readable ? bound : 0);
    this.setBound(SLOT_SEG_LIMIT_W, segment, writable ? bound : 0);
  }

  private setBound(slots: number, segment: number, bound: number): void {
    this.words[slots / 4 + segment * 2] = bound;
    this.words[slots / 4 + segment * 2 + 1] = bound > 0xffff_ffff ? 1 : 0;
  }

  get longMode(): boolean {
    return (this.efer & EFER_LMA) !== 0;
  }

  /** Executing 64-bit code: long mode and CS.L. */
  get code64(): boolean {
    return (this.efer & EFER_LMA) !== 0 && (this.access[CS] & AR_L) !== 0;
  }

  /** The system allows AVX instructions (SDM vol. 1, "Detection of AVX Instructions"). */
  get avxEnabled(): boolean {
    return (this.cr4 & CR4_OSXSAVE) !== 0 && (this.xcr0 & XCR0_AVX) === XCR0_AVX;
  }

  /** Significant bits of linear addresses in the current mode: 57 under 5-level paging (SDM vol. 3, "Linear-Address Width"). */
  get linearBits(): 48 | 57 {
    return (this.cr4 & CR4_LA57) !== 0 && this.longMode ? 57 : 48;
  }

  /** Whether an address with upper half `high` is canonical: the bits above those that linear addresses have are all equal. `canonical` of whole addresses is its twin. */
  isCanonical(high: number): boolean {
    const top = high >> (this.linearBits - 33);
    return top === 0 || top === -1;
  }

  get protectedMode(): boolean {
    return (this.cr0 & CR0_PE) !== 0;
  }

  get vm86(): boolean {
    return (this.systemFlags & FLAG_VM) !== 0;
  }

  /** Records the exception of the current instruction. The caller then returns STATUS_FAULT. */
  raise(vector: number, errorCode = -1, address = 0n, dr6 = 0): void {
    this.pending = { vector, errorCode, address, dr6 };
  }

  /** Everything architectural, canonical: the same on every engine. At instruction boundaries only. */
  save(): State {
    return saveState(this);
  }

  /** Takes over what `save` gave. The caller drops caches that depend on it (TLB, jump cache, mode). */
  restore(saved: State): void {
    restoreState(this, saved);
  }
}
