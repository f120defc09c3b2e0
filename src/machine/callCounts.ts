import { type HelperName, helperNames } from "../cpu/helperIds";

/** How often translated and interpreted code called the host. Flat and mutable: counted on every call. */
export class CallCounts {
  readonly helpers = new Float64Array(helperNames.length);
  /** Slow-path accesses: those whose TLB entry did not match, or asks for it. */
  loads = 0;
  stores = 0;
  /** Accesses of generated code whose TLB entry was filled, or renewed, by the host. */
  refills = 0;

  /** Slow-path accesses of all kinds. */
  get accesses(): number {
    return this.loads + this.stores + this.refills;
  }

  /** The `most` helpers called most often, the first one first; those never called are left out. */
  frequent(most: number): { readonly name: HelperName; readonly calls: number }[] {
    return helperNames
      .map((name, index) => ({ name, calls: this.helpers[index] }))
      .filter(({ calls }) => calls > 0)
      .sort((a, b) => b.calls - a.calls)
      .slice(0, most);
  }
}
