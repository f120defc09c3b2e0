import {
  MODE_16,
  MODE_32,
  MODE_64,
  MODE_ALIGN,
  MODE_AVX,
  MODE_CPL_SHIFT,
  MODE_CS_LIMIT,
  MODE_FLAT,
  MODE_FPU_EM,
  MODE_FPU_MP,
  MODE_FPU_TS,
  MODE_GUEST_BREAKPOINTS,
  MODE_IOPL_SHIFT,
  MODE_LA57,
  MODE_LONG,
  MODE_OSFXSR,
  MODE_PROTECTED,
  MODE_SIZE_MASK,
  MODE_STACK32,
  MODE_UMIP,
  MODE_VM86,
} from "../mode";
import type { Mmu } from "../mmu";
import type { InterruptController, PhysicalBus } from "../bus";
import { EXC_AC, EXC_DE, EXC_GP } from "../exceptions";
import {
  CR0_AM,
  CR0_CD,
  CR0_EM,
  CR0_ET,
  CR0_MP,
  CR0_NW,
  CR0_PE,
  CR0_TS,
  CR4_OSFXSR,
  CR4_PKE,
  CR4_SMAP,
  CR4_UMIP,
  EFER_SCE,
  FLAG_AC,
  FLAG_IOPL,
  FLAG_RF,
  FLAG_TF,
  FLAG_VM,
} from "../registerBits";
import { AR_DB, AR_UNUSABLE, CS, DS, ES, FS, GS, LDTR, SS, TR } from "../segmentRegisters";
import type { CpuState } from "../state";
import { STATUS_FAULT, STATUS_LEAVE, STATUS_OK } from "../../tcg/ops";
import {
  CPU_STATE_BYTES,
  MMU_SUPERVISOR,
  MMU_SUPERVISOR_SMAP,
  OP_A,
  OP_B,
  OP_D,
  OP_IMM,
  SLOT_MEM_VALUE,
  slotOfSegBase,
  TLB_ENTRIES,
  TLB_ENTRY_BYTES,
  WORD_CALL_MODE,
  WORD_CALL_TLB,
  WORD_MODE,
  OBSERVED_ALL,
  WORD_OBSERVED,
  WORD_REQUEST,
  WORD_RETURN_MODE,
  WORD_SUPERVISOR_MODE,
  WORD_USER_MODE,
} from "../../tcg/layout";
import { FAULT_ALIGNMENT, FAULT_DIVIDE } from "../../tcg/interpreter/interpreter";
import { Op } from "../../tcg/ops";
import type { WriteMonitor } from "../writeMonitor";
import type { RegisterWatch, SystemContext, SystemObserver } from "./context";
import { ControlRegisters } from "./controlRegisters";
import type { CpuModel } from "./cpuModel";
import { DebugRegisters } from "./debugRegisters";
import { Delivery, nmiEvent, trapEvent } from "./delivery";
import { DescriptorTables, REAL_ACCESS } from "./descriptors";
import { FarTransfer } from "./farTransfer";
import { FastCalls } from "./fastCalls";
import { FlatTransfer } from "./flatTransfer";
import { buildHelpers, type HelperFunction } from "./helperTable";
import { Msrs } from "./msrs";
import { Ports } from "./ports";
import { Segments } from "./segments";
import { SelectorChecks } from "./selectorChecks";
import { Smm } from "./smm";
import { Strings } from "./strings";
import { TaskSwitcher } from "./taskSwitch";

/** System flags that a mode follows from. */
const MODE_FLAGS = FLAG_VM | FLAG_AC | FLAG_IOPL;

/** What the system side asks of the machine around the processor. */
export interface SystemHost {
  now(): number;
  /** Ends the slice after the current instruction: this CPU spins. */
  pause(cpu: number): void;
  /** Adds DR6 bits for a #DB trap after the current instruction. */
  trap(cpu: number, bits: number): void;
  /** A debugger breakpoint at RIP; true to stop before the instruction. */
  breakpoint(cpu: number, rip: bigint): boolean;
  /** The CPU takes a latched event now: NMI, SMI or INIT. */
  eventTaken(cpu: number, kind: "nmi" | "smi" | "init"): void;
  /** Watched data pages of this CPU changed. */
  watchChanged(cpu: number): void;
  /**
   * Delivers external interrupt `vector`, with `flags` set in its frame beside RFLAGS, if that is an ordinary case, its handler's frame noted as of the ends of the slice (SLOT_RETIRED_END). False:
   * nothing is done.
   */
  deliver(vector: number, flags: number): boolean;
  readonly monitor: WriteMonitor;
  /** Answers VMCALL; undefined: no hypervisor does, and it is #UD. `number` and `argument` as the guest's registers RAX and RBX, RCX, RDX, RSI have them. */
  readonly hypercall?: (cpu: number, number: bigint, argument: readonly bigint[], bits: 32 | 64, cpl: number) => bigint;
}

/** The system side of one processor: everything that ops do not express. */
export class CpuSystem implements SystemContext {
  readonly tables: DescriptorTables;
  readonly segments: Segments;
  /** Transfers in their ordinary case. */
  readonly transfers: FlatTransfer;
  readonly delivery: Delivery;
  readonly tasks: TaskSwitcher;
  readonly far: FarTransfer;
  readonly fastCalls: FastCalls;
  readonly control: ControlRegisters;
  readonly msrs: Msrs;
  readonly debug: DebugRegisters;
  readonly ports: Ports;
  readonly strings: Strings;
  readonly checks: SelectorChecks;
  readonly smm: Smm;
  /** The instruction just executed suppresses the single-step trap (software interrupts, SYSCALL). */
  trapSuppressed = false;
  /** The instruction just executed loaded RF (IRET): it holds for the next one. */
  resumeFlagLoaded = false;
  registerWatch: RegisterWatch | undefined;
  private readonly helpers: readonly HelperFunction[];

  constructor(
    readonly state: CpuState,
    readonly mmu: Mmu,
    readonly bus: PhysicalBus,
    readonly controller: InterruptController,
    readonly model: CpuModel,
    readonly observer: SystemObserver,
    readonly host: SystemHost,
  ) {
    this.tables = new DescriptorTables(state, mmu);
    this.segments = new Segments(this);
    this.control = new ControlRegisters(this);
    this.tasks = new TaskSwitcher(this, this.segments, (cr3) => this.control.loadCr3(cr3));
    this.tasks.onDebugTrap = () => host.trap(state.index, 1 << 15);
    this.transfers = new FlatTransfer(state, mmu);
    this.delivery = new Delivery(this, this.segments, this.tasks, this.transfers);
    this.far = new FarTransfer(this, this.segments, this.delivery, this.tasks, this.transfers);
    this.fastCalls = new FastCalls(this);
    this.msrs = new Msrs(this);
    this.debug = new DebugRegisters(
      this,
      (bits) => host.trap(state.index, bits),
      () => host.watchChanged(state.index),
    );
    this.ports = new Ports(this, this.debug);
    this.strings = new Strings(this, this.segments, this.ports);
    this.checks = new SelectorChecks(this, this.segments);
    this.smm = new Smm(this, () => this.debug.update());
    this.helpers = buildHelpers(this);
  }

  now(): number {
    return this.host.now();
  }

  flushAll(): void {
    this.mmu.tlb.flush();
    this.mmu.tlb.selectIndex();
  }

  /** Rights of user-mode protection keys; translations that follow from the old ones go. */
  setPkru(value: number): void {
    if (this.state.pkru === value) return;
    this.state.pkru = value;
    if ((this.state.cr4 & CR4_PKE) !== 0) this.mmu.tlb.flush();
  }

  /** EngineHost.helper for this CPU. */
  helper(id: number, a: number, b: number, lo: number, hi: number): number {
    return this.helpers[id](a, b, lo, hi);
  }

  /**
   * An instruction that ends its block has changed mode, rights or flags: what generated code goes by follows. The status tells whether the next instruction may follow at once, or the processor
   * has to look first.
   */
  onward(): number {
    const { words, systemFlags } = this.state;
    words[WORD_MODE / 4] = this.computeMode();
    this.mmu.tlb.selectIndex();
    this.mmu.jumps.selectCode();
    return words[WORD_REQUEST / 4] === 0 && (systemFlags & (FLAG_TF | FLAG_RF)) === 0 ? STATUS_OK : STATUS_LEAVE;
  }

  /** EngineHost.fault for this CPU. */
  fault(code: number): number {
    if (code === FAULT_DIVIDE) this.state.raise(EXC_DE);
    else this.state.raise(code === FAULT_ALIGNMENT ? EXC_AC : EXC_GP, 0);
    return STATUS_FAULT;
  }

  /** EngineHost.divide: DIV and IDIV of a 128-bit dividend (SDM vol. 2). */
  divide(op: number): number {
    const { state } = this;
    const { view } = state.memory;
    const slot = (field: number): number => view.getUint16(op + field, true) / 8;
    const signed = view.getUint16(op, true) === Op.idiv64;
    const joined = (state.slots[slot(OP_B)] << 64n) | state.slots[slot(OP_D)];
    const raw = state.slots[slot(OP_A)];
    const dividend = signed ? BigInt.asIntN(128, joined) : joined;
    const divisor = signed ? BigInt.asIntN(64, raw) : raw;
    const quotient = dividend / divisor;
    if (quotient !== (signed ? BigInt.asIntN(64, quotient) : BigInt.asUintN(64, quotient))) return this.fault(FAULT_DIVIDE);
    state.slots[slot(OP_D)] = BigInt.asUintN(64, quotient);
    state.slots[slot(OP_B)] = BigInt.asUintN(64, dividend % divisor);
    return STATUS_OK;
  }

  /** EngineHost.segment: the exact segment check of the `segment` op at `op`. */
  segment(op: number): number {
    const { state } = this;
    const { view } = state.memory;
    const imm = view.getUint16(op + OP_IMM, true);
    const segment = imm & 7;
    const offset = state.slots[view.getUint16(op + OP_A, true) / 8];
    if (state.code64) {
      state.slots[SLOT_MEM_VALUE / 8] = BigInt.asUintN(64, state.slots[slotOfSegBase(segment) / 8] + offset);
      return STATUS_OK;
    }
    if (!this.segments.checkOffset(segment, Number(offset), imm >> 8, (imm & 8) !== 0)) return STATUS_FAULT;
    state.slots[SLOT_MEM_VALUE / 8] = (state.slots[slotOfSegBase(segment) / 8] + offset) & 0xffff_ffffn;
    return STATUS_OK;
  }

  /** Delivers the recorded exception of the instruction at SLOT_RIP. */
  deliverPending(): void {
    const { pending } = this.state;
    if (pending === undefined) return;
    this.state.pending = undefined;
    const { vector, errorCode, address, dr6 } = pending;
    // Each property by its name: a copy with spread has a hidden class of its own.
    this.delivery.deliver({ vector, kind: "exception", errorCode, address, dr6 });
  }

  /** External interrupt `vector` at an instruction boundary. */
  deliverExternal(vector: number): void {
    const { state } = this;
    if ((state.words[WORD_OBSERVED / 4] & OBSERVED_ALL) === 0) {
      state.words[WORD_MODE / 4] = this.computeMode();
      if (this.host.deliver(vector, state.midString ? FLAG_RF : 0)) {
        state.pending = undefined;
        return;
      }
    }
    this.delivery.external(vector);
  }

  /** NMI: others are blocked until IRET (SDM vol. 3, "Handling Multiple NMIs"). */
  deliverNmi(): void {
    this.state.nmiBlocked = true;
    this.delivery.deliver(nmiEvent);
    this.host.eventTaken(this.state.index, "nmi");
  }

  debugTrap(bits: number): void {
    this.delivery.deliver(trapEvent(bits));
  }

  enterSmm(): void {
    this.smm.enter();
    this.host.eventTaken(this.state.index, "smi");
  }

  /** INIT (SDM vol. 3, "Processor State After Reset", column INIT): the BSP restarts at its reset vector, an AP waits for a SIPI. */
  init(): void {
    const cache = this.state.cr0 & (CR0_CD | CR0_NW);
    this.resetRegisters();
    this.state.cr0 = (cache | CR0_ET) >>> 0;
    this.state.activity = this.state.bootstrap ? "running" : "wait-for-SIPI";
    this.host.eventTaken(this.state.index, "init");
  }

  /** Power-on or system reset: INIT and the registers that INIT leaves alone. */
  powerOn(): void {
    const { state } = this;
    this.resetRegisters();
    state.cr0 = (CR0_CD | CR0_NW | CR0_ET) >>> 0;
    state.star = state.lstar = state.cstar = state.sfmask = state.kernelGsBase = 0n;
    state.sysenterCs = state.sysenterEsp = state.sysenterEip = state.tscAux = state.tscOffset = state.tscAdjust = 0n;
    state.pat = 0x0007040600070406n;
    state.miscEnable = 1n;
    state.mtrrDefType = 0n;
    state.pkru = state.pkrs = 0;
    state.smbase = 0x30000;
    state.plainMsrs.clear();
    state.fpu.powerOn();
    state.xcr0 = 1;
    state.resetVectors();
    state.nmiPending = state.smiPending = state.initPending = state.intrPending = false;
    state.inSmm = false;
    state.activity = state.bootstrap ? "running" : "wait-for-SIPI";
  }

  /** SIPI: real mode at page * 4096 (SDM vol. 3, "MP Initialization Protocol"). false: not waiting for it. */
  startup(page: number): boolean {
    const { state } = this;
    if (state.activity !== "wait-for-SIPI") return false;
    state.setSegment(CS, page << 8, BigInt(page << 12), 0xffff, REAL_ACCESS);
    state.rip = 0n;
    state.activity = "running";
    return true;
  }

  private resetRegisters(): void {
    const { state } = this;
    for (let i = 0; i < 16; i++) state.setGpr(i, 0n);
    state.setGpr(2, BigInt(this.model.signature));
    state.rflags = 2;
    state.rip = 0xfff0n;
    state.cr2 = 0n;
    state.cr3 = 0;
    state.cr4 = 0;
    state.efer = 0;
    state.cpl = 0;
    state.setSegment(CS, 0xf000, 0xffff0000n, 0xffff, REAL_ACCESS);
    for (const segment of [ES, SS, DS, FS, GS]) state.setSegment(segment, 0, 0n, 0xffff, REAL_ACCESS);
    state.setSegment(LDTR, 0, 0n, 0xffff, 0x82);
    state.setSegment(TR, 0, 0n, 0xffff, 0x8b);
    state.gdtrBase = state.idtrBase = 0n;
    state.gdtrLimit = state.idtrLimit = 0xffff;
    for (let i = 0; i < 4; i++) state.dr[i] = 0n;
    state.dr6 = 0xffff0ff0;
    state.dr7 = 0x400;
    state.nmiBlocked = false;
    state.pending = undefined;
    state.freshDelivery = state.stackShadow = state.midString = state.mwaitBreaksOnMasked = false;
    state.trapBits = 0;
    this.host.monitor.disarm(state.index);
    this.debug.update();
    this.flushAll();
  }

  /** The mode word for the current state (mode.ts). In 64-bit code it is the last one while what it follows from is the same. */
  computeMode(): number {
    const { state, known } = this;
    const { access, cr0, cr4, efer, xcr0, cpl } = state;
    const flags = state.systemFlags & MODE_FLAGS;
    const code = access[CS];
    const breakpoints = this.debug.hasInstructionBreakpoints;
    if (
      known.mode !== 0 &&
      known.flags === flags &&
      known.cpl === cpl &&
      known.code === code &&
      known.cr0 === cr0 &&
      known.cr4 === cr4 &&
      known.efer === efer &&
      known.xcr0 === xcr0 &&
      known.breakpoints === breakpoints
    )
      return known.mode;
    const mode = this.newMode();
    known.mode = state.code64 ? mode : 0;
    known.flags = flags;
    known.cpl = cpl;
    known.code = code;
    known.cr0 = cr0;
    known.cr4 = cr4;
    known.efer = efer;
    known.xcr0 = xcr0;
    known.breakpoints = breakpoints;
    return mode;
  }

  /** The mode of 64-bit code, 0 for none, and what it followed from. */
  private readonly known = { mode: 0, flags: 0, cpl: 0, code: 0, cr0: 0, cr4: 0, efer: 0, xcr0: 0, breakpoints: false };

  private newMode(): number {
    const { state } = this;
    const flags = state.systemFlags;
    const { access } = state;
    let mode = (state.cpl << MODE_CPL_SHIFT) | (((flags >> 12) & 3) << MODE_IOPL_SHIFT);
    if (state.code64) mode |= MODE_64 | MODE_FLAT;
    else {
      mode |= (access[CS] & AR_DB) !== 0 ? MODE_32 : MODE_16;
      if ((access[SS] & AR_DB) !== 0) mode |= MODE_STACK32;
      if (this.flat()) mode |= MODE_FLAT;
      if (state.limit[CS] !== 0xffffffff) mode |= MODE_CS_LIMIT;
    }
    if ((state.cr0 & CR0_PE) !== 0) mode |= MODE_PROTECTED;
    if ((flags & FLAG_VM) !== 0) mode |= MODE_VM86;
    if (state.longMode) mode |= MODE_LONG;
    if ((state.cr0 & CR0_AM) !== 0 && (flags & FLAG_AC) !== 0 && state.cpl === 3) mode |= MODE_ALIGN;
    if (this.debug.hasInstructionBreakpoints) mode |= MODE_GUEST_BREAKPOINTS;
    if ((state.cr0 & CR0_EM) !== 0) mode |= MODE_FPU_EM;
    if ((state.cr0 & CR0_TS) !== 0) mode |= MODE_FPU_TS;
    if ((state.cr0 & CR0_MP) !== 0) mode |= MODE_FPU_MP;
    if ((state.cr4 & CR4_OSFXSR) !== 0) mode |= MODE_OSFXSR;
    if ((state.cr4 & CR4_UMIP) !== 0 && state.cpl > 0) mode |= MODE_UMIP;
    if (state.avxEnabled) mode |= MODE_AVX;
    if (state.linearBits === 57) mode |= MODE_LA57;
    this.prepareFastCalls(mode);
    return mode;
  }

  /**
   * Where SYSCALL and SYSRET, and INT and IRET, of 64-bit code lead from mode `mode`, for the engine (interpreter/fastCalls.ts, transfers.ts): the former nowhere while they are not enabled.
   * AMD's SYSRET is not for it, as it loads SS otherwise.
   */
  private prepareFastCalls(mode: number): void {
    const { state } = this;
    const { words } = state;
    const enabled = (state.efer & EFER_SCE) !== 0 && (mode & MODE_SIZE_MASK) === MODE_64;
    const common = mode & ~((3 << MODE_CPL_SHIFT) | (3 << MODE_IOPL_SHIFT) | MODE_UMIP | MODE_ALIGN);
    const user = common | (3 << MODE_CPL_SHIFT) | ((state.cr4 & CR4_UMIP) !== 0 ? MODE_UMIP : 0);
    const index = (state.cr4 & CR4_SMAP) !== 0 ? MMU_SUPERVISOR_SMAP : MMU_SUPERVISOR;
    const is64 = (mode & MODE_SIZE_MASK) === MODE_64;
    words[WORD_SUPERVISOR_MODE / 4] = is64 ? common : 0;
    words[WORD_USER_MODE / 4] = is64 ? user : 0;
    words[WORD_CALL_MODE / 4] = enabled ? common : 0;
    words[WORD_RETURN_MODE / 4] = enabled && this.model.vendor !== "amd" ? user : 0;
    words[WORD_CALL_TLB / 4] = state.base + CPU_STATE_BYTES + index * TLB_ENTRIES * TLB_ENTRY_BYTES;
  }

  private flat(): boolean {
    const { state } = this;
    for (const segment of [ES, CS, SS, DS]) {
      const access = state.access[segment];
      if (state.limit[segment] !== 0xffffffff || state.segBase(segment) !== 0n || (access & AR_UNUSABLE) !== 0) return false;
      // Readable code for CS, expand-up writable data for the others.
      if (segment === CS ? (access & 0x9a) !== 0x9a : (access & 0x9e) !== 0x92) return false;
    }
    return true;
  }
}
