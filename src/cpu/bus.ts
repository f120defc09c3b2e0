/** The physical address space as a CPU sees it. Implemented by `machine/`. Addresses are physical, safe integers. */
export interface PhysicalBus {
  /**
   * Address in the engine's memory of the RAM or ROM page with physical page number `page` as CPU `cpu` sees it, or -1 when the page is not plain memory
   * (MMIO, unmapped, and ROM for writes). With `write`, the caller is about to write there: snapshots keep what the page holds.
   */
  hostPage(page: number, write: boolean, cpu: number): number;
  /** Whether stores to the page may take the fast path: plain memory, read and written at one place, written since the last snapshot. */
  writesFreely(page: number, cpu: number): boolean;
  /** An instruction is about to read at `address`, which is no plain memory: some devices take their time. Not for fetches and walks of page tables. */
  reading(address: number): void;
  /** Any access that is not plain memory; never crosses a page. Unmapped reads give all ones. */
  read(address: number, size: 1 | 2 | 4 | 8, cpu: number): bigint;
  write(address: number, size: 1 | 2 | 4 | 8, value: bigint, cpu: number): void;
  /** I/O ports. */
  in(port: number, size: 1 | 2 | 4): number;
  out(port: number, size: 1 | 2 | 4, value: number): void;
  /** An element of a string input: data, and so without the time that polling takes. */
  inString(port: number, size: 1 | 2 | 4): number;
  /** As many elements of `size` bytes as a device gives or takes without any other effect; returns bytes, 0 for none. */
  inBlock(port: number, size: 2 | 4, target: Uint8Array): number;
  outBlock(port: number, size: 2 | 4, source: Uint8Array): number;
}

/** The interrupt controller as its CPU sees it: the local APIC. */
export interface InterruptController {
  /** INTA: the vector to deliver (spurious if nothing is left). */
  acknowledge(): number;
  /** MSRs of the APIC: IA32_APIC_BASE, IA32_TSC_DEADLINE, x2APIC registers. undefined: #GP(0). */
  readMsr(index: number): bigint | undefined;
  writeMsr(index: number, value: bigint): boolean;
  cr8: number;
  /** The TSC was written: TSC deadlines are met by its new value. */
  tscChanged(): void;
}
