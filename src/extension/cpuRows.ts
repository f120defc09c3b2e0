// The rows of a CPU in the 'Interrupts' view: what masks interrupts, what is pending and in service, its local vector table and last events.
import type { CpuInterruptState, InterruptEventSummary } from "../adapter/protocol";
import { groupDigits, hasVector, hex, interruptName, type InterruptNode } from "./interruptNodes";

const stageWords: Readonly<Record<InterruptEventSummary["stage"], { word: string; icon: string }>> = {
  send: { word: "sent", icon: "arrow-right" },
  accept: { word: "accepted", icon: "inbox" },
  request: { word: "requested", icon: "bell" },
  deliver: { word: "delivered", icon: "zap" },
  eoi: { word: "ended", icon: "check" },
  drop: { word: "dropped", icon: "circle-slash" },
  return: { word: "returned from", icon: "debug-step-out" },
};

/** Id of a CPU's row. */
export function cpuNodeId(index: number): string {
  return `cpu/${index}`;
}

/** A CPU's row. `before`: its state at the stop before; `focused`: the user looks at it. */
export function cpuNode(cpu: CpuInterruptState, before: CpuInterruptState | undefined, focused: boolean): InterruptNode {
  const id = cpuNodeId(cpu.index);
  const masks = masksNode(id, cpu, before);
  const pending = pendingNode(id, cpu, before);
  const serving = servingNode(id, cpu, before);
  const priority = priorityNode(id, cpu, before);
  const lvts = lvtsNode(id, cpu, before);
  const events = eventsNode(id, cpu, before);
  const stateChanged = before !== undefined && (before.state !== cpu.state || before.frozen !== cpu.frozen);
  const summary = [`APIC ${cpu.apicId}`, cpu.stateText];
  if (cpu.irr.length > 0) summary.push(`${cpu.irr.length} pending`);
  if (cpu.frozen) summary.push("frozen");
  const place = cpu.symbol === undefined ? cpu.rip : `${cpu.rip} <${cpu.symbol}>`;
  return {
    id,
    kind: "cpu",
    label: `CPU ${cpu.index}`,
    description: summary.join(" · "),
    tooltip: `CPU ${cpu.index}, APIC id ${hex(cpu.apicId, 1)}: ${cpu.stateText}${cpu.frozen ? ", frozen" : ""}${focused ? " (focused)" : ""}\nat ${place}`,
    icon: focused ? "debug-stackframe-focused" : stateIcon(cpu),
    changed: stateChanged || [masks, pending, serving, priority, lvts].some(({ changed }) => changed),
    children: [masks, pending, serving, priority, lvts, events],
    actions: { inject: `inject 0x30 cpu${cpu.index}` },
  };
}

function stateIcon({ state, frozen }: CpuInterruptState): string {
  if (frozen) return "lock";
  switch (state) {
    case "running":
      return "circuit-board";
    case "halted":
      return "debug-pause";
    case "wait-for-SIPI":
      return "watch";
    case "shutdown":
      return "error";
  }
}

function masksNode(id: string, cpu: CpuInterruptState, before: CpuInterruptState | undefined): InterruptNode {
  const old = new Map(before?.masks.map((mask) => [mask.name, mask]));
  const children = cpu.masks.map((mask): InterruptNode => {
    return {
      id: `${id}/masks/${mask.name}`,
      kind: "mask",
      label: mask.name,
      description: mask.text,
      tooltip: mask.set === undefined ? `${mask.name}: ${mask.text}` : `${mask.name}: ${mask.text}\nSet ${mask.set}`,
      icon: "shield",
      changed: before !== undefined && old.get(mask.name)?.text !== mask.text,
      children: [],
      value: mask.text,
      ...(mask.rip === undefined ? {} : { actions: { setter: mask.rip } }),
    };
  });
  const names = cpu.masks.map(({ name }) => name).join(", ");
  return {
    id: `${id}/masks`,
    kind: "masks",
    label: "Masked By",
    description: names === "" ? "nothing" : names,
    tooltip: names === "" ? "Nothing keeps interrupts from this CPU" : "What keeps interrupts from this CPU now",
    icon: "shield",
    changed: children.some(({ changed }) => changed) || (before !== undefined && before.masks.length !== cpu.masks.length),
    children,
    value: names,
  };
}

interface VectorText {
  readonly details: readonly string[];
  readonly tooltip: readonly string[];
  readonly sender: string | undefined;
}

function vectorNode(id: string, cpu: CpuInterruptState, vector: number, isNew: boolean, text: VectorText): InterruptNode {
  const trigger = cpu.tmr.includes(vector) ? "level" : "edge";
  return {
    id: `${id}/${vector}`,
    kind: "vector",
    label: hex(vector),
    description: [trigger, `class ${hex(vector >> 4, 1)}`, ...text.details].join(" · "),
    tooltip: [`Vector ${hex(vector)} (${vector}), ${trigger}-triggered, priority class ${hex(vector >> 4, 1)}`, ...text.tooltip].join("\n"),
    icon: "symbol-event",
    changed: isNew,
    children: [],
    condition: `vector == ${hex(vector)} && dst == ${cpu.apicId}`,
    value: hex(vector),
    actions: {
      why: `why ${hex(vector)} cpu${cpu.index}`,
      inject: `inject ${hex(vector)} cpu${cpu.index}`,
      handler: { threadId: cpu.threadId, vector },
      ...(text.sender === undefined ? {} : { sender: text.sender }),
    },
  };
}

function pendingNode(cpuId: string, cpu: CpuInterruptState, before: CpuInterruptState | undefined): InterruptNode {
  const id = `${cpuId}/irr`;
  const children = cpu.irr.map((vector) => {
    const more = cpu.pending.find((entry) => entry.vector === vector);
    return vectorNode(id, cpu, vector, before !== undefined && !before.irr.includes(vector), {
      details: more?.heldBy === undefined ? [] : [`held by ${more.heldBy}`],
      tooltip: more === undefined ? [] : [more.why],
      sender: more?.sender,
    });
  });
  return vectorsNode(id, "Pending (IRR)", "inbox", cpu.irr, before?.irr, children);
}

function servingNode(cpuId: string, cpu: CpuInterruptState, before: CpuInterruptState | undefined): InterruptNode {
  const id = `${cpuId}/isr`;
  const children = cpu.isr.map((vector) => {
    const more = cpu.serving.find((entry) => entry.vector === vector);
    const since = more?.since === undefined ? undefined : groupDigits(more.since);
    return vectorNode(id, cpu, vector, before !== undefined && !before.isr.includes(vector), {
      details: since === undefined ? [] : [`since ${since}`],
      tooltip: since === undefined ? [] : [`Its handler started at instruction ${since} and has not written EOI`],
      sender: more?.sender,
    });
  });
  return vectorsNode(id, "In Service (ISR)", "pulse", cpu.isr, before?.isr, children);
}

function vectorsNode(
  id: string,
  label: string,
  icon: string,
  vectors: readonly number[],
  before: readonly number[] | undefined,
  children: readonly InterruptNode[],
): InterruptNode {
  const text = vectors.map((vector) => hex(vector)).join(", ");
  return {
    id,
    kind: "vectors",
    label,
    description: text === "" ? "none" : text,
    tooltip: text === "" ? `${label}: none` : `${label}: ${text}`,
    icon,
    changed: before !== undefined && (before.length !== vectors.length || vectors.some((vector) => !before.includes(vector))),
    open: true,
    children,
    value: text,
  };
}

function priorityNode(id: string, cpu: CpuInterruptState, before: CpuInterruptState | undefined): InterruptNode {
  return {
    id: `${id}/priority`,
    kind: "priority",
    label: "Priority",
    icon: "list-ordered",
    description: `PPR ${hex(cpu.ppr)}, TPR ${hex(cpu.tpr)}`,
    tooltip: `Only vectors of a priority class above ${hex(cpu.ppr >> 4, 1)} are delivered to this CPU (its processor priority is ${hex(cpu.ppr)}).`,
    changed: before !== undefined && (before.ppr !== cpu.ppr || before.tpr !== cpu.tpr),
    children: [],
    value: hex(cpu.ppr),
  };
}

function lvtsNode(id: string, cpu: CpuInterruptState, before: CpuInterruptState | undefined): InterruptNode {
  const children = cpu.lvts.map((lvt): InterruptNode => {
    const old = before?.lvts.find(({ name }) => name === lvt.name);
    const vector = lvt.raw & 0xff;
    // Only a fixed interrupt has a vector to stop on, and only from 16 on is it one.
    const fixed = ((lvt.raw >>> 8) & 7) === 0 && vector >= 16;
    return {
      id: `${id}/lvt/${lvt.name}`,
      kind: "lvt",
      label: lvt.name,
      icon: "symbol-field",
      description: lvt.text,
      tooltip: `${lvt.name}: ${hex(lvt.raw, 8)}, ${lvt.text}`,
      changed: old !== undefined && old.raw !== lvt.raw,
      children: [],
      value: hex(lvt.raw, 8),
      ...(fixed
        ? {
            condition: `vector == ${hex(vector)} && dst == ${cpu.apicId}`,
            actions: {
              why: `why ${hex(vector)} cpu${cpu.index}`,
              inject: `inject ${hex(vector)} cpu${cpu.index}`,
              handler: { threadId: cpu.threadId, vector },
            },
          }
        : {}),
    };
  });
  return {
    id: `${id}/lvt`,
    kind: "lvts",
    label: "Local Vector Table",
    icon: "symbol-array",
    description: "",
    tooltip: "The interrupts of the local APIC itself: timer, pins, errors and monitors",
    changed: children.some(({ changed }) => changed),
    children,
  };
}

function eventsNode(id: string, cpu: CpuInterruptState, before: CpuInterruptState | undefined): InterruptNode {
  const known = new Set(before?.lastEvents.map(eventKey));
  // The newest first: what has just happened is what is looked for.
  const children = [...cpu.lastEvents].reverse().map((event): InterruptNode => {
    const key = eventKey(event);
    const { word, icon } = stageWords[event.stage];
    return {
      id: `${id}/events/${key}`,
      kind: "event",
      label: `${interruptName(event.mode, event.vector)} ${word}`,
      description: `#${event.id} at ${groupDigits(event.instruction)}`,
      tooltip: `${event.text}\nInterrupt #${event.id}, instruction ${groupDigits(event.instruction)}, RIP ${event.rip}`,
      icon,
      changed: before !== undefined && !known.has(key),
      children: [],
      condition: eventCondition(event),
      value: event.text,
      actions: {
        ...(hasVector(event.mode) ? { handler: { threadId: cpu.threadId, vector: event.vector } } : {}),
        ...(event.sender === undefined ? {} : { sender: event.sender }),
      },
    };
  });
  return {
    id: `${id}/events`,
    kind: "events",
    label: "Last Events",
    icon: "history",
    description: children.length === 0 ? "none" : `${children.length}`,
    tooltip: "The last stages of interrupts sent or received by this CPU, newest first",
    changed: children.some(({ changed }) => changed),
    children,
  };
}

function eventKey(event: InterruptEventSummary): string {
  return `${event.id}:${event.stage}:${event.dst}:${event.instruction}`;
}

function eventCondition(event: InterruptEventSummary): string {
  const what = hasVector(event.mode) ? `vector == ${hex(event.vector)}` : `mode == "${event.mode}"`;
  return event.dst < 0 ? what : `${what} && dst == ${event.dst}`;
}
