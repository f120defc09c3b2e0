import { OP_A, OP_B, OP_IMM, SLOT_CC_AUX, SLOT_CC_RES, SLOT_MXCSR } from "../layout";
import type { OpName } from "../ops";
import { vectorNames } from "../vector/names";
import { vectorPrograms } from "../vector/programs";
import type { VectorField, VectorLocals, VectorSite } from "../vector/site";
import { access, S, vectorAccess } from "../vector/wasm";
import type { InterpreterEmitter } from "./emitter";

/** Byte of a helper op that holds the immediate, and the one whose bit 0 tells of a 64-bit general register. */
const IMMEDIATE = OP_IMM + 4;
const WIDE = OP_IMM + 5;

const F32_LOAD = 0x2a;
const F64_LOAD = 0x2b;
const F32_STORE = 0x38;
const F64_STORE = 0x39;

/** A vector op as the interpreter executes it: operands are found through the op record. Label "callHelper": what is not ordinary. */
class InterpreterSite implements VectorSite {
  readonly immediate = undefined;
  readonly scalars = undefined;
  readonly locals: VectorLocals;

  constructor(private readonly e: InterpreterEmitter) {
    const { vectors } = e;
    this.locals = {
      x: vectors.x.index,
      y: vectors.y.index,
      r: vectors.r.index,
      u: vectors.u.index,
      dx: vectors.dx.index,
      dy: vectors.dy.index,
      dr: vectors.dr.index,
      sx: vectors.sx.index,
      sy: vectors.sy.index,
      sr: vectors.sr.index,
      n: e.A.index,
      i: e.t.index,
    };
  }

  code(...bytes: number[]): void {
    this.e.code.raw(bytes);
  }

  private address(field: VectorField): void {
    this.e.slotAddress(field === "a" ? OP_A : OP_B);
  }

  pushVector(field: VectorField): void {
    this.address(field);
    this.code(...vectorAccess(S.load, 0));
  }

  pushDouble(field: VectorField): void {
    this.address(field);
    this.code(...access(F64_LOAD, 3, 0));
  }

  pushSingle(field: VectorField): void {
    this.address(field);
    this.code(...access(F32_LOAD, 2, 0));
  }

  pushWord(field: VectorField): void {
    this.e.slot(field === "a" ? OP_A : OP_B);
  }

  pushImmediate(): void {
    this.e.code.get(this.e.op).mem("i32.load8_u", IMMEDIATE);
  }

  pushWide(): void {
    this.e.code.get(this.e.op).mem("i32.load8_u", WIDE).i32(1).op("i32.and");
  }

  readonly knowsDefault = false;

  noteDefault(): void {
    // Each op looks for itself.
  }

  pushMxcsr(): void {
    this.e.state32(SLOT_MXCSR);
  }

  private store(local: number, bytes: number[]): void {
    this.address("a");
    this.code(0x20, local, ...bytes);
  }

  storeVector(local: number): void {
    this.store(local, vectorAccess(S.store, 0));
  }

  storeDouble(local: number): void {
    this.store(local, access(F64_STORE, 3, 0));
  }

  storeSingle(local: number): void {
    this.store(local, access(F32_STORE, 2, 0));
  }

  storeWord(local: number): void {
    this.store(local, access(0x37, 3, 0));
  }

  storeFlags(): void {
    const { e } = this;
    e.code.set(e.B);
    e.setState64(SLOT_CC_RES, e.A);
    e.setState64(SLOT_CC_AUX, e.B);
  }

  require(): void {
    this.e.code.op("i32.eqz").brIfRare("callHelper");
  }
}

/** Cases of the vector ops. */
export function vectorCases(): Map<OpName, (e: InterpreterEmitter) => void> {
  return new Map(
    vectorNames.map((name) => [
      `v_${name}`,
      (e) => {
        const program = vectorPrograms.get(name);
        if (program === undefined) e.code.br("callHelper");
        else program(new InterpreterSite(e));
      },
    ]),
  );
}
