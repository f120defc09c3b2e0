/** Outcomes of x87 cases: how they are stored, and how our unit comes to them. */
import type { EnvironmentFormat } from "../../../src/cpu/fpu/environment";
import type { Float80 } from "../../../src/cpu/fpu/format";
import { FpuState } from "../../../src/cpu/fpu/state";
import type { X87Host } from "../../../src/cpu/fpu/core";
import { X87Unit } from "../../../src/cpu/fpu/unit";
import type { Case } from "./cases";

export interface Outcome {
  readonly control: number;
  readonly status: number;
  readonly tags: number;
  /** By physical number. */
  readonly registers: readonly Float80[];
  readonly memory: Uint8Array;
  /** Status flags of RFLAGS. */
  readonly flags: number;
  readonly ax: number;
}

function pushNumber(bytes: number[], value: bigint | number, count: number): void {
  let rest = BigInt(value);
  for (let i = 0; i < count; i++, rest >>= 8n) bytes.push(Number(rest & 0xffn));
}

/** The 32-bit FSAVE image of a case's initial state. */
export function stateImage(c: Case): Uint8Array {
  const bytes: number[] = [];
  let tags = 0;
  for (let i = 0; i < 8; i++) if ((c.occupied & (1 << i)) === 0) tags |= 3 << (2 * i);
  for (const word of [c.control, c.status | (c.top << 11), tags, 0, 0, 0, 0]) pushNumber(bytes, word, 4);
  for (let i = 0; i < 8; i++) {
    const { se, m } = c.registers[(c.top + i) & 7];
    pushNumber(bytes, m, 8);
    pushNumber(bytes, se, 2);
  }
  return Uint8Array.from(bytes);
}

const same = (a: Float80, b: Float80): boolean => a.se === b.se && a.m === b.m;

/** Stores an outcome as what differs from the case: words, then a mask and the registers in it, then the memory operand if it was written. */
export function encodeOutcome(c: Case, outcome: Outcome): number[] {
  const bytes: number[] = [];
  for (const word of [outcome.control, outcome.status, outcome.tags, outcome.flags, outcome.ax]) pushNumber(bytes, word, 2);
  let mask = 0;
  outcome.registers.forEach((value, i) => {
    if (!same(value, c.registers[i])) mask |= 1 << i;
  });
  const written = outcome.memory.some((byte, i) => byte !== c.memory[i]);
  bytes.push(mask, written ? 1 : 0);
  outcome.registers.forEach((value, i) => {
    if ((mask & (1 << i)) === 0) return;
    pushNumber(bytes, value.m, 8);
    pushNumber(bytes, value.se, 2);
  });
  if (written) bytes.push(...outcome.memory.subarray(0, 10));
  return bytes;
}

/** Reads what `encodeOutcome` wrote, case by case. */
export class OutcomeReader {
  private at = 0;
  private readonly view: DataView;

  constructor(private readonly bytes: Uint8Array) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get ended(): boolean {
    return this.at === this.bytes.length;
  }

  next(c: Case): Outcome {
    const word = (): number => {
      this.at += 2;
      return this.view.getUint16(this.at - 2, true);
    };
    const [control, status, tags, flags, ax] = [word(), word(), word(), word(), word()];
    const mask = this.bytes[this.at++];
    const written = this.bytes[this.at++] !== 0;
    const registers = c.registers.map((value, i) => {
      if ((mask & (1 << i)) === 0) return value;
      const m = this.view.getBigUint64(this.at, true);
      this.at += 8;
      return { se: word(), m };
    });
    const memory = c.memory.slice();
    if (written) {
      memory.set(this.bytes.subarray(this.at, this.at + 10));
      this.at += 10;
    }
    return { control, status, tags, registers, memory, flags, ax };
  }
}

/** Memory of 16 bytes, and flags. */
class CaseHost implements X87Host {
  readonly numericErrors = true;
  ax = 0;
  private readonly view: DataView;

  constructor(
    readonly memory: Uint8Array,
    public flags: number,
  ) {
    this.view = new DataView(memory.buffer, memory.byteOffset, memory.byteLength);
  }

  get carry(): boolean {
    return (this.flags & 1) !== 0;
  }

  get parity(): boolean {
    return (this.flags & 4) !== 0;
  }

  get zero(): boolean {
    return (this.flags & 0x40) !== 0;
  }

  read(_address: bigint, offset: number, size: 2 | 4 | 8): bigint {
    if (size === 8) return this.view.getBigUint64(offset, true);
    return BigInt(size === 4 ? this.view.getUint32(offset, true) : this.view.getUint16(offset, true));
  }

  write(_address: bigint, offset: number, size: 2 | 4 | 8, value: bigint): boolean {
    if (size === 8) this.view.setBigUint64(offset, value, true);
    else if (size === 4) this.view.setUint32(offset, Number(value), true);
    else this.view.setUint16(offset, Number(value), true);
    return true;
  }

  probeWrite(): boolean {
    return true;
  }

  floatingPointError(): void {
    throw new Error("no case starts with a waiting exception");
  }

  setFlags(zero: boolean, parity: boolean, carry: boolean): void {
    this.flags = (zero ? 0x40 : 0) | (parity ? 4 : 0) | (carry ? 1 : 0);
  }

  setAx(value: number): void {
    this.ax = value;
  }

  environment(): EnvironmentFormat {
    return { field: 4, real: false };
  }
}

/** Executes a case by our unit. */
export function execute(c: Case): Outcome {
  const fpu = new FpuState();
  fpu.control = c.control;
  fpu.status = c.status | (c.top << 11);
  fpu.occupied = c.occupied;
  c.registers.forEach((value, i) => fpu.setPhysical(i, value));
  const host = new CaseHost(c.memory.slice(), c.rflags & 0x8d5);
  new X87Unit(fpu, host).execute(c.form.code[0] & 7, c.form.code[1], 0n, false);
  return {
    control: fpu.control,
    status: fpu.status,
    tags: fpu.tags,
    registers: c.registers.map((_, i) => fpu.physical(i)),
    memory: host.memory,
    flags: host.flags,
    ax: host.ax,
  };
}
