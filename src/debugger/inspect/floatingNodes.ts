/** The x87 unit and the control registers of vector state as variables. */
import type { Float80 } from "../../cpu/fpu/format";
import { UserError } from "../../machine/errors";
import { hex, inRange } from "../numbers";
import type { DebugCpu } from "../target";
import { bitFields } from "./bitFields";
import type { VariableNode } from "./node";

/** MXCSR (SDM vol. 1, "MXCSR Control and Status Register"): name, first bit, width. */
const mxcsrFields: readonly (readonly [name: string, bit: number, width: number])[] = [
  ["IE", 0, 1],
  ["DE", 1, 1],
  ["ZE", 2, 1],
  ["OE", 3, 1],
  ["UE", 4, 1],
  ["PE", 5, 1],
  ["DAZ", 6, 1],
  ["IM", 7, 1],
  ["DM", 8, 1],
  ["ZM", 9, 1],
  ["OM", 10, 1],
  ["UM", 11, 1],
  ["PM", 12, 1],
  ["RC", 13, 2],
  ["FZ", 15, 1],
];
const xcr0Fields: readonly (readonly [name: string, bit: number, width: number])[] = [
  ["x87", 0, 1],
  ["SSE", 1, 1],
  ["AVX", 2, 1],
  ["PKRU", 9, 1],
];

const setNames = (fields: typeof mxcsrFields, value: number): string =>
  fields
    .filter(([, bit, width]) => ((value >> bit) & ((1 << width) - 1)) !== 0)
    .map(([name, bit, width]) => (width === 1 ? name : `${name}=${(value >> bit) & ((1 << width) - 1)}`))
    .join(" ");

export function mxcsrNode(cpu: DebugCpu): VariableNode {
  const value = cpu.state.mxcsr;
  const write = (changed: bigint): void => {
    cpu.state.mxcsr = Number(inRange("mxcsr", changed, 0n, 0xffffn));
    cpu.changed();
  };
  return {
    name: "mxcsr",
    value: `${hex(value, 8)} [${setNames(mxcsrFields, value)}]`,
    type: "u32",
    set: (input) => {
      write(input.number());
    },
    children: () => bitFields(mxcsrFields, BigInt(value), write),
  };
}

/** XCR0: what it enables goes with how code is translated, so that it is the guest's to set. */
export function xcr0Node(cpu: DebugCpu): VariableNode {
  const value = cpu.state.xcr0;
  return {
    name: "xcr0",
    value: `${hex(value, 8)} [${setNames(xcr0Fields, value)}]`,
    type: "u64",
    children: () => bitFields(xcr0Fields, BigInt(value), undefined),
  };
}

/** An 80-bit number in decimal, as near as a double comes. */
function decimal({ se, m }: Float80): string {
  const exponent = se & 0x7fff;
  const sign = (se & 0x8000) !== 0 ? -1 : 1;
  if (exponent === 0x7fff) {
    if ((m & 0x7fff_ffff_ffff_ffffn) === 0n) return sign < 0 ? "-inf" : "inf";
    return "nan";
  }
  if (m === 0n) return sign < 0 ? "-0" : "0";
  const value = sign * Number(m) * 2 ** -63;
  const scale = exponent - 16383;
  if (Math.abs(scale) > 1000) return `${value} * 2^${scale}`;
  return String(value * 2 ** scale);
}

/** One node for the unit: stack registers from the top, then its words and pointers as gdb names them. */
export function x87Node(cpu: DebugCpu): VariableNode {
  const { fpu } = cpu.state;
  const word = (name: string, value: number, write: (value: number) => void, most = 0xffffn): VariableNode => ({
    name,
    value: hex(value, 4),
    type: "u16",
    set: (input) => {
      write(Number(inRange(name, input.number(), 0n, most)));
      cpu.changed();
    },
  });
  const registers = (): VariableNode[] =>
    Array.from({ length: 8 }, (_, i) => {
      const value = fpu.st(i);
      const raw = `0x${value.se.toString(16).padStart(4, "0")}${value.m.toString(16).padStart(16, "0")}`;
      return {
        name: `st${i}`,
        value: `${decimal(value)} (${raw})${fpu.isEmpty(i) ? " empty" : ""}`,
        type: "f80",
        set: (input) => {
          const text = input.text.trim();
          if (!/^0x[0-9a-f]{1,20}$/i.test(text)) throw new UserError(`st${i} is set by its 80 bits, such as 0x3fff8000000000000000 for 1.`);
          const bits = BigInt(text);
          fpu.setSt(i, { se: Number(bits >> 64n), m: BigInt.asUintN(64, bits) });
          cpu.changed();
        },
      };
    });
  const occupied = Array.from({ length: 8 }, (_, i) => i).filter((i) => !fpu.isEmpty(i)).length;
  return {
    name: "x87",
    value: `${occupied === 0 ? "empty" : `${occupied} in use, st0 = ${decimal(fpu.st(0))}`}, fctrl ${hex(fpu.control, 4)}, fstat ${hex(fpu.status, 4)}`,
    children: () => [
      ...registers(),
      word("fctrl", fpu.control, (value) => {
        fpu.control = value;
      }),
      word("fstat", fpu.status, (value) => {
        fpu.status = value;
      }),
      word("ftag", fpu.tags, (value) => {
        fpu.tags = value;
      }),
      word(
        "fop",
        fpu.opcode,
        (value) => {
          fpu.opcode = value;
        },
        0x7ffn,
      ),
      { name: "fip", value: `${hex(fpu.instructionSelector, 4)}:${hex(fpu.instructionOffset, 8)}` },
      { name: "fdp", value: `${hex(fpu.operandSelector, 4)}:${hex(fpu.operandOffset, 8)}` },
    ],
  };
}
