/**
 * Floating-point vector ops. Fast are those on zeros and normal numbers whose results are zero for that reason or normal by a margin, under the default rounding with all
 * exceptions masked and the precision flag set already: they change nothing in MXCSR, and WebAssembly rounds as SSE does. So are all finite ones where denormal operands and results raise nothing
 * new either, as both flags are set. No NaN passes, as its payload would differ.
 */
import { SLOT_MXCSR } from "../layout";
import { type FunctionWriter, M } from "../wasm/writer";
import { floatingVectorNames, type VectorName } from "./names";
import type { VectorSite } from "./site";
import { f32, f64, get, i32, i64, S, set, simd, vectorConstant } from "./wasm";
import type { VectorProgram } from "./programs";
import { type FullCheck, scalarCheckFunction, type ScalarOperation } from "./scalarChecks";

/** Masks set, nearest, no flush to zero, PE set: of MXCSR. */
const DEFAULT_BITS = 0xffa0;
const DEFAULT_VALUE = 0x1fa0;

/** The same, with denormal operands not taken for zeros, and with what they and tiny results raise set as well: DE, UE. */
const DENORMAL_BITS = DEFAULT_BITS | 0x52;
const DENORMAL_VALUE = DEFAULT_VALUE | 0x12;

/** Bounds: smallest normal number, what is normal by a margin, largest number. */
const single = { minimum: 2 ** -126, safe: 2 ** -120, maximum: (2 - 2 ** -23) * 2 ** 127 };
const double = { minimum: 2 ** -1022, safe: 1e-300, maximum: Number.MAX_VALUE };

type Format = "ps" | "pd" | "ss" | "sd";

/** The instructions of one operand format, in the same roles. */
interface Algebra {
  readonly bounds: typeof single;
  /** Of scalars: their width; 0: packed. */
  readonly scalarBits: 0 | 32 | 64;
  /** Locals: operands, result, one more. */
  locals(s: VectorSite): { x: number; y: number; r: number };
  push(s: VectorSite, field: "a" | "b"): void;
  store(s: VectorSite): void;
  constant(value: number): number[];
  readonly add: number[];
  readonly sub: number[];
  readonly mul: number[];
  readonly div: number[];
  readonly sqrt: number[];
  readonly abs: number[];
  readonly eq: number[];
  readonly lt: number[];
  readonly le: number[];
  readonly ge: number[];
  /** PMIN and PMAX of the operands b, a on the stack; undefined: by comparison and select. */
  readonly pmin: number[] | undefined;
  readonly pmax: number[] | undefined;
  readonly and: number[];
  readonly or: number[];
  /** Outcome of comparisons to an i32 that is 1 if all hold. */
  readonly all: number[];
}

function packed(bits: 32 | 64): Algebra {
  const [abs, sqrt, add, sub, mul, div, pmin, pmax] =
    bits === 32 ? [0xe0, 0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xea, 0xeb] : [0xec, 0xef, 0xf0, 0xf1, 0xf2, 0xf3, 0xf6, 0xf7];
  const [eq, lt, le, ge] = bits === 32 ? [0x41, 0x43, 0x45, 0x46] : [0x47, 0x49, 0x4b, 0x4c];
  return {
    bounds: bits === 32 ? single : double,
    scalarBits: 0,
    locals: ({ locals: { x, y, r } }) => ({ x, y, r }),
    push: (s, field) => s.pushVector(field),
    store: (s) => s.storeVector(s.locals.r),
    constant: (value) => {
      const bytes = bits === 32 ? f32(value) : f64(value);
      let word = 0n;
      for (let i = bytes.length - 1; i >= 1; i--) word = (word << 8n) | BigInt(bytes[i]);
      if (bits === 32) word |= word << 32n;
      return vectorConstant(word, word);
    },
    add: simd(add),
    sub: simd(sub),
    mul: simd(mul),
    div: simd(div),
    sqrt: simd(sqrt),
    abs: simd(abs),
    eq: simd(eq),
    lt: simd(lt),
    le: simd(le),
    ge: simd(ge),
    pmin: simd(pmin),
    pmax: simd(pmax),
    and: simd(S.and),
    or: simd(S.or),
    all: bits === 32 ? [...simd(S.i32x4Bitmask), ...i32(15), 0x46] : [...simd(S.i64x2Bitmask), ...i32(3), 0x46],
  };
}

function scalar(bits: 32 | 64): Algebra {
  const [abs, sqrt, add, sub, mul, div] = bits === 32 ? [0x8b, 0x91, 0x92, 0x93, 0x94, 0x95] : [0x99, 0x9f, 0xa0, 0xa1, 0xa2, 0xa3];
  const [eq, lt, le, ge] = bits === 32 ? [0x5b, 0x5d, 0x5f, 0x60] : [0x61, 0x63, 0x65, 0x66];
  return {
    bounds: bits === 32 ? single : double,
    scalarBits: bits,
    locals: ({ locals }) => (bits === 32 ? { x: locals.sx, y: locals.sy, r: locals.sr } : { x: locals.dx, y: locals.dy, r: locals.dr }),
    push: (s, field) => (bits === 32 ? s.pushSingle(field) : s.pushDouble(field)),
    store: (s) => (bits === 32 ? s.storeSingle(s.locals.sr) : s.storeDouble(s.locals.dr)),
    constant: bits === 32 ? f32 : f64,
    add: [add],
    sub: [sub],
    mul: [mul],
    div: [div],
    sqrt: [sqrt],
    abs: [abs],
    eq: [eq],
    lt: [lt],
    le: [le],
    ge: [ge],
    pmin: undefined,
    pmax: undefined,
    and: [0x71],
    or: [0x72],
    all: [],
  };
}

const algebras: Record<Format, Algebra> = { ps: packed(32), pd: packed(64), ss: scalar(32), sd: scalar(64) };

/** Pushes whether MXCSR is as the fast results need it. */
function pushDefault(s: VectorSite): void {
  s.pushMxcsr();
  s.code(...i32(DEFAULT_BITS), 0x71, ...i32(DEFAULT_VALUE), 0x46);
}

function requireDefault(s: VectorSite): void {
  if (s.knowsDefault) return;
  pushDefault(s);
  s.require();
  s.noteDefault();
}

/** Pushes whether the value in a local is a zero or at least the smallest normal number (infinities are, NaNs are not). */
function ordinary(a: Algebra, local: number): number[] {
  return [...get(local), ...a.abs, ...a.constant(a.bounds.minimum), ...a.ge, ...get(local), ...a.constant(0), ...a.eq, ...a.or];
}
const finite = (a: Algebra, local: number): number[] => [...get(local), ...a.abs, ...a.constant(a.bounds.maximum), ...a.le];
const isNumber = (a: Algebra, local: number): number[] => [...get(local), ...get(local), ...a.eq];
const isZero = (a: Algebra, local: number): number[] => [...get(local), ...a.constant(0), ...a.eq];
const safe = (a: Algebra, local: number): number[] => [...get(local), ...a.abs, ...a.constant(a.bounds.safe), ...a.ge];

/** Leaves what the i32 on the stack does not allow to the helper, unless `lenient` does where denormal numbers raise nothing new. */
function requireOr(s: VectorSite, lenient: readonly number[]): void {
  s.code(0x04, 0x7f, ...i32(1), 0x05);
  s.pushMxcsr();
  s.code(...i32(DENORMAL_BITS), 0x71, ...i32(DENORMAL_VALUE), 0x46, ...lenient, 0x71, 0x0b);
  s.require();
}

function loadBoth(a: Algebra, s: VectorSite): { x: number; y: number; r: number } {
  const locals = a.locals(s);
  a.push(s, "a");
  s.code(...set(locals.x));
  a.push(s, "b");
  s.code(...set(locals.y));
  return locals;
}

interface NumberLocals {
  readonly x: number;
  readonly y: number;
  readonly r: number;
}

/** What an operation with its result in a local asks for, as code that leaves an i32. */
function fullCheck(a: Algebra, operation: ScalarOperation, { x, y, r }: NumberLocals): FullCheck {
  switch (operation) {
    case "add":
      // A finite result has finite operands, but for a quotient by an infinity. Sums are exact where they are tiny.
      return {
        strict: [...finite(a, r), ...ordinary(a, x), ...a.and, ...ordinary(a, y), ...a.and, ...a.all],
        lenient: [...finite(a, r), ...a.all],
      };
    case "mul":
      return {
        strict: [
          ...finite(a, r),
          ...ordinary(a, x),
          ...a.and,
          ...ordinary(a, y),
          ...a.and,
          ...safe(a, r),
          ...isZero(a, x),
          ...a.or,
          ...isZero(a, y),
          ...a.or,
          ...a.and,
          ...a.all,
        ],
        lenient: [...finite(a, r), ...a.all],
      };
    case "div":
      return {
        strict: [
          ...finite(a, r),
          ...ordinary(a, x),
          ...a.and,
          ...get(y),
          ...a.abs,
          ...a.constant(a.bounds.minimum),
          ...a.ge,
          ...a.and,
          ...finite(a, y),
          ...a.and,
          ...safe(a, r),
          ...isZero(a, x),
          ...a.or,
          ...a.and,
          ...a.all,
        ],
        lenient: [...finite(a, r), ...finite(a, y), ...a.and, ...a.all],
      };
    case "sqrt":
      return {
        strict: [...get(y), ...a.constant(a.bounds.minimum), ...a.ge, ...finite(a, y), ...a.and, ...isZero(a, y), ...a.or, ...a.all],
        lenient: [...get(y), ...a.constant(0), ...a.ge, ...finite(a, y), ...a.and, ...a.all],
      };
    case "compare":
      return {
        strict: [...ordinary(a, x), ...ordinary(a, y), ...a.and, ...a.all],
        lenient: [...isNumber(a, x), ...isNumber(a, y), ...a.and, ...a.all],
      };
  }
}

/** Goes on where `fullCheck` allows it: by the site's own means for scalars where it has some. */
function requireFit(s: VectorSite, a: Algebra, operation: ScalarOperation, locals: NumberLocals): void {
  if (a.scalarBits !== 0 && s.scalars !== undefined) {
    s.scalars.check(a.scalarBits, operation);
    return;
  }
  const { strict, lenient } = fullCheck(a, operation, locals);
  s.code(...strict);
  requireOr(s, lenient);
}

/** The function by which a site that checks scalars itself has those looked at that it cannot tell. A sum that it lets pass is fit as an operand, too. */
export function scalarCheck(bits: 32 | 64): FunctionWriter {
  const a = bits === 32 ? ss : sd;
  return scalarCheckFunction(
    (operation, locals) => {
      const { strict, lenient } = fullCheck(a, operation, locals);
      return { strict: operation === "add" ? [...strict, ...ordinary(a, locals.r), ...a.and] : strict, lenient };
    },
    (w) =>
      w
        .get(0)
        .mem(M.i32Load, SLOT_MXCSR)
        .raw([...i32(DENORMAL_BITS), 0x71, ...i32(DENORMAL_VALUE), 0x46]),
  );
}

function arithmetic(a: Algebra, op: "add" | "sub" | "mul" | "div"): VectorProgram {
  return (s) => {
    requireDefault(s);
    const locals = loadBoth(a, s);
    const { x, y, r } = locals;
    s.code(...get(x), ...get(y), ...a[op], ...set(r));
    requireFit(s, a, op === "sub" ? "add" : op, locals);
    a.store(s);
    if (a.scalarBits !== 0) s.scalars?.noteResult(a.scalarBits);
  };
}

function squareRoot(a: Algebra): VectorProgram {
  return (s) => {
    requireDefault(s);
    const { x, y, r } = a.locals(s);
    a.push(s, "b");
    s.code(...set(y));
    requireFit(s, a, "sqrt", { x, y, r });
    s.code(...get(y), ...a.sqrt, ...set(r));
    a.store(s);
    if (a.scalarBits !== 0) s.scalars?.noteResult(a.scalarBits);
  };
}

/** The second operand unless the first is strictly beyond it. */
function extreme(a: Algebra, smaller: boolean): VectorProgram {
  return (s) => {
    const locals = loadBoth(a, s);
    const { x, y, r } = locals;
    requireFit(s, a, "compare", locals);
    const pseudo = smaller ? a.pmin : a.pmax;
    if (pseudo !== undefined) s.code(...get(y), ...get(x), ...pseudo);
    else s.code(...get(x), ...get(y), ...get(smaller ? x : y), ...get(smaller ? y : x), ...a.lt, 0x1b);
    s.code(...set(r));
    a.store(s);
    if (a.scalarBits !== 0) s.scalars?.noteResult(a.scalarBits);
  };
}

/** Of ordinary operands: predicates equal, less, less or equal, unordered (never), and with bit 2 their opposites. */
function compare(a: Algebra, format: Format): VectorProgram {
  const isPacked = format === "ps" || format === "pd";
  return (s) => {
    const locals = loadBoth(a, s);
    const { x, y, r } = locals;
    const { i } = s.locals;
    requireFit(s, a, "compare", locals);
    s.pushImmediate();
    s.code(...set(i));
    /** The outcome of a comparison, zero unless the predicate is `predicate`. */
    const term = (op: number[], predicate: number): void => {
      s.code(...get(x), ...get(y), ...op, ...get(i), ...i32(3), 0x71, ...i32(predicate), 0x46);
      if (isPacked) s.code(...i32(-1), 0x6c, ...simd(S.i32x4Splat));
      s.code(...a.and);
    };
    term(a.eq, 0);
    term(a.lt, 1);
    s.code(...a.or);
    term(a.le, 2);
    s.code(...a.or, ...get(i), ...i32(2), 0x76);
    if (isPacked) s.code(...i32(-1), 0x6c, ...simd(S.i32x4Splat), ...simd(S.xor));
    else {
      // 0 or 1 to zeros or ones.
      s.code(0x73, ...i32(-1), 0x6c);
      s.code(...(format === "ss" ? [0xbe] : [0xac, 0xbf]));
    }
    s.code(...set(r));
    a.store(s);
  };
}

/** COMISS and its kin: ZF, PF and CF; the others are cleared. No NaNs: unordered does not occur. */
function compareFlags(a: Algebra): VectorProgram {
  return (s) => {
    const locals = loadBoth(a, s);
    const { x, y } = locals;
    const { n } = s.locals;
    requireFit(s, a, "compare", locals);
    if (a.scalarBits !== 0 && s.scalars !== undefined) {
      s.scalars.setComparison(a.scalarBits);
      return;
    }
    // CC_RES 0 for equal (ZF), else 1. CC_AUX: CF and the carry below it, so that OF is clear; for equal a bit that makes the parity of 0 odd.
    s.code(...get(x), ...get(y), ...a.eq, 0x45, 0xad, ...set(n));
    s.code(...i64(3n << 62n), ...i64(0n), ...get(x), ...get(y), ...a.lt, 0x1b);
    s.code(...i64(0n), ...i64(1n << 8n), ...get(n), 0x50, 0x45, 0x1b, 0x84);
    s.storeFlags();
  };
}

/** A general register's 32 or 64 bits: exact for few bits, else rounded. */
function fromRegister(a: Algebra, bits: 32 | 64): VectorProgram {
  return (s) => {
    const { n } = s.locals;
    const { r } = a.locals(s);
    const spare = BigInt(bits === 32 ? 64 - 25 : 64 - 54);
    s.pushWord("b");
    s.pushWord("b");
    s.code(0xc4);
    s.pushWide();
    s.code(0x1b, ...set(n));
    pushDefault(s);
    s.code(...get(n), ...i64(spare), 0x86, ...i64(spare), 0x87, ...get(n), 0x51, 0x72);
    s.require();
    s.code(...get(n), bits === 32 ? 0xb4 : 0xb9, ...set(r));
    a.store(s);
  };
}

/** To a general register: within its range, with PE set already for what is cut off. */
function toRegister(a: Algebra, bits: 32 | 64, truncate: boolean): VectorProgram {
  return (s) => {
    const { n } = s.locals;
    const { y, r } = a.locals(s);
    requireDefault(s);
    a.push(s, "b");
    s.code(...set(y), ...get(y), ...(truncate ? [] : [bits === 32 ? 0x90 : 0x9e]), ...set(r));
    // A bound with which every value inside fits after truncation, of 32 bits and of 64.
    s.code(...get(r), ...a.abs, ...a.constant(2 ** 62), ...a.constant(2 ** 31 - 2 ** (bits === 32 ? 7 : 0)));
    s.pushWide();
    s.code(0x1b, ...a.le, ...ordinary(a, y), 0x71);
    s.require();
    s.code(...get(r), 0xfc, bits === 32 ? 0x04 : 0x06, ...set(n));
    // 32-bit results are zero-extended.
    s.code(...get(n), ...get(n), ...i64(0xffff_ffffn), 0x83);
    s.pushWide();
    s.code(0x1b, ...set(n));
    s.storeWord(n);
  };
}

const isOrdinary = (s: VectorSite, a: Algebra, local: number): void => {
  s.code(...ordinary(a, local), ...finite(a, local), ...a.and);
};

const { ss, sd, ps } = algebras;
const conversions: readonly (readonly [VectorName, VectorProgram])[] = [
  ["comiss", compareFlags(ss)],
  ["ucomiss", compareFlags(ss)],
  ["comisd", compareFlags(sd)],
  ["ucomisd", compareFlags(sd)],
  ["cvtsi2ss", fromRegister(ss, 32)],
  ["cvtsi2sd", fromRegister(sd, 64)],
  ["cvttss2si", toRegister(ss, 32, true)],
  ["cvtss2si", toRegister(ss, 32, false)],
  ["cvttsd2si", toRegister(sd, 64, true)],
  ["cvtsd2si", toRegister(sd, 64, false)],
  [
    "cvtss2sd",
    (s) => {
      const { sy, dr } = s.locals;
      s.pushSingle("b");
      s.code(...set(sy));
      isOrdinary(s, ss, sy);
      requireOr(s, finite(ss, sy));
      s.code(...get(sy), 0xbb, ...set(dr));
      s.storeDouble(dr);
    },
  ],
  [
    "cvtsd2ss",
    (s) => {
      const { dy, sr } = s.locals;
      requireDefault(s);
      s.pushDouble("b");
      s.code(...set(dy), ...get(dy), 0xb6, ...set(sr));
      s.code(...finite(ss, sr), ...safe(ss, sr), ...isZero(sd, dy), 0x72, 0x71);
      requireOr(s, finite(ss, sr));
      s.storeSingle(sr);
    },
  ],
  [
    "cvtps2pd",
    (s) => {
      const { y, r, u } = s.locals;
      s.pushVector("b");
      // Only the lower half counts: above it stands what is ordinary.
      s.code(...set(y), ...get(y), ...get(y), ...simd(S.shuffle), 0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3, 4, 5, 6, 7, ...set(u));
      isOrdinary(s, ps, u);
      s.code(...ps.all);
      s.require();
      s.code(...get(u), ...simd(S.promoteLow), ...set(r));
      s.storeVector(r);
    },
  ],
  [
    "cvtdq2pd",
    (s) => {
      s.pushVector("b");
      s.code(...simd(S.convertLowToDoubles), ...set(s.locals.r));
      s.storeVector(s.locals.r);
    },
  ],
  [
    "cvtdq2ps",
    (s) => {
      requireDefault(s);
      s.pushVector("b");
      s.code(...simd(S.convertToSingles), ...set(s.locals.r));
      s.storeVector(s.locals.r);
    },
  ],
  ["cvttps2dq", toIntegers(true)],
  ["cvtps2dq", toIntegers(false)],
];

function toIntegers(truncate: boolean): VectorProgram {
  return (s) => {
    const { y, u, r } = s.locals;
    requireDefault(s);
    s.pushVector("b");
    s.code(...set(y), ...get(y), ...(truncate ? [] : simd(0x6a)), ...set(u));
    s.code(...get(u), ...ps.abs, ...ps.constant(2 ** 31 - 2 ** 7), ...ps.le, ...ordinary(ps, y), ...ps.and, ...ps.all);
    s.require();
    s.code(...get(u), ...simd(S.truncateSingles), ...set(r));
    s.storeVector(r);
  };
}

function programOf(name: string, format: Format): VectorProgram {
  const a = algebras[format];
  switch (name) {
    case "sqrt":
      return squareRoot(a);
    case "min":
      return extreme(a, true);
    case "max":
      return extreme(a, false);
    case "cmp":
      return compare(a, format);
    case "add":
    case "sub":
    case "mul":
    case "div":
      return arithmetic(a, name);
    default:
      throw new Error(`no vector operation is called ${name}`);
  }
}

/** Programs that require ordinary operands. */
export const checkedPrograms: readonly (readonly [VectorName, VectorProgram])[] = [
  ...conversions,
  ...floatingVectorNames.map((name): [VectorName, VectorProgram] => [name, programOf(name.slice(0, -2), name.slice(-2) as Format)]),
];
