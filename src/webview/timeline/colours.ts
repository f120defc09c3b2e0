// How far colours stand out from each other.

/** Contrast that WCAG 2.1 (1.4.11) asks of graphics. */
const leastContrast = 3;

/** A colour, or another one where that has too little contrast on `background` and the other has more. */
export function clearer(colour: string, other: string, background: string): string {
  const [own, others] = [contrast(colour, background), contrast(other, background)];
  return own === undefined || others === undefined || own >= leastContrast || others <= own ? colour : other;
}

/** Contrast of two colours by WCAG 2.1: 1 to 21; undefined for what is not written as #rrggbb. */
function contrast(one: string, other: string): number | undefined {
  const [a, b] = [luminance(one), luminance(other)];
  return a === undefined || b === undefined ? undefined : (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
}

function luminance(colour: string): number | undefined {
  const channels = channelsOf(colour)?.map((value) => (value <= 10 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4));
  return channels === undefined ? undefined : channels[0] * 0.2126 + channels[1] * 0.7152 + channels[2] * 0.0722;
}

/** Red, green and blue, 0 to 255, of a colour written as #rrggbb. */
function channelsOf(colour: string): number[] | undefined {
  return /^#([0-9a-f]{2})([0-9a-f]{2})([0-9a-f]{2})/i
    .exec(colour)
    ?.slice(1)
    .map((digits) => parseInt(digits, 16));
}

/** Of two colours the one that stands out more on `on`; colours that are not written as #rrggbb leave the first. */
export function readable(on: string, first: string, second: string): string {
  const [one, other] = [contrast(on, first), contrast(on, second)];
  return one === undefined || other === undefined || one >= other ? first : second;
}
