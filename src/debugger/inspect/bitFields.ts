import { hex, inRange } from "../numbers";
import type { VariableNode } from "./node";

/** The field of `width` bits at `bit` replaced in `value`. */
export function withField(value: bigint, bit: number, width: number, field: bigint, name: string): bigint {
  const mask = (1n << BigInt(width)) - 1n;
  return (value & ~(mask << BigInt(bit))) | (inRange(name, field, 0n, mask) << BigInt(bit));
}

/** Children that show and set bit fields of a register. */
export function bitFields(
  fields: readonly (readonly [name: string, bit: number, width: number])[],
  value: bigint,
  write: ((value: bigint) => void) | undefined,
): VariableNode[] {
  return fields.map(([name, bit, width]) => ({
    name,
    value: hexOrBit((value >> BigInt(bit)) & ((1n << BigInt(width)) - 1n), width),
    set: write === undefined ? undefined : (input) => write(withField(value, bit, width, input.number(), name)),
  }));
}

function hexOrBit(value: bigint, width: number): string {
  return width === 1 ? String(value) : hex(value);
}
