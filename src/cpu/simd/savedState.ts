/** The part of the FXSAVE area, and of XSAVE's legacy region, that belongs to SSE (SDM vol. 1, "FXSAVE Area"). */
import { SLOT_XMM } from "../../tcg/layout";
import { EXC_GP } from "../exceptions";
import { CR4_OSFXSR } from "../registerBits";
import type { CpuState } from "../state";

/** Bits of MXCSR that exist: MXCSR_MASK of the area. */
export const MXCSR_MASK = 0xffff;
export const MXCSR_OFFSET = 24;
const REGISTERS_OFFSET = 160;

interface AreaMemory {
  read(address: bigint, offset: number, size: 4 | 8): bigint | undefined;
  write(address: bigint, offset: number, size: 4 | 8, value: bigint): boolean;
}

/** Slots of the registers that FXSAVE saves: sixteen registers in 64-bit code, eight elsewhere, none without CR4.OSFXSR. */
function savedSlots(state: CpuState): number {
  if ((state.cr4 & CR4_OSFXSR) === 0) return 0;
  return state.code64 ? 32 : 16;
}

/** Stores `count` slots of XMM registers to an area that has been probed. False on a fault. */
export function storeXmm(state: CpuState, memory: AreaMemory, address: bigint, count: number): boolean {
  for (let i = 0; i < count; i++) {
    if (!memory.write(address, REGISTERS_OFFSET + i * 8, 8, state.slots[SLOT_XMM / 8 + i])) return false;
  }
  return true;
}

/** Reads what `storeXmm` leaves, and returns what makes it the CPU's state; undefined on a fault. */
export function readXmm(state: CpuState, memory: AreaMemory, address: bigint, count: number): (() => void) | undefined {
  const values: bigint[] = [];
  for (let i = 0; i < count; i++) {
    const value = memory.read(address, REGISTERS_OFFSET + i * 8, 8);
    if (value === undefined) return undefined;
    values.push(value);
  }
  return () => {
    state.slots.set(values, SLOT_XMM / 8);
  };
}

/** Stores MXCSR and XMM registers to an area that has been probed. False on a fault. */
export function storeSse(state: CpuState, memory: AreaMemory, address: bigint): boolean {
  return (
    memory.write(address, MXCSR_OFFSET, 4, BigInt(state.mxcsr)) &&
    memory.write(address, MXCSR_OFFSET + 4, 4, BigInt(MXCSR_MASK)) &&
    storeXmm(state, memory, address, savedSlots(state))
  );
}

/** Reads what `storeSse` leaves, and returns what makes it the CPU's state; undefined on a fault: #GP(0) for reserved bits of MXCSR. */
export function readSse(state: CpuState, memory: AreaMemory, address: bigint): (() => void) | undefined {
  const mxcsr = memory.read(address, MXCSR_OFFSET, 4);
  if (mxcsr === undefined) return undefined;
  const count = savedSlots(state);
  const take = readXmm(state, memory, address, count);
  if (take === undefined) return undefined;
  if (count > 0 && mxcsr > BigInt(MXCSR_MASK)) {
    state.raise(EXC_GP, 0);
    return undefined;
  }
  return () => {
    if (count === 0) return;
    state.mxcsr = Number(mxcsr);
    take();
  };
}
