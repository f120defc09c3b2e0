/** One CPU on flat memory: the front end and an op interpreter, with only the helpers that single user-mode instructions need. */
import assert from "node:assert/strict";
import { X86Translator } from "../../../src/cpu/frontend/translator";
import { Helper, type HelperName, helperNames } from "../../../src/cpu/helperIds";
import { integerHelpers } from "../../../src/cpu/helpers/integer";
import {
  MODE_16,
  MODE_32,
  MODE_64,
  MODE_CPL_SHIFT,
  MODE_CS_LIMIT,
  MODE_FLAT,
  MODE_LONG,
  MODE_PROTECTED,
  MODE_SIZE_MASK,
  MODE_STACK32,
} from "../../../src/cpu/mode";
import { FpuState } from "../../../src/cpu/fpu/state";
import { SimdUnit } from "../../../src/cpu/simd/unit";
import type { TranslatedBlock } from "../../../src/cpu/translation";
import { type GeneratedImports, interpreterImports } from "../../../src/tcg/backend/imports";
import { defaultJitOptions, Jit } from "../../../src/tcg/backend/jit";
import { OpBuilder } from "../../../src/tcg/builder";
import { type Block, CodeCache } from "../../../src/tcg/codeCache";
import { packFlags, unpackFlags } from "../../../src/tcg/flags";
import {
  assembleInterpreter,
  ENTER_BLOCK,
  FAULT_ALIGNMENT,
  FAULT_DIVIDE,
  type EngineHost,
  type RunFunction,
} from "../../../src/tcg/interpreter/interpreter";
import {
  BLOCK_HEADER_BYTES,
  CPU_STATE_BYTES,
  MEM_STACK,
  MMU_INDEXES,
  OP_A,
  OP_B,
  OP_D,
  OP_IMM,
  SLOT_CC_AUX,
  SLOT_CC_RES,
  SLOT_MEM_VALUE,
  SLOT_RFLAGS,
  SLOT_RIP,
  SLOT_SEG_BASE,
  SLOT_SEG_LIMIT_R,
  SLOT_SEG_LIMIT_W,
  TLB_ADDEND,
  TLB_ENTRIES,
  TLB_ENTRY_BYTES,
  TLB_READ,
  TLB_WRITE,
  WORD_BUDGET,
  WORD_JUMP_CACHE,
  WORD_JUMP_GENERATION,
  WORD_TLB,
} from "../../../src/tcg/layout";
import { EngineMemory } from "../../../src/tcg/memory";
import { EXIT_FAULT, opNames, STATUS_LEAVE } from "../../../src/tcg/ops";
import { ReferenceInterpreter } from "../../../src/tcg/reference";
import { allFeatures } from "../decode/icedCompare";

export interface Trap {
  readonly vector: number;
  readonly error: number;
}

const STATUS_FLAGS = 0x8d5n;
const PAGE = 4096;

/** Mode word of user code: flat 32 and 64-bit code, 16-bit code with segments of 64 KiB. */
export function userMode(bits: 16 | 32 | 64): number {
  const base = MODE_PROTECTED | (3 << MODE_CPL_SHIFT);
  if (bits === 16) return base | MODE_16 | MODE_CS_LIMIT;
  if (bits === 32) return base | MODE_32 | MODE_FLAT | MODE_STACK32;
  return base | MODE_64 | MODE_FLAT | MODE_LONG;
}

/** What executes: the emitted interpreter, the reference one, or code generated for every block at once. */
export type FlatEngine = "emitted" | "reference" | "generated";

/** Blocks that are translated to WebAssembly before they run the first time. */
class GeneratedBlocks {
  private readonly code: CodeCache;
  private readonly jit: Jit;
  private readonly known = new Map<string, Block>();
  private physical = 0;

  constructor(memory: EngineMemory, table: WebAssembly.Table, imports: GeneratedImports) {
    const nothing = (): void => undefined;
    this.code = new CodeCache(memory, nothing, nothing, () => this.known.clear());
    this.jit = new Jit(memory, this.code, table, imports, {
      ...defaultJitOptions,
      threshold: 1,
      batch: 1,
      patience: 1,
      maximumModules: 500,
    });
    this.code.generated = this.jit;
  }

  /** The block of the ops in `builder`. */
  block(builder: OpBuilder, rip: bigint, mode: number, bytes: number, cpu: number): Block {
    const key = `${rip} ${mode} ${Buffer.from(builder.bytes()).toString("latin1")}`;
    let block = this.known.get(key);
    if (block?.alive !== true) {
      block = this.code.add({ physical: (this.physical += 4096), rip, mode, codeLimit: -1, secondPage: -1 }, builder, bytes);
      this.known.set(key, block);
    }
    // Generated code is dropped when there are too many modules.
    if (this.jit.stats.modulesLive >= 499) this.code.flush();
    if (!block.alive) return this.block(builder, rip, mode, bytes, cpu);
    this.jit.hot(block, cpu);
    assert.equal(this.jit.stats.regionsLive, this.known.size, "every block has generated code");
    return block;
  }
}

export class FlatMachine {
  readonly memory: EngineMemory;
  readonly slots: BigUint64Array;
  /** Guest RAM. */
  readonly ram: Uint8Array;
  readonly builder = new OpBuilder();
  readonly ramBytes: number;
  mode = userMode(64);
  trap: Trap | null = null;
  /** Called for every access that the soft TLB does not cover, with its number within the block; true faults it. */
  refuseAccess: (access: number, write: boolean) => boolean = () => false;
  private accesses = 0;
  /** Addresses that have been read with the right to write: a store to them does not fault. */
  private readonly probed = new Set<bigint>();
  readonly fpu: FpuState;
  private readonly generated: GeneratedBlocks | undefined;
  private readonly simd: SimdUnit;
  private readonly view: DataView;
  private readonly cpu: number;
  private readonly run: RunFunction;
  private readonly translator = new X86Translator(allFeatures);

  constructor(options: { ramBytes?: number; engine?: FlatEngine } = {}) {
    this.ramBytes = options.ramBytes ?? 0x100000;
    this.memory = new EngineMemory({ cpus: 1, ram: this.ramBytes, codeArena: 1 << 17 });
    this.ram = this.memory.u8.subarray(this.memory.ramBase, this.memory.ramBase + this.ramBytes);
    this.view = this.memory.view;
    this.cpu = this.memory.stateOf(0);
    this.fpu = new FpuState(this.memory.memory.buffer, this.cpu);
    this.slots = new BigUint64Array(this.memory.memory.buffer, this.cpu, CPU_STATE_BYTES / 8);
    this.simd = new SimdUnit({ slots: this.slots, fpu: this.fpu, arithmeticFault: () => void this.fault(19, -1) });
    const host = this.host();
    if (options.engine === "reference") this.run = new ReferenceInterpreter(this.memory, host).run;
    else {
      const module = new WebAssembly.Module(assembleInterpreter());
      const table = new WebAssembly.Table({ element: "anyfunc", initial: 4 });
      const { exports } = new WebAssembly.Instance(module, { env: { memory: this.memory.memory, table, ...host } });
      this.run = exports["run"] as RunFunction;
      if (options.engine === "generated") {
        const helper: EngineHost["helper"] = (id, a, b, lo, hi) => host.helper(id, a, b, lo, hi);
        const imports = { ...interpreterImports(exports), helper, hostAddress: () => 0 };
        this.generated = new GeneratedBlocks(this.memory, table, imports);
      }
    }
    this.view.setInt32(this.cpu + WORD_TLB, this.cpu + CPU_STATE_BYTES, true);
    this.view.setInt32(this.cpu + WORD_JUMP_CACHE, this.cpu + CPU_STATE_BYTES + MMU_INDEXES * TLB_ENTRIES * TLB_ENTRY_BYTES, true);
    this.view.setInt32(this.cpu + WORD_JUMP_GENERATION, 1, true);
    this.mapAll();
  }

  /** Maps all RAM one to one in the soft TLB. */
  mapAll(): void {
    const tlb = this.view.getInt32(this.cpu + WORD_TLB, true);
    for (let index = 0; index < TLB_ENTRIES; index++) {
      const entry = tlb + index * TLB_ENTRY_BYTES;
      const page = BigInt(index * PAGE);
      const mapped = index * PAGE < this.ramBytes;
      this.view.setBigInt64(entry + TLB_READ, mapped ? page : -1n, true);
      this.view.setBigInt64(entry + TLB_WRITE, mapped ? page : -1n, true);
      this.view.setInt32(entry + TLB_ADDEND, this.memory.ramBase, true);
    }
  }

  /** Empties the soft TLB: every access takes the slow path. */
  unmapAll(): void {
    const tlb = this.view.getInt32(this.cpu + WORD_TLB, true);
    for (let index = 0; index < TLB_ENTRIES; index++) {
      for (const tag of [TLB_READ, TLB_WRITE]) this.view.setBigInt64(tlb + index * TLB_ENTRY_BYTES + tag, -1n, true);
    }
  }

  setSegment(segment: number, base: number, bound: bigint): void {
    this.slots[SLOT_SEG_BASE / 8 + segment] = BigInt(base);
    this.slots[SLOT_SEG_LIMIT_R / 8 + segment] = bound;
    this.slots[SLOT_SEG_LIMIT_W / 8 + segment] = segment === 1 ? 0n : bound;
  }

  get rflags(): bigint {
    const f = unpackFlags(this.slots[SLOT_CC_RES / 8], this.slots[SLOT_CC_AUX / 8]);
    const bit = (flag: boolean, position: bigint): bigint => (flag ? 1n << position : 0n);
    return this.slots[SLOT_RFLAGS / 8] | bit(f.cf, 0n) | bit(f.pf, 2n) | bit(f.af, 4n) | bit(f.zf, 6n) | bit(f.sf, 7n) | bit(f.of, 11n);
  }

  set rflags(value: bigint) {
    const bit = (position: bigint): boolean => ((value >> position) & 1n) !== 0n;
    const packed = packFlags({ cf: bit(0n), pf: bit(2n), af: bit(4n), zf: bit(6n), sf: bit(7n), of: bit(11n) });
    this.slots[SLOT_CC_RES / 8] = packed.result;
    this.slots[SLOT_CC_AUX / 8] = packed.auxiliary;
    this.slots[SLOT_RFLAGS / 8] = (value & ~STATUS_FLAGS) | 2n;
  }

  get rip(): bigint {
    return this.slots[SLOT_RIP / 8];
  }

  set rip(value: bigint) {
    this.slots[SLOT_RIP / 8] = value;
  }

  /** Translates the block at RIP. */
  translate(maxInstructions: number): TranslatedBlock {
    this.builder.clear();
    const rip = this.rip;
    const linear = Number((this.mode & MODE_SIZE_MASK) === MODE_64 ? rip : (rip + this.slots[SLOT_SEG_BASE / 8 + 1]) & 0xffff_ffffn);
    const code = { byte: (offset: number) => (linear + offset < this.ramBytes ? this.ram[linear + offset] : -1) };
    return this.translator.translate(
      code,
      rip,
      this.mode,
      { maxInstructions, pageBytes: PAGE - (linear % PAGE), breakpointAt: () => false },
      this.builder,
    );
  }

  /** Executes the block at RIP of at most `maxInstructions`; a fault leaves RIP at the block's start and is in `trap`. */
  execute(maxInstructions = 1): number {
    this.trap = null;
    this.accesses = 0;
    this.probed.clear();
    const rip = this.rip;
    const { instructions, bytes } = this.translate(maxInstructions);
    if (this.generated !== undefined) {
      const block = this.generated.block(this.builder, rip, this.mode, bytes, this.cpu);
      this.view.setInt32(this.cpu + WORD_BUDGET, instructions, true);
      const reason = this.run(this.cpu, block.entry, block.header, ENTER_BLOCK);
      if (reason === EXIT_FAULT) this.rip = rip;
      return reason;
    }
    const block = this.memory.arenaBase;
    this.memory.u8.set(this.builder.bytes(), block + BLOCK_HEADER_BYTES);
    this.view.setInt32(this.cpu + WORD_BUDGET, instructions, true);
    const reason = this.run(this.cpu, block + BLOCK_HEADER_BYTES, block, instructions);
    if (reason === EXIT_FAULT) this.rip = rip;
    return reason;
  }

  private fault(vector: number, error: number): number {
    this.trap = { vector, error };
    return 1;
  }

  private host(): EngineHost {
    return {
      helper: (id, a, b, lo, hi) => this.helper(helperNames[id], a, b, lo, hi),
      load: (kind, lo, hi) => this.slowLoad(kind, lo >>> 0, hi >>> 0),
      store: (kind, lo, hi) => this.slowStore(kind, lo >>> 0, hi >>> 0),
      returned: () => 0,
      segment: (op) => this.fault((this.view.getUint8(op + OP_IMM) & 7) === 2 ? 12 : 13, 0),
      fault: (code) => {
        if (code === FAULT_DIVIDE) return this.fault(0, -1);
        return this.fault(code === FAULT_ALIGNMENT ? 17 : 13, 0);
      },
      divide: (op) => this.divide(op),
    };
  }

  /** Checks an access that the TLB does not cover: null when it may be done byte by byte. */
  private refuse(kind: number, lo: number, hi: number, write: boolean): number | null {
    const address = (BigInt(hi) << 32n) | BigInt(lo);
    if (BigInt.asUintN(64, BigInt.asIntN(48, address)) !== address) return this.fault((kind >> 8) & MEM_STACK ? 12 : 13, 0);
    const end = address + BigInt(kind & 15);
    if (write && this.probed.has(address)) return null;
    if (end > BigInt(this.ramBytes) || this.refuseAccess(this.accesses++, write)) return this.fault(14, write ? 6 : 4);
    if (write) this.probed.add(address);
    return null;
  }

  private slowLoad(kind: number, lo: number, hi: number): number {
    const refused = this.refuse(kind, lo, hi, (kind >> 17) % 2 === 1);
    if (refused !== null) return refused;
    let value = 0n;
    for (let i = 0; i < (kind & 15); i++) value |= BigInt(this.ram[lo + i]) << BigInt(8 * i);
    this.slots[SLOT_MEM_VALUE / 8] = value;
    return 0;
  }

  private slowStore(kind: number, lo: number, hi: number): number {
    const refused = this.refuse(kind, lo, hi, true);
    if (refused !== null) return refused;
    const value = this.slots[SLOT_MEM_VALUE / 8];
    for (let i = 0; i < (kind & 15); i++) this.ram[lo + i] = Number((value >> BigInt(8 * i)) & 0xffn);
    return 0;
  }

  private divide(op: number): number {
    const slot = (field: number): number => this.view.getUint16(op + field, true) / 8;
    const signed = opNames[this.view.getUint16(op, true)] === "idiv64";
    const joined = (this.slots[slot(OP_B)] << 64n) | this.slots[slot(OP_D)];
    const dividend = signed ? BigInt.asIntN(128, joined) : joined;
    const divisor = signed ? BigInt.asIntN(64, this.slots[slot(OP_A)]) : this.slots[slot(OP_A)];
    const quotient = dividend / divisor;
    if (quotient !== (signed ? BigInt.asIntN(64, quotient) : BigInt.asUintN(64, quotient))) return this.fault(0, -1);
    this.slots[slot(OP_D)] = BigInt.asUintN(64, quotient);
    this.slots[slot(OP_B)] = BigInt.asUintN(64, dividend % divisor);
    return 0;
  }

  private helper(name: HelperName, a: number, b: number, lo: number, hi: number): number {
    switch (name) {
      case "daa":
      case "das":
      case "aaa":
      case "aas":
      case "aam":
      case "aad":
      case "crc32":
      case "pdep":
      case "pext":
        return integerHelpers[name](this.slots, a, b, lo, hi);
      case "raise":
        return this.fault(lo, hi);
      case "simd":
        return this.simd.run(a, b, lo, hi);
      case "x87Wait":
        return 0;
      case "interrupt":
        // A trap: RIP is behind the instruction.
        this.fault(lo, -1);
        return STATUS_LEAVE;
      case "checkCsLimit":
        return this.slots[a / 8] > 0xffffn ? this.fault(13, 0) : 0;
      case "pause":
        return 0;
      case "bound":
        return this.bound(a, b, lo);
      case "cmpxchg16b":
        return this.compareExchange16(Number(this.slots[a / 8]));
      case "popf":
        this.popFlags(this.slots[a / 8], lo);
        return 0;
      case "enter":
        return this.enter(lo & 0xffff, lo >> 16, hi);
      case "string":
        return this.string(lo);
      default:
        throw new Error(`no helper ${name} (${Helper[name]}) in this machine`);
    }
  }

  private bound(a: number, b: number, bytes: number): number {
    const width = bytes * 8;
    const index = BigInt.asIntN(width, this.slots[a / 8]);
    const address = Number(this.slots[b / 8]);
    const at = (offset: number): bigint => BigInt.asIntN(width, this.readBytes(address + offset, bytes));
    return index < at(0) || index > at(bytes) ? this.fault(5, -1) : 0;
  }

  readBytes(address: number, bytes: number): bigint {
    let value = 0n;
    for (let i = 0; i < bytes; i++) value |= BigInt(this.ram[address + i]) << BigInt(8 * i);
    return value;
  }

  writeBytes(address: number, bytes: number, value: bigint): void {
    for (let i = 0; i < bytes; i++) this.ram[address + i] = Number((value >> BigInt(8 * i)) & 0xffn);
  }

  private compareExchange16(address: number): number {
    if (address % 16 !== 0) return this.fault(13, 0);
    const old = this.readBytes(address, 16);
    const equal = old === ((this.slots[2] << 64n) | this.slots[0]);
    if (equal) this.writeBytes(address, 16, (this.slots[1] << 64n) | this.slots[3]);
    else {
      this.slots[0] = BigInt.asUintN(64, old);
      this.slots[2] = old >> 64n;
    }
    this.rflags = (this.rflags & ~0x40n) | (equal ? 0x40n : 0n);
    return 0;
  }

  /** POPF of user code with IOPL 0: IF and IOPL stay. */
  private popFlags(value: bigint, bytes: number): void {
    const mask = bytes === 2 ? 0x4dd5n : 0x244dd5n;
    this.rflags = (this.rflags & ~mask) | (value & mask);
  }

  private get stackMask(): bigint {
    const size = this.mode & MODE_SIZE_MASK;
    return size === MODE_64 ? 0xffff_ffff_ffff_ffffn : this.mode & MODE_STACK32 ? 0xffff_ffffn : 0xffffn;
  }

  private enter(size: number, bytes: number, level: number): number {
    const mask = this.stackMask;
    const base = this.slots[SLOT_SEG_BASE / 8 + 2] * (mask === 0xffffn ? 1n : 0n);
    const linear = (offset: bigint): number => Number((offset & mask) + base);
    let sp = this.slots[4] & mask;
    let bp = this.slots[5] & mask;
    const step = BigInt(bytes);
    const push = (value: bigint): void => {
      sp = (sp - step) & mask;
      this.writeBytes(linear(sp), bytes, value);
    };
    push(this.slots[5]);
    const frame = (this.slots[4] & ~mask) | sp;
    for (let index = 1; index < level; index++) {
      bp = (bp - step) & mask;
      push(this.readBytes(linear(bp), bytes));
    }
    push(frame);
    sp = (sp - BigInt(size)) & mask;
    this.slots[4] = (this.slots[4] & ~mask) | sp;
    this.slots[5] = bytes === 2 ? (this.slots[5] & ~0xffffn) | (frame & 0xffffn) : bytes === 4 ? frame & 0xffff_ffffn : frame;
    return 0;
  }

  /** String instructions, to their end. */
  private string(descriptor: number): number {
    const kind = descriptor & 7;
    const bytes = (descriptor >> 4) & 15;
    const addressBytes = (descriptor >> 8) & 15;
    const repeat = (descriptor >> 12) & 3;
    const segment = (descriptor >> 16) & 7;
    const mask = (1n << BigInt(addressBytes * 8)) - 1n;
    const { slots } = this;
    const step = BigInt(bytes) * (this.rflags & 0x400n ? -1n : 1n);
    const is64 = (this.mode & MODE_SIZE_MASK) === MODE_64;
    const linear = (seg: number, register: number): number =>
      Number(((slots[register] & mask) + (is64 && seg < 4 ? 0n : slots[SLOT_SEG_BASE / 8 + seg])) & (is64 ? ~0n : 0xffff_ffffn));
    const advance = (register: number, by: bigint): void => {
      const value = (slots[register] + by) & mask;
      slots[register] = addressBytes === 2 ? (slots[register] & ~mask) | value : value;
    };
    for (;;) {
      if (repeat !== 0 && (slots[1] & mask) === 0n) return 0;
      const source = (): bigint => this.readBytes(linear(segment, 6), bytes);
      const width = bytes * 8;
      const accumulator = BigInt.asUintN(width, slots[0]);
      switch (kind) {
        case 0:
          this.writeBytes(linear(0, 7), bytes, source());
          break;
        case 1:
          this.compareFlags(source(), this.readBytes(linear(0, 7), bytes), width);
          break;
        case 2:
          this.writeBytes(linear(0, 7), bytes, accumulator);
          break;
        case 3:
          slots[0] = width === 64 || width === 32 ? source() : (slots[0] & ~((1n << BigInt(width)) - 1n)) | source();
          break;
        case 4:
          this.compareFlags(accumulator, this.readBytes(linear(0, 7), bytes), width);
          break;
        default:
          return this.fault(13, 0);
      }
      if (kind !== 2 && kind !== 4) advance(6, step);
      if (kind !== 3) advance(7, step);
      if (repeat === 0) return 0;
      advance(1, -1n);
      if ((kind === 1 || kind === 4) && ((this.rflags & 0x40n) !== 0n) !== (repeat === 1)) return 0;
    }
  }

  private compareFlags(left: bigint, right: bigint, width: number): void {
    const wide = BigInt.asUintN(width, left - right);
    const signed = BigInt.asIntN(width, left) - BigInt.asIntN(width, right);
    let low = Number(wide & 0xffn);
    low ^= low >> 4;
    low ^= low >> 2;
    low ^= low >> 1;
    const packed = packFlags({
      cf: left < right,
      pf: (low & 1) === 0,
      af: (left & 15n) < (right & 15n),
      zf: wide === 0n,
      sf: wide >> BigInt(width - 1) !== 0n,
      of: signed !== BigInt.asIntN(width, signed),
    });
    this.slots[SLOT_CC_RES / 8] = packed.result;
    this.slots[SLOT_CC_AUX / 8] = packed.auxiliary;
  }
}
