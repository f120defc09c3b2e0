// A row of the 'Interrupts' view, and how its texts are written.

export type NodeKind =
  | "cpu"
  | "masks"
  | "mask"
  | "vectors"
  | "vector"
  | "priority"
  | "lvts"
  | "lvt"
  | "events"
  | "event"
  | "ioapic"
  | "pin"
  | "messages"
  | "message"
  | "table"
  | "gates"
  | "gate"
  | "breakpoints"
  | "breakpoint";

/** What can be done with a row. Each that is there is a word in the row's context value, which the manifest's menus look for. */
export interface NodeActions {
  /** Console command that says why the interrupt is not delivered. */
  readonly why?: string;
  /** Console command that injects the interrupt. */
  readonly inject?: string;
  /** Vector whose handler can be gone to, on the CPU with this DAP thread. */
  readonly handler?: { readonly threadId: number; readonly vector: number };
  /** Address of the instruction that sent the interrupt. */
  readonly sender?: string;
  /** Address of the instruction that set what the row shows. */
  readonly setter?: string;
}

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
  /** DAP thread whose interrupt table the children are; they are read when the row is opened. */
  readonly table?: number;
  /** Condition of a breakpoint that stops on the like of this. */
  readonly condition?: string;
  readonly actions?: NodeActions;
  /** For breakpoints: state of the check box, and the breakpoint's id. */
  readonly checked?: boolean;
  readonly breakpointId?: string;
  /** The text that 'Copy Value' copies. */
  readonly value?: string;
}

/** 0x and at least two digits, as vectors are written. */
export function hex(value: number, digits = 2): string {
  return `0x${value.toString(16).padStart(digits, "0")}`;
}

/** 1234567 as 1,234,567. */
export function groupDigits(digits: string | number): string {
  return String(digits).replace(/\B(?=(\d{3})+$)/g, ",");
}

/** "hit once", "hit 1,234 times"; empty for none. */
export function hitsText(hits: number): string {
  return hits === 0 ? "" : hits === 1 ? "hit once" : `hit ${groupDigits(hits)} times`;
}

/** CPUs by index, runs of three and more drawn together: "CPU 0, 2-5"; "nobody" for none. */
export function cpusText(cpus: readonly number[]): string {
  if (cpus.length === 0) return "nobody";
  const runs: string[] = [];
  for (let start = 0; start < cpus.length;) {
    let end = start;
    while (end + 1 < cpus.length && cpus[end + 1] === cpus[end] + 1) end++;
    if (end - start >= 2) runs.push(`${cpus[start]}-${cpus[end]}`);
    else runs.push(...cpus.slice(start, end + 1).map(String));
    start = end + 1;
  }
  return `CPU ${runs.join(", ")}`;
}

/** Whether interrupts of this delivery mode carry a vector. */
export function hasVector(mode: string): boolean {
  return mode === "fixed" || mode === "lowpri" || mode === "extint";
}

/** What an interrupt is called: its vector, or its mode where it has none. */
export function interruptName(mode: string, vector: number): string {
  return hasVector(mode) ? hex(vector) : mode.toUpperCase();
}

/** Every row of a tree, parents before children. */
export function flatten(nodes: readonly InterruptNode[]): InterruptNode[] {
  return nodes.flatMap((node) => [node, ...flatten(node.children)]);
}
