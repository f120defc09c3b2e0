/** The processor state that XSAVE manages (SDM vol. 1, "XSAVE-Supported Features and State-Component Bitmaps", "Standard Format of Extended Region"). */
import { readExtended, type StateMemory, storeExtended } from "../fpu/environment";
import { readXmm, storeXmm } from "../simd/savedState";
import { MXCSR_RESET } from "../registerBits";
import type { CpuState } from "../state";
import type { CpuFeatures } from "../features";
import { EXTENDED_OFFSET } from "../xsave";
import { SLOT_XMM, VECTOR_UPPER } from "../../tcg/layout";

/** The CPU whose state it is. */
export interface StateOwner {
  readonly state: CpuState;
  setPkru(value: number): void;
}

/** One component: its bit in XCR0 or, of supervisor state, in IA32_XSS. Addresses are those of the XSAVE area, or of the component's own part from bit 2 on. */
export interface StateComponent {
  readonly bit: number;
  /** Bytes of its part and their place in the standard format; the legacy region (bits 0 and 1) counts apart. */
  readonly size: number;
  readonly offset: number;
  /** In the compacted format its part begins at a multiple of 64. */
  readonly aligned: boolean;
  /** Differs from its initial configuration. */
  inUse(owner: StateOwner): boolean;
  /** To memory that has been probed; false on a fault. `wide`: with REX.W. */
  store(owner: StateOwner, memory: StateMemory, address: bigint, wide: boolean): boolean;
  /** Reads it, and returns what makes it the CPU's state; undefined on a fault. */
  read(owner: StateOwner, memory: StateMemory, address: bigint, wide: boolean): (() => void) | undefined;
  initialize(owner: StateOwner): void;
}

/** Registers of 128 bits that code of the mode sees. */
const visible = (state: CpuState): number => (state.code64 ? 16 : 8);

function anySlot(state: CpuState, first: number): boolean {
  for (let i = 0; i < visible(state) * 2; i++) if (state.slots[first / 8 + i] !== 0n) return true;
  return false;
}
const UPPER = SLOT_XMM + VECTOR_UPPER;

const x87: StateComponent = {
  bit: 0,
  size: 160,
  offset: 0,
  aligned: false,
  inUse: ({ state: { fpu } }) =>
    fpu.control !== 0x37f ||
    fpu.status !== 0 ||
    fpu.occupied !== 0 ||
    fpu.opcode !== 0 ||
    fpu.instructionOffset !== 0n ||
    fpu.operandOffset !== 0n ||
    fpu.instructionSelector !== 0 ||
    fpu.operandSelector !== 0 ||
    fpu.exponents.some((exponent) => exponent !== 0) ||
    fpu.significands.some((significand) => significand !== 0n),
  store: ({ state }, memory, address, wide) => storeExtended(state.fpu, memory, address, wide),
  read: ({ state }, memory, address, wide) => readExtended(state.fpu, memory, address, wide),
  initialize: ({ state: { fpu } }) => {
    fpu.initialize();
    fpu.exponents.fill(0);
    fpu.significands.fill(0n);
  },
};

/** Without MXCSR, which the instructions treat apart. */
const sse: StateComponent = {
  bit: 1,
  size: 256,
  offset: 160,
  aligned: false,
  inUse: ({ state }) => anySlot(state, SLOT_XMM),
  store: ({ state }, memory, address) => storeXmm(state, memory, address, visible(state) * 2),
  read: ({ state }, memory, address) => readXmm(state, memory, address, visible(state) * 2),
  initialize: ({ state }) => {
    state.slots.fill(0n, SLOT_XMM / 8, SLOT_XMM / 8 + visible(state) * 2);
  },
};

/** The upper halves of YMM registers. */
const avx: StateComponent = {
  bit: 2,
  size: 256,
  offset: 576,
  aligned: false,
  inUse: ({ state }) => anySlot(state, UPPER),
  store: ({ state }, memory, address) => {
    for (let i = 0; i < visible(state) * 2; i++) if (!memory.write(address, i * 8, 8, state.slots[UPPER / 8 + i])) return false;
    return true;
  },
  read: ({ state }, memory, address) => {
    const values: bigint[] = [];
    for (let i = 0; i < visible(state) * 2; i++) {
      const value = memory.read(address, i * 8, 8);
      if (value === undefined) return undefined;
      values.push(value);
    }
    return () => {
      state.slots.set(values, UPPER / 8);
    };
  },
  initialize: ({ state }) => {
    state.slots.fill(0n, UPPER / 8, UPPER / 8 + visible(state) * 2);
  },
};

/** Rights of protection keys. */
const pkru: StateComponent = {
  bit: 9,
  size: 8,
  offset: 2688,
  aligned: false,
  inUse: ({ state }) => state.pkru !== 0,
  store: ({ state }, memory, address) => memory.write(address, 0, 8, BigInt(state.pkru >>> 0)),
  read: (owner, memory, address) => {
    const value = memory.read(address, 0, 4);
    if (value === undefined) return undefined;
    return () => {
      owner.setPkru(Number(value));
    };
  },
  initialize: (owner) => {
    owner.setPkru(0);
  },
};

/** The components of a CPU, by bit. */
export function stateComponents(features: CpuFeatures): readonly StateComponent[] {
  return [x87, sse, ...(features.avx ? [avx] : []), ...(features.pku ? [pkru] : [])];
}

/** Where the parts of the components in `mask` (beyond the legacy region) lie in the compacted format, and where the last one ends. */
export function compactedLayout(
  components: readonly StateComponent[],
  mask: bigint,
): { readonly offsets: ReadonlyMap<number, number>; readonly end: number } {
  const offsets = new Map<number, number>();
  let end = EXTENDED_OFFSET;
  for (const { bit, size, aligned } of components) {
    if (bit < 2 || (mask & (1n << BigInt(bit))) === 0n) continue;
    const at = aligned ? (end + 63) & ~63 : end;
    offsets.set(bit, at);
    end = at + size;
  }
  return { offsets, end };
}

/** Where the area of the components in `mask` ends in the standard format. */
export function standardEnd(components: readonly StateComponent[], mask: bigint): number {
  return components.reduce(
    (end, { bit, offset, size }) => (bit >= 2 && (mask & (1n << BigInt(bit))) !== 0n ? Math.max(end, offset + size) : end),
    EXTENDED_OFFSET,
  );
}

/** MXCSR's own initial configuration. */
export const MXCSR_INITIAL = MXCSR_RESET;
