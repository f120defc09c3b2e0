import { UserError } from "../machine/errors";

/** `0x` and hexadecimal digits, padded to `digits`. */
export function hex(value: bigint | number, digits = 1): string {
  return `0x${value.toString(16).padStart(digits, "0")}`;
}

/** An address as 16 digits. */
export function hex64(value: bigint): string {
  return hex(BigInt.asUintN(64, value), 16);
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
