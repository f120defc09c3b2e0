import { type Block, type CodeCache, instructionOffset, instructionOps, type Region } from "../codeCache";
import {
  BLOCK_HEADER_BYTES,
  OP_A,
  OP_B,
  OP_BYTES,
  OP_D,
  OP_IMM,
  OP_MEM_FLAGS,
  OP_SCALE,
  SLOT_CC_AUX,
  SLOT_CC_RES,
  SLOT_KERNEL_GS_BASE,
  SLOT_RFLAGS,
  SLOT_RIP,
  SLOT_SEG_BASE,
  SLOT_SINK,
  SLOT_TEMP,
  SLOT_XMM,
  SLOT_ZERO,
  TEMP_COUNT,
} from "../layout";
import type { EngineMemory } from "../memory";
import { Op, opNames } from "../ops";
import { functionText } from "../wasm/text";
import { RegionFunction } from "./function";
import { opEmitters } from "./compilation";
import { Callee } from "./callees";
import { JumpCaches } from "./jumpCaches";
import { IS_HELPER, operandUse, READS_A, READS_B, READS_D, WRITES_B, WRITES_D } from "./operands";
import type { Linkable, LinkSite } from "./links";
import { cutPieces, readOps, neededFlags } from "./pieces";
import { RegionPlanner } from "./region";
import { JumpTargets } from "./targets";

/** An op of a block, in words. */
export interface OpExplanation {
  /** Index of its guest instruction in the block. */
  readonly instruction: number;
  /** As the front end emitted it: "subf64 rbx, rax, 0x1". */
  readonly text: string;
  /** What the generator of WebAssembly leaves out of it; undefined when nothing. */
  readonly leftOut: string | undefined;
}

/** A jump out of a function that runs now. */
export interface JumpExplanation {
  /** The block that it ends. */
  readonly from: bigint;
  /** Undefined: an indirect jump or return. */
  readonly to: bigint | undefined;
  /** The block that it goes to directly, as long as that is where it was; undefined: each time it is looked up. */
  readonly linked: bigint | undefined;
}

/** An indirect jump or call, and the blocks that it has been seen to go to, in the order in which they became hot. */
export interface LearntTargets {
  readonly from: bigint;
  readonly to: readonly bigint[];
}

/** A translated block, through all its stages. */
export interface BlockExplanation {
  readonly rip: bigint;
  readonly physical: number;
  /** Guest code in bytes and instructions. */
  readonly bytes: number;
  readonly instructions: number;
  /** Offset of each guest instruction from the block's start. */
  readonly offsets: readonly number[];
  readonly ops: readonly OpExplanation[];
  /** A generated function holds the block at this moment; else the interpreter runs its ops. */
  readonly isGenerated: boolean;
  /** The function as it would be generated now: its blocks' addresses, its body's size, and its text. */
  readonly members: readonly bigint[];
  readonly size: number;
  readonly text: readonly string[];
  /** What is known of where indirect jumps of the members go: the function takes those targets in. */
  readonly learnt: readonly LearntTargets[];
  /** Of the functions that are there now and hold the block, which need not be what would be generated: their jumps to other functions. */
  readonly jumps: readonly JumpExplanation[];
}

const registerNames = "rax rcx rdx rbx rsp rbp rsi rdi r8 r9 r10 r11 r12 r13 r14 r15".split(" ");
const segmentNames = "es cs ss ds fs gs".split(" ");
const otherSlots: Readonly<Record<number, string>> = {
  [SLOT_RIP]: "rip",
  [SLOT_CC_RES]: "cc.result",
  [SLOT_CC_AUX]: "cc.aux",
  [SLOT_RFLAGS]: "rflags",
  [SLOT_KERNEL_GS_BASE]: "kernel_gs.base",
  [SLOT_ZERO]: "0",
  [SLOT_SINK]: "_",
};

/** What a slot of the CPU's state is called. */
function slotName(slot: number): string {
  if (slot < 128) return registerNames[slot >> 3];
  if (slot >= SLOT_TEMP && slot < SLOT_TEMP + 8 * TEMP_COUNT) return `t${(slot - SLOT_TEMP) >> 3}`;
  if (slot >= SLOT_SEG_BASE && slot < SLOT_SEG_BASE + 48) return `${segmentNames[(slot - SLOT_SEG_BASE) >> 3]}.base`;
  if (slot >= SLOT_XMM && slot < SLOT_XMM + 256) return `xmm${(slot - SLOT_XMM) >> 4}${((slot - SLOT_XMM) & 8) === 0 ? "" : ".high"}`;
  return otherSlots[slot] ?? `slot${slot}`;
}

function opText(memory: EngineMemory, address: number, helperName: (id: number) => string): string {
  const { u8, u16, i32, u32 } = memory;
  const opcode = u16[address >> 1];
  const name = opNames[opcode];
  const [d, a, b] = [OP_D, OP_A, OP_B].map((field) => u16[(address + field) >> 1]);
  const imm = (BigInt(u32[(address + OP_IMM + 4) >> 2]) << 32n) | BigInt(u32[(address + OP_IMM) >> 2]);
  const immText = imm >= 1n << 63n ? `-0x${((1n << 64n) - imm).toString(16)}` : `0x${imm.toString(16)}`;
  if (opcode === Op.helper) return `helper ${helperName(d)}(${slotName(a)}, ${slotName(b)}, ${immText})`;
  if (opcode === Op.goto || opcode === Op.gotoFar) return `${name} ${immText}`;
  if (/^(ld|ldw|st|lea)(8|16|32|64)?(_32)?$/.test(name)) {
    const scale = u8[address + OP_SCALE] & 7;
    const index = b === SLOT_ZERO ? "" : ` + ${slotName(b)}${scale === 0 ? "" : ` << ${scale}`}`;
    const displacement = i32[(address + OP_IMM) >> 2];
    const offset =
      displacement === 0 ? "" : displacement < 0 ? ` - 0x${(-displacement).toString(16)}` : ` + 0x${displacement.toString(16)}`;
    const flags = u8[address + OP_MEM_FLAGS] === 0 || name.startsWith("lea") ? "" : " stack";
    return `${name} ${slotName(d)}, [${slotName(a)}${index}${offset}]${flags}`;
  }
  const use = operandUse[opcode];
  const operands: string[] = [];
  if ((use & (WRITES_D | READS_D)) !== 0) operands.push(slotName(d));
  if ((use & READS_A) !== 0) operands.push(slotName(a));
  if ((use & (READS_B | WRITES_B)) !== 0 && b !== SLOT_ZERO) operands.push(slotName(b));
  if (imm !== 0n || operands.length === 0 || name === "movi") operands.push(immText);
  return `${name} ${operands.join(", ")}`;
}

/** What the generator leaves out of each op of a block. */
function leftOut(planner: RegionPlanner, block: Block, cpu: number): (string | undefined)[] {
  const { plan } = planner.plan(block, cpu, () => -Infinity);
  const { ops, starts } = readOps(plan);
  const { pieces } = cutPieces(plan, ops, starts);
  const notes: (string | undefined)[] = new Array<string | undefined>(block.ops).fill(undefined);
  for (const piece of pieces) {
    if (piece.member !== 0) continue;
    const needed = neededFlags(ops, piece);
    for (let i = piece.first; i < piece.end; i++) {
      const parts: string[] = [];
      if ((ops.flags[i] & 1) !== 0 && needed[i - piece.first] === 0) parts.push("flags: nobody looks at them");
      if (ops.opcode[i] === Op.movi && ops.d[i] >= SLOT_TEMP) parts.push("a constant: goes into its uses");
      if ((operandUse[ops.opcode[i]] & IS_HELPER) !== 0) parts.push("called in place");
      if (parts.length > 0) notes[i] = parts.join("; ");
    }
  }
  return notes;
}

const calleeNames: readonly string[] = Object.entries(Callee).reduce((names: string[], [name, index]) => {
  names[index] = name;
  return names;
}, []);
const parameterNames = ["cpu", "entry", "budget"];

/** Jumps out of the generated functions that hold `block`. */
function jumpsOut(jumpCaches: JumpCaches, block: Block): JumpExplanation[] {
  const known = new Map<string, JumpExplanation>();
  for (const { sites } of block.regions as readonly (Region & Linkable)[])
    for (const { from, rip, link } of sites) {
      if (!from.alive) continue;
      const linked = holds(jumpCaches, link) ? link?.block.rip : undefined;
      const key = `${from.rip} ${rip}`;
      // Of copies of a block one may be linked: that is the one to tell of.
      if (linked !== undefined || !known.has(key)) known.set(key, { from: from.rip, to: rip, linked });
    }
  return [...known.values()];
}

/** Whether a link leads to its target still, as the code of the link finds out. */
const holds = (jumpCaches: JumpCaches, link: LinkSite["link"]): boolean =>
  link?.block.alive === true && jumpCaches.functionOf(link.block) === link.word;

/**
 * A block as the front end translated it and as WebAssembly is generated from it, together with hot neighbours if it is hot itself. `cpu` is the address of the
 * state of a CPU that runs it; `targets` is what indirect jumps are known to go to. Nothing changes.
 */
export function explainBlock(
  memory: EngineMemory,
  code: CodeCache,
  block: Block,
  cpu: number,
  helperName: (id: number) => string,
  targets = new JumpTargets(),
): BlockExplanation {
  const jumpCaches = new JumpCaches(memory, code);
  const planner = new RegionPlanner(memory, code, jumpCaches, targets);
  const isGenerated = jumpCaches.functionOf(block) !== 0;
  const { plan, blocks } = planner.plan(block, cpu, () => (isGenerated ? 0 : -Infinity));
  const body = block.secondPage >= 0 ? new Uint8Array(0) : new RegionFunction(plan, opEmitters()).build().bytes;
  const starts = instructionOps(memory, block);
  const notes = block.secondPage >= 0 ? [] : leftOut(planner, block, cpu);
  const ops: OpExplanation[] = [];
  let instruction = -1;
  for (let i = 0; i < block.ops; i++) {
    while (instruction + 1 < starts.length && starts[instruction + 1] <= i) instruction++;
    const address = block.header + BLOCK_HEADER_BYTES + i * OP_BYTES;
    ops.push({ instruction: Math.max(0, instruction), text: opText(memory, address, helperName), leftOut: notes[i] });
  }
  return {
    rip: block.rip,
    physical: block.physical,
    bytes: block.bytes,
    instructions: block.count,
    offsets: Array.from({ length: block.count }, (_, index) => instructionOffset(memory, block, index)),
    ops,
    isGenerated,
    members: blocks.map(({ rip }) => rip),
    size: body.length,
    text:
      body.length === 0
        ? []
        : functionText(body, {
            function: (index) => (calleeNames[index] === undefined ? undefined : `$${calleeNames[index]}`),
            local: (index) => (index < 3 ? `$${parameterNames[index]}` : undefined),
          }),
    learnt: blocks.flatMap((member) => {
      const to = targets.targetsOf(member).filter(({ alive }) => alive);
      return to.length === 0 ? [] : [{ from: member.rip, to: to.map(({ rip }) => rip) }];
    }),
    jumps: jumpsOut(jumpCaches, block),
  };
}
