import { UserError } from "../machine/errors";
import type { RegisterView } from "../devices/device";
import { registerPart, type Scope, type TypedValue } from "./expr";
import { extraRegisters, readRegister } from "./registerAccess";
import { CpuPlacement } from "./symbols/perCpu";
import type { SymbolStore } from "./symbols/table";
import type { DebugCpu } from "./target";

/** Fields of an interrupt or exception that a condition may ask for. */
export type Fields = Readonly<Record<string, bigint | string>>;

/**
 * What `lapic.NAME` gives: registers of the CPU's local APIC, by their public names in lower case with `_` for blanks. The registers of
 * 256 bits do not fit in a number: they are their vectors as text, "{0x30, 0xf0}".
 */
function apicRegister(cpu: DebugCpu, name: string): bigint | string | undefined {
  const wanted = name.toLowerCase();
  const view = cpu.apic.registers().find((candidate) => candidate.name.toLowerCase().replaceAll(" ", "_") === wanted);
  return view === undefined || view.bits <= 64 ? view?.value : vectorSetText(view);
}

/** The vectors of a 256-bit register: "{0x30, 0xf0}", or "{}" when none is set. */
export function vectorSetText(view: RegisterView): string {
  return `{${(view.fields ?? []).map((field) => field.name).join(", ")}}`;
}

/** Names that `lapic.` may be followed by. */
export function apicNames(cpu: DebugCpu): string[] {
  return cpu.apic.registers().map((view) => `lapic.${view.name.toLowerCase().replaceAll(" ", "_")}`);
}

export interface CpuScopeOptions {
  readonly cpus: readonly DebugCpu[];
  readonly symbols: SymbolStore;
  /** Asked first. */
  readonly fields?: Fields | undefined;
  /** Registers of a caller's frame; a register that is missing there is unknown. */
  readonly frame?: ReadonlyMap<string, bigint> | undefined;
  /** RIP of the instruction being executed, where the CPU's own is not up to date. */
  readonly rip?: bigint | undefined;
  /** A variable of the frame or the program, as a CPU sees it; of another CPU than the scope's, a global one. */
  readonly variable?: ((name: string, cpu: DebugCpu) => TypedValue | undefined) | undefined;
  readonly pointerTo?: Scope["pointerTo"] | undefined;
}

/** Expressions as seen from one CPU: its registers, `cpuN.` registers of others, `lapic.` registers, fields, then symbols' addresses. */
export class CpuScope implements Scope {
  private placement: CpuPlacement | undefined;

  constructor(
    private readonly cpu: DebugCpu,
    private readonly options: CpuScopeOptions,
  ) {}

  lookup(name: string): bigint | string | undefined {
    const { fields, frame, cpus, rip } = this.options;
    if (fields !== undefined && Object.hasOwn(fields, name)) return fields[name];
    const dot = name.indexOf(".");
    if (dot > 0) {
      const prefix = name.slice(0, dot);
      const rest = name.slice(dot + 1);
      const other = /^cpu(\d{1,2})$/.exec(prefix);
      if (other !== null) {
        const cpu = cpus.find((candidate) => candidate.index === Number(other[1]));
        if (cpu === undefined) throw new UserError(`There is no CPU ${other[1]}; the machine has ${cpus.length}.`);
        if (rest.startsWith("lapic.")) return apicRegister(cpu, rest.slice("lapic.".length));
        return readRegister(cpu, rest.toLowerCase()) ?? this.symbols(rest, cpu).at(0);
      }
      if (prefix === "lapic") return apicRegister(this.cpu, rest);
    }
    const lower = name.toLowerCase();
    if (lower === "rip" && rip !== undefined) return rip;
    const own = readRegister(this.cpu, lower);
    if (own !== undefined) return frame === undefined || isSystemRegister(lower) ? own : frame.get(lower);
    return this.symbols(name)[0];
  }

  /** The addresses of a symbol as this or another CPU sees them. Throws a {@link UserError} for a per-CPU variable whose copy is not found. */
  symbols(name: string, cpu = this.cpu): readonly bigint[] {
    const placement = cpu === this.cpu ? (this.placement ??= new CpuPlacement(cpu)) : new CpuPlacement(cpu);
    return this.options.symbols.addressesOf(name, placement);
  }

  readMemory(address: bigint, size: number): Uint8Array | undefined {
    const bytes = this.cpu.readMemory(address, size);
    return bytes !== undefined && bytes.length === size ? bytes : undefined;
  }

  readPhysical(address: bigint, size: number): Uint8Array | undefined {
    const bytes = address >= 2n ** 52n ? undefined : this.cpu.readPhysical(Number(address), size);
    return bytes !== undefined && bytes.length === size ? bytes : undefined;
  }

  variable(name: string): TypedValue | undefined {
    const { variable, cpus } = this.options;
    const other = /^cpu(\d{1,2})\.(.+)$/s.exec(name);
    if (other === null) return variable?.(name, this.cpu);
    // `cpu1.rax` is a register, whatever the program calls its variables.
    const cpu = isRegisterName(other[2]) ? undefined : cpus.find((candidate) => candidate.index === Number(other[1]));
    return cpu === undefined ? undefined : variable?.(other[2], cpu);
  }

  pointerTo(type: string, stars: number, address: bigint): TypedValue | undefined {
    return this.options.pointerTo?.(type, stars, address);
  }
}

function isRegisterName(name: string): boolean {
  const lower = name.toLowerCase();
  return registerPart(lower) !== undefined || extraRegisters.includes(lower);
}

/** Registers that belong to the CPU and not to a frame. */
function isSystemRegister(name: string): boolean {
  return /^(cr\d|dr\d|efer|cpl|ldtr|tr|tr_base|gdtr_base|idtr_base|kernel_gs_base)$/.test(name);
}
