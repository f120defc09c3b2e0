/**
 * SSE and MMX instructions. Moves and bitwise operations are plain ops on the halves of a register; everything else is the helper `simd`, given the slots of its operands
 * (cpu/simd). Memory operands are loaded into a pair of temporaries first: faults come before any change.
 */
import { SLOT_MXCSR, SLOT_ZERO, slotOfGpr, slotOfXmm } from "../../tcg/layout";
import type { OpName } from "../../tcg/ops";
import { type VectorOp, vectorOps } from "../../tcg/vector/names";
import type { SimdMnemonic } from "../decode/simdMnemonics";
import { MODE_FPU_EM, MODE_FPU_TS, MODE_OSFXSR } from "../mode";
import { MMX_READ, MMX_WRITE, operationNumber, resultBytes } from "../simd/operations";
import { Helper } from "../helperIds";
import { type Emission, VECTOR_GP, VECTOR_NM } from "./emission";

type Emitter = (e: Emission) => void;

/** Bits of MXCSR that exist, DAZ among them (SDM vol. 1, "MXCSR Control and Status Register"). */
const MXCSR_MASK = 0xffff;

/** #UD with CR0.EM or without CR4.OSFXSR, #NM with CR0.TS (SDM vol. 3, "SSE Exception Conditions"). */
function sseReady(e: Emission): boolean {
  if ((e.mode & MODE_FPU_EM) !== 0 || (e.mode & MODE_OSFXSR) === 0) e.undefined();
  else if ((e.mode & MODE_FPU_TS) !== 0) e.raise(VECTOR_NM);
  else return true;
  return false;
}

/** MMX: CR4.OSFXSR does not matter, exceptions of the x87 unit that wait do. `sse`: the instruction works on XMM registers too. */
function mmxReady(e: Emission, sse: boolean): boolean {
  if ((e.mode & MODE_FPU_EM) !== 0 || (sse && (e.mode & MODE_OSFXSR) === 0)) e.undefined();
  else if ((e.mode & MODE_FPU_TS) !== 0) e.raise(VECTOR_NM);
  else {
    e.helper("x87Wait");
    return true;
  }
  return false;
}

export const letterOf = (e: Emission, index: number): string => e.insn.row.operands[index]?.letter ?? "";
export const widthOf = (e: Emission, index: number): string => e.insn.row.operands[index]?.width ?? "";
const usesMmx = (e: Emission): boolean => e.insn.row.operands.some(({ letter }) => letter === "P" || letter === "Q");
const usesXmm = (e: Emission): boolean => e.insn.row.operands.some(({ letter }) => letter === "V" || letter === "W");

function ready(e: Emission): boolean {
  return usesMmx(e) ? mmxReady(e, usesXmm(e)) : sseReady(e);
}

/** Two temporaries that are neighbours: room for 128 bits. */
function pair(e: Emission): number {
  const slot = e.temp();
  e.temp();
  return slot;
}

const memoryBytes = (width: string): 2 | 4 | 8 | 16 => (width === "x" ? 16 : width === "q" ? 8 : width === "w" ? 2 : 4);

/** Prepares a memory operand of `bytes`; `aligned`: #GP(0) unless its address is a multiple of 16. */
function address(e: Emission, bytes: number, write: boolean, aligned: boolean): void {
  e.addressMemory(bytes, write, bytes === 16 ? 0 : bytes);
  if (!aligned) return;
  const mark = e.mark();
  const low = e.linearAddress();
  e.emit("and", low, low, SLOT_ZERO, 15);
  const fits = e.builder.branch("brz", low);
  e.helper("raise", SLOT_ZERO, SLOT_ZERO, VECTOR_GP, 0);
  e.builder.bind(fits);
  e.release(mark);
}

/** Loads the memory operand into a pair of temporaries; the upper half of less than 128 bits is garbage. */
function loadMemory(e: Emission, bytes: 2 | 4 | 8 | 16, aligned: boolean): number {
  const slot = pair(e);
  address(e, bytes, false, aligned && bytes === 16);
  if (bytes === 16) {
    e.load("ld", slot, 64);
    e.load("ld", slot + 8, 64, 8);
  } else e.load("ld", slot, bytes === 8 ? 64 : bytes === 4 ? 32 : 16);
  return slot;
}

/** Stores a register of 128 bits. Of a misaligned operand both pages are probed first. */
function storeVector(e: Emission, slot: number, aligned: boolean): void {
  address(e, 16, true, aligned);
  if (!aligned) {
    e.load("ldw", e.temp(), 64);
    e.load("ldw", e.temp(), 64, 8);
  }
  e.load("st", slot, 64);
  e.load("st", slot + 8, 64, 8);
}

function readMmx(e: Emission, register: number): number {
  const slot = pair(e);
  e.helper("simd", slot, SLOT_ZERO, MMX_READ, register & 7);
  return slot;
}

function writeMmx(e: Emission, register: number, slot: number): void {
  e.helper("simd", slot, SLOT_ZERO, MMX_WRITE, register & 7);
}

/** Slot of a vector operand, loaded if it is in memory. */
function vectorSource(e: Emission, index: number, aligned: boolean): number {
  const { insn } = e;
  switch (letterOf(e, index)) {
    case "V":
      return slotOfXmm(insn.reg);
    case "W":
      return insn.memory ? loadMemory(e, memoryBytes(widthOf(e, index)), aligned) : slotOfXmm(insn.rm);
    case "P":
      return readMmx(e, insn.reg);
    case "Q":
      return insn.memory ? loadMemory(e, memoryBytes(widthOf(e, index)), false) : readMmx(e, insn.rm);
    default:
      return e.read(index);
  }
}

/** The helper \`simd\` on XMM registers, as the op that engines carry out in line where there is one. */
function vector(e: Emission, inline: VectorOp | undefined, to: number, from: number, number: number, flags: number): void {
  if (inline === undefined) e.helper("simd", to, from, number, flags);
  else e.emit(inline, Helper.simd, to, from, flags * 0x1_0000_0000 + number);
}

const inlineNames: ReadonlySet<string> = new Set(vectorOps);

/** The op that engines carry out in line, if there is one for the operation. */
export function vectorOpOf(name: string): VectorOp | undefined {
  const op = `v_${name}`;
  return inlineNames.has(op) ? (op as VectorOp) : undefined;
}

/** Any instruction of the form destination = operation(destination, source, immediate). */
function operation(name: SimdMnemonic): Emitter {
  const number = operationNumber(name);
  const gives = resultBytes(name);
  // Only VEX forms have more than eight predicates.
  const immediateBits = /^cmp[ps][sd]$/.test(name) ? 7 : 0xff;
  const explicitLengths = name === "pcmpestri" || name === "pcmpestrm";
  const inline = vectorOpOf(name);
  return (e) => {
    if (!ready(e)) return;
    const { insn } = e;
    const { operands } = insn.row;
    const hasImmediate = operands[operands.length - 1].letter === "I";
    const immediate = hasImmediate ? insn.immediate & immediateBits : 0;
    // A shift by an immediate has one operand only.
    const shifts = hasImmediate && operands.length === 2;
    let source: number;
    if (shifts) {
      source = pair(e);
      e.emit("movi", source, SLOT_ZERO, SLOT_ZERO, immediate);
      e.emit("movi", source + 8);
    } else source = vectorSource(e, 1, !name.startsWith("pcmpestr") && !name.startsWith("pcmpistr"));
    const mmx = letterOf(e, 0) === "P" || letterOf(e, 0) === "Q";
    const onMmx = mmx || letterOf(e, 1) === "Q";
    if (letterOf(e, 0) === "G") {
      const wide = e.is64 && insn.rexW && widthOf(e, 0) === "y";
      const result = e.temp();
      const flags = (wide ? 0x100 : 0) | (onMmx ? 0x200 : 0) | immediate;
      if (onMmx) e.helper("simd", result, source, number, flags);
      else vector(e, inline, result, source, number, flags);
      e.setRegister(insn.reg, wide ? 64 : 32, result);
      return;
    }
    const wide = (letterOf(e, 1) === "E" || explicitLengths) && e.is64 && insn.rexW;
    const flags = (wide ? 0x100 : 0) | (onMmx ? 0x200 : 0) | immediate;
    if (!mmx) {
      const destination = slotOfXmm(letterOf(e, 0) === "V" ? insn.reg : insn.rm);
      if (onMmx) e.helper("simd", destination, source, number, flags);
      else vector(e, inline, destination, source, number, flags);
      return;
    }
    const register = letterOf(e, 0) === "P" ? insn.reg : insn.rm;
    const destination = readMmx(e, register);
    e.helper("simd", destination, source, number, flags);
    if (gives > 0) writeMmx(e, register, destination);
  };
}

/** Two registers of 128 bits and a bitwise op on their halves. */
function bitwise(op: OpName, complement: boolean): Emitter {
  return (e) => {
    if (!ready(e)) return;
    const { insn } = e;
    const source = vectorSource(e, 1, true);
    const mmx = letterOf(e, 0) === "P";
    const destination = mmx ? readMmx(e, insn.reg) : slotOfXmm(insn.reg);
    for (let half = 0; half < (mmx ? 8 : 16); half += 8) {
      if (complement) {
        const inverted = e.temp();
        e.emit("xor", inverted, destination + half, SLOT_ZERO, -1);
        e.emit(op, destination + half, inverted, source + half);
      } else e.emit(op, destination + half, destination + half, source + half);
    }
    if (mmx) writeMmx(e, insn.reg, destination);
  };
}

/** Moves of 128 bits. */
function moveVector(aligned: boolean): Emitter {
  return (e) => {
    if (!sseReady(e)) return;
    const { insn } = e;
    const [to, from] = letterOf(e, 0) === "V" ? [insn.reg, insn.rm] : [insn.rm, insn.reg];
    if (!insn.memory) copy(e, slotOfXmm(to), slotOfXmm(from));
    else if (letterOf(e, 0) === "V") copy(e, slotOfXmm(insn.reg), loadMemory(e, 16, aligned));
    else storeVector(e, slotOfXmm(insn.reg), aligned);
  };
}

function copy(e: Emission, to: number, from: number): void {
  e.emit("mov", to, from);
  e.emit("mov", to + 8, from + 8);
}

/** MOVSS and MOVSD: a load clears the rest of the register, a move between registers keeps it. */
function moveScalar(width: 32 | 64): Emitter {
  return (e) => {
    if (!sseReady(e)) return;
    const { insn } = e;
    const loads = letterOf(e, 0) === "V";
    const reg = slotOfXmm(insn.reg);
    if (insn.memory) {
      e.addressMemory(width / 8, !loads);
      e.load(loads ? "ld" : "st", reg, width);
      if (loads) e.emit("movi", reg + 8);
      return;
    }
    const [to, from] = loads ? [reg, slotOfXmm(insn.rm)] : [slotOfXmm(insn.rm), reg];
    if (width === 64) e.emit("mov", to, from);
    else mergeLow(e, to, from);
  };
}

function mergeLow(e: Emission, to: number, from: number): void {
  const low = e.temp();
  e.emit("zx32", low, from);
  e.emit("shr", to, to, SLOT_ZERO, 32);
  e.emit("shl", to, to, SLOT_ZERO, 32);
  e.emit("or", to, to, low);
}

/** MOVLPS, MOVLPD, MOVHPS, MOVHPD: one half, to or from memory. */
function moveHalf(half: 0 | 8): Emitter {
  return (e) => {
    if (!sseReady(e)) return;
    const loads = letterOf(e, 0) === "V";
    e.addressMemory(8, !loads);
    e.load(loads ? "ld" : "st", slotOfXmm(e.insn.reg) + half, 64);
  };
}

/** MOVHLPS, MOVLHPS. */
function moveBetweenHalves(to: 0 | 8, from: 0 | 8): Emitter {
  return (e) => {
    if (sseReady(e)) e.emit("mov", slotOfXmm(e.insn.reg) + to, slotOfXmm(e.insn.rm) + from);
  };
}

/** MOVD and MOVQ in all their forms. */
function moveWord(e: Emission): void {
  if (!ready(e)) return;
  const { insn } = e;
  const [to, from] = [letterOf(e, 0), letterOf(e, 1)];
  const width = (to === "E" || from === "E") && !(e.is64 && insn.rexW) ? 32 : 64;
  if (to === "V" || to === "P") {
    let value: number;
    if (insn.memory) {
      value = e.temp();
      e.addressMemory(width / 8, false);
      e.load("ld", value, width);
    } else if (from === "E") {
      value = e.temp();
      e.emit(width === 32 ? "zx32" : "mov", value, e.register(insn.rm, width));
    } else value = from === "Q" ? readMmx(e, insn.rm) : slotOfXmm(insn.rm);
    if (to === "P") writeMmx(e, insn.reg, value);
    else {
      e.emit("mov", slotOfXmm(insn.reg), value);
      e.emit("movi", slotOfXmm(insn.reg) + 8);
    }
    return;
  }
  const value = from === "P" ? readMmx(e, insn.reg) : slotOfXmm(insn.reg);
  if (insn.memory) {
    e.addressMemory(width / 8, true);
    e.load("st", value, width);
  } else if (to === "E") e.setRegister(insn.rm, width, value, false);
  else if (to === "Q") writeMmx(e, insn.rm, value);
  else {
    e.emit("mov", slotOfXmm(insn.rm), value);
    e.emit("movi", slotOfXmm(insn.rm) + 8);
  }
}

function moveMmxToXmm(e: Emission): void {
  if (!mmxReady(e, true)) return;
  const value = readMmx(e, e.insn.rm);
  e.emit("mov", slotOfXmm(e.insn.reg), value);
  e.emit("movi", slotOfXmm(e.insn.reg) + 8);
}

function moveXmmToMmx(e: Emission): void {
  if (mmxReady(e, true)) writeMmx(e, e.insn.reg, slotOfXmm(e.insn.rm));
}

/** The non-temporal hint is not taken. */
function storeMmx(e: Emission): void {
  if (!mmxReady(e, false)) return;
  const value = readMmx(e, e.insn.reg);
  e.addressMemory(8, true);
  e.load("st", value, 64);
}

/** PINSRW: the word may come from memory or from a general register. */
function insertWord(e: Emission): void {
  if (!ready(e)) return;
  const { insn } = e;
  const source = pair(e);
  if (insn.memory) {
    e.addressMemory(2, false);
    e.load("ld", source, 16);
  } else e.emit("mov", source, e.register(insn.rm, 32));
  const number = operationNumber("pinsrw");
  if (letterOf(e, 0) === "V") e.helper("simd", slotOfXmm(insn.reg), source, number, insn.immediate & 7);
  else {
    const destination = readMmx(e, insn.reg);
    e.helper("simd", destination, source, number, insn.immediate & 3);
    writeMmx(e, insn.reg, destination);
  }
}

/** PEXTRB, PEXTRD, PEXTRQ, EXTRACTPS, and PEXTRW to memory: element `index` of `width` bits. */
export function extractElement(width: 8 | 16 | 32 | 64, available = ready): Emitter {
  return (e) => {
    if (!available(e)) return;
    const { insn } = e;
    const bit = (insn.immediate * width) & 127;
    const value = e.temp();
    e.emit("shr", value, slotOfXmm(insn.reg) + (bit >> 6) * 8, SLOT_ZERO, bit & 63);
    if (insn.memory) {
      e.addressMemory(width / 8, true);
      e.load("st", value, width);
      return;
    }
    if (width === 8 || width === 16) e.emit(width === 8 ? "zx8" : "zx16", value, value);
    e.setRegister(insn.rm, width === 64 ? 64 : 32, value, width < 32);
  };
}

/** PINSRB, PINSRD, PINSRQ. */
function insertElement(width: 8 | 32 | 64): Emitter {
  return (e) => {
    if (!ready(e)) return;
    const { insn } = e;
    const bit = (insn.immediate * width) & 127;
    const half = slotOfXmm(insn.reg) + (bit >> 6) * 8;
    const value = e.temp();
    if (insn.memory) {
      e.addressMemory(width / 8, false);
      e.load("ld", value, width);
    } else e.emit(width === 8 ? "zx8" : width === 32 ? "zx32" : "mov", value, slotOfGpr(insn.rm));
    const ones = (1n << BigInt(width)) - 1n;
    e.emit("and", half, half, SLOT_ZERO, ~(ones << BigInt(bit & 63)));
    e.emit("shl", value, value, SLOT_ZERO, bit & 63);
    e.emit("or", half, half, value);
  };
}

/** PEXTRW: from an MMX or XMM register to a general one, or in the newer encoding anywhere. */
function extractWord(e: Emission): void {
  if (letterOf(e, 0) === "E") extractWordAnywhere(e);
  else extractWordToRegister(e);
}
const extractWordAnywhere = extractElement(16);
const extractWordToRegister = operation("pextrw");

/** INSERTPS: memory holds the one element. */
function insertSingle(e: Emission): void {
  if (!sseReady(e)) return;
  const { insn } = e;
  const source = vectorSource(e, 1, false);
  e.helper("simd", slotOfXmm(insn.reg), source, operationNumber("insertps"), insn.immediate & (insn.memory ? 0x3f : 0xff));
}

/** MASKMOVQ, MASKMOVDQU: byte by byte to [rDI]. Every byte that is to be written is probed before the first is. */
function maskedMove(e: Emission): void {
  if (ready(e)) storeMasked(e);
}

export function storeMasked(e: Emission): void {
  const { insn } = e;
  const mmx = letterOf(e, 0) === "P";
  const bytes = mmx ? 8 : 16;
  const data = mmx ? readMmx(e, insn.reg) : slotOfXmm(insn.reg);
  const mask = mmx ? readMmx(e, insn.rm) : slotOfXmm(insn.rm);
  const bit = e.temp();
  const value = e.temp();
  e.addressRegister(7, insn.segmentOverride >= 0 ? insn.segmentOverride : 3, bytes, true);
  for (const store of [false, true]) {
    for (let i = 0; i < bytes; i++) {
      const half = i & 8;
      e.emit("and", bit, mask + half, SLOT_ZERO, 1n << BigInt((i & 7) * 8 + 7));
      const skip = e.builder.branch("brz", bit);
      if (store) {
        e.emit("shr", value, data + half, SLOT_ZERO, (i & 7) * 8);
        e.load("st", value, 8, i);
      } else e.load("ldw", value, 8, i);
      e.builder.bind(skip);
    }
  }
}

function emptyMmx(e: Emission): void {
  if (mmxReady(e, false)) e.helper("simd", SLOT_ZERO, SLOT_ZERO, operationNumber("emms"));
}

/** LDMXCSR: #GP(0) for bits that do not exist. */
export function loadControl(e: Emission): void {
  const value = e.temp();
  const excess = e.temp();
  e.addressMemory(4, false);
  e.load("ld", value, 32);
  e.emit("and", excess, value, SLOT_ZERO, ~MXCSR_MASK);
  const valid = e.builder.branch("brz", excess);
  e.helper("raise", SLOT_ZERO, SLOT_ZERO, VECTOR_GP, 0);
  e.builder.bind(valid);
  e.emit("mov", SLOT_MXCSR, value);
}

export function storeControl(e: Emission): void {
  e.addressMemory(4, true);
  e.load("st", SLOT_MXCSR, 32);
}

const special: { readonly [name in SimdMnemonic]?: Emitter } = {
  movaps: moveVector(true),
  movapd: moveVector(true),
  movdqa: moveVector(true),
  movntps: moveVector(true),
  movntpd: moveVector(true),
  movntdq: moveVector(true),
  movntdqa: moveVector(true),
  movups: moveVector(false),
  movupd: moveVector(false),
  movdqu: moveVector(false),
  lddqu: moveVector(false),
  movss: moveScalar(32),
  movsd: moveScalar(64),
  movlps: moveHalf(0),
  movlpd: moveHalf(0),
  movhps: moveHalf(8),
  movhpd: moveHalf(8),
  movhlps: moveBetweenHalves(0, 8),
  movlhps: moveBetweenHalves(8, 0),
  movd: moveWord,
  movq: moveWord,
  movq2dq: moveMmxToXmm,
  movdq2q: moveXmmToMmx,
  movntq: storeMmx,
  pinsrw: insertWord,
  pextrb: extractElement(8),
  pextrd: extractElement(32),
  pextrq: extractElement(64),
  extractps: extractElement(32),
  pextrw: extractWord,
  pinsrb: insertElement(8),
  pinsrd: insertElement(32),
  pinsrq: insertElement(64),
  insertps: insertSingle,
  maskmovq: maskedMove,
  maskmovdqu: maskedMove,
  emms: emptyMmx,
  ldmxcsr: (e) => {
    if (sseReady(e)) loadControl(e);
  },
  stmxcsr: (e) => {
    if (sseReady(e)) storeControl(e);
  },
  pand: bitwise("and", false),
  por: bitwise("or", false),
  pxor: bitwise("xor", false),
  pandn: bitwise("and", true),
  andps: bitwise("and", false),
  andpd: bitwise("and", false),
  orps: bitwise("or", false),
  orpd: bitwise("or", false),
  xorps: bitwise("xor", false),
  xorpd: bitwise("xor", false),
  andnps: bitwise("and", true),
  andnpd: bitwise("and", true),
};

/** Emitter of a mnemonic of simdRows.ts. */
export const simdEmitter = (name: SimdMnemonic): Emitter => special[name] ?? operation(name);
