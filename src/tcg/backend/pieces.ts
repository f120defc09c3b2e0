import { OP_A, OP_B, OP_BYTES, OP_D, OP_IMM, SLOT_TEMP, SLOT_ZERO, TEMP_COUNT } from "../layout";
import { Op } from "../ops";
import {
  countMask,
  IS_CONTROL,
  IS_HELPER,
  IS_VECTOR,
  isConditionalBranch,
  isForwardBranch,
  isShift,
  MAY_LEAVE,
  operandUse,
  READS_A,
  READS_B,
  READS_D,
  READS_FLAGS,
  SETS_FLAGS,
  WRITES_B,
  WRITES_D,
} from "./operands";
import type { RegionPlan } from "./region";

/** Words of an op in memory. */
const OP_WORDS = OP_BYTES / 4;

/** Flat copies of a region's ops with what is known of each. Index: position in the region. */
export interface RegionOps {
  readonly count: number;
  /** Address in the code arena. */
  readonly address: Int32Array;
  readonly opcode: Uint16Array;
  readonly d: Uint16Array;
  readonly a: Uint16Array;
  readonly b: Uint16Array;
  /** Halves of imm. */
  readonly lo: Int32Array;
  readonly hi: Int32Array;
  /** General registers read and written: a bit each. */
  readonly uses: Uint16Array;
  readonly defines: Uint16Array;
  readonly leaves: Uint8Array;
  /** 1: sets all flags; 2: reads or keeps some. */
  readonly flags: Uint8Array;
  /** Temporaries that are to be in memory when the interpreter takes over before the op. */
  readonly temps: Uint16Array;
  /** Temporaries that are read after the op in its instruction. */
  readonly tempsAfter: Uint16Array;
}

/** Straight-line code: ops `first` to `end` - 1. */
export interface Piece {
  readonly member: number;
  /** Its linear page among the region's. */
  readonly page: number;
  readonly first: number;
  readonly end: number;
  /** First piece of its block: charges the block's instructions. */
  readonly head: boolean;
  /** The last op is a control op; else control falls into the next piece. */
  readonly control: boolean;
  /** Pieces of the region it goes to: a conditional branch has [taken, not taken], a jump its candidates, others at most one. */
  readonly next: number[];
}

const registerBit = (slot: number): number => (slot < 128 ? 1 << (slot >> 3) : 0);
const tempBit = (slot: number): number => (slot >= SLOT_TEMP && slot < SLOT_TEMP + 8 * TEMP_COUNT ? 1 << ((slot - SLOT_TEMP) >> 3) : 0);

/** Spreads out and examines the ops of a region. */
export function readOps(plan: RegionPlan): { ops: RegionOps; starts: number[] } {
  const count = plan.members.reduce((sum, member) => sum + member.ops.length / OP_WORDS, 0);
  const ops: RegionOps = {
    count,
    address: new Int32Array(count),
    opcode: new Uint16Array(count),
    d: new Uint16Array(count),
    a: new Uint16Array(count),
    b: new Uint16Array(count),
    lo: new Int32Array(count),
    hi: new Int32Array(count),
    uses: new Uint16Array(count),
    defines: new Uint16Array(count),
    leaves: new Uint8Array(count),
    flags: new Uint8Array(count),
    temps: new Uint16Array(count),
    tempsAfter: new Uint16Array(count),
  };
  const starts: number[] = [];
  let at = 0;
  for (const { block, ops: words, starts: instructions } of plan.members) {
    const first = at;
    starts.push(first);
    const halves = new Uint16Array(words.buffer, words.byteOffset, words.length * 2);
    for (let word = 0; word < words.length; word += OP_WORDS, at++) {
      ops.address[at] = block.entry + word * 4;
      ops.opcode[at] = halves[word * 2];
      ops.d[at] = halves[word * 2 + OP_D / 2];
      ops.a[at] = halves[word * 2 + OP_A / 2];
      ops.b[at] = halves[word * 2 + OP_B / 2];
      ops.lo[at] = words[word + OP_IMM / 4];
      ops.hi[at] = words[word + OP_IMM / 4 + 1];
    }
    examine(ops, first, at, instructions);
  }
  return { ops, starts };
}

function examine(ops: RegionOps, first: number, end: number, instructions: Uint16Array): void {
  const wrote = new Uint16Array(end - first);
  const reads = new Uint16Array(end - first);
  for (let i = first; i < end; i++) {
    const use = operandUse[ops.opcode[i]];
    const { d, a, b } = ops;
    ops.uses[i] =
      ((use & READS_D) !== 0 ? registerBit(d[i]) : 0) |
      ((use & READS_A) !== 0 ? registerBit(a[i]) : 0) |
      ((use & READS_B) !== 0 ? registerBit(b[i]) : 0);
    ops.defines[i] = ((use & WRITES_D) !== 0 ? registerBit(d[i]) : 0) | ((use & WRITES_B) !== 0 ? registerBit(b[i]) : 0);
    if ((use & IS_VECTOR) !== 0) ops.defines[i] |= registerBit(a[i]);
    ops.leaves[i] = (use & MAY_LEAVE) !== 0 ? 1 : 0;
    const sets = (use & SETS_FLAGS) !== 0 || (isShift[ops.opcode[i]] && constantCount(ops, i) > 0);
    const looks = (use & READS_FLAGS) !== 0 && !(isShift[ops.opcode[i]] && b[i] === SLOT_ZERO);
    ops.flags[i] = (sets ? 1 : 0) | (looks ? 2 : 0);
    wrote[i - first] = ((use & WRITES_D) !== 0 ? tempBit(d[i]) : 0) | ((use & WRITES_B) !== 0 ? tempBit(b[i]) : 0);
    reads[i - first] =
      (use & IS_HELPER) !== 0
        ? 0xffff
        : ((use & READS_D) !== 0 ? tempBit(d[i]) : 0) |
          ((use & READS_A) !== 0 ? tempBit(a[i]) : 0) |
          ((use & READS_B) !== 0 ? tempBit(b[i]) : 0);
    if ((use & IS_VECTOR) !== 0) reads[i - first] |= tempBit(a[i] + 8) | tempBit(b[i] + 8);
    // A helper may write whatever its operands name, and their neighbours; a vector op the pair of its destination.
    if ((use & IS_VECTOR) !== 0) wrote[i - first] |= tempBit(a[i]) | tempBit(a[i] + 8);
    if ((use & IS_HELPER) !== 0) wrote[i - first] |= tempBit(a[i]) | tempBit(a[i] + 8) | tempBit(b[i]) | tempBit(b[i] + 8);
  }
  for (let k = 0; k < instructions.length; k++) {
    const from = instructions[k];
    const to = k + 1 < instructions.length ? instructions[k + 1] : end - first;
    let after = 0;
    for (let i = to - 1; i >= from; i--) {
      ops.tempsAfter[first + i] = after;
      after |= reads[i];
      ops.temps[first + i] = after;
    }
    let before = 0;
    for (let i = from; i < to; i++) {
      ops.temps[first + i] &= before;
      before |= wrote[i];
      ops.tempsAfter[first + i] &= before;
    }
  }
}

/** The count of a shift by a constant, masked; -1 when it is in a register. */
export function constantCount(ops: RegionOps, i: number): number {
  return ops.b[i] === SLOT_ZERO ? ops.lo[i] & countMask[ops.opcode[i]] : -1;
}

/** Cuts the blocks of a region into pieces and connects them. `heads`: the first piece of each member. */
export function cutPieces(plan: RegionPlan, ops: RegionOps, starts: readonly number[]): { pieces: Piece[]; heads: number[] } {
  const pieces: Piece[] = [];
  const heads: number[] = [];
  const leader = new Uint8Array(ops.count + 1);
  const pieceAt = new Int32Array(ops.count + 1).fill(-1);
  plan.members.forEach((member, index) => {
    const first = starts[index];
    const end = first + member.ops.length / OP_WORDS;
    leader[first] = 1;
    for (let i = first; i < end; i++) {
      const opcode = ops.opcode[i];
      if ((operandUse[opcode] & IS_CONTROL) === 0) continue;
      if (i + 1 < end) leader[i + 1] = 1;
      if (isForwardBranch[opcode]) leader[i + ops.lo[i] / OP_BYTES] = 1;
    }
    heads.push(pieces.length);
    for (let i = first; i < end;) {
      let last = i;
      while (last + 1 < end && leader[last + 1] === 0) last++;
      pieceAt[i] = pieces.length;
      const control = (operandUse[ops.opcode[last]] & IS_CONTROL) !== 0;
      pieces.push({ member: index, page: member.page, first: i, end: last + 1, head: i === first, control, next: [] });
      i = last + 1;
    }
  });
  const byRip = new Map(plan.members.map(({ block }, index) => [block.rip, heads[index]]));
  for (const piece of pieces) {
    const last = piece.end - 1;
    const opcode = ops.opcode[last];
    if (!piece.control) piece.next.push(pieceAt[piece.end]);
    else if (isConditionalBranch[opcode]) piece.next.push(pieceAt[last + ops.lo[last] / OP_BYTES], pieceAt[last + 1]);
    else if (opcode === Op.br) piece.next.push(pieceAt[last + ops.lo[last] / OP_BYTES]);
    else if (opcode === Op.goto || opcode === Op.gotoFar) {
      const to = byRip.get(immediate(ops, last));
      if (to !== undefined) piece.next.push(to);
    } else if (opcode === Op.jump) {
      for (const member of plan.jumps.get(piece.member) ?? []) piece.next.push(heads[member]);
    }
  }
  // A branch to a jump inside the page goes to where that leads.
  for (const piece of pieces) {
    for (let i = 0; i < piece.next.length; i++) {
      for (let hops = 0; hops < 8; hops++) {
        const through = pieces[piece.next[i]];
        const isJump =
          !through.head && through.end - through.first === 1 && ops.opcode[through.first] === Op.goto && through.next.length === 1;
        if (!isJump) break;
        piece.next[i] = through.next[0];
      }
    }
  }
  return { pieces, heads };
}

export const immediate = (ops: RegionOps, i: number): bigint => BigInt.asUintN(64, (BigInt(ops.hi[i]) << 32n) | BigInt(ops.lo[i] >>> 0));

/** Registers at the start of each piece: maybe changed since they were in memory; needed; and, at entries, to be loaded. */
export interface RegisterFlow {
  readonly dirtyIn: Uint16Array;
  readonly liveIn: Uint16Array;
  readonly validIn: Uint16Array;
  /** Registers that a function loads when it is entered. */
  readonly loaded: number;
}

/** Solves the data flow of general registers over the pieces reachable from the entries. */
export function solveRegisters(pieces: readonly Piece[], ops: RegionOps, entries: readonly number[]): RegisterFlow {
  const n = pieces.length;
  const dirtyIn = new Uint16Array(n);
  const dirtyOut = new Uint16Array(n);
  const reached = new Uint8Array(n);
  const work = [...entries];
  for (const entry of entries) reached[entry] = 1;
  for (let at = work.pop(); at !== undefined; at = work.pop()) {
    const piece = pieces[at];
    let dirty = dirtyIn[at];
    for (let i = piece.first; i < piece.end; i++) dirty = operandUse[ops.opcode[i]] & IS_HELPER ? 0 : dirty | ops.defines[i];
    dirtyOut[at] = dirty;
    for (const to of piece.next) {
      const joined = dirtyIn[to] | dirty;
      if (reached[to] !== 0 && joined === dirtyIn[to]) continue;
      reached[to] = 1;
      dirtyIn[to] = joined;
      work.push(to);
    }
  }
  const liveIn = new Uint16Array(n);
  for (let changed = true; changed;) {
    changed = false;
    for (let at = n - 1; at >= 0; at--) {
      if (reached[at] === 0) continue;
      const live = liveBefore(pieces, ops, at, dirtyIn[at], liveIn);
      if (live === liveIn[at]) continue;
      liveIn[at] = live;
      changed = true;
    }
  }
  let loaded = 0;
  for (const entry of entries) loaded |= liveIn[entry];
  const validIn = new Uint16Array(n).fill(0xffff);
  for (const entry of entries) validIn[entry] = loaded;
  for (let changed = true; changed;) {
    changed = false;
    for (let at = 0; at < n; at++) {
      if (reached[at] === 0) continue;
      const piece = pieces[at];
      let valid = validIn[at];
      for (let i = piece.first; i < piece.end; i++) valid = operandUse[ops.opcode[i]] & IS_HELPER ? 0 : valid | ops.defines[i];
      // What is needed later is loaded again after a helper.
      valid |= liveOut(piece, liveIn);
      for (const to of piece.next) {
        const joined = validIn[to] & valid;
        if (joined === validIn[to]) continue;
        validIn[to] = joined;
        changed = true;
      }
    }
  }
  return { dirtyIn, liveIn, validIn, loaded };
}

/** Registers needed at the end of a piece by the pieces after it. */
export function liveOut(piece: Piece, liveIn: Uint16Array): number {
  let live = 0;
  for (const to of piece.next) live |= liveIn[to];
  return live;
}

/** Whether control may leave the region at the end of a piece. */
function exits(piece: Piece, ops: RegionOps): boolean {
  if (!piece.control) return false;
  const opcode = ops.opcode[piece.end - 1];
  if (isForwardBranch[opcode]) return false;
  return (opcode !== Op.goto && opcode !== Op.gotoFar) || piece.next.length === 0;
}

/** Registers needed before each op: fills `before` (if given) and returns those needed at the start of the piece. */
export function liveBefore(
  pieces: readonly Piece[],
  ops: RegionOps,
  at: number,
  dirtyAtStart: number,
  liveIn: Uint16Array,
  after?: Uint16Array,
): number {
  const piece = pieces[at];
  const dirty = new Uint16Array(piece.end - piece.first + 1);
  dirty[0] = dirtyAtStart;
  for (let i = piece.first; i < piece.end; i++) {
    const k = i - piece.first;
    dirty[k + 1] = operandUse[ops.opcode[i]] & IS_HELPER ? 0 : dirty[k] | ops.defines[i];
  }
  let live = liveOut(piece, liveIn);
  const dirtyAtEnd = dirty[piece.end - piece.first];
  // A jump into another page of the region leaves when that page is mapped elsewhere now.
  if (exits(piece, ops) || crosses(pieces, piece)) live |= dirtyAtEnd;
  for (let i = piece.end - 1; i >= piece.first; i--) {
    const k = i - piece.first;
    if (after !== undefined) after[k] = live;
    if (operandUse[ops.opcode[i]] & IS_HELPER) live = dirty[k];
    else {
      live = (live & ~ops.defines[i]) | ops.uses[i];
      if (ops.leaves[i] !== 0) live |= dirty[k];
    }
  }
  if (piece.head) live |= dirtyAtStart;
  return live;
}

function crosses(pieces: readonly Piece[], piece: Piece): boolean {
  return piece.next.some((to) => pieces[to].page !== piece.page);
}

/** For each op of a piece: whether somebody may look at the flags between it and the next op that sets them all. */
export function neededFlags(ops: RegionOps, piece: Piece): Uint8Array {
  const needed = new Uint8Array(piece.end - piece.first);
  let wanted = 1;
  for (let i = piece.end - 1; i >= piece.first; i--) {
    needed[i - piece.first] = wanted;
    if ((ops.flags[i] & 1) !== 0) wanted = 0;
    if ((ops.flags[i] & 2) !== 0 || ops.leaves[i] !== 0) wanted = 1;
  }
  return needed;
}
