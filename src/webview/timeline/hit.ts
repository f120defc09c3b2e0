// What lies under the mouse.
import { barAt } from "./lanes";
import { anchor, barHeight, barTop, gutter, markMiddle } from "./layout";
import type { Scene } from "./painter";
import { firstAtLeast } from "./search";

/** Distance in pixels at which something counts as hit. */
const slack = 4;
/** Arrows looked at on each side of the mouse. */
const maximumArrows = 2_000;

/** Row of the interrupt at a point of the lanes, in pixels from the first lane's top left, gutter included; -1 for none. */
export function rowAt(scene: Scene, x: number, y: number, axisWidth: number): number {
  if (x < gutter) return -1;
  const unit = scene.view.span / axisWidth;
  const time = scene.view.start + (x - gutter) * unit;
  for (const layout of scene.layout) {
    if (y < layout.top || y >= layout.top + layout.height) continue;
    for (const [depth, bars] of layout.lane.bars.entries()) {
      const top = barTop(layout, depth);
      if (y < top - 1 || y > top + barHeight + 1) continue;
      const bar = barAt(bars, time, slack * unit);
      if (bar >= 0) return bars.rows[bar];
    }
    const { times, rows } = layout.lane.marks;
    if (Math.abs(y - markMiddle(layout)) <= slack + 2) {
      const next = firstAtLeast(times, time - slack * unit);
      if (next < times.length && times[next] <= time + slack * unit) return rows[next];
    }
  }
  return arrowAt(scene, time, y, unit);
}

function arrowAt({ geometry, layout }: Scene, time: number, y: number, unit: number): number {
  const { sends, arrivals, reach, from, to, rows } = geometry.arrows;
  const end = firstAtLeast(sends, time + slack * unit);
  let best = -1;
  let nearest: number = slack;
  for (let at = Math.max(firstAtLeast(reach, time - slack * unit), end - maximumArrows); at < end; at++) {
    if (arrivals[at] < time - slack * unit || from[at] === to[at]) continue;
    const [y1, y2] = [anchor(layout[from[at]]), anchor(layout[to[at]])];
    if (y < Math.min(y1, y2) || y > Math.max(y1, y2)) continue;
    // Distance of the point from the line, in pixels.
    const width = (arrivals[at] - sends[at]) / unit;
    const along = (y - y1) / (y2 - y1);
    const away = (Math.abs((time - sends[at]) / unit - along * width) * Math.abs(y2 - y1)) / Math.hypot(width, y2 - y1);
    if (away < nearest) {
      nearest = away;
      best = rows[at];
    }
  }
  return best;
}
