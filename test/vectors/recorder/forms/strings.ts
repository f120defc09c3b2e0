/** MOVS, CMPS, STOS, LODS, SCAS: alone and repeated, both directions, all widths and address widths. */
import { Flag, type Mode } from "../../expand.js";
import type { CaseEditor, FormSpec } from "../cases.js";
import type { Gen, Pointer, Width } from "../gen.js";
import { allWidths, MODES } from "./common.js";

const GROUP = "strings";
const RCX = 1;
const RSI = 6;
const RDI = 7;
/** Most iterations of a case. */
const MOST = 9;
const REPE = 0xf3;
const REPNE = 0xf2;

interface Row {
  readonly name: string;
  readonly opcode: number;
  readonly source: boolean;
  readonly destination: boolean;
  readonly compares: boolean;
}

const ROWS: readonly Row[] = [
  { name: "MOVS", opcode: 0xa4, source: true, destination: true, compares: false },
  { name: "CMPS", opcode: 0xa6, source: true, destination: true, compares: true },
  { name: "STOS", opcode: 0xaa, source: false, destination: true, compares: false },
  { name: "LODS", opcode: 0xac, source: true, destination: false, compares: false },
  { name: "SCAS", opcode: 0xae, source: false, destination: true, compares: true },
];

const SUFFIX: Record<Width, string> = { 8: "B", 16: "W", 32: "D", 64: "Q" };

interface Places {
  readonly source: number | undefined;
  readonly destination: number | undefined;
  /** Offset in the windows of the element that the pointers start at. */
  readonly start: number;
}

/** Pins a pointer register to the middle of a window that takes `MOST` elements either way. */
function pinPointer(gen: Gen, register: number, pointer: Pointer, size: number, wholeRegister: boolean): number {
  const offset = BigInt(pointer.offset + MOST * size);
  if (wholeRegister) gen.pin(register, offset);
  else gen.pinLow(register, pointer.addressWidth, offset);
  return gen.window(pointer.linear, (2 * MOST + 1) * size, 8);
}

function fill(item: CaseEditor, window: number, places: Places, step: number, size: number, from: number, to: number, byte: number): void {
  for (let element = from; element < to; element++) {
    item.patch(window, places.start + element * step, new Uint8Array(size).fill(byte));
  }
}

/** Makes elements equal or different, so that a repeated comparison stops at each possible place. */
function varyComparison(item: CaseEditor, row: Row, places: Places, size: number, repeat: number | undefined): void {
  const backwards = (item.state[16] & BigInt(Flag.DF)) !== 0n;
  const step = backwards ? -size : size;
  const stop = item.random.below(MOST + 1);
  const byte = item.random.pick([0x00, 0x41, 0x7f, 0x80, 0xff]);
  const windows = [places.source, places.destination].filter((window) => window !== undefined);
  if (row.name === "SCAS") item.setLow(0, size * 8, BigInt(`0x${byte.toString(16).padStart(2, "0").repeat(size)}`));
  for (const window of windows) {
    if (repeat === REPE) fill(item, window, places, step, size, 0, stop, byte);
    else fill(item, window, places, step, size, stop, Math.min(stop + 1, MOST), byte);
  }
}

function stringForm(mode: Mode, row: Row, width: Width, other: boolean, repeat: number | undefined): FormSpec {
  const size = width / 8;
  const addressWidth = mode === 16 ? (other ? 32 : 16) : mode === 32 ? (other ? 16 : 32) : other ? 32 : 64;
  const prefix = repeat === undefined ? "" : repeat === REPNE ? "REPNE " : row.compares ? "REPE " : "REP ";
  return {
    group: GROUP,
    mode,
    id: `${prefix}${row.name}${SUFFIX[width]} (${addressWidth}-bit addresses)`,
    groupSize: 4,
    build(gen) {
      const length = (2 * MOST + 1) * size;
      // What a zero 32-bit count leaves above bit 31 in 64-bit mode differs between makers: keep those bits clear.
      const whole = mode === 64 && other && repeat !== undefined && gen.random.chance(1, 2);
      const prefixes: number[] = other ? [0x67] : [];
      let source: number | undefined;
      let destination: number | undefined;
      if (row.source) {
        const pointer = gen.pointer(length, other);
        prefixes.push(...pointer.prefixes.filter((each) => each !== 0x67));
        source = pinPointer(gen, RSI, pointer, size, whole);
      }
      const overlap = row.name === "MOVS" && mode !== 16 && gen.random.chance(1, 3);
      if (row.destination && overlap && source !== undefined && prefixes.every((each) => each !== 0x64 && each !== 0x65)) {
        // Overlapping areas, closer than the whole and even than one element: one window holds both.
        const distance = gen.random.below(3 * size) - size;
        gen.pin(RDI, (gen.pins.get(RSI) ?? 0n) + BigInt(distance));
        gen.windows[source] = { address: gen.windows[source].address - size, length: gen.windows[source].length + 4 * size };
      } else if (row.destination) {
        let pointer = gen.pointer(length, other, "es");
        for (let tries = 0; overlapping(gen, pointer.linear, length) && tries < 100; tries++) pointer = gen.pointer(length, other, "es");
        destination = pinPointer(gen, RDI, pointer, size, whole);
      }
      if (repeat !== undefined) prefixes.push(repeat);
      const opcode = [row.opcode + (width === 8 ? 0 : 1)];
      const code = gen.encode({ opcode, ...(width !== 8 && { width }), prefixes });
      const places = { source, destination, start: 8 + MOST * size };
      return {
        code,
        vary(item) {
          if (item.random.chance(1, 2)) item.setFlags(Flag.DF, 0);
          if (repeat !== undefined) {
            const count = BigInt(whole ? item.random.below(MOST + 1) : 1 + item.random.below(MOST));
            const zero = !other && item.random.chance(1, 8);
            if (whole) item.set(RCX, count);
            else item.setLow(RCX, addressWidth, zero ? 0n : count);
          }
          if (row.compares && (repeat !== undefined || item.random.chance(1, 2))) varyComparison(item, row, places, size, repeat);
        },
      };
    },
  };
}

function overlapping(gen: Gen, linear: number, length: number): boolean {
  return gen.windows.some((window) => linear - 8 < window.address + window.length && window.address < linear + length + 8);
}

function stringForms16to64(mode: Mode): FormSpec[] {
  return ROWS.flatMap((row) =>
    allWidths(mode).flatMap((width) =>
      [false, true]
        // ES cannot be overridden, and with its base of 0 in 32-bit mode 16-bit addresses do not reach the data.
        .filter((other) => !(mode === 32 && other && row.destination))
        .flatMap((other) =>
          (row.compares ? [undefined, REPE, REPNE] : [undefined, REPE]).map((repeat) => stringForm(mode, row, width, other, repeat)),
        ),
    ),
  );
}

export const stringForms: readonly FormSpec[] = MODES.flatMap(stringForms16to64);
