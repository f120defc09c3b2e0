import { UserError } from "../common/errors";
import { cString, type ImageReader } from "./bytes";
import type { FirmwareTables } from "./firmwareTables";
import { memoryMap, PAGE, MIB, type RamPlan } from "./ram";
import { BOOT_GDT_ADDRESS, MULTIBOOT_GDT_ADDRESS } from "./biosArea";
import { MemoryType, type BootFile, type BootRequest, type BootState, type MemoryMapEntry, type NamedRange } from "./types";

/** What {@link BootContext.state} needs from a protocol: everything of the state that is its own. */
export type ProtocolState = Omit<BootState, "localApic" | "loaded" | "reserved" | "memoryMap" | "rsdp" | "loadOffset"> & {
  readonly loadOffset?: bigint;
};

export interface PlacedModule {
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

/** The name and version that boot protocols ask the loader for. */
export const LOADER_NAME = "APICScope";

/** One boot under way: what all protocols share. */
export class BootContext {
  constructor(
    readonly request: BootRequest,
    readonly image: ImageReader,
    readonly plan: RamPlan,
    readonly tables: FirmwareTables,
  ) {}

  get imageName(): string {
    return this.request.imageName;
  }

  /** Guest-physical address of the flat GDT that the registers start with. */
  get gdt(): number {
    return BOOT_GDT_ADDRESS;
  }

  /** The same for Multiboot. */
  get multibootGdt(): number {
    return MULTIBOOT_GDT_ADDRESS;
  }

  bad(problem: string): UserError {
    return new UserError(`${this.imageName}: ${problem}`, "program");
  }

  /**
   * The command line with its NUL.
   * @param limit most bytes the guest takes, without the NUL.
   */
  commandLine(limit: number): Uint8Array {
    const text = this.request.cmdline ?? "";
    if (text.includes("\0")) throw new UserError("The command line contains a NUL character.", "cmdline");
    const bytes = cString(text);
    if (bytes.length - 1 > limit) {
      throw new UserError(
        `The command line has ${bytes.length - 1} bytes, ${this.imageName} takes at most ${limit}: shorten \`cmdline\`.`,
        "cmdline",
      );
    }
    return bytes;
  }

  /** The RAM disk and the modules. */
  get files(): readonly BootFile[] {
    return [...(this.request.initrd ? [this.request.initrd] : []), ...(this.request.modules ?? [])];
  }

  /** Puts the RAM disk and the modules on page boundaries from `from` up. */
  placeModules(from: number): PlacedModule[] {
    return this.files.map((file) => {
      const length = file.bytes.length;
      const at = this.plan.find(Math.max(length, 1), PAGE, Math.max(from, MIB), this.plan.tablesStart, false);
      if (at === undefined) throw this.tooBig(file);
      this.plan.keep(at, at + Math.max(length, 1), `module ${file.name}`);
      this.plan.memory.write(at, file.bytes);
      return { start: at, end: at + length, text: file.cmdline ?? file.name };
    });
  }

  /** The error for a file that finds no place. */
  tooBig(file: BootFile, below?: number): UserError {
    const mib = (bytes: number): string => (bytes / MIB).toFixed(1);
    const where = below === undefined ? "" : ` below 0x${below.toString(16)}, where the kernel wants it,`;
    return new UserError(
      `${file.name} (${mib(file.bytes.length)} MiB) does not fit${where} beside ${this.imageName} in ${this.plan.mib} MiB of memory: raise \`memory\`.`,
      file === this.request.initrd ? "initrd" : "modules",
    );
  }

  /**
   * The guest's address map.
   * @param extra RAM taken by the boot code for good, directly below the tables, in ascending order.
   */
  memoryMap(extra: readonly MemoryMapEntry[] = []): MemoryMapEntry[] {
    return memoryMap(this.request.memory, [...extra, ...this.tables.map]);
  }

  /** Bytes of usable RAM from 0 and from 1 MiB up, each to its first hole, as the old memory fields give them. */
  basicMemory(): { lower: number; upper: number } {
    return { lower: this.memoryMap()[0].end, upper: this.tables.start - MIB };
  }

  /** The finished state. */
  state(own: ProtocolState, extra: readonly MemoryMapEntry[] = []): BootState {
    const map = this.memoryMap(extra);
    const names: Record<MemoryType, string> = {
      [MemoryType.usable]: "usable",
      [MemoryType.reserved]: "reserved",
      [MemoryType.acpi]: "ACPI tables",
      [MemoryType.nvs]: "ACPI NVS",
    };
    const reserved: NamedRange[] = map
      .filter((entry) => entry.type !== MemoryType.usable)
      .map((entry) => ({ start: entry.start, end: entry.end, what: names[entry.type] }));
    return {
      ...own,
      loadOffset: own.loadOffset ?? 0n,
      // Software enabled, spurious vector 0xff; LINT0 ExtINT (the 8259s reach the bootstrap processor); LINT1 NMI.
      localApic: { spurious: 0x1ff, lint0: 0x700, lint1: 0x400 },
      loaded: [...this.plan.loaded],
      reserved,
      memoryMap: map,
      rsdp: this.tables.rsdp,
    };
  }
}
