import { KIND_PROBE_WRITE, KIND_WRAP32 } from "../interpreter/memory";
import { SLOT_SEG_BASE, SLOT_SEG_LIMIT_R, SLOT_SEG_LIMIT_W, SLOT_ZERO, TLB_ADDEND, TLB_READ, TLB_WRITE } from "../layout";
import type { SharedAccess } from "./accesses";
import { toTlbOffset } from "./common";
import type { OpName } from "../ops";
import { I32, M, W } from "../wasm/writer";
import type { Width } from "./flags";
import { Callee } from "./callees";
import type { OpEmitter, RegionFunction } from "./function";

const allWidths: readonly Width[] = [8, 16, 32, 64];
const loads: Record<Width, number> = { 8: M.i64Load8U, 16: M.i64Load16U, 32: M.i64Load32U, 64: M.i64Load };
const stores: Record<Width, number> = { 8: M.i64Store8, 16: M.i64Store16, 32: M.i64Store32, 64: M.i64Store };

/** Pushes a + (b << scale) + displacement of op `i`. */
export function pushAddress(f: RegionFunction, i: number): void {
  const { w, ops } = f;
  const displacement = ops.lo[i];
  const scale = ops.hi[i] & 3;
  let pushed = false;
  if (ops.a[i] !== SLOT_ZERO) {
    f.push(ops.a[i]);
    pushed = true;
  }
  if (ops.b[i] !== SLOT_ZERO) {
    f.push(ops.b[i]);
    if (scale !== 0) w.i64(scale).op(W.i64Shl);
    if (pushed) w.op(W.i64Add);
    pushed = true;
  }
  if (!pushed) w.i64(displacement);
  else if (displacement !== 0) w.i64(displacement).op(W.i64Add);
}

/** Pushes the linear address of op `i`. */
function pushLinear(f: RegionFunction, i: number, wrap32: boolean): void {
  const { ops, w } = f;
  pushAddress(f, i);
  const isNarrow = ops.lo[i] === 0 && (ops.b[i] === SLOT_ZERO || ops.a[i] === SLOT_ZERO) && (ops.hi[i] & 3) === 0;
  const narrow = isNarrow && f.bitsOf(ops.a[i]) <= 32 && f.bitsOf(ops.b[i]) <= 32;
  if (wrap32 && !narrow) w.i64Halves(-1, 0).op(W.i64And);
}

/** Sets `entry` to the entry of the TLB for the address in the local of that name. */
function findEntry(f: RegionFunction): void {
  toTlbOffset(f.w.get(f.address).op(W.i32Wrap)).get(f.tlb).op(W.i32Add).set(f.entry);
}

/** Pushes the page of the last of `bytes` bytes from the address on. */
function pushLastPage(f: RegionFunction, bytes: number): void {
  f.w.get(f.address);
  if (bytes > 1) f.w.i64(bytes - 1).op(W.i64Add);
  f.w.i64(-4096).op(W.i64And);
}

/** Looks a range up for the first of its accesses, op `i`, which is `distance` bytes behind its beginning. */
function lookAtRange(f: RegionFunction, i: number, { range, distance }: SharedAccess, wrap32: boolean): void {
  const { w } = f;
  pushAddress(f, i);
  if (distance !== 0) w.i64(distance).op(W.i64Sub);
  if (wrap32) w.i64Halves(-1, 0).op(W.i64And);
  w.set(f.address);
  findEntry(f);
  pushLastPage(f, range.to - range.from);
  w.set(f.t);
  const tags = [...(range.writes ? [TLB_WRITE] : []), ...(range.reads ? [TLB_READ] : [])];
  for (const tag of tags) w.get(f.entry).mem(M.i64Load, tag).get(f.t).op(W.i64Eq).ifMostly(I32);
  w.get(f.address).op(W.i32Wrap).get(f.entry).mem(M.i32Load, TLB_ADDEND).op(W.i32Add);
  for (const _ of tags) w.else().i32(0).end();
  w.set(range.local);
}

/**
 * Pushes the address in the engine's memory of an access of `bytes`, less the distance that is returned, or leaves at the op when it is none of plain memory.
 */
function pushHost(f: RegionFunction, i: number, bytes: number, tag: number, wrap32: boolean, kind: number): number {
  const { w } = f;
  const shared = f.accesses.at(i);
  if (shared !== undefined) {
    const { range, distance } = shared;
    if (shared.isFirst) lookAtRange(f, i, shared, wrap32);
    w.get(range.local).ifMostly(I32).get(range.local).else();
    w.get(f.cpu);
    pushLinear(f, i, wrap32);
    w.i32(kind).call(Callee.address);
    w.tee(f.host).op(W.i32Eqz).ifRare();
    f.leaveAt(i);
    w.end().get(f.host);
    if (distance !== 0) w.i32(distance).op(W.i32Sub);
    w.end();
    return distance;
  }
  pushLinear(f, i, wrap32);
  w.set(f.address);
  findEntry(f);
  w.get(f.entry).mem(M.i64Load, tag);
  pushLastPage(f, bytes);
  w.op(W.i64Eq).ifMostly(I32);
  w.get(f.address).op(W.i32Wrap).get(f.entry).mem(M.i32Load, TLB_ADDEND).op(W.i32Add);
  w.else();
  w.get(f.cpu).get(f.address).i32(kind).call(Callee.plainAddress);
  w.tee(f.host).op(W.i32Eqz).ifRare();
  f.leaveAt(i);
  w.end().get(f.host).end();
  return 0;
}

function load(width: Width, wrap32: boolean, probeWrite: boolean): OpEmitter {
  const kind = (width / 8) | (wrap32 ? KIND_WRAP32 : 0) | (probeWrite ? KIND_PROBE_WRITE : 0);
  return (f, i) => {
    const d = f.ops.d[i];
    f.begin(d);
    const distance = pushHost(f, i, width / 8, probeWrite ? TLB_WRITE : TLB_READ, wrap32, kind);
    f.w.mem(loads[width], distance);
    f.assign(d);
  };
}

function store(width: Width, wrap32: boolean): OpEmitter {
  const kind = (width / 8) | (wrap32 ? KIND_WRAP32 : 0) | KIND_PROBE_WRITE;
  return (f, i) => {
    const distance = pushHost(f, i, width / 8, TLB_WRITE, wrap32, kind);
    if (width === 64) f.push(f.ops.d[i]);
    else f.pushLower(f.ops.d[i]);
    f.w.mem(stores[width], distance);
  };
}

/** Emitters of the ops that touch guest memory. */
export function memoryEmitters(): Map<OpName, OpEmitter> {
  const emitters = new Map<OpName, OpEmitter>();
  for (const width of allWidths) {
    emitters.set(`ld${width}`, load(width, false, false));
    emitters.set(`ldw${width}`, load(width, false, true));
    emitters.set(`st${width}`, store(width, false));
    emitters.set(`ld${width}_32`, load(width, true, false));
    emitters.set(`ldw${width}_32`, load(width, true, true));
    emitters.set(`st${width}_32`, store(width, true));
  }
  emitters.set("segment", (f, i) => {
    const { w, ops } = f;
    const segment = (ops.lo[i] & 7) * 8;
    const limits = (ops.lo[i] & 8) !== 0 ? SLOT_SEG_LIMIT_W : SLOT_SEG_LIMIT_R;
    f.push(ops.a[i]);
    w.i64((ops.lo[i] >> 8) & 0xff).op(W.i64Add);
    w.get(f.cpu)
      .mem(M.i64Load, limits + segment)
      .op(W.i64GtU)
      .ifRare();
    f.leaveAt(i);
    w.end();
    f.begin(ops.d[i]);
    f.push(ops.a[i]);
    w.get(f.cpu)
      .mem(M.i64Load, SLOT_SEG_BASE + segment)
      .op(W.i64Add)
      .i64Halves(-1, 0)
      .op(W.i64And);
    f.assign(ops.d[i]);
  });
  emitters.set("aligned", (f, i) => {
    const { w, ops } = f;
    pushAddress(f, i);
    w.i64(((ops.hi[i] >> 16) & 0xff) - 1)
      .op(W.i64And)
      .i64(0)
      .op(W.i64Ne)
      .ifRare();
    f.leaveAt(i);
    w.end();
  });
  return emitters;
}
