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

/** The widest physical addresses that a CPU model has: 40 bits. */
export const MOST_PHYSICAL_BITS = 40;

/** Segment numbers as x86 encodes them; LDTR and TR follow. */
export const ES = 0;
export const CS = 1;
export const SS = 2;
export const DS = 3;
export const FS = 4;
export const GS = 5;
export const LDTR = 6;
export const TR = 7;

/** RFLAGS bits. */
export const FLAG_CF = 1 << 0;
export const FLAG_PF = 1 << 2;
export const FLAG_AF = 1 << 4;
export const FLAG_ZF = 1 << 6;
export const FLAG_SF = 1 << 7;
export const FLAG_TF = 1 << 8;
export const FLAG_IF = 1 << 9;
export const FLAG_DF = 1 << 10;
export const FLAG_OF = 1 << 11;
export const FLAG_IOPL = 3 << 12;
export const FLAG_NT = 1 << 14;
export const FLAG_RF = 1 << 16;
export const FLAG_VM = 1 << 17;
export const FLAG_AC = 1 << 18;
export const FLAG_VIF = 1 << 19;
export const FLAG_VIP = 1 << 20;
export const FLAG_ID = 1 << 21;
/** RFLAGS bits that the stack frame of a 64-bit delivery holds. */
export const FRAME_FLAGS_64 = 0x3f7fd7;
export const STATUS_FLAGS = FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_OF;

/** CR0 and CR4 bits, EFER bits. */
export const CR0_PE = 1 << 0;
export const CR0_MP = 1 << 1;
export const CR0_EM = 1 << 2;
export const CR0_TS = 1 << 3;
export const CR0_ET = 1 << 4;
export const CR0_NE = 1 << 5;
export const CR0_WP = 1 << 16;
export const CR0_AM = 1 << 18;
export const CR0_NW = 1 << 29;
export const CR0_CD = 1 << 30;
export const CR0_PG = 0x8000_0000;
export const CR4_VME = 1 << 0;
export const CR4_PVI = 1 << 1;
export const CR4_TSD = 1 << 2;
export const CR4_DE = 1 << 3;
export const CR4_PSE = 1 << 4;
export const CR4_PAE = 1 << 5;
export const CR4_MCE = 1 << 6;
export const CR4_PGE = 1 << 7;
export const CR4_PCE = 1 << 8;
export const CR4_OSFXSR = 1 << 9;
export const CR4_OSXMMEXCPT = 1 << 10;
export const CR4_UMIP = 1 << 11;
export const CR4_LA57 = 1 << 12;
export const CR4_FSGSBASE = 1 << 16;
export const CR4_PCIDE = 1 << 17;
export const CR4_OSXSAVE = 1 << 18;
export const CR4_SMEP = 1 << 20;
export const CR4_SMAP = 1 << 21;
export const CR4_PKE = 1 << 22;
export const CR4_PKS = 1 << 24;
export const EFER_SCE = 1 << 0;
export const EFER_LME = 1 << 8;
export const EFER_LMA = 1 << 10;
export const EFER_NXE = 1 << 11;

/** Access rights of a segment: descriptor bits 40-47 in bits 0-7, descriptor bits 52-55 in bits 12-15, bit 16: unusable (null selector). */
export const AR_TYPE = 0xf;
export const AR_ACCESSED = 1;
export const AR_WRITABLE = 2; // data; readable for code
export const AR_CONFORMING = 4; // code; expand-down for data
export const AR_CODE = 8;
export const AR_S = 1 << 4;
export const AR_DPL_SHIFT = 5;
export const AR_PRESENT = 1 << 7;
export const AR_L = 1 << 13;
export const AR_DB = 1 << 14;
export const AR_G = 1 << 15;
export const AR_UNUSABLE = 1 << 16;

/** Exception vectors (SDM vol. 3, "Interrupt and Exception Handling"). */
export const EXC_DE = 0;
export const EXC_DB = 1;
export const EXC_NMI = 2;
export const EXC_BP = 3;
export const EXC_OF = 4;
export const EXC_BR = 5;
export const EXC_UD = 6;
export const EXC_NM = 7;
export const EXC_DF = 8;
export const EXC_TS = 10;
export const EXC_NP = 11;
export const EXC_SS = 12;
export const EXC_GP = 13;
export const EXC_PF = 14;
export const EXC_MF = 16;
export const EXC_AC = 17;
export const EXC_MC = 18;
export const EXC_XM = 19;

export type Activity = "running" | "halted" | "mwait" | "wait-for-SIPI" | "shutdown";

/** An exception that an instruction raised and the processor has yet to deliver. */
export interface PendingException {
  vector: number;
  /** -1: pushes none. */
  errorCode: number;
  /** For #PF: the faulting linear address; written to CR2 at delivery. */
  address: bigint;
  /** For #DB: the DR6 bits to set at delivery. */
  dr6: number;
  /** The instruction has taken effect and the exception belongs to the state it left (a new task that does not load): RIP stays as it is. */
  committed?: boolean;
}

/** MXCSR after power-on: every exception masked, round to nearest. */
export const MXCSR_RESET = 0x1f80;
const XMM_FIRST = SLOT_XMM / 8;
const YMM_UPPER_FIRST = (SLOT_XMM + VECTOR_UPPER) / 8;
const XMM_SLOTS = 32;
/** XCR0: SSE and AVX state. */
export const XCR0_AVX = 6;

/** IA32_MISC_ENABLE: FOP is updated by every x87 instruction, not only by those that bring about an unmasked exception. */
export const FOPCODE_COMPATIBILITY = 1n << 2n;
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
    this.slots.fill(0n, XMM_FIRST, XMM_FIRST + XMM_SLOTS);
    this.slots.fill(0n, YMM_UPPER_FIRST, YMM_UPPER_FIRST + XMM_SLOTS);
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
    return {
      gprs: [...this.slots.slice(0, 16)],
      rip: this.rip,
      flags: this.rflags,
      segments: [...this.selector.keys()].map((i) => [this.selector[i], this.segBase(i), this.limit[i], this.access[i]]),
      tables: [this.gdtrBase, this.gdtrLimit, this.idtrBase, this.idtrLimit],
      control: [this.cr0, this.cr2, this.cr3, this.cr4, this.efer, this.xcr0, this.cpl],
      protectionKeys: [this.pkru, this.pkrs],
      debug: [...this.dr, this.dr6, this.dr7],
      pdptes: [...this.pdptes],
      msrs: msrFields.map((field) => this[field]),
      smbase: this.smbase,
      fpu: this.fpu.save(),
      sse: [this.mxcsr, ...this.slots.slice(XMM_FIRST, XMM_FIRST + XMM_SLOTS)],
      avx: [...this.slots.slice(YMM_UPPER_FIRST, YMM_UPPER_FIRST + XMM_SLOTS)],
      plain: [...this.plainMsrs].sort((a, b) => a[0] - b[0]).map(([index, value]) => [index, value]),
      activity: this.activity,
      events: [this.intrPending, this.nmiPending, this.smiPending, this.initPending, this.nmiBlocked, this.inSmm],
      boundary: [
        this.words[WORD_SHADOW / 4] === this.budget,
        this.stackShadow,
        this.freshDelivery,
        this.midString,
        this.mwaitBreaksOnMasked,
      ],
      traps: this.trapBits,
      random: this.randomNumbers,
    };
  }

  /** Takes over what `save` gave. The caller drops caches that depend on it (TLB, jump cache, mode). */
  restore(state: State): void {
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
    saved.gprs.forEach((value, i) => this.setGpr(i, value));
    this.rip = saved.rip;
    this.rflags = saved.flags;
    saved.segments.forEach(([selector, base, limit, access], i) => this.setSegment(i, selector, base, limit, access));
    [this.gdtrBase, this.gdtrLimit, this.idtrBase, this.idtrLimit] = saved.tables;
    [this.cr0, this.cr2, this.cr3, this.cr4, this.efer, this.xcr0, this.cpl] = saved.control;
    [this.pkru, this.pkrs] = saved.protectionKeys;
    for (let i = 0; i < 4; i++) {
      this.dr[i] = saved.debug[i] as bigint;
      this.pdptes[i] = saved.pdptes[i];
    }
    this.dr6 = saved.debug[4];
    this.dr7 = saved.debug[5];
    msrFields.forEach((field, i) => (this[field] = saved.msrs[i]));
    this.smbase = saved.smbase;
    this.fpu.restore(saved.fpu);
    const [mxcsr, ...xmm] = saved.sse;
    this.mxcsr = mxcsr;
    this.slots.set(xmm, XMM_FIRST);
    this.slots.set(saved.avx, YMM_UPPER_FIRST);
    this.plainMsrs.clear();
    for (const [index, value] of saved.plain) this.plainMsrs.set(index, value);
    this.activity = saved.activity;
    [this.intrPending, this.nmiPending, this.smiPending, this.initPending, this.nmiBlocked, this.inSmm] = saved.events;
    this.words[WORD_BUDGET / 4] = 0;
    const [shadow] = saved.boundary;
    this.words[WORD_SHADOW / 4] = shadow ? 0 : -1;
    [, this.stackShadow, this.freshDelivery, this.midString, this.mwaitBreaksOnMasked] = saved.boundary;
    this.trapBits = saved.traps;
    this.randomNumbers = saved.random;
    this.pending = undefined;
    // Who cleared IF is no part of the state: only those who follow it know.
    this.interruptsMaskedBy?.clear();
  }
}

const msrFields = [
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
