import {
  OP_A,
  OP_B,
  OP_D,
  OP_IMM,
  OP_MEM_FLAGS,
  OP_SCALE,
  SLOT_MEM_VALUE,
  SLOT_SEG_BASE,
  SLOT_SEG_LIMIT_R,
  SLOT_SEG_LIMIT_W,
  TLB_ADDEND,
  TLB_READ,
  TLB_WRITE,
  WORD_TLB,
} from "../layout";
import { EXIT_FAULT, type OpName } from "../ops";
import type { MemoryInstruction } from "../wasm/code";
import { STORE_DELIVERED } from "./localApic";
import { allWidths, type InterpreterEmitter, type Width } from "./emitter";
import { toTlbOffset } from "./tlbEntry";

type Case = (e: InterpreterEmitter) => void;

/** Bits of the `kind` argument of env.load and env.store: size in bytes, MemFlags << 8, then these. */
export const KIND_WRAP32 = 1 << 16;
export const KIND_PROBE_WRITE = 1 << 17;

const loads: Record<Width, MemoryInstruction> = { 8: "i64.load8_u", 16: "i64.load16_u", 32: "i64.load32_u", 64: "i64.load" };
const stores: Record<Width, MemoryInstruction> = { 8: "i64.store8", 16: "i64.store16", 32: "i64.store32", 64: "i64.store" };

/** Pushes a + (b << scale) + displacement. */
export function emitAddress(e: InterpreterEmitter): void {
  const { code } = e;
  e.slot(OP_A);
  e.slot(OP_B);
  code.get(e.op).mem("i64.load8_u", OP_SCALE).op("i64.shl", "i64.add");
  code.get(e.op).mem("i64.load32_s", OP_IMM).op("i64.add");
}

/** Leaves the TLB entry's address in `entry` and pushes whether its `tag` covers the whole access: page of the last byte equals the tag. */
function probe(e: InterpreterEmitter, tag: number, bytes: number): void {
  const { code } = e;
  toTlbOffset(code.get(e.address).op("i32.wrap"));
  e.state32(WORD_TLB);
  code.op("i32.add").tee(e.entry).mem("i64.load", tag);
  code.get(e.address);
  if (bytes > 1) code.i64(BigInt(bytes - 1)).op("i64.add");
  code.i64(-4096n).op("i64.and", "i64.eq");
}

/** Pushes the host address of the access. */
function hostAddress(e: InterpreterEmitter): void {
  e.code.get(e.address).op("i32.wrap").get(e.entry).mem("i32.load", TLB_ADDEND).op("i32.add");
}

/** After a miss: begins the case that the walk in the engine has filled the entry. */
function refill(e: InterpreterEmitter, kind: number): void {
  e.code.get(e.cpu).get(e.address).i32(kind).call(e.callees.walk).tee(e.entry).if();
}

/** Calls the slow path; on a fault, exits. */
function slowPath(e: InterpreterEmitter, callee: number, kind: number): void {
  const { code } = e;
  e.publish();
  code.get(e.op).mem("i32.load8_u", OP_MEM_FLAGS).i32(8).op("i32.shl").i32(kind).op("i32.or");
  code.get(e.address).op("i32.wrap").get(e.address).i64(32n).op("i64.shr_u", "i32.wrap");
  code.call(callee).ifRare();
  e.exit(EXIT_FAULT);
  code.end();
  e.reloadBudget();
}

/** Begins the case that a store of R is none that the engine does of the local APIC. Where one has led to a handler, goes on there. */
function storeToApic(e: InterpreterEmitter): void {
  const { code } = e;
  e.publish();
  code.get(e.cpu).get(e.address).get(e.R).op("i32.wrap").call(e.callees.apicStore).tee(e.t).if();
  code.get(e.t).i32(STORE_DELIVERED).op("i32.eq").if();
  e.reloadBudget();
  code.br("jump").end();
  code.else();
}

function setAddress(e: InterpreterEmitter, wrap32: boolean): void {
  emitAddress(e);
  if (wrap32) e.code.i64(0xffff_ffffn).op("i64.and");
  e.code.set(e.address);
}

function load(width: Width, wrap32: boolean, probeWrite: boolean): Case {
  return (e) => {
    const { code } = e;
    const bytes = width / 8;
    setAddress(e, wrap32);
    probe(e, probeWrite ? TLB_WRITE : TLB_READ, bytes);
    code.ifMostly();
    hostAddress(e);
    code.mem(loads[width]).set(e.R).else();
    refill(e, bytes | (probeWrite ? KIND_PROBE_WRITE : 0));
    hostAddress(e);
    code.mem(loads[width]).set(e.R).else();
    slowPath(e, e.callees.load, bytes | (wrap32 ? KIND_WRAP32 : 0) | (probeWrite ? KIND_PROBE_WRITE : 0));
    e.state64(SLOT_MEM_VALUE);
    code.set(e.R).end().end();
    e.setSlot(OP_D, e.R);
  };
}

function store(width: Width, wrap32: boolean): Case {
  return (e) => {
    const { code } = e;
    const bytes = width / 8;
    setAddress(e, wrap32);
    probe(e, TLB_WRITE, bytes);
    code.ifMostly();
    hostAddress(e);
    e.slot(OP_D);
    code.mem(stores[width]);
    code.else();
    refill(e, bytes | KIND_PROBE_WRITE);
    hostAddress(e);
    e.slot(OP_D);
    code.mem(stores[width]);
    code.else();
    e.slot(OP_D);
    code.set(e.R);
    if (width === 32 && !wrap32) storeToApic(e);
    e.setState64(SLOT_MEM_VALUE, e.R);
    slowPath(e, e.callees.store, bytes | (wrap32 ? KIND_WRAP32 : 0));
    if (width === 32 && !wrap32) code.end();
    code.end().end();
  };
}

/** Segmentation: limit checked against the precomputed bound, else decided by the host. */
function segment(e: InterpreterEmitter): void {
  const { code } = e;
  const segmentSlot = (offset: number): void => {
    code.get(e.cpu).get(e.op).mem("i32.load8_u", OP_IMM).i32(7).op("i32.and").i32(3).op("i32.shl", "i32.add").mem("i64.load", offset);
  };
  e.slot(OP_A);
  code
    .tee(e.A)
    .get(e.op)
    .mem("i64.load8_u", OP_IMM + 1)
    .op("i64.add");
  segmentSlot(SLOT_SEG_LIMIT_W);
  segmentSlot(SLOT_SEG_LIMIT_R);
  code.get(e.op).mem("i32.load8_u", OP_IMM).i32(8).op("i32.and", "select", "i64.le_u").ifMostly();
  segmentSlot(SLOT_SEG_BASE);
  code.get(e.A).op("i64.add").i64(0xffff_ffffn).op("i64.and").set(e.R).else();
  e.publish();
  code.get(e.op).call(e.callees.segment).ifRare();
  e.exit(EXIT_FAULT);
  code.end();
  e.state64(SLOT_MEM_VALUE);
  code.set(e.R).end();
  e.setSlot(OP_D, e.R);
}

/** Cases of the ops that touch guest memory. */
export function memoryCases(): Map<OpName, Case> {
  const cases = new Map<OpName, Case>();
  for (const width of allWidths) {
    cases.set(`ld${width}`, load(width, false, false));
    cases.set(`ldw${width}`, load(width, false, true));
    cases.set(`st${width}`, store(width, false));
    cases.set(`ld${width}_32`, load(width, true, false));
    cases.set(`ldw${width}_32`, load(width, true, true));
    cases.set(`st${width}_32`, store(width, true));
  }
  cases.set("segment", segment);
  cases.set("aligned", (e) => {
    const { code } = e;
    emitAddress(e);
    code
      .get(e.op)
      .mem("i64.load8_u", OP_MEM_FLAGS + 1)
      .i64(1n)
      .op("i64.sub", "i64.and")
      .i64(0n)
      .op("i64.ne")
      .ifRare();
    e.publish();
    code.i32(2).call(e.callees.fault).op("drop");
    e.exit(EXIT_FAULT);
    code.end();
  });
  return cases;
}
