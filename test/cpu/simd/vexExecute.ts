/** One VEX case on the emulator. */
import { SLOT_MXCSR, slotOfXmm, VECTOR_UPPER } from "../../../src/tcg/layout";
import type { FlatMachine } from "../frontend/flatMachine";
import { EDGE, MEMORY_BYTES, REGISTERS, VEX_AT, VEX_STATE_BYTES } from "./vexCases";

const CODE = 0x1000;
const DATA = 0x2000;
const STATUS_FLAGS = 0x8d5n;

/** What the emulator makes of a case: the state after it, in the recorder's structure. */
export function executeVex(machine: FlatMachine, code: readonly number[], state: Uint8Array): Uint8Array {
  const view = new DataView(state.buffer, state.byteOffset);
  const { slots } = machine;
  const edge = (view.getUint8(VEX_AT.length) & 0x80) !== 0;
  const memory = edge ? machine.ram.length - EDGE : DATA;
  const accessible = edge ? EDGE : MEMORY_BYTES;
  machine.ram.set(code, CODE);
  machine.ram.set(state.subarray(VEX_AT.memory, VEX_AT.memory + accessible), memory);
  const quarters = Array.from({ length: REGISTERS * 4 }, (_, i): readonly [slot: number, at: number] => [
    (slotOfXmm(i >> 2) + (i & 1) * 8 + (i & 2 ? VECTOR_UPPER : 0)) / 8,
    VEX_AT.ymm + i * 8,
  ]);
  for (const [slot, at] of quarters) slots[slot] = view.getBigUint64(at, true);
  slots[0] = view.getBigUint64(VEX_AT.rax, true);
  slots[1] = view.getBigUint64(VEX_AT.rcx, true);
  slots[2] = view.getBigUint64(VEX_AT.rdx, true);
  slots[6] = BigInt(memory);
  slots[7] = BigInt(memory + 64);
  slots[SLOT_MXCSR / 8] = BigInt(view.getUint32(VEX_AT.mxcsr, true));
  machine.rip = BigInt(CODE);
  machine.rflags = STATUS_FLAGS | 2n;
  machine.execute(1);
  const after = state.slice();
  const result = new DataView(after.buffer);
  after.set(machine.ram.subarray(memory, memory + accessible), VEX_AT.memory);
  for (const [slot, at] of quarters) result.setBigUint64(at, slots[slot], true);
  result.setBigUint64(VEX_AT.rax, slots[0], true);
  result.setBigUint64(VEX_AT.rcx, slots[1], true);
  result.setBigUint64(VEX_AT.rdx, slots[2], true);
  result.setUint32(VEX_AT.mxcsr, Number(slots[SLOT_MXCSR / 8]), true);
  result.setUint16(VEX_AT.flags, Number(machine.rflags & STATUS_FLAGS), true);
  result.setUint8(VEX_AT.trap, machine.trap?.vector ?? 0);
  return after;
}

/** Where two states differ, in words. */
export function vexDifference(before: Uint8Array, expected: Uint8Array, actual: Uint8Array): string {
  const shown = (bytes: Uint8Array, at: number, count: number): string =>
    Buffer.from(bytes.slice(at, at + count))
      .reverse()
      .toString("hex");
  const parts: readonly (readonly [name: string, at: number, bytes: number])[] = [
    ...Array.from({ length: 8 }, (_, i) => [`memory+${i * 16}`, i * 16, 16] as const),
    ...Array.from({ length: REGISTERS }, (_, i) => [`ymm${i}`, VEX_AT.ymm + i * 32, 32] as const),
    ["rax", VEX_AT.rax, 8],
    ["rcx", VEX_AT.rcx, 8],
    ["rdx", VEX_AT.rdx, 8],
    ["mxcsr", VEX_AT.mxcsr, 4],
    ["flags", VEX_AT.flags, 2],
    ["trap", VEX_AT.trap, 1],
    ["length", VEX_AT.length, VEX_STATE_BYTES - VEX_AT.length],
  ];
  return parts
    .map(([name, at, bytes]) => {
      const [b, e, a] = [before, expected, actual].map((state) => shown(state, at, bytes));
      return e === a ? `    ${name} ${b}${e === b ? "" : ` -> ${e}`}` : `  * ${name} ${b} -> ${e}, but ${a}`;
    })
    .join("\n");
}
