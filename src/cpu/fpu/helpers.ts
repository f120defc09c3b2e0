/** The x87 unit's helpers of one CPU (helperIds.ts). */
import { STATUS_FAULT, STATUS_OK } from "../../tcg/ops";
import { EXC_GP, EXC_MF } from "../exceptions";
import { CR0_NE, FOPCODE_COMPATIBILITY } from "../registerBits";
import { CS } from "../segmentRegisters";
import { readSse, storeSse } from "../simd/savedState";
import type { CpuSystem } from "../system/system";
import { type EnvironmentFormat, EXTENDED_AREA_BYTES, readExtended, storeExtended } from "./environment";
import type { X87Host } from "./core";
import { isControl, X87Unit } from "./unit";

type X87Helper = (a: number, b: number, lo: number, hi: number) => number;

export class ProcessorHost implements X87Host {
  constructor(private readonly system: CpuSystem) {}

  read(address: bigint, offset: number, size: 2 | 4 | 8): bigint | undefined {
    return this.system.mmu.read(this.at(address, offset), size, true);
  }

  write(address: bigint, offset: number, size: 2 | 4 | 8, value: bigint): boolean {
    return this.system.mmu.write(this.at(address, offset), size, value, true);
  }

  probeWrite(address: bigint, size: number): boolean {
    return this.system.mmu.probeWrite(address, size, true);
  }

  private at(address: bigint, offset: number): bigint {
    return offset === 0 ? address : this.system.tables.linear(address + BigInt(offset));
  }

  floatingPointError(): void {
    this.system.state.raise(EXC_MF);
  }

  get numericErrors(): boolean {
    return (this.system.state.cr0 & CR0_NE) !== 0;
  }

  get carry(): boolean {
    return this.system.state.flags.cf;
  }

  get zero(): boolean {
    return this.system.state.flags.zf;
  }

  get parity(): boolean {
    return this.system.state.flags.pf;
  }

  setFlags(zero: boolean, parity: boolean, carry: boolean): void {
    this.system.state.flags = { zf: zero, pf: parity, cf: carry, of: false, sf: false, af: false };
  }

  setAx(value: number): void {
    const { state } = this.system;
    state.setGpr(0, (state.gpr(0) & ~0xffffn & 0xffff_ffff_ffff_ffffn) | BigInt(value));
  }

  environment(operand16: boolean): EnvironmentFormat {
    const { state } = this.system;
    return { field: operand16 ? 2 : 4, real: !state.protectedMode || state.vm86 };
  }
}

export function x87Helpers(system: CpuSystem): Record<"x87" | "x87Wait" | "fxsave" | "fxrstor", X87Helper> {
  const { state } = system;
  const { fpu } = state;
  const host = new ProcessorHost(system);
  const unit = new X87Unit(fpu, host);
  const get = (slot: number): bigint => state.slots[slot >> 3];
  const extended =
    (transfer: typeof storeExtended): X87Helper =>
    (a, _b, wide) => {
      const address = get(a);
      if ((address & 15n) !== 0n) {
        state.raise(EXC_GP, 0);
        return STATUS_FAULT;
      }
      return transfer(fpu, host, address, wide !== 0) ? STATUS_OK : STATUS_FAULT;
    };

  return {
    x87: (a, b, lo) => {
      const modrm = lo & 0xff;
      const opcode = (lo >> 8) & 7;
      const address = get(a);
      const waited = fpu.pending;
      if (!unit.execute(opcode, modrm, address, (lo & 0x4000) !== 0)) return STATUS_FAULT;
      if (isControl(opcode, modrm)) return STATUS_OK;
      fpu.instructionOffset = get(b);
      fpu.instructionSelector = state.selector[CS];
      if ((fpu.pending && !waited) || (state.miscEnable & FOPCODE_COMPATIBILITY) !== 0n) fpu.opcode = (opcode << 8) | modrm;
      if (modrm < 0xc0) {
        const segment = (lo >> 11) & 7;
        fpu.operandOffset = BigInt.asUintN(state.code64 ? 64 : 32, address - state.segBase(segment));
        fpu.operandSelector = state.selector[segment];
      }
      return STATUS_OK;
    },
    x87Wait: () => (unit.waits() ? STATUS_FAULT : STATUS_OK),
    fxsave: extended(
      (...area) => host.probeWrite(area[2], EXTENDED_AREA_BYTES) && storeExtended(...area) && storeSse(state, host, area[2]),
    ),
    fxrstor: extended((...area) => {
      const takeSse = readSse(state, host, area[2]);
      const takeX87 = takeSse === undefined ? undefined : readExtended(...area);
      // The area is read to its end.
      if (takeSse === undefined || takeX87 === undefined || host.read(area[2], EXTENDED_AREA_BYTES - 8, 8) === undefined) return false;
      takeX87();
      takeSse();
      return true;
    }),
  };
}
