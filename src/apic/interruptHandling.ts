import type { State } from "../common/state";
import type { Clock } from "../devices/device";
import { APIC_HOST, APIC_INTR, HOST_STATE } from "../tcg/layout";
import { ApicCommon, highestVector } from "./apicCommon";
import type { TscSource } from "./apicTimer";
import type { InterruptBus } from "./bus";
import type { ApicCpu, InterruptSource, MisuseKind, TriggerMode } from "./events";
import { EsrBit, Lvt, LvtBit, Svr, decodeLvt, lvtNames } from "./fields";
import type { InterruptLedger } from "./ledger";
import type { InterruptMessage } from "./message";
import type { ApicModel } from "./registerMap";
import { hex } from "./registerViews";

/** What a local APIC is made of. */
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

const lvtSources: readonly InterruptSource[] = ["cmci", "timer", "thermal", "pmc", "lint0", "lint1", "error"];

/**
 * What a local APIC does with interrupts (SDM vol. 3, "Handling Local Interrupts" and "Handling Interrupts"): it takes what arrives from the bus and what its own sources signal, holds it in IRR, asks the CPU by
 * INTR for what is above its priority, hands it over and hears that it has ended. How a guest gets at the registers that decide on this is in {@link LocalApic}.
 */
export abstract class InterruptHandling extends ApicCommon {
  readonly cpu: ApicCpu;
  protected readonly bus: InterruptBus;
  protected readonly ledger: InterruptLedger;
  /** True while the 8259 is being asked for its vector: its output changes under our hands. */
  private acknowledging = false;

  protected constructor(options: LocalApicOptions) {
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
  }

  // --- Acceptance: from the bus ---

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

  private refuse(id: number, reason: string): false {
    this.ledger.dropped(id, reason);
    return false;
  }

  protected misused(kind: MisuseKind, vector: number): void {
    if (this.ledger.wantsMisuse) this.ledger.misused({ kind, cpu: this.cpuIndex, vector });
  }

  // --- Local interrupts: what the LVT says of the timer, the pins, errors and others ---

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

  protected override timerFired(): void {
    this.deliverLvt(Lvt.timer);
  }

  /** Records an error (SDM vol. 3, "Error Handling"); the first since ESR was last written raises the error interrupt if it is not masked. */
  protected raiseError(bit: number): void {
    this.errors |= bit;
    if (!this.errorArmed || (this.lvt[Lvt.error] & LvtBit.mask) !== 0) return;
    this.errorArmed = false;
    this.deliverLvt(Lvt.error);
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
  protected isLevelLint(index: number): boolean {
    return index === Lvt.lint0 && (this.lvt[index] & 0x700) === 0 && (this.lvt[index] & LvtBit.level) !== 0;
  }

  /** A level-triggered LINT0 that is asserted, not masked and not being served is accepted, and shows so in remote IRR. */
  protected sampleLints(): void {
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

  // --- INTR: what the CPU is asked to take ---

  private get intr(): boolean {
    return this.registerWords[APIC_INTR] !== 0;
  }

  private set intr(value: boolean) {
    this.registerWords[APIC_INTR] = value ? 1 : 0;
  }

  /** True while INTR is asserted: a vector above the processor priority, or ExtINT. */
  get hasPending(): boolean {
    return this.intr;
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

  /** Says whether an engine may send and end interrupts by itself, as far as the state goes. Called whenever what that depends on may have changed. */
  protected tellEngine(): void {
    const words = this.registerWords;
    if (this.registerPage >= 0 && this.softwareEnabled && !this.acknowledging && !this.extIntPending()) words[APIC_HOST] &= ~HOST_STATE;
    else words[APIC_HOST] |= HOST_STATE;
  }

  // --- The CPU's answer, and the end ---

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

  override save(): State {
    return { ...(super.save() as { readonly [key: string]: State }), intr: this.intr };
  }

  override restore(state: State): void {
    super.restore(state);
    this.intr = (state as { [key: string]: State })["intr"] as boolean;
    this.cpu.setInterruptRequest(this.intr);
    this.tellEngine();
  }
}
