import { readRegister } from "../registerAccess";
import type { DebugCpu } from "../target";
import type { SymbolModule } from "./module";

/** Linux's names: the bounds of the section that each CPU has a copy of, and the copy's distance from it, as the copy itself and the table of all CPUs have it. */
const areaStart = "__per_cpu_start";
const areaEnd = "__per_cpu_end";
const ownDistance = "this_cpu_off";
const distances = "__per_cpu_offset";
/** The section's content as the kernel's file has it: the boot CPU's copy until memory for all is there. */
const template = "__per_cpu_load";

/** Linked addresses of which each CPU has its own copy: from `low` to below `high`. */
export interface PerCpuSection {
  readonly low: bigint;
  readonly high: bigint;
}

/** The per-CPU section of a kernel; undefined in files without one. `named` gives the linked address of a symbol. */
export function perCpuSection(named: (name: string) => bigint | undefined): PerCpuSection | undefined {
  const low = named(areaStart);
  const high = named(areaEnd);
  return low === undefined || high === undefined || high <= low ? undefined : { low, high };
}

/**
 * Where a linked address lies as one CPU sees it. Linux (SMP) reaches its per-CPU variables by a segment base: GS in 64-bit kernels, whose other base (KERNEL_GS_BASE) has it while a program
 * runs, FS in 32-bit ones. The base is the distance of the CPU's copy from the section as linked: at 0 up to Linux 6.14 for x86-64, which KASLR leaves there, else among the kernel's data. A
 * base counts when the copy there names it as its own (`this_cpu_off`); without such a base, the kernel's table of all CPUs says.
 */
export class CpuPlacement {
  private readonly known = new Map<SymbolModule, bigint | undefined>();

  constructor(private readonly cpu: DebugCpu) {}

  /** The run-time address; undefined for a per-CPU variable whose copy cannot be found: the kernel has not made it yet, or hides it while a program runs. */
  place(module: SymbolModule, linked: bigint): bigint | undefined {
    if (!isPerCpu(module, linked)) return module.toLoaded(linked);
    let distance = this.known.get(module);
    if (!this.known.has(module)) this.known.set(module, (distance = this.distance(module)));
    return distance === undefined ? undefined : moved(module, linked, distance);
  }

  private distance(module: SymbolModule): bigint | undefined {
    const { cpu } = this;
    const named = (name: string): bigint | undefined => module.symbols.named(name).at(0)?.address;
    const word = module.addressSize;
    const read = (address: bigint): bigint | undefined => {
      const bytes = cpu.readMemory(address, word);
      return bytes?.length === word ? bytes.reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n) : undefined;
    };
    const own = named(ownDistance);
    const fits = (distance: bigint | undefined): boolean =>
      distance !== undefined && own !== undefined && read(moved(module, own, distance)) === distance;
    const bases = ["gs_base", "kernel_gs_base", "fs_base"].map((name) => readRegister(cpu, name));
    const base = bases.find((candidate) => candidate !== 0n && fits(candidate));
    if (base !== undefined) return base;
    const table = named(distances);
    const listed = table === undefined ? undefined : read(module.toLoaded(table) + BigInt(cpu.index * word));
    const loaded = named(template);
    // What all CPUs' copies are made from is none of them.
    if (loaded !== undefined && listed === module.toLoaded(loaded)) return undefined;
    if (listed !== 0n && fits(listed)) return listed;
    // Before it has memory for all, a kernel whose section lies among its data uses the section itself.
    return cpu.index === 0 && module.perCpu?.low !== 0n && fits(0n) ? 0n : undefined;
  }
}

/** Why a per-CPU variable has no place. */
export const withoutCopy =
  "one of each CPU's own, and this CPU's cannot be found: the kernel has not made it yet, or hides it while a program runs";

/** Whether each CPU has its own copy of what lies at a linked address. */
export function isPerCpu({ perCpu }: SymbolModule, linked: bigint): boolean {
  return perCpu !== undefined && linked >= perCpu.low && linked < perCpu.high;
}

function moved(module: SymbolModule, linked: bigint, distance: bigint): bigint {
  const origin = module.perCpu?.low === 0n ? linked : module.toLoaded(linked);
  return BigInt.asUintN(module.addressSize * 8, origin + distance);
}
