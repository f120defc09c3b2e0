import type { DataWatch } from "../cpu/mmu";
import type { ProcessorEvents } from "../cpu/processor";
import { CS } from "../cpu/state";
import type { Vcpu } from "./vcpu";

export interface WatchRange {
  readonly linear: bigint;
  readonly size: number;
  readonly read: boolean;
  readonly write: boolean;
}

type WatchHook = (cpu: number, linear: bigint, size: number, write: boolean) => void;

/** The debugger's breakpoints and watchpoints as CPUs see them. They change what is translated or which TLB entries are slow, never the fast path. */
export class DebugPoints {
  private breakpoints: ReadonlySet<bigint> = new Set();
  private ranges: readonly WatchRange[] = [];
  private pages: ReadonlySet<bigint> = new Set();

  constructor(private readonly changed: () => void) {}

  setBreakpoints(linear: ReadonlySet<bigint>): void {
    const same = linear.size === this.breakpoints.size && [...linear].every((address) => this.breakpoints.has(address));
    if (same) return;
    this.breakpoints = new Set(linear);
    this.changed();
  }

  setWatchpoints(ranges: readonly WatchRange[]): void {
    this.ranges = [...ranges];
    const pages = new Set<bigint>();
    for (const range of ranges) {
      for (let page = range.linear >> 12n; page <= (range.linear + BigInt(range.size - 1)) >> 12n; page++) pages.add(page);
    }
    this.pages = pages;
    this.changed();
  }

  forCpu(vcpu: Vcpu): ProcessorEvents {
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

  /** What the MMU of `vcpu` reports to: the guest's own debug registers and the debugger's ranges; undefined when neither watches anything. */
  watchFor(vcpu: Vcpu, hook: WatchHook): DataWatch | undefined {
    const guest = vcpu.system.debug;
    if (!guest.watching && this.ranges.length === 0) return undefined;
    return {
      watchesPage: (linear) => this.pages.has(linear >> 12n) || guest.watchesPage(linear),
      accessed: (linear, size, write) => {
        if (guest.watching) guest.accessed(linear, size, write);
        for (const range of this.ranges) {
          if ((write ? range.write : range.read) && linear < range.linear + BigInt(range.size) && range.linear < linear + BigInt(size)) {
            hook(vcpu.index, linear, size, write);
          }
        }
      },
    };
  }
}
