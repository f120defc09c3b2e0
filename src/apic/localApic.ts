import { LastWrites } from "../common/lastWrites";
import type { State } from "../common/state";
import type { Moment } from "../common/moment";
import type { Clock } from "../devices/device";
import { APIC_HOST, APIC_INTR, APIC_SEND_NOT_LOOKED_AT, HOST_STATE } from "../tcg/layout";
import { ApicCommon, defaultApicBase, highestVector } from "./apicCommon";
import type { TscSource } from "./apicTimer";
import type { InterruptBus } from "./bus";
import type { ApicCpu, InterruptSource, MisuseKind, TriggerMode } from "./events";
import { ApicBase, EsrBit, Lvt, LvtBit, Svr, WrittenRegister, decodeLvt, lvtNames, lvtReadOnly, writtenRegisters } from "./fields";
import type { InterruptMessage } from "./message";
import type { InterruptLedger } from "./ledger";
import { Reg, lvtMask, svrMask, x2apicMask, type ApicModel } from "./registerMap";
import { hex } from "./registerViews";
import { type Send, sendByIcr, type Sender, sendSelf } from "./sending";

export interface LocalApicOptions {
  readonly cpu: ApicCpu;
  readonly bus: InterruptBus;
  readonly clock: Clock;
  /** APIC id that hardware assigns, 32 bits; its low 8 bits are the xAPIC id. */
  readonly apicId: number;
  readonly tsc: TscSource;
  readonly model?: ApicModel;
  /** Where the registers are that an engine works on by itself, APIC_WORDS of them (tcg/layout.ts). */
  readonly registers?: Uint32Array;
}

const apicBaseMsr = 0x1b;
const tscDeadlineMsr = 0x6e0;
const lvtSources: readonly InterruptSource[] = ["cmci", "timer", "thermal", "pmc", "lint0", "lint1", "error"];

/** True for the MSRs that the local APIC implements or whose absence it answers for: 0x1b, 0x6e0, 0x800 to 0x8ff. */
export function isApicMsr(index: number): boolean {
  return (index >= 0x800 && index <= 0x8ff) || index === apicBaseMsr || index === tscDeadlineMsr;
}

/**
 * A local APIC (SDM vol. 3, "Advanced Programmable Interrupt Controller (APIC)"), xAPIC and x2APIC.
 *
 * Where the manual leaves room, this one: has seven LVT entries and EOI-broadcast suppression (version 0x15); sends level-triggered
 * IPIs as edge-triggered and takes the level flag for set, as processors since the Pentium 4; sends nothing for combinations that the
 * manual's table calls invalid; ignores MMIO writes that are not aligned and 32 bits wide, and reads bytes 4 to 15 of a register as
 * zero; keeps what is pending in IRR deliverable while software-disabled; gives ExtINT precedence over its own vectors; raises the
 * error interrupt once until ESR is written.
 */
export class LocalApic extends ApicCommon {
  readonly cpu: ApicCpu;
  private readonly bus: InterruptBus;
  private readonly ledger: InterruptLedger;
  private readonly lastWrites: LastWrites;
  /** Hears of each access of the guest's to a register, by number, after it was made; CR8 is TPR. Undefined while nobody wants to know. */
  accessed: ((register: number, write: boolean) => void) | undefined;
  /** True while the 8259 is being asked for its vector: its output changes under our hands. */
  private acknowledging = false;

  /** Creates the APIC and puts it on the bus. */
  constructor(options: LocalApicOptions) {
    super(
      options.cpu.index,
      options.apicId >>> 0,
      options.cpu.bootstrap,
      options.model ?? {},
      options.clock,
      options.tsc,
      options.registers,
    );
    this.cpu = options.cpu;
    this.bus = options.bus;
    this.ledger = options.bus.ledger;
    this.lastWrites = new LastWrites(writtenRegisters, options.bus.ledger.stamps);
    this.resetId();
    this.bus.attachLocal(this);
    this.tellEngine();
  }

  /** Who wrote each register last, by LVT index or {@link WrittenRegister}. */
  get writes(): LastWrites {
    this.ledger.settle();
    return this.lastWrites;
  }

  /** The engine wrote ICR at `moment`. */
  noteSend(moment: Moment): void {
    this.lastWrites.noteAt(WrittenRegister.icr, moment);
  }

  private get intr(): boolean {
    return this.registerWords[APIC_INTR] !== 0;
  }

  private set intr(value: boolean) {
    this.registerWords[APIC_INTR] = value ? 1 : 0;
  }

  /** ICR was written in xAPIC mode, and its delivery status not read since. */
  private get sendNotLookedAt(): boolean {
    return this.registerWords[APIC_SEND_NOT_LOOKED_AT] !== 0;
  }

  private set sendNotLookedAt(value: boolean) {
    this.registerWords[APIC_SEND_NOT_LOOKED_AT] = value ? 1 : 0;
  }

  /** Says whether an engine may send and end interrupts by itself, as far as the state goes. Called whenever what that depends on may have changed. */
  private tellEngine(): void {
    const words = this.registerWords;
    if (this.registerPage >= 0 && this.softwareEnabled && !this.acknowledging && !this.extIntPending()) words[APIC_HOST] &= ~HOST_STATE;
    else words[APIC_HOST] |= HOST_STATE;
  }

  /**
   * `init` false: power-up or RESET. True: INIT, which keeps the ids and IA32_APIC_BASE (SDM vol. 3, "Local APIC State After an INIT
   * Reset"). The pins keep their levels.
   */
  override reset(init = false): void {
    this.ledger.lost(this.cpuIndex, init ? `lost by INIT of CPU ${this.cpuIndex}` : `lost by reset of CPU ${this.cpuIndex}`);
    this.clearState();
    this.sendNotLookedAt = false;
    if (!init) {
      this.resetId();
      this.base = defaultApicBase | ApicBase.enable | (this.bootstrap ? ApicBase.bootstrap : 0n);
      this.spurious = 0;
      this.writes.clear();
      this.baseChanged();
    }
    this.updateIrq();
  }

  /** What a PC's firmware leaves on the bootstrap processor: APIC enabled, 8259 through LINT0, NMI on LINT1 ("virtual wire mode"). */
  setVirtualWire(): void {
    this.svr = Svr.enable | 0x0f;
    this.lvt[Lvt.lint0] = 0x700;
    this.lvt[Lvt.lint1] = 0x400;
    this.updateIrq();
  }

  // --- The CPU's side ---

  /** True while INTR is asserted: a vector above the processor priority, or ExtINT. */
  get hasPending(): boolean {
    return this.intr;
  }

  /** Times {@link acknowledge} found nothing and gave the spurious vector. */
  get spuriousCount(): number {
    return this.spurious;
  }

  /**
   * INTA: the vector to take now. ExtINT asks the 8259; else the highest vector of IRR above PPR moves to ISR. With nothing left to
   * deliver, the spurious vector of SVR, without an ISR bit (SDM vol. 3, "Spurious Interrupt").
   */
  acknowledge(): number {
    if (this.extIntPending()) {
      this.acknowledging = true;
      const vector = this.bus.acknowledgePic();
      this.acknowledging = false;
      this.extIntMessage = false;
      this.ledger.deliveredExternal(this.cpuIndex, vector);
      this.updateIrq();
      return vector;
    }
    const vector = this.deliverable();
    if (vector < 0) {
      this.spurious++;
      this.ledger.spurious(this.cpuIndex);
      this.updateIrq();
      return this.svr & 0xff;
    }
    const bit = 1 << (vector & 31);
    this.irr[vector >> 5] &= ~bit;
    this.isr[vector >> 5] |= bit;
    this.ledger.acknowledged(this.cpuIndex, vector);
    this.updateIrq();
    return vector;
  }

  /** INTR goes up with nothing behind it: the CPU that answers it is given the spurious vector. For debuggers. */
  raiseSpurious(): void {
    this.cpu.setInterruptRequest(true);
    this.intr = true;
  }

  /** CR8: bits 7:4 of TPR. */
  get cr8(): number {
    return this.tpr >> 4;
  }

  /** MOV to CR8; `value` is 0 to 15 (the CPU faults on more). Bits 3:0 of TPR become 0. */
  set cr8(value: number) {
    this.writes.note(WrittenRegister.tpr);
    this.tpr = (value & 15) << 4;
    this.updateIrq();
    this.accessed?.(Reg.tpr, true);
  }

  /** Sets the electrical level of pin LINT0 or LINT1. */
  setLint(pin: 0 | 1, level: boolean): void {
    if (this.lint[pin] === level) return;
    const index = Lvt.lint0 + pin;
    const before = this.lintAsserted(index);
    this.lint[pin] = level;
    if (!this.enabled) {
      // With the APIC off, the pins are INTR and NMI of the processor.
      if (pin === 1 && level) this.receiveDirectNmi();
    } else if (!before && this.lintAsserted(index)) {
      const entry = decodeLvt(index, this.lvt[index]);
      if (!(entry.mode === "extint" || this.isLevelLint(index))) this.deliverLvt(index);
    }
    this.sampleLints();
    this.updateIrq();
  }

  /** A local event of the processor: corrected machine check, thermal sensor, performance counter overflow. */
  raiseLocal(event: "cmci" | "thermal" | "pmc"): void {
    if (this.enabled) this.deliverLvt(Lvt[event]);
  }

  /** The guest changed its TSC. */
  tscChanged(): void {
    this.timer.tscChanged();
  }

  /** RDMSR of an index that {@link isApicMsr}. undefined means #GP(0). */
  readMsr(index: number): bigint | undefined {
    if (index === apicBaseMsr) return this.base;
    if (index === tscDeadlineMsr) return this.model.tscDeadline === false ? undefined : this.timer.tscDeadline;
    if (!this.x2apicMode) return undefined;
    const register = index - 0x800;
    const value = this.readX2apic(register);
    if (value !== undefined) this.accessed?.(register, false);
    return value;
  }

  private readX2apic(register: number): bigint | undefined {
    switch (register) {
      case Reg.icrLow:
        return (BigInt(this.icrHigh) << 32n) | BigInt(this.icrLow);
      case Reg.apr:
      case Reg.eoi:
      case Reg.remoteRead:
      case Reg.dfr:
      case Reg.icrHigh:
        return undefined;
      default: {
        const value = this.peek(register);
        return value === undefined ? undefined : BigInt(value);
      }
    }
  }

  /** WRMSR of an index that {@link isApicMsr}. False means #GP(0): reserved bits, read-only or absent registers, illegal transitions. */
  writeMsr(index: number, value: bigint): boolean {
    this.ledger.settle();
    if (index === apicBaseMsr) return this.writeBase(value);
    if (index === tscDeadlineMsr) {
      if (this.model.tscDeadline === false) return false;
      this.timer.tscDeadline = value;
      return true;
    }
    if (!this.x2apicMode || !this.writeX2apic(index - 0x800, BigInt.asUintN(64, value))) return false;
    this.accessed?.(index - 0x800, true);
    return true;
  }

  // --- Registers ---

  /**
   * Guest read of the register page in xAPIC mode, `size` bytes at `offset`. Reading an address without a register is an error
   * (ESR bit 7); so is nothing else.
   */
  readMmio(offset: number, size: 1 | 2 | 4 | 8): bigint {
    const register = (offset >> 4) & 0xff;
    this.noteRead(register);
    const value = this.peekMmio(offset, size);
    this.accessed?.(register, false);
    return value;
  }

  /** Guest write to the register page in xAPIC mode. Anything but an aligned 32-bit write is ignored. */
  writeMmio(offset: number, size: 1 | 2 | 4 | 8, value: bigint): void {
    if (size !== 4 || (offset & 15) !== 0) return;
    this.storeRegister((offset >> 4) & 0xff, Number(BigInt.asUintN(32, value)));
  }

  /** Guest store of 32 bits to a register's place in the register page; `value` is unsigned. */
  storeRegister(register: number, value: number): void {
    this.ledger.settle();
    this.writeRegister(register, value);
    this.accessed?.(register, true);
  }

  /** Guest load of 32 bits from a register's place in the register page, unsigned. */
  loadRegister(register: number): number {
    this.noteRead(register);
    const value = this.peek(register) ?? 0;
    this.accessed?.(register, false);
    return value >>> 0;
  }

  private noteRead(register: number): void {
    if (register === Reg.icrLow) this.sendNotLookedAt = false;
    if (this.peek(register) === undefined) this.raiseError(EsrBit.illegalRegister);
  }

  /** Guest write of an xAPIC register by number (offset / 16). Reserved bits are ignored and read as zero. */
  writeRegister(register: number, value: number): void {
    switch (register) {
      case Reg.id:
        this.writes.note(WrittenRegister.id);
        this.idRegister = (value & 0xff000000) >>> 0;
        return this.bus.reachabilityChanged();
      case Reg.ldr:
        this.writes.note(WrittenRegister.ldr);
        this.ldr = (value & 0xff000000) >>> 0;
        return this.bus.reachabilityChanged();
      case Reg.dfr:
        this.writes.note(WrittenRegister.dfr);
        this.dfr = (value | 0x0fffffff) >>> 0;
        return this.bus.reachabilityChanged();
      case Reg.icrHigh:
        this.icrHigh = (value & 0xff000000) >>> 0;
        return;
      case Reg.icrLow:
        if (this.sendNotLookedAt) this.misused("icr-not-polled", value & 0xff);
        this.sendNotLookedAt = true;
        this.icrLow = value & 0xccfff & ~LvtBit.status;
        return this.sendIpi();
      case Reg.version:
      case Reg.apr:
      case Reg.ppr:
      case Reg.remoteRead:
      case Reg.currentCount:
        return;
      default:
        if (register >= Reg.isr && register < Reg.esr) return;
        if (register === Reg.selfIpi || !this.writeShared(register, value)) this.raiseError(EsrBit.illegalRegister);
    }
  }

  /** End of interrupt: the highest vector leaves ISR; if it was level-triggered the I/O APICs are told, unless SVR bit 12 suppresses it. */
  eoi(): void {
    const vector = highestVector(this.isr);
    if (vector < 0) return this.misused("eoi-nothing-in-service", -1);
    const word = vector >> 5;
    const bit = 1 << (vector & 31);
    this.isr[word] &= ~bit;
    this.ledger.ended(this.cpuIndex, vector);
    if (this.tmr[word] & bit) {
      for (const index of [Lvt.lint0, Lvt.lint1]) if ((this.lvt[index] & 0xff) === vector) this.lvt[index] &= ~LvtBit.remoteIrr;
      if ((this.svr & Svr.suppressEoi) === 0) this.bus.eoi(vector);
      this.sampleLints();
    }
    this.updateIrq();
  }

  // --- The bus's side ---

  /**
   * A message arrives (`id` is its record). Returns whether it was accepted; if not, the record says why. Vectors below 16 are an error
   * (ESR bit 6); while software-disabled only INIT, NMI, SMI and SIPI get through.
   */
  receive(message: InterruptMessage, id: number): boolean {
    switch (message.mode) {
      case "fixed":
      case "lowpri":
        return this.setIrq(message.vector, message.trigger, id);
      case "extint":
        if (!this.softwareEnabled) return this.refuse(id, "local APIC software-disabled");
        this.ledger.latched(id, this.cpuIndex, "extint");
        this.extIntMessage = true;
        this.updateIrq();
        return true;
      case "nmi":
        this.ledger.latched(id, this.cpuIndex, "nmi");
        this.cpu.raiseNmi();
        return true;
      case "smi":
        this.ledger.latched(id, this.cpuIndex, "smi");
        this.cpu.raiseSmi();
        return true;
      case "init":
        this.reset(true);
        this.ledger.latched(id, this.cpuIndex, "init");
        this.ledger.cancelled(this.cpuIndex, "sipi", `lost by INIT of CPU ${this.cpuIndex}`);
        this.cpu.raiseInit();
        return true;
      case "sipi": {
        const why = `SIPI ignored: CPU ${this.cpuIndex} is not in wait-for-SIPI`;
        if (!this.cpu.waitingForSipi && this.ledger.pendingLatch(this.cpuIndex, "init") === 0) return this.refuse(id, why);
        this.ledger.latched(id, this.cpuIndex, "sipi");
        if (this.cpu.startup(message.vector)) return true;
        this.ledger.cancelled(this.cpuIndex, "sipi", why);
        return false;
      }
    }
  }

  /**
   * The ordinary case of {@link receive}, with the message's record from its beginning: a vector that is not pending yet, for which nothing is refused, while nobody hears of stages. False: it is
   * not that, and nothing is done.
   */
  take(message: InterruptMessage): boolean {
    const { vector, mode } = message;
    if ((mode !== "fixed" && mode !== "lowpri") || vector < 16 || !this.softwareEnabled) return false;
    const word = vector >> 5;
    const bit = 1 << (vector & 31);
    if ((this.irr[word] & bit) !== 0) return false;
    if (message.trigger === "level") this.tmr[word] |= bit;
    else this.tmr[word] &= ~bit;
    this.irr[word] |= bit;
    const requests = this.deliverable() === vector;
    this.ledger.passed(message, this.apicId, this.cpuIndex, requests);
    if (requests) this.settleIntr(true);
    else this.updateIrq();
    return true;
  }

  /** Sets the IRR bit of `vector`, and its TMR bit for a level-triggered one. False if it is not accepted. */
  setIrq(vector: number, trigger: TriggerMode, id: number): boolean {
    if (vector < 16) {
      this.ledger.dropped(id, `vector ${hex(vector)} below 16`);
      this.raiseError(EsrBit.receiveIllegalVector);
      return false;
    }
    if (!this.softwareEnabled) return this.refuse(id, "local APIC software-disabled");
    const word = vector >> 5;
    const bit = 1 << (vector & 31);
    if ((this.irr[word] & bit) !== 0 && ((this.tmr[word] & bit) !== 0) !== (trigger === "level")) this.misused("trigger-mismatch", vector);
    if (trigger === "level") this.tmr[word] |= bit;
    else this.tmr[word] &= ~bit;
    this.irr[word] |= bit;
    this.ledger.accepted(id, this.cpuIndex, vector);
    this.updateIrq();
    return true;
  }

  override restore(state: State): void {
    super.restore(state);
    const saved = state as { [key: string]: State };
    this.intr = saved["intr"] as boolean;
    this.writes.restore(saved["writes"]);
    this.sendNotLookedAt = saved["sendNotLookedAt"] as boolean;
    this.cpu.setInterruptRequest(this.intr);
    this.tellEngine();
    this.bus.baseChanged();
  }

  override save(): State {
    return {
      ...(super.save() as { readonly [key: string]: State }),
      intr: this.intr,
      writes: this.writes.save(),
      sendNotLookedAt: this.sendNotLookedAt,
    };
  }

  /** Records an error (SDM vol. 3, "Error Handling"); the first since ESR was last written raises the error interrupt if it is not masked. */
  private raiseError(bit: number): void {
    this.errors |= bit;
    if (!this.errorArmed || (this.lvt[Lvt.error] & LvtBit.mask) !== 0) return;
    this.errorArmed = false;
    this.deliverLvt(Lvt.error);
  }

  private misused(kind: MisuseKind, vector: number): void {
    if (this.ledger.wantsMisuse) this.ledger.misused({ kind, cpu: this.cpuIndex, vector });
  }

  private refuse(id: number, reason: string): false {
    this.ledger.dropped(id, reason);
    return false;
  }

  /** Writes common to both modes. False if there is no such register. */
  private writeShared(register: number, value: number): boolean {
    if (register >= Reg.lvtTimer && register <= Reg.lvtError) return this.writeLvt(register - Reg.lvtTimer + Lvt.timer, value);
    switch (register) {
      case Reg.tpr:
        this.writes.note(WrittenRegister.tpr);
        this.tpr = value & 0xff;
        this.updateIrq();
        return true;
      case Reg.eoi:
        this.eoi();
        return true;
      case Reg.svr:
        this.writeSvr(value);
        return true;
      case Reg.esr:
        this.esr = this.errors;
        this.errors = 0;
        this.errorArmed = true;
        return true;
      case Reg.lvtCmci:
        return this.writeLvt(Lvt.cmci, value);
      case Reg.initialCount:
        this.writes.note(WrittenRegister.initialCount);
        this.timer.start(value);
        return true;
      case Reg.divide:
        this.timer.setDivide(value);
        return true;
      default:
        return false;
    }
  }

  private writeSvr(value: number): void {
    const was = this.softwareEnabled;
    this.writes.note(WrittenRegister.svr);
    this.svr = value & svrMask(this.model);
    this.tellEngine();
    if (this.softwareEnabled) {
      if (!was) this.bus.reachabilityChanged();
      return;
    }
    for (let index = 0; index < this.lvt.length; index++) {
      if ((this.lvt[index] & LvtBit.mask) === 0) this.writes.note(index);
      this.lvt[index] |= LvtBit.mask;
    }
    this.configureTimer();
    this.updateIrq();
  }

  private writeLvt(index: number, value: number): true {
    this.writes.note(index);
    const entry = (value & lvtMask(index, this.model)) | (this.lvt[index] & lvtReadOnly[index]);
    this.lvt[index] = this.softwareEnabled ? entry : entry | LvtBit.mask;
    if (index === Lvt.timer) this.configureTimer();
    if (index === Lvt.lint0 || index === Lvt.lint1) {
      // Remote IRR belongs to level-triggered fixed interrupts: another setting ends it.
      if (!this.isLevelLint(index)) this.lvt[index] &= ~LvtBit.remoteIrr;
      this.sampleLints();
    }
    this.updateIrq();
    return true;
  }

  private writeX2apic(register: number, value: bigint): boolean {
    if (register === Reg.icrLow) {
      if ((value & 0xfff33000n) !== 0n) return false;
      this.icrLow = Number(value & 0xffffffffn);
      this.icrHigh = Number(value >> 32n);
      this.sendIpi();
      return true;
    }
    if (value > 0xffffffffn) return false;
    const word = Number(value);
    if ((word & ~x2apicMask(register, this.model)) !== 0) return false;
    if (register !== Reg.selfIpi) return this.writeShared(register, word);
    this.send(sendSelf(word & 0xff, this.sender));
    return true;
  }

  /** WRMSR of IA32_APIC_BASE (SDM vol. 3, "x2APIC State Transitions"). */
  private writeBase(value: bigint): boolean {
    const next = BigInt.asUintN(64, value);
    if ((next & this.reservedBaseBits()) !== 0n) return false;
    const flags = ApicBase.enable | ApicBase.x2apic;
    const mode = next & flags;
    if (mode === ApicBase.x2apic) return false;
    if (mode === flags && !this.enabled) return false;
    if (mode === ApicBase.enable && this.x2apicMode) return false;
    const wasEnabled = this.enabled;
    const wasX2apic = this.x2apicMode;
    this.base = next;
    this.writes.note(WrittenRegister.base);
    if (wasEnabled && mode === 0n) {
      this.ledger.lost(this.cpuIndex, "local APIC disabled in IA32_APIC_BASE");
      this.clearState();
      this.resetId();
    } else if (mode === flags && !wasX2apic) {
      // LDR is derived from the id now, and the destination field has another format.
      this.icrHigh = 0;
    }
    this.baseChanged();
    this.updateIrq();
    this.bus.reachabilityChanged();
    return true;
  }

  // --- Sending ---

  private get sender(): Sender {
    return { apicId: this.apicId, cpuIndex: this.cpuIndex, x2apic: this.x2apicMode, model: this.model };
  }

  /** A write of the ICR's low half, or of all of it in x2APIC mode. */
  private sendIpi(): void {
    this.ledger.settle();
    this.writes.note(WrittenRegister.icr);
    const { icrLow, icrHigh, apicId, x2apicMode, lastSend } = this;
    if (lastSend?.icrLow !== icrLow || lastSend.icrHigh !== icrHigh || lastSend.apicId !== apicId || lastSend.x2apic !== x2apicMode)
      this.lastSend = { icrLow, icrHigh, apicId, x2apic: x2apicMode, send: sendByIcr(icrLow, icrHigh, this.sender) };
    if (this.lastSend !== undefined) this.send(this.lastSend.send);
  }

  /** What the last write of the ICR asked for, and what that followed from: most are like the one before. A help, no state. */
  private lastSend:
    | { readonly icrLow: number; readonly icrHigh: number; readonly apicId: number; readonly x2apic: boolean; readonly send: Send }
    | undefined;

  private send(send: Send): void {
    switch (send.kind) {
      case "message":
        this.bus.deliver(send.message);
        break;
      case "refused":
        this.bus.reject(send.message, send.reason);
        if (send.errors !== 0) this.raiseError(send.errors);
        break;
      case "remote-read":
        this.remoteRead(send.register, send.destination);
        break;
    }
  }

  /** P6's remote read: bits 17:16 of the ICR tell the outcome. */
  private remoteRead(register: number, destination: number): void {
    const value = this.bus.findPhysical(destination)?.peek(register);
    this.remoteReadValue = value ?? 0;
    this.icrLow = (this.icrLow & ~0x30000) | (value === undefined ? 0 : 0x20000);
  }

  // --- The local vector table ---

  protected override timerFired(): void {
    this.deliverLvt(Lvt.timer);
  }

  /** A local source signals an edge: sends what its LVT entry says to this APIC itself. */
  private deliverLvt(index: number): boolean {
    const entry = decodeLvt(index, this.lvt[index]);
    const vectored = entry.mode === "fixed";
    const mode = entry.mode === "reserved" ? "fixed" : entry.mode;
    const message: InterruptMessage = {
      source: lvtSources[index],
      mode,
      vector: vectored ? entry.vector : 0,
      trigger: this.isLevelLint(index) ? "level" : "edge",
      shorthand: "none",
      destinationMode: "physical",
      destination: this.apicId,
      wide: true,
      src: -1,
      senderCpu: -1,
    };
    // A pin that was never set up is nobody's interrupt: masked with vector 0.
    if (entry.masked && entry.vector === 0 && entry.mode === "fixed") return false;
    const id = this.ledger.sent(this.ledger.newSend(), message, this.apicId, this.cpuIndex);
    if (entry.masked) return this.refuse(id, `LVT ${lvtNames[index]} masked`);
    if (entry.mode === "reserved") return this.refuse(id, `delivery mode is reserved in LVT ${lvtNames[index]}`);
    // The handler unmasks it again when it has dealt with the counter.
    if (index === Lvt.pmc) this.lvt[index] |= LvtBit.mask;
    return this.receive(message, id);
  }

  /** Level of a pin after its polarity bit. */
  private lintAsserted(index: number): boolean {
    return this.lint[index - Lvt.lint0] !== ((this.lvt[index] & LvtBit.polarity) !== 0);
  }

  /** Only a fixed interrupt on LINT0 can be level-triggered (SDM vol. 3, "Local Vector Table", trigger mode). */
  private isLevelLint(index: number): boolean {
    return index === Lvt.lint0 && (this.lvt[index] & 0x700) === 0 && (this.lvt[index] & LvtBit.level) !== 0;
  }

  /** A level-triggered LINT0 that is asserted, not masked and not being served is accepted, and shows so in remote IRR. */
  private sampleLints(): void {
    const index = Lvt.lint0;
    if (!this.enabled || !this.isLevelLint(index) || !this.lintAsserted(index)) return;
    if ((this.lvt[index] & (LvtBit.mask | LvtBit.remoteIrr)) !== 0) return;
    // Set first: what follows may come back here through the error interrupt.
    this.lvt[index] |= LvtBit.remoteIrr;
    if (!this.deliverLvt(index)) this.lvt[index] &= ~LvtBit.remoteIrr;
  }

  private receiveDirectNmi(): void {
    const id = this.ledger.sent(
      this.ledger.newSend(),
      { source: "lint1", mode: "nmi", vector: 0, trigger: "edge", shorthand: "none", src: -1, senderCpu: -1 },
      this.apicId,
      this.cpuIndex,
    );
    this.ledger.latched(id, this.cpuIndex, "nmi");
    this.cpu.raiseNmi();
  }

  // --- INTR ---

  protected override baseChanged(): void {
    this.bus.baseChanged();
  }

  protected override updateIrq(): void {
    const vector = this.deliverable();
    if (vector >= 0) this.ledger.requested(this.cpuIndex, vector);
    this.settleIntr(vector >= 0);
  }

  /** INTR as ExtINT and a deliverable vector, if there is one, have it. */
  private settleIntr(deliverable: boolean): void {
    const external = this.extIntPending();
    this.tellEngine();
    if (!this.acknowledging && (external || this.ledger.pendingExternal(this.cpuIndex) !== 0)) this.trackExtInt();
    const level = deliverable || external;
    if (level === this.intr) return;
    this.intr = level;
    this.cpu.setInterruptRequest(level);
  }

  /** Highest vector in IRR whose class is above that of PPR, -1 if none. */
  private deliverable(): number {
    const vector = highestVector(this.irr);
    return vector >= 0 && vector >> 4 > this.ppr >> 4 ? vector : -1;
  }

  /** The 8259's request as LINT0 lets it through; the pin itself while the APIC is off. */
  private extIntLine(): boolean {
    if (!this.enabled) return this.lint[0];
    const entry = this.lvt[Lvt.lint0];
    return (entry & LvtBit.mask) === 0 && (entry & 0x700) === 0x700 && this.lintAsserted(Lvt.lint0);
  }

  private extIntPending(): boolean {
    return this.extIntMessage || this.extIntLine();
  }

  /** Keeps one record for the external interrupt that is being asked for. */
  private trackExtInt(): void {
    const pending = this.ledger.pendingExternal(this.cpuIndex);
    const line = this.extIntLine();
    if (line && pending === 0) {
      const id = this.ledger.sent(
        this.ledger.newSend(),
        { source: "pic", mode: "extint", vector: 0, trigger: "level", shorthand: "none", src: -1, senderCpu: -1 },
        this.apicId,
        this.cpuIndex,
      );
      this.ledger.latched(id, this.cpuIndex, "extint");
      this.ledger.requestedLatch(this.cpuIndex, "extint");
    } else if (!line && !this.extIntMessage && pending !== 0) {
      this.ledger.cancelled(this.cpuIndex, "extint", "the 8259 withdrew its request before the CPU took it");
    } else if (this.extIntMessage) {
      this.ledger.requestedLatch(this.cpuIndex, "extint");
    }
  }
}
