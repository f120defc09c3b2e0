// The rows of interrupt descriptor tables in the 'Interrupts' view: each vector with its handler and how often that was entered.
import type { InterruptGate, InterruptState, InterruptTable } from "../adapter/protocol";
import { cpusText, hex, hitsText, type InterruptNode } from "./interruptNodes";

/** Gates into one symbol, none of them ever entered, that are drawn together from this many on. */
const leastRun = 4;

/** Id of a table's row: the same from stop to stop. */
export function tableNodeId({ base, kind }: Pick<InterruptTable, "base" | "kind">): string {
  return `table/${base}/${kind}`;
}

/** A row for each table; its gates are read when it is opened. */
export function tableNodes(state: InterruptState, baseline: InterruptState | undefined): InterruptNode[] {
  return state.tables.map((table) => {
    const before = baseline?.tables.find((entry) => tableNodeId(entry) === tableNodeId(table));
    const hits = hitsText(table.hits);
    const name = table.kind === "16-bit" ? "Interrupt Vector Table" : "IDT";
    return {
      id: tableNodeId(table),
      kind: "table",
      label: state.tables.length === 1 ? name : `${name} of ${cpusText(table.cpus)}`,
      description: hits === "" ? table.base : `${table.base} · ${hits}`,
      tooltip: `${table.kind} ${name} at ${table.base}, limit ${hex(table.limit, 4)}, used by ${cpusText(table.cpus)}`,
      icon: "table",
      changed: before !== undefined && before.hits !== table.hits,
      children: [],
      table: table.cpus[0] + 1,
      value: table.base,
    };
  });
}

function stem({ symbol, handler }: InterruptGate): string {
  return symbol === undefined ? (handler === "0x0000000000000000" ? "null" : "") : symbol.replace(/\+0x[0-9a-f]+$/, "");
}

function gateNode(table: string, threadId: number, gate: InterruptGate, old: InterruptGate | undefined, compare: boolean): InterruptNode {
  const details = [gate.symbol ?? gate.handler];
  const hits = hitsText(gate.hits);
  if (hits !== "") details.push(hits);
  if (gate.fault !== undefined) details.push("cannot be entered");
  const attributes = [gate.kind, `DPL ${gate.dpl}`, ...(gate.ist > 0 ? [`IST ${gate.ist}`] : [])].join(", ");
  const external = gate.vector >= 16;
  return {
    id: `${table}/${gate.vector}`,
    kind: "gate",
    label: hex(gate.vector),
    description: details.join(" · "),
    tooltip: [
      `Vector ${hex(gate.vector)} (${gate.vector}): ${attributes}`,
      `Handler ${details[0]} at ${gate.handler}`,
      hits,
      gate.fault ?? "",
    ]
      .filter((line) => line !== "")
      .join("\n"),
    icon: gate.fault === undefined ? "symbol-function" : "warning",
    changed: compare && (old?.hits !== gate.hits || old.raw !== gate.raw),
    children: [],
    value: gate.handler,
    ...(external ? { condition: `vector == ${hex(gate.vector)}` } : {}),
    actions: {
      ...(external ? { why: `why ${hex(gate.vector)} cpu${threadId - 1}`, inject: `inject ${hex(gate.vector)} cpu${threadId - 1}` } : {}),
      handler: { threadId, vector: gate.vector },
    },
  };
}

/**
 * The rows of a table's gates. `before`: the same table's gates at the stop before, where they were read. Consecutive gates into one symbol that
 * were never entered, such as a kernel's stubs for spurious interrupts, share a row.
 */
export function gateNodes(
  tableId: string,
  threadId: number,
  gates: readonly InterruptGate[],
  before: readonly InterruptGate[] | undefined,
): InterruptNode[] {
  const old = new Map(before?.map((gate) => [gate.vector, gate]));
  const row = (gate: InterruptGate): InterruptNode => gateNode(tableId, threadId, gate, old.get(gate.vector), before !== undefined);
  const rows: InterruptNode[] = [];
  for (let start = 0; start < gates.length;) {
    let end = start + 1;
    const first = gates[start];
    const alike = (gate: InterruptGate, previous: InterruptGate): boolean =>
      gate.hits === 0 && gate.vector === previous.vector + 1 && stem(gate) === stem(first);
    if (first.hits === 0 && stem(first) !== "") while (end < gates.length && alike(gates[end], gates[end - 1])) end++;
    const run = gates.slice(start, end);
    if (run.length < leastRun) rows.push(...run.map(row));
    else {
      const name = `${hex(first.vector)}-${hex(run[run.length - 1].vector)}`;
      rows.push({
        id: `${tableId}/run/${first.vector}`,
        kind: "gates",
        label: name,
        description: `${stem(first)} · ${run.length} vectors, never entered`,
        tooltip: `Vectors ${name} lead into ${stem(first)} and were never entered`,
        icon: "symbol-array",
        changed: false,
        children: run.map(row),
      });
    }
    start = end;
  }
  return rows;
}
