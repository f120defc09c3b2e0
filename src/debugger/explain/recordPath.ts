import type { InterruptRecord, Stage, StageStamp } from "../../apic/events";
import { sourceText } from "../../apic/text";
import { hex, hex64 } from "../numbers";
import type { EntryState, StageState } from "./stageStates";
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

/** What was remembered of the registers as an interrupt passed. */
export interface PathStates {
  of(record: InterruptRecord, stage: Stage): StageState | undefined;
  entry(record: InterruptRecord): EntryState | undefined;
}

const set = (vectors: readonly number[]): string => `{${vectors.map((vector) => hex(vector, 2)).join(", ")}}`;
const bit = (vectors: readonly number[], vector: number): number => (vectors.includes(vector) ? 1 : 0);
const without = (vectors: readonly number[], vector: number): readonly number[] => vectors.filter((candidate) => candidate !== vector);
const including = (vectors: readonly number[], vector: number): readonly number[] =>
  [...without(vectors, vector), vector].sort((first, second) => first - second);
const flag = (value: boolean): number => (value ? 1 : 0);

/** Where the message came from, up to the interrupt bus. `from`: the registers of the sender, or of the CPU whose LVT it was. */
function beginning(record: InterruptRecord, from: StageState | undefined): Pick<PathStep, "function" | "reads" | "writes">[] {
  const vector = hex(record.vector, 2);
  const lvt = from === undefined ? "" : ` ${hex(from.lvt, 8)}`;
  switch (record.source) {
    case "ipi": {
      const value = from === undefined ? "" : ` ${hex(from.icr)}`;
      const command = `ICR${value}: mode ${record.mode}, vector ${vector}, ${record.shorthand === "none" ? `destination ${record.dst}` : `shorthand ${record.shorthand}`}, ${record.trigger}`;
      return [
        { function: "LocalApic.writeRegister", reads: [], writes: [command] },
        { function: "LocalApic.sendIpi", reads: [command], writes: ["ICR delivery status, idle again at once"] },
      ];
    }
    case "ioapic": {
      const pin = from === undefined || from.pin < 0 ? undefined : from;
      const entry = pin === undefined ? "redirection entry" : `redirection entry of pin ${pin.pin} ${hex(pin.entry)}`;
      return [
        {
          function: "IoApic.sample",
          reads: ["pin's level and polarity", `${entry}: mask 0, ${record.trigger}`],
          writes: ["pin pending"],
        },
        {
          function: "IoApic.send",
          reads: [`${entry}: vector ${vector}, mode ${record.mode}, ${record.trigger}, destination`],
          writes: record.trigger === "level" ? ["remote IRR = 1"] : [],
        },
      ];
    }
    case "msi":
      return [
        {
          function: "InterruptBus.msi",
          reads: [`address: destination; data: vector ${vector}, mode ${record.mode}, ${record.trigger}`],
          writes: [],
        },
      ];
    case "timer": {
      const counts = from === undefined ? "initial count, divider" : `TMICT ${hex(from.initialCount, 8)}, TDCR ${hex(from.divide, 8)}`;
      return [
        { function: "ApicTimer.expired", reads: [`${counts}, mode`], writes: ["current count or TSC deadline"] },
        { function: "LocalApic.deliverLvt", reads: [`LVT Timer${lvt}: vector ${vector}, not masked`], writes: [] },
      ];
    }
    case "lint0":
    case "lint1":
    case "error":
    case "thermal":
    case "pmc":
    case "cmci":
      return [
        {
          function: "LocalApic.deliverLvt",
          reads: [`LVT ${record.source}${lvt}: vector ${vector}, mode ${record.mode}, not masked`],
          writes: [],
        },
      ];
    case "pic":
      return [{ function: "LocalApic.setLint", reads: [`LVT LINT0${lvt}: ExtINT, not masked`], writes: ["INTR of the 8259 seen"] }];
    case "debugger":
      return [{ function: "InterruptBus.inject", reads: [`the request: mode ${record.mode}, vector ${vector}`], writes: [] }];
  }
}

/** What finding the target looked at. */
function addressed(record: InterruptRecord, target: StageState | undefined): string[] {
  if (record.shorthand !== "none") return [`shorthand ${record.shorthand}`];
  const destination = `destination ${record.dst < 0 ? "that nobody has" : `APIC ${record.dst}`}`;
  if (target === undefined) return [`${destination}; ID, LDR, DFR of each local APIC`];
  return [`${destination}; of CPU ${target.cpu}: ID ${hex(target.id, 8)}, LDR ${hex(target.ldr, 8)}, DFR ${hex(target.dfr, 8)}`];
}

/** What a local APIC looks at before it takes anything in. */
function gates(target: StageState | undefined): string {
  if (target === undefined) return "IA32_APIC_BASE, SVR bit 8";
  return `IA32_APIC_BASE ${hex(target.base, 8)}; SVR ${hex(target.svr, 8)}: bit 8 = ${(target.svr >> 8) & 1}`;
}

/**
 * The way of an interrupt, function by function, as far as it came. What the steps of one vector do is known from its record, and the registers that they read and wrote from
 * what was remembered as they happened; of an old record only the former is left, and the values are missing.
 */
export function recordPath(record: InterruptRecord, states?: PathStates): PathStep[] {
  const { vector } = record;
  const name = hex(vector, 2);
  const stampOf = (stage: Stage): StageStamp | undefined => record.stages.find((stamp) => stamp.stage === stage);
  const stateAt = (stage: Stage): StageState | undefined => states?.of(record, stage);
  const steps: PathStep[] = [];
  const add = (
    called: string,
    stamp: StageStamp | undefined,
    reads: readonly string[],
    writes: readonly string[],
    isEvent = true,
  ): void => {
    steps.push({
      function: called,
      stage: isEvent ? stamp?.stage : undefined,
      instruction: stamp?.instruction,
      cpu: stamp === undefined || stamp.cpu < 0 ? undefined : stamp.cpu,
      rip: stamp === undefined || stamp.cpu < 0 ? undefined : stamp.rip,
      reads,
      writes,
    });
  };
  const send = stampOf("send");
  const drop = stampOf("drop");
  const accept = stampOf("accept");
  const accepted = stateAt("accept");
  for (const step of beginning(record, stateAt("send"))) add(step.function, send, step.reads, step.writes, false);
  add(
    "InterruptBus.deliver",
    send,
    [
      ...addressed(record, accepted ?? (record.dst < 0 ? undefined : stateAt("drop"))),
      ...(record.mode === "lowpri" ? ["PPR of the candidates"] : []),
    ],
    [`record ${record.id}`],
  );
  const hasVector = record.mode === "fixed" || record.mode === "lowpri";
  const upper = record.mode.toUpperCase();
  if (accept === undefined) {
    if (drop !== undefined)
      add(
        record.dst < 0 ? "InterruptBus.reject" : "LocalApic.receive",
        drop,
        [record.dst < 0 ? "IA32_APIC_BASE of each local APIC" : gates(stateAt("drop")), ...waitState(stateAt("drop"))],
        [`nothing: ${record.dropReason ?? "dropped"}`],
      );
    return steps;
  }
  add("LocalApic.receive", accept, [gates(accepted)], [], false);
  if (hasVector)
    add(
      "LocalApic.setIrq",
      accept,
      [`IRR bit ${name} = ${record.coalescedInto === undefined ? 0 : 1}`],
      record.coalescedInto !== undefined
        ? [`nothing: the bit was set already, record ${record.coalescedInto} stands for both`]
        : [
            accepted === undefined ? `IRR bit ${name} = 1` : `IRR ${set(without(accepted.irr, vector))} -> ${set(accepted.irr)}`,
            `TMR bit ${name} = ${record.trigger === "level" ? 1 : 0}`,
          ],
    );
  else add(`latch of ${upper}`, accept, [`${upper} not pending`, ...waitState(accepted)], [`${upper} pending at the CPU`]);
  const request = stampOf("request");
  const requested = stateAt("request") ?? accepted;
  if (hasVector)
    add(
      "LocalApic.updateIrq",
      request ?? accept,
      [
        requested === undefined
          ? "highest IRR, highest ISR, TPR: PPR"
          : `IRR ${set(requested.irr)}, ISR ${set(requested.isr)}, TPR ${hex(requested.tpr, 2)}: PPR ${hex(requested.ppr, 2)}`,
      ],
      request === undefined ? ["INTR stays low"] : ["INTR = 1"],
      false,
    );
  if (request !== undefined)
    add(
      latches[record.mode] ?? "ApicCpu.setInterruptRequest",
      request,
      requested === undefined
        ? []
        : [...(latches[record.mode] === undefined ? [`INTR = ${flag(requested.intr)}`] : []), `the CPU is ${requested.activity}`],
      ["the CPU's request word; its budget ends, its turn is next"],
    );
  const deliver = stampOf("deliver");
  if (deliver !== undefined) addDelivery(record, deliver, stateAt("deliver"), states?.entry(record), add);
  const eoi = stampOf("eoi");
  const ended = stateAt("eoi");
  if (eoi !== undefined)
    add(
      "LocalApic.eoi",
      eoi,
      [
        ended === undefined ? "highest ISR bit" : `ISR ${set(including(ended.isr, vector))}: the highest is ${name}`,
        `TMR bit ${name} = ${ended === undefined ? flag(record.trigger === "level") : bit(ended.tmr, vector)}`,
      ],
      [
        ended === undefined ? `ISR bit ${name} = 0` : `ISR ${set(ended.isr)}, so that PPR is ${hex(ended.ppr, 2)}`,
        ...(record.trigger === "level" ? ["EOI to the I/O APIC: remote IRR = 0"] : []),
      ],
    );
  const returned = stampOf("return");
  const back = stateAt("return");
  if (returned !== undefined)
    add(
      "HandlerFrames.returned",
      returned,
      [
        states?.entry(record) === undefined
          ? "the frame that IRET took"
          : `the frame at ${hex64(states.entry(record)?.frame.handlerRsp ?? 0n)}`,
      ],
      back === undefined
        ? ["the handler is over"]
        : [`RIP ${hex64(back.rip)}, RSP ${hex64(back.rsp)}, RFLAGS ${hex(back.rflags, 8)}: the handler is over`],
    );
  if (drop !== undefined) add("lost", drop, [], [record.dropReason ?? "dropped"]);
  return steps;
}

/** What takes in an interrupt that does not go through IRR. */
const latches: Partial<Readonly<Record<InterruptRecord["mode"], string>>> = {
  nmi: "ApicCpu.raiseNmi",
  smi: "ApicCpu.raiseSmi",
  init: "ApicCpu.raiseInit",
  sipi: "ApicCpu.startup",
};

/** The state that INIT and SIPI depend on. */
function waitState(state: StageState | undefined): string[] {
  return state === undefined ? [] : [`the CPU is ${state.activity}`];
}

type Add = (called: string, stamp: StageStamp, reads: readonly string[], writes: readonly string[], isEvent?: boolean) => void;

/** From the instruction boundary to the first instruction of the handler. */
function addDelivery(
  record: InterruptRecord,
  stamp: StageStamp,
  after: StageState | undefined,
  entry: EntryState | undefined,
  add: Add,
): void {
  const { vector, mode } = record;
  const name = hex(vector, 2);
  const hasVector = mode === "fixed" || mode === "lowpri";
  const upper = mode.toUpperCase();
  if (hasVector || mode === "extint")
    add(
      "Processor.takeEvents",
      stamp,
      after === undefined
        ? ["RFLAGS.IF, interrupt shadow"]
        : [
            `RFLAGS ${hex(after.rflags, 8)}: IF = ${(after.rflags >> 9) & 1}`,
            `interrupt shadow = ${flag(after.shadow)}`,
            `the CPU is ${after.activity}`,
          ],
      [],
      false,
    );
  else
    add(
      "Processor.takeEvents",
      stamp,
      [...(mode === "nmi" ? ["NMI blocking = 0"] : mode === "smi" ? ["not in SMM"] : []), ...waitState(after)],
      [],
      false,
    );
  if (!hasVector)
    add("taken", stamp, [`${upper} pending`], [`${upper} no longer pending`, ...(mode === "nmi" ? ["NMI blocking = 1"] : [])]);
  else if (after === undefined) add("LocalApic.acknowledge", stamp, ["IRR, PPR"], [`IRR bit ${name} = 0`, `ISR bit ${name} = 1`]);
  else
    add(
      "LocalApic.acknowledge",
      stamp,
      [`IRR ${set(including(after.irr, vector))}, ISR ${set(without(after.isr, vector))}, TPR ${hex(after.tpr, 2)}`],
      [`IRR ${set(after.irr)}`, `ISR ${set(after.isr)}, so that PPR is ${hex(after.ppr, 2)}`],
    );
  if (mode === "init" || mode === "sipi" || mode === "smi") return;
  if (entry === undefined)
    return add(
      "Delivery.enter",
      stamp,
      [`IDT gate ${name}`, "TSS: RSP0 or IST"],
      ["RIP, CS, RFLAGS, RSP and SS on the handler's stack", "RFLAGS.IF for an interrupt gate"],
      false,
    );
  const { frame, rflags, selector } = entry;
  const idt = after === undefined ? "" : ` (IDT at ${hex64(after.idtBase)}, limit ${hex(after.idtLimit, 4)})`;
  const old = after === undefined ? "" : `RFLAGS ${hex(after.rflags, 8)}, `;
  add(
    "Delivery.enter",
    stamp,
    [`gate ${hex(frame.vector, 2)}${idt}: handler ${hex(selector, 4)}:${hex64(frame.handler)}`],
    [
      `on the stack at ${hex64(frame.handlerRsp)}: RIP ${hex64(frame.rip)}, CS ${hex(frame.cs, 4)}, ${old}RSP ${hex64(frame.rsp)}`,
      `RSP ${hex64(frame.handlerRsp)}, RFLAGS ${hex(rflags, 8)}: IF = ${(rflags >> 9) & 1}`,
    ],
    false,
  );
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
