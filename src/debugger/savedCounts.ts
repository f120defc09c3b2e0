/** Remembers counts, most of which are zero. Returns what brings them back. */
export function saveCounts(counts: Float64Array): () => void {
  const kept: number[] = [];
  for (let index = 0; index < counts.length; index++) if (counts[index] !== 0) kept.push(index, counts[index]);
  return () => {
    counts.fill(0);
    for (let at = 0; at < kept.length; at += 2) counts[kept[at]] = kept[at + 1];
  };
}
