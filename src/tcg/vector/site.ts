import type { ScalarChecks } from "./scalarChecks";

/** What the code of a vector op needs of the engine that it is generated for. */

/** The two vector operands of a vector op: fields of its record. */
export type VectorField = "a" | "b";

/** Numbers of local variables, free between ops. */
export interface VectorLocals {
  /** v128 */
  readonly x: number;
  readonly y: number;
  readonly r: number;
  readonly u: number;
  /** f64 */
  readonly dx: number;
  readonly dy: number;
  readonly dr: number;
  /** f32 */
  readonly sx: number;
  readonly sy: number;
  readonly sr: number;
  /** i64, i32 */
  readonly n: number;
  readonly i: number;
}

/** An op in the code of an engine. `push...` push a value; operands are those of the op. */
export interface VectorSite {
  readonly locals: VectorLocals;
  /** The immediate byte, where it is known while code is generated. */
  readonly immediate: number | undefined;
  /** Bytes of WebAssembly code. */
  code(...bytes: number[]): void;
  pushVector(field: VectorField): void;
  pushDouble(field: VectorField): void;
  pushSingle(field: VectorField): void;
  /** Low 64 bits. */
  pushWord(field: VectorField): void;
  /** The immediate byte, i32. */
  pushImmediate(): void;
  /** Whether the general register has 64 bits, i32. */
  pushWide(): void;
  pushMxcsr(): void;
  /** MXCSR is known to be as fast results need it: an op before this one has looked. */
  readonly knowsDefault: boolean;
  /** It has been looked at, and was. */
  noteDefault(): void;
  /** How scalars are checked here; undefined: in line, in full. */
  readonly scalars: ScalarChecks | undefined;
  /** Stores a v128, f64, f32, i64 local into the destination; scalars leave the rest of it as it is. */
  storeVector(local: number): void;
  storeDouble(local: number): void;
  storeSingle(local: number): void;
  storeWord(local: number): void;
  /** Sets the status flags: CC_RES from local `n`, CC_AUX the i64 on the stack. */
  storeFlags(): void;
  /** Goes on if the i32 on the stack is not 0; else the helper does it. Nothing has been stored before. */
  require(): void;
}
