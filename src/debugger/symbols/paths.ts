/** A prefix as it stands in debug information and the directory that it is found under here. */
export type SourceMapping = readonly [from: string, to: string];

/** Forward slashes, no `.` or `..` or doubled slashes; drive letters in lower case. */
export function normalisePath(path: string): string {
  const text = path.replaceAll("\\", "/").replace(/^[A-Z]:/, (drive) => drive.toLowerCase());
  const parts: string[] = [];
  for (const part of text.split("/")) {
    if (part === "" || part === ".") continue;
    if (part === ".." && parts.length > 0 && parts[parts.length - 1] !== "..") parts.pop();
    else if (part !== ".." || !text.startsWith("/")) parts.push(part);
  }
  return (text.startsWith("/") ? "/" : "") + parts.join("/");
}

/** Whether a normalised path starts at a root. */
export function isWhole(path: string): boolean {
  return /^(?:\/|[a-z]:\/)/.test(path);
}

/** `path` of debug information as a path here: the longest mapped prefix that matches whole components is replaced. */
export function mapPath(path: string, mappings: readonly SourceMapping[]): string {
  const normal = normalisePath(path);
  let best: { from: string; to: string } | undefined;
  for (const [rawFrom, to] of mappings) {
    const from = normalisePath(rawFrom);
    const matches = normal === from || normal.startsWith(from.endsWith("/") ? from : `${from}/`);
    if (matches && (best === undefined || from.length > best.from.length)) best = { from, to };
  }
  return best === undefined ? normal : normalisePath(`${best.to}/${normal.slice(best.from.length)}`);
}

/** How many trailing components two normalised paths share. */
export function commonTail(a: string, b: string): number {
  const left = a.split("/").reverse();
  const right = b.split("/").reverse();
  let count = 0;
  while (count < left.length && count < right.length && left[count] !== "" && left[count] === right[count]) count++;
  return count;
}

/**
 * Of `candidates` (normalised), those that mean the source file `path`: the same path, else those that share the longest tail with it.
 * A shared file name alone is enough only when no other candidate has it.
 */
export function matchPaths(path: string, candidates: Iterable<string>): string[] {
  const wanted = normalisePath(path);
  let best: string[] = [];
  let length = 0;
  for (const candidate of candidates) {
    if (candidate === wanted) return [candidate];
    const shared = commonTail(candidate, wanted);
    if (shared === 0 || shared < length) continue;
    if (shared > length) best = [];
    length = shared;
    best.push(candidate);
  }
  return length === 1 && best.length > 1 ? [] : best;
}
