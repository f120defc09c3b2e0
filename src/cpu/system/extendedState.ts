import type { CpuState } from "../state";
import type { CpuFeatures } from "../features";

/** Processor state that XSAVE manages: a bit of XCR0 each (SDM vol. 1, "XSAVE-Supported Features and State-Component Bitmaps"). */
export interface StateComponent {
  readonly bit: number;
  /** Bytes of the standard format's area, and where they lie in it. Components 0 and 1 are in the legacy region. */
  readonly size: number;
  readonly offset: number;
}

const X87: StateComponent = { bit: 0, offset: 0, size: 160 };
const SSE: StateComponent = { bit: 1, offset: 160, size: 256 };
const AVX: StateComponent = { bit: 2, offset: 576, size: 256 };

/** XCR0, and what a CPU with given features may put into it. */
export class ExtendedState {
  readonly components: readonly StateComponent[];
  /** Bits of XCR0 that the CPU knows. */
  readonly supported: bigint;

  constructor(
    private readonly state: CpuState,
    features: CpuFeatures,
  ) {
    this.components = [X87, SSE, ...(features.avx ? [AVX] : [])];
    this.supported = this.components.reduce((mask, { bit }) => mask | (1n << BigInt(bit)), 0n);
  }

  /** XGETBV; undefined for #GP(0). */
  read(register: number): bigint | undefined {
    return register === 0 ? BigInt(this.state.xcr0) : undefined;
  }

  /** XSETBV at CPL 0; false for #GP(0) (SDM vol. 1, "Enabling the XSAVE Feature Set and XSAVE-Enabled Features"). */
  write(register: number, value: bigint): boolean {
    if (register !== 0 || (value & ~this.supported) !== 0n || (value & 1n) === 0n) return false;
    if ((value & 6n) === 4n) return false;
    this.state.xcr0 = Number(value);
    return true;
  }
}
