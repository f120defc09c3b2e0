/** The table and the JSON of a comparison. */
import { median, type Outcome, type Sample } from "./measure";

/** All runs of one benchmark on one emulator. */
export interface Series {
  readonly contestant: string;
  readonly samples: readonly Sample[];
  /** Why there are no samples. */
  readonly cannot: string | undefined;
}

export interface Result {
  readonly name: string;
  readonly bits: number;
  readonly work: number;
  readonly target: { readonly qemu?: number; readonly v86?: number };
  readonly series: readonly Series[];
  /** All emulators that ran printed the same checksum. */
  readonly agree: boolean;
}

/** The first failure of a series counts for all of it: a guest that ends right only now and then is no measurement. */
export function toSeries(contestant: string, outcomes: readonly Outcome[]): Series {
  const failure = outcomes.find((outcome) => !outcome.ok);
  const samples = outcomes.flatMap((outcome) => (outcome.ok ? [outcome.sample] : []));
  const checksums = new Set(samples.map((sample) => sample.checksum));
  if (failure !== undefined && !failure.ok) return { contestant, samples: [], cannot: failure.why };
  if (checksums.size > 1) return { contestant, samples: [], cannot: `checksums differ between runs: ${[...checksums].join(", ")}` };
  return { contestant, samples, cannot: undefined };
}

export function agrees(series: readonly Series[]): boolean {
  return new Set(series.flatMap(({ samples }) => samples.map((sample) => sample.checksum))).size <= 1;
}

export const regionOf = (series: Series): number | undefined =>
  series.samples.length === 0 ? undefined : median(series.samples.map((sample) => sample.region));
export function cpuOf(series: Series): number | undefined {
  const times = series.samples.flatMap((sample) => (sample.cpu === undefined ? [] : [sample.cpu]));
  return times.length === 0 ? undefined : median(times);
}
export const wholeOf = (series: Series): number | undefined =>
  series.samples.length === 0 ? undefined : median(series.samples.map((sample) => sample.whole));

/** Three significant digits. */
function digits(value: number): string {
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value >= 1 ? value.toFixed(2) : value.toPrecision(2);
}

function ratio(ours: number | undefined, theirs: number | undefined): string {
  return ours === undefined || theirs === undefined || theirs === 0 ? "-" : digits(ours / theirs);
}

const seconds = (value: number | undefined): string => (value === undefined ? "-" : (value / 1000).toFixed(2));

/** One line a benchmark: medians in seconds of each emulator, then ratios of `ours` to the others by wall clock and by processor time. */
export function table(results: readonly Result[], contestants: readonly string[], ours: string): string {
  const others = contestants.filter((name) => name !== ours);
  const header = ["benchmark", "bits", ...contestants.map((name) => `${name} s`)];
  for (const name of others) header.push(`/${name}`, "by CPU", "aim");
  const rows = [header];
  const notes: string[] = [];
  for (const result of results) {
    const find = (name: string): Series | undefined => result.series.find((series) => series.contestant === name);
    const own = find(ours);
    const row = [result.name, String(result.bits)];
    for (const name of contestants) {
      const series = find(name);
      row.push(series === undefined ? "-" : series.cannot === undefined ? seconds(regionOf(series)) : "-");
      if (series?.cannot !== undefined) notes.push(`${result.name} ${result.bits}, ${name}: ${series.cannot}`);
    }
    for (const name of others) {
      const series = find(name);
      const wall = own && series ? ratio(regionOf(own), regionOf(series)) : "-";
      const aim = name === "qemu" ? result.target.qemu : name === "v86" ? result.target.v86 : undefined;
      row.push(wall, own && series ? ratio(cpuOf(own), cpuOf(series)) : "-", aim === undefined || wall === "-" ? "" : `<= ${aim}`);
    }
    if (!result.agree) notes.push(`${result.name} ${result.bits}: CHECKSUMS DIFFER: ${describeChecksums(result)}`);
    rows.push(row);
  }
  const widths = header.map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  const lines = rows.map((row) =>
    row.map((cell, column) => (column === 0 ? cell.padEnd(widths[column]) : cell.padStart(widths[column]))).join("  "),
  );
  return [...lines, ...(notes.length === 0 ? [] : ["", ...notes])].join("\n");
}

export function describeChecksums(result: Result): string {
  return result.series
    .filter((series) => series.samples.length > 0)
    .map((series) => `${series.contestant} ${series.samples[0].checksum}`)
    .join(", ");
}
