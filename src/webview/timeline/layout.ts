// Where lanes lie, in CSS pixels from the top of the first.
import type { Geometry, Lane } from "./lanes";

export const gutter = 104;
export const ruler = 24;
export const barHeight = 16;
const barGap = 2;
const padding = 7;
const markHeight = 9;

export interface LaneLayout {
  readonly lane: Lane;
  readonly top: number;
  readonly height: number;
}

/** The lanes from top to bottom. */
export function layOut({ lanes }: Geometry): { readonly lanes: readonly LaneLayout[]; readonly height: number } {
  let top = 0;
  const placed = lanes.map((lane): LaneLayout => {
    const height = 2 * padding + markHeight + lane.bars.length * (barHeight + barGap);
    const layout = { lane, top, height };
    top += height;
    return layout;
  });
  return { lanes: placed, height: top };
}

/** Top of the bars of a depth of nesting: the outermost handlers stand at the bottom, what interrupts them above. */
export function barTop({ lane, top }: LaneLayout, depth: number): number {
  return top + padding + markHeight + (lane.bars.length - 1 - depth) * (barHeight + barGap);
}

/** Middle of the row of marks. */
export function markMiddle({ top }: LaneLayout): number {
  return top + padding + markHeight / 2 - 1;
}

/** Where arrows begin and end: the middle of the outermost row of bars. */
export function anchor(layout: LaneLayout): number {
  return barTop(layout, 0) + barHeight / 2;
}
