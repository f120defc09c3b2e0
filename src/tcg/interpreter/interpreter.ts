import { assert } from "../../common/errors";
import {
  BLOCK_COUNT,
  BLOCK_FUNCTION,
  BLOCK_HEADER_BYTES,
  BLOCK_HEAT,
  FUNCTION_ENTRY_BITS,
  JUMP_ENTRIES,
  JUMP_GENERATION,
  JUMP_MODE,
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
import { x87Function } from "../x87/function";
import { ModuleBuilder } from "../wasm/module";
import { arithmeticCases } from "./arithmetic";
import { getFlagsFunction, multiplyHighFunction, setFlagsFunction } from "./conditions";
import { controlCases, emitHelperCall } from "./control";
import { type Callees, InterpreterEmitter } from "./emitter";
import { memoryCases } from "./memory";
import { moveCases } from "./moves";
import { shiftCases } from "./shifts";
import { fastCallFunction } from "./fastCalls";
import { interruptFunction, interruptReturnFunction } from "./transfers";
import { findJumpFunction } from "./jumps";
import { bulkStringFunction } from "./strings";
import { vectorCases } from "./vectors";
import { walkFunction } from "./walk";

/** Bytes of a jump-cache entry as a shift. */
const JUMP_ENTRY_SHIFT = 5;
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

/** Assembles the op interpreter: one loop around one br_table with a case for each op. The module fits every machine. */
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
    walk: module.add(walkFunction(), "walk"),
    findJump: module.add(findJumpFunction(), "findJump"),
  };
  callees.x87 = module.add(x87Function(callees.walk, callees.multiplyHigh), "x87");
  callees.bulkString = module.add(bulkStringFunction(callees.walk), "bulkString");
  callees.fastCall = module.add(
    fastCallFunction({
      getFlags: callees.getFlags,
      setFlags: callees.setFlags,
      interrupt: module.add(interruptFunction(callees.getFlags), "interrupt"),
      interruptReturn: module.add(interruptReturnFunction(callees.setFlags, returned)),
    }),
    "fastCall",
  );
  module.add(assembleLoop(new InterpreterEmitter(callees)), "run");
  return module.bytes(1);
}

function assembleLoop(e: InterpreterEmitter) {
  const cases = new Map<OpName, (e: InterpreterEmitter) => void>([
    ...controlCases(),
    ...moveCases(),
    ...arithmeticCases(),
    ...shiftCases(),
    ...memoryCases(),
    ...vectorCases(),
  ]);
  const { code } = e;
  const caseLabel = (index: number): string => `case${index}`;
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
  for (let index = opNames.length - 1; index >= 0; index--) code.block(caseLabel(index));
  code
    .get(e.op)
    .mem("i32.load16_u")
    .brTable(
      opNames.map((_, index) => caseLabel(index)),
      caseLabel(0),
    );
  opNames.forEach((name) => {
    code.end();
    const emit = cases.get(name);
    assert(emit !== undefined, `the interpreter has no case for op ${name}`);
    emit(e);
    code.br("next");
  });
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
    .i32(JUMP_ENTRIES - 1)
    .op("i32.and")
    .i32(JUMP_ENTRY_SHIFT)
    .op("i32.shl");
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
