// What the 'Interrupts' view shows, as plain nodes: made from the adapter's state and the breakpoints, compared with the last
// stop. Knows nothing of VS Code, so that it can be tested and so that the view is a mere rendering of it.
import type { CpuInterruptState, InterruptBreakpoint, InterruptEventSummary, InterruptState } from "../adapter/protocol";
import { filterLabel, type BreakpointStatuses } from "./interruptBreakpoints";

export type NodeKind =
  "cpu" | "vectors" | "vector" | "priority" | "lvts" | "lvt" | "events" | "event" | "ioapic" | "pin" | "breakpoints" | "breakpoint";

/** One row of the view. `id` names the same thing from stop to stop, so that what is open stays open. */
export interface InterruptNode {
  readonly id: string;
  readonly kind: NodeKind;
  readonly label: string;
  readonly description: string;
  readonly tooltip: string;
  /** Name of a theme icon. Every row that can be marked as changed has one: VS Code would give it a file's icon otherwise. */
  readonly icon?: string;
  /** Differs from the last stop. */
  readonly changed: boolean;
  /** Open when first shown. */
  readonly open?: boolean;
  readonly children: readonly InterruptNode[];
  /** Condition of a breakpoint that stops on the like of this. */
  readonly condition?: string;
  /** For breakpoints: state of the check box, and the breakpoint's id. */
  readonly checked?: boolean;
  readonly breakpointId?: string;
  /** The text that 'Copy Value' copies. */
  readonly value?: string;
}

/** State of one session's interrupts: this stop and the one before. */
export class InterruptHistory {
  private current: InterruptState | undefined;
  private previous: InterruptState | undefined;

  get state(): InterruptState | undefined {
    return this.current;
  }

  /** State at the stop before this one; undefined at the first. */
  get baseline(): InterruptState | undefined {
    return this.previous;
  }

  /** Takes in a newly read state. Reading the same stop again keeps what it is compared with. */
  update(state: InterruptState): void {
    if (this.current !== undefined && this.current.stopSequence !== state.stopSequence) this.previous = this.current;
    this.current = state;
  }
}

const stageWords: Readonly<Record<InterruptEventSummary["stage"], { word: string; icon: string }>> = {
  send: { word: "sent", icon: "arrow-right" },
  accept: { word: "accepted", icon: "inbox" },
  request: { word: "requested", icon: "bell" },
  deliver: { word: "delivered", icon: "zap" },
  eoi: { word: "ended", icon: "check" },
  drop: { word: "dropped", icon: "circle-slash" },
  return: { word: "returned from", icon: "debug-step-out" },
};

/** 0x and at least two digits, as vectors are written. */
export function hex(value: number, digits = 2): string {
  return `0x${value.toString(16).padStart(digits, "0")}`;
}

/** Rows of the whole machine. `focusedThread` is the DAP thread that the user looks at. */
export function machineNodes(history: InterruptHistory, focusedThread: number | undefined): InterruptNode[] {
  const { state, baseline } = history;
  if (state === undefined) return [];
  const cpus = state.cpus.map((cpu) => {
    const before = baseline?.cpus.find(({ index }) => index === cpu.index);
    return cpuNode(cpu, before, cpu.threadId === focusedThread);
  });
  return [...cpus, ...ioApicNodes(state, baseline)];
}

/** Id of a CPU's row. */
export function cpuNodeId(index: number): string {
  return `cpu/${index}`;
}

function cpuNode(cpu: CpuInterruptState, before: CpuInterruptState | undefined, focused: boolean): InterruptNode {
  const id = cpuNodeId(cpu.index);
  const irr = vectorsNode(`${id}/irr`, "Pending (IRR)", "inbox", cpu, cpu.irr, before?.irr);
  const isr = vectorsNode(`${id}/isr`, "In Service (ISR)", "pulse", cpu, cpu.isr, before?.isr);
  const priority: InterruptNode = {
    id: `${id}/priority`,
    kind: "priority",
    label: "Priority",
    icon: "list-ordered",
    description: `PPR ${hex(cpu.ppr)}, TPR ${hex(cpu.tpr)}`,
    tooltip: `Only vectors of a priority class above ${hex(cpu.ppr >> 4, 1)} are delivered to this CPU (its processor priority is ${hex(cpu.ppr)}).`,
    changed: before !== undefined && (before.ppr !== cpu.ppr || before.tpr !== cpu.tpr),
    children: [],
  };
  const lvts = lvtsNode(id, cpu, before);
  const events = eventsNode(id, cpu, before);
  const stateChanged = before !== undefined && before.state !== cpu.state;
  const summary = [`APIC ${cpu.apicId}`, cpu.state];
  if (cpu.irr.length > 0) summary.push(`${cpu.irr.length} pending`);
  if (cpu.isr.length > 0) summary.push(`${cpu.isr.length} in service`);
  return {
    id,
    kind: "cpu",
    label: `CPU ${cpu.index}`,
    description: summary.join(", "),
    tooltip: `CPU ${cpu.index}, APIC id ${hex(cpu.apicId, 1)}: ${cpu.state}${focused ? " (focused)" : ""}`,
    icon: focused ? "debug-stackframe-focused" : stateIcon(cpu.state),
    changed: stateChanged || [irr, isr, priority, lvts].some(({ changed }) => changed),
    children: [irr, isr, priority, lvts, events],
  };
}

function stateIcon(state: CpuInterruptState["state"]): string {
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

function vectorsNode(
  id: string,
  label: string,
  icon: string,
  cpu: CpuInterruptState,
  vectors: number[],
  before: number[] | undefined,
): InterruptNode {
  const children = vectors.map((vector): InterruptNode => {
    const trigger = cpu.tmr.includes(vector) ? "level" : "edge";
    return {
      id: `${id}/${vector}`,
      kind: "vector",
      label: hex(vector),
      description: `${trigger}, class ${hex(vector >> 4, 1)}`,
      tooltip: `Vector ${hex(vector)} (${vector}), ${trigger}-triggered, priority class ${hex(vector >> 4, 1)}`,
      icon: "symbol-event",
      changed: before !== undefined && !before.includes(vector),
      children: [],
      condition: `vector == ${hex(vector)} && dst == ${cpu.apicId}`,
      value: hex(vector),
    };
  });
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

function lvtsNode(id: string, cpu: CpuInterruptState, before: CpuInterruptState | undefined): InterruptNode {
  const children = cpu.lvts.map((lvt): InterruptNode => {
    const old = before?.lvts.find(({ name }) => name === lvt.name);
    const vector = lvt.raw & 0xff;
    const mode = (lvt.raw >>> 8) & 7;
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
      // Only a fixed interrupt has a vector to stop on.
      ...(mode === 0 ? { condition: `vector == ${hex(vector)} && dst == ${cpu.apicId}` } : {}),
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
      label: `${eventName(event)} ${word}`,
      description: `#${event.id} at ${groupDigits(event.instruction)}`,
      tooltip: `${event.text}\nInterrupt #${event.id}, instruction ${groupDigits(event.instruction)}, RIP ${event.rip}`,
      icon,
      changed: before !== undefined && !known.has(key),
      children: [],
      condition: eventCondition(event),
      value: event.text,
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

function hasVector(mode: string): boolean {
  return mode === "fixed" || mode === "lowpri" || mode === "extint";
}

function eventName(event: InterruptEventSummary): string {
  return hasVector(event.mode) ? hex(event.vector) : event.mode.toUpperCase();
}

function eventCondition(event: InterruptEventSummary): string {
  const what = hasVector(event.mode) ? `vector == ${hex(event.vector)}` : `mode == "${event.mode}"`;
  return event.dst < 0 ? what : `${what} && dst == ${event.dst}`;
}

/** 1234567 as 1,234,567. */
function groupDigits(digits: string): string {
  return digits.replace(/\B(?=(\d{3})+$)/g, ",");
}

function ioApicNodes(state: InterruptState, baseline: InterruptState | undefined): InterruptNode[] {
  return state.ioapics.map((ioapic) => {
    const before = baseline?.ioapics.find(({ index }) => index === ioapic.index);
    const children = ioapic.pins.map((pin): InterruptNode => {
      const old = before?.pins.find((entry) => entry.pin === pin.pin);
      return {
        id: `ioapic/${ioapic.index}/${pin.pin}`,
        kind: "pin",
        label: `Pin ${pin.pin}`,
        description: pin.remoteIrr ? `${pin.text}, remote IRR` : pin.text,
        tooltip: `Pin ${pin.pin}: ${pin.raw}, ${pin.text}`,
        icon: pin.masked ? "circle-outline" : "circle-filled",
        changed: old !== undefined && old.raw !== pin.raw,
        children: [],
        value: pin.raw,
      };
    });
    const active = ioapic.pins.filter(({ masked }) => !masked).length;
    return {
      id: `ioapic/${ioapic.index}`,
      kind: "ioapic",
      label: state.ioapics.length === 1 ? "I/O APIC" : `I/O APIC ${ioapic.index}`,
      description: active === 0 ? "all pins masked" : `${active} of ${ioapic.pins.length} pins open`,
      tooltip: "Redirection entries: where each interrupt line goes",
      icon: "plug",
      changed: children.some(({ changed }) => changed),
      children,
    };
  });
}

/** The row of the breakpoints, with a row each. `statuses`: what the shown session made of them. */
export function breakpointsNode(breakpoints: readonly InterruptBreakpoint[], statuses: BreakpointStatuses | undefined): InterruptNode {
  return {
    id: "breakpoints",
    kind: "breakpoints",
    label: "Interrupt Breakpoints",
    description: breakpoints.length === 0 ? "none" : "",
    tooltip: "Stops on stages of an interrupt's life. Kept with the workspace.",
    changed: false,
    open: true,
    children: breakpoints.map((breakpoint) => breakpointNode(breakpoint, statuses)),
  };
}

function breakpointNode(breakpoint: InterruptBreakpoint, statuses: BreakpointStatuses | undefined): InterruptNode {
  const status = statuses?.get(breakpoint.id);
  const refused = status !== undefined && !status.verified;
  const details: string[] = [];
  if (breakpoint.condition !== undefined) details.push(breakpoint.condition);
  if (breakpoint.hitCondition !== undefined) details.push(`hits ${breakpoint.hitCondition}`);
  if (refused) details.push(status.message ?? "not accepted");
  else if (status !== undefined && status.hits > 0) details.push(status.hits === 1 ? "hit once" : `hit ${status.hits} times`);
  const label = filterLabel(breakpoint.filter);
  return {
    id: `breakpoint/${breakpoint.id}`,
    kind: "breakpoint",
    label,
    description: details.join(" · "),
    tooltip: [`${label} (${breakpoint.filter})`, ...details].join("\n"),
    ...(refused ? { icon: "warning" } : {}),
    changed: false,
    children: [],
    checked: breakpoint.enabled,
    breakpointId: breakpoint.id,
    value: breakpoint.condition ?? "",
  };
}
