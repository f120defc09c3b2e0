import { ApicBase, Lvt, WrittenRegister, decodeLvt, decodeRedirection, lvtNames } from "../../apic/fields";
import { Reg } from "../../apic/registerMap";
import type { InterruptRecord, Stage } from "../../apic/events";
import type { Cause } from "../../common/lastWrites";
import { FLAG_IF } from "../../cpu/registerBits";
import { checkGate } from "../inspect/gates";
import { hex } from "../numbers";
import type { SymbolStore } from "../symbols/table";
import type { DebugCpu, DebugMachine } from "../target";
import { activityText } from "../words";
import { causeText } from "./causes";

/** What a diagnosis may look at. */
export interface DiagnosisContext {
  readonly machine: DebugMachine;
  readonly symbols: SymbolStore;
  /** Whether the debugger holds this CPU. */
  isHeld(cpu: number): boolean;
}

/** One place on the way of an interrupt from its source to its handler. */
export interface WhyStep {
  /** "I/O APIC pin 4", "IRR", "PPR", "IF", "IDT gate". */
  readonly name: string;
  /** `pass`: open. `block`: nothing gets through. `note`: neither, but worth knowing. */
  readonly state: "pass" | "block" | "note";
  readonly text: string;
  /** Who last set what stands there. */
  readonly cause?: Cause | undefined;
  /** What would open it. */
  readonly clear?: string | undefined;
}

/** Why a vector is not delivered to a CPU, or that it will be. */
export interface WhyReport {
  readonly vector: number;
  readonly cpu: number;
  /** One sentence: the first blocker, or that there is none. */
  readonly summary: string;
  /** From the source to the handler. */
  readonly steps: readonly WhyStep[];
  readonly blocker: WhyStep | undefined;
}

/**
 * Walks the way of `vector` to `cpu`: sources (I/O APIC pins, LVT entries, the last record), local APIC (IA32_APIC_BASE, SVR), IRR, priority (PPR of TPR and ISR), the CPU
 * (activity, IF, shadow), the IDT gate and its stack. A pending or not pending vector is looked at in order of its way, so that the first blocker is the one to remove first.
 */
export function whyNotDelivered(context: DiagnosisContext, cpu: DebugCpu, vector: number): WhyReport {
  const walk = new Walk(context, cpu, vector);
  const steps = walk.steps();
  const blocker = steps.find((step) => step.state === "block");
  return { vector, cpu: cpu.index, summary: walk.summary(blocker), steps, blocker };
}

/** A report as lines of text. */
export function whyLines(report: WhyReport, symbols: SymbolStore): string[] {
  const marks = { pass: "ok   ", block: "STOP ", note: "     " };
  const lines = [report.summary];
  for (const step of report.steps) {
    lines.push(`  ${marks[step.state]}${step.name}: ${step.text}`);
    if (step.cause !== undefined && step.state !== "pass") lines.push(`         set ${causeText(symbols, step.cause)}`);
    if (step.clear !== undefined && step.state === "block") lines.push(`         cleared by ${step.clear}`);
  }
  return lines;
}

class Walk {
  private readonly pending: boolean;
  private readonly served: boolean;

  constructor(
    private readonly context: DiagnosisContext,
    private readonly cpu: DebugCpu,
    private readonly vector: number,
  ) {
    this.pending = cpu.apic.pendingVectors.includes(vector);
    this.served = cpu.apic.inServiceVectors.includes(vector);
  }

  private get name(): string {
    return `Vector ${hex(this.vector, 2)}`;
  }

  steps(): WhyStep[] {
    // Below 16 there are only exceptions: no local APIC accepts such a vector.
    if (this.vector < 16)
      return [
        { name: "Vector", state: "block", text: `${hex(this.vector, 2)} is below 16: a local APIC refuses it`, clear: "another vector" },
      ];
    const upstream = [...this.sources(), ...this.reception()];
    return [
      ...(this.pending ? upstream.filter((step) => step.state !== "block" || step.name === "IA32_APIC_BASE") : upstream),
      ...this.delivery(),
    ];
  }

  summary(blocker: WhyStep | undefined): string {
    const { name, cpu } = this;
    if (!this.pending && this.served) {
      const delivered = this.deliveryOf(this.vector);
      const when = delivered === undefined ? "" : ` at instruction ${delivered.instruction}`;
      return `${name} was delivered to CPU ${cpu.index}${when} and is in service: its handler has not written EOI.`;
    }
    if (blocker === undefined) {
      if (this.pending) return `${name} is delivered to CPU ${cpu.index} at the next instruction boundary: nothing holds it back.`;
      return `${name} is not pending at CPU ${cpu.index}, and nothing would hold it back: no source has sent it.`;
    }
    const cause = blocker.cause === undefined ? "" : `; set ${causeText(this.context.symbols, blocker.cause)}`;
    const isDelivery = ["PPR", "IRR", "Activity", "Debugger", "IF", "IDT gate"].includes(blocker.name);
    return this.pending || !isDelivery
      ? `${name} is not delivered to CPU ${cpu.index}: ${blocker.text}${cause}.`
      : `${name} is not pending at CPU ${cpu.index}: no source has sent it. Were it sent now, it would wait: ${blocker.text}${cause}.`;
  }

  // Sources

  private sources(): WhyStep[] {
    const found = [...this.pins(), ...this.localSources()];
    const last = this.lastRecord();
    if (last !== undefined) found.push(this.recordStep(last));
    if (found.length > 0 || this.pending) {
      // A source that is open makes those that are not a note.
      if (found.some((step) => step.state === "pass"))
        return found.map((step): WhyStep => (step.state === "block" ? { ...step, state: "note" } : step));
      return found;
    }
    const text = `no redirection entry or LVT entry has the vector, and no interrupt with it was sent to CPU ${this.cpu.index}`;
    return [{ name: "Source", state: "note", text }];
  }

  private pins(): WhyStep[] {
    const { ioApic, bus } = this.context.machine;
    const steps: WhyStep[] = [];
    for (const pin of ioApic.pins()) {
      const entry = decodeRedirection(Number(pin.raw & 0xffffffffn), Number(pin.raw >> 32n));
      if (entry.vector !== this.vector || (entry.mode !== "fixed" && entry.mode !== "lowpri")) continue;
      const name = `I/O APIC pin ${pin.pin}`;
      const cause = ioApic.writes.of(pin.pin);
      const to = `${entry.destinationMode} destination ${hex(entry.destination, 2)}`;
      if (!bus.addresses(this.cpu.apic, { ...entry, wide: false }))
        steps.push({
          name,
          state: "block",
          text: `${name} sends to ${to}, which does not match CPU ${this.cpu.index}`,
          cause,
          clear: "another destination in its redirection entry",
        });
      else if (entry.masked)
        steps.push({ name, state: "block", text: `${name} is masked`, cause, clear: "clearing bit 16 of its redirection entry" });
      else if (entry.remoteIrr)
        steps.push({
          name,
          state: "block",
          text: `${name} waits for the EOI of its last interrupt (remote IRR is set)`,
          clear: `an EOI of vector ${hex(this.vector, 2)}`,
        });
      else if (!pin.asserted && !this.pending)
        steps.push({ name, state: "note", text: `unmasked, ${entry.trigger}, to ${to}; no line asserts the pin`, cause });
      else
        steps.push({
          name,
          state: "pass",
          text: `unmasked, ${entry.trigger}, to ${to}${pin.asserted ? `, asserted by ${pin.by.join(", ")}` : ""}`,
          cause,
        });
    }
    return steps;
  }

  private localSources(): WhyStep[] {
    const { apic } = this.cpu;
    const steps: WhyStep[] = [];
    for (const [index, lvt] of lvtNames.entries()) {
      const entry = decodeLvt(index, apic.lvtEntry(index));
      if (entry.vector !== this.vector || entry.mode !== "fixed") continue;
      const name = `LVT ${lvt}`;
      const cause = apic.writes.of(index);
      if (entry.masked) steps.push({ name, state: "block", text: `${name} is masked`, cause, clear: `clearing bit 16 of ${name}` });
      else if (entry.remoteIrr)
        steps.push({ name, state: "block", text: `${name} waits for the EOI of its last interrupt (remote IRR is set)`, clear: "an EOI" });
      else if (index === Lvt.timer) steps.push(this.timerStep(name, entry.timerMode === "tsc-deadline", cause));
      else steps.push({ name, state: "pass", text: "not masked", cause });
    }
    return steps;
  }

  private timerStep(name: string, deadline: boolean, cause: Cause | undefined): WhyStep {
    const { apic } = this.cpu;
    const armed = deadline ? (apic.readMsr(0x6e0) ?? 0n) !== 0n : (apic.peek(Reg.currentCount) ?? 0) !== 0;
    if (armed || this.pending)
      return {
        name,
        state: "pass",
        text: deadline ? "armed for a TSC deadline" : `counting, ${apic.peek(Reg.currentCount) ?? 0} left`,
        cause,
      };
    const started = apic.writes.of(WrittenRegister.initialCount);
    return deadline
      ? {
          name,
          state: "note",
          text: "not masked, but IA32_TSC_DEADLINE is 0: the timer is not armed",
          clear: "a deadline in IA32_TSC_DEADLINE",
        }
      : {
          name,
          state: "note",
          text: "not masked, but the current count is 0: the timer does not run",
          cause: started,
          clear: "a write of the initial count",
        };
  }

  private lastRecord(): InterruptRecord | undefined {
    return this.context.machine.ledger.records({ target: this.cpu.index, vector: this.vector, limit: 1 }).at(-1);
  }

  private recordStep(record: InterruptRecord): WhyStep {
    const { stages, id } = record;
    const last = stages[stages.length - 1];
    const from = { instruction: stages[0].instruction, cpu: stages[0].cpu, rip: stages[0].rip };
    const name = "Last sent";
    if (record.dropReason !== undefined)
      return {
        name,
        state: "block",
        text: `interrupt ${id} (${record.source}) was dropped: ${record.dropReason}`,
        cause: from,
        clear: "another send, once the reason is gone",
      };
    const ends: Partial<Record<Stage, string>> = { deliver: "delivered", eoi: "delivered and ended", return: "its handler has returned" };
    const state = ends[last.stage] ?? `on its way (${last.stage})`;
    return { name, state: "note", text: `interrupt ${id} (${record.source}), ${state} at instruction ${last.instruction}`, cause: from };
  }

  // The local APIC

  private reception(): WhyStep[] {
    const { apic, index } = this.cpu;
    const base = apic.writes.of(WrittenRegister.base);
    if ((apic.baseMsr & ApicBase.enable) === 0n)
      return [
        {
          name: "IA32_APIC_BASE",
          state: "block",
          text: `the local APIC of CPU ${index} is disabled in IA32_APIC_BASE`,
          cause: base,
          clear: "setting bit 11 of IA32_APIC_BASE",
        },
      ];
    const mode = apic.x2apicMode ? "x2APIC" : "xAPIC";
    const enabled: WhyStep = { name: "IA32_APIC_BASE", state: "pass", text: `enabled, ${mode}`, cause: base };
    const svr = apic.writes.of(WrittenRegister.svr);
    if (!apic.softwareEnabled)
      return [
        enabled,
        {
          name: "SVR",
          state: "block",
          text: `the local APIC of CPU ${index} is software-disabled (SVR bit 8 is clear): it accepts no vector`,
          cause: svr,
          clear: "setting bit 8 of SVR",
        },
      ];
    return [enabled, { name: "SVR", state: "pass", text: "software-enabled", cause: svr }];
  }

  // From IRR to the handler

  private delivery(): WhyStep[] {
    if (!this.pending) {
      const served: WhyStep = this.served
        ? {
            name: "ISR",
            state: "note",
            text: `${hex(this.vector, 2)} is in service: its handler has not written EOI`,
            cause: this.deliveryOf(this.vector),
          }
        : { name: "IRR", state: "note", text: `${hex(this.vector, 2)} is not pending` };
      return [served, ...this.priority(), ...this.processor(), ...this.gate()];
    }
    return [
      { name: "IRR", state: "pass", text: `${hex(this.vector, 2)} is pending` },
      ...this.priority(),
      ...this.processor(),
      ...this.gate(),
    ];
  }

  private deliveryOf(vector: number): Cause | undefined {
    const record = this.context.machine.ledger.inService(this.cpu.index).find((candidate) => candidate.vector === vector);
    const stamp = record?.stages.find((stage) => stage.stage === "deliver");
    return stamp === undefined ? undefined : { instruction: stamp.instruction, cpu: stamp.cpu, rip: stamp.rip };
  }

  private priority(): WhyStep[] {
    const { apic } = this.cpu;
    const { vector } = this;
    const { ppr, taskPriority } = apic;
    if (vector >> 4 <= ppr >> 4) {
      const highest = apic.inServiceVectors.at(-1) ?? 0;
      if (highest >> 4 >= taskPriority >> 4 && highest > 0) {
        const text = `vector ${hex(highest, 2)}, of priority class ${highest >> 4}, is in service, and only a class above ${ppr >> 4} gets through (PPR ${hex(ppr, 2)})`;
        return [{ name: "PPR", state: "block", text, cause: this.deliveryOf(highest), clear: `the EOI of vector ${hex(highest, 2)}` }];
      }
      const text = `TPR is ${hex(taskPriority, 2)}, and only a priority class above ${taskPriority >> 4} gets through`;
      return [
        {
          name: "PPR",
          state: "block",
          text,
          cause: apic.writes.of(WrittenRegister.tpr),
          clear: `a TPR below ${hex((vector >> 4) << 4, 2)}`,
        },
      ];
    }
    const first = apic.pendingVectors.at(-1) ?? vector;
    const steps: WhyStep[] = [{ name: "PPR", state: "pass", text: `${hex(ppr, 2)}, below class ${vector >> 4}` }];
    if (first > vector)
      steps.push({
        name: "IRR",
        state: "block",
        text: `vector ${hex(first, 2)} is pending too and goes first`,
        clear: `the delivery of vector ${hex(first, 2)}`,
      });
    return steps;
  }

  private processor(): WhyStep[] {
    const { cpu } = this;
    const { state } = cpu;
    const steps: WhyStep[] = [];
    if (cpu.activity === "wait-for-SIPI")
      return [
        {
          name: "Activity",
          state: "block",
          text: `CPU ${cpu.index} waits for a start-up IPI: it takes no interrupts`,
          clear: "INIT and SIPI",
        },
      ];
    if (cpu.activity === "shutdown")
      return [{ name: "Activity", state: "block", text: `CPU ${cpu.index} shut down after a triple fault`, clear: "INIT or a reset" }];
    if (this.context.isHeld(cpu.index))
      steps.push({ name: "Debugger", state: "block", text: `the debugger holds CPU ${cpu.index}`, clear: "letting the CPU run" });
    else steps.push({ name: "Activity", state: "pass", text: activityText(cpu.activity) });
    if ((state.systemFlags & FLAG_IF) === 0) steps.push(this.interruptFlag());
    else steps.push({ name: "IF", state: "pass", text: "interrupts are on" });
    if (cpu.inShadow)
      steps.push({
        name: "Shadow",
        state: "note",
        text: "the next instruction is in the shadow of STI or of a load of SS: the interrupt comes after it",
      });
    return steps;
  }

  private interruptFlag(): WhyStep {
    const cause = this.cpu.state.interruptsMaskedBy?.cause;
    const inHandler =
      cause === undefined
        ? undefined
        : this.context.machine.ledger
            .inService(this.cpu.index)
            .find((record) => record.stages.some((stage) => stage.stage === "deliver" && stage.instruction === cause.instruction));
    const by = inHandler === undefined ? "" : `, since the delivery of vector ${hex(inHandler.vector, 2)}`;
    return {
      name: "IF",
      state: "block",
      text: `interrupts are off at CPU ${this.cpu.index} (IF is clear${by})`,
      cause,
      clear: "STI, POPF or IRET",
    };
  }

  private gate(): WhyStep[] {
    if (this.cpu.activity === "wait-for-SIPI") return [];
    const fault = checkGate(this.cpu, this.vector);
    if (fault === undefined) return [{ name: "IDT gate", state: "pass", text: "present, with a good code segment and stack" }];
    return [{ name: "IDT gate", state: "block", text: `${fault.text}: delivery would raise ${fault.exception}`, clear: fault.clear }];
  }
}
