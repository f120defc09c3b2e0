/**
 * AVX, AVX2, F16C and FMA instructions. Moves, bitwise operations and moves of whole quarters are plain ops; everything else is the helper `simd`, as for SSE. Memory operands
 * are loaded into vector temporaries first. What lies above the result becomes zero.
 */
import { SLOT_MXCSR, SLOT_ZERO, slotOfGpr, slotOfVectorTemp, slotOfXmm, VECTOR_UPPER } from "../../tcg/layout";
import type { OpName } from "../../tcg/ops";
import type { VectorOp } from "../../tcg/vector/names";
import type { VexMnemonic } from "../decode/vexMnemonics";
import { Helper } from "../helperIds";
import { MODE_AVX, MODE_FPU_TS } from "../mode";
import { upperHalfOf } from "../simd/halves";
import { operationNumber, operations } from "../simd/operations";
import { SIMD_FIRST_SHIFT, SIMD_LONG, SIMD_THIRD_SHIFT, SIMD_VEX, SIMD_WIDE } from "../simd/unit";
import { type Emission, VECTOR_GP, VECTOR_NM } from "./emission";
import { gather, moveMasked } from "./avxMemory";
import { extractElement, letterOf, loadControl, storeControl, storeMasked, vectorOpOf, widthOf } from "./sse";

type Emitter = (e: Emission) => void;

/** #UD unless the system has enabled AVX, #NM with CR0.TS. CR0.EM and CR4.OSFXSR have no say (SDM vol. 2, "AVX Exception Conditions"). */
function ready(e: Emission): boolean {
  if ((e.mode & MODE_AVX) === 0) e.undefined();
  else if ((e.mode & MODE_FPU_TS) !== 0) e.raise(VECTOR_NM);
  else return true;
  return false;
}

/** An emitter of an instruction that may be executed. */
const whenReady =
  (emit: Emitter): Emitter =>
  (e) => {
    if (ready(e)) emit(e);
  };

/** Offsets of the quarters of a vector of 64 bits each. */
const quarters = [0, 8, VECTOR_UPPER, VECTOR_UPPER + 8];
const quartersOf = (e: Emission): readonly number[] => (e.insn.vexL ? quarters : quarters.slice(0, 2));

/** Width in bytes of operand `index`. */
function bytesOf(e: Emission, index: number): number {
  const whole = e.insn.vexL ? 32 : 16;
  switch (widthOf(e, index)) {
    case "x":
      return whole;
    case "dq":
      return 16;
    case "h":
      return whole / 2;
    case "f":
      return whole / 4;
    case "e":
      return whole / 8;
    case "q":
      return 8;
    case "d":
      return 4;
    case "w":
      return 2;
    default:
      return 1;
  }
}

/** Prepares a memory operand of `bytes`; `aligned`: #GP(0) unless its address is a multiple of them. */
function address(e: Emission, bytes: number, write: boolean, aligned: boolean): void {
  e.addressMemory(bytes, write, bytes > 8 ? 0 : bytes);
  if (!aligned) return;
  const mark = e.mark();
  const low = e.linearAddress();
  e.emit("and", low, low, SLOT_ZERO, bytes - 1);
  const fits = e.builder.branch("brz", low);
  e.helper("raise", SLOT_ZERO, SLOT_ZERO, VECTOR_GP, 0);
  e.builder.bind(fits);
  e.release(mark);
}

/** Loads the memory operand into the first vector temporary; what lies above its bytes is garbage. */
function loadMemory(e: Emission, bytes: number, aligned: boolean): number {
  const slot = slotOfVectorTemp(0);
  address(e, bytes, false, aligned);
  if (bytes >= 16) for (let i = 0; i < bytes / 8; i++) e.load("ld", slot + quarters[i], 64, i * 8);
  else e.load("ld", slot, bytes === 8 ? 64 : bytes === 4 ? 32 : bytes === 2 ? 16 : 8);
  return slot;
}

/** Stores `bytes` of a vector. Of a misaligned operand both ends are probed first. */
function storeVector(e: Emission, slot: number, bytes: number, aligned: boolean): void {
  address(e, bytes, true, aligned);
  if (bytes > 8 && !aligned) {
    e.load("ldw", e.sink, 64);
    e.load("ldw", e.sink, 64, bytes - 8);
  }
  for (let i = 0; i < bytes / 8; i++) e.load("st", slot + quarters[i], 64, i * 8);
}

/** Slot of a vector operand, loaded if it is in memory. */
function vectorSource(e: Emission, index: number, aligned = false): number {
  const { insn } = e;
  switch (letterOf(e, index)) {
    case "V":
      return slotOfXmm(insn.reg);
    case "H":
      return slotOfXmm(insn.vvvv);
    case "W":
      return insn.memory ? loadMemory(e, bytesOf(e, index), aligned) : slotOfXmm(insn.rm);
    default:
      return e.read(index);
  }
}

function clearUpper(e: Emission, slot: number): void {
  e.emit("movi", slot + VECTOR_UPPER);
  e.emit("movi", slot + VECTOR_UPPER + 8);
}

/** Copies a vector of the instruction's length, and clears what lies above. */
function copy(e: Emission, to: number, from: number): void {
  if (to !== from) for (const quarter of quartersOf(e)) e.emit("mov", to + quarter, from + quarter);
  if (!e.insn.vexL) clearUpper(e, to);
}

/** The operands of the helper `simd` tell whether there is anything of 256 bits. */
const isLong = (e: Emission): boolean => e.insn.vexL && e.insn.row.operands.some(({ width }) => /^[xhfe]$/.test(width));

/** MXCSR: all exceptions masked. */
const ALL_MASKED = 0x1f80;

/**
 * How an operation is carried out by ops that engines have in line, each on 128 bits: the second operand of the upper half lies `source` bytes into the lower one if that is
 * given. Undefined where there is no such op, or where halves are put together otherwise.
 */
interface Inline {
  readonly op: VectorOp;
  readonly number: number;
  readonly source: number | undefined;
  readonly immediateBits: number;
  readonly maskBits: number | undefined;
  /** Its exceptions belong to both halves together. */
  readonly arithmetic: boolean;
}

function inlineOf(name: string): Inline | undefined {
  const op = vectorOpOf(name);
  const { source, immediateBits = 0, gives, maskBits } = upperHalfOf(name);
  // A slot's address is a multiple of eight.
  if (op === undefined || gives !== undefined || (source ?? 0) % 8 !== 0) return undefined;
  const number = operationNumber(name);
  return { op, number, source, immediateBits, maskBits, arithmetic: operations[number].kind === "float" };
}

/** One half in line: `to` = op(first, second), by way of the destination itself where that is not the second operand and no exception can come between. */
function inlineHalf(e: Emission, { op, number, arithmetic }: Inline, flags: number, to: number, first: number, second: number): void {
  const target = to !== first && (to === second || arithmetic) ? slotOfVectorTemp(2) : to;
  if (target !== first) copyHalf(e, target, first);
  e.emit(op, Helper.simd, target, second, flags * 0x1_0000_0000 + number);
  if (target !== to) copyHalf(e, to, target);
}

function copyHalf(e: Emission, to: number, from: number): void {
  e.emit("mov", to, from);
  e.emit("mov", to + 8, from + 8);
}

/**
 * The operation in line on registers: to = op(first, second). On 256 bits, arithmetic is done so only while all its exceptions are masked: `otherwise` emits the helper that takes both
 * halves together.
 */
function emitInline(e: Emission, inline: Inline, flags: number, to: number, first: number, second: number, otherwise: () => void): void {
  if (!isLong(e)) {
    inlineHalf(e, inline, flags, to, first, second);
    clearUpper(e, to);
    return;
  }
  const mark = e.mark();
  let unmasked: ReturnType<Emission["builder"]["branch"]> | undefined;
  if (inline.arithmetic) {
    const masks = e.temp();
    e.emit("and", masks, SLOT_MXCSR, SLOT_ZERO, ALL_MASKED);
    e.emit("eq", masks, masks, SLOT_ZERO, ALL_MASKED);
    unmasked = e.builder.branch("brz", masks);
  }
  const { source } = inline;
  const upperFlags = (flags & ~0xff) | ((flags & 0xff) >> inline.immediateBits);
  // The lower half may be where the upper one has its source.
  const shared = source !== undefined && to === second;
  const from = shared ? slotOfVectorTemp(3) : second;
  if (shared) copyHalf(e, from, second);
  inlineHalf(e, inline, flags, to, first, from);
  inlineHalf(e, inline, upperFlags, to + VECTOR_UPPER, first + VECTOR_UPPER, source === undefined ? from + VECTOR_UPPER : from + source);
  if (unmasked !== undefined) {
    const done = e.builder.branch("br");
    e.builder.bind(unmasked);
    otherwise();
    e.builder.bind(done);
  }
  e.release(mark);
}

/** A mask of signs in line into a general register. */
function emitInlineMask(e: Emission, inline: Inline, to: number, second: number): void {
  const word = (slot: number, from: number): void => {
    e.emit(inline.op, Helper.simd, slot, from, inline.number);
  };
  word(to, second);
  if (!isLong(e)) return;
  const upper = e.temp();
  word(upper, second + VECTOR_UPPER);
  e.emit("shl", upper, upper, SLOT_ZERO, inline.maskBits ?? 0);
  e.emit("or", to, to, upper);
}

/** Any instruction that is an operation of the vector unit, in the operands that the table gives. */
function operation(name: string): Emitter {
  const number = operationNumber(name);
  const inlined = inlineOf(name);
  const compares = /^cmp[ps][sd]$/.test(name);
  const explicitLengths = name.startsWith("pcmpestr");
  return whenReady((e) => {
    const { insn } = e;
    const { operands } = insn.row;
    const last = operands[operands.length - 1].letter;
    const [destination, second] = [letterOf(e, 0), letterOf(e, 1)];
    const wide = e.is64 && insn.rexW && (explicitLengths || operands.some(({ width }) => width === "y"));
    let immediate = last === "I" ? insn.immediate & 0xff : 0;
    // One element in memory, of which there is no choosing.
    if (name === "insertps" && insn.memory) immediate &= 0x3f;
    // Of the comparisons the eight that SSE has are in line.
    const inline = compares && immediate > 7 ? undefined : inlined;
    const call = (to: number, source: number, first: number): void => {
      if (inline === undefined || inline.maskBits !== undefined || destination === "G") callHelper(to, source, first);
      else if (operations[number].gives === 0) e.emit(inline.op, Helper.simd, slotOfXmm(first), source, number);
      else {
        emitInline(e, inline, immediate | (wide ? SIMD_WIDE : 0), to, slotOfXmm(first), source, () => {
          callHelper(to, source, first);
        });
      }
    };
    const callHelper = (to: number, source: number, first: number): void => {
      const third = last === "L" ? insn.immediateRegister : insn.reg;
      const flags = immediate | (wide ? SIMD_WIDE : 0) | SIMD_VEX | (isLong(e) ? SIMD_LONG : 0);
      e.helper("simd", to, source, number, flags | (first << SIMD_FIRST_SHIFT) | (third << SIMD_THIRD_SHIFT));
    };
    switch (destination) {
      case "H": {
        // Shifts by an immediate.
        const count = slotOfVectorTemp(0);
        e.emit("movi", count, SLOT_ZERO, SLOT_ZERO, immediate);
        e.emit("movi", count + 8);
        call(slotOfXmm(insn.vvvv), count, insn.rm);
        return;
      }
      case "G": {
        const result = e.temp();
        const source = vectorSource(e, 1);
        if (inline === undefined) callHelper(result, source, insn.reg);
        else if (inline.maskBits !== undefined) emitInlineMask(e, inline, result, source);
        else e.emit(inline.op, Helper.simd, result, source, (wide ? SIMD_WIDE : 0) * 0x1_0000_0000 + number);
        e.setRegister(insn.reg, wide ? 64 : 32, result);
        return;
      }
      case "W": {
        const to = insn.memory ? slotOfVectorTemp(0) : slotOfXmm(insn.rm);
        const bytes = bytesOf(e, 0);
        if (insn.memory) {
          // The right to write comes before exceptions of the arithmetic.
          address(e, bytes, true, false);
          e.load("ldw", e.sink, 64);
          if (bytes > 8) e.load("ldw", e.sink, 64, bytes - 8);
        }
        call(to, slotOfXmm(insn.reg), insn.reg);
        if (insn.memory) for (let i = 0; i < bytes / 8; i++) e.load("st", to + quarters[i], 64, i * 8);
        return;
      }
      default: {
        const source = vectorSource(e, second === "H" ? 2 : 1);
        call(slotOfXmm(insn.reg), source, second === "H" ? insn.vvvv : insn.reg);
      }
    }
  });
}

/** The form with an immediate, or that with a vector of choices. */
function permuteInLanes(immediate: string, variable: string): Emitter {
  const [first, second] = [operation(immediate), operation(variable)];
  return (e) => {
    (letterOf(e, 2) === "I" ? first : second)(e);
  };
}

function bitwise(op: OpName, complement: boolean): Emitter {
  return whenReady((e) => {
    const { insn } = e;
    const source = vectorSource(e, 2);
    const first = slotOfXmm(insn.vvvv);
    const destination = slotOfXmm(insn.reg);
    for (const quarter of quartersOf(e)) {
      let a = first + quarter;
      if (complement) {
        a = slotOfVectorTemp(1);
        e.emit("xor", a, first + quarter, SLOT_ZERO, -1);
      }
      e.emit(op, destination + quarter, a, source + quarter);
    }
    if (!insn.vexL) clearUpper(e, destination);
  });
}

// Moves.

function moveVector(aligned: boolean): Emitter {
  return whenReady((e) => {
    const { insn } = e;
    const loads = letterOf(e, 0) === "V";
    if (loads) copy(e, slotOfXmm(insn.reg), vectorSource(e, 1, aligned));
    else if (insn.memory) storeVector(e, slotOfXmm(insn.reg), bytesOf(e, 0), aligned);
    else copy(e, slotOfXmm(insn.rm), slotOfXmm(insn.reg));
  });
}

/** VMOVSS, VMOVSD: a load clears the rest of the register; between registers the rest comes from VEX.vvvv. */
function moveScalar(width: 32 | 64): Emitter {
  return whenReady((e) => {
    const { insn } = e;
    const loads = letterOf(e, 0) === "V";
    const reg = slotOfXmm(insn.reg);
    if (insn.memory) {
      e.addressMemory(width / 8, !loads);
      e.load(loads ? "ld" : "st", reg, width);
      if (!loads) return;
      e.emit("movi", reg + 8);
      clearUpper(e, reg);
      return;
    }
    const [to, from] = loads ? [reg, slotOfXmm(insn.rm)] : [slotOfXmm(insn.rm), reg];
    const rest = slotOfXmm(insn.vvvv);
    if (width === 64) e.emit("mov", to, from);
    else {
      const low = e.temp();
      const high = e.temp();
      e.emit("zx32", low, from);
      e.emit("shr", high, rest, SLOT_ZERO, 32);
      e.emit("shl", high, high, SLOT_ZERO, 32);
      e.emit("or", to, high, low);
    }
    e.emit("mov", to + 8, rest + 8);
    clearUpper(e, to);
  });
}

/** VMOVLPS, VMOVLPD, VMOVHPS, VMOVHPD: one half of 128 bits, to or from memory; the other one comes from VEX.vvvv. */
function moveHalf(half: 0 | 8): Emitter {
  return whenReady((e) => {
    const { insn } = e;
    const loads = letterOf(e, 0) === "V";
    const reg = slotOfXmm(insn.reg);
    e.addressMemory(8, !loads);
    e.load(loads ? "ld" : "st", reg + half, 64);
    if (!loads) return;
    e.emit("mov", reg + 8 - half, slotOfXmm(insn.vvvv) + 8 - half);
    clearUpper(e, reg);
  });
}

/** VMOVHLPS, VMOVLHPS. */
function moveBetweenHalves(to: 0 | 8, from: 0 | 8): Emitter {
  return whenReady((e) => {
    const { insn } = e;
    const reg = slotOfXmm(insn.reg);
    e.emit("mov", reg + to, slotOfXmm(insn.rm) + from);
    e.emit("mov", reg + 8 - to, slotOfXmm(insn.vvvv) + 8 - to);
    clearUpper(e, reg);
  });
}

/** VMOVD and VMOVQ in all their forms. */
function moveWord(e: Emission): void {
  const { insn } = e;
  const [to, from] = [letterOf(e, 0), letterOf(e, 1)];
  const width = (to === "E" || from === "E") && !(e.is64 && insn.rexW) ? 32 : 64;
  const reg = slotOfXmm(insn.reg);
  if (to === "V") {
    if (insn.memory) {
      e.addressMemory(width / 8, false);
      e.load("ld", reg, width);
    } else e.emit(width === 32 ? "zx32" : "mov", reg, from === "E" ? slotOfGpr(insn.rm) : slotOfXmm(insn.rm));
    e.emit("movi", reg + 8);
    clearUpper(e, reg);
  } else if (insn.memory) {
    e.addressMemory(width / 8, true);
    e.load("st", reg, width);
  } else if (to === "E") e.setRegister(insn.rm, width, reg, false);
  else {
    const rm = slotOfXmm(insn.rm);
    e.emit("mov", rm, reg);
    e.emit("movi", rm + 8);
    clearUpper(e, rm);
  }
}

/** VPINSRB, VPINSRW, VPINSRD, VPINSRQ. */
function insertElement(width: 8 | 16 | 32 | 64): Emitter {
  return whenReady((e) => {
    const { insn } = e;
    const bit = (insn.immediate * width) & 127;
    const half = (bit >> 6) * 8;
    const value = e.temp();
    const rest = e.temp();
    if (insn.memory) {
      e.addressMemory(width / 8, false);
      e.load("ld", value, width);
    } else e.emit(width === 8 ? "zx8" : width === 16 ? "zx16" : width === 32 ? "zx32" : "mov", value, slotOfGpr(insn.rm));
    const ones = (1n << BigInt(width)) - 1n;
    const first = slotOfXmm(insn.vvvv);
    const reg = slotOfXmm(insn.reg);
    e.emit("and", rest, first + half, SLOT_ZERO, ~(ones << BigInt(bit & 63)));
    e.emit("shl", value, value, SLOT_ZERO, bit & 63);
    e.emit("or", reg + half, rest, value);
    e.emit("mov", reg + 8 - half, first + 8 - half);
    clearUpper(e, reg);
  });
}

// Quarters and halves of 256 bits.

/** Writes quarters that are sources themselves: all are read first. */
function setQuarters(e: Emission, to: number, from: readonly number[]): void {
  const temps = from.map((slot) => {
    const temp = e.temp();
    e.emit("mov", temp, slot);
    return temp;
  });
  temps.forEach((temp, i) => {
    e.emit("mov", to + quarters[i], temp);
  });
  if (from.length === 2) clearUpper(e, to);
}

/** VBROADCASTSD, VPBROADCASTQ, VBROADCASTF128, VBROADCASTI128. */
function broadcast(bytes: 8 | 16): Emitter {
  return whenReady((e) => {
    const source = vectorSource(e, 1);
    setQuarters(
      e,
      slotOfXmm(e.insn.reg),
      quartersOf(e).map((_, i) => source + (bytes === 8 ? 0 : (i & 1) * 8)),
    );
  });
}

/** VPERMQ, VPERMPD. */
function permuteQuarters(e: Emission): void {
  const source = vectorSource(e, 1);
  setQuarters(
    e,
    slotOfXmm(e.insn.reg),
    quarters.map((_, i) => source + quarters[(e.insn.immediate >> (2 * i)) & 3]),
  );
}

/** VPERM2F128, VPERM2I128: each half is one of the sources' four, or zero. */
function permuteHalves(e: Emission): void {
  const { insn } = e;
  const second = vectorSource(e, 2);
  const first = slotOfXmm(insn.vvvv);
  const halves = [first, first + VECTOR_UPPER, second, second + VECTOR_UPPER];
  const from = [0, 4].flatMap((shift) => {
    const choice = insn.immediate >> shift;
    return (choice & 8) !== 0 ? [SLOT_ZERO, SLOT_ZERO] : [halves[choice & 3], halves[choice & 3] + 8];
  });
  setQuarters(e, slotOfXmm(insn.reg), from);
}

/** VINSERTF128, VINSERTI128. */
function insertHalf(e: Emission): void {
  const { insn } = e;
  const source = vectorSource(e, 2);
  const first = slotOfXmm(insn.vvvv);
  const upper = (insn.immediate & 1) !== 0;
  const [low, high] = upper ? [first, source] : [source, first + VECTOR_UPPER];
  setQuarters(e, slotOfXmm(insn.reg), [low, low + 8, high, high + 8]);
}

/** VEXTRACTF128, VEXTRACTI128. */
function extractHalf(e: Emission): void {
  const { insn } = e;
  const half = slotOfXmm(insn.reg) + ((insn.immediate & 1) !== 0 ? VECTOR_UPPER : 0);
  if (insn.memory) storeVector(e, half, 16, false);
  else setQuarters(e, slotOfXmm(insn.rm), [half, half + 8]);
}

/** VZEROUPPER, VZEROALL: eight registers outside 64-bit mode. */
function zero(all: boolean): Emitter {
  return whenReady((e) => {
    for (let i = 0; i < (e.is64 ? 16 : 8); i++) {
      const slot = slotOfXmm(i);
      clearUpper(e, slot);
      if (!all) continue;
      e.emit("movi", slot);
      e.emit("movi", slot + 8);
    }
  });
}

const insertSingle = operation("insertps");

const special: { readonly [name in VexMnemonic]?: Emitter } = {
  vmovaps: moveVector(true),
  vmovapd: moveVector(true),
  vmovdqa: moveVector(true),
  vmovntps: moveVector(true),
  vmovntpd: moveVector(true),
  vmovntdq: moveVector(true),
  vmovntdqa: moveVector(true),
  vmovups: moveVector(false),
  vmovupd: moveVector(false),
  vmovdqu: moveVector(false),
  vlddqu: moveVector(false),
  vmovss: moveScalar(32),
  vmovsd: moveScalar(64),
  vmovlps: moveHalf(0),
  vmovlpd: moveHalf(0),
  vmovhps: moveHalf(8),
  vmovhpd: moveHalf(8),
  vmovhlps: moveBetweenHalves(0, 8),
  vmovlhps: moveBetweenHalves(8, 0),
  vmovd: whenReady(moveWord),
  vmovq: whenReady(moveWord),
  vpinsrb: insertElement(8),
  vpinsrw: insertElement(16),
  vpinsrd: insertElement(32),
  vpinsrq: insertElement(64),
  vinsertps: insertSingle,
  vpextrb: extractElement(8, ready),
  vpextrd: extractElement(32, ready),
  vpextrq: extractElement(64, ready),
  vextractps: extractElement(32, ready),
  vmaskmovdqu: whenReady(storeMasked),
  vldmxcsr: whenReady(loadControl),
  vstmxcsr: whenReady(storeControl),
  vpand: bitwise("and", false),
  vpor: bitwise("or", false),
  vpxor: bitwise("xor", false),
  vpandn: bitwise("and", true),
  vandps: bitwise("and", false),
  vandpd: bitwise("and", false),
  vorps: bitwise("or", false),
  vorpd: bitwise("or", false),
  vxorps: bitwise("xor", false),
  vxorpd: bitwise("xor", false),
  vandnps: bitwise("and", true),
  vandnpd: bitwise("and", true),
  vbroadcastss: operation("broadcastd"),
  vpbroadcastb: operation("broadcastb"),
  vpbroadcastw: operation("broadcastw"),
  vpbroadcastd: operation("broadcastd"),
  vbroadcastsd: broadcast(8),
  vpbroadcastq: broadcast(8),
  vbroadcastf128: broadcast(16),
  vbroadcasti128: broadcast(16),
  vpblendd: operation("blendps"),
  vpermd: operation("permd"),
  vpermps: operation("permd"),
  vpermilps: permuteInLanes("pshufd", "permilpsVariable"),
  vpermilpd: permuteInLanes("permilpd", "permilpdVariable"),
  vpermq: whenReady(permuteQuarters),
  vpermpd: whenReady(permuteQuarters),
  vperm2f128: whenReady(permuteHalves),
  vperm2i128: whenReady(permuteHalves),
  vinsertf128: whenReady(insertHalf),
  vinserti128: whenReady(insertHalf),
  vextractf128: whenReady(extractHalf),
  vextracti128: whenReady(extractHalf),
  vmaskmovps: whenReady(moveMasked(32)),
  vmaskmovpd: whenReady(moveMasked(64)),
  vpmaskmovd: whenReady(moveMasked(32)),
  vpmaskmovq: whenReady(moveMasked(64)),
  vpgatherdd: whenReady(gather(32, 32)),
  vpgatherdq: whenReady(gather(32, 64)),
  vpgatherqd: whenReady(gather(64, 32)),
  vpgatherqq: whenReady(gather(64, 64)),
  vgatherdps: whenReady(gather(32, 32)),
  vgatherdpd: whenReady(gather(32, 64)),
  vgatherqps: whenReady(gather(64, 32)),
  vgatherqpd: whenReady(gather(64, 64)),
  vzeroupper: zero(false),
  vzeroall: zero(true),
};

const extractWordAnywhere = extractElement(16, ready);
const extractWord = operation("pextrw");

/** Emitter of a mnemonic of vexRows.ts. */
export function vexEmitter(name: VexMnemonic): Emitter {
  if (name === "vpextrw") {
    return (e) => {
      (letterOf(e, 0) === "E" ? extractWordAnywhere : extractWord)(e);
    };
  }
  return special[name] ?? operation(name.slice(1));
}
