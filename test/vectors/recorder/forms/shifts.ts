/** Shifts and rotates, SHLD and SHRD, with every count. */
import { Flag, type Mode, type Random } from "../../expand.js";
import type { CaseEditor, FormSpec } from "../cases.js";
import type { Width } from "../gen.js";
import { allWidths, MODES, rmForms, wideWidths } from "./common.js";

const GROUP = "shifts";
const NAMES = ["ROL", "ROR", "RCL", "RCR", "SHL", "SHR", "SAL", "SAR"] as const;
const FIRST_SHIFT = 4;

/** Flags that the SDM (volume 2, SAL/SAR/SHL/SHR and RCL/RCR/ROL/ROR) leaves undefined for a count. */
function undefinedAfter(operation: number, width: Width, count: number): number {
  const masked = count & (width === 64 ? 63 : 31);
  if (masked === 0) return 0;
  const overflow = masked === 1 ? 0 : Flag.OF;
  if (operation < FIRST_SHIFT) return overflow;
  // CF is undefined once SHL or SHR move everything out; SAR keeps giving the sign.
  const carry = masked >= width && NAMES[operation] !== "SAR" ? Flag.CF : 0;
  return overflow | carry | Flag.AF;
}

function doubleUndefinedAfter(width: Width, count: number): number {
  const masked = count & (width === 64 ? 63 : 31);
  if (masked === 0) return 0;
  return masked === 1 ? Flag.AF : Flag.AF | Flag.OF;
}

/** A shift count: all of 0..255, those below 64 more often. */
function anyCount(random: Random): number {
  return random.chance(1, 3) ? random.below(256) : random.below(66);
}

/** A count that SHLD and SHRD define: not above the operand's width after masking. */
function doubleCount(random: Random, width: Width): number {
  const count = anyCount(random);
  return width === 16 && (count & 31) > 16 ? count & ~15 & 0xf0 : count;
}

function setCount(item: CaseEditor, count: number): void {
  item.setLow(1, 8, BigInt(count));
}

function single(mode: Mode): FormSpec[] {
  return NAMES.flatMap((name, operation) =>
    allWidths(mode).flatMap((width) => {
      const share = name === "SAL" ? 0.5 : 1;
      const common = { group: GROUP, mode, name: name === "SAL" ? "SAL(/6)" : name, width, ext: operation, share };
      const rm = `r/m${width}`;
      const low = width === 8 ? 0 : 1;
      return [
        ...rmForms({ ...common, operands: `${rm}, 1`, opcode: [0xd0 + low], undefinedFlags: undefinedAfter(operation, width, 1) }),
        ...rmForms({
          ...common,
          operands: `${rm}, imm8`,
          opcode: [0xc0 + low],
          imm: (gen) => [anyCount(gen.random)],
          groupSize: 2,
          vary(item, { imm }) {
            item.undefinedFlags = undefinedAfter(operation, width, imm[0]);
          },
        }),
        ...rmForms({
          ...common,
          operands: `${rm}, CL`,
          opcode: [0xd2 + low],
          mem: { avoid: [1] },
          vary(item) {
            const count = anyCount(item.random);
            setCount(item, count);
            item.undefinedFlags = undefinedAfter(operation, width, count);
          },
        }),
      ];
    }),
  );
}

function double(mode: Mode): FormSpec[] {
  return ([["SHLD", 0xa4], ["SHRD", 0xac]] as const).flatMap(([name, opcode]) =>
    wideWidths(mode).flatMap((width) => {
      const common = { group: GROUP, mode, name, width, regWidth: width };
      const operands = `r/m${width}, r${width}`;
      return [
        ...rmForms({
          ...common,
          operands: `${operands}, imm8`,
          opcode: [0x0f, opcode],
          imm: (gen) => [doubleCount(gen.random, width)],
          groupSize: 2,
          vary(item, { imm }) {
            item.undefinedFlags = doubleUndefinedAfter(width, imm[0]);
          },
        }),
        ...rmForms({
          ...common,
          operands: `${operands}, CL`,
          opcode: [0x0f, opcode + 1],
          mem: { avoid: [1] },
          vary(item) {
            const count = doubleCount(item.random, width);
            setCount(item, count);
            item.undefinedFlags = doubleUndefinedAfter(width, count);
          },
        }),
      ];
    }),
  );
}

export const shiftForms: readonly FormSpec[] = MODES.flatMap((mode) => [...single(mode), ...double(mode)]);
