import type { State } from "../common/state";
import type { Clock, Device, RegisterView } from "../devices/device";
import { APIC_ICR_LOW, APIC_ID, APIC_IRR, APIC_ISR, APIC_TMR, APIC_TPR, APIC_WORDS } from "../tcg/layout";
import { ApicTimer, type TscSource } from "./apicTimer";
import { ApicBase, Lvt, Svr, lvtNames, lvtReadOnly, timerMode, x2apicLogicalId } from "./fields";
import { Reg, lvtMask, svrMask, type ApicModel } from "./registerMap";
import { localApicViews } from "./registerViews";

export const defaultApicBase = 0xfee00000n;

/** Index of the highest set bit of a 256-bit register, -1 if it is empty. */
export function highestVector(bits: Uint32Array): number {
  for (let word = 7; word >= 0; word--) if (bits[word] !== 0) return word * 32 + 31 - Math.clz32(bits[word]);
  return -1;
}

/** The vectors set in a 256-bit register, ascending. */
export function setVectors(bits: Uint32Array): number[] {
  const list: number[] = [];
  for (let vector = 0; vector < 256; vector++) if ((bits[vector >> 5] >>> (vector & 31)) & 1) list.push(vector);
  return list;
}

function toBigInt(bits: Uint32Array): bigint {
  let value = 0n;
  for (let word = 7; word >= 0; word--) value = (value << 32n) | BigInt(bits[word]);
  return value;
}

function fromBigInt(bits: Uint32Array, value: bigint): void {
  for (let word = 0; word < 8; word++) bits[word] = Number((value >> BigInt(word * 32)) & 0xffffffffn);
}

/** Index of the LVT entry with this public name; -1: it is none. */
const lvtIndexOf = (name: string): number => lvtNames.findIndex((entry) => name === `LVT ${entry}`);

/**
 * State of a local APIC: registers, how they read, how a debugger sees and sets them, save and restore.
 * What they do is in {@link InterruptHandling} and {@link LocalApic}.
 */
export abstract class ApicCommon implements Device {
  readonly name: string;
  private baseValue = 0n;
  /** What IA32_APIC_BASE says, kept apart as it is asked for at every message. */
  private isEnabled = false;
  private isX2apic = false;
  private page = -1;
  protected ldr = 0;
  protected dfr = 0xffffffff;
  protected svr = 0xff;
  /** ESR as a guest reads it, and errors since it was last written. */
  protected esr = 0;
  protected errors = 0;
  /** False from an error interrupt until the guest writes ESR. */
  protected errorArmed = true;
  protected icrHigh = 0;
  protected remoteReadValue = 0;
  protected readonly lvt = new Uint32Array(lvtNames.length);
  protected readonly irr: Uint32Array;
  protected readonly isr: Uint32Array;
  protected readonly tmr: Uint32Array;
  protected readonly timer: ApicTimer;
  /** Electrical level of the two pins. */
  protected readonly lint: [boolean, boolean] = [false, false];
  /** An ExtINT message was received and not yet acknowledged. */
  protected extIntMessage = false;
  /** Times the spurious vector was delivered. */
  protected spurious = 0;

  protected constructor(
    /** Index of the CPU it belongs to. */
    readonly cpuIndex: number,
    /** APIC id that hardware assigned, 32 bits. */
    readonly initialId: number,
    protected readonly bootstrap: boolean,
    readonly model: ApicModel,
    clock: Clock,
    tsc: TscSource,
    /** What an engine works on by itself, APIC_WORDS of them (tcg/layout.ts). */
    protected readonly registerWords: Uint32Array = new Uint32Array(APIC_WORDS),
  ) {
    this.isr = registerWords.subarray(APIC_ISR, APIC_ISR + 8);
    this.tmr = registerWords.subarray(APIC_TMR, APIC_TMR + 8);
    this.irr = registerWords.subarray(APIC_IRR, APIC_IRR + 8);
    this.name = `lapic${cpuIndex}`;
    this.base = defaultApicBase | ApicBase.enable | (bootstrap ? ApicBase.bootstrap : 0n);
    this.timer = new ApicTimer(this.name, clock, tsc, () => this.timerFired());
    this.clearState();
  }

  /** Power-up or RESET; with `init`, INIT. */
  abstract reset(init?: boolean): void;
  protected abstract timerFired(): void;
  /** Brings INTR in line with the registers. */
  protected abstract updateIrq(): void;
  /** Tells the bus that base address or mode changed. */
  protected abstract baseChanged(): void;

  /** The xAPIC's ID register, bits 31:24. x2APIC mode has the initial id. */
  protected get idRegister(): number {
    return this.registerWords[APIC_ID];
  }

  protected set idRegister(value: number) {
    this.registerWords[APIC_ID] = value;
  }

  protected get tpr(): number {
    return this.registerWords[APIC_TPR];
  }

  protected set tpr(value: number) {
    this.registerWords[APIC_TPR] = value;
  }

  protected get icrLow(): number {
    return this.registerWords[APIC_ICR_LOW];
  }

  protected set icrLow(value: number) {
    this.registerWords[APIC_ICR_LOW] = value;
  }

  /** False while IA32_APIC_BASE disables the APIC; CPUID then hides it. */
  get enabled(): boolean {
    return this.isEnabled;
  }

  get x2apicMode(): boolean {
    return this.isX2apic;
  }

  /** IA32_APIC_BASE. */
  protected get base(): bigint {
    return this.baseValue;
  }

  protected set base(value: bigint) {
    this.baseValue = value;
    this.isEnabled = (value & ApicBase.enable) !== 0n;
    this.isX2apic = this.isEnabled && (value & ApicBase.x2apic) !== 0n;
    this.page = this.isEnabled && !this.isX2apic ? Number((value & ~0xfffn) >> 12n) : -1;
  }

  /** SVR bit 8. */
  get softwareEnabled(): boolean {
    return (this.svr & Svr.enable) !== 0;
  }

  /** IA32_APIC_BASE as RDMSR gives it. */
  get baseMsr(): bigint {
    return this.base;
  }

  /** Physical page number of the register page while there is one: in xAPIC mode; else -1. */
  get registerPage(): number {
    return this.page;
  }

  /** Physical address of the register page. */
  get baseAddress(): number {
    return Number(this.base & ~0xfffn);
  }

  /** APIC id as the bus knows it now: 8 bits, which the guest may change, or 32 in x2APIC mode. */
  get apicId(): number {
    return this.x2apicMode ? this.initialId : this.idRegister >>> 24;
  }

  /** Logical destination: 8 bits, or 32 in x2APIC mode. */
  get logicalId(): number {
    return this.x2apicMode ? x2apicLogicalId(this.initialId) : this.ldr >>> 24;
  }

  /** Vectors pending, in service, and level-triggered, ascending. */
  get pendingVectors(): number[] {
    return setVectors(this.irr);
  }

  get inServiceVectors(): number[] {
    return setVectors(this.isr);
  }

  get levelVectors(): number[] {
    return setVectors(this.tmr);
  }

  /** Processor priority: the higher class of TPR and of the highest vector in service (SDM vol. 3, "Task and Processor Priorities"). */
  get ppr(): number {
    const inService = Math.max(0, highestVector(this.isr)) & 0xf0;
    return (this.tpr & 0xf0) >= inService ? this.tpr : inService;
  }

  /** Arbitration priority, by the manual's formula for P6 processors. */
  get apr(): number {
    const requested = Math.max(0, highestVector(this.irr)) >> 4;
    const inService = Math.max(0, highestVector(this.isr)) >> 4;
    const task = this.tpr >> 4;
    return task >= requested && task > inService ? this.tpr : Math.max(task & inService, requested) << 4;
  }

  get version(): number {
    return 0x00060015 | (this.model.eoiSuppression === false ? 0 : 0x01000000);
  }

  /** Raw LVT entries by index of {@link lvtNames}. */
  lvtEntry(index: number): number {
    return this.lvt[index];
  }

  get taskPriority(): number {
    return this.tpr;
  }

  get destinationFormat(): number {
    return this.dfr;
  }

  /**
   * Copies what decides on interrupts into `words` from `at` on: ISR, TMR and IRR as their registers lie, then ID, LDR, DFR, SVR, TPR, PPR, ICR (low, high), the LVT entry with index `lvt` of {@link lvtNames}, 0 with
   * -1, initial count and divide configuration.
   */
  copyState(words: Uint32Array, at: number, lvt: number): void {
    words.set(this.isr, at);
    words.set(this.tmr, at + 8);
    words.set(this.irr, at + 16);
    const { isX2apic, timer } = this;
    words[at + 24] = isX2apic ? this.initialId : this.idRegister;
    words[at + 25] = isX2apic ? this.logicalId : this.ldr;
    words[at + 26] = this.dfr;
    words[at + 27] = this.svr;
    words[at + 28] = this.tpr;
    words[at + 29] = this.ppr;
    words[at + 30] = this.icrLow;
    words[at + 31] = this.icrHigh;
    words[at + 32] = lvt < 0 ? 0 : this.lvt[lvt];
    words[at + 33] = timer.initialCount;
    words[at + 34] = timer.divideRegister;
  }

  /** A register as the guest would read it but without any side effect; undefined where there is none to read. */
  peek(register: number): number | undefined {
    if (register >= Reg.isr && register < Reg.tmr) return this.isr[register - Reg.isr];
    if (register >= Reg.tmr && register < Reg.irr) return this.tmr[register - Reg.tmr];
    if (register >= Reg.irr && register < Reg.esr) return this.irr[register - Reg.irr];
    if (register >= Reg.lvtTimer && register <= Reg.lvtError) return this.lvt[register - Reg.lvtTimer + Lvt.timer];
    switch (register) {
      case Reg.id:
        return this.x2apicMode ? this.initialId >>> 0 : this.idRegister;
      case Reg.version:
        return this.version;
      case Reg.tpr:
        return this.tpr;
      case Reg.apr:
        return this.apr;
      case Reg.ppr:
        return this.ppr;
      case Reg.eoi:
        return 0;
      case Reg.remoteRead:
        return this.remoteReadValue;
      case Reg.ldr:
        return this.x2apicMode ? this.logicalId : this.ldr;
      case Reg.dfr:
        return this.dfr;
      case Reg.svr:
        return this.svr;
      case Reg.esr:
        return this.esr;
      case Reg.lvtCmci:
        return this.lvt[Lvt.cmci];
      case Reg.icrLow:
        return this.icrLow;
      case Reg.icrHigh:
        return this.icrHigh;
      case Reg.initialCount:
        return this.timer.initialCount;
      case Reg.currentCount:
        return this.timer.currentCount();
      case Reg.divide:
        return this.timer.divideRegister;
      default:
        return undefined;
    }
  }

  /** The register page as a memory view shows it: `size` bytes at `offset`, no side effects. Bytes 4 to 15 of a register are zero. */
  peekMmio(offset: number, size: 1 | 2 | 4 | 8): bigint {
    const within = offset & 15;
    if (within >= 4) return 0n;
    const value = BigInt(this.peek((offset >> 4) & 0xff) ?? 0) >> BigInt(within * 8);
    return BigInt.asUintN(size * 8, value);
  }

  /** Every register by its public name, decoded. No side effects. */
  registers(): readonly RegisterView[] {
    return localApicViews({
      x2apic: this.x2apicMode,
      value: (register) => this.peek(register) ?? 0,
      icr: (BigInt(this.icrHigh) << 32n) | BigInt(this.icrLow),
      lvt: this.lvt,
      isr: toBigInt(this.isr),
      tmr: toBigInt(this.tmr),
      irr: toBigInt(this.irr),
      base: this.base,
    });
  }

  /**
   * Sets a register as a debugger does, by its public name: the value is put there raw (reserved bits aside), and nothing happens as it
   * would on a guest's write: no IPI, no EOI, no restarted count. INTR follows, as it is a function of the registers. Returns false for
   * names that there are not, and for registers that cannot be set (VER, APR, PPR).
   */
  poke(name: string, value: bigint): boolean {
    const mask = this.pokeMask(name);
    if (mask === undefined) return false;
    const kept = value & mask;
    const lvtIndex = lvtIndexOf(name);
    if (lvtIndex >= 0) {
      this.lvt[lvtIndex] = Number(kept);
      this.configureTimer();
    } else if (name === "APIC_BASE") {
      // What the guest could not write would fault: nothing is left out of it.
      if (kept !== value || !this.pokeBase(kept)) return false;
    } else this.pokeRegister(name, kept, Number(BigInt.asUintN(32, kept)));
    this.updateIrq();
    return true;
  }

  /** Bits of a register, by its public name, that {@link poke} sets; undefined for registers that cannot be set and that there are not. */
  pokeMask(name: string): bigint | undefined {
    const lvtIndex = lvtIndexOf(name);
    if (lvtIndex >= 0) return BigInt((lvtMask(lvtIndex, this.model) | lvtReadOnly[lvtIndex]) >>> 0);
    switch (name) {
      case "ID":
      case "LDR":
        return this.x2apicMode ? undefined : 0xff000000n;
      case "TPR":
        return 0xffn;
      case "DFR":
        return 0xf0000000n;
      case "SVR":
        return BigInt(svrMask(this.model) >>> 0);
      case "ESR":
        return 0xf0n;
      case "ICR":
        return ((this.x2apicMode ? 0xffff_ffffn : 0xff00_0000n) << 32n) | 0xccfffn;
      case "TMICT":
      case "TMCCT":
        return 0xffff_ffffn;
      case "TDCR":
        return 0xbn;
      case "ISR":
      case "TMR":
      case "IRR":
        return ((1n << 256n) - 1n) & ~0xffffn;
      case "APIC_BASE":
        return BigInt.asUintN(64, ~this.reservedBaseBits());
      default:
        return undefined;
    }
  }

  save(): State {
    return {
      base: this.base,
      idRegister: this.idRegister,
      tpr: this.tpr,
      ldr: this.ldr,
      dfr: this.dfr,
      svr: this.svr,
      esr: this.esr,
      errors: this.errors,
      errorArmed: this.errorArmed,
      icrLow: this.icrLow,
      icrHigh: this.icrHigh,
      remoteReadValue: this.remoteReadValue,
      lvt: Array.from(this.lvt),
      irr: Array.from(this.irr),
      isr: Array.from(this.isr),
      tmr: Array.from(this.tmr),
      timer: this.timer.save(),
      lint: [...this.lint],
      extIntMessage: this.extIntMessage,
      spurious: this.spurious,
    };
  }

  restore(state: State): void {
    const saved = state as { [key: string]: State };
    const number = (key: string): number => saved[key] as number;
    this.base = saved["base"] as bigint;
    this.idRegister = number("idRegister");
    this.tpr = number("tpr");
    this.ldr = number("ldr");
    this.dfr = number("dfr");
    this.svr = number("svr");
    this.esr = number("esr");
    this.errors = number("errors");
    this.errorArmed = saved["errorArmed"] as boolean;
    this.icrLow = number("icrLow");
    this.icrHigh = number("icrHigh");
    this.remoteReadValue = number("remoteReadValue");
    this.lvt.set(saved["lvt"] as number[]);
    this.irr.set(saved["irr"] as number[]);
    this.isr.set(saved["isr"] as number[]);
    this.tmr.set(saved["tmr"] as number[]);
    this.timer.restore(saved["timer"]);
    [this.lint[0], this.lint[1]] = saved["lint"] as [boolean, boolean];
    this.extIntMessage = saved["extIntMessage"] as boolean;
    this.spurious = number("spurious");
  }

  /** State after power-up and INIT (SDM vol. 3, "Local APIC State After It Has Been Initialized"), but for ids and IA32_APIC_BASE. */
  protected clearState(): void {
    this.tpr = 0;
    this.ldr = 0;
    this.dfr = 0xffffffff;
    this.svr = 0xff;
    this.esr = 0;
    this.errors = 0;
    this.errorArmed = true;
    this.icrLow = 0;
    this.icrHigh = 0;
    this.remoteReadValue = 0;
    this.lvt.fill(0x10000);
    this.irr.fill(0);
    this.isr.fill(0);
    this.tmr.fill(0);
    this.timer.reset();
    this.extIntMessage = false;
  }

  /** Power-up id in the xAPIC's register. */
  protected resetId(): void {
    this.idRegister = (this.initialId << 24) >>> 0;
  }

  protected configureTimer(): void {
    const entry = this.lvt[Lvt.timer];
    this.timer.configure(timerMode(entry), (entry & 0x10000) !== 0);
  }

  /** `word`: the lower half of `value`, which has no bits outside {@link pokeMask}. */
  private pokeRegister(name: string, value: bigint, word: number): void {
    switch (name) {
      case "ID":
        this.idRegister = word;
        break;
      case "TPR":
        this.tpr = word;
        break;
      case "LDR":
        this.ldr = word;
        break;
      case "DFR":
        this.dfr = (word | 0x0fffffff) >>> 0;
        break;
      case "SVR":
        this.svr = word;
        break;
      case "ESR":
        this.esr = word;
        break;
      case "ICR":
        this.icrLow = word;
        this.icrHigh = Number(value >> 32n);
        break;
      case "TMICT":
        this.timer.initialCount = word;
        break;
      case "TMCCT":
        this.timer.setCurrentCount(word);
        break;
      case "TDCR":
        this.timer.setDivide(word);
        break;
      case "ISR":
        fromBigInt(this.isr, value);
        break;
      case "TMR":
        fromBigInt(this.tmr, value);
        break;
      case "IRR":
        fromBigInt(this.irr, value);
        break;
    }
  }

  private pokeBase(value: bigint): boolean {
    if ((value & ApicBase.x2apic) !== 0n && (value & ApicBase.enable) === 0n) return false;
    this.base = value;
    this.baseChanged();
    return true;
  }

  protected reservedBaseBits(): bigint {
    const address = (1n << BigInt(this.model.physicalBits ?? 40)) - 0x1000n;
    const flags = ApicBase.bootstrap | ApicBase.enable | (this.model.x2apic === false ? 0n : ApicBase.x2apic);
    return BigInt.asUintN(64, ~(address | flags));
  }
}
