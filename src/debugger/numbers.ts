import { UserError } from "../machine/errors";

/** `0x` and hexadecimal digits, padded to `digits`. */
export function hex(value: bigint | number, digits = 1): string {
  return `0x${value.toString(16).padStart(digits, "0")}`;
}

/** An address as 16 digits. */
export function hex64(value: bigint): string {
  return hex(BigInt.asUintN(64, value), 16);
}

/** A number as a sentence has it: `300 (0x12c)`, small ones in decimal and large ones in hexadecimal only. */
export function numberText(value: bigint): string {
  const magnitude = value < 0n ? -value : value;
  if (magnitude < 10n) return String(value);
  const digits = `${value < 0n ? "-" : ""}${hex(magnitude)}`;
  return magnitude < 1n << 32n ? `${value} (${digits})` : digits;
}

/** `value`, which is to be put into `name`. Throws a {@link UserError} with the range if it lies outside. */
export function inRange(name: string, value: bigint, least: bigint, most: bigint): bigint {
  if (value >= least && value <= most) return value;
  throw new UserError(`${numberText(value)} does not fit in ${name}, which takes ${numberText(least)} to ${numberText(most)}.`, name);
}

/** The bits of `value`, which is to be put into the `bits` bits of `name`, signed or unsigned. Throws a {@link UserError} if it does not fit as either. */
export function fitting(name: string, value: bigint, bits: number): bigint {
  return BigInt.asUintN(bits, inRange(name, value, -(1n << BigInt(bits - 1)), (1n << BigInt(bits)) - 1n));
}

/**
 * An address given as text: decimal or with 0x, possibly negative. Throws a {@link UserError} that names `what` otherwise. Never goes
 * through a floating-point number, which would lose the low bits of kernel addresses.
 */
export function parseAddress(text: unknown, what: string): bigint {
  if (typeof text === "number" && Number.isSafeInteger(text)) return BigInt.asUintN(64, BigInt(text));
  const match = typeof text === "string" ? /^\s*(-?)(0x[0-9a-f]+|\d+)\s*$/i.exec(text) : null;
  if (match === null) throw new UserError(`${what} must be an address such as "0xffffffff81000000", not ${JSON.stringify(text)}.`, what);
  const value = BigInt(match[2]);
  if (value >= 1n << 64n) throw new UserError(`${what} ${match[2]} does not fit in 64 bits.`, what);
  return BigInt.asUintN(64, match[1] === "-" ? -value : value);
}
