// The same data as tables that a screen reader and a keyboard can go through: the interrupts one by one, in pages, and the statistics.
import { TimelineColumn } from "../../adapter/timelineProtocol";
import type { Spread, StatisticsRow } from "./statistics";
import { stageOffset, type Axis, type TimelineStore } from "./store";
import { describeRow, grouped, handlerTimeOf, latencyOf, lengthText, shortName, stateText } from "./words";

/** Rows of a page of the table. */
export const pageRows = 200;

interface Column<Row> {
  readonly title: string;
  readonly explanation?: string;
  readonly numeric?: boolean;
  readonly text: (row: Row) => string;
}

function element<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  text: string,
  attributes: Record<string, string> = {},
): HTMLElementTagNameMap[Tag] {
  const made = document.createElement(tag);
  made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

/** A grid of rows of which one has the focus; arrow keys, Page Up and Down, Home and End move it, Enter chooses. */
class Grid<Row> {
  private rows: readonly Row[] = [];
  private current = 0;
  private readonly body = document.createElement("tbody");

  constructor(
    private readonly table: HTMLTableElement,
    private readonly columns: readonly Column<Row>[],
    label: string,
    private readonly choose: (row: Row) => void,
    /** Called when the focus is to leave the page: -1 for what comes before, 1 for what comes after. */
    private readonly turn: (direction: -1 | 1) => boolean = () => false,
  ) {
    table.setAttribute("role", "grid");
    table.setAttribute("aria-label", label);
    const head = document.createElement("thead");
    const line = document.createElement("tr");
    for (const { title, explanation, numeric } of columns) {
      const cell = element("th", title, { scope: "col", ...(explanation === undefined ? {} : { title: explanation }) });
      cell.classList.toggle("numeric", numeric === true);
      line.append(cell);
    }
    head.append(line);
    table.replaceChildren(head, this.body);
    this.body.addEventListener("keydown", (event) => this.key(event));
    this.body.addEventListener("click", (event) => {
      const index = this.indexOf(event.target);
      if (index < 0) return;
      this.focus(index);
      this.choose(this.rows[index]);
    });
  }

  /** Shows rows, of which the first is number `first` of `total`. Keeps the focus where it was. */
  show(rows: readonly Row[], first: number, total: number): void {
    const focused = this.body.contains(document.activeElement);
    this.rows = rows;
    this.current = Math.min(this.current, Math.max(0, rows.length - 1));
    this.table.setAttribute("aria-rowcount", String(total + 1));
    this.body.replaceChildren(
      ...rows.map((row, index) => {
        const line = element("tr", "", { "aria-rowindex": String(first + index + 2), tabindex: index === this.current ? "0" : "-1" });
        for (const { text, numeric } of this.columns) {
          const cell = element("td", text(row), { role: "gridcell" });
          cell.classList.toggle("numeric", numeric === true);
          line.append(cell);
        }
        return line;
      }),
    );
    if (focused) this.focus(this.current);
  }

  focus(index: number): void {
    const lines = this.body.children;
    (lines[this.current] as HTMLElement | undefined)?.setAttribute("tabindex", "-1");
    this.current = Math.max(0, Math.min(index, lines.length - 1));
    const line = lines[this.current] as HTMLElement | undefined;
    line?.setAttribute("tabindex", "0");
    line?.focus();
  }

  private indexOf(target: EventTarget | null): number {
    const line = target instanceof Element ? target.closest("tr") : null;
    return line === null ? -1 : [...this.body.children].indexOf(line);
  }

  private key(event: KeyboardEvent): void {
    const steps: Readonly<Record<string, number>> = {
      ArrowDown: 1,
      ArrowUp: -1,
      PageDown: 20,
      PageUp: -20,
      Home: -Infinity,
      End: Infinity,
    };
    const step = steps[event.key];
    if (step !== undefined) {
      const wanted = this.current + step;
      if (Number.isFinite(step) && (wanted < 0 || wanted >= this.rows.length) && this.turn(wanted < 0 ? -1 : 1))
        this.focus(wanted < 0 ? this.rows.length - 1 : 0);
      else this.focus(wanted);
    } else if (event.key === "Enter" || event.key === " ") {
      this.choose(this.rows[this.current]);
    } else {
      return;
    }
    event.preventDefault();
  }
}

/** The interrupts that the filter shows, oldest first, {@link pageRows} at a time. */
export class RecordTable {
  private readonly grid: Grid<number>;
  private readonly position: HTMLElement;
  private rows: Int32Array = new Int32Array(0);
  private page = 0;

  constructor(
    private readonly store: TimelineStore,
    parts: { table: HTMLTableElement; previous: HTMLButtonElement; next: HTMLButtonElement; position: HTMLElement },
    axis: () => Axis,
    choose: (row: number) => void,
  ) {
    const { table, previous, next, position } = parts;
    this.position = position;
    const length = (value: number): string => (value < 0 ? "" : lengthText(value, axis()));
    const columns: readonly Column<number>[] = [
      { title: "Record", numeric: true, text: (row) => `#${store.value(row, TimelineColumn.id)}` },
      { title: "Interrupt", text: (row) => describeRow(store, row) },
      {
        title: "Sent",
        explanation: "Count of instructions of the machine",
        numeric: true,
        text: (row) => grouped(store.stage(row, "send", "instruction")),
      },
      {
        title: "Latency",
        explanation: "From acceptance to the handler's start",
        numeric: true,
        text: (row) => length(latencyOf(store, row, axis())),
      },
      {
        title: "Handler",
        explanation: "From the handler's start to its return",
        numeric: true,
        text: (row) => length(handlerTimeOf(store, row, axis())),
      },
      { title: "State", text: (row) => stateText(store, row) },
    ];
    this.grid = new Grid(table, columns, "Interrupts", choose, (direction) => this.turn(direction));
    previous.addEventListener("click", () => this.turn(-1));
    next.addEventListener("click", () => this.turn(1));
  }

  show(rows: Int32Array): void {
    const last = this.page >= this.pages - 1;
    this.rows = Int32Array.from(rows).sort((a, b) => this.store.value(a, TimelineColumn.id) - this.store.value(b, TimelineColumn.id));
    // Who reads the newest goes on reading the newest.
    this.page = last ? this.pages - 1 : Math.min(this.page, this.pages - 1);
    this.render();
  }

  /** Opens the page of a row and focuses it. */
  reveal(row: number): void {
    const at = this.rows.indexOf(row);
    if (at < 0) return;
    this.page = Math.floor(at / pageRows);
    this.render();
    this.grid.focus(at % pageRows);
  }

  private get pages(): number {
    return Math.max(1, Math.ceil(this.rows.length / pageRows));
  }

  private turn(direction: -1 | 1): boolean {
    const wanted = this.page + direction;
    if (wanted < 0 || wanted >= this.pages) return false;
    this.page = wanted;
    this.render();
    return true;
  }

  private render(): void {
    const first = this.page * pageRows;
    const rows = [...this.rows.subarray(first, first + pageRows)];
    this.grid.show(rows, first, this.rows.length);
    this.position.textContent =
      rows.length === 0 ? "No interrupts" : `${grouped(first + 1)} to ${grouped(first + rows.length)} of ${grouped(this.rows.length)}`;
  }
}

/** Statistics; choosing a line filters by its vector. */
export class StatisticsTable {
  private readonly grid: Grid<StatisticsRow>;

  constructor(table: HTMLTableElement, axis: () => Axis, choose: (row: StatisticsRow) => void) {
    const length = (spread: Spread | undefined, key: keyof Spread): string => (spread === undefined ? "" : lengthText(spread[key], axis()));
    const columns: readonly Column<StatisticsRow>[] = [
      { title: "Vector", text: ({ name }) => name },
      { title: "CPU", numeric: true, text: ({ cpu }) => (cpu < 0 ? "none" : String(cpu)) },
      { title: "Source", text: ({ sources }) => sources },
      { title: "Handler", explanation: "By the IDT", text: ({ handler }) => handler },
      { title: "Count", numeric: true, text: ({ count }) => grouped(count) },
      { title: "Dropped", numeric: true, text: ({ dropped }) => (dropped === 0 ? "" : grouped(dropped)) },
      {
        title: "Rate",
        explanation: "A second of virtual time",
        numeric: true,
        text: ({ rate }) => (rate === 0 ? "" : `${grouped(rate)}/s`),
      },
      {
        title: "Latency, median",
        explanation: "From acceptance to the handler's start",
        numeric: true,
        text: ({ latency }) => length(latency, "median"),
      },
      { title: "Latency, p99", explanation: "99 of 100 are not later", numeric: true, text: ({ latency }) => length(latency, "p99") },
      { title: "Latency, max", numeric: true, text: ({ latency }) => length(latency, "maximum") },
      {
        title: "Handler, median",
        explanation: "From the handler's start to its return",
        numeric: true,
        text: ({ handlerTime }) => length(handlerTime, "median"),
      },
      { title: "Handler, p99", numeric: true, text: ({ handlerTime }) => length(handlerTime, "p99") },
      { title: "Handler, total", numeric: true, text: ({ handlerTime }) => length(handlerTime, "total") },
    ];
    this.grid = new Grid(table, columns, "Statistics by vector and CPU", choose);
  }

  show(rows: readonly StatisticsRow[]): void {
    this.grid.show(rows, 0, rows.length);
  }
}

/** Life of one interrupt, as lines: stage, moment, what it took since the last. */
export function lifeLines(store: TimelineStore, row: number, axis: Axis): { stage: string; at: string; since: string }[] {
  const lines: { stage: string; at: string; since: string }[] = [];
  let before = -1;
  const words = {
    send: "Sent",
    accept: "Accepted",
    request: "Requested",
    deliver: "Delivered",
    eoi: "End of interrupt",
    drop: "Dropped",
    return: "Returned",
  } as const;
  const order = Object.keys(words) as (keyof typeof words)[];
  const happened = order.filter((stage) => store.stage(row, stage, "instruction") >= 0);
  happened.sort((a, b) => store.stage(row, a, "instruction") - store.stage(row, b, "instruction") || order.indexOf(a) - order.indexOf(b));
  for (const stage of happened) {
    const value = store.value(row, stageOffset(stage, axis));
    lines.push({
      stage: words[stage],
      at: axis === "time" ? `${grouped(value)} ns` : grouped(value),
      since: before < 0 ? "" : `+${lengthText(value - before, axis)}`,
    });
    before = value;
  }
  return lines;
}

/** Name and vector for an `aria-label`. */
export function spokenRow(store: TimelineStore, row: number, axis: Axis): string {
  const latency = latencyOf(store, row, axis);
  return `${describeRow(store, row)}, ${stateText(store, row)}${latency < 0 ? "" : `, latency ${lengthText(latency, axis)}`} (${shortName(store, row)})`;
}
