/**
 * Structured control flow for a graph of pieces: reverse postorder, dominators, loops, merge points (after N. Ramsey, "Beyond Relooper", ICFP 2022). Jumps into the
 * middle of a loop (and the entries of the function) go through a dispatcher at the root.
 */
export interface Structure {
  /** Position in reverse postorder; -1: not reachable. */
  readonly order: Int32Array;
  /** Children in the dominator tree that need a label, the last in order first; index `nodes` is the root. */
  readonly merges: readonly (readonly number[])[];
  /** The node is the header of a loop. */
  readonly isLoop: Uint8Array;
  readonly isMerge: Uint8Array;
  /** Nodes that the dispatcher leads to, entries first. */
  readonly dispatched: readonly number[];
  /** True when the jump from `from` to `to` goes through the dispatcher. */
  isRedirected(from: number, to: number): boolean;
  readonly hasRedirections: boolean;
}

/** @param successors of each node, in the order they are to be laid out; `entries`: where control comes from outside */
export function structure(successors: readonly (readonly number[])[], entries: readonly number[]): Structure {
  const nodes = successors.length;
  const root = nodes;
  const redirected = new Set<number>();
  const dispatched = [...new Set(entries)];
  const key = (from: number, to: number): number => from * (nodes + 1) + to;
  for (;;) {
    const order = new Int32Array(nodes + 1).fill(-1);
    const sequence: number[] = [];
    const state = new Uint8Array(nodes + 1);
    const next = (node: number): readonly number[] => (node === root ? dispatched : successors[node]);
    // Depth first, the last successor first, so that the first ends up right after its node.
    const stack: { node: number; at: number }[] = [{ node: root, at: dispatched.length }];
    state[root] = 1;
    for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
      if (top.at === 0) {
        sequence.push(top.node);
        stack.pop();
        continue;
      }
      const to = next(top.node)[--top.at];
      if (state[to] !== 0 || (top.node !== root && redirected.has(key(top.node, to)))) continue;
      state[to] = 1;
      stack.push({ node: to, at: next(to).length });
    }
    sequence.reverse();
    sequence.forEach((node, index) => (order[node] = index));
    const dominator = dominators(sequence, order, next, redirected, key, root);
    const dominates = (a: number, b: number): boolean => {
      let node = b;
      while (order[node] > order[a]) node = dominator[node];
      return node === a;
    };
    let changed = false;
    const isLoop = new Uint8Array(nodes + 1);
    const forward = new Int32Array(nodes + 1);
    for (const node of sequence) {
      for (const to of next(node)) {
        if (node !== root && redirected.has(key(node, to))) continue;
        if (order[to] > order[node]) forward[to]++;
        else if (dominates(to, node)) isLoop[to] = 1;
        else {
          redirected.add(key(node, to));
          if (!dispatched.includes(to)) dispatched.push(to);
          changed = true;
        }
      }
    }
    if (changed) continue;
    const isMerge = new Uint8Array(nodes + 1);
    const merges: number[][] = Array.from({ length: nodes + 1 }, () => []);
    const needsDispatch = dispatched.length > 1 || redirected.size > 0;
    for (let index = sequence.length - 1; index >= 1; index--) {
      const node = sequence[index];
      if (forward[node] < 2 && !(needsDispatch && dispatched.includes(node))) continue;
      isMerge[node] = 1;
      merges[dominator[node]].push(node);
    }
    return {
      order,
      merges,
      isLoop,
      isMerge,
      dispatched,
      isRedirected: (from, to) => redirected.has(key(from, to)),
      hasRedirections: redirected.size > 0,
    };
  }
}

/** Immediate dominators (K. Cooper, T. Harvey, K. Kennedy, "A Simple, Fast Dominance Algorithm"). */
function dominators(
  sequence: readonly number[],
  order: Int32Array,
  next: (node: number) => readonly number[],
  redirected: ReadonlySet<number>,
  key: (from: number, to: number) => number,
  root: number,
): Int32Array {
  const predecessors: number[][] = Array.from({ length: root + 1 }, () => []);
  for (const node of sequence) {
    for (const to of next(node)) if (node === root || !redirected.has(key(node, to))) predecessors[to].push(node);
  }
  const dominator = new Int32Array(root + 1).fill(-1);
  dominator[root] = root;
  for (let changed = true; changed;) {
    changed = false;
    for (const node of sequence) {
      if (node === root) continue;
      let best = -1;
      for (const from of predecessors[node]) {
        if (dominator[from] < 0) continue;
        if (best < 0) {
          best = from;
          continue;
        }
        let other = from;
        while (other !== best) {
          while (order[other] > order[best]) other = dominator[other];
          while (order[best] > order[other]) best = dominator[best];
        }
      }
      if (best !== dominator[node]) {
        dominator[node] = best;
        changed = true;
      }
    }
  }
  return dominator;
}
