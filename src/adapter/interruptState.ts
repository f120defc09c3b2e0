import type { InterruptEvent } from "../apic/events";
import type { Activity } from "../cpu/state";
import type { Debugger } from "../debugger/debugger";
import { hex, hex64 } from "../debugger/numbers";
import type { CpuInterruptState, CpuRunState, InterruptEventSummary, InterruptState } from "./protocol";

const lastEvents = 16;

function runState(activity: Activity): CpuRunState {
  return activity === "mwait" ? "halted" : activity;
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
    text: session.names.event(event),
  };
}

/** Every APIC of the machine, as the 'Interrupts' view shows it. */
export function interruptState(session: Debugger): InterruptState {
  const { machine } = session;
  return {
    cpus: machine.cpus.map((cpu): CpuInterruptState => {
      const { apic } = cpu;
      const lvts = apic
        .registers()
        .filter((view) => view.name.startsWith("LVT "))
        .map((view) => ({ name: view.name, raw: Number(view.value), text: view.text ?? hex(view.value) }));
      return {
        index: cpu.index,
        apicId: cpu.apicId,
        state: runState(cpu.activity),
        threadId: cpu.index + 1,
        irr: apic.pendingVectors,
        isr: apic.inServiceVectors,
        tmr: apic.levelVectors,
        ppr: apic.ppr,
        tpr: apic.taskPriority,
        lvts,
        lastEvents: machine.ledger.lastEvents(cpu.index, lastEvents).map((event) => summary(event, session)),
      };
    }),
    ioapics: [
      {
        index: 0,
        pins: machine.ioApic.pins().map(({ pin, raw, text, masked, remoteIrr }) => ({ pin, raw: hex(raw, 16), text, masked, remoteIrr })),
      },
    ],
    stopSequence: session.stopSequence,
  };
}
