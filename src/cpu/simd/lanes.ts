/** A vector of 128 bits, seen as lanes of each width. */
export class Lanes {
  readonly u64;
  readonly i64;
  readonly u32;
  readonly i32;
  readonly u16;
  readonly i16;
  readonly u8;
  readonly i8;
  readonly f32;
  readonly f64;

  /** At `offset` of a buffer: half of a longer vector. */
  constructor(buffer = new ArrayBuffer(16), offset = 0) {
    this.u64 = new BigUint64Array(buffer, offset, 2);
    this.i64 = new BigInt64Array(buffer, offset, 2);
    this.u32 = new Uint32Array(buffer, offset, 4);
    this.i32 = new Int32Array(buffer, offset, 4);
    this.u16 = new Uint16Array(buffer, offset, 8);
    this.i16 = new Int16Array(buffer, offset, 8);
    this.u8 = new Uint8Array(buffer, offset, 16);
    this.i8 = new Int8Array(buffer, offset, 16);
    this.f32 = new Float32Array(buffer, offset, 4);
    this.f64 = new Float64Array(buffer, offset, 2);
  }
}

/** A vector of 256 bits: its halves, and the whole. */
export class LongVector {
  readonly bytes = new Uint8Array(32);
  readonly words = new Int32Array(this.bytes.buffer);
  readonly u32 = new Uint32Array(this.bytes.buffer);
  readonly lower = new Lanes(this.bytes.buffer, 0);
  readonly upper = new Lanes(this.bytes.buffer, 16);
}

/** What operations work on: operands a (destination, or the first source of VEX forms) and b, result r (a's value at first), the immediate. */
export interface Vectors {
  readonly a: Lanes;
  readonly b: Lanes;
  readonly r: Lanes;
  /** A third source, for operations that have one: XMM0 of SSE4.1's, else a register. */
  readonly c: Lanes;
  readonly immediate: number;
  /** On MMX registers: 64 bits count. */
  readonly mmx: boolean;
}
