import { assert } from "../../common/errors";
import {
  BLOCK_COUNT,
  BLOCK_FUNCTION,
  BLOCK_HEADER_BYTES,
  BLOCK_HEAT,
  FUNCTION_ENTRY_BITS,
  JUMP_GENERATION,
  JUMP_LOWEST_SHIFT,
  JUMP_MODE,
  JUMP_OFFSET_MASK,
  JUMP_OFFSET_SHIFT,
  JUMP_OP,
  JUMP_RIP,
  OP_BYTES,
  SLOT_RIP,
  WORD_BLOCK,
  WORD_BUDGET,
  WORD_JUMP_CACHE,
  WORD_JUMP_GENERATION,
  WORD_MODE,
  WORD_OP,
} from "../layout";
import { EXIT_BUDGET, EXIT_HOT, EXIT_LOOKUP, type OpName, opNames } from "../ops";
import { anyX87Function, x87Function } from "../x87/function";
import type { X87Part } from "../x87/operation";
import type { CodeBuilder } from "../wasm/code";
import { ModuleBuilder } from "../wasm/module";
import { arithmeticCases } from "./arithmetic";
import { getFlagsFunction, multiplyHighFunction, setFlagsFunction } from "./conditions";
import { controlCases, emitHelperCall } from "./control";
import { type Callees, InterpreterEmitter } from "./emitter";
import { apicStoreFunction, handlerReturnedFunction, highestVectorFunction } from "./localApic";
import { memoryCases } from "./memory";
import { moveCases } from "./moves";
import { shiftCases } from "./shifts";
import { fastCallFunction } from "./fastCalls";
import { interruptFunction, interruptReturnFunction } from "./transfers";
import { findJumpFunction } from "./jumps";
import { pauseFunction, readTscFunction } from "./time";
import { alikeFunction, fillFunction, repeatFunction, runFunction } from "./stringLoops";
import { bulkStringFunction } from "./strings";
import { vectorCases } from "./vectors";
import { walkFunction } from "./walk";

/**
 * What generated code calls in the host. All return a status (0 goes on, 1 faults; helper also 2 leaves). Before each call WORD_BUDGET, WORD_OP and WORD_BLOCK are
 * current, and the budget is read back after it.
 */
export interface EngineHost {
  /** The `helper` op: slot offsets a and b, the halves of imm. */
  helper(id: number, a: number, b: number, lo: number, hi: number): number;
  /** Slow path of a guest access: kind is size in bytes | MemFlags << 8 | KIND_ flags; lo, hi the linear address; the value is in SLOT_MEM_VALUE. */
  load(kind: number, lo: number, hi: number): number;
  store(kind: number, lo: number, hi: number): number;
  /** Slow path of the `segment` op at address `op`: linear address into SLOT_MEM_VALUE. */
  segment(op: number): number;
  /** Records an exception: FAULT_DIVIDE, FAULT_PROTECTION, FAULT_ALIGNMENT. */
  fault(code: number): number;
  /** An IRET has ended the handler of the interrupt with this record. Not for the reference interpreter, whose IRETs are helpers. */
  returned(recordLow: number, recordHigh: number): number;
  /** 64-bit division op at address `op` whose dividend needs 128 bits. */
  divide(op: number): number;
}

/** Codes of EngineHost.fault. */
export const FAULT_DIVIDE = 0;
export const FAULT_PROTECTION = 1;
export const FAULT_ALIGNMENT = 2;

/**
 * Runs ops from address `op` in the block whose header is at `block`, for the CPU whose state is at `cpu`, after charging `charge` instructions to WORD_BUDGET
 * (exits with EXIT_BUDGET when they exceed it). With ENTER_BLOCK as charge, enters the block as a jump to it does: in generated code if there is any. Returns an exit reason; WORD_BUDGET, WORD_OP, WORD_BLOCK tell the rest.
 */
export type RunFunction = (cpu: number, op: number, block: number, charge: number) => number;

/** As `charge` of a RunFunction: `op` is the first op of the block, which is entered. */
export const ENTER_BLOCK = -1;

/**
 * Ops that make up nearly all of what is interpreted of a kernel's boot, a BIOS and compiled code. In one function with all others, V8's optimiser takes seven times as long until it has code
 * for them, and what runs meanwhile is two to four times slower (docs/performance.md).
 */
const commonOps: ReadonlySet<OpName> = new Set([
  ...(["goto", "gotoFar", "jump", "lookup", "lookupUnlessRequest", "br", "helper", "fastCall", "bulk", "canon"] as const),
  ...(["br_c", "br_z", "br_be", "br_s", "br_l", "br_le", "movc_z", "movc_c", "get_z", "setCf"] as const),
  ...(["movi", "mov", "lea", "lea32", "zx8", "zx8h", "zx16", "zx32", "sx8", "sx32", "dep8"] as const),
  ...(["add", "and", "or", "xor", "shr", "addf32", "addf64", "subf8", "subf16", "subf32", "subf64", "sbbf32"] as const),
  ...(["andf8", "andf32", "andf64", "orf32", "orf64", "xorf8", "xorf32", "xorf64", "incf32", "incf64", "decf32"] as const),
  ...(["imulf32", "imulf64", "shlf32", "shlf64", "shrf32", "shrf64", "sarf64", "rolf32", "rorf32"] as const),
  ...(["ld8", "ld16", "ld32", "ld64", "st8", "st16", "st32", "st64", "ldw32", "ldw64"] as const),
  ...(["ld8_32", "ld16_32", "ld32_32", "st8_32", "st16_32", "st32_32", "ldw32_32"] as const),
]);

/** Assembles the op interpreter: three loops around a br_table, with cases for the common ops, for vector ops and for the others. The module fits every machine. */
export function assembleInterpreter(): Uint8Array<ArrayBuffer> {
  const module = new ModuleBuilder();
  const returned = module.import("returned", ["i32", "i32"], ["i32"]);
  const callees: Callees = {
    helper: module.import("helper", ["i32", "i32", "i32", "i32", "i32"], ["i32"]),
    load: module.import("load", ["i32", "i32", "i32"], ["i32"]),
    store: module.import("store", ["i32", "i32", "i32"], ["i32"]),
    segment: module.import("segment", ["i32"], ["i32"]),
    fault: module.import("fault", ["i32"], ["i32"]),
    divide: module.import("divide", ["i32"], ["i32"]),
    getFlags: module.add(getFlagsFunction(), "getFlags"),
    setFlags: module.add(setFlagsFunction(), "setFlags"),
    multiplyHigh: module.add(multiplyHighFunction()),
    generated: module.type(["i32", "i32", "i32"], ["i32"]),
    bulkString: 0,
    x87: 0,
    fastCall: 0,
    apicStore: 0,
    walk: module.add(walkFunction(), "walk"),
    findJump: module.add(findJumpFunction(), "findJump"),
  };
  const x87 = (part: X87Part): number => module.add(x87Function(part, callees.walk, callees.multiplyHigh), part);
  callees.x87 = module.add(
    anyX87Function({
      x87Load: x87("x87Load"),
      x87Store: x87("x87Store"),
      x87Memory: x87("x87Memory"),
      x87Register: x87("x87Register"),
      x87Root: x87("x87Root"),
    }),
    "x87",
  );
  const alike = (compares: boolean): { equal: number; unequal: number[] } => ({
    equal: module.add(alikeFunction(compares, undefined)),
    unequal: [0, 1, 2, 3].map((size) => module.add(alikeFunction(compares, size))),
  });
  callees.bulkString = module.add(
    bulkStringFunction({
      walk: callees.walk,
      run: module.add(runFunction()),
      fill: module.add(fillFunction()),
      repeat: module.add(repeatFunction()),
      alike: { compare: alike(true), scan: alike(false) },
    }),
    "bulkString",
  );
  const interrupt = module.add(interruptFunction(callees.getFlags), "interrupt");
  const handlerReturned = module.add(handlerReturnedFunction(returned));
  callees.fastCall = module.add(
    fastCallFunction({
      getFlags: callees.getFlags,
      setFlags: callees.setFlags,
      interrupt,
      interruptReturn: module.add(interruptReturnFunction(callees.setFlags, handlerReturned)),
      readTsc: module.add(readTscFunction()),
      pause: module.add(pauseFunction()),
    }),
    "fastCall",
  );
  const highestVector = module.add(highestVectorFunction());
  callees.apicStore = module.add(apicStoreFunction({ highestVector, interrupt }));
  const first = module.nextIndex;
  const loopOf = (name: OpName): number => first + (commonOps.has(name) ? 0 : name.startsWith("v_") ? 2 : 1);
  for (const loop of [first, first + 1, first + 2])
    module.add(assembleLoop(new InterpreterEmitter(callees), loop, loopOf), loop === first ? "run" : undefined);
  return module.bytes(1);
}

/** A RunFunction, the function with index `loop`, for the ops that `loopOf` gives to it. At another one it goes on in that one's. */
function assembleLoop(e: InterpreterEmitter, loop: number, loopOf: (name: OpName) => number): CodeBuilder {
  const own = opNames.filter((name) => loopOf(name) === loop);
  const others = [...new Set(opNames.map(loopOf))].filter((other) => other !== loop);
  const cases = new Map<OpName, (e: InterpreterEmitter) => void>([
    ...controlCases(),
    ...moveCases(),
    ...arithmeticCases(),
    ...shiftCases(),
    ...memoryCases(),
    ...vectorCases(),
  ]);
  const { code } = e;
  const caseLabel = (name: OpName): string => `op ${name}`;
  const loopLabel = (index: number): string => `loop ${index}`;
  code.block("exit");
  e.reloadBudget();
  code.get(e.charge).i32(ENTER_BLOCK).op("i32.eq").if();
  enterBlock(e);
  code.get(e.t).set(e.charge).end();
  code.get(e.charge).get(e.budget).op("i32.gt_u").ifRare();
  e.exit(EXIT_BUDGET);
  code.end();
  code.get(e.budget).get(e.charge).op("i32.sub").set(e.budget);
  code.loop("loop");
  code.block("enter").block("jump").block("callHelper").block("next");
  for (const other of others) code.block(loopLabel(other));
  for (const name of own) code.block(caseLabel(name));
  code
    .get(e.op)
    .mem("i32.load16_u")
    .brTable(
      opNames.map((name) => (loopOf(name) === loop ? caseLabel(name) : loopLabel(loopOf(name)))),
      loopLabel(others[0]),
    );
  own.reverse().forEach((name) => {
    code.end();
    const emit = cases.get(name);
    assert(emit !== undefined, `the interpreter has no case for op ${name}`);
    emit(e);
    code.br("next");
  });
  for (const other of others.reverse()) {
    code.end();
    code.get(e.cpu).get(e.budget).mem("i32.store", WORD_BUDGET);
    code.get(e.cpu).get(e.op).get(e.block).i32(0).returnCall(other);
  }
  code.end(); // next
  code.get(e.op).i32(OP_BYTES).op("i32.add").set(e.op).br("loop");
  code.end(); // callHelper
  emitHelperCall(e);
  code.get(e.op).i32(OP_BYTES).op("i32.add").set(e.op).br("loop");
  code.end(); // jump
  lookUp(e);
  code.end(); // enter: `op` is the first op of a block
  enterBlock(e);
  code.get(e.t).get(e.budget).op("i32.gt_u").ifRare();
  e.exit(EXIT_BUDGET);
  code.end();
  code.get(e.budget).get(e.t).op("i32.sub").set(e.budget).br("loop");
  code.end(); // loop
  code.end(); // exit
  code.get(e.cpu).get(e.budget).mem("i32.store", WORD_BUDGET);
  code.get(e.cpu).get(e.op).mem("i32.store", WORD_OP);
  code.get(e.cpu).get(e.block).mem("i32.store", WORD_BLOCK);
  code.get(e.exitCode);
  return code;
}

/**
 * Enters the block whose first op is at `op`: in generated code if there is any; else leaves its header in `block` and its instructions in `t`. The entry that makes
 * the block hot exits.
 */
function enterBlock(e: InterpreterEmitter): void {
  const { code } = e;
  code.get(e.op).i32(BLOCK_HEADER_BYTES).op("i32.sub").tee(e.block).mem("i32.load", BLOCK_FUNCTION).tee(e.t).if();
  code
    .get(e.cpu)
    .get(e.t)
    .i32((1 << FUNCTION_ENTRY_BITS) - 1)
    .op("i32.and")
    .get(e.budget)
    .get(e.t)
    .i32(FUNCTION_ENTRY_BITS)
    .op("i32.shr_u")
    .returnCallIndirect(e.callees.generated)
    .end();
  code.get(e.block).get(e.block).mem("i32.load", BLOCK_HEAT).i32(1).op("i32.sub").tee(e.t).mem("i32.store", BLOCK_HEAT);
  code.get(e.t).op("i32.eqz").ifRare();
  e.exit(EXIT_HOT);
  code.end().get(e.block).mem("i32.load", BLOCK_COUNT).set(e.t);
}

/** Finds the block at SLOT_RIP through the jump cache and falls through with its first op in `op`. */
function lookUp(e: InterpreterEmitter): void {
  const { code } = e;
  e.state64(SLOT_RIP);
  code.tee(e.R).op("i32.wrap").tee(e.t).get(e.t).i32(12).op("i32.shr_u", "i32.xor");
  code
    .tee(e.t)
    .i32(JUMP_OFFSET_SHIFT)
    .op("i32.shl")
    .get(e.t)
    .i32(JUMP_LOWEST_SHIFT)
    .op("i32.shl", "i32.xor")
    .i32(JUMP_OFFSET_MASK)
    .op("i32.and");
  e.state32(WORD_JUMP_CACHE);
  code.op("i32.add").tee(e.entry).mem("i64.load", JUMP_RIP).get(e.R).op("i64.ne");
  code.get(e.entry).mem("i32.load", JUMP_MODE);
  e.state32(WORD_MODE);
  code.op("i32.ne", "i32.or");
  code.get(e.entry).mem("i32.load", JUMP_GENERATION);
  e.state32(WORD_JUMP_GENERATION);
  code.op("i32.ne", "i32.or").ifRare();
  code.get(e.cpu).get(e.entry).call(e.callees.findJump).tee(e.t).op("i32.eqz").ifRare();
  e.exit(EXIT_LOOKUP);
  code.end().get(e.t).set(e.op);
  code.else();
  code.get(e.entry).mem("i32.load", JUMP_OP).set(e.op).end();
}
