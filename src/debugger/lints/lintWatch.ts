import type { InterruptEvent, InterruptRecord, Misuse } from "../../apic/events";
import { StageCode } from "../../apic/recordStore";
import { CS } from "../../cpu/segmentRegisters";
import type { DeliveredEvent } from "../../cpu/system/context";
import type { HandlerFrame } from "../../machine/handlerFrames";
import { checkGate } from "../inspect/gates";
import { hex } from "../numbers";
import type { DebugCpu, DebugMachine } from "../target";
import type { LintKind, LintList } from "./lint";

/** Virtual time (nanoseconds) that a line may stand asserted at an unmasked pin whose edge was lost before it counts as stuck. */
const stuckAfter = 50_000_000;

/** Virtual time between two looks at pins whose edges were lost. */
const pollEvery = 1_000_000;

/** An edge that came while its pin was masked. */
interface LostEdge {
  readonly record: InterruptRecord;
  /** Virtual time since which the pin is unmasked with its line still asserted; -1 while it is not. */
  since: number;
}

/** Whether a delivery mode, by its index, is one with a bit in the ISR: fixed or lowest priority. */
const isVectored = (mode: number): boolean => mode <= 1;

/**
 * Watches a guest for mistakes with its interrupts. Everything it knows comes from events of the machine; it changes nothing. A correct guest gives no warning.
 */
export class LintWatch {
  private readonly lostEdges = new Map<number, LostEdge>();
  /** Virtual time of the last look at lost edges. */
  private polled = 0;
  /** Gates that were found good, by CPU and vector, with the IDT that they were found in. */
  private readonly goodGates = new Map<number, bigint>();

  constructor(
    private readonly machine: DebugMachine,
    private readonly lints: LintList,
  ) {}

  /** Takes down what is known. Returns what brings it back. */
  save(): () => void {
    const edges = [...this.lostEdges].map(([pin, edge]) => [pin, { ...edge }] as const);
    const gates = [...this.goodGates];
    const { polled } = this;
    return () => {
      this.lostEdges.clear();
      for (const [pin, edge] of edges) this.lostEdges.set(pin, { ...edge });
      this.goodGates.clear();
      for (const [key, base] of gates) this.goodGates.set(key, base);
      this.polled = polled;
    };
  }

  /** Whether there is anything to look at in an interrupt's stage, by numbers alone ({@link InterruptObserver.stage}). */
  wants(slot: number, stage: number, cpu: number): boolean {
    if (this.lostEdges.size > 0) return true;
    const { store } = this.machine.ledger;
    switch (stage) {
      case StageCode.drop:
        return true;
      case StageCode.accept:
        return store.coalescedAt(slot) !== 0;
      case StageCode.deliver:
        return isVectored(store.modeAt(slot)) && this.isGateUnknown(this.machine.cpus[cpu], store.vectorAt(slot));
      case StageCode.eoi:
        return this.machine.frames.isTopUnrecorded(cpu);
      case StageCode.return:
        return isVectored(store.modeAt(slot)) && !store.hasStage(slot, StageCode.eoi) && !store.hasStage(slot, StageCode.drop);
      default:
        return false;
    }
  }

  interrupt(event: InterruptEvent): void {
    const { stage, record, cpu } = event;
    if (this.lostEdges.size > 0 && this.machine.now() - this.polled >= pollEvery) this.poll();
    switch (stage) {
      case "drop":
        return this.dropped(record);
      case "accept":
        if (record.source === "ioapic") this.edgeArrived(record);
        if (record.coalescedInto !== undefined && record.trigger === "edge" && ["timer", "ioapic", "msi"].includes(record.source))
          this.add("coalesced", cpu, record, `${this.what(record)} arrived while the same vector was pending: both share one delivery`);
        return;
      case "deliver":
        if (record.mode === "fixed" || record.mode === "lowpri") this.gate(this.machine.cpus[cpu], record);
        return;
      case "eoi":
        return this.ended(cpu, record);
      case "return":
        return this.returned(cpu, record);
      case "send":
      case "request":
    }
  }

  misuse({ kind, cpu, vector }: Misuse): void {
    if (cpu < 0) return;
    const at = this.machine.currentAddress();
    const top = this.machine.frames.of(cpu).at(-1);
    const add = (lint: LintKind, text: string, about = vector): void =>
      this.lints.add({ kind: lint, cpu, vector: about, address: at, text, record: top?.record ?? 0 });
    switch (kind) {
      case "eoi-nothing-in-service":
        if (this.isSpurious(cpu, top)) add("eoi-in-spurious-handler", `CPU ${cpu} wrote EOI in the handler of the spurious vector`);
        else add("eoi-nothing-in-service", `CPU ${cpu} wrote EOI with no vector in service`);
        return;
      case "icr-not-polled":
        return add("icr-not-polled", `CPU ${cpu} wrote ICR again without looking at the delivery status of its last send`, -1);
      case "lapic-disabled":
        return add("lapic-disabled", `CPU ${cpu} accessed its local APIC while IA32_APIC_BASE disables it`);
      case "trigger-mismatch":
        return add("trigger-mismatch", `vector ${hex(vector, 2)} came both edge- and level-triggered while it was pending at CPU ${cpu}`);
      case "pic-eoi-nothing-in-service": {
        const record = top === undefined ? undefined : this.machine.ledger.record(top.record);
        if (record === undefined || (record.mode !== "fixed" && record.mode !== "lowpri")) return;
        const text = `CPU ${cpu} wrote EOI to an 8259 with nothing in service, in the handler of vector ${hex(record.vector, 2)}, which came through the local APIC`;
        return add("pic-eoi", text, record.vector);
      }
    }
  }

  /** An exception, trap, NMI or INT is about to enter its handler. */
  delivering(index: number, event: DeliveredEvent): void {
    if (event.kind !== "nmi") return;
    const cpu = this.machine.cpus[index];
    if (!cpu.state.protectedMode) return;
    const fault = checkGate(cpu, 2);
    if (fault === undefined) return;
    const text = `an NMI at CPU ${index} cannot be delivered: ${fault.text} (${fault.exception})`;
    this.lints.add({ kind: "nmi-stack", cpu: index, vector: 2, address: this.machine.currentAddress(), text, record: 0 });
  }

  handlerEntered(cpu: number, frame: HandlerFrame): void {
    if (frame.kind !== "nmi") return;
    const shared = this.machine.frames.of(cpu).find((other) => other !== frame && other.handlerRsp === frame.handlerRsp);
    if (shared === undefined) return;
    const text = `an NMI at CPU ${cpu} was delivered onto the stack that the handler of vector ${hex(shared.vector, 2)} was using: its frame is lost`;
    this.lints.add({ kind: "nmi-stack", cpu, vector: 2, address: this.address(cpu, frame.rip), text, record: frame.record });
  }

  /** The handler of an interrupt ended by IRET. */
  private returned(cpu: number, { id, mode, vector, stages }: InterruptRecord): void {
    if ((mode !== "fixed" && mode !== "lowpri") || stages.some(({ stage }) => stage === "eoi" || stage === "drop")) return;
    const text = `the handler of vector ${hex(vector, 2)} returned at CPU ${cpu} without EOI: the vector stays in service`;
    this.lints.add({ kind: "missing-eoi", cpu, vector, address: this.machine.currentAddress(), text, record: id });
  }

  /** Looks at what only time tells; to be called now and then. */
  poll(): void {
    if (this.lostEdges.size === 0) return;
    const now = this.machine.now();
    this.polled = now;
    for (const pin of this.machine.ioApic.pins()) {
      const lost = this.lostEdges.get(pin.pin);
      if (lost === undefined) continue;
      if (pin.masked || !pin.asserted || !pin.text.includes("edge")) lost.since = -1;
      else if (lost.since < 0) lost.since = now;
      else if (now - lost.since >= stuckAfter) {
        this.lostEdges.delete(pin.pin);
        const text = `an edge on I/O APIC pin ${pin.pin} was lost while the pin was masked, and its line has been asserted since: the device waits for an interrupt that never comes`;
        this.add("edge-lost", lost.record.stages[0].cpu, lost.record, text);
      }
    }
  }

  private dropped(record: InterruptRecord): void {
    const reason = record.dropReason ?? "";
    const { cpu } = record.stages[0];
    const pin = /^I\/O APIC pin (\d+) masked/.exec(reason);
    if (pin !== null && record.trigger === "edge") this.lostEdges.set(Number(pin[1]), { record, since: -1 });
    else if (reason.includes("below 16"))
      this.add("vector-below-16", cpu, record, `${this.what(record)} has a vector below 16: it was refused`);
    else if (record.source === "ipi" && record.dst < 0 && /^no destination matched|disabled in IA32_APIC_BASE/.test(reason))
      this.add("ipi-to-nobody", cpu, record, `${this.what(record)} reached nobody: ${reason}`);
    else if (/^local APIC software-disabled/.test(reason))
      this.add(
        "lapic-disabled",
        cpu,
        record,
        `${this.what(record)} was refused by CPU ${this.indexOf(record.dst)}: its local APIC is software-disabled`,
      );
  }

  private edgeArrived(record: InterruptRecord): void {
    for (const [pin] of this.lostEdges) {
      const entry = this.machine.ioApic.pins()[pin];
      if (Number(entry.raw & 0xffn) === record.vector) this.lostEdges.delete(pin);
    }
  }

  private ended(cpu: number, record: InterruptRecord): void {
    const top = this.machine.frames.of(cpu).at(-1);
    if (!this.isSpurious(cpu, top)) return;
    const text = `CPU ${cpu} wrote EOI in the handler of the spurious vector, and so ended vector ${hex(record.vector, 2)}`;
    this.lints.add({
      kind: "eoi-in-spurious-handler",
      cpu,
      vector: record.vector,
      address: this.machine.currentAddress(),
      text,
      record: record.id,
    });
  }

  /** Whether a handler is that of the spurious vector, entered because nothing was left to deliver. */
  private isSpurious(cpu: number, frame: HandlerFrame | undefined): boolean {
    if (frame === undefined || frame.kind !== "external" || frame.record !== 0) return false;
    return frame.vector === (this.machine.cpus[cpu].apic.peek(0x0f) ?? 0) % 256;
  }

  /** Before the first delivery through a gate of an IDT. */
  private gate(cpu: DebugCpu, record: InterruptRecord): void {
    const { state, index } = cpu;
    if (!this.isGateUnknown(cpu, record.vector)) return;
    const fault = checkGate(cpu, record.vector);
    if (fault === undefined) this.goodGates.set(index * 256 + record.vector, state.idtrBase);
    else {
      const text = `${this.what(record)} cannot enter its handler at CPU ${index}: ${fault.text} (${fault.exception})`;
      this.lints.add({
        kind: "gate-not-present",
        cpu: index,
        vector: record.vector,
        address: this.address(index, state.rip),
        text,
        record: record.id,
      });
    }
  }

  private isGateUnknown({ index, state }: DebugCpu, vector: number): boolean {
    return state.protectedMode && this.goodGates.get(index * 256 + vector) !== state.idtrBase;
  }

  private address(cpu: number, rip: bigint): bigint {
    const { state } = this.machine.cpus[cpu];
    return state.code64 ? rip : (state.segBase(CS) + rip) & 0xffff_ffffn;
  }

  private add(kind: LintKind, cpu: number, record: InterruptRecord, text: string): void {
    const stamp = record.stages[0];
    const address = stamp.cpu < 0 ? 0n : this.address(stamp.cpu, stamp.rip);
    this.lints.add({ kind, cpu, vector: record.vector, address, text, record: record.id, instruction: stamp.instruction });
  }

  private what(record: InterruptRecord): string {
    const sender = record.stages[0].cpu;
    const by = record.source === "ipi" && sender >= 0 ? ` of CPU ${sender}` : "";
    return `${record.source === "ipi" ? "the IPI" : `the interrupt from ${record.source}`}${by}, vector ${hex(record.vector, 2)},`;
  }

  private indexOf(apicId: number): number {
    return this.machine.cpus.find((cpu) => cpu.apicId === apicId)?.index ?? apicId;
  }
}
