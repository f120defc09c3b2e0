import { Reg } from "../apic/registerMap";
import { UserError } from "../machine/errors";
import { hex, inRange } from "./numbers";
import type { DebugCpu, DebugMachine } from "./target";

/** A write to a register of the local APIC (by its public name) or to linear memory, of `size` bytes. */
export interface GuestWrite {
  readonly register?: string | undefined;
  readonly address?: bigint | undefined;
  readonly value: bigint;
  readonly size: 1 | 2 | 4 | 8;
}

/** Local APIC registers that software may write, by their public names. */
const writable: Readonly<Record<string, number>> = {
  ID: Reg.id,
  TPR: Reg.tpr,
  EOI: Reg.eoi,
  LDR: Reg.ldr,
  DFR: Reg.dfr,
  SVR: Reg.svr,
  ESR: Reg.esr,
  ICR: Reg.icrLow,
  "LVT CMCI": Reg.lvtCmci,
  "LVT Timer": Reg.lvtTimer,
  "LVT Thermal": Reg.lvtTimer + 1,
  "LVT PMC": Reg.lvtTimer + 2,
  "LVT LINT0": Reg.lvtTimer + 3,
  "LVT LINT1": Reg.lvtTimer + 4,
  "LVT Error": Reg.lvtError,
  TMICT: Reg.initialCount,
  TDCR: Reg.divide,
  "SELF IPI": Reg.selfIpi,
};

/** The public name of the register that `lapic.NAME` stands for: lower case, with `_` for blanks; as it is where there is none. */
export function registerName(name: string): string {
  return Object.keys(writable).find((known) => known.toLowerCase().replaceAll(" ", "_") === name.toLowerCase()) ?? name;
}

/**
 * Writes as the guest would, with every effect: an ICR write sends, an EOI ends. Throws a {@link UserError} for registers that cannot be
 * written and for writes that would fault.
 */
export function guestWrite(machine: Pick<DebugMachine, "memory">, cpu: DebugCpu, write: GuestWrite): void {
  if (write.register !== undefined) return writeRegister(cpu, write.register, write.value);
  const { address, size, value } = write;
  if (address === undefined) throw new UserError('Give a "register" of the local APIC or an "address" to write.');
  inRange(size === 1 ? "a byte" : `${size} bytes`, value, 0n, (1n << BigInt(size * 8)) - 1n);
  const physical = cpu.mmu.inspect(address);
  if (physical < 0 || (physical % 4096) + size > 4096)
    throw new UserError(`Nothing is mapped at ${hex(address)}, or the write crosses a page.`, "address");
  const bytes = Uint8Array.from({ length: size }, (_, i) => Number(BigInt.asUintN(8, value >> BigInt(8 * i))));
  if (cpu.writeMemory(address, bytes) === 0) machine.memory.write(physical, size, value, cpu.index);
}

function writeRegister(cpu: DebugCpu, name: string, value: bigint): void {
  const { apic } = cpu;
  if (!Object.hasOwn(writable, name))
    throw new UserError(
      `The local APIC has no register '${name}' that software can write; there are ${Object.keys(writable).join(", ")}.`,
      "register",
    );
  const number = writable[name];
  const wide = number === Reg.icrLow;
  inRange(name, value, 0n, (1n << (wide ? 64n : 32n)) - 1n);
  if (apic.x2apicMode) {
    if (!apic.writeMsr(0x800 + number, value)) throw new UserError(`Writing ${hex(value)} to ${name} would fault in x2APIC mode.`, "value");
    return;
  }
  if (number === Reg.selfIpi) throw new UserError("SELF IPI exists in x2APIC mode only.", "register");
  if (wide) apic.writeRegister(Reg.icrHigh, Number(value >> 32n));
  apic.writeRegister(number, Number(value & 0xffff_ffffn));
}
