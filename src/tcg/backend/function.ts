import { assert } from "../../common/errors";
import type { Block } from "../codeCache";
import {
  JUMP_ENTRY_BYTES,
  JUMP_GENERATION,
  JUMP_MODE,
  JUMP_OP,
  JUMP_RIP,
  jumpIndex,
  OP_BYTES,
  SLOT_CC_AUX,
  SLOT_CC_RES,
  SLOT_MXCSR,
  SLOT_RIP,
  SLOT_SINK,
  SLOT_TEMP,
  SLOT_ZERO,
  TEMP_COUNT,
  WORD_BLOCK,
  WORD_BUDGET,
  WORD_JUMP_CACHE,
  WORD_JUMP_FROM,
  WORD_JUMP_GENERATION,
  WORD_OP,
  WORD_TLB,
} from "../layout";
import { type Condition } from "../ops";
import { F32, F64, type FunctionBody, FunctionWriter, I32, I64, M, V128, W } from "../wasm/writer";
import { SharedAccesses } from "./accesses";
import { type FlagLocals, KIND_DYNAMIC, KIND_MEMORY, pushAux, pushCondition, pushResult, truncate, type Width } from "./flags";
import { cutPieces, immediate, liveBefore, type Piece, readOps, type RegionOps, type RegisterFlow, solveRegisters } from "./pieces";
import type { RegionPlan } from "./region";
import { resultBits, slotBits, solveWidths, startBits, TRACKED } from "./widths";
import { structure, type Structure } from "./structure";
import type { EngineMemory } from "../memory";
import type { VectorLocals } from "../vector/site";
import { I64X2_EXTRACT, simdLane } from "../vector/wasm";
import { VectorValues } from "./vectorValues";

/** Parameters of a region's function: CPU state address, entry, instructions left; it returns an exit reason. */
const CPU = 0;
const ENTRY = 1;
const BUDGET = 2;

/** Functions that generated code calls, at the same index in every module. */
export const Callee = {
  run: 0,
  helper: 1,
  hostAddress: 2,
  getFlags: 3,
  setFlags: 4,
  walk: 5,
  bulkString: 6,
  findJump: 7,
  x87: 8,
  fastCall: 9,
  storeFlags: 10,
  jump: 11,
  enter: 12,
  multiplyHigh: 13,
  plainAddress: 14,
  checkSingle: 15,
  checkDouble: 16,
  address: 17,
} as const;
export const COMMON_FUNCTIONS = 18;

/** Emits op `i` of the region. */
export type OpEmitter = (f: RegionFunction, i: number) => void;

/** Of an exit to the interpreter, about. */
const TAIL_BYTES = 64;
/** Of a piece no jump to which has been emitted yet. */
const KIND_UNSEEN = -2;
const zero: readonly [number, number] = [0, 0];
const isTemp = (slot: number): boolean => slot >= SLOT_TEMP && slot < SLOT_TEMP + TEMP_COUNT * 8;
const halves = (value: bigint): [number, number] => [Number(value & 0xffff_ffffn) | 0, Number((value >> 32n) & 0xffff_ffffn) | 0];

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

/**
 * The function of one region under construction: where values are, how control leaves. General registers, temporaries and flags are locals; memory has them at calls of
 * helpers and outside the function. When something rare happens in an op, the function writes everything back and the interpreter goes on at that very op.
 */
export class RegionFunction {
  readonly w = new FunctionWriter(3);
  readonly cpu = CPU;
  readonly budget = BUDGET;
  readonly ops: RegionOps;
  /** What is known of the flags here: a kind, or KIND_DYNAMIC. */
  kind: number = KIND_MEMORY;
  /** i64 scratch locals, free at the start of each op. */
  readonly s: number;
  readonly t: number;
  readonly u: number;
  readonly address: number;
  /** i32 scratch locals. */
  readonly entry: number;
  readonly host: number;
  readonly tlb: number;
  readonly flagLocals: FlagLocals;

  private readonly registers = new Int16Array(16).fill(-1);
  private readonly temps = new Int16Array(TEMP_COUNT).fill(-1);
  /** Significant bits that registers and temporaries have at most here: 8, 16, 32 or 64, indexed as in widths.ts. */
  private readonly bits = new Uint8Array(TRACKED).fill(64);
  /** Registers that are zero-extended 32-bit values at the start of each piece. */
  private readonly narrowIn: Uint16Array;
  /** Constants that temporaries hold in the piece under construction. */
  private readonly constants = new Map<number, readonly [number, number]>();
  private readonly pieces: readonly Piece[];
  private readonly heads: readonly number[];
  private readonly shape: Structure;
  private readonly flow: RegisterFlow;
  private readonly everDirty: number;
  private readonly kindIn: Int8Array;
  private readonly leaveOp: number;
  private readonly leaveBlock: number;
  private readonly leaveCharge: number;
  private readonly verified: number;
  /** Sets of registers that exits to the interpreter write back, each the code at the end of a block that encloses the body. */
  private readonly tails: number[] = [];
  private readonly loopLabels: Int32Array;
  private readonly blockLabels: Int32Array;
  private dispatchLabel = -1;
  private dirty = 0;
  private valid = 0;
  private flagsNeeded: Uint8Array = new Uint8Array(0);
  private after = new Uint16Array(0);
  private current: Piece;

  constructor(
    private readonly plan: RegionPlan,
    memory: EngineMemory,
    private readonly emitters: readonly (OpEmitter | undefined)[],
    /** Header of the block at a RIP in the same page as a block, or 0. */
    private readonly headerOf: (from: Block, rip: bigint) => number,
  ) {
    const { ops, starts } = readOps(plan, memory);
    this.ops = ops;
    this.accesses = new SharedAccesses(ops, () => this.w.local(I32));
    const { pieces, heads } = cutPieces(plan, ops, starts);
    this.pieces = pieces;
    this.heads = heads;
    const entries = plan.entries.map((member) => heads[member]);
    this.shape = structure(
      pieces.map((piece) => piece.next),
      entries,
    );
    this.flow = solveRegisters(pieces, ops, entries);
    this.narrowIn = solveWidths(pieces, ops, entries);
    this.everDirty = this.flow.dirtyIn.reduce((all, dirty) => all | dirty, 0);
    this.kindIn = new Int8Array(pieces.length).fill(KIND_UNSEEN);
    for (const entry of entries) this.kindIn[entry] = KIND_MEMORY;
    this.loopLabels = new Int32Array(pieces.length).fill(-1);
    this.blockLabels = new Int32Array(pieces.length).fill(-1);
    this.current = pieces[0];
    const { w } = this;
    this.tlb = w.local(I32);
    this.entry = w.local(I32);
    this.host = w.local(I32);
    this.leaveOp = w.local(I32);
    this.leaveBlock = w.local(I32);
    this.leaveCharge = w.local(I32);
    this.verified = w.local(I32);
    const kind = w.local(I32);
    this.s = w.local(I64);
    this.t = w.local(I64);
    this.u = w.local(I64);
    this.address = w.local(I64);
    this.flagLocals = { kind, fr: w.local(I64), cx: w.local(I64), cy: w.local(I64), fx: w.local(I64) };
  }

  /** Generates the function; its body as the code section wants it. */
  build(): FunctionBody {
    const { w, shape, flow } = this;
    for (let r = 0; r < 16; r++) if ((flow.loaded & (1 << r)) !== 0) this.loadRegister(r);
    this.loadTlb();
    this.loadCarry();
    this.enterPages();
    const { dispatched } = shape;
    if (dispatched.length > 1 || shape.hasRedirections) {
      if (shape.hasRedirections) {
        w.loop();
        this.dispatchLabel = w.label();
      }
      this.withMerges(shape.merges[this.pieces.length], () => {
        w.get(ENTRY).brTable(dispatched.map((piece) => this.blockLabels[piece]));
      });
      if (shape.hasRedirections) w.end();
    } else this.tree(dispatched[0]);
    w.op(W.unreachable);
    return this.enclose();
  }

  // Structure.

  private tree(node: number): void {
    const { w, shape } = this;
    if (shape.isLoop[node] !== 0) {
      w.loop();
      this.loopLabels[node] = w.label();
    }
    this.withMerges(shape.merges[node], () => this.piece(node));
    if (shape.isLoop[node] !== 0) w.end();
  }

  /** Emits `inner` inside a block for each merge point, and each merge point after its block. */
  private withMerges(merges: readonly number[], inner: () => void): void {
    const { w } = this;
    for (const merge of merges) {
      w.block();
      this.blockLabels[merge] = w.label();
    }
    inner();
    for (let i = merges.length - 1; i >= 0; i--) {
      w.end();
      this.tree(merges[i]);
      w.op(W.unreachable);
    }
  }

  private piece(at: number): void {
    const piece = this.pieces[at];
    const { ops, flow } = this;
    this.current = piece;
    this.constants.clear();
    if (!this.inherits) {
      this.forgetVectors();
      this.accesses.forget();
    }
    this.inherits = false;
    this.accesses.begin(piece.first, piece.end);
    startBits(this.bits, this.narrowIn[at]);
    this.dirty = flow.dirtyIn[at];
    this.valid = flow.validIn[at] | flow.liveIn[at];
    this.kind = this.kindIn[at] === KIND_UNSEEN ? KIND_DYNAMIC : this.kindIn[at];
    if (this.shape.isLoop[at] !== 0 || this.hasUnseenPredecessor(at)) this.kind = KIND_DYNAMIC;
    this.after = new Uint16Array(piece.end - piece.first);
    liveBefore(this.pieces, ops, at, this.dirty, flow.liveIn, this.after);
    this.flagsNeeded = neededFlags(ops, piece);
    if (piece.head) this.charge(piece);
    for (let i = piece.first; i < piece.end; i++) {
      if (piece.control && i === piece.end - 1) this.control(at, i);
      else {
        const emit = this.emitters[ops.opcode[i]];
        assert(emit !== undefined, `the back end has no case for op ${ops.opcode[i]}`);
        resultBits(ops, i, this.bits, this.bitsAfter);
        emit(this, i);
        this.bits.set(this.bitsAfter);
        if ((ops.defines[i] & ~this.dirty) !== 0) this.dirty |= ops.defines[i];
        this.valid |= ops.defines[i];
      }
    }
    if (!piece.control) this.edge(at, piece.next[0]);
  }

  /** Pieces are emitted in reverse postorder, so only jumps back (and through the dispatcher) come from pieces not seen yet. */
  private hasUnseenPredecessor(at: number): boolean {
    return this.shape.dispatched.includes(at) && (this.shape.hasRedirections || !this.isEntry(at));
  }

  private isEntry(at: number): boolean {
    return this.plan.entries.some((member) => this.heads[member] === at);
  }

  private charge(piece: Piece): void {
    const { w } = this;
    const { block } = this.plan.members[piece.member];
    w.get(BUDGET).i32(block.count).op(W.i32Sub).tee(BUDGET).i32(0).op(W.i32LtS).ifRare();
    w.get(BUDGET).i32(block.count).op(W.i32Add).set(BUDGET);
    this.leave(block.entry, block.header, block.count);
    w.end();
  }

  private control(at: number, i: number): void {
    const emit = this.emitters[this.ops.opcode[i]];
    assert(emit !== undefined, `the back end has no case for op ${this.ops.opcode[i]}`);
    this.here = at;
    emit(this, i);
  }

  /** The piece that comes next knows what is known here of vector registers. */
  private inherits = false;
  private readonly bitsAfter = new Uint8Array(TRACKED);
  private here = 0;

  /** Where the control op under construction goes inside the region. */
  get targets(): readonly number[] {
    return this.pieces[this.here].next;
  }

  /** Head piece of a member has this RIP. */
  ripOf(piece: number): bigint {
    return this.plan.members[this.pieces[piece].member].block.rip;
  }

  /** Ends the piece by going to its target number `index`. */
  follow(index: number): void {
    this.edge(this.here, this.targets[index]);
  }

  /** Two-way end of a piece: the i32 on the stack chooses target 0, else target 1. */
  fork(): void {
    const { w } = this;
    const { kind, dirty, valid, defaultMxcsr } = this;
    const vectors = this.xmm.snapshot();
    const accesses = this.accesses.snapshot();
    w.if();
    this.follow2(0, kind, dirty, valid);
    w.else();
    this.xmm.restore(vectors);
    this.accesses.restore(accesses);
    this.defaultMxcsr = defaultMxcsr;
    this.follow2(1, kind, dirty, valid);
    w.end().op(W.unreachable);
  }

  private follow2(index: number, kind: number, dirty: number, valid: number): void {
    const { here, current } = this;
    this.kind = kind;
    this.dirty = dirty;
    this.valid = valid;
    this.follow(index);
    this.here = here;
    this.current = current;
  }

  /** Keeps what is known across code that may emit other pieces. */
  preserve(inner: () => void): void {
    const { kind, dirty, valid, here, current, after, flagsNeeded, defaultMxcsr } = this;
    const bits = this.bits.slice();
    const vectors = this.xmm.snapshot();
    const accesses = this.accesses.snapshot();
    inner();
    this.xmm.restore(vectors);
    this.defaultMxcsr = defaultMxcsr;
    this.accesses.restore(accesses);
    this.bits.set(bits);
    this.kind = kind;
    this.dirty = dirty;
    this.valid = valid;
    this.here = here;
    this.current = current;
    this.after = after;
    this.flagsNeeded = flagsNeeded;
    this.constants.clear();
  }

  private edge(from: number, to: number): void {
    const { w, shape } = this;
    const page = this.pieces[to].page;
    if (page !== this.pieces[from].page) this.verifyPage(to, page);
    this.kindIn[to] = this.kindIn[to] === KIND_UNSEEN || this.kindIn[to] === this.kind ? this.kind : KIND_DYNAMIC;
    if (shape.isRedirected(from, to)) {
      w.i32(shape.dispatched.indexOf(to)).set(ENTRY).br(this.dispatchLabel);
    } else if (shape.order[to] <= shape.order[from]) w.br(this.loopLabels[to]);
    else if (shape.isMerge[to] !== 0) w.br(this.blockLabels[to]);
    else {
      // Only this edge leads there, unless jumps back do.
      this.inherits = shape.isLoop[to] === 0;
      this.tree(to);
    }
  }

  // Pages: code of another page is entered only after a look at where that page is mapped now.

  private enterPages(): void {
    if (this.plan.pages === 1) return;
    const { w, plan } = this;
    const pages = plan.entries.map((member) => plan.members[member].page);
    w.i32(1 << pages[0]).set(this.verified);
    pages.forEach((page, index) => {
      if (page === pages[0]) return;
      w.get(ENTRY).i32(index).op(W.i32Eq).if();
      w.i32(1 << page)
        .set(this.verified)
        .end();
    });
  }

  private verifyPage(to: number, page: number): void {
    const { w, plan } = this;
    const { block } = plan.members[this.pieces[to].member];
    w.get(this.verified)
      .i32(1 << page)
      .op2(W.i32And, W.i32Eqz)
      .ifRare();
    const rip = halves(block.rip);
    w.get(CPU).mem(M.i32Load, WORD_JUMP_CACHE).set(this.entry);
    const offset = jumpIndex(rip[0]) * JUMP_ENTRY_BYTES;
    w.get(this.entry)
      .mem(M.i64Load, offset + JUMP_RIP)
      .i64Halves(...rip)
      .op(W.i64Ne);
    w.get(this.entry)
      .mem(M.i32Load, offset + JUMP_MODE)
      .i32(block.mode)
      .op2(W.i32Ne, W.i32Or);
    w.get(this.entry)
      .mem(M.i32Load, offset + JUMP_GENERATION)
      .get(CPU)
      .mem(M.i32Load, WORD_JUMP_GENERATION)
      .op2(W.i32Ne, W.i32Or);
    w.get(this.entry)
      .mem(M.i32Load, offset + JUMP_OP)
      .i32(block.entry)
      .op2(W.i32Ne, W.i32Or)
      .ifRare();
    this.setRip(block.rip);
    this.writeBack();
    w.get(CPU).get(BUDGET).returnCall(Callee.jump).end();
    w.get(this.verified)
      .i32(1 << page)
      .op(W.i32Or)
      .set(this.verified)
      .end();
  }

  /** Pushes whether the page of a piece has been looked at, for jumps that can do without. */
  pushVerified(to: number): void {
    this.w
      .get(this.verified)
      .i32(1 << this.pieces[to].page)
      .op(W.i32And);
  }

  samePage(to: number): boolean {
    return this.pieces[to].page === this.current.page;
  }

  /** A helper may have changed where pages are mapped. */
  private forgetPages(): void {
    if (this.plan.pages > 1) this.w.i32(1 << this.current.page).set(this.verified);
  }

  // Values.

  private registerLocal(r: number): number {
    if (this.registers[r] < 0) this.registers[r] = this.w.local(I64);
    return this.registers[r];
  }

  private tempLocal(index: number): number {
    if (this.temps[index] < 0) this.temps[index] = this.w.local(I64);
    return this.temps[index];
  }

  private loadRegister(r: number): void {
    this.w
      .get(CPU)
      .mem(M.i64Load, r * 8)
      .set(this.registerLocal(r));
  }

  private loadTlb(): void {
    this.w.get(CPU).mem(M.i32Load, WORD_TLB).set(this.tlb);
  }

  /** CF from memory into cx and cy. */
  loadCarry(): void {
    this.w.i64(0).set(this.flagLocals.cx).get(CPU).mem(M.i64Load, SLOT_CC_AUX).i64(63).op(W.i64ShrU).set(this.flagLocals.cy);
  }

  /** Locals of vector ops, declared when the first one needs them. */
  vectorLocals(): VectorLocals {
    const { w } = this;
    const vector = (): number => w.local(V128);
    const double = (): number => w.local(F64);
    const single = (): number => w.local(F32);
    this.vectors ??= {
      x: vector(),
      y: vector(),
      r: vector(),
      u: vector(),
      dx: double(),
      dy: double(),
      dr: double(),
      sx: single(),
      sy: single(),
      sr: single(),
      n: this.u,
      i: this.host,
    };
    return this.vectors;
  }

  private vectors: VectorLocals | undefined;
  /** Addresses that have been looked up already. */
  readonly accesses: SharedAccesses;
  /** What is known of XMM registers in the piece under construction. */
  readonly xmm = new VectorValues(this.w);
  /** MXCSR has been seen to be as fast results need it. */
  defaultMxcsr = false;

  private forgetVectors(): void {
    this.xmm.forget();
    this.defaultMxcsr = false;
  }

  /** The slot is in memory, not in a local. */
  isMemorySlot(slot: number): boolean {
    return slot >= 128 && !isTemp(slot);
  }

  /** The constant in a slot, if it is known to hold one: halves. */
  constantOf(slot: number): readonly [number, number] | undefined {
    return slot === SLOT_ZERO ? zero : this.constants.get(slot);
  }

  push(slot: number): void {
    const { w } = this;
    const constant = this.constantOf(slot);
    if (constant !== undefined) w.i64Halves(constant[0], constant[1]);
    else if (slot < 128) w.get(this.registerLocal(slot >> 3));
    else if (isTemp(slot)) w.get(this.tempLocal((slot - SLOT_TEMP) >> 3));
    else if (!this.pushVectorHalf(slot)) w.get(CPU).mem(M.i64Load, slot);
  }

  /** Pushes half an XMM register if a local has it. */
  private pushVectorHalf(slot: number): boolean {
    const r = VectorValues.register(slot);
    if (r < 0 || (slot & 7) !== 0) return false;
    const upper = (slot >> 3) & 1;
    const half = this.xmm.half(r, upper);
    const vector = this.xmm.vector(r);
    const outdated = upper === 0 ? this.xmm.outdatedHalf(r) : -1;
    if (half >= 0) this.w.get(half);
    else if (vector >= 0) this.w.get(vector).raw(simdLane(I64X2_EXTRACT, upper));
    else if (outdated >= 0) {
      // From memory it would wait for the stores of both parts to reach the cache.
      this.w.get(outdated).i64Halves(0, -1).op(W.i64And);
      this.w.get(this.xmm.single(r)).op3(W.i32ReinterpretF32, W.i64ExtendU, W.i64Or).tee(this.xmm.keepLowerHalf(r));
    } else return false;
    return true;
  }

  /** Pushes the slot's value of which only the lower 32 bits matter. */
  pushLower(slot: number): void {
    const r = VectorValues.register(slot);
    const single = r >= 0 && (slot & 15) === 0 ? this.xmm.single(r) : -1;
    if (single >= 0) this.w.get(single).op2(W.i32ReinterpretF32, W.i64ExtendU);
    else this.push(slot);
  }

  /** After a move between slots: where they are lower halves of XMM registers, one is the same number as the other. */
  copyNumbers(from: number, to: number): void {
    const a = VectorValues.register(from);
    const d = VectorValues.register(to);
    if (a < 0 || d < 0 || a === d || (from & 15) !== 0 || (to & 15) !== 0) return;
    for (const [source, copy] of this.xmm.copyNumbers(a, d)) this.w.get(source).set(copy);
  }

  /** Significant bits of a slot's value at most: 8, 16, 32 or 64. */
  bitsOf(slot: number): number {
    return slotBits(this.bits, slot);
  }

  /** Pushes the slot's value, truncated to a width. */
  pushTruncated(slot: number, width: Width): void {
    this.push(slot);
    if (this.bitsOf(slot) > width) truncate(this.w, width);
  }

  /** Pushes slot[b] + imm of op `i`, truncated to a width. */
  rhsTruncated(i: number, width: Width): void {
    const { ops } = this;
    const lo = ops.lo[i];
    if (ops.b[i] === SLOT_ZERO) {
      if (width === 64) this.rhs(i);
      else this.w.i64Halves(width === 32 ? lo : lo & ((1 << width) - 1), 0);
    } else if (lo === 0 && ops.hi[i] === 0) this.pushTruncated(ops.b[i], width);
    else {
      this.rhs(i);
      truncate(this.w, width);
    }
  }

  /** Begins an assignment: what is pushed up to `assign` goes to the slot. */
  begin(slot: number): void {
    if (slot >= 128 && !isTemp(slot) && slot !== SLOT_SINK && slot !== SLOT_ZERO) this.w.get(CPU);
  }

  assign(slot: number): void {
    const { w } = this;
    if (slot < 128) w.set(this.registerLocal(slot >> 3));
    else if (isTemp(slot)) {
      this.constants.delete(slot);
      w.set(this.tempLocal((slot - SLOT_TEMP) >> 3));
    } else if (slot === SLOT_SINK || slot === SLOT_ZERO) w.op(W.drop);
    else {
      const r = VectorValues.register(slot);
      if (r >= 0) w.tee(this.xmm.setHalf(r, (slot >> 3) & 1));
      if (slot === SLOT_MXCSR) {
        this.defaultMxcsr = false;
        this.xmm.forgetFit();
      }
      w.mem(M.i64Store, slot);
    }
  }

  assignConstant(slot: number, lo: number, hi: number): void {
    this.begin(slot);
    this.w.i64Halves(lo, hi);
    this.assign(slot);
    if (isTemp(slot)) this.constants.set(slot, [lo, hi]);
  }

  /** Pushes slot[b] + imm of op `i`. */
  rhs(i: number): void {
    const { ops, w } = this;
    const b = ops.b[i];
    const lo = ops.lo[i];
    const hi = ops.hi[i];
    if (b === SLOT_ZERO) {
      w.i64Halves(lo, hi);
      return;
    }
    this.push(b);
    if (lo !== 0 || hi !== 0) w.i64Halves(lo, hi).op(W.i64Add);
  }

  pushConstant(value: bigint): void {
    const [lo, hi] = halves(value);
    this.w.i64Halves(lo, hi);
  }

  setRip(rip: bigint): void {
    this.w.get(CPU);
    this.pushConstant(rip);
    this.w.mem(M.i64Store, SLOT_RIP);
  }

  // Flags.

  /** Whether anyone may look at the flags that op `i` sets. */
  needsFlags(i: number): boolean {
    return this.flagsNeeded[i - this.current.first] !== 0;
  }

  /** The flags are of `kind` from here on; the locals have been set. */
  setKind(kind: number): void {
    this.kind = kind;
    if (kind >= 0) this.w.i32(kind).set(this.flagLocals.kind);
  }

  /** The flags set last may have been kept: nothing is known. */
  forgetKind(): void {
    this.kind = KIND_DYNAMIC;
  }

  /** Writes the flags to memory, where helpers look; they stay there. */
  flagsToMemory(): void {
    if (this.kind === KIND_MEMORY) return;
    this.callStoreFlags();
    this.setKind(KIND_MEMORY);
  }

  /** The flags in memory were changed. */
  flagsChangedInMemory(): void {
    this.setKind(KIND_MEMORY);
    this.loadCarry();
  }

  pushCondition(condition: Condition): void {
    if (this.kind === KIND_DYNAMIC) {
      if (condition === "c") {
        this.w.get(this.flagLocals.cx).get(this.flagLocals.cy).op(W.i64LtU);
        return;
      }
      this.flagsToMemory();
    }
    pushCondition(this.w, this.kind, condition, this.flagLocals, CPU, [this.s, this.t, this.u]);
  }

  /** Pushes SLOT_CC_AUX. */
  pushAux(): void {
    if (this.kind === KIND_DYNAMIC) this.flagsToMemory();
    if (this.kind === KIND_MEMORY) this.w.get(CPU).mem(M.i64Load, SLOT_CC_AUX);
    else pushAux(this.w, this.kind, this.flagLocals, this.s, this.t);
  }

  /** Pushes SLOT_CC_RES. */
  pushResult(): void {
    if (this.kind === KIND_DYNAMIC) this.flagsToMemory();
    if (this.kind === KIND_MEMORY) this.w.get(CPU).mem(M.i64Load, SLOT_CC_RES);
    else pushResult(this.w, this.kind, this.flagLocals);
  }

  private callStoreFlags(): void {
    const { w } = this;
    const { kind, fr, cx, cy, fx } = this.flagLocals;
    w.get(CPU).get(kind).get(fr).get(cx).get(cy).get(fx).call(Callee.storeFlags);
  }

  // Ways out.

  private storeRegisters(mask: number): void {
    for (let r = 0; r < 16; r++) {
      if ((mask & (1 << r)) === 0) continue;
      this.w
        .get(CPU)
        .get(this.registerLocal(r))
        .mem(M.i64Store, r * 8);
    }
  }

  private storeTemps(mask: number): void {
    for (let index = 0; index < TEMP_COUNT; index++) {
      if ((mask & (1 << index)) === 0) continue;
      const slot = SLOT_TEMP + index * 8;
      this.w.get(CPU);
      this.push(slot);
      this.w.mem(M.i64Store, slot);
    }
  }

  /** Before control leaves the function for good: registers and flags to memory. */
  writeBack(): void {
    const { w, kind } = this;
    this.storeRegisters(this.dirty);
    if (kind === KIND_MEMORY) return;
    if (kind === KIND_DYNAMIC) {
      this.callStoreFlags();
      return;
    }
    w.get(CPU);
    pushResult(w, kind, this.flagLocals);
    w.mem(M.i64Store, SLOT_CC_RES).get(CPU);
    pushAux(w, kind, this.flagLocals, this.s, this.t);
    w.mem(M.i64Store, SLOT_CC_AUX);
  }

  /** Leaves for the host with an exit reason; everything has been written back. */
  exit(reason: number): void {
    this.w.get(CPU).get(BUDGET).mem(M.i32Store, WORD_BUDGET).i32(reason).op(W.return);
  }

  /** Says which block's indirect jump leaves the region. */
  noteJump(): void {
    const { block } = this.plan.members[this.current.member];
    this.w.get(CPU).i32(block.header).mem(M.i32Store, WORD_JUMP_FROM);
  }

  /** Goes to whatever SLOT_RIP names. */
  jump(): void {
    this.w.get(CPU).get(BUDGET).returnCall(Callee.jump);
  }

  /** Leaves the region for a RIP in the same page. */
  goOutside(rip: bigint): void {
    this.setRip(rip);
    this.writeBack();
    const header = this.headerOf(this.plan.members[this.current.member].block, rip);
    if (header === 0) this.jump();
    else this.w.get(CPU).get(BUDGET).i32(header).returnCall(Callee.enter);
  }

  /** The interpreter goes on at op `i`, before which the op has had no effect. */
  leaveAt(i: number): void {
    this.storeTemps(this.ops.temps[i]);
    const { block } = this.plan.members[this.current.member];
    this.leave(this.ops.address[i], block.header, 0);
  }

  private leave(op: number, header: number, charge: number): void {
    const { w } = this;
    const tail = this.tailFor(this.dirty);
    w.i32(op).set(this.leaveOp).i32(header).set(this.leaveBlock).i32(charge).set(this.leaveCharge).brOut(tail);
  }

  /** The exit that writes back at least `needed`; registers whose locals are up to date may be among the rest. */
  private tailFor(needed: number): number {
    for (let tail = 0; tail < this.tails.length; tail++) {
      const mask = this.tails[tail];
      if ((needed & ~mask) === 0 && (mask & ~(this.valid | needed)) === 0) return tail;
    }
    this.tails.push(needed | (this.everDirty & this.valid));
    return this.tails.length - 1;
  }

  /** The op `bulk` at `i`, and the beginning of a case that the helper after it is called in: the instruction is not complete. */
  bulk(i: number): void {
    const { w, ops } = this;
    this.storeRegisters(this.dirty);
    this.storeTemps(ops.temps[i + 1]);
    this.flagsToMemory();
    w.get(CPU).get(BUDGET).mem(M.i32Store, WORD_BUDGET);
    w.get(CPU).i32(ops.lo[i]).call(Callee.bulkString).set(this.host);
    w.get(CPU).mem(M.i32Load, WORD_BUDGET).set(BUDGET);
    w.get(this.host).op(W.i32Eqz).if();
    this.dirty = 0;
    this.valid = 0;
    this.afterBulk = true;
  }

  private afterBulk = false;

  /** Calls the helper of op `i`: everything in memory before, and read again after, as far as it is needed. */
  helper(i: number): void {
    const { w, ops } = this;
    this.storeRegisters(this.dirty);
    if (!this.afterBulk) this.storeTemps(ops.temps[i]);
    this.flagsToMemory();
    this.publish(i);
    w.i32(ops.d[i]).i32(ops.a[i]).i32(ops.b[i]).i32(ops.lo[i]).i32(ops.hi[i]).call(Callee.helper).tee(this.host).ifRare();
    // STATUS_FAULT and STATUS_LEAVE become EXIT_FAULT and EXIT_LEAVE.
    w.get(this.host).i32(2).op2(W.i32Add, W.return).end();
    this.reloadBudget(i);
    if (this.afterBulk) w.end();
    this.afterBulk = false;
    this.reload(i);
  }

  /** After a call at op `i`. Where the budget is used up, or was cut because the machine wants to be looked at after this instruction, the interpreter knows how to go on. */
  private reloadBudget(i: number): void {
    const { w, ops } = this;
    const { block } = this.plan.members[this.current.member];
    w.get(CPU).mem(M.i32Load, WORD_BUDGET).tee(BUDGET).op(W.i32Eqz).ifRare();
    w.get(CPU)
      .i32(ops.address[i] + OP_BYTES)
      .i32(block.header)
      .i32(0)
      .returnCall(Callee.run)
      .end();
  }

  /** Says where op `i` is, and the budget, for the host. */
  private publish(i: number): void {
    const { w, ops } = this;
    const { block } = this.plan.members[this.current.member];
    w.get(CPU).get(BUDGET).mem(M.i32Store, WORD_BUDGET);
    w.get(CPU).i32(ops.address[i]).mem(M.i32Store, WORD_OP);
    w.get(CPU).i32(block.header).mem(M.i32Store, WORD_BLOCK);
  }

  /** The op `fastCall` at `i`; where it is not ordinary, the interpreter calls the helper. */
  fastCall(i: number): void {
    const { w, ops } = this;
    this.storeRegisters(this.dirty);
    this.flagsToMemory();
    this.publish(i);
    w.get(CPU).i32(ops.hi[i]).i32(ops.lo[i]).get(BUDGET).call(Callee.fastCall).op(W.i32Eqz).ifRare();
    this.leaveAt(i);
    w.end();
    this.reloadBudget(i);
    this.reload(i);
  }

  /** After a call at op `i` that may have changed anything: reads again what is needed. */
  private reload(i: number): void {
    const { w, ops } = this;
    this.constants.clear();
    this.forgetVectors();
    this.accesses.forgetRanges();
    this.dirty = 0;
    const live = this.after[i - this.current.first];
    for (let r = 0; r < 16; r++) if ((live & (1 << r)) !== 0) this.loadRegister(r);
    this.valid = live;
    for (let index = 0; index < TEMP_COUNT; index++) {
      if ((ops.tempsAfter[i] & (1 << index)) === 0) continue;
      const slot = SLOT_TEMP + index * 8;
      w.get(CPU).mem(M.i64Load, slot).set(this.tempLocal(index));
    }
    this.loadTlb();
    this.flagsChangedInMemory();
    this.forgetPages();
  }

  /** The body inside a block for each tail, the tails behind them. */
  private enclose(): FunctionBody {
    const { w, tails } = this;
    for (let r = 0; r < 16; r++) if (tails.some((mask) => (mask & (1 << r)) !== 0)) this.registerLocal(r);
    const outer = new FunctionWriter(3, w.size + tails.length * TAIL_BYTES).declare(w.declared);
    for (let tail = 0; tail < tails.length; tail++) outer.block();
    outer.append(w.code(), w.hints);
    const { kind, fr, cx, cy, fx } = this.flagLocals;
    for (const mask of tails) {
      outer.end();
      for (let r = 0; r < 16; r++) {
        if ((mask & (1 << r)) !== 0)
          outer
            .get(CPU)
            .get(this.registers[r])
            .mem(M.i64Store, r * 8);
      }
      outer.get(CPU).get(kind).get(fr).get(cx).get(cy).get(fx).call(Callee.storeFlags);
      outer.get(CPU).get(BUDGET).mem(M.i32Store, WORD_BUDGET);
      outer.get(CPU).get(this.leaveOp).get(this.leaveBlock).get(this.leaveCharge).returnCall(Callee.run);
    }
    if (tails.length === 0) outer.op(W.unreachable);
    return outer.hintedBody();
  }

  immediate(i: number): bigint {
    return immediate(this.ops, i);
  }
}
