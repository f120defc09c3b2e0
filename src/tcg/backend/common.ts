/** The functions that every module of generated code has beside its regions. */
import { DEAD_COUNT } from "../codeCache";
import { KIND_PROBE_WRITE } from "../interpreter/memory";
import { ENTER_BLOCK } from "../interpreter/interpreter";
import {
  BLOCK_COUNT,
  BLOCK_FUNCTION,
  BLOCK_HEADER_BYTES,
  BLOCK_TARGET,
  FUNCTION_ENTRY_BITS,
  JUMP_FUNCTION,
  JUMP_GENERATION,
  JUMP_LOWEST_SHIFT,
  JUMP_MODE,
  JUMP_OFFSET_MASK,
  JUMP_OFFSET_SHIFT,
  JUMP_RIP,
  SLOT_RIP,
  TLB_ADDEND,
  TLB_ENTRIES,
  TLB_ENTRY_BYTES,
  TLB_PHYSICAL_PAGE,
  TLB_READ,
  TLB_WRITE,
  WORD_APIC_PAGE,
  WORD_BUDGET,
  WORD_JUMP_CACHE,
  WORD_JUMP_FROM,
  WORD_JUMP_GENERATION,
  WORD_MODE,
  WORD_TLB,
} from "../layout";
import { EXIT_LOOKUP } from "../ops";
import { FunctionWriter, I32, I64, M, W } from "../wasm/writer";
import { Callee } from "./callees";

/** Index of the type of regions in a module's type section. */
export const TYPE_REGION = 2;

/** The lower half of a linear address is on the stack: puts the offset of its entry in the TLB in its place (as interpreter/tlbEntry.ts does in the interpreter). */
export function toTlbOffset(w: FunctionWriter): FunctionWriter {
  return w
    .i32(Math.log2(4096 / TLB_ENTRY_BYTES))
    .op(W.i32ShrU)
    .i32((TLB_ENTRIES - 1) * TLB_ENTRY_BYTES)
    .op(W.i32And);
}

/** Tail-calls the generated function that the word in `word` names. */
function callGenerated(w: FunctionWriter, word: number, budget: number): FunctionWriter {
  return w
    .get(0)
    .get(word)
    .i32((1 << FUNCTION_ENTRY_BITS) - 1)
    .op(W.i32And)
    .get(budget)
    .get(word)
    .i32(FUNCTION_ENTRY_BITS)
    .op(W.i32ShrU)
    .returnCallIndirect(TYPE_REGION);
}

/**
 * Function (cpu, budget), with `from` (cpu, budget, header): goes to the code at SLOT_RIP through the jump cache, or leaves with EXIT_LOOKUP; the block at `header`, whose indirect jump it is, has the target noted. Where the entry has the function, nothing else is read: each further
 * line of the host's cache would be waited for, as code that comes here is wide.
 */
export function jumpFunction(from: boolean): FunctionWriter {
  const w = new FunctionWriter(from ? 3 : 2);
  const entry = w.local(I32);
  const word = w.local(I32);
  const low = w.local(I32);
  const rip = w.local(I64);
  w.get(0).mem(M.i64Load, SLOT_RIP).tee(rip).op(W.i32Wrap).set(low);
  if (from) w.get(2).get(low).mem(M.i32Store, BLOCK_TARGET).get(0).get(2).mem(M.i32Store, WORD_JUMP_FROM);
  w.get(low).get(low).i32(12).op2(W.i32ShrU, W.i32Xor);
  w.tee(low).i32(JUMP_OFFSET_SHIFT).op(W.i32Shl).get(low).i32(JUMP_LOWEST_SHIFT).op2(W.i32Shl, W.i32Xor).i32(JUMP_OFFSET_MASK).op(W.i32And);
  w.get(0).mem(M.i32Load, WORD_JUMP_CACHE).op(W.i32Add).tee(entry).mem(M.i64Load, JUMP_RIP).get(rip).op(W.i64Ne);
  w.get(entry).mem(M.i32Load, JUMP_MODE).get(0).mem(M.i32Load, WORD_MODE).op2(W.i32Ne, W.i32Or);
  w.get(entry).mem(M.i32Load, JUMP_GENERATION).get(0).mem(M.i32Load, WORD_JUMP_GENERATION).op2(W.i32Ne, W.i32Or);
  w.get(entry).mem(M.i32Load, JUMP_FUNCTION).tee(word).op2(W.i32Eqz, W.i32Or).ifRare();
  w.get(0).get(entry).call(Callee.findJump).tee(low).op(W.i32Eqz).ifRare();
  w.get(0).get(1).mem(M.i32Store, WORD_BUDGET).i32(EXIT_LOOKUP).op(W.return).end();
  // findJump has put the block's entry here.
  w.get(entry)
    .get(low)
    .i32(BLOCK_HEADER_BYTES)
    .op(W.i32Sub)
    .tee(low)
    .mem(M.i32Load, BLOCK_FUNCTION)
    .tee(word)
    .mem(M.i32Store, JUMP_FUNCTION);
  w.get(word).op(W.i32Eqz).if();
  interpret(w, low, 1).end();
  w.end();
  return callGenerated(w, word, 1);
}

/** Function (cpu, budget, header): enters the block at `header`; when it is no more, whatever SLOT_RIP names. */
export function enterFunction(): FunctionWriter {
  const w = new FunctionWriter(3);
  const word = w.local(I32);
  w.get(2).mem(M.i32Load, BLOCK_FUNCTION).tee(word).if();
  callGenerated(w, word, 1).end();
  w.get(2).mem(M.i32Load, BLOCK_COUNT).i32(DEAD_COUNT).op(W.i32Eq).ifRare();
  w.get(0).get(1).returnCall(Callee.jump).end();
  return interpret(w, 2, 1);
}

/** The interpreter enters the block at `header`. */
function interpret(w: FunctionWriter, header: number, budget: number): FunctionWriter {
  w.get(0).get(budget).mem(M.i32Store, WORD_BUDGET);
  return w.get(0).get(header).i32(BLOCK_HEADER_BYTES).op(W.i32Add).get(header).i32(ENTER_BLOCK).returnCall(Callee.run);
}

/** Function (a, b): high half of the unsigned 128-bit product. */
export function multiplyHighFunction(): FunctionWriter {
  const w = new FunctionWriter(2);
  const middle = w.local(I64);
  const half = (value: number, high: boolean): void => {
    w.get(value);
    if (high) w.i64(32).op(W.i64ShrU);
    else w.i64Halves(-1, 0).op(W.i64And);
  };
  half(0, true);
  half(1, false);
  w.op(W.i64Mul);
  half(0, false);
  half(1, false);
  w.op(W.i64Mul).i64(32).op2(W.i64ShrU, W.i64Add).set(middle);
  half(0, true);
  half(1, true);
  w.op(W.i64Mul);
  half(middle, true);
  w.op(W.i64Add);
  half(0, false);
  half(1, true);
  w.op(W.i64Mul);
  half(middle, false);
  return w.op(W.i64Add).i64(32).op2(W.i64ShrU, W.i64Add);
}

/** Function (cpu, address, kind): address in the engine's memory of an access that missed the TLB, with the TLB filled; 0 when it is anything but plain (Mmu.hostAddress). */
export function plainAddressFunction(): FunctionWriter {
  const w = new FunctionWriter(3);
  const entry = w.local(I32);
  w.get(0).get(1).get(2).call(Callee.walk).tee(entry).if();
  w.get(1).op(W.i32Wrap).get(entry).mem(M.i32Load, TLB_ADDEND).op2(W.i32Add, W.return).end();
  // What the TLB knows to be on the page of the local APIC's registers needs no question.
  toTlbOffset(w.get(0).mem(M.i32Load, WORD_TLB).get(1).op(W.i32Wrap))
    .op(W.i32Add)
    .tee(entry)
    .mem(M.i32Load, TLB_PHYSICAL_PAGE)
    .get(0)
    .mem(M.i32Load, WORD_APIC_PAGE)
    .op(W.i32Eq);
  w.get(entry).mem(M.i64Load, TLB_WRITE).get(entry).mem(M.i64Load, TLB_READ).get(2).i32(KIND_PROBE_WRITE).op2(W.i32And, W.select);
  w.get(1).i64(-4096).op(W.i64And).i64(1).op2(W.i64Or, W.i64Eq).op(W.i32And).if().i32(0).op(W.return).end();
  return w.get(2).get(1).op(W.i32Wrap).get(1).i64(32).op2(W.i64ShrU, W.i32Wrap).call(Callee.hostAddress);
}

/** Bytes of an access, in its kind. */
const KIND_BYTES = 0xff;

/** Function (cpu, address, kind): the same for an access that nothing is known of: the TLB may have it. */
export function addressFunction(): FunctionWriter {
  const w = new FunctionWriter(3);
  const entry = w.local(I32);
  toTlbOffset(w.get(0).mem(M.i32Load, WORD_TLB).get(1).op(W.i32Wrap))
    .op(W.i32Add)
    .tee(entry)
    .mem(M.i64Load, TLB_WRITE)
    .get(entry)
    .mem(M.i64Load, TLB_READ)
    .get(2)
    .i32(KIND_PROBE_WRITE)
    .op2(W.i32And, W.select);
  w.get(1).get(2).i32(KIND_BYTES).op(W.i32And).i32(1).op2(W.i32Sub, W.i64ExtendU).op(W.i64Add).i64(-4096).op2(W.i64And, W.i64Eq).if();
  w.get(1).op(W.i32Wrap).get(entry).mem(M.i32Load, TLB_ADDEND).op2(W.i32Add, W.return).end();
  return w.get(0).get(1).get(2).returnCall(Callee.plainAddress);
}
