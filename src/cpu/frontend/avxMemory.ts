/** AVX instructions that access chosen elements of memory: masked moves and gathers. */
import { SLOT_ZERO, slotOfVectorTemp, slotOfXmm, VECTOR_UPPER } from "../../tcg/layout";
import { type Emission } from "./emission";
import { letterOf } from "./sse";

type Emitter = (e: Emission) => void;
type Element = 32 | 64;

/** Slot of the 64 bits that element `index` of `bits` lies in, and its bit there. */
function place(vector: number, index: number, bits: Element): readonly [slot: number, bit: number] {
  const byte = (index * bits) / 8;
  return [vector + (byte & 8) + (byte & 16 ? VECTOR_UPPER : 0), (byte & 7) * 8];
}

/** A branch that is taken unless the element's sign is set. */
function unlessSign(e: Emission, vector: number, index: number, bits: Element): ReturnType<Emission["builder"]["branch"]> {
  const mark = e.mark();
  const [slot, bit] = place(vector, index, bits);
  const sign = e.temp();
  e.emit("and", sign, slot, SLOT_ZERO, 1n << BigInt(bit + bits - 1));
  const label = e.builder.branch("brz", sign);
  e.release(mark);
  return label;
}

/** Clears an element. */
function clear(e: Emission, vector: number, index: number, bits: Element): void {
  const [slot, bit] = place(vector, index, bits);
  if (bits === 64) e.emit("movi", slot);
  else e.emit("and", slot, slot, SLOT_ZERO, ~(0xffff_ffffn << BigInt(bit)));
}

/** Writes an element from a slot whose upper bits are zero. */
function deposit(e: Emission, vector: number, index: number, bits: Element, value: number): void {
  const [slot, bit] = place(vector, index, bits);
  if (bits === 64) {
    e.emit("mov", slot, value);
    return;
  }
  clear(e, vector, index, bits);
  if (bit > 0) e.emit("shl", value, value, SLOT_ZERO, bit);
  e.emit("or", slot, slot, value);
}

/** Prepares the memory of element `index`: once for all, unless a segment's limit is to be checked for each. Returns the displacement from there. */
function addressElement(e: Emission, index: number, bytes: number, write: boolean): number {
  if (!e.checksSegment(write)) return index * bytes;
  e.addressMemoryAt(e.constant(index * bytes), bytes, write);
  return 0;
}

/**
 * VMASKMOVPS and its kin: memory that the mask (VEX.vvvv) leaves out is not accessed, elements of a register that it leaves out become zero. All accesses of a store are probed
 * before the first element is written. Never misaligned for the alignment check.
 */
export function moveMasked(bits: Element): Emitter {
  return (e) => {
    const { insn } = e;
    const loads = letterOf(e, 0) === "V";
    const bytes = bits / 8;
    const length = insn.vexL ? 32 : 16;
    const count = length / bytes;
    const mask = slotOfXmm(insn.vvvv);
    const reg = slotOfXmm(insn.reg);
    if (!e.checksSegment(!loads)) e.addressMemory(length, !loads, 0);
    const each = (access: (displacement: number, index: number) => void): void => {
      for (let i = 0; i < count; i++) {
        const mark = e.mark();
        const skip = unlessSign(e, mask, i, bits);
        access(addressElement(e, i, bytes, !loads), i);
        e.builder.bind(skip);
        e.release(mark);
      }
    };
    if (!loads) {
      each((displacement) => {
        e.load("ldw", e.sink, bits, displacement);
      });
      each((displacement, i) => {
        const [slot, bit] = place(reg, i, bits);
        let value = slot;
        if (bit > 0) {
          value = e.temp();
          e.emit("shr", value, slot, SLOT_ZERO, bit);
        }
        e.load("st", value, bits, displacement);
      });
      return;
    }
    const result = slotOfVectorTemp(0);
    const slots = [0, 8, VECTOR_UPPER, VECTOR_UPPER + 8];
    for (const slot of slots) e.emit("movi", result + slot);
    each((displacement, i) => {
      const value = e.temp();
      e.load("ld", value, bits, displacement);
      deposit(e, result, i, bits, value);
    });
    for (const slot of slots) e.emit("mov", reg + slot, result + slot);
  };
}

/**
 * Gathers (SDM vol. 2, "VGATHERDPS/VGATHERQPS" and the like): elements are loaded from the lowest up, and each one passed clears its element of the mask. A fault leaves what
 * has been done: the instruction goes on with the rest when it is executed again. What lies above the result and the mask becomes zero at the end.
 */
export function gather(indexBits: Element, bits: Element): Emitter {
  return (e) => {
    const { insn } = e;
    const length = insn.vexL ? 32 : 16;
    const count = (length / Math.max(indexBits, bits)) * 8;
    const reg = slotOfXmm(insn.reg);
    const mask = slotOfXmm(insn.vvvv);
    const indexes = slotOfXmm(insn.index);
    for (let i = 0; i < count; i++) {
      const mark = e.mark();
      const skip = unlessSign(e, mask, i, bits);
      let [index] = place(indexes, i, indexBits);
      const [, bit] = place(indexes, i, indexBits);
      if (indexBits === 32) {
        const extended = e.temp();
        if (bit > 0) e.emit("sar", extended, index, SLOT_ZERO, 32);
        else e.emit("sx32", extended, index);
        index = extended;
      }
      e.addressIndexed(index, bits / 8);
      const value = e.temp();
      e.load("ld", value, bits);
      deposit(e, reg, i, bits, value);
      e.builder.bind(skip);
      clear(e, mask, i, bits);
      e.release(mark);
    }
    for (let byte = 0; byte < 32; byte += 8) {
      const [quarter] = place(0, byte / 8, 64);
      e.emit("movi", mask + quarter);
      if (byte >= (count * bits) / 8) e.emit("movi", reg + quarter);
    }
  };
}
