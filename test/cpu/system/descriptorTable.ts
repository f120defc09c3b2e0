/** What the tests of transfers between segments put into their guests. */
import type { TestGuest } from "../../machine/testGuest";

/** Code and data of both levels, 32-bit code, conforming code, code without its accessed bit, code with a base. */
export const flatDescriptors: readonly bigint[] = [
  0n,
  0x00af9b000000ffffn,
  0x00cf93000000ffffn,
  0x00cff3000000ffffn,
  0x00affb000000ffffn,
  0x00cf9b000000ffffn,
  0x00af9f000000ffffn,
  0x00af9a000000ffffn,
  0x00af9b100000ffffn,
  0x00cf92000000ffffn,
];

/** Stores eight bytes at a physical address. */
export const put = (guest: TestGuest, address: number, value: bigint): void => {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt.asUintN(64, value), true);
  guest.machine.memory.write(address, bytes);
};
