// Draws the part of the geometry that is in view. What is closer together than a pixel is drawn once: the work of a frame grows with
// the number of pixels, not with that of interrupts.
import { TimelineColumn } from "../../adapter/timelineProtocol";
import type { BarRow, Geometry, MarkRow } from "./lanes";
import { anchor, barHeight, barTop, gutter, markMiddle, ruler, type LaneLayout } from "./layout";
import { firstAtLeast } from "./search";
import { stageOffset, type Axis, type TimelineStore } from "./store";
import type { Theme } from "./theme";
import { tickStep, type Viewport } from "./viewport";
import { momentText, shortName } from "./words";

/** Arrows of a frame at most, of which each has a line and a head. */
const maximumArrows = 300;
/** Width in pixels within which short bars become one. */
const bin = 2;
/** Arrows that began left of the view and are looked at. */
const maximumEarlier = 2_000;

export interface Scene {
  readonly store: TimelineStore;
  readonly geometry: Geometry;
  readonly layout: readonly LaneLayout[];
  readonly view: Viewport;
  readonly axis: Axis;
  /** Pixels that the lanes are scrolled by. */
  readonly scroll: number;
  /** Row of the selected interrupt and of the one under the mouse; -1 for none. */
  readonly selected: number;
  readonly hovered: number;
}

export class Painter {
  /** Things drawn in the last frame: what tests of the level of detail look at. */
  drawn = 0;
  private width = 0;
  private height = 0;

  constructor(
    private readonly canvas: HTMLCanvasElement,
    private readonly context: CanvasRenderingContext2D,
  ) {}

  /** Adapts to a size in CSS pixels. */
  resize(width: number, height: number, scale: number): void {
    this.width = width;
    this.height = height;
    this.canvas.width = Math.max(1, Math.round(width * scale));
    this.canvas.height = Math.max(1, Math.round(height * scale));
    this.context.setTransform(scale, 0, 0, scale, 0, 0);
  }

  /** Width of the time axis in pixels. */
  get axisWidth(): number {
    return Math.max(1, this.width - gutter);
  }

  paint(scene: Scene, theme: Theme): void {
    const { context } = this;
    this.drawn = 0;
    context.font = theme.font;
    context.textBaseline = "middle";
    context.fillStyle = theme.background;
    context.fillRect(0, 0, this.width, this.height);
    this.grid(scene, theme);
    const visible = scene.layout.filter(({ top, height }) => top + height > scene.scroll && top < scene.scroll + this.height - ruler);
    context.save();
    context.beginPath();
    context.rect(0, ruler, this.width, this.height - ruler);
    context.clip();
    context.translate(0, ruler - scene.scroll);
    this.separators(visible, theme);
    context.save();
    context.beginPath();
    context.rect(gutter, scene.scroll, this.axisWidth, this.height);
    context.clip();
    for (const layout of visible) {
      for (const [depth, bars] of layout.lane.bars.entries()) this.bars(scene, theme, bars, barTop(layout, depth));
      this.marks(scene, theme, layout.lane.marks, markMiddle(layout));
    }
    this.arrows(scene, theme);
    this.selection(scene, theme);
    context.restore();
    this.names(visible, theme);
    context.restore();
  }

  private x(scene: Scene, value: number): number {
    return gutter + ((value - scene.view.start) / scene.view.span) * this.axisWidth;
  }

  private grid(scene: Scene, theme: Theme): void {
    const { context } = this;
    const step = tickStep(scene.view, this.axisWidth);
    context.strokeStyle = theme.grid;
    context.fillStyle = theme.muted;
    context.lineWidth = 1;
    context.beginPath();
    const first = Math.max(0, Math.ceil(scene.view.start / step));
    for (let tick = first; tick * step <= scene.view.start + scene.view.span; tick++) {
      const x = Math.round(this.x(scene, tick * step)) + 0.5;
      if (x < gutter) continue;
      context.moveTo(x, ruler - 4);
      context.lineTo(x, this.height);
      const label = momentText(tick * step, scene.axis, step);
      if (x + context.measureText(label).width + 4 < this.width) context.fillText(label, x + 4, ruler / 2);
    }
    context.setLineDash(theme.gridDashes);
    context.stroke();
    context.setLineDash([]);
    context.strokeStyle = theme.laneLine;
    context.beginPath();
    context.moveTo(0, ruler - 0.5);
    context.lineTo(this.width, ruler - 0.5);
    context.stroke();
  }

  private separators(visible: readonly LaneLayout[], theme: Theme): void {
    const { context } = this;
    context.strokeStyle = theme.laneLine;
    context.beginPath();
    for (const { top, height } of visible) {
      context.moveTo(0, top + height - 0.5);
      context.lineTo(this.width, top + height - 0.5);
    }
    context.stroke();
  }

  private names(visible: readonly LaneLayout[], theme: Theme): void {
    const { context } = this;
    for (const layout of visible) {
      const { lane, top, height } = layout;
      context.fillStyle = theme.foreground;
      context.fillText(`CPU ${lane.cpu}`, 10, top + height / 2 - (height > 36 ? 7 : 0));
      context.fillStyle = theme.muted;
      if (height > 36) context.fillText(`APIC ${lane.apicId}`, 10, top + height / 2 + 8);
      else context.fillText(`APIC ${lane.apicId}`, 52, top + height / 2);
    }
    context.strokeStyle = theme.laneLine;
    context.beginPath();
    context.moveTo(gutter - 0.5, -1e6);
    context.lineTo(gutter - 0.5, 1e6);
    context.stroke();
  }

  /** Bars of one depth, from left to right; those that end within a pixel become one. */
  private bars(scene: Scene, theme: Theme, { starts, ends, rows }: BarRow, top: number): void {
    const { context } = this;
    const { store, view } = scene;
    const unit = (view.span / this.axisWidth) * bin;
    const end = view.start + view.span;
    const accept = stageOffset("accept", scene.axis);
    let colour = -1;
    for (let bar = firstAtLeast(ends, view.start); bar < starts.length && starts[bar] <= end;) {
      const left = this.x(scene, Math.max(starts[bar], view.start - view.span));
      let last = bar;
      if (ends[bar] - starts[bar] < unit) {
        // Everything that ends in this bin.
        const edge = view.start + Math.floor((starts[bar] - view.start) / unit + 1) * unit;
        last = Math.max(bar, firstAtLeast(ends, edge, bar) - 1);
      }
      const right = this.x(scene, Math.min(ends[last], end + view.span));
      const width = Math.max(1, right - left);
      const source = store.value(rows[bar], TimelineColumn.source);
      if (source !== colour) {
        colour = source;
        context.fillStyle = theme.sources[source] ?? theme.foreground;
      }
      context.fillRect(left, top, width, barHeight);
      this.drawn++;
      if (theme.outline !== undefined && width > 3) {
        context.strokeStyle = theme.outline;
        context.strokeRect(left + 0.5, top + 0.5, width - 1, barHeight - 1);
      }
      if (last === bar && width > 4) this.waiting(scene, theme, rows[bar], accept, left, top);
      if (width > 34) {
        this.label(theme, shortName(store, rows[bar]), Math.max(left, gutter), Math.min(right, this.width), top);
        colour = -1;
      }
      bar = last + 1;
    }
  }

  /** The time from acceptance to the handler's start: a line before the bar. */
  private waiting(scene: Scene, theme: Theme, row: number, accept: number, left: number, top: number): void {
    const accepted = scene.store.value(row, accept);
    if (accepted < 0) return;
    const from = Math.max(this.x(scene, accepted), gutter - 1);
    if (left - from < 2) return;
    const { context } = this;
    context.strokeStyle = theme.latency;
    context.beginPath();
    context.moveTo(from + 0.5, top + 3);
    context.lineTo(from + 0.5, top + barHeight - 3);
    context.moveTo(from, top + barHeight / 2);
    context.lineTo(left, top + barHeight / 2);
    context.stroke();
  }

  private label(theme: Theme, text: string, left: number, right: number, top: number): void {
    const { context } = this;
    if (context.measureText(text).width + 8 > right - left) return;
    if (theme.outline !== undefined) {
      context.fillStyle = theme.background;
      context.fillRect(left + 3, top + 2, context.measureText(text).width + 4, barHeight - 4);
    }
    context.fillStyle = theme.onBar;
    context.fillText(text, left + 5, top + barHeight / 2 + 0.5);
  }

  /** Crosses where something was lost, small circles for what waits or has no handler. */
  private marks(scene: Scene, theme: Theme, { times, rows }: MarkRow, middle: number): void {
    const { context } = this;
    const { store, view } = scene;
    const unit = view.span / this.axisWidth;
    const end = view.start + view.span;
    const drop = stageOffset("drop", scene.axis);
    context.lineWidth = 1.5;
    for (let mark = firstAtLeast(times, view.start); mark < times.length && times[mark] <= end;) {
      const x = this.x(scene, times[mark]);
      const row = rows[mark];
      context.beginPath();
      if (store.value(row, drop) >= 0) {
        context.strokeStyle = theme.drop;
        context.moveTo(x - 3, middle - 3);
        context.lineTo(x + 3, middle + 3);
        context.moveTo(x - 3, middle + 3);
        context.lineTo(x + 3, middle - 3);
      } else {
        context.strokeStyle = theme.sources[store.value(row, TimelineColumn.source)] ?? theme.foreground;
        context.arc(x, middle, 3, 0, 2 * Math.PI);
      }
      context.stroke();
      this.drawn++;
      mark = Math.max(mark + 1, firstAtLeast(times, times[mark] + 3 * unit, mark));
    }
    context.lineWidth = 1;
  }

  private arrows(scene: Scene, theme: Theme): void {
    const { context } = this;
    const { view } = scene;
    const { sends, arrivals, reach, from, to } = scene.geometry.arrows;
    const unit = view.span / this.axisWidth;
    const end = view.start + view.span;
    const wanted: number[] = [];
    // What began before the view and ends in it or behind it.
    const inView = firstAtLeast(sends, view.start);
    for (let at = Math.max(firstAtLeast(reach, view.start), inView - maximumEarlier); at < inView; at++)
      if (arrivals[at] >= view.start) wanted.push(at);
    const spacing = Math.max(unit, (view.span / maximumArrows) * 1.5);
    for (let at = inView; at < sends.length && sends[at] <= end;) {
      // Of the arrows of one send, which are few, all; of what is closer together than can be told apart, the first.
      const sent: number = sends[at];
      do wanted.push(at++);
      while (at < sends.length && sends[at] === sent);
      at = firstAtLeast(sends, sent + spacing, at);
    }
    context.strokeStyle = theme.muted;
    context.fillStyle = theme.muted;
    context.beginPath();
    const count = Math.min(wanted.length, maximumArrows);
    for (let index = 0; index < count; index++) {
      const at = wanted[index];
      this.arrow(scene, sends[at], arrivals[at], from[at], to[at]);
    }
    context.stroke();
    this.drawn += count;
  }

  /** Adds an arrow to the path. */
  private arrow(scene: Scene, sent: number, arrived: number, from: number, to: number): void {
    const { context } = this;
    const x1 = this.x(scene, sent);
    const x2 = this.x(scene, arrived);
    const y1 = anchor(scene.layout[from]);
    const y2 = anchor(scene.layout[to]);
    if (from === to) {
      // To itself: a small hook above the bars.
      context.moveTo(x1, y1 - 8);
      context.lineTo(x1, y1 - 13);
      context.lineTo(x2, y1 - 13);
      context.lineTo(x2, y1 - 8);
      return;
    }
    const down = y2 > y1 ? 1 : -1;
    const top = y1 + down * (barHeight / 2);
    const tip = y2 - down * (barHeight / 2);
    context.moveTo(x1, top);
    context.lineTo(x2, tip);
    const angle = Math.atan2(tip - top, x2 - x1);
    for (const turn of [2.7, -2.7]) {
      context.moveTo(x2, tip);
      context.lineTo(x2 + 6 * Math.cos(angle + turn), tip + 6 * Math.sin(angle + turn));
    }
  }

  /** Frames of the selected interrupt and of the one under the mouse, and the selected one's arrow. */
  private selection(scene: Scene, theme: Theme): void {
    const { context } = this;
    for (const row of new Set([scene.hovered, scene.selected])) {
      if (row < 0) continue;
      context.strokeStyle = theme.focus;
      context.lineWidth = 2;
      context.beginPath();
      const arrow = scene.geometry.arrows.rows.indexOf(row);
      if (arrow >= 0) {
        const { sends, arrivals, from, to } = scene.geometry.arrows;
        this.arrow(scene, sends[arrow], arrivals[arrow], from[arrow], to[arrow]);
      }
      const box = this.boxOf(scene, row);
      if (box !== undefined) context.strokeRect(box.left - 1, box.top - 1, box.width + 2, box.height + 2);
      context.stroke();
      context.lineWidth = 1;
    }
  }

  private boxOf(scene: Scene, row: number): { left: number; top: number; width: number; height: number } | undefined {
    const target = scene.store.value(row, TimelineColumn.target);
    const sender = scene.store.value(row, TimelineColumn.sender);
    for (const layout of scene.layout) {
      if (layout.lane.cpu !== target && layout.lane.cpu !== sender) continue;
      for (const [depth, bars] of layout.lane.bars.entries()) {
        const delivered = scene.store.stage(row, "deliver", scene.axis);
        for (let bar = firstAtLeast(bars.starts, delivered); bar < bars.starts.length && bars.starts[bar] === delivered; bar++) {
          if (bars.rows[bar] !== row) continue;
          const left = Math.max(this.x(scene, bars.starts[bar]), gutter - 4);
          const right = Math.min(this.x(scene, bars.ends[bar]), this.width + 4);
          return { left, top: barTop(layout, depth), width: Math.max(1, right - left), height: barHeight };
        }
      }
      const { times, rows } = layout.lane.marks;
      const mark = rows.indexOf(row);
      if (mark >= 0) return { left: this.x(scene, times[mark]) - 4, top: markMiddle(layout) - 4, width: 8, height: 8 };
    }
    return undefined;
  }
}
