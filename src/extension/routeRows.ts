// The rows of interrupts from outside the CPUs in the 'Interrupts' view: the I/O APIC's pins and the devices' messages, with where each goes.
import type { InterruptRoute, InterruptState, IoApicPin, MessageSource } from "../adapter/protocol";
import { cpusText, hasVector, hex, interruptName, type InterruptNode, type NodeActions } from "./interruptNodes";

/** "0x30 → CPU 0 · edge". */
function routeText({ mode, vector, cpus, trigger }: InterruptRoute): string {
  return `${interruptName(mode, vector)} → ${cpusText(cpus)} · ${trigger}`;
}

/** What can be asked of an interrupt on its way to the first CPU of its destination. `inject`: the command that sends it. */
function routeActions({ mode, vector, cpus }: InterruptRoute, inject: string): NodeActions {
  if (!hasVector(mode) || cpus.length === 0 || vector < 16) return { inject };
  const [cpu] = cpus;
  return { why: `why ${hex(vector)} cpu${cpu}`, inject, handler: { threadId: cpu + 1, vector } };
}

function routeCondition({ mode, vector }: InterruptRoute, source: string): { condition?: string } {
  return hasVector(mode) && vector >= 16 ? { condition: `vector == ${hex(vector)} && source == "${source}"` } : {};
}

function pinNode(ioapic: number, pin: IoApicPin, old: IoApicPin | undefined): InterruptNode {
  // An entry as after reset says nothing but that it is masked.
  const details = pin.masked && pin.vector === 0 ? [] : [routeText(pin)];
  if (pin.masked) details.push("masked");
  if (pin.asserted) details.push(`asserted by ${pin.by.join(", ")}`);
  if (pin.remoteIrr) details.push("remote IRR");
  return {
    id: `ioapic/${ioapic}/${pin.pin}`,
    kind: "pin",
    label: `Pin ${pin.pin}`,
    description: details.join(" · "),
    tooltip: `Pin ${pin.pin}: ${pin.raw}, ${pin.text}${pin.asserted ? `\nAsserted by ${pin.by.join(", ")}` : ""}`,
    icon: pin.masked ? "circle-outline" : "circle-filled",
    changed: old !== undefined && (old.raw !== pin.raw || old.asserted !== pin.asserted),
    children: [],
    value: pin.raw,
    ...routeCondition(pin, "ioapic"),
    actions: routeActions(pin, `inject pin ${pin.pin}`),
  };
}

/** A row for each I/O APIC, with its pins. */
export function ioApicNodes(state: InterruptState, baseline: InterruptState | undefined): InterruptNode[] {
  return state.ioapics.map((ioapic) => {
    const before = baseline?.ioapics.find(({ index }) => index === ioapic.index);
    const children = ioapic.pins.map((pin) =>
      pinNode(
        ioapic.index,
        pin,
        before?.pins.find((entry) => entry.pin === pin.pin),
      ),
    );
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

function messageKey({ device, name }: MessageSource): string {
  return `${device}/${name}`;
}

function messageNode(message: MessageSource, before: ReadonlyMap<string, MessageSource> | undefined): InterruptNode {
  const key = messageKey(message);
  const old = before?.get(key);
  const details = [routeText(message)];
  if (message.masked) details.push("masked");
  if (message.waiting) details.push("waits to be unmasked");
  return {
    id: `message/${key}`,
    kind: "message",
    label: `${message.device} ${message.name}`,
    description: details.join(" · "),
    tooltip: `${message.device} ${message.name}: stores ${message.data} to ${message.address}\n${message.text}`,
    icon: message.masked ? "circle-outline" : "circle-filled",
    changed:
      before !== undefined &&
      (old?.address !== message.address || old.data !== message.data || old.masked !== message.masked || old.waiting !== message.waiting),
    children: [],
    value: `${message.address} ${message.data}`,
    ...routeCondition(message, "msi"),
    actions: routeActions(message, `inject msi ${message.address} ${message.data}`),
  };
}

/** The row of the messages that devices are set up to send. */
export function messagesNode(state: InterruptState, baseline: InterruptState | undefined): InterruptNode {
  const before = baseline === undefined ? undefined : new Map(baseline.messages.map((message) => [messageKey(message), message]));
  const children = state.messages.map((message) => messageNode(message, before));
  return {
    id: "messages",
    kind: "messages",
    label: "Message-Signaled Interrupts",
    description: children.length === 0 ? "none set up" : `${children.length}`,
    tooltip: "MSI, MSI-X and HPET messages that devices are set up to send",
    icon: "mail",
    changed: children.some(({ changed }) => changed) || (before !== undefined && before.size !== children.length),
    children,
  };
}
