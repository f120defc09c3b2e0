/** Encodings of WebAssembly instructions that vector code uses (core specification, "Binary Format", and its vector instructions). */
import { pushSigned32, pushSigned64, pushUnsigned } from "../wasm/leb";

/** Opcodes after the prefix 0xfd that are named where they are used. */
export const S = {
  load: 0x00,
  store: 0x0b,
  constant: 0x0c,
  shuffle: 0x0d,
  swizzle: 0x0e,
  i8x16Splat: 0x0f,
  i32x4Splat: 0x11,
  i64x2Splat: 0x12,
  i16x8Replace: 0x1a,
  i32x4Replace: 0x1c,
  i64x2Replace: 0x1e,
  not: 0x4d,
  and: 0x4e,
  or: 0x50,
  xor: 0x51,
  bitselect: 0x52,
  promoteLow: 0x5f,
  i8x16Bitmask: 0x64,
  i8x16Add: 0x6e,
  i8x16Sub: 0x71,
  i16x8Add: 0x8e,
  i16x8Sub: 0x91,
  i32x4Bitmask: 0xa4,
  i32x4Add: 0xae,
  i32x4Sub: 0xb1,
  i64x2Bitmask: 0xc4,
  i64x2Add: 0xce,
  i64x2Sub: 0xd1,
  truncateSingles: 0xf8,
  convertToSingles: 0xfa,
  convertLowToDoubles: 0xfe,
} as const;

/** i64x2.extract_lane, f64x2.extract_lane, f32x4.extract_lane. */
export const I64X2_EXTRACT = 0x1d;
export const F64X2_EXTRACT = 0x21;
export const F32X4_EXTRACT = 0x1f;

export function simd(opcode: number): number[] {
  const out = [0xfd];
  pushUnsigned(out, opcode);
  return out;
}
export const simdLane = (opcode: number, lane: number): number[] => [...simd(opcode), lane];

function indexed(opcode: number, index: number): number[] {
  const out = [opcode];
  pushUnsigned(out, index);
  return out;
}
export const get = (local: number): number[] => indexed(0x20, local);
export const set = (local: number): number[] => indexed(0x21, local);
export const tee = (local: number): number[] => indexed(0x22, local);

export function i32(value: number): number[] {
  const out = [0x41];
  pushSigned32(out, value);
  return out;
}
export function i64(value: bigint): number[] {
  const out = [0x42];
  pushSigned64(out, value);
  return out;
}

const view = new DataView(new ArrayBuffer(8));
export function f64(value: number): number[] {
  view.setFloat64(0, value, true);
  return [0x44, ...new Uint8Array(view.buffer)];
}
export function f32(value: number): number[] {
  view.setFloat32(0, value, true);
  return [0x43, ...new Uint8Array(view.buffer, 0, 4)];
}

/** A v128 by its halves, low first. */
export function vectorConstant(low: bigint, high: bigint): number[] {
  const out = simd(S.constant);
  for (const half of [low, high]) for (let i = 0n; i < 64n; i += 8n) out.push(Number((half >> i) & 0xffn));
  return out;
}

/** A load or store: opcode, alignment as a power of two, offset. */
export function access(opcode: number, align: number, offset: number): number[] {
  const out = indexed(opcode, align);
  pushUnsigned(out, offset);
  return out;
}
export function vectorAccess(opcode: number, offset: number): number[] {
  const out = [...simd(opcode), 0];
  pushUnsigned(out, offset);
  return out;
}
