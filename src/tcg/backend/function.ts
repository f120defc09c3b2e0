import { assert } from "../../common/errors";
import {
  JUMP_ENTRY_BYTES,
  JUMP_GENERATION,
  JUMP_MODE,
  JUMP_OP,
  JUMP_RIP,
  jumpIndex,
  WORD_JUMP_CACHE,
  WORD_JUMP_GENERATION,
} from "../layout";
import { type FunctionBody, I32, M, W } from "../wasm/writer";
import { Callee } from "./callees";
import { RegionExits } from "./exits";
import { BUDGET, CPU, ENTRY, halves } from "./values";
import { KIND_DYNAMIC, KIND_MEMORY } from "./flags";
import { cutPieces, immediate, liveBefore, neededFlags, type Piece, readOps, type RegisterFlow, solveRegisters } from "./pieces";
import type { RegionPlan } from "./region";
import { resultBits, solveWidths, startBits, TRACKED } from "./widths";
import { structure, type Structure } from "./structure";

/** Emits op `i` of the region. */
export type OpEmitter = (f: RegionFunction, i: number) => void;

/** Of a piece no jump to which has been emitted yet. */
const KIND_UNSEEN = -2;

/** The function of one region under construction: its structure, and what is known at the start of each piece. values.ts says where values are, exits.ts how control leaves. */
export class RegionFunction extends RegionExits {
  /** Registers that are zero-extended 32-bit values at the start of each piece. */
  private readonly narrowIn: Uint16Array;
  private readonly pieces: readonly Piece[];
  private readonly heads: readonly number[];
  private readonly shape: Structure;
  private readonly flow: RegisterFlow;
  private readonly kindIn: Int8Array;
  /** i32 local: pages of the region that have been looked at in this activation, a bit each. */
  private readonly verified: number;
  private readonly loopLabels: Int32Array;
  private readonly blockLabels: Int32Array;
  private dispatchLabel = -1;

  constructor(
    plan: RegionPlan,
    private readonly emitters: readonly (OpEmitter | undefined)[],
  ) {
    const { ops, starts } = readOps(plan);
    const { pieces, heads } = cutPieces(plan, ops, starts);
    const entries = plan.entries.map((member) => heads[member]);
    const flow = solveRegisters(pieces, ops, entries);
    super(
      ops,
      pieces[0],
      plan,
      flow.dirtyIn.reduce((all, dirty) => all | dirty, 0),
    );
    this.pieces = pieces;
    this.heads = heads;
    this.shape = structure(
      pieces.map((piece) => piece.next),
      entries,
    );
    this.flow = flow;
    this.narrowIn = solveWidths(pieces, ops, entries);
    this.kindIn = new Int8Array(pieces.length).fill(KIND_UNSEEN);
    for (const entry of entries) this.kindIn[entry] = KIND_MEMORY;
    this.loopLabels = new Int32Array(pieces.length).fill(-1);
    this.blockLabels = new Int32Array(pieces.length).fill(-1);
    this.verified = this.w.local(I32);
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
  protected forgetPages(): void {
    if (this.plan.pages > 1) this.w.i32(1 << this.current.page).set(this.verified);
  }

  immediate(i: number): bigint {
    return immediate(this.ops, i);
  }
}
