import { decodeMsi, decodeRedirection, isMsiAddress, type DestinationMode } from "../apic/fields";
import type { InterruptEvent, InterruptRecord } from "../apic/events";
import { msiText } from "../apic/registerViews";
import type { Activity } from "../cpu/state";
import type { Debugger } from "../debugger/debugger";
import { causeText } from "../debugger/diagnosis/causes";
import { interruptMasks } from "../debugger/diagnosis/masks";
import { whyNotDelivered } from "../debugger/diagnosis/why";
import { gateBytes } from "../debugger/inspect/gates";
import { tableGates } from "../debugger/inspect/idt";
import { hex, hex64 } from "../debugger/numbers";
import type { DebugCpu } from "../debugger/target";
import { cpuStateText } from "../debugger/words";
import type {
  CpuInterruptState,
  CpuRunState,
  InterruptEventSummary,
  InterruptGate,
  InterruptState,
  InterruptTable,
  IoApicPin,
  MessageSource,
} from "./protocol";

const lastEvents = 16;
/** Vectors of one CPU that are explained; a register may hold 240. */
const explainedVectors = 32;

function runState(activity: Activity): CpuRunState {
  return activity === "mwait" ? "halted" : activity;
}

/** Address of the instruction that sent an interrupt; nothing when no CPU did. */
function senderOf(record: InterruptRecord | undefined): { sender?: string } {
  const send = record?.stages.find(({ stage }) => stage === "send");
  return send === undefined || send.cpu < 0 ? {} : { sender: hex64(send.rip) };
}

function summary(event: InterruptEvent, session: Debugger): InterruptEventSummary {
  const { record, stage } = event;
  const stamp = record.stages.find((candidate) => candidate.stage === stage) ?? record.stages.at(-1);
  return {
    id: record.id,
    stage,
    vector: record.vector,
    mode: record.mode,
    src: record.src,
    dst: record.dst,
    source: record.source,
    trigger: record.trigger,
    instruction: String(stamp?.instruction ?? 0),
    rip: hex64(stamp?.rip ?? 0n),
    ...senderOf(record),
    text: session.names.event(event),
  };
}

function cpuState(session: Debugger, cpu: DebugCpu): CpuInterruptState {
  const { machine, symbols } = session;
  const { apic, index } = cpu;
  const rip = cpu.linearRip();
  const symbol = symbols.describe(rip);
  const pending = apic.pendingVectors;
  const serving = apic.inServiceVectors;
  const served = machine.ledger.inService(index);
  return {
    index,
    apicId: cpu.apicId,
    state: runState(cpu.activity),
    stateText: cpuStateText(cpu),
    threadId: index + 1,
    frozen: session.isHeld(index),
    rip: hex64(rip),
    ...(symbol === undefined ? {} : { symbol }),
    irr: pending,
    isr: serving,
    tmr: apic.levelVectors,
    ppr: apic.ppr,
    tpr: apic.taskPriority,
    masks: interruptMasks(session, cpu).map(({ name, text, cause }) => ({
      name,
      text,
      ...(cause === undefined ? {} : { set: causeText(symbols, cause) }),
      ...(cause === undefined || cause.cpu < 0 ? {} : { rip: hex64(cause.rip) }),
    })),
    pending: pending.slice(-explainedVectors).map((vector) => {
      const id = machine.ledger.pendingId(index, vector);
      const { summary: why, blocker } = whyNotDelivered(session, cpu, vector);
      return {
        vector,
        why,
        ...(blocker === undefined ? {} : { heldBy: blocker.name }),
        ...(id === 0 ? {} : { record: id }),
        ...senderOf(machine.ledger.record(id)),
      };
    }),
    serving: serving.slice(-explainedVectors).map((vector) => {
      const record = served.find((candidate) => candidate.vector === vector);
      const start = record?.stages.find(({ stage }) => stage === "deliver");
      return {
        vector,
        ...(record === undefined ? {} : { record: record.id }),
        ...senderOf(record),
        ...(start === undefined ? {} : { since: String(start.instruction) }),
      };
    }),
    lvts: apic
      .registers()
      .filter((view) => view.name.startsWith("LVT "))
      .map((view) => ({ name: view.name, raw: Number(view.value), text: view.text ?? hex(view.value) })),
    lastEvents: machine.ledger.lastEvents(index, lastEvents).map((event) => summary(event, session)),
  };
}

/** Indices of the CPUs that a destination addresses. */
function addressed({ machine }: Debugger, destinationMode: DestinationMode, destination: number): number[] {
  const { bus, cpus } = machine;
  return cpus.filter(({ apic }) => bus.addresses(apic, { destinationMode, destination, wide: false })).map(({ index }) => index);
}

function pins(session: Debugger): IoApicPin[] {
  return session.machine.ioApic.pins().map(({ pin, raw, text, masked, remoteIrr, asserted, by }) => {
    const { vector, mode, trigger, destinationMode, destination } = decodeRedirection(Number(raw & 0xffffffffn), Number(raw >> 32n));
    const cpus = addressed(session, destinationMode, destination);
    return { pin, raw: hex(raw, 16), text, masked, remoteIrr, asserted, by: [...by], vector, mode, trigger, cpus };
  });
}

function messages(session: Debugger): MessageSource[] {
  return session.machine.devices.flatMap((device) =>
    (device.messages?.() ?? []).map((message): MessageSource => {
      const fields = decodeMsi(message.address, message.data);
      const { vector, mode, trigger } = fields;
      return {
        device: device.name,
        name: message.name,
        address: hex(message.address, 8),
        data: hex(message.data, 8),
        text: msiText(fields),
        masked: message.masked,
        waiting: message.pending,
        vector,
        mode,
        trigger,
        cpus: isMsiAddress(message.address) ? addressed(session, fields.destinationMode, fields.destination) : [],
      };
    }),
  );
}

/** CPUs with the same table; those that wait for their SIPI use none. */
function tableUsers(session: Debugger): DebugCpu[][] {
  const groups = new Map<string, DebugCpu[]>();
  for (const cpu of session.machine.cpus) {
    if (cpu.activity === "wait-for-SIPI") continue;
    const key = `${cpu.state.idtrBase}/${gateBytes(cpu)}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [cpu]);
    else group.push(cpu);
  }
  return [...groups.values()];
}

function tables(session: Debugger): InterruptTable[] {
  return tableUsers(session).map((cpus) => {
    const [{ state }] = cpus;
    let hits = 0;
    for (const { index } of cpus) for (let vector = 0; vector < 256; vector++) hits += session.handlerCounts.of(index, vector);
    const kind = ({ 4: "16-bit", 8: "32-bit", 16: "64-bit" } as const)[gateBytes(cpus[0])];
    return { base: hex64(state.idtrBase), limit: state.idtrLimit, kind, cpus: cpus.map(({ index }) => index), hits };
  });
}

/** Every interrupt controller of the machine, as the 'Interrupts' view shows it. */
export function interruptState(session: Debugger): InterruptState {
  const { machine } = session;
  return {
    cpus: machine.cpus.map((cpu) => cpuState(session, cpu)),
    ioapics: [{ index: 0, pins: pins(session) }],
    messages: messages(session),
    tables: tables(session),
    instruction: String(machine.instructions()),
    time: String(machine.now()),
    stopSequence: session.stopSequence,
  };
}

/** The gates of a CPU's interrupt table that are not empty, with their hits by all CPUs that share it. */
export function interruptTable(session: Debugger, cpu: DebugCpu): InterruptGate[] {
  const sharers = tableUsers(session).find((group) => group.includes(cpu)) ?? [cpu];
  return tableGates(cpu, session.symbols).map(({ vector, kind, raw, dpl, ist, handler, symbol, fault }) => ({
    vector,
    kind,
    raw: hex(raw, 16),
    dpl,
    ist,
    handler: hex64(handler),
    ...(symbol === undefined ? {} : { symbol }),
    ...(fault === undefined ? {} : { fault }),
    hits: sharers.reduce((sum, { index }) => sum + session.handlerCounts.of(index, vector), 0),
  }));
}
