import { assert } from "../common/errors";
import type { State } from "../common/state";
import type { Clock } from "../devices/device";
import { DelayLine } from "./delayLine";
import { decodeMsi } from "./fields";
import type { LocalApic } from "./localApic";
import type { Injection, InterruptMessage } from "./message";
import type { InterruptLedger } from "./ledger";

/** An I/O APIC as the bus sees it. */
export interface EoiListener {
  /** EOI broadcast of a level-triggered vector. */
  eoi(vector: number): void;
  /** Local APICs may take now what none took before. */
  retry(): void;
}

/**
 * The system bus between I/O APICs, MSI sources and local APICs: finds the targets of each message and hands it to them.
 *
 * Lowest priority goes to the enabled local APIC with the lowest PPR. Among equals the rotating arbitration priority decides, as the
 * manual has it for the APIC bus: it starts as the order of CPUs, the highest wins and becomes the lowest, those below move up.
 */
export class InterruptBus {
  private readonly locals: LocalApic[] = [];
  private readonly ioApics: EoiListener[] = [];
  private readonly baseListeners: (() => void)[] = [];
  /** Arbitration priority by position in `locals`: a permutation. */
  private arbitration: number[] = [];
  private picAcknowledge: (() => number) | undefined;
  private retrying = false;
  private delayLine: DelayLine | undefined;

  constructor(readonly ledger: InterruptLedger) {
    ledger.onOwnSend = (cpu, moment) => this.locals[cpu].noteSend(moment);
  }

  /** Gives the bus a clock, by which IPIs can be held back. */
  connectDelays(clock: Clock): DelayLine {
    this.delayLine = new DelayLine(clock, this.ledger, (cpu, message, id) => void this.locals[cpu].receive(message, id));
    return this.delayLine;
  }

  /** The local APICs, by CPU index. */
  get apics(): readonly LocalApic[] {
    return this.locals;
  }

  /** Called by each local APIC as it is created, in the order of CPU indices. */
  attachLocal(apic: LocalApic): void {
    assert(
      apic.cpuIndex === this.locals.length,
      `local APICs are created in the order of CPUs, not ${apic.cpuIndex} as number ${this.locals.length}`,
    );
    this.arbitration.push(this.locals.length);
    this.locals.push(apic);
    this.baseChanged();
  }

  attachIoApic(ioApic: EoiListener): void {
    this.ioApics.push(ioApic);
  }

  /** Says how the 8259 pair answers INTA: the vector, 0 to 255. */
  connectPic(acknowledge: () => number): void {
    this.picAcknowledge = acknowledge;
  }

  /** INTA to the 8259; without one the bus floats and gives 0xff. */
  acknowledgePic(): number {
    return this.picAcknowledge === undefined ? 0xff : this.picAcknowledge() & 0xff;
  }

  /** Calls `listener` whenever a local APIC's base address or mode changed. */
  onBaseChanged(listener: () => void): void {
    this.baseListeners.push(listener);
  }

  baseChanged(): void {
    for (const listener of this.baseListeners) listener();
  }

  /** A local APIC can take what it could not before: I/O APICs send again what waits for a taker. */
  reachabilityChanged(): void {
    if (this.retrying) return;
    this.retrying = true;
    for (const ioApic of this.ioApics) ioApic.retry();
    this.retrying = false;
  }

  /** Sends a message to all its targets. Returns how many accepted it; each target, or a lack of any, has its record. */
  deliver(message: InterruptMessage): number {
    const first = message.shorthand === "self" ? message.senderCpu : this.addressed(message, 0);
    if (first < 0 || !this.locals[first].enabled) {
      this.reject(message, this.whyNobody(message));
      return 0;
    }
    if (message.shorthand === "self" || this.addressed(message, first + 1) < 0) return this.deliverToOne(this.locals[first], message);
    return this.deliverTo(this.targets(message), message);
  }

  /** Index of the first enabled local APIC from `from` on that a message is for, -1 for none. */
  private addressed(message: InterruptMessage, from: number): number {
    const { locals } = this;
    for (let index = from; index < locals.length; index++)
      if (locals[index].enabled && this.isAddressed(locals[index], message)) return index;
    return -1;
  }

  /** The same as {@link deliverTo} for the usual number of targets. */
  private deliverToOne(apic: LocalApic, message: InterruptMessage): number {
    if (!this.ledger.observed && this.delayLine?.holds !== true && apic.take(message)) return 1;
    const id = this.ledger.sent(this.ledger.newSend(), message, apic.apicId, apic.cpuIndex);
    if (this.delayLine?.takes(message, apic.apicId, apic.cpuIndex, id) === true) return 0;
    return apic.receive(message, id) ? 1 : 0;
  }

  /** Records a send that reaches nobody. */
  reject(message: InterruptMessage, reason: string): void {
    this.ledger.dropped(this.ledger.sent(this.ledger.newSend(), message, -1, -1), reason);
  }

  /** EOI broadcast of a level-triggered vector to all I/O APICs. */
  eoi(vector: number): void {
    for (const ioApic of this.ioApics) ioApic.eoi(vector);
  }

  /** A 32-bit store from the bus side to 0xfeexxxxx (SDM vol. 3, "Message Signalled Interrupts"). Returns how many targets accepted it. */
  msi(address: number, data: number): number {
    const msi = decodeMsi(address, data);
    const redirected = msi.redirect && msi.destinationMode === "logical" && msi.mode === "fixed";
    const reserved = msi.mode === "reserved";
    const message: InterruptMessage = {
      source: "msi",
      mode: redirected ? "lowpri" : msi.mode === "reserved" ? "fixed" : msi.mode,
      vector: msi.vector,
      trigger: msi.trigger,
      shorthand: "none",
      destinationMode: msi.destinationMode,
      destination: msi.destination,
      wide: false,
      src: -1,
      senderCpu: -1,
    };
    if (reserved) this.reject(message, `delivery mode ${(data >>> 8) & 7} is reserved in MSI data`);
    else if (msi.trigger === "level" && !msi.assert) this.reject(message, "MSI level de-assert: nothing is sent");
    else return this.deliver(message);
    return 0;
  }

  /** Sends an interrupt on behalf of the debugger, by the same path as all others. Returns how many targets accepted it. */
  inject(injection: Injection): number {
    const message: InterruptMessage = {
      source: "debugger",
      mode: injection.mode,
      vector: (injection.vector ?? 0) & 0xff,
      trigger: injection.trigger ?? "edge",
      shorthand: injection.shorthand ?? "none",
      destinationMode: injection.destinationMode ?? "physical",
      destination: (injection.destination ?? 0) >>> 0,
      wide: true,
      src: -1,
      senderCpu: -1,
    };
    if (injection.cpu === undefined) return this.deliver(message);
    const apic = this.locals.at(injection.cpu);
    if (apic !== undefined && injection.cpu >= 0) return this.deliverToOne(apic, message);
    this.reject(message, `there is no CPU ${injection.cpu}`);
    return 0;
  }

  /** Whether a message to this destination, without a shorthand, is for `apic` (its enablement aside). */
  addresses(apic: LocalApic, destination: Pick<InterruptMessage, "destinationMode" | "destination" | "wide">): boolean {
    if (destination.destination === (destination.wide ? 0xffffffff : 0xff)) return true;
    return destination.destinationMode === "physical"
      ? apic.apicId === destination.destination
      : matchesLogical(apic, destination.destination);
  }

  /** The enabled local APIC with a physical id. */
  findPhysical(id: number): LocalApic | undefined {
    return this.locals.find((apic) => apic.enabled && apic.apicId === id);
  }

  /** Power-on: arbitration starts over. */
  reset(): void {
    this.arbitration = this.locals.map((_, index) => index);
    this.delayLine?.reset();
  }

  /** The arbitration priorities and, where IPIs are held back, those. */
  save(): State {
    const delayed = this.delayLine?.save();
    return delayed === undefined ? [...this.arbitration] : [[...this.arbitration], delayed];
  }

  restore(state: State): void {
    const [first, delayed] = state as readonly State[];
    this.arbitration = [...((typeof first === "number" ? state : first) as readonly number[])];
    this.delayLine?.restore(typeof first === "number" ? undefined : delayed);
  }

  private deliverTo(targets: readonly LocalApic[], message: InterruptMessage): number {
    const sendId = this.ledger.newSend();
    const ids = targets.map((apic) => this.ledger.sent(sendId, message, apic.apicId, apic.cpuIndex));
    let accepted = 0;
    for (const [index, apic] of targets.entries()) {
      if (this.delayLine?.takes(message, apic.apicId, apic.cpuIndex, ids[index]) === true) continue;
      if (apic.receive(message, ids[index])) accepted++;
    }
    return accepted;
  }

  private targets(message: InterruptMessage): readonly LocalApic[] {
    const found = this.locals.filter((apic) => apic.enabled && this.isAddressed(apic, message));
    return message.mode === "lowpri" && found.length > 1 ? [this.arbitrate(found)] : found;
  }

  private isAddressed(apic: LocalApic, message: InterruptMessage): boolean {
    switch (message.shorthand) {
      case "self":
        return apic.cpuIndex === message.senderCpu;
      case "all":
        return true;
      case "others":
        return apic.cpuIndex !== message.senderCpu;
      case "none":
        return this.addresses(apic, message);
    }
  }

  private arbitrate(candidates: readonly LocalApic[]): LocalApic {
    const able = candidates.filter((apic) => apic.softwareEnabled);
    let winner = candidates[0];
    let best = Infinity;
    for (const apic of able) {
      if (apic.ppr > best) continue;
      if (apic.ppr === best && this.arbitration[apic.cpuIndex] < this.arbitration[winner.cpuIndex]) continue;
      winner = apic;
      best = apic.ppr;
    }
    const rank = this.arbitration[winner.cpuIndex];
    this.arbitration = this.arbitration.map((other) => (other < rank ? other + 1 : other));
    this.arbitration[winner.cpuIndex] = 0;
    return winner;
  }

  private whyNobody(message: InterruptMessage): string {
    switch (message.shorthand) {
      case "self":
        return "local APIC disabled in IA32_APIC_BASE";
      case "all":
        return "no local APIC is enabled";
      case "others":
        return "there is no other CPU with its local APIC enabled";
      case "none": {
        if (message.destinationMode === "logical") return `no destination matched logical address 0x${message.destination.toString(16)}`;
        const off = this.locals.find((apic) => !apic.enabled && apic.initialId === message.destination);
        if (off !== undefined) return `CPU ${off.cpuIndex} has its local APIC disabled in IA32_APIC_BASE`;
        return `no destination matched APIC id ${message.destination}`;
      }
    }
  }
}

/**
 * Whether a logical destination names this APIC (SDM vol. 3, "Logical Destination Mode" and "Logical Destination Mode in x2APIC Mode").
 * An x2APIC compares cluster and bit; an xAPIC by the model of its DFR: flat, or cluster and bit. Other models match nothing.
 */
function matchesLogical(apic: LocalApic, destination: number): boolean {
  const own = apic.logicalId;
  if (apic.x2apicMode) return destination >>> 16 === own >>> 16 && (destination & own & 0xffff) !== 0;
  if (destination > 0xff) return false;
  const model = apic.destinationFormat >>> 28;
  if (model === 0xf) return (destination & own) !== 0;
  return model === 0 && destination >> 4 === own >> 4 && (destination & own & 0xf) !== 0;
}
