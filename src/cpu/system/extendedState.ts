/** XCR0 and the XSAVE instructions (SDM vol. 1, "Managing State Using the XSAVE Feature Set"). */
import type { StateMemory } from "../fpu/environment";
import { MXCSR_MASK, MXCSR_OFFSET } from "../simd/savedState";
import { EXC_GP } from "../exceptions";
import type { CpuState } from "../state";
import type { CpuFeatures } from "../features";
import { EXTENDED_OFFSET, HEADER_BYTES, LEGACY_BYTES, type XsaveKind } from "../xsave";
import { compactedLayout, MXCSR_INITIAL, type StateComponent, stateComponents, type StateOwner } from "./stateComponents";

const SSE = 1n << 1n;
const AVX = 1n << 2n;
const COMPACTED = 1n << 63n;
/** Fields of the header: XSTATE_BV, XCOMP_BV, then zeros. */
const XSTATE_BV = LEGACY_BYTES;
const XCOMP_BV = LEGACY_BYTES + 8;
const ALIGNMENT = 64n;
const bitOf = ({ bit }: StateComponent): bigint => 1n << BigInt(bit);

/**
 * The instructions' INIT optimisation shows: what is in its initial configuration is not written by XSAVEOPT, XSAVEC and XSAVES, and XSTATE_BV says so. The modified
 * optimisation is the processor's choice in each case: here everything counts as modified since the last XRSTOR.
 */
export class ExtendedState {
  private readonly state: CpuState;
  readonly components: readonly StateComponent[];
  /** Bits of XCR0 that the CPU knows. */
  readonly supported: bigint;

  constructor(
    private readonly owner: StateOwner,
    private readonly memory: StateMemory,
    private readonly features: CpuFeatures,
  ) {
    this.state = owner.state;
    this.components = stateComponents(features);
    this.supported = this.components.reduce((mask, component) => mask | bitOf(component), 0n);
  }

  /** XGETBV; undefined for #GP(0). */
  read(register: number): bigint | undefined {
    if (register === 0) return BigInt(this.state.xcr0);
    return register === 1 && this.features.xgetbv1 ? BigInt(this.state.xcr0) & this.inUse() : undefined;
  }

  /** XSETBV at CPL 0; false for #GP(0) (SDM vol. 1, "Enabling the XSAVE Feature Set and XSAVE-Enabled Features"). */
  write(register: number, value: bigint): boolean {
    if (register !== 0 || (value & ~this.supported) !== 0n || (value & 1n) === 0n) return false;
    if ((value & (SSE | AVX)) === AVX) return false;
    this.state.xcr0 = Number(value);
    return true;
  }

  /** XINUSE: components that differ from their initial configuration. MXCSR is not looked at. */
  private inUse(): bigint {
    return this.components.reduce((mask, component) => (component.inUse(this.owner) ? mask | bitOf(component) : mask), 0n);
  }

  /** One of the instructions; false on a fault. EDX:EAX is in `requested`. */
  execute(kind: XsaveKind, address: bigint, requested: bigint, wide: boolean): boolean {
    switch (kind) {
      case "xrstor":
      case "xrstors":
        return this.restore(address, requested, wide, kind === "xrstors");
      default:
        return this.save(kind, address, requested, wide);
    }
  }

  /** Stores the components that EDX:EAX asks for and XCR0 enables. Nothing is written when the area cannot be. */
  private save(kind: Exclude<XsaveKind, "xrstor" | "xrstors">, address: bigint, requested: bigint, wide: boolean): boolean {
    const { owner, state, memory } = this;
    if (address % ALIGNMENT !== 0n) return this.refuse();
    const mask = requested & BigInt(state.xcr0);
    const compacted = kind === "xsavec" || kind === "xsaves";
    let used = mask & this.inUse();
    // The compacted format has MXCSR with the registers.
    if (compacted && (mask & SSE) !== 0n && state.mxcsr !== MXCSR_INITIAL) used |= SSE;
    const stored = kind === "xsave" ? mask : used;
    const layout = compacted ? compactedLayout(this.components, mask) : undefined;
    const offsetOf = (component: StateComponent): number => layout?.offsets.get(component.bit) ?? component.offset;
    const end = this.components.reduce(
      (last, component) => ((stored & bitOf(component)) !== 0n ? Math.max(last, offsetOf(component) + component.size) : last),
      EXTENDED_OFFSET,
    );
    if (!memory.probeWrite(address, end)) return false;
    const before = memory.read(address, XSTATE_BV, 8);
    if (before === undefined) return false;
    for (const component of this.components) {
      if ((stored & bitOf(component)) === 0n) continue;
      const part = component.bit < 2 ? 0 : offsetOf(component);
      if (!component.store(owner, memory, address + BigInt(part), wide)) return false;
    }
    // The standard format has MXCSR with either of its users, the compacted one with the registers.
    const control = compacted ? stored & SSE : mask & (SSE | AVX);
    if (control !== 0n && !this.saveControl(address)) return false;
    const field = compacted ? used : (before & ~mask) | used;
    return memory.write(address, XSTATE_BV, 8, field) && (!compacted || memory.write(address, XCOMP_BV, 8, mask | COMPACTED));
  }

  private saveControl(address: bigint): boolean {
    const { memory, state } = this;
    return memory.write(address, MXCSR_OFFSET, 4, BigInt(state.mxcsr)) && memory.write(address, MXCSR_OFFSET + 4, 4, BigInt(MXCSR_MASK));
  }

  /** XRSTOR, and with `supervisor` XRSTORS. Nothing changes when it faults. */
  private restore(address: bigint, requested: bigint, wide: boolean, supervisor: boolean): boolean {
    const { owner, state, memory } = this;
    if (address % ALIGNMENT !== 0n) return this.refuse();
    const enabled = BigInt(state.xcr0);
    const mask = requested & enabled;
    const header: bigint[] = [];
    for (let i = 0; i < HEADER_BYTES; i += 8) {
      const word = memory.read(address, LEGACY_BYTES + i, 8);
      if (word === undefined) return false;
      header.push(word);
    }
    const [present, format, ...reserved] = header;
    const compacted = (format & COMPACTED) !== 0n;
    if (compacted ? !this.features.xsavec : supervisor) return this.refuse();
    const layout = compacted ? compactedLayout(this.components, format) : undefined;
    if (compacted) {
      const listed = format & ~COMPACTED;
      if ((listed & ~enabled) !== 0n || (present & ~listed) !== 0n || reserved.some((word) => word !== 0n)) return this.refuse();
    } else if ((present & ~enabled) !== 0n || format !== 0n || reserved[0] !== 0n) return this.refuse();

    const changes: (() => void)[] = [];
    for (const component of this.components) {
      if ((mask & bitOf(component)) === 0n) continue;
      if ((present & bitOf(component)) === 0n) {
        changes.push(() => {
          component.initialize(owner);
        });
        continue;
      }
      const part = component.bit < 2 ? 0 : (layout?.offsets.get(component.bit) ?? component.offset);
      const take = component.read(owner, memory, address + BigInt(part), wide);
      if (take === undefined) return false;
      changes.push(take);
    }
    const control = this.restoreControl(address, mask, present, compacted);
    if (control === undefined) return false;
    for (const change of changes) change();
    state.mxcsr = control;
    return true;
  }

  /** The MXCSR to be; undefined on a fault: #GP(0) for reserved bits. */
  private restoreControl(address: bigint, mask: bigint, present: bigint, compacted: boolean): number | undefined {
    const { state, memory } = this;
    const concerned = (mask & (compacted ? SSE : SSE | AVX)) !== 0n;
    if (!concerned) return state.mxcsr;
    if (compacted && (present & SSE) === 0n) return MXCSR_INITIAL;
    const value = memory.read(address, MXCSR_OFFSET, 4);
    if (value === undefined) return undefined;
    if (value > BigInt(MXCSR_MASK)) {
      this.refuse();
      return undefined;
    }
    return Number(value);
  }

  private refuse(): false {
    this.state.raise(EXC_GP, 0);
    return false;
  }
}
