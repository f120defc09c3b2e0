import { MODE_16, MODE_64, MODE_PROTECTED, MODE_SIZE_MASK, MODE_VM86 } from "../mode";
import type { CpuFeatures } from "../features";
import type { CodeSource } from "../translation";
import { type OpcodeCell, opcodeMaps } from "./opcodeTable";
import { oneByteRows } from "./oneByte";
import { type OpcodeRow, PREFIX_66, PREFIX_F2, PREFIX_F3, PREFIX_NONE, Size64, type OperandKind } from "./rows";

/** What decoding came to. */
export const DECODE_OK = 0;
/** #UD: no such instruction, or one that the mode, a prefix or its operands do not allow. */
export const DECODE_UNDEFINED = 1;
/** #GP(0): longer than 15 bytes. */
export const DECODE_TOO_LONG = 2;
/** A byte could not be fetched. */
export const DECODE_FETCH_FAULT = 3;
/** A byte at or past the given end was needed. */
export const DECODE_PAST_END = 4;

const MAX_LENGTH = 15;
/** Base "register" of RIP-relative addresses. */
export const BASE_RIP = 16;
/** No base or index register. */
export const NO_REGISTER = -1;

export type Width = 8 | 16 | 32 | 64;

/** Registers of 16-bit addressing by rm: base and index. */
const bases16 = [3, 3, 5, 5, 6, 7, 5, 3];
/** Prefix classes by VEX.pp. */
const vexPrefixes = [PREFIX_NONE, PREFIX_66, PREFIX_F3, PREFIX_F2];
const indexes16 = [6, 7, 6, 7, NO_REGISTER, NO_REGISTER, NO_REGISTER, NO_REGISTER];

/**
 * Decodes one instruction at a time into its own fields (SDM volume 2, chapter 2); reads nothing but bytes and the mode, allocates nothing.
 * After `decode` returned DECODE_OK all fields describe the instruction; after another result only `length` (bytes consumed) is meaningful.
 */
export class Decoder {
  length = 0;
  row: OpcodeRow = oneByteRows.at(0)[0];
  opcode = 0;
  /** The ModRM byte; 0 without one. */
  modrm = 0;
  /** Effective operand and address size in bits. */
  operandSize: 16 | 32 | 64 = 32;
  addressSize: 16 | 32 | 64 = 32;
  lock = false;
  /** 0, or 0xf2 or 0xf3: the last of these prefixes. */
  repeat = 0;
  /** A REX prefix is in effect: byte registers 4-7 are SPL..DIL. */
  rex = false;
  rexW = false;
  /** VEX-coded; VEX.L. `vvvv` is right only then. */
  vex = false;
  vexL = false;
  /** ModRM fields, with their REX bits. For `memory` false, `rm` is a register. */
  memory = false;
  reg = 0;
  rm = 0;
  /** Register in the low bits of the opcode, with REX.B. */
  opcodeRegister = 0;
  vvvv = 0;
  /** Memory operand: registers or NO_REGISTER (base also BASE_RIP), shift of the index, displacement (sign-extended 32 bits). */
  base = NO_REGISTER;
  index = NO_REGISTER;
  scale = 0;
  displacement = 0;
  /** High half of a 64-bit offset (moffs). */
  displacementHigh = 0;
  /** Segment prefix in effect, or -1. In 64-bit mode only FS and GS count. */
  segmentOverride = -1;
  /** Segment of the memory operand: override or default. */
  segment = 3;
  /** First immediate or branch displacement, sign-extended (a byte: zero-extended unless Ibs or Jb); its high half (64-bit immediates); the second one. */
  immediate = 0;
  immediateHigh = 0;
  immediate2 = 0;

  private readonly maps;
  private status = DECODE_OK;
  private code: CodeSource = { byte: () => -1 };
  private start = 0;
  private end = 0;
  private is64 = false;
  private rexBits = 0;
  /** REX.W, or VEX.W whatever the mode. */
  private wBit = false;

  constructor(features: CpuFeatures) {
    this.maps = opcodeMaps(features);
  }

  /** Decodes the instruction at `offset` of `code`. Bytes at `end` and past it are not asked for. */
  decode(code: CodeSource, offset: number, mode: number, end: number): number {
    this.code = code;
    this.start = offset;
    this.end = end;
    this.length = 0;
    this.status = DECODE_OK;
    const size = mode & MODE_SIZE_MASK;
    this.is64 = size === MODE_64;
    this.lock = false;
    this.vex = false;
    this.vexL = false;
    this.repeat = 0;
    this.segmentOverride = -1;
    let operandPrefix = false;
    let addressPrefix = false;
    let rex = 0;
    let opcode: number;
    for (;;) {
      opcode = this.next();
      if (this.is64 && (opcode & 0xf0) === 0x40) {
        rex = opcode;
        continue;
      }
      if (opcode === 0x66) operandPrefix = true;
      else if (opcode === 0x67) addressPrefix = true;
      else if (opcode === 0xf0) this.lock = true;
      else if (opcode === 0xf2 || opcode === 0xf3) this.repeat = opcode;
      else if (opcode === 0x64 || opcode === 0x65) this.segmentOverride = opcode - 0x60;
      else if ((opcode & 0xe7) === 0x26) {
        if (!this.is64) this.segmentOverride = (opcode >> 3) & 3;
      } else break;
      rex = 0;
    }
    const prefixClass = this.repeat === 0xf3 ? PREFIX_F3 : this.repeat === 0xf2 ? PREFIX_F2 : operandPrefix ? PREFIX_66 : PREFIX_NONE;
    this.addressSize = this.is64 ? (addressPrefix ? 32 : 64) : (size === MODE_16) === addressPrefix ? 32 : 16;
    const operand16 = size === MODE_16 ? !operandPrefix : operandPrefix;

    if (opcode === 0xc4 || opcode === 0xc5 || opcode === 0x62) {
      const payload = this.next();
      if (this.is64 || (payload & 0xc0) === 0xc0) {
        const allowed = (mode & MODE_PROTECTED) !== 0 && (mode & MODE_VM86) === 0;
        if (!allowed || rex !== 0 || prefixClass !== PREFIX_NONE || this.lock) return this.undefined();
        // AVX-512 is not offered.
        return opcode === 0x62 ? this.undefined() : this.decodeVex(opcode, payload);
      }
      this.setRex(0);
      return this.decodeCell(this.maps.oneByte.at(opcode), opcode, payload, prefixClass, operand16);
    }

    this.setRex(rex);
    let map = this.maps.oneByte;
    if (opcode === 0x0f) {
      opcode = this.next();
      map = this.maps.twoByte;
      if (opcode === 0x38 || opcode === 0x3a) {
        map = opcode === 0x38 ? this.maps.map38 : this.maps.map3A;
        opcode = this.next();
      }
    }
    return this.decodeCell(map.at(opcode), opcode, -1, prefixClass, operand16);
  }

  private undefined(): number {
    return this.status === DECODE_OK ? DECODE_UNDEFINED : this.status;
  }

  private setRex(rex: number): void {
    this.rex = rex !== 0;
    this.rexBits = rex;
    this.rexW = (rex & 8) !== 0;
    this.wBit = this.rexW;
  }

  private decodeCell(cell: OpcodeCell, opcode: number, modrmRead: number, prefixClass: number, operand16: boolean): number {
    this.opcode = opcode;
    const modrm = cell.modrm ? (modrmRead >= 0 ? modrmRead : this.next()) : 0;
    if (this.status !== DECODE_OK) return this.status;
    this.modrm = modrm;
    const row = this.select(cell, modrm, prefixClass);
    if (row === undefined) return DECODE_UNDEFINED;
    this.row = row;
    if (this.is64 && (this.rexW || row.size64 === Size64.force64)) this.operandSize = 64;
    else if (operand16) this.operandSize = 16;
    else this.operandSize = this.is64 && row.size64 === Size64.default64 ? 64 : 32;
    return this.decodeOperands(row, modrm);
  }

  private select(cell: OpcodeCell, modrm: number, prefixClass: number): OpcodeRow | undefined {
    for (const row of cell.rows) {
      if (
        (row.prefixes & prefixClass) !== 0 &&
        (row.reg < 0 || row.reg === ((modrm >> 3) & 7)) &&
        (row.mod < 0 || (row.mod === 1) === modrm >= 0xc0) &&
        (row.rm < 0 || row.rm === (modrm & 7)) &&
        (this.is64 ? row.valid64 : row.valid32) &&
        (row.w < 0 || (row.w === 1) === this.wBit) &&
        (row.l < 0 || (row.l === 1) === this.vexL)
      ) {
        return row;
      }
    }
    return undefined;
  }

  private decodeOperands(row: OpcodeRow, modrm: number): number {
    this.opcodeRegister = (this.opcode & 7) | ((this.rexBits & 1) << 3);
    this.memory = false;
    this.segment = this.segmentOverride >= 0 ? this.segmentOverride : 3;
    if (row.modrm) this.decodeModrm(modrm, row.modIsRegister, row.vsib);
    this.immediate = 0;
    this.immediateHigh = 0;
    this.immediate2 = 0;
    let immediates = 0;
    for (const operand of row.operands) if (this.decodeImmediate(operand, immediates)) immediates++;
    if (this.status !== DECODE_OK) return this.status;
    if (this.lock && !(row.lockable && this.memory)) return DECODE_UNDEFINED;
    return this.registersExist(row) ? DECODE_OK : DECODE_UNDEFINED;
  }

  /** Segment, control and debug registers: whether the one named exists and may be named here. */
  private registersExist(row: OpcodeRow): boolean {
    switch (row.mnemonic) {
      case "movSeg":
        this.reg &= 7;
        return this.reg < 6 && !(row.operands[0].letter === "S" && this.reg === 1);
      case "movCr":
        return this.reg === 0 || (this.reg >= 2 && this.reg <= 4) || this.reg === 8;
      case "movDr":
        return this.reg < 8;
      default:
        return true;
    }
  }

  private decodeVex(opcode: number, first: number): number {
    let bits = first;
    let map = 1;
    // VEX.RXB are stored inverted.
    let rex = 0x40 | ((~first >> 5) & 4);
    if (opcode === 0xc4) {
      rex = 0x40 | ((~first >> 5) & 7);
      map = first & 31;
      bits = this.next();
      if ((bits & 0x80) !== 0) rex |= 8;
    }
    if (!this.is64) rex = 0x40;
    this.setRex(rex);
    // Row selection sees VEX.W in every mode; operands of 64 bits exist in 64-bit mode only.
    this.wBit = opcode === 0xc4 && (bits & 0x80) !== 0;
    this.vex = true;
    this.vexL = (bits & 4) !== 0;
    this.vvvv = (~bits >> 3) & (this.is64 ? 15 : 7);
    const prefixClass = vexPrefixes[bits & 3];
    const next = this.next();
    if (map < 1 || map > 3) return this.undefined();
    const cell = (map === 1 ? this.maps.vex0F : map === 2 ? this.maps.vex38 : this.maps.vex3A).at(next);
    const status = this.decodeCell(cell, next, -1, prefixClass, false);
    if (status !== DECODE_OK) return status;
    const { row } = this;
    if (!row.usesVvvv && (bits & 0x78) !== 0x78) return DECODE_UNDEFINED;
    // A gather's destination, mask and indexes are three registers, and its address is formed with a SIB byte.
    if (row.vsib && (this.index < 0 || this.reg === this.vvvv || this.reg === this.index || this.vvvv === this.index))
      return DECODE_UNDEFINED;
    return status;
  }

  /** Number of the register that the upper half of the immediate names (operand L). */
  get immediateRegister(): number {
    return (this.immediate >> 4) & (this.is64 ? 15 : 7);
  }

  private decodeModrm(modrm: number, modIsRegister: boolean, vsib: boolean): void {
    const rex = this.rexBits;
    const mod = modrm >> 6;
    const rm = modrm & 7;
    this.reg = ((modrm >> 3) & 7) | ((rex & 4) << 1);
    this.memory = mod !== 3 && !modIsRegister;
    if (!this.memory) {
      this.rm = rm | ((rex & 1) << 3);
      return;
    }
    this.displacementHigh = 0;
    this.scale = 0;
    this.displacement = 0;
    let displacementBytes = mod === 1 ? 1 : mod === 2 ? (this.addressSize === 16 ? 2 : 4) : 0;
    if (this.addressSize === 16) {
      // No SIB byte: a gather is refused for want of an index.
      if (vsib) {
        this.index = NO_REGISTER;
        return;
      }
      this.base = bases16[rm];
      this.index = indexes16[rm];
      if (mod === 0 && rm === 6) {
        this.base = NO_REGISTER;
        displacementBytes = 2;
      }
    } else {
      this.index = NO_REGISTER;
      if (rm === 4) {
        const sib = this.next();
        const index = ((sib >> 3) & 7) | ((rex & 2) << 2);
        if (index !== 4 || vsib) {
          this.index = index;
          this.scale = sib >> 6;
        }
        this.base = (sib & 7) | ((rex & 1) << 3);
        if (mod === 0 && (sib & 7) === 5) {
          this.base = NO_REGISTER;
          displacementBytes = 4;
        }
      } else if (mod === 0 && rm === 5) {
        this.base = this.is64 ? BASE_RIP : NO_REGISTER;
        displacementBytes = 4;
      } else this.base = rm | ((rex & 1) << 3);
    }
    if (displacementBytes === 1) this.displacement = (this.next() << 24) >> 24;
    else if (displacementBytes === 2) this.displacement = this.signed16();
    else if (displacementBytes === 4) this.displacement = this.signed32();
    const stack = this.base === 5 || (this.base === 4 && this.addressSize !== 16);
    if (stack && this.segmentOverride < 0) this.segment = 2;
  }

  /** Reads the immediate of an operand, if it has one. `ordinal`: immediates before it. */
  private decodeImmediate({ letter, width }: OperandKind, ordinal: number): boolean {
    switch (letter) {
      case "I":
        if (ordinal > 0) this.immediate2 = this.plainImmediate(width);
        else {
          this.immediate = this.plainImmediate(width);
          const wide = width === "v" && this.operandSize === 64;
          this.immediateHigh = wide ? this.signed32() : this.immediate >> 31;
        }
        return true;
      case "J":
        this.immediate = width === "b" ? (this.next() << 24) >> 24 : this.operandSize === 16 ? this.signed16() : this.signed32();
        return true;
      case "L":
        this.immediate = this.next();
        return true;
      case "A":
        this.immediate = this.operandSize === 16 ? this.unsigned16() : this.signed32();
        this.immediate2 = this.unsigned16();
        return true;
      case "O":
        this.memory = true;
        this.base = NO_REGISTER;
        this.index = NO_REGISTER;
        this.scale = 0;
        this.displacement = this.addressSize === 16 ? this.unsigned16() : this.signed32();
        this.displacementHigh = this.addressSize === 64 ? this.signed32() : 0;
        return true;
      default:
        return false;
    }
  }

  private plainImmediate(width: OperandKind["width"]): number {
    switch (width) {
      case "b":
        return this.next();
      case "bs":
        return (this.next() << 24) >> 24;
      case "w":
        return this.unsigned16();
      default:
        // Iz is at most 32 bits and sign-extended; of a 64-bit Iv this is the low half.
        return this.operandSize === 16 ? this.signed16() : this.signed32();
    }
  }

  /** The next byte; once one cannot be had, zeros (and `status` says why). */
  private next(): number {
    if (this.status !== DECODE_OK) return 0;
    if (this.length === MAX_LENGTH) return this.stop(DECODE_TOO_LONG);
    const at = this.start + this.length;
    if (at >= this.end) return this.stop(DECODE_PAST_END);
    const byte = this.code.byte(at);
    if (byte < 0) return this.stop(DECODE_FETCH_FAULT);
    this.length++;
    return byte;
  }

  private stop(status: number): number {
    this.status = status;
    return 0;
  }

  private unsigned16(): number {
    const low = this.next();
    return low | (this.next() << 8);
  }

  private signed16(): number {
    return (this.unsigned16() << 16) >> 16;
  }

  private signed32(): number {
    const low = this.unsigned16();
    return low | (this.unsigned16() << 16);
  }
}
