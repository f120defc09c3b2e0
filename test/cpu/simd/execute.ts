/** One case on the emulator. */
import { SLOT_MXCSR, slotOfXmm } from "../../../src/tcg/layout";
import type { FlatMachine } from "../frontend/flatMachine";
import { AT, STATE_BYTES } from "./cases";

const CODE = 0x1000;
const DATA = 0x2000;
const STATUS_FLAGS = 0x8d5n;

/** What the emulator makes of a case: the state after it, in the recorder's structure. */
export function execute(machine: FlatMachine, code: readonly number[], state: Uint8Array, instructions = 1): Uint8Array {
  const view = new DataView(state.buffer, state.byteOffset);
  const { slots, fpu } = machine;
  machine.ram.set(code, CODE);
  machine.ram.set(state.subarray(AT.memory, AT.memory + 16), DATA);
  for (const [register, at] of [
    [1, AT.xmm1],
    [2, AT.xmm2],
  ] as const) {
    for (let half = 0; half < 2; half++) slots[slotOfXmm(register) / 8 + half] = view.getBigUint64(at + half * 8, true);
  }
  slots[0] = slots[7] = BigInt(DATA);
  slots[1] = view.getBigUint64(AT.rcx, true);
  slots[2] = view.getBigUint64(AT.rdx, true);
  fpu.setPhysical(1, { se: 0xffff, m: view.getBigUint64(AT.mm1, true) });
  fpu.setPhysical(2, { se: 0xffff, m: view.getBigUint64(AT.mm2, true) });
  slots[SLOT_MXCSR / 8] = BigInt(view.getUint32(AT.mxcsr, true));
  machine.rip = BigInt(CODE);
  machine.rflags = STATUS_FLAGS | 2n;
  machine.execute(instructions);
  const after = state.slice();
  const result = new DataView(after.buffer);
  after.set(machine.ram.subarray(DATA, DATA + 16), AT.memory);
  for (const [register, at] of [
    [1, AT.xmm1],
    [2, AT.xmm2],
  ] as const) {
    for (let half = 0; half < 2; half++) result.setBigUint64(at + half * 8, slots[slotOfXmm(register) / 8 + half], true);
  }
  result.setBigUint64(AT.rcx, slots[1], true);
  result.setBigUint64(AT.rdx, slots[2], true);
  result.setBigUint64(AT.mm1, fpu.physical(1).m, true);
  result.setBigUint64(AT.mm2, fpu.physical(2).m, true);
  result.setUint32(AT.mxcsr, Number(slots[SLOT_MXCSR / 8]), true);
  result.setUint16(AT.flags, Number(machine.rflags & STATUS_FLAGS), true);
  result.setUint8(AT.trap, machine.trap?.vector ?? 0);
  return after;
}

/** A state in words, for messages. */
export const hex = (bytes: Uint8Array): string =>
  Object.entries(AT)
    .map(
      ([name, at], i, all) =>
        `${name} ${Buffer.from(bytes.slice(at, all[i + 1]?.[1] ?? STATE_BYTES))
          .reverse()
          .toString("hex")}`,
    )
    .join(" ");
