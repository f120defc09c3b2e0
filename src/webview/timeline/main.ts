// The timeline's webview: takes pages from the extension, draws them, and answers to mouse and keyboard.
import { TimelineColumn, type TimelinePlace } from "../../adapter/timelineProtocol";
import { part } from "../elements";
import { showDetails } from "./details";
import { parseVectors, shownRows, showAll, type TimelineFilter } from "./filter";
import { rowAt } from "./hit";
import { buildGeometry, handlerEnd, type Geometry } from "./lanes";
import { gutter, layOut, ruler } from "./layout";
import { writeLegend } from "./legend";
import type { FromTimeline, TimelineHead, ToTimeline } from "./messages";
import { Painter, type Scene } from "./painter";
import { perfettoText } from "./perfetto";
import { statistics } from "./statistics";
import { TimelineStore, type Axis } from "./store";
import { RecordTable, StatisticsTable, spokenRow } from "./tables";
import { readTheme } from "./theme";
import { showTooltip } from "./tooltip";
import { fit, pan, reveal, show, zoom, type Extent, type Viewport } from "./viewport";
import { grouped, lengthText } from "./words";

declare function acquireVsCodeApi(): { postMessage(message: FromTimeline): void; getState(): unknown; setState(state: unknown): void };

type Tab = "timeline" | "table" | "statistics";

const vscode = acquireVsCodeApi();

const canvas = part("canvas", HTMLCanvasElement);
const scroller = part("scroller", HTMLDivElement);
const spacer = part("spacer", HTMLDivElement);
const tooltip = part("tooltip", HTMLDivElement);
const details = part("details", HTMLElement);
const status = part("status", HTMLElement);
const vectorInput = part("vectors", HTMLInputElement);
const vectorProblem = part("vector-problem", HTMLElement);
const cpuList = part("cpus", HTMLElement);
const axisSelect = part("axis", HTMLSelectElement);
const follow = part("follow", HTMLInputElement);

class TimelineView {
  private readonly store = new TimelineStore();
  private readonly painter: Painter;
  private readonly table: RecordTable;
  private readonly statisticsTable: StatisticsTable;
  private theme = readTheme(document.documentElement);
  private head: TimelineHead = { session: "", key: "", ended: undefined };
  private filter: TimelineFilter = showAll;
  private axis: Axis = "time";
  private rows: Int32Array = new Int32Array(0);
  private geometry: Geometry;
  private layout: ReturnType<typeof layOut>;
  private view: Viewport = { start: 0, span: 1000 };
  private tab: Tab = "timeline";
  private selected = -1;
  private hovered = -1;
  private fitted = false;
  private drawAsked = false;
  private rebuildAsked = false;
  private drag: { readonly x: number; readonly y: number; readonly view: Viewport; readonly scroll: number; moved: boolean } | undefined;

  constructor() {
    const context = canvas.getContext("2d", { alpha: false });
    if (context === null) throw new Error("there is no canvas to draw on");
    this.painter = new Painter(canvas, context);
    this.geometry = buildGeometry(this.store, this.rows, this.axis, this.filter.hiddenCpus);
    this.layout = layOut(this.geometry);
    this.table = new RecordTable(
      this.store,
      {
        table: part("records", HTMLTableElement),
        previous: part("previous", HTMLButtonElement),
        next: part("next", HTMLButtonElement),
        position: part("position", HTMLElement),
      },
      () => this.axis,
      (row) => this.select(row),
    );
    this.statisticsTable = new StatisticsTable(
      part("statistics-table", HTMLTableElement),
      () => this.axis,
      ({ vector, name }) => {
        if (!name.startsWith("0x")) return;
        vectorInput.value = `0x${vector.toString(16)}`;
        this.setFilter();
      },
    );
    writeLegend(part("legend", HTMLElement), this.theme);
    this.listen();
    this.resize();
  }

  receive(message: ToTimeline): void {
    switch (message.kind) {
      case "head":
        this.head = message.head;
        vscode.setState(message.head);
        return this.tell();
      case "page":
        if (message.page.restarted) this.begin();
        this.store.take(message.page);
        return this.rebuildSoon();
      case "filter":
        vectorInput.value = message.vectors;
        return this.setFilter();
      case "reveal":
        return this.revealRow(this.store.find(message.record));
    }
  }

  private begin(): void {
    this.store.clear();
    this.selected = -1;
    this.hovered = -1;
    this.fitted = false;
    this.rebuildSoon();
  }

  // What is shown

  private get extent(): Extent {
    const { first, last } = this.geometry;
    return { first: Number.isFinite(first) ? first : 0, last };
  }

  private rebuildSoon(): void {
    if (this.rebuildAsked) return;
    this.rebuildAsked = true;
    requestAnimationFrame(() => {
      this.rebuildAsked = false;
      this.rebuild();
    });
  }

  private rebuild(): void {
    const before = this.extent;
    // Only the axis of time counts while the guest idles.
    this.rows = shownRows(this.store, this.filter);
    this.geometry = buildGeometry(this.store, this.rows, this.axis, this.filter.hiddenCpus);
    this.layout = layOut(this.geometry);
    spacer.style.height = `${this.layout.height + ruler}px`;
    const atEnd = this.view.start + this.view.span >= before.last;
    if (!this.fitted && this.rows.length > 0) {
      this.view = fit(this.extent);
      this.fitted = true;
    } else if (follow.checked && atEnd) {
      const whole = this.view.start <= before.first;
      this.view = whole ? fit(this.extent) : pan(this.view, (this.extent.last - before.last) / this.view.span, this.extent);
    }
    this.listCpus();
    this.tell();
    this.showTab();
    if (this.selected >= 0) this.showDetails();
  }

  private tell(): void {
    const { session, ended } = this.head;
    const { rows, forgotten } = this.store;
    const shown = this.rows.length === rows ? grouped(rows) : `${grouped(this.rows.length)} of ${grouped(rows)}`;
    const older = forgotten === 0 ? "" : ` (${grouped(forgotten)} older ones are no longer kept)`;
    status.textContent =
      session === ""
        ? "No session: start debugging a guest, and its interrupts appear here."
        : `${session}: ${shown} interrupts${older}. ${ended ?? (this.store.running ? "Running." : "Stopped.")}`;
    status.classList.toggle("ended", ended !== undefined);
    document.body.classList.toggle("empty", rows === 0);
  }

  private listCpus(): void {
    const known = [...cpuList.querySelectorAll("input")].map((input) => Number(input.value));
    const wanted = this.store.cpus.map(({ index }) => index);
    if (known.join() === wanted.join()) return;
    cpuList.replaceChildren(
      ...this.store.cpus.map(({ index, apicId }) => {
        const label = document.createElement("label");
        const box = document.createElement("input");
        box.type = "checkbox";
        box.value = String(index);
        box.checked = !this.filter.hiddenCpus.has(index);
        box.addEventListener("change", () => this.setFilter());
        label.append(box, ` CPU ${index} (APIC ${apicId})`);
        return label;
      }),
    );
  }

  private setFilter(): void {
    const vectors = parseVectors(vectorInput.value);
    const wrong = vectors !== undefined && "problem" in vectors;
    vectorInput.setAttribute("aria-invalid", String(wrong));
    vectorProblem.textContent = wrong ? vectors.problem : "";
    if (wrong) return;
    const boxes = [...cpuList.querySelectorAll("input")];
    this.filter = { vectors, hiddenCpus: new Set(boxes.filter((box) => !box.checked).map((box) => Number(box.value))) };
    this.rebuild();
  }

  private showTab(): void {
    for (const name of ["timeline", "table", "statistics"] as const) {
      const active = name === this.tab;
      const tab = part(`tab-${name}`, HTMLButtonElement);
      tab.setAttribute("aria-selected", String(active));
      tab.tabIndex = active ? 0 : -1;
      part(`panel-${name}`, HTMLElement).hidden = !active;
    }
    switch (this.tab) {
      case "timeline":
        this.resize();
        return this.draw();
      case "table":
        return this.table.show(this.rows);
      case "statistics": {
        const whole = this.view.start <= this.extent.first && this.view.start + this.view.span >= this.extent.last;
        const [first, last] = whole ? [-Infinity, Infinity] : [this.view.start, this.view.start + this.view.span];
        part("statistics-range", HTMLElement).textContent = whole
          ? "All interrupts shown."
          : `Interrupts sent in the part of the timeline that is in view (${lengthText(this.view.span, this.axis)}); fit the timeline for all.`;
        return this.statisticsTable.show(statistics(this.store, this.rows, this.axis, first, last));
      }
    }
  }

  private openTab(tab: Tab, focus = false): void {
    this.tab = tab;
    this.showTab();
    if (focus) part(`tab-${tab}`, HTMLButtonElement).focus();
  }

  // Drawing

  private get scene(): Scene {
    const { store, geometry, view, axis, selected, hovered } = this;
    return { store, geometry, layout: this.layout.lanes, view, axis, scroll: scroller.scrollTop, selected, hovered };
  }

  private draw(): void {
    if (this.drawAsked || this.tab !== "timeline") return;
    this.drawAsked = true;
    requestAnimationFrame(() => {
      this.drawAsked = false;
      this.drawNow();
    });
  }

  /** Draws at once; returns how many things were drawn. */
  drawNow(): number {
    this.painter.paint(this.scene, this.theme);
    return this.painter.drawn;
  }

  private resize(): void {
    const { clientWidth: width, clientHeight: height } = scroller;
    if (width === 0 || height === 0) return;
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
    const scale = window.devicePixelRatio;
    if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale))
      this.painter.resize(width, height, scale);
  }

  /** Changes what is in view. */
  move(view: Viewport): void {
    this.view = view;
    this.draw();
  }

  zoomBy(factor: number, at = this.view.start + this.view.span / 2): void {
    this.move(zoom(this.view, factor, at, this.extent));
  }

  panBy(partOfView: number): void {
    this.move(pan(this.view, partOfView, this.extent));
  }

  fitAll(): void {
    this.move(fit(this.extent));
  }

  // Choosing

  private select(row: number): void {
    this.selected = row;
    this.showDetails();
    this.draw();
  }

  private revealRow(row: number): void {
    if (row < 0) return;
    this.view = reveal(this.view, this.store.stage(row, "deliver", this.axis), this.extent);
    this.select(row);
    if (this.tab === "table") this.table.reveal(row);
  }

  private showDetails(): void {
    showDetails(details, this.store, this.selected, this.axis, {
      openPlace: (place) => this.openPlace(place),
      zoomTo: (row) => this.zoomTo(row),
      showInTable: (row) => {
        this.openTab("table");
        this.table.reveal(row);
      },
    });
  }

  private zoomTo(row: number): void {
    this.openTab("timeline");
    const end = handlerEnd(this.store, row, this.axis, this.store.now[this.axis]);
    this.move(show(this.store.stage(row, "send", this.axis), end, this.extent));
  }

  private openPlace(place: TimelinePlace): void {
    vscode.postMessage({ kind: "openPlace", place });
  }

  /** The next or the last interrupt of the shown ones, by the moment it was sent. */
  private selectNeighbour(direction: -1 | 1): void {
    if (this.rows.length === 0) return;
    const ordered = [...this.rows].sort((a, b) => this.store.value(a, TimelineColumn.id) - this.store.value(b, TimelineColumn.id));
    const at = ordered.indexOf(this.selected);
    const next = at < 0 ? (direction > 0 ? 0 : ordered.length - 1) : at + direction;
    if (next < 0 || next >= ordered.length) return;
    const row = ordered[next];
    const moment = this.store.stage(row, "deliver", this.axis);
    this.view = reveal(this.view, moment >= 0 ? moment : this.store.stage(row, "send", this.axis), this.extent);
    this.select(row);
    part("announce", HTMLElement).textContent = spokenRow(this.store, row, this.axis);
  }

  // Files

  private savePng(): void {
    this.openTab("timeline");
    this.drawNow();
    const prefix = "data:image/png;base64,";
    const url = canvas.toDataURL("image/png");
    if (!url.startsWith(prefix)) return vscode.postMessage({ kind: "problem", text: "The picture could not be made." });
    vscode.postMessage({ kind: "save", format: "png", base64: url.slice(prefix.length) });
  }

  private savePerfetto(): void {
    vscode.postMessage({ kind: "save", format: "perfetto", text: perfettoText(this.store, this.rows) });
  }

  // Mouse and keyboard

  private timeAt(clientX: number): number {
    const x = clientX - scroller.getBoundingClientRect().left;
    return this.view.start + ((x - gutter) / this.painter.axisWidth) * this.view.span;
  }

  private hit(event: MouseEvent): number {
    const box = scroller.getBoundingClientRect();
    const y = event.clientY - box.top - ruler;
    return y < 0 ? -1 : rowAt(this.scene, event.clientX - box.left, y + scroller.scrollTop, this.painter.axisWidth);
  }

  private hover(event: MouseEvent): void {
    const row = this.hit(event);
    if (row !== this.hovered) {
      this.hovered = row;
      this.draw();
    }
    canvas.style.cursor = row < 0 ? "" : "pointer";
    showTooltip(tooltip, this.store, row, this.axis, event);
  }

  private wheel(event: WheelEvent): void {
    const scale = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 16 : 1;
    if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      this.panBy(((event.deltaX || event.deltaY) * scale) / this.painter.axisWidth);
    } else if (event.altKey) {
      return;
    } else {
      this.zoomBy(Math.exp(Math.max(-200, Math.min(200, event.deltaY * scale)) * 0.0025), this.timeAt(event.clientX));
    }
    event.preventDefault();
  }

  private key(event: KeyboardEvent): void {
    const acts: Readonly<Record<string, () => void>> = {
      ArrowLeft: () => this.panBy(event.shiftKey ? -0.9 : -0.1),
      ArrowRight: () => this.panBy(event.shiftKey ? 0.9 : 0.1),
      ArrowUp: () => void (scroller.scrollTop -= 40),
      ArrowDown: () => void (scroller.scrollTop += 40),
      Home: () => this.move({ ...pan(this.view, -Infinity, this.extent) }),
      End: () => this.move({ ...pan(this.view, Infinity, this.extent) }),
      "+": () => this.zoomBy(0.5),
      "=": () => this.zoomBy(0.5),
      "-": () => this.zoomBy(2),
      "0": () => this.fitAll(),
      n: () => this.selectNeighbour(1),
      p: () => this.selectNeighbour(-1),
      Enter: () => {
        const place =
          this.selected < 0 ? undefined : (this.store.place(this.selected, "handler") ?? this.store.place(this.selected, "sentAt"));
        if (place !== undefined) this.openPlace(place);
      },
      Escape: () => this.select(-1),
    };
    if (!Object.hasOwn(acts, event.key) || event.ctrlKey || event.metaKey || event.altKey) return;
    acts[event.key]();
    event.preventDefault();
  }

  private listen(): void {
    const button = (id: string, run: () => void): void => part(id, HTMLButtonElement).addEventListener("click", run);
    button("zoom-in", () => this.zoomBy(0.5));
    button("zoom-out", () => this.zoomBy(2));
    button("fit", () => this.fitAll());
    button("save-perfetto", () => this.savePerfetto());
    button("save-png", () => this.savePng());
    const tabs = ["timeline", "table", "statistics"] as const;
    for (const [index, tab] of tabs.entries()) {
      button(`tab-${tab}`, () => this.openTab(tab));
      part(`tab-${tab}`, HTMLButtonElement).addEventListener("keydown", ({ key }) => {
        if (key === "ArrowRight") this.openTab(tabs[(index + 1) % tabs.length], true);
        if (key === "ArrowLeft") this.openTab(tabs[(index + tabs.length - 1) % tabs.length], true);
      });
    }
    vectorInput.addEventListener("input", () => this.setFilter());
    axisSelect.addEventListener("change", () => {
      this.axis = axisSelect.value === "instruction" ? "instruction" : "time";
      this.fitted = false;
      this.rebuild();
    });
    canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    scroller.addEventListener("keydown", (event) => this.key(event));
    scroller.addEventListener("scroll", () => this.draw());
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      scroller.focus();
      this.drag = { x: event.clientX, y: event.clientY, view: this.view, scroll: scroller.scrollTop, moved: false };
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => this.pointerMoved(event));
    canvas.addEventListener("pointerup", (event) => {
      if (this.drag !== undefined && !this.drag.moved) this.select(this.hit(event));
      this.drag = undefined;
    });
    canvas.addEventListener("pointerleave", () => {
      this.hovered = -1;
      tooltip.hidden = true;
      this.draw();
    });
    canvas.addEventListener("dblclick", (event) => {
      const row = this.hit(event);
      const place = row < 0 ? undefined : (this.store.place(row, "handler") ?? this.store.place(row, "sentAt"));
      if (place !== undefined) this.openPlace(place);
    });
    new ResizeObserver(() => {
      this.resize();
      if (this.tab === "timeline") this.drawNow();
    }).observe(scroller);
    // The theme may change while the panel is open: VS Code then changes the classes of the body.
    new MutationObserver(() => {
      this.theme = readTheme(document.documentElement);
      writeLegend(part("legend", HTMLElement), this.theme);
      this.draw();
    }).observe(document.body, { attributes: true, attributeFilter: ["class"] });
    window.addEventListener("message", ({ data }) => this.receive(data as ToTimeline));
  }

  private pointerMoved(event: PointerEvent): void {
    const { drag } = this;
    if (drag === undefined) return this.hover(event);
    if (Math.abs(event.clientX - drag.x) + Math.abs(event.clientY - drag.y) > 3) drag.moved = true;
    if (!drag.moved) return;
    tooltip.hidden = true;
    scroller.scrollTop = drag.scroll - (event.clientY - drag.y);
    this.move(pan(drag.view, (drag.x - event.clientX) / this.painter.axisWidth, this.extent));
  }
}

const view = new TimelineView();
// Tests measure frames by it.
Object.assign(globalThis, { apicscopeTimeline: view });
vscode.postMessage({ kind: "ready" });
