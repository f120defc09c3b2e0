/** The unit's environment and state in memory: FSTENV, FSAVE, FXSAVE and what loads them (SDM vol. 1, "x87 State in Memory"; vol. 2, FXSAVE). */
import type { Float80 } from "./format";
import type { FpuState } from "./state";

/** How FSTENV and FSAVE lay out the environment. */
export interface EnvironmentFormat {
  /** Size of a field in bytes. */
  readonly field: 2 | 4;
  /** Pointers are linear addresses of 20 (32) bits, not selectors and offsets: real and virtual-8086 mode. */
  readonly real: boolean;
}

/** Memory as these instructions reach it; see X87Host. */
export interface StateMemory {
  read(address: bigint, offset: number, size: 2 | 4 | 8): bigint | undefined;
  write(address: bigint, offset: number, size: 2 | 4 | 8, value: bigint): boolean;
  probeWrite(address: bigint, size: number): boolean;
}

const FIELDS = 7;
export const environmentBytes = (field: 2 | 4): number => FIELDS * field;
export const saveBytes = (field: 2 | 4): number => FIELDS * field + 80;
const RESERVED = 0xffff_0000;

function environmentFields(fpu: FpuState, { field, real }: EnvironmentFormat): number[] {
  const instruction = Number(BigInt.asUintN(32, fpu.instructionOffset));
  const operand = Number(BigInt.asUintN(32, fpu.operandOffset));
  const words = [fpu.control, fpu.status, fpu.tags].map((word) => (field === 4 ? (word | RESERVED) >>> 0 : word));
  if (!real) {
    if (field === 2) return [...words, instruction & 0xffff, fpu.instructionSelector, operand & 0xffff, fpu.operandSelector];
    return [...words, instruction, (fpu.instructionSelector | (fpu.opcode << 16)) >>> 0, operand, (fpu.operandSelector | RESERVED) >>> 0];
  }
  const linear = (selector: number, offset: number): number => (selector * 16 + offset) >>> 0;
  const code = linear(fpu.instructionSelector, instruction);
  const data = linear(fpu.operandSelector, operand);
  if (field === 2) {
    return [...words, code & 0xffff, ((code >>> 4) & 0xf000) | fpu.opcode, data & 0xffff, (data >>> 4) & 0xf000];
  }
  const high = (address: number): number => (address >>> 16) * 0x1000;
  return [...words, (code & 0xffff) + RESERVED, high(code) + fpu.opcode, (data & 0xffff) + RESERVED, high(data)];
}

function writeFields(fpu: FpuState, memory: StateMemory, address: bigint, format: EnvironmentFormat): boolean {
  const { field } = format;
  return environmentFields(fpu, format).every((value, i) => memory.write(address, i * field, field, BigInt(value)));
}

/** FNSTENV, without what it does to the masks. */
export function storeEnvironment(fpu: FpuState, memory: StateMemory, address: bigint, format: EnvironmentFormat): boolean {
  return memory.probeWrite(address, environmentBytes(format.field)) && writeFields(fpu, memory, address, format);
}

/** FNSAVE, without the initialization that follows. */
export function storeRegisters(fpu: FpuState, memory: StateMemory, address: bigint, format: EnvironmentFormat): boolean {
  if (!memory.probeWrite(address, saveBytes(format.field)) || !writeFields(fpu, memory, address, format)) return false;
  const start = environmentBytes(format.field);
  for (let i = 0; i < 8; i++) {
    const { se, m } = fpu.st(i);
    if (!memory.write(address, start + i * 10, 8, m) || !memory.write(address, start + i * 10 + 8, 2, BigInt(se))) return false;
  }
  return true;
}

function readFields(memory: StateMemory, address: bigint, field: 2 | 4): number[] | undefined {
  const fields: number[] = [];
  for (let i = 0; i < FIELDS; i++) {
    const value = memory.read(address, i * field, field);
    if (value === undefined) return undefined;
    fields.push(Number(value));
  }
  return fields;
}

function takeFields(fpu: FpuState, fields: readonly number[], { field, real }: EnvironmentFormat): void {
  const [control, status, tags, codeOffset, codeHigh, dataOffset, dataHigh] = fields;
  fpu.control = control;
  fpu.status = status;
  fpu.tags = tags;
  if (!real) {
    fpu.instructionOffset = BigInt(codeOffset);
    fpu.instructionSelector = codeHigh & 0xffff;
    if (field === 4) fpu.opcode = (codeHigh >>> 16) & 0x7ff;
    fpu.operandOffset = BigInt(dataOffset);
    fpu.operandSelector = dataHigh & 0xffff;
    return;
  }
  // A linear address has no selector to give back: selector 0 and the address itself mean the same.
  const high = (value: number): number => (field === 2 ? (value & 0xf000) << 4 : ((value >>> 12) & 0xffff) * 0x1_0000);
  fpu.instructionOffset = BigInt((codeOffset & 0xffff) + high(codeHigh));
  fpu.instructionSelector = 0;
  fpu.opcode = codeHigh & 0x7ff;
  fpu.operandOffset = BigInt((dataOffset & 0xffff) + high(dataHigh));
  fpu.operandSelector = 0;
}

/** FLDENV. */
export function loadEnvironment(fpu: FpuState, memory: StateMemory, address: bigint, format: EnvironmentFormat): boolean {
  const fields = readFields(memory, address, format.field);
  if (fields === undefined) return false;
  takeFields(fpu, fields, format);
  return true;
}

function readRegisters(memory: StateMemory, address: bigint, start: number, stride: number): Float80[] | undefined {
  const registers: Float80[] = [];
  for (let i = 0; i < 8; i++) {
    const m = memory.read(address, start + i * stride, 8);
    if (m === undefined) return undefined;
    const se = memory.read(address, start + i * stride + 8, 2);
    if (se === undefined) return undefined;
    registers.push({ se: Number(se), m });
  }
  return registers;
}

function takeRegisters(fpu: FpuState, registers: readonly Float80[]): void {
  registers.forEach((value, i) => {
    fpu.setPhysical((fpu.top + i) & 7, value);
  });
}

/** FRSTOR. */
export function loadRegisters(fpu: FpuState, memory: StateMemory, address: bigint, format: EnvironmentFormat): boolean {
  const fields = readFields(memory, address, format.field);
  if (fields === undefined) return false;
  const registers = readRegisters(memory, address, environmentBytes(format.field), 10);
  if (registers === undefined) return false;
  takeFields(fpu, fields, format);
  takeRegisters(fpu, registers);
  return true;
}

export const EXTENDED_AREA_BYTES = 512;
const EXTENDED_REGISTERS = 32;

/**
 * The x87 part of FXSAVE and of XSAVE's legacy region, to memory that has been probed; MXCSR and the XMM registers are cpu/simd/savedState.ts's. `wide`: with REX.W
 * pointers have 64 bits and no selectors.
 */
export function storeExtended(fpu: FpuState, memory: StateMemory, address: bigint, wide: boolean): boolean {
  const words = [fpu.control, fpu.status, fpu.occupied, fpu.opcode];
  const pointer = (offset: bigint, selector: number): bigint => (wide ? offset : BigInt.asUintN(32, offset) | (BigInt(selector) << 32n));
  return (
    words.every((word, i) => memory.write(address, i * 2, 2, BigInt(word))) &&
    memory.write(address, 8, 8, pointer(fpu.instructionOffset, fpu.instructionSelector)) &&
    memory.write(address, 16, 8, pointer(fpu.operandOffset, fpu.operandSelector)) &&
    [0, 1, 2, 3, 4, 5, 6, 7].every((i) => {
      const { se, m } = fpu.st(i);
      const at = EXTENDED_REGISTERS + i * 16;
      return memory.write(address, at, 8, m) && memory.write(address, at + 8, 8, BigInt(se));
    })
  );
}

/** Reads what `storeExtended` leaves, and returns what makes it the unit's state; undefined on a fault. */
export function readExtended(fpu: FpuState, memory: StateMemory, address: bigint, wide: boolean): (() => void) | undefined {
  const words = memory.read(address, 0, 8);
  const instruction = words === undefined ? undefined : memory.read(address, 8, 8);
  const operand = instruction === undefined ? undefined : memory.read(address, 16, 8);
  if (words === undefined || instruction === undefined || operand === undefined) return undefined;
  const registers = readRegisters(memory, address, EXTENDED_REGISTERS, 16);
  if (registers === undefined) return undefined;
  return () => {
    fpu.control = Number(words & 0xffffn);
    fpu.status = Number((words >> 16n) & 0xffffn);
    fpu.occupied = Number((words >> 32n) & 0xffn);
    fpu.opcode = Number((words >> 48n) & 0x7ffn);
    fpu.instructionOffset = wide ? instruction : instruction & 0xffff_ffffn;
    fpu.instructionSelector = wide ? 0 : Number((instruction >> 32n) & 0xffffn);
    fpu.operandOffset = wide ? operand : operand & 0xffff_ffffn;
    fpu.operandSelector = wide ? 0 : Number((operand >> 32n) & 0xffffn);
    takeRegisters(fpu, registers);
  };
}
