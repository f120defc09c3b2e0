/** Cases of XRSTOR and of what saves, the same on every run: the recorder executes them natively, the test on the emulator. */
import { Random } from "../simd/cases";

/** As in native.c's `struct state`: three areas, masks, what to do. */
export const AREA_BYTES = 896;
export const STATE_BYTES = 3 * AREA_BYTES + 64;
export const AT = {
  /** Restored first, whole and valid. */
  first: 0,
  /** Restored then, with `restoreMask`; may be refused. */
  second: AREA_BYTES,
  /** Saved to, with `saveMask`. */
  target: 2 * AREA_BYTES,
  restoreMask: 3 * AREA_BYTES,
  saveMask: 3 * AREA_BYTES + 8,
  /** Index in `saveKinds`. */
  kind: 3 * AREA_BYTES + 16,
  /** Bit 0: REX.W of XRSTOR, bit 1: of what saves. */
  wide: 3 * AREA_BYTES + 17,
  /** The vector that XRSTOR was refused with, or 0. */
  trap: 3 * AREA_BYTES + 18,
} as const;
export const saveKinds = ["xsave", "xsaveopt", "xsavec"] as const;

const HEADER = 512;

function fillBytes(view: DataView, at: number, bytes: number, random: Random): void {
  for (let i = 0; i < bytes; i += 4) view.setUint32(at + i, random.next(), true);
}

/** Registers of an area: each group random or all zeros. */
function fillArea(view: DataView, at: number, random: Random): void {
  if (random.below(3) > 0) {
    view.setUint16(at, 0x40 | (random.next() & 0xf3f), true);
    view.setUint16(at + 2, random.next() & 0x7f7f, true);
    view.setUint8(at + 4, random.next());
    view.setUint16(at + 6, random.next() & 0x7ff, true);
    view.setUint32(at + 8, random.next(), true);
    view.setUint32(at + 16, random.next(), true);
  } else view.setUint16(at, 0x37f, true);
  view.setUint32(at + 24, random.below(2) === 0 ? 0x1f80 : random.next() & 0xffff, true);
  if (random.below(3) > 0) {
    for (let i = 0; i < 8; i++) {
      fillBytes(view, at + 32 + i * 16, 8, random);
      view.setUint16(at + 40 + i * 16, random.next(), true);
    }
  }
  if (random.below(3) > 0) fillBytes(view, at + 160, 256, random);
  if (random.below(3) > 0) fillBytes(view, at + 576, 256, random);
}

/** A header: mostly what is allowed. */
function fillHeader(view: DataView, at: number, random: Random): void {
  const present = random.below(8);
  view.setUint8(at + HEADER, present);
  const kind = random.below(8);
  if (kind < 3) {
    // Compacted: what is present is listed.
    view.setUint8(at + HEADER + 8, random.below(4) === 0 ? random.below(8) : present | random.below(8));
    view.setUint8(at + HEADER + 15, 0x80);
  }
  if (kind === 7) view.setUint8(at + HEADER + random.below(64), 1 << random.below(8));
  // Bits of components that a host may or may not have are left out.
  view.setUint16(at + HEADER, view.getUint16(at + HEADER, true) & 0xfc07, true);
  view.setUint16(at + HEADER + 8, view.getUint16(at + HEADER + 8, true) & 0xfc07, true);
}

function makeCase(random: Random): Uint8Array {
  const state = new Uint8Array(STATE_BYTES);
  const view = new DataView(state.buffer);
  fillArea(view, AT.first, random);
  view.setUint8(AT.first + HEADER, 7);
  fillArea(view, AT.second, random);
  if (random.below(8) === 0) view.setUint32(AT.second + 24, random.next() & 0x1ffff, true);
  fillHeader(view, AT.second, random);
  fillBytes(view, AT.target, AREA_BYTES, random);
  view.setBigUint64(AT.restoreMask, BigInt(random.below(8)), true);
  view.setBigUint64(AT.saveMask, BigInt(random.below(8)), true);
  view.setUint8(AT.kind, random.below(saveKinds.length));
  view.setUint8(AT.wide, random.below(4));
  return state;
}

export function* xsaveCases(count = 1500, seed = 0x3c6ef35f): Generator<Uint8Array> {
  const random = new Random(seed);
  for (let i = 0; i < count; i++) yield makeCase(random);
}
