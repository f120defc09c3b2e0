/** Builds the code bytes, pinned registers and memory windows of a group of cases. */
import { mix, type Mode, type Random, RIP } from "../expand.js";
import { AREA, SEGMENT_BASES } from "../format.js";
import type { Draft } from "./native.js";

export type Width = 8 | 16 | 32 | 64;

/** A register as an operand. `high` marks AH, CH, DH, BH (whose `index` is that of the whole register). */
export interface RegOperand {
  readonly kind: "reg";
  readonly code: number;
  readonly index: number;
  readonly high: boolean;
}

/** A memory operand: how it is encoded, and where its bytes are. */
export interface MemOperand {
  readonly kind: "mem";
  readonly mod: number;
  readonly rm: number;
  readonly sib: { readonly scale: number; readonly index: number; readonly base: number } | undefined;
  readonly disp: bigint;
  readonly dispSize: 0 | 1 | 2 | 4;
  /** Offset that a RIP-relative operand must come to, for the displacement is known only with the length. */
  readonly ripTarget: bigint | undefined;
  readonly segmentPrefix: number | undefined;
  readonly addressPrefix: boolean;
  /** Window and offset of the operand's first byte; window -1 for an address that is not accessed. */
  readonly window: number;
  readonly offset: number;
}

export type Operand = RegOperand | MemOperand;

export interface MemOptions {
  /** Registers that must not be pinned, as a case changes them. */
  readonly avoid?: readonly number[];
  /** The address to form is this much below the bytes accessed (bit strings). */
  readonly delta?: bigint;
  /** Bytes of the window before and behind the operand: guards that must not change. */
  readonly guard?: number;
  /** Alignment of the operand; none by default. */
  readonly align?: number;
  /** Form an address without accessing it: nothing is pinned (LEA). */
  readonly free?: boolean;
}

export interface EncodeSpec {
  readonly opcode: readonly number[];
  /** 66h by width, or none where the opcode has one width only. */
  readonly width?: Width;
  /** In 64-bit mode the width is 64 without REX.W (PUSH, CALL...). */
  readonly default64?: boolean;
  readonly mandatory?: number;
  readonly reg?: Operand | number;
  readonly rm?: Operand;
  /** A register in the low three bits of the opcode. */
  readonly plus?: RegOperand;
  readonly imm?: readonly number[];
  readonly lock?: boolean;
  readonly prefixes?: readonly number[];
  /** A VEX prefix instead of REX and 0F escapes: opcode map, implied prefix, and the register in vvvv. */
  readonly vex?: { readonly map: 1 | 2 | 3; readonly pp: 0 | 1 | 2 | 3; readonly v?: RegOperand };
}

/** An address in a register that the instruction implies, or in the instruction itself. */
export interface Pointer {
  readonly prefixes: readonly number[];
  readonly addressWidth: 16 | 32 | 64;
  readonly linear: number;
  readonly offset: number;
}

const SEGMENT_PREFIX = { cs: 0x2e, ss: 0x36, ds: 0x3e, es: 0x26, fs: 0x64, gs: 0x65 } as const;
type Segment = keyof typeof SEGMENT_PREFIX;
const DATA_START = AREA.dataStart;

/** The bytes of a number, little-endian. */
export function bytesOf(value: bigint, length: number): number[] {
  return Array.from({ length }, (_, i) => Number((value >> BigInt(8 * i)) & 0xffn));
}

/** Chooses operands for one group of cases and assembles the instruction. */
export class Gen {
  readonly pins = new Map<number, bigint>();
  readonly windows: { address: number; length: number }[] = [];
  /** Whether the instruction has a REX prefix: fixed before operands are chosen, as it decides what 4..7 mean. */
  rex: boolean;

  constructor(
    readonly mode: Mode,
    readonly random: Random,
  ) {
    this.rex = mode === 64 && random.chance(2, 3);
  }

  /** A mixed value of a width. */
  value(width: number): bigint {
    const halves = new Uint32Array(2);
    mix(this.random, halves, 0);
    return BigInt.asUintN(width, BigInt(halves[0]) | (BigInt(halves[1]) << 32n));
  }

  /** Any general register that may be encoded. */
  reg(width: Width, avoid: readonly number[] = []): RegOperand {
    if (width === 64) this.rex = true;
    for (;;) {
      const code = this.random.below(this.rex ? 16 : 8);
      const high = width === 8 && !this.rex && code >= 4;
      const index = high ? code - 4 : code;
      if (!avoid.includes(index)) return { kind: "reg", code, index, high };
    }
  }

  pin(register: number, value: bigint): void {
    this.pins.set(register, BigInt.asUintN(this.mode === 64 ? 64 : 32, value));
  }

  /** Adds a memory window around [address, address + size) and returns its number. */
  window(address: number, size: number, guard = 8): number {
    this.windows.push({ address: address - guard, length: size + guard * 2 });
    return this.windows.length - 1;
  }

  /** An offset for `size` bytes in a 64 KiB area, unaligned, now and then across a page. */
  private offset(size: number): number {
    if (this.random.chance(1, 8)) return 0x1000 * (1 + this.random.below(14)) - 1 - this.random.below(Math.max(size - 1, 1));
    return 0x400 + this.random.below(0xf000 - size);
  }

  /** A place for data, as a linear address and an offset in segment `segment`. */
  place(segment: Segment, size: number, align = 1): { linear: number; offset: number } {
    const base = SEGMENT_BASES[this.mode][segment];
    const inSegment = (this.offset(size) & -align) + (base === 0 ? DATA_START : 0);
    return { linear: base + inSegment, offset: inSegment };
  }

  /**
   * A place for `size` bytes to be addressed with addresses of the mode's width, or of the other one if `other`;
   * `segment` undefined allows overrides of DS, and then the prefixes hold the one chosen.
   */
  pointer(size: number, other: boolean, segment?: "es"): Pointer {
    const { mode, random } = this;
    const addressWidth = mode === 16 ? (other ? 32 : 16) : mode === 32 ? (other ? 16 : 32) : other ? 32 : 64;
    const prefixes = other ? [0x67] : [];
    let chosen: Segment = segment ?? "ds";
    if (segment === undefined && (random.chance(1, 3) || (mode === 32 && other))) {
      chosen = random.pick(mode === 32 && other ? (["fs", "gs"] as const) : (["ss", "ds", "es", "fs", "gs"] as const));
      prefixes.push(SEGMENT_PREFIX[chosen]);
    }
    return { prefixes, addressWidth, ...this.place(chosen, size) };
  }

  /** Pins the low `width` bits of a register, the bits above being mixed. */
  pinLow(register: number, width: number, value: bigint): void {
    this.pin(register, ((this.value(64) >> BigInt(width)) << BigInt(width)) | BigInt.asUintN(width, value));
  }

  /** Pins the stack pointer with room around it and returns its linear address. */
  stack(): number {
    const offset = 0x2000 + this.random.below(0x5000);
    if (this.mode === 16) this.pinLow(4, 16, BigInt(offset));
    else this.pin(4, BigInt(0x50000 + offset));
    return 0x50000 + offset;
  }

  /** Pins the instruction pointer to a random place in the code area. */
  placeCode(): void {
    this.pin(RIP, BigInt((this.mode === 16 ? 0 : AREA.codeStart) + 0x1000 + this.random.below(0xd000)));
  }

  /** A branch target in the code area, not near the instruction. */
  target(): bigint {
    for (;;) {
      const target = BigInt((this.mode === 16 ? 0 : AREA.codeStart) + 0x100 + this.random.below(0xfe00));
      const distance = target - this.rip();
      if (distance < -16n || distance > 32n) return target;
    }
  }

  /** A memory operand of `size` bytes with any addressing form of the mode. */
  mem(size: number, options: MemOptions = {}): MemOperand {
    const { random, mode } = this;
    const addressPrefix = random.chance(1, 5);
    const addressWidth = mode === 16 ? (addressPrefix ? 32 : 16) : mode === 32 ? (addressPrefix ? 16 : 32) : addressPrefix ? 32 : 64;
    // In flat 32-bit mode a 16-bit address can only reach memory through FS or GS, whose bases are not 0.
    const onlyFs = mode === 32 && addressWidth === 16 && !options.free;
    const override: Segment | undefined = onlyFs
      ? random.pick(["fs", "gs"] as const)
      : random.chance(1, 4)
        ? random.pick(mode === 64 ? (["cs", "ss", "ds", "es", "fs", "gs"] as const) : (["ss", "ds", "es", "fs", "gs"] as const))
        : undefined;
    const shape = addressWidth === 16 ? this.shape16(options) : this.shape32(options);
    const segment: Segment = override ?? (shape.stack ? "ss" : "ds");
    let window = -1;
    let target = 0n;
    let guard = 0;
    if (!options.free) {
      guard = options.guard ?? 8;
      const place = this.place(mode === 64 && segment !== "fs" && segment !== "gs" ? "ds" : segment, size, options.align);
      target = BigInt(place.offset) - (options.delta ?? 0n);
      window = this.window(place.linear, size, guard);
    }
    const fields = this.solve(shape, addressWidth, target, options.free === true);
    return {
      kind: "mem",
      ...fields,
      segmentPrefix: override && SEGMENT_PREFIX[override],
      addressPrefix,
      window,
      offset: guard,
    };
  }

  private shape16(options: MemOptions): Shape {
    const avoid = options.avoid ?? [];
    const bases: readonly (readonly number[])[] = [[3, 6], [3, 7], [5, 6], [5, 7], [6], [7], [5], [3]];
    for (;;) {
      const rm = this.random.below(8);
      const mod = this.random.below(3);
      const absolute = mod === 0 && rm === 6;
      const registers = absolute ? [] : bases[rm];
      if (registers.some((register) => avoid.includes(register))) continue;
      return { kind: 16, mod, rm, registers, stack: !absolute && (rm === 2 || rm === 3 || rm === 6) };
    }
  }

  private shape32(options: MemOptions): Shape {
    const { random } = this;
    const limit = this.rex ? 16 : 8;
    const avoid = options.avoid ?? [];
    const allowed = (register: number): boolean => !avoid.includes(register);
    const mod = random.below(3);
    for (;;) {
      const draw = random.below(8);
      if (draw === 0) return { kind: "absolute", sib: this.mode !== 64 && random.chance(1, 3), stack: false };
      if (draw === 1 && this.mode === 64) return { kind: "rip", stack: false };
      if (draw <= 3) {
        const base = random.below(limit);
        if ((base & 7) === 4 || (mod === 0 && (base & 7) === 5) || !allowed(base)) continue;
        return { kind: "base", mod, base, stack: base === 5 };
      }
      const index = random.below(limit);
      const scale = random.below(4);
      if (draw === 4) {
        if (index === 4 || !allowed(index)) continue;
        return { kind: "index", index, scale, stack: false };
      }
      const base = random.below(limit);
      if (mod === 0 && (base & 7) === 5) continue;
      if (!allowed(base) || (index !== 4 && !allowed(index))) continue;
      if (base === index && !options.free) continue;
      return { kind: "sib", mod, base, index, scale, stack: base === 4 || base === 5 };
    }
  }

  /** Gives the registers of an address the values that make it come to `target`; a free address takes any. */
  private solve(shape: Shape, width: 16 | 32 | 64, target: bigint, free: boolean): Solved {
    const { random } = this;
    const upper = (register: number): bigint => (width === this.registerWidth() ? 0n : (this.pins.get(register) ?? this.value(64)) >> BigInt(width) << BigInt(width));
    const set = (register: number, value: bigint): void => {
      if (!free) this.pin(register, upper(register) | BigInt.asUintN(width, value));
    };
    const displacement = (mod: number, wide: 2 | 4): { disp: bigint; dispSize: 0 | 1 | 2 | 4 } => {
      if (mod === 0) return { disp: 0n, dispSize: 0 };
      if (mod === 1) return { disp: BigInt(random.below(256) - 128), dispSize: 1 };
      return { disp: BigInt.asIntN(wide * 8, this.value(wide * 8)), dispSize: wide };
    };
    const plain = { sib: undefined, ripTarget: undefined };
    switch (shape.kind) {
      case 16: {
        if (shape.registers.length === 0) return { ...plain, mod: 0, rm: 6, disp: free ? this.value(16) : target, dispSize: 2 };
        const { disp, dispSize } = displacement(shape.mod, 2);
        const [base, index] = shape.registers;
        let rest = target - disp;
        if (index !== undefined) {
          const value = this.value(16);
          set(index, value);
          rest -= value;
        }
        set(base, rest);
        return { ...plain, mod: shape.mod, rm: shape.rm, disp, dispSize };
      }
      case "absolute": {
        const disp = free ? this.value(32) : target;
        // In 64-bit mode the short form means RIP-relative, so an absolute address needs a SIB byte.
        if (this.mode === 64 || shape.sib) {
          return { mod: 0, rm: 4, sib: { scale: random.below(4), index: 4, base: 5 }, disp, dispSize: 4, ripTarget: undefined };
        }
        return { ...plain, mod: 0, rm: 5, disp, dispSize: 4 };
      }
      case "rip":
        return { mod: 0, rm: 5, sib: undefined, disp: this.value(32), dispSize: 4, ripTarget: free ? undefined : target };
      case "base": {
        const { disp, dispSize } = displacement(shape.mod, 4);
        set(shape.base, target - disp);
        return { ...plain, mod: shape.mod, rm: shape.base, disp, dispSize };
      }
      case "index": {
        // The displacement takes up what a scaled index cannot reach.
        const value = this.smallSigned();
        set(shape.index, value);
        const disp = free ? this.value(32) : target - (value << BigInt(shape.scale));
        return { mod: 0, rm: 4, sib: { scale: shape.scale, index: shape.index, base: 5 }, disp, dispSize: 4, ripTarget: undefined };
      }
      case "sib": {
        const { disp, dispSize } = displacement(shape.mod, 4);
        let rest = target - disp;
        if (shape.index !== 4) {
          const value = this.value(width);
          set(shape.index, value);
          rest -= value << BigInt(shape.scale);
        }
        set(shape.base, rest);
        return { mod: shape.mod, rm: 4, sib: { scale: shape.scale, index: shape.index, base: shape.base }, disp, dispSize, ripTarget: undefined };
      }
    }
  }

  private registerWidth(): 32 | 64 {
    return this.mode === 64 ? 64 : 32;
  }

  private smallSigned(): bigint {
    return BigInt(this.random.below(0x1000_0000) - 0x800_0000);
  }

  /** Assembles an instruction; legacy prefixes come in any order. */
  encode(spec: EncodeSpec): Uint8Array {
    const { random, mode } = this;
    const { rm, reg } = spec;
    const prefixes = [...(spec.prefixes ?? [])];
    if (spec.lock) prefixes.push(0xf0);
    if (spec.mandatory !== undefined) prefixes.push(spec.mandatory);
    const rexW = spec.width === 64 && !spec.default64;
    if (spec.width === (mode === 16 ? 32 : 16)) prefixes.push(0x66);
    if (rm?.kind === "mem") {
      if (rm.addressPrefix) prefixes.push(0x67);
      if (rm.segmentPrefix !== undefined) prefixes.push(rm.segmentPrefix);
    } else if (spec.prefixes === undefined && random.chance(1, 24)) {
      // Without a memory operand a segment prefix means nothing.
      prefixes.push(random.pick([0x26, 0x36, 0x3e, 0x64, 0x65]));
    }
    for (let i = prefixes.length - 1; i > 0; i--) {
      const j = random.below(i + 1);
      [prefixes[i], prefixes[j]] = [prefixes[j], prefixes[i]];
    }
    const regCode = typeof reg === "number" ? reg : reg?.kind === "reg" ? reg.code : 0;
    let rexBits = rexW ? 8 : 0;
    const tail: number[] = [];
    if (rm !== undefined) {
      if (regCode >= 8) rexBits |= 4;
      if (rm.kind === "reg") {
        tail.push(0xc0 | ((regCode & 7) << 3) | (rm.code & 7));
        if (rm.code >= 8) rexBits |= 1;
      } else {
        tail.push((rm.mod << 6) | ((regCode & 7) << 3) | (rm.rm & 7));
        if (rm.sib) {
          tail.push((rm.sib.scale << 6) | ((rm.sib.index & 7) << 3) | (rm.sib.base & 7));
          if (rm.sib.index >= 8) rexBits |= 2;
          if (rm.sib.base >= 8) rexBits |= 1;
        } else if (rm.rm >= 8) {
          rexBits |= 1;
        }
      }
    }
    let last = spec.opcode[spec.opcode.length - 1];
    if (spec.plus) {
      last += spec.plus.code & 7;
      if (spec.plus.code >= 8) rexBits |= 1;
    }
    const code = [...prefixes];
    if (spec.vex) {
      const { map, pp, v } = spec.vex;
      const inverted = ~rexBits & 7;
      code.push(0xc4, (inverted << 5) | map, ((rexBits & 8) << 4) | ((~(v?.code ?? 0) & 15) << 3) | pp);
    } else if (rexBits !== 0 || this.rex) {
      code.push(0x40 | rexBits);
    }
    code.push(...spec.opcode.slice(0, -1), last, ...tail);
    const imm = spec.imm ?? [];
    if (rm?.kind === "mem" && rm.dispSize > 0) {
      const end = code.length + rm.dispSize + imm.length;
      const disp = rm.ripTarget === undefined ? rm.disp : rm.ripTarget - (this.rip() + BigInt(end));
      code.push(...bytesOf(disp, rm.dispSize));
    }
    code.push(...imm);
    return new Uint8Array(code);
  }

  /** Where the instruction is. */
  rip(): bigint {
    return this.pins.get(RIP) ?? (this.mode === 16 ? 0x1000n : 0x21000n);
  }

  draft(code: Uint8Array): Draft {
    return { code, pins: this.pins, windows: this.windows };
  }
}

type Shape =
  | { readonly kind: 16; readonly mod: number; readonly rm: number; readonly registers: readonly number[]; readonly stack: boolean }
  | { readonly kind: "absolute"; readonly sib: boolean; readonly stack: false }
  | { readonly kind: "rip"; readonly stack: false }
  | { readonly kind: "base"; readonly mod: number; readonly base: number; readonly stack: boolean }
  | { readonly kind: "index"; readonly index: number; readonly scale: number; readonly stack: false }
  | { readonly kind: "sib"; readonly mod: number; readonly base: number; readonly index: number; readonly scale: number; readonly stack: boolean };

type Solved = Pick<MemOperand, "mod" | "rm" | "sib" | "disp" | "dispSize" | "ripTarget">;
