import type { InterruptRecord, Stage, StageStamp } from "../../apic/events";
import { sourceText } from "../../apic/text";
import { hex, hex64 } from "../numbers";
import type { SymbolStore } from "../symbols/table";

/** A function on the way of an interrupt, with the state it read and wrote. */
export interface PathStep {
  /** As in docs/architecture.md: "LocalApic.setIrq". */
  readonly function: string;
  /** The event that it is, where it is one. */
  readonly stage: Stage | undefined;
  readonly instruction: number | undefined;
  readonly cpu: number | undefined;
  readonly rip: bigint | undefined;
  readonly reads: readonly string[];
  readonly writes: readonly string[];
}

/** Where the message came from, up to the interrupt bus. */
function beginning(record: InterruptRecord): Pick<PathStep, "function" | "reads" | "writes">[] {
  const vector = hex(record.vector, 2);
  switch (record.source) {
    case "ipi": {
      const command = `ICR: mode ${record.mode}, vector ${vector}, ${record.shorthand === "none" ? `destination ${record.dst}` : `shorthand ${record.shorthand}`}, ${record.trigger}`;
      return [
        { function: "LocalApic.writeRegister", reads: [], writes: [command] },
        { function: "LocalApic.sendIpi", reads: [command], writes: ["ICR delivery status, idle again at once"] },
      ];
    }
    case "ioapic":
      return [
        {
          function: "IoApic.sample",
          reads: ["pin's level and polarity", "redirection entry: mask, trigger mode"],
          writes: ["pin pending"],
        },
        {
          function: "IoApic.send",
          reads: [`redirection entry: vector ${vector}, mode ${record.mode}, ${record.trigger}, destination`],
          writes: record.trigger === "level" ? ["remote IRR = 1"] : [],
        },
      ];
    case "msi":
      return [
        {
          function: "InterruptBus.msi",
          reads: [`address: destination; data: vector ${vector}, mode ${record.mode}, ${record.trigger}`],
          writes: [],
        },
      ];
    case "timer":
      return [
        { function: "ApicTimer.expired", reads: ["initial count, divider, mode"], writes: ["current count or TSC deadline"] },
        { function: "LocalApic.deliverLvt", reads: [`LVT Timer: vector ${vector}, not masked`], writes: [] },
      ];
    case "lint0":
    case "lint1":
    case "error":
    case "thermal":
    case "pmc":
    case "cmci":
      return [
        {
          function: "LocalApic.deliverLvt",
          reads: [`LVT ${record.source}: vector ${vector}, mode ${record.mode}, not masked`],
          writes: [],
        },
      ];
    case "pic":
      return [{ function: "LocalApic.setLint", reads: ["LVT LINT0: ExtINT, not masked"], writes: ["INTR of the 8259 seen"] }];
    case "debugger":
      return [{ function: "InterruptBus.inject", reads: [`the request: mode ${record.mode}, vector ${vector}`], writes: [] }];
  }
}

/** The way of an interrupt, function by function, as far as it came. What the steps of one vector do is known from its record; nothing is run again. */
export function recordPath(record: InterruptRecord): PathStep[] {
  const vector = hex(record.vector, 2);
  const stampOf = (stage: Stage): StageStamp | undefined => record.stages.find((stamp) => stamp.stage === stage);
  const steps: PathStep[] = [];
  const add = (name: string, stamp: StageStamp | undefined, reads: readonly string[], writes: readonly string[], isEvent = true): void => {
    steps.push({
      function: name,
      stage: isEvent ? stamp?.stage : undefined,
      instruction: stamp?.instruction,
      cpu: stamp === undefined || stamp.cpu < 0 ? undefined : stamp.cpu,
      rip: stamp === undefined || stamp.cpu < 0 ? undefined : stamp.rip,
      reads,
      writes,
    });
  };
  const send = stampOf("send");
  for (const step of beginning(record)) add(step.function, send, step.reads, step.writes, false);
  const addressed =
    record.shorthand === "none"
      ? `destination ${record.dst < 0 ? "that nobody has" : `APIC ${record.dst}`}; ID, LDR, DFR of each local APIC`
      : `shorthand ${record.shorthand}`;
  add(
    "InterruptBus.deliver",
    send,
    [record.mode === "lowpri" ? `${addressed}; PPR of the candidates` : addressed],
    [`record ${record.id}`],
  );
  const drop = stampOf("drop");
  const accept = stampOf("accept");
  const hasVector = record.mode === "fixed" || record.mode === "lowpri";
  if (accept === undefined) {
    if (drop !== undefined)
      add(
        record.dst < 0 ? "InterruptBus.reject" : "LocalApic.receive",
        drop,
        ["IA32_APIC_BASE, SVR, the CPU's state"],
        [`nothing: ${record.dropReason ?? "dropped"}`],
      );
    return steps;
  }
  add("LocalApic.receive", accept, ["IA32_APIC_BASE enabled, SVR bit 8"], [], false);
  if (hasVector)
    add(
      "LocalApic.setIrq",
      accept,
      [`IRR bit ${vector}`],
      record.coalescedInto === undefined
        ? [`IRR bit ${vector} = 1`, `TMR bit ${vector} = ${record.trigger === "level" ? 1 : 0}`]
        : [`nothing: the bit was set already, record ${record.coalescedInto} stands for both`],
    );
  else add(`latch of ${record.mode.toUpperCase()}`, accept, [], [`${record.mode.toUpperCase()} pending at the CPU`]);
  const request = stampOf("request");
  if (hasVector)
    add(
      "LocalApic.updateIrq",
      request ?? accept,
      ["highest IRR, highest ISR, TPR: PPR"],
      request === undefined ? ["INTR stays low"] : ["INTR = 1"],
      false,
    );
  if (request !== undefined) add("ApicCpu.setInterruptRequest", request, [], ["the CPU's request word; its budget ends, its turn is next"]);
  const deliver = stampOf("deliver");
  if (deliver !== undefined) {
    add(
      "Processor.takeEvents",
      deliver,
      hasVector || record.mode === "extint" ? ["RFLAGS.IF, interrupt shadow"] : ["NMI blocking, SMM, wait-for-SIPI"],
      [],
      false,
    );
    if (hasVector) add("LocalApic.acknowledge", deliver, ["IRR, PPR"], [`IRR bit ${vector} = 0`, `ISR bit ${vector} = 1`]);
    else add("taken", deliver, [], [`${record.mode.toUpperCase()} no longer pending`]);
    if (record.mode !== "init" && record.mode !== "sipi" && record.mode !== "smi")
      add(
        "Delivery.enter",
        deliver,
        [`IDT gate ${vector}`, "TSS: RSP0 or IST"],
        ["RIP, CS, RFLAGS, RSP and SS on the handler's stack", "RFLAGS.IF for an interrupt gate"],
        false,
      );
  }
  const eoi = stampOf("eoi");
  if (eoi !== undefined)
    add(
      "LocalApic.eoi",
      eoi,
      ["highest ISR bit", `TMR bit ${vector}`],
      [`ISR bit ${vector} = 0`, ...(record.trigger === "level" ? ["EOI to the I/O APIC: remote IRR = 0"] : [])],
    );
  const returned = stampOf("return");
  if (returned !== undefined) add("HandlerFrames.returned", returned, ["the frame that IRET took"], ["the handler is over"]);
  if (drop !== undefined) add("lost", drop, [], [record.dropReason ?? "dropped"]);
  return steps;
}

/** The path as text: a line a function, with what it read and wrote below. */
export function pathLines(record: InterruptRecord, steps: readonly PathStep[], symbols: SymbolStore): string[] {
  const lines = [`interrupt ${record.id}, ${sourceText(record.source)}`];
  let last = -1;
  for (const step of steps) {
    const { instruction, cpu, rip } = step;
    if (instruction !== undefined && instruction !== last) {
      const symbol = rip === undefined ? undefined : symbols.describe(rip);
      const where =
        cpu === undefined || rip === undefined
          ? "a device or timer"
          : `CPU ${cpu} at ${hex64(rip)}${symbol === undefined ? "" : ` <${symbol}>`}`;
      lines.push(`instruction ${instruction}, ${where}`);
      last = instruction;
    }
    lines.push(`  -> ${step.function}${step.stage === undefined ? "" : `   event: ${step.stage}`}`);
    if (step.reads.length > 0) lines.push(`       reads  ${step.reads.join("; ")}`);
    if (step.writes.length > 0) lines.push(`       writes ${step.writes.join("; ")}`);
  }
  return lines;
}
