import { OP_BYTES, SLOT_CC_AUX, SLOT_CC_RES, SLOT_TEMP, TEMP_COUNT, WORD_BLOCK, WORD_BUDGET, WORD_OP } from "../layout";
import { type FunctionBody, FunctionWriter, I32, M, W } from "../wasm/writer";
import { Callee } from "./callees";
import { BUDGET, CPU, RegionValues } from "./values";
import { KIND_DYNAMIC, KIND_MEMORY, pushAux, pushResult } from "./flags";
import { type Piece, type RegionOps } from "./pieces";
import type { RegionPlan } from "./region";

/** Of an exit to the interpreter, about. */
const TAIL_BYTES = 64;

/**
 * How control leaves a region's function: for another one or the interpreter, for the host, or for a helper and back. When something rare happens in an op, the function writes everything back and the
 * interpreter goes on at that very op.
 */
export abstract class RegionExits extends RegionValues {
  private readonly leaveOp: number;
  private readonly leaveBlock: number;
  private readonly leaveCharge: number;
  /** Sets of registers that exits to the interpreter write back, each the code at the end of a block that encloses the body. */
  private readonly tails: number[] = [];
  /** Registers that may differ from memory, and those whose locals are up to date. */
  protected dirty = 0;
  protected valid = 0;
  /** Registers that are needed after each op of the piece under construction. */
  protected after = new Uint16Array(0);

  constructor(
    ops: RegionOps,
    current: Piece,
    protected readonly plan: RegionPlan,
    /** Registers that may differ from memory anywhere. */
    private readonly everDirty: number,
  ) {
    super(ops, current);
    this.leaveOp = this.w.local(I32);
    this.leaveBlock = this.w.local(I32);
    this.leaveCharge = this.w.local(I32);
  }

  /** A helper may have changed where pages are mapped. */
  protected abstract forgetPages(): void;

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

  /** The indirect jump at the end of a block goes to whatever SLOT_RIP names. */
  jumpIndirectly(): void {
    const { block } = this.plan.members[this.current.member];
    this.mark(undefined);
    this.w.get(CPU).get(BUDGET).i32(block.header).returnCall(Callee.jumpFrom);
  }

  /** A jump to a RIP that may be in another page. */
  goFar(rip: bigint): void {
    this.setRip(rip);
    this.writeBack();
    this.mark(rip);
    this.jump();
  }

  /** Here the function may be linked to the one that it goes to: SLOT_RIP is set, everything written back. */
  private mark(rip: bigint | undefined): void {
    this.w.mark(this.current.member, rip);
  }

  /** Goes to whatever SLOT_RIP names. */
  jump(): void {
    this.w.get(CPU).get(BUDGET).returnCall(Callee.jump);
  }

  /** Leaves the region for a RIP in the same page. */
  goOutside(rip: bigint): void {
    this.setRip(rip);
    this.writeBack();
    this.mark(rip);
    const target = this.plan.members[this.current.member].near.find((near) => near.rip === rip);
    if (target === undefined) this.jump();
    else this.w.get(CPU).get(BUDGET).i32(target.header).returnCall(Callee.enter);
  }

  /** The interpreter goes on at op `i`, before which the op has had no effect. */
  leaveAt(i: number): void {
    this.storeTemps(this.ops.temps[i]);
    const { block } = this.plan.members[this.current.member];
    this.leave(this.ops.address[i], block.header, 0);
  }

  protected leave(op: number, header: number, charge: number): void {
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
  protected enclose(): FunctionBody {
    const { w, tails } = this;
    for (let r = 0; r < 16; r++) if (tails.some((mask) => (mask & (1 << r)) !== 0)) this.registerLocal(r);
    const outer = new FunctionWriter(3, w.size + tails.length * TAIL_BYTES).declare(w.declared);
    for (let tail = 0; tail < tails.length; tail++) outer.block();
    outer.append(w.code(), w.hints, w.marks);
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
}
