import type { CodeBreakpoints } from "../cpu/blockFinder";
import { CS } from "../cpu/segmentRegisters";
import type { Vcpu } from "./vcpu";

/** The debugger's breakpoints as CPUs see them: they change what is translated, never the fast path. */
export class DebugPoints {
  private breakpoints: ReadonlySet<bigint> = new Set();

  constructor(private readonly changed: () => void) {}

  setBreakpoints(linear: ReadonlySet<bigint>): void {
    const same = linear.size === this.breakpoints.size && [...linear].every((address) => this.breakpoints.has(address));
    if (same) return;
    this.breakpoints = new Set(linear);
    this.changed();
  }

  forCpu(vcpu: Vcpu): CodeBreakpoints {
    const linearOf = (rip: bigint): bigint => (vcpu.state.code64 ? rip : (vcpu.state.segBase(CS) + rip) & 0xffff_ffffn);
    const has = (rip: bigint): boolean => this.breakpoints.has(linearOf(rip));
    const any = (): boolean => this.breakpoints.size > 0;
    return {
      breakpointAt: has,
      get hasBreakpoints() {
        return any();
      },
    };
  }
}
