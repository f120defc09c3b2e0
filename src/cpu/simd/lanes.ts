/** A vector of 128 bits, seen as lanes of each width. */
export class Lanes {
  readonly u64 = new BigUint64Array(2);
  readonly i64 = new BigInt64Array(this.u64.buffer);
  readonly u32 = new Uint32Array(this.u64.buffer);
  readonly i32 = new Int32Array(this.u64.buffer);
  readonly u16 = new Uint16Array(this.u64.buffer);
  readonly i16 = new Int16Array(this.u64.buffer);
  readonly u8 = new Uint8Array(this.u64.buffer);
  readonly i8 = new Int8Array(this.u64.buffer);
  readonly f32 = new Float32Array(this.u64.buffer);
  readonly f64 = new Float64Array(this.u64.buffer);
}

/** What operations work on: operands a (destination) and b, result r (a's value at first), the immediate. */
export interface Vectors {
  readonly a: Lanes;
  readonly b: Lanes;
  readonly r: Lanes;
  /** XMM0, for operations that take it besides. */
  readonly c: Lanes;
  readonly immediate: number;
  /** On MMX registers: 64 bits count. */
  readonly mmx: boolean;
}
