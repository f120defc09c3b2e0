// How far colours stand out from each other.

/** Contrast that WCAG 2.1 (1.4.11) asks of graphics. */
const leastContrast = 3;

/** A colour, or another one where that has too little contrast on `background` and the other has more. */
export function clearer(colour: string, other: string, background: string): string {
  const [own, others] = [contrast(colour, background), contrast(other, background)];
  return own === undefined || others === undefined || own >= leastContrast || others <= own ? colour : other;
}

/** Contrast of a colour to `background` by WCAG 2.1: 1 to 21; undefined for what is written in another way than VS Code does. */
function contrast(colour: string, background: string): number | undefined {
  const under = channelsOf(background);
  const over = channelsOf(colour);
  if (under === undefined || over === undefined) return undefined;
  const [a, b] = [luminance(over.map((value, index) => value * over[3] + under[index] * (1 - over[3]))), luminance(under)];
  return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
}

function luminance(channels: readonly number[]): number {
  const linear = channels.map((value) => (value <= 10 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4));
  return linear[0] * 0.2126 + linear[1] * 0.7152 + linear[2] * 0.0722;
}

/** Red, green and blue, 0 to 255, and opacity of a colour written as #rrggbb or, where it is not opaque, as rgba(r, g, b, a). */
function channelsOf(colour: string): number[] | undefined {
  const digits = /^#([0-9a-f]{2})([0-9a-f]{2})([0-9a-f]{2})$/i.exec(colour);
  if (digits !== null) return [...digits.slice(1).map((pair) => parseInt(pair, 16)), 1];
  const numbers = /^rgba?\((\d+), *(\d+), *(\d+)(?:, *([\d.]+))?\)$/.exec(colour);
  return numbers === null ? undefined : [...numbers.slice(1, 4).map(Number), Number(numbers[4] ?? 1)];
}

/** Of two colours the one that stands out more on `on`; colours that are not written as #rrggbb leave the first. */
export function readable(on: string, first: string, second: string): string {
  const [one, other] = [contrast(on, first), contrast(on, second)];
  return one === undefined || other === undefined || one >= other ? first : second;
}
