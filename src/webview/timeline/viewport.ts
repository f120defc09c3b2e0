// The part of the time axis that is in view. Immutable: each change makes a new one.

/** Narrowest view: a few units of the axis. */
const narrowest = 10;

export interface Viewport {
  /** Left edge and width, in units of the axis (nanoseconds or instructions). */
  readonly start: number;
  readonly span: number;
}

/** What can be looked at: a little more than there is. */
export interface Extent {
  readonly first: number;
  readonly last: number;
}

function clamp({ start, span }: Viewport, { first, last }: Extent): Viewport {
  const margin = Math.max(narrowest, (last - first) * 0.02);
  const widest = Math.max(narrowest, last - first + 2 * margin);
  const width = Math.min(Math.max(span, narrowest), widest);
  return { start: Math.min(Math.max(start, first - margin), Math.max(last + margin - width, first - margin)), span: width };
}

export function fit(extent: Extent): Viewport {
  return clamp({ start: -Infinity, span: Infinity }, extent);
}

/** Zooms by a factor (below 1: closer) and keeps `at` where it is. */
export function zoom(view: Viewport, factor: number, at: number, extent: Extent): Viewport {
  const span = clamp({ start: view.start, span: view.span * factor }, extent).span;
  return clamp({ start: at - ((at - view.start) * span) / view.span, span }, extent);
}

/** Moves by a part of the width: 0.5 is half a view to the right. */
export function pan(view: Viewport, part: number, extent: Extent): Viewport {
  return clamp({ start: view.start + part * view.span, span: view.span }, extent);
}

/** Moves as little as needed to have `time` well in view. */
export function reveal(view: Viewport, time: number, extent: Extent): Viewport {
  const margin = view.span * 0.1;
  if (time >= view.start + margin && time <= view.start + view.span - margin) return view;
  return clamp({ start: time - view.span / 2, span: view.span }, extent);
}

/** A range in view, with some room at its sides. */
export function show(first: number, last: number, extent: Extent): Viewport {
  const room = Math.max(narrowest, (last - first) * 0.2);
  return clamp({ start: first - room, span: last - first + 2 * room }, extent);
}

/** Distance of the ruler's ticks: 1, 2 or 5 times a power of ten, at least `pixels` apart. */
export function tickStep(view: Viewport, width: number, pixels = 90): number {
  const least = (view.span * pixels) / Math.max(width, 1);
  const power = 10 ** Math.floor(Math.log10(Math.max(least, 1)));
  return power * ([1, 2, 5].find((factor) => factor * power >= least) ?? 10);
}
