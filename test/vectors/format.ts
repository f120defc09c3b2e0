/**
 * Reader of recorded instruction vectors. A file is gzip over: magic, header length (32-bit), header (JSON), then one
 * length-prefixed stream of cases a form, then the end mark. README.md in this folder describes every field.
 */
import { gunzipSync } from "node:zlib";
import { expandMemory, expandState, formSeed, type Mode, RFLAGS, RIP, STATE_SIZE } from "./expand.js";

export { Flag, RFLAGS, RIP, STATE_SIZE, type Mode } from "./expand.js";

export const MAGIC = "APXVEC01";
export const END_MARK = 0x444e4521;

/** Longest legal instruction, and generous limits that a damaged file must not pass. */
const MAX_CODE = 15;
const MAX_WINDOWS = 8;
const MAX_WINDOW_LENGTH = 0x10000;

/** The case bytes: what follows differs from the case before it. */
export const CaseBit = { code: 1, pins: 2, overrides: 4, trap: 8, undefined: 16, windows: 32, contents: 64 } as const;
/** How a changed value is written: as it is, as XOR with or difference to its old value, or as an old register. */
export const ValueKind = { raw: 0, xor: 1, add: 2, register: 3 } as const;

/**
 * Linear bases of the segments. In 16-bit mode each has a limit of 64 KiB and the selectors are not part of a case, so
 * a case runs alike in real mode and in 16-bit protected mode. In 32 and 64-bit mode CS, DS, ES and SS are flat.
 */
export const SEGMENT_BASES: Readonly<Record<Mode, Readonly<Record<"cs" | "ds" | "es" | "ss" | "fs" | "gs", number>>>> = {
  16: { cs: 0x20000, ds: 0x30000, es: 0x40000, ss: 0x50000, fs: 0x60000, gs: 0x70000 },
  32: { cs: 0, ds: 0, es: 0, ss: 0, fs: 0x60000, gs: 0x70000 },
  64: { cs: 0, ds: 0, es: 0, ss: 0, fs: 0x60000, gs: 0x70000 },
};
/** All code lies in [codeStart, dataStart), all data in [dataStart, end); bytes no case mentions are INT3 and 0. */
export const AREA = { codeStart: 0x20000, dataStart: 0x30000, end: 0x80000 } as const;

/** A vector file that cannot be read: one sentence that says why. */
export class VectorFormatError extends Error {
  override readonly name = "VectorFormatError";
}

/** One recorded instruction form. */
export interface VectorForm {
  /** Text such as "ADD r/m32, r32 [mem]"; unique together with the mode within all files. */
  readonly id: string;
  readonly mode: Mode;
  /** CPUID feature the instruction belongs to: "base", "bmi1", "popcnt"... */
  readonly feature: string;
  /** RFLAGS bits that the SDM leaves undefined after this form, unless a case says otherwise. */
  readonly undefinedFlags: number;
  readonly cases: number;
}

/** Bytes at a linear address. */
export interface MemoryWindow {
  readonly address: number;
  readonly bytes: Uint8Array;
}

/** Registers (16, in the order of the encoding), flags, instruction pointer and the memory a case concerns. */
export interface VectorState {
  readonly regs: BigUint64Array;
  readonly rflags: bigint;
  /** Offset from the base of CS. */
  readonly rip: bigint;
  readonly memory: readonly MemoryWindow[];
}

/** One instruction executed once (a REP instruction: to its end). */
export interface VectorCase {
  readonly form: VectorForm;
  /** Number of the case within its form. */
  readonly index: number;
  readonly mode: Mode;
  readonly code: Uint8Array;
  readonly before: VectorState;
  /** The state after; where `trap` is set, the state that the exception handler is entered with. */
  readonly after: VectorState;
  /** The exception that the instruction raised, or null. */
  readonly trap: { readonly vector: number; readonly error: number } | null;
  /** RFLAGS bits not to be compared. */
  readonly undefinedFlags: number;
  /** Registers, as a mask of bits 0..15, not to be compared. */
  readonly undefinedRegisters: number;
}

/** An opened file. */
export interface VectorFile {
  readonly seed: number;
  /** The processor that the data were recorded on. */
  readonly host: string;
  readonly forms: readonly VectorForm[];
  /** Iterates over all cases, or over those of the forms that `select` takes. Throws VectorFormatError on damage. */
  cases(select?: (form: VectorForm) => boolean): Generator<VectorCase, void, undefined>;
}

class Reader {
  constructor(
    private readonly data: Uint8Array,
    public at: number,
    private readonly end: number,
  ) {}

  get done(): boolean {
    return this.at === this.end;
  }

  byte(): number {
    if (this.at >= this.end) throw new VectorFormatError("The vector file is cut short inside a case.");
    return this.data[this.at++];
  }

  bytes(length: number): Uint8Array {
    if (length > this.end - this.at) throw new VectorFormatError("The vector file is cut short inside a case.");
    const slice = this.data.slice(this.at, this.at + length);
    this.at += length;
    return slice;
  }

  varint(): number {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.byte();
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
    throw new VectorFormatError("The vector file holds a number that is too long.");
  }

  word(): number {
    const bytes = this.bytes(4);
    return (bytes[0] | (bytes[1] << 8) | (bytes[2] << 16) | (bytes[3] << 24)) >>> 0;
  }

  value(old: bigint, before: BigUint64Array): bigint {
    const tag = this.byte();
    const kind = tag >> 4;
    const length = tag & 15;
    if (kind === ValueKind.register) return before[length];
    if (length > 8) throw new VectorFormatError("The vector file holds a value of more than 64 bits.");
    let number = 0n;
    for (let i = 0; i < length; i++) number |= BigInt(this.byte()) << BigInt(i * 8);
    switch (kind) {
      case ValueKind.raw:
        return number;
      case ValueKind.xor:
        return number ^ old;
      case ValueKind.add:
        return BigInt.asUintN(64, old + BigInt.asIntN(length * 8, number));
      default:
        throw new VectorFormatError("The vector file holds a value of unknown kind.");
    }
  }
}

function isMode(value: unknown): value is Mode {
  return value === 16 || value === 32 || value === 64;
}

function isForm(value: unknown): value is VectorForm {
  if (typeof value !== "object" || value === null) return false;
  const form = value as Partial<Record<keyof VectorForm, unknown>>;
  return (
    typeof form.id === "string" &&
    isMode(form.mode) &&
    typeof form.feature === "string" &&
    Number.isInteger(form.undefinedFlags) &&
    Number.isInteger(form.cases)
  );
}

interface Header {
  readonly seed: number;
  readonly host: string;
  readonly forms: VectorForm[];
}

function parseHeader(text: string): Header {
  let header: unknown;
  try {
    header = JSON.parse(text);
  } catch {
    throw new VectorFormatError("The header of the vector file is not JSON.");
  }
  const { seed, host, forms } = (typeof header === "object" && header !== null ? header : {}) as Partial<Record<keyof Header, unknown>>;
  if (typeof seed !== "number" || typeof host !== "string" || !Array.isArray(forms) || !forms.every(isForm)) {
    throw new VectorFormatError("The header of the vector file lacks its seed, host or forms.");
  }
  return { seed, host, forms };
}

/** Opens a vector file from its bytes (as on disk, gzip); cases are decoded as they are iterated over. */
export function readVectorFile(file: Uint8Array): VectorFile {
  let data: Uint8Array;
  try {
    data = gunzipSync(file);
  } catch (error) {
    throw new VectorFormatError(`The vector file is not intact gzip: ${error instanceof Error ? error.message : String(error)}.`);
  }
  const reader = new Reader(data, 0, data.length);
  if (new TextDecoder("latin1").decode(reader.bytes(MAGIC.length)) !== MAGIC) {
    throw new VectorFormatError("This is not a vector file of a known version.");
  }
  const header = parseHeader(new TextDecoder().decode(reader.bytes(reader.word())));
  const streams = header.forms.map((form) => {
    const length = reader.word();
    const start = reader.at;
    if (start + length > data.length) throw new VectorFormatError(`The vector file is cut short in "${form.id}".`);
    reader.at += length;
    return { form, start, end: start + length };
  });
  if (reader.word() !== END_MARK || !reader.done) throw new VectorFormatError("The vector file does not end where it should.");
  return {
    ...header,
    *cases(select = () => true) {
      for (const { form, start, end } of streams) {
        if (select(form)) yield* readForm(new Reader(data, start, end), form, header.seed);
      }
    },
  };
}

function readList(reader: Reader): Map<number, bigint> {
  const list = new Map<number, bigint>();
  for (let count = reader.byte(); count > 0; count--) {
    const entry = reader.byte();
    if (entry >= STATE_SIZE) throw new VectorFormatError("The vector file sets a register that does not exist.");
    list.set(entry, reader.value(0n, new BigUint64Array(16)));
  }
  return list;
}

function patch(reader: Reader, windows: readonly MemoryWindow[]): void {
  for (let count = reader.varint(); count > 0; count--) {
    const window = windows[reader.byte()];
    const offset = reader.varint();
    const bytes = reader.bytes(reader.varint());
    if (window === undefined || offset + bytes.length > window.bytes.length) {
      throw new VectorFormatError("The vector file changes memory outside a case's windows.");
    }
    window.bytes.set(bytes, offset);
  }
}

function* readForm(reader: Reader, form: VectorForm, fileSeed: number): Generator<VectorCase, void, undefined> {
  const seed = formSeed(fileSeed, form.mode, form.id);
  let code = new Uint8Array(0);
  let pins = new Map<number, bigint>();
  let layout: { address: number; length: number }[] = [];
  for (let index = 0; index < form.cases; index++) {
    const bits = reader.byte();
    if (bits & CaseBit.code) {
      code = new Uint8Array(reader.bytes(reader.byte()));
      if (code.length === 0 || code.length > MAX_CODE) throw new VectorFormatError(`An instruction of "${form.id}" has ${code.length} bytes.`);
    }
    if (bits & CaseBit.pins) pins = readList(reader);
    if (bits & CaseBit.windows) {
      const count = reader.byte();
      if (count > MAX_WINDOWS) throw new VectorFormatError(`A case of "${form.id}" has ${count} memory windows.`);
      layout = Array.from({ length: count }, () => ({ address: reader.varint(), length: reader.varint() }));
      if (layout.some(({ address, length }) => length > MAX_WINDOW_LENGTH || address < AREA.codeStart || address + length > AREA.end)) {
        throw new VectorFormatError(`A memory window of "${form.id}" is outside the areas.`);
      }
    }
    const before = new BigUint64Array(STATE_SIZE);
    expandState(seed, index, form.mode, before);
    for (const [entry, value] of pins) before[entry] = value;
    if (bits & CaseBit.overrides) for (const [entry, value] of readList(reader)) before[entry] = value;
    const memory = layout.map(({ address, length }, number) => {
      const bytes = new Uint8Array(length);
      expandMemory(seed, index, number, bytes);
      return { address, bytes };
    });
    if (bits & CaseBit.contents) patch(reader, memory);
    const trap = bits & CaseBit.trap ? { vector: reader.byte(), error: reader.varint() } : null;
    let { undefinedFlags } = form;
    let undefinedRegisters = 0;
    if (bits & CaseBit.undefined) {
      undefinedFlags = reader.varint();
      undefinedRegisters = reader.varint();
    }
    const after = before.slice();
    if (trap === null) after[RIP] = before[RIP] + BigInt(code.length);
    const changed = reader.varint();
    for (let entry = 0; entry < STATE_SIZE; entry++) {
      if (changed & (1 << entry)) after[entry] = reader.value(after[entry], before);
    }
    const memoryAfter = memory.map(({ address, bytes }) => ({ address, bytes: bytes.slice() }));
    patch(reader, memoryAfter);
    yield {
      form,
      index,
      mode: form.mode,
      code,
      before: { regs: before.subarray(0, 16), rflags: before[RFLAGS], rip: before[RIP], memory },
      after: { regs: after.subarray(0, 16), rflags: after[RFLAGS], rip: after[RIP], memory: memoryAfter },
      trap,
      undefinedFlags,
      undefinedRegisters,
    };
  }
  if (!reader.done) throw new VectorFormatError(`The cases of "${form.id}" do not end where they should.`);
}
