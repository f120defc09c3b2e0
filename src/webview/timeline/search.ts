/** Index of the first entry of an ascending list that is at least `value`, from `from` on; the length where none is. */
export function firstAtLeast(list: Float64Array, value: number, from = 0): number {
  let low = from;
  let high = list.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (list[middle] < value) low = middle + 1;
    else high = middle;
  }
  return low;
}
