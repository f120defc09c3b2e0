import { LastWrites } from "../common/lastWrites";
import type { Moment } from "../common/moment";
import type { State } from "../common/state";
import { APIC_SEND_NOT_LOOKED_AT } from "../tcg/layout";
import { defaultApicBase } from "./apicCommon";
import { ApicBase, EsrBit, Lvt, LvtBit, Svr, WrittenRegister, lvtReadOnly, writtenRegisters } from "./fields";
import { InterruptHandling, type LocalApicOptions } from "./interruptHandling";
import { Reg, lvtMask, svrMask, x2apicMask } from "./registerMap";
import { type Send, sendByIcr, type Sender, sendSelf } from "./sending";

const apicBaseMsr = 0x1b;
const tscDeadlineMsr = 0x6e0;

/** True for the MSRs that the local APIC implements or whose absence it answers for: 0x1b, 0x6e0, 0x800 to 0x8ff. */
export function isApicMsr(index: number): boolean {
  return (index >= 0x800 && index <= 0x8ff) || index === apicBaseMsr || index === tscDeadlineMsr;
}

/**
 * A local APIC (SDM vol. 3, "Advanced Programmable Interrupt Controller (APIC)"), xAPIC and x2APIC. Here is how a guest gets at it: its registers in memory and as MSRs, what writing them does, and the interrupts
 * that it sends. What becomes of interrupts that reach it is in {@link InterruptHandling}, its state in {@link ApicCommon}.
 *
 * Where the manual leaves room, this one: has seven LVT entries and EOI-broadcast suppression (version 0x15); sends level-triggered
 * IPIs as edge-triggered and takes the level flag for set, as processors since the Pentium 4; sends nothing for combinations that the
 * manual's table calls invalid; ignores MMIO writes that are not aligned and 32 bits wide, and reads bytes 4 to 15 of a register as
 * zero; keeps what is pending in IRR deliverable while software-disabled; gives ExtINT precedence over its own vectors; raises the
 * error interrupt once until ESR is written.
 */
export class LocalApic extends InterruptHandling {
  private readonly lastWrites: LastWrites;
  /** Hears of each access of the guest's to a register, by number, after it was made; CR8 is TPR. Undefined while nobody wants to know. */
  accessed: ((register: number, write: boolean) => void) | undefined;

  /** Creates the APIC and puts it on the bus. */
  constructor(options: LocalApicOptions) {
    super(options);
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

  /** ICR was written in xAPIC mode, and its delivery status not read since. */
  private get sendNotLookedAt(): boolean {
    return this.registerWords[APIC_SEND_NOT_LOOKED_AT] !== 0;
  }

  private set sendNotLookedAt(value: boolean) {
    this.registerWords[APIC_SEND_NOT_LOOKED_AT] = value ? 1 : 0;
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

  override restore(state: State): void {
    super.restore(state);
    const saved = state as { [key: string]: State };
    this.writes.restore(saved["writes"]);
    this.sendNotLookedAt = saved["sendNotLookedAt"] as boolean;
    this.bus.baseChanged();
  }

  override save(): State {
    return {
      ...(super.save() as { readonly [key: string]: State }),
      writes: this.writes.save(),
      sendNotLookedAt: this.sendNotLookedAt,
    };
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

  protected override baseChanged(): void {
    this.bus.baseChanged();
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
}
