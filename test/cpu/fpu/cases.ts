/** The x87 cases that were recorded on a processor: made from a seed, the same each time, so that the data file holds outcomes only. */
import type { Float80 } from "../../../src/cpu/fpu/format";

export type MemoryKind = "none" | "f32" | "f64" | "f80" | "i16" | "i32" | "i64" | "bcd";

/** How exact a form is to be: bit for bit, or within a unit of the last place as the manual promises of transcendental instructions. */
export interface Form {
  readonly name: string;
  readonly code: readonly [number, number];
  readonly memory: MemoryKind;
  readonly operands: "any" | "remainder" | "scale" | "convert" | "power" | "logarithm" | "logarithm1" | "angle" | "transcendental";
  readonly transcendental: boolean;
}

export interface Case {
  readonly form: Form;
  readonly control: number;
  readonly top: number;
  /** Condition codes, and in some cases flags, of the status word. */
  readonly status: number;
  readonly occupied: number;
  /** By physical number. */
  readonly registers: readonly Float80[];
  /** 16 bytes. */
  readonly memory: Uint8Array;
  readonly rflags: number;
}

const form = (name: string, opcode: number, modrm: number, memory: MemoryKind = "none", operands: Form["operands"] = "any"): Form => ({
  name,
  code: [opcode, modrm],
  memory,
  operands,
  transcendental: ["power", "logarithm", "logarithm1", "angle", "transcendental"].includes(operands),
});

const operations = ["fadd", "fmul", "fcom", "fcomp", "fsub", "fsubr", "fdiv", "fdivr"];
const memoryForms = operations.flatMap((name, reg) => [
  form(`${name} m32`, 0xd8, (reg << 3) | 6, "f32"),
  form(`${name} m64`, 0xdc, (reg << 3) | 6, "f64"),
  form(`${name} m32int`, 0xda, (reg << 3) | 6, "i32"),
  form(`${name} m16int`, 0xde, (reg << 3) | 6, "i16"),
]);
const registerForms = operations.flatMap((name, reg) => [
  form(`${name} st0, st1`, 0xd8, 0xc1 | (reg << 3)),
  form(`${name} to st1`, 0xdc, 0xc1 | (reg << 3)),
  form(`${name} st0, st0`, 0xd8, 0xc0 | (reg << 3)),
  ...(reg === 2 ? [] : [form(reg === 3 ? "fcompp" : `${name}p st1`, 0xde, 0xc1 | (reg << 3))]),
]);

export const forms: readonly Form[] = [
  ...memoryForms,
  ...registerForms,
  form("fld m32", 0xd9, 0x06, "f32"),
  form("fld m64", 0xdd, 0x06, "f64"),
  form("fld m80", 0xdb, 0x2e, "f80"),
  form("fst m32", 0xd9, 0x16, "f32", "convert"),
  form("fstp m32", 0xd9, 0x1e, "f32", "convert"),
  form("fst m64", 0xdd, 0x16, "f64", "convert"),
  form("fstp m64", 0xdd, 0x1e, "f64", "convert"),
  form("fstp m80", 0xdb, 0x3e, "f80"),
  form("fild m16", 0xdf, 0x06, "i16"),
  form("fild m32", 0xdb, 0x06, "i32"),
  form("fild m64", 0xdf, 0x2e, "i64"),
  ...(["convert", "any"] as const).flatMap((operands) => [
    form("fisttp m16", 0xdf, 0x0e, "i16", operands),
    form("fist m16", 0xdf, 0x16, "i16", operands),
    form("fistp m16", 0xdf, 0x1e, "i16", operands),
    form("fisttp m32", 0xdb, 0x0e, "i32", operands),
    form("fist m32", 0xdb, 0x16, "i32", operands),
    form("fistp m32", 0xdb, 0x1e, "i32", operands),
    form("fisttp m64", 0xdd, 0x0e, "i64", operands),
    form("fistp m64", 0xdf, 0x3e, "i64", operands),
    form("fbstp", 0xdf, 0x36, "bcd", operands),
    form("frndint", 0xd9, 0xfc, "none", operands),
  ]),
  form("fbld", 0xdf, 0x26, "bcd"),
  form("fld st1", 0xd9, 0xc1),
  form("fxch st1", 0xd9, 0xc9),
  form("fnop", 0xd9, 0xd0),
  form("fst st1", 0xdd, 0xd1),
  form("fstp st1", 0xdd, 0xd9),
  form("ffree st1", 0xdd, 0xc1),
  form("fchs", 0xd9, 0xe0),
  form("fabs", 0xd9, 0xe1),
  form("ftst", 0xd9, 0xe4),
  form("fxam", 0xd9, 0xe5),
  ...[0, 1, 2, 3, 4, 5, 6].map((i) => form(`constant ${i}`, 0xd9, 0xe8 + i)),
  form("fincstp", 0xd9, 0xf7),
  form("fdecstp", 0xd9, 0xf6),
  form("fxtract", 0xd9, 0xf4),
  form("fprem1", 0xd9, 0xf5, "none", "remainder"),
  form("fprem", 0xd9, 0xf8, "none", "remainder"),
  form("fsqrt", 0xd9, 0xfa),
  form("fscale", 0xd9, 0xfd, "none", "scale"),
  form("fucom", 0xdd, 0xe1),
  form("fucomp", 0xdd, 0xe9),
  form("fucompp", 0xda, 0xe9),
  form("fcomi", 0xdb, 0xf1),
  form("fucomi", 0xdb, 0xe9),
  form("fcomip", 0xdf, 0xf1),
  form("fucomip", 0xdf, 0xe9),
  ...[0, 1, 2, 3].flatMap((i) => [form(`fcmov ${i}`, 0xda, 0xc1 | (i << 3)), form(`fcmovn ${i}`, 0xdb, 0xc1 | (i << 3))]),
  form("fnclex", 0xdb, 0xe2),
  form("fninit", 0xdb, 0xe3),
  form("fnstsw ax", 0xdf, 0xe0),
  form("fldcw", 0xd9, 0x2e, "i16"),
  form("fnstcw", 0xd9, 0x3e, "i16"),
  form("fnstsw m16", 0xdd, 0x3e, "i16"),
  form("f2xm1", 0xd9, 0xf0, "none", "power"),
  form("fyl2x", 0xd9, 0xf1, "none", "logarithm"),
  form("fyl2xp1", 0xd9, 0xf9, "none", "logarithm1"),
  form("fpatan", 0xd9, 0xf3, "none", "transcendental"),
  form("fptan", 0xd9, 0xf2, "none", "angle"),
  form("fsin", 0xd9, 0xfe, "none", "angle"),
  form("fcos", 0xd9, 0xff, "none", "angle"),
  form("fsincos", 0xd9, 0xfb, "none", "angle"),
];

class Random {
  private state: number;

  constructor(seed: number) {
    this.state = seed | 1;
  }

  /** Xorshift; 0 to n - 1. */
  below(n: number): number {
    this.state ^= this.state << 13;
    this.state ^= this.state >>> 17;
    this.state ^= this.state << 5;
    return (this.state >>> 0) % n;
  }

  bits(count: number): bigint {
    let value = 0n;
    for (let i = 0; i < count; i += 16) value = (value << 16n) | BigInt(this.below(0x10000));
    return BigInt.asUintN(count, value);
  }

  chance(oneIn: number): boolean {
    return this.below(oneIn) === 0;
  }
}

const INTEGER = 1n << 63n;

/** Significands with and without long runs, halfway cases among them. */
function significand(r: Random): bigint {
  switch (r.below(6)) {
    case 0:
      return INTEGER;
    case 1:
      return INTEGER | (r.bits(8) << 55n);
    case 2:
      return (INTEGER << 1n) - 1n - BigInt(r.below(4));
    case 3:
      // About halfway between two single or double precision numbers.
      return INTEGER | (r.bits(20) << 43n) | ((1n << [39n, 10n, 40n, 11n][r.below(4)]) + BigInt(r.below(3) - 1));
    default:
      return INTEGER | r.bits(63);
  }
}

const specials: readonly Float80[] = [
  { se: 0, m: 0n },
  { se: 0x3fff, m: INTEGER },
  { se: 0x7fff, m: INTEGER },
  { se: 0x7fff, m: 0xc000_0000_0000_0000n },
  { se: 0x7fff, m: 0xc123_4567_89ab_cdefn },
  { se: 0x7fff, m: 0x8000_0000_0000_0001n },
  { se: 0x7fff, m: 0xa123_4567_89ab_cdefn },
  { se: 0, m: 1n },
  { se: 0, m: 0x7fff_ffff_ffff_ffffn },
  { se: 0, m: 0x0000_1234_5678_9abcn },
  { se: 0, m: 0x8000_0000_0000_0000n },
  { se: 0, m: 0xc000_0000_0000_0001n },
  { se: 1, m: INTEGER },
  { se: 0x7ffe, m: (INTEGER << 1n) - 1n },
  { se: 0x1234, m: 0x1234n },
  { se: 0x7fff, m: 0x1234n },
  { se: 0x7fff, m: 0n },
];

function float(r: Random, exponent: number, spread: number): Float80 {
  if (r.chance(7)) {
    const special = specials[r.below(specials.length)];
    return { se: special.se | (r.below(2) << 15), m: special.m };
  }
  const biased = exponent + r.below(2 * spread + 1) - spread;
  return { se: (biased < 1 ? 1 : biased > 0x7ffe ? 0x7ffe : biased) | (r.below(2) << 15), m: significand(r) };
}

function operands(r: Random, kind: Form["operands"]): [Float80, Float80] {
  const near = [0x3fff, 0x3fff, 0x3fff, 1, 0x7ffe, 0x2000, 0x6000][r.below(7)];
  switch (kind) {
    case "any":
      return [float(r, near, 3), float(r, near, r.chance(3) ? 70 : 3)];
    case "remainder":
      return [float(r, near, r.chance(3) ? 200 : 40), float(r, near, 20)];
    case "scale":
      return [float(r, near, 70), float(r, 0x3fff + 7, 10)];
    case "convert": {
      const edge = [
        0x3fff,
        0x3fff + 15,
        0x3fff + 31,
        0x3fff + 63,
        0x3fff - 126,
        0x3fff + 127,
        0x3fff - 1022,
        0x3fff + 1023,
        0x3fff + 59,
        0x3fff,
      ][r.below(10)];
      return [float(r, edge, r.chance(2) ? 2 : 26), float(r, 0x3fff, 3)];
    }
    case "power": {
      const value = float(r, 0x3fff - 12, 10);
      return [
        (value.se & 0x7fff) > 0x3ffe && (value.se & 0x7fff) < 0x7fff ? { se: (value.se & 0x8000) | 0x3ffd, m: value.m | INTEGER } : value,
        float(r, 0x3fff, 3),
      ];
    }
    case "logarithm":
      return [{ ...float(r, 0x3fff, r.chance(2) ? 1 : 3000) }, float(r, 0x3fff, 30)];
    case "logarithm1": {
      const value = float(r, 0x3fff - 12, 10);
      return [
        (value.se & 0x7fff) > 0x3ffc && (value.se & 0x7fff) < 0x7fff ? { se: (value.se & 0x8000) | 0x3ffc, m: value.m | INTEGER } : value,
        float(r, 0x3fff, 30),
      ];
    }
    case "angle":
      return [float(r, 0x3fff - 2, r.chance(4) ? 66 : 4), float(r, 0x3fff, 3)];
    case "transcendental":
      return [float(r, 0x3fff, r.chance(4) ? 70 : 3), float(r, 0x3fff, r.chance(4) ? 70 : 3)];
  }
}

/** A memory operand as 16 bytes. */
function memoryOperand(r: Random, kind: MemoryKind): bigint {
  switch (kind) {
    case "none":
      return 0n;
    case "f32": {
      const exponent = [r.below(256), 127 + r.below(3), 0, 255, 1, 254][r.below(6)];
      const fraction = [r.bits(23), 0n, r.bits(23) & 0x7c0000n, 0x400000n | r.bits(4), r.bits(22)][r.below(5)];
      return (r.bits(1) << 31n) | (BigInt(exponent) << 23n) | fraction;
    }
    case "f64": {
      const exponent = [r.below(2048), 1023 + r.below(3), 0, 2047, 1, 2046][r.below(6)];
      const fraction = [r.bits(52), 0n, r.bits(8) << 44n, (1n << 51n) | r.bits(4), r.bits(51)][r.below(5)];
      return (r.bits(1) << 63n) | (BigInt(exponent) << 52n) | fraction;
    }
    case "f80": {
      const value = float(r, 0x3fff, 0x3000);
      return (BigInt(value.se) << 64n) | value.m;
    }
    case "i16":
      return [r.bits(16), 0n, 0x8000n, 0x7fffn, r.bits(4)][r.below(5)];
    case "i32":
      return [r.bits(32), 0n, 0x8000_0000n, 0x7fff_ffffn, r.bits(8)][r.below(5)];
    case "i64":
      return [r.bits(64), 0n, 1n << 63n, (1n << 63n) - 1n, r.bits(8), BigInt.asUintN(64, -r.bits(40))][r.below(6)];
    case "bcd": {
      let value = r.bits(1) << 79n;
      const digits = r.below(19);
      for (let i = 0; i < digits; i++) value |= BigInt(r.below(10)) << BigInt(4 * i);
      return value;
    }
  }
}

export const CASES_PER_FORM = 260;

/** Every case, in the order of the data file. */
export function* cases(perForm = CASES_PER_FORM): Generator<Case> {
  for (const [index, item] of forms.entries()) {
    const r = new Random(0x9e3779b9 ^ Math.imul(index + 1, 0x85ebca6b));
    for (let n = 0; n < perForm; n++) yield makeCase(r, item);
  }
}

function makeCase(r: Random, item: Form): Case {
  const precision = [3, 3, 2, 0][r.below(4)];
  const masks = r.chance(4) ? r.below(64) : 0x3f;
  const top = r.below(8);
  const [first, second] = operands(r, item.operands);
  const registers = Array.from({ length: 8 }, () => float(r, 0x3fff, 3));
  registers[top] = first;
  registers[(top + 1) & 7] = second;
  // Four registers in use, so that pushes find room; now and then anything.
  let occupied = 0;
  for (let i = 0; i < 4; i++) occupied |= 1 << ((top + i) & 7);
  if (r.chance(12)) occupied = r.below(256);
  const memory = new Uint8Array(16);
  let operand = memoryOperand(r, item.memory);
  for (let i = 0; i < 16; i++, operand >>= 8n) memory[i] = Number(operand & 0xffn);
  const conditions = (r.below(8) << 8) | (r.below(2) << 14);
  // Flags that are masked, as a pending exception would stop the instruction.
  const flags = r.chance(4) ? r.below(64) & masks : 0;
  return {
    form: item,
    control: masks | 0x40 | (precision << 8) | (r.below(4) << 10),
    top,
    status: conditions | flags,
    occupied,
    registers,
    memory,
    rflags: 0x202 | (r.below(2) * 1) | (r.below(2) * 4) | (r.below(2) * 0x40) | 0x890,
  };
}
