/** Writer of vector files: the exact inverse of ../format.ts. */
import { gzipSync } from "node:zlib";
import { RFLAGS, RIP, STATE_SIZE } from "../expand.js";
import { CaseBit, END_MARK, MAGIC, ValueKind, type VectorForm } from "../format.js";
import type { Outcome, PreparedCase } from "./native.js";

/** A growing byte buffer. */
class Writer {
  private data = new Uint8Array(1 << 16);
  private length = 0;

  byte(value: number): void {
    if (this.length === this.data.length) this.grow(1);
    this.data[this.length++] = value;
  }

  bytes(values: ArrayLike<number>): void {
    if (this.length + values.length > this.data.length) this.grow(values.length);
    this.data.set(values, this.length);
    this.length += values.length;
  }

  varint(value: number): void {
    let rest = value;
    while (rest >= 0x80) {
      this.byte((rest % 0x80) | 0x80);
      rest = Math.floor(rest / 0x80);
    }
    this.byte(rest);
  }

  word(value: number): void {
    this.bytes([value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, value >>> 24]);
  }

  result(): Uint8Array {
    return this.data.subarray(0, this.length);
  }

  private grow(by: number): void {
    const larger = new Uint8Array(Math.max(this.data.length * 2, this.length + by));
    larger.set(this.data);
    this.data = larger;
  }
}

function littleEndian(value: bigint): number[] {
  const bytes: number[] = [];
  for (let rest = value; rest !== 0n; rest >>= 8n) bytes.push(Number(rest & 0xffn));
  return bytes;
}

/** The fewest bytes that sign-extend to `value` (a 64-bit difference). */
function signedBytes(value: bigint): number[] {
  const signed = BigInt.asIntN(64, value);
  let length = 1;
  while (length < 8 && BigInt.asIntN(length * 8, signed) !== signed) length++;
  const bytes = littleEndian(BigInt.asUintN(length * 8, signed));
  while (bytes.length < length) bytes.push(0);
  return bytes;
}

function writeValue(writer: Writer, value: bigint, old: bigint, registers: BigUint64Array | undefined): void {
  const raw = littleEndian(value);
  if (registers && raw.length > 1) {
    const same = registers.subarray(0, 16).indexOf(value);
    if (same >= 0) return writer.byte((ValueKind.register << 4) | same);
  }
  let kind: number = ValueKind.raw;
  let bytes = raw;
  const xor = littleEndian(value ^ old);
  if (xor.length < bytes.length) {
    kind = ValueKind.xor;
    bytes = xor;
  }
  const add = signedBytes(value - old);
  if (add.length < bytes.length) {
    kind = ValueKind.add;
    bytes = add;
  }
  writer.byte((kind << 4) | bytes.length);
  writer.bytes(bytes);
}

function writeList(writer: Writer, list: ReadonlyMap<number, bigint>): void {
  writer.byte(list.size);
  for (const [entry, value] of list) {
    writer.byte(entry);
    writeValue(writer, value, 0n, undefined);
  }
}

interface Run {
  readonly window: number;
  readonly offset: number;
  readonly bytes: Uint8Array;
}

function differences(before: readonly Uint8Array[], after: readonly Uint8Array[]): Run[] {
  const runs: Run[] = [];
  before.forEach((old, window) => {
    const bytes = after[window];
    let start = -1;
    let last = -1;
    const flush = (): void => {
      if (start >= 0) runs.push({ window, offset: start, bytes: bytes.subarray(start, last + 1) });
      start = -1;
    };
    for (let at = 0; at < bytes.length; at++) {
      if (bytes[at] === old[at]) continue;
      // A gap of up to three equal bytes is cheaper than another run.
      if (start >= 0 && at - last > 4) flush();
      if (start < 0) start = at;
      last = at;
    }
    flush();
  });
  return runs;
}

function writeRuns(writer: Writer, runs: readonly Run[]): void {
  writer.varint(runs.length);
  for (const { window, offset, bytes } of runs) {
    writer.byte(window);
    writer.varint(offset);
    writer.varint(bytes.length);
    writer.bytes(bytes);
  }
}

/** Encodes the cases of one form, in order of their index from 0. */
export function encodeForm(form: VectorForm, cases: readonly PreparedCase[], outcomes: readonly Outcome[]): Uint8Array {
  const writer = new Writer();
  let last: PreparedCase["draft"] | undefined;
  cases.forEach((item, index) => {
    const outcome = outcomes[index];
    const { draft } = item;
    const special = item.undefinedFlags !== form.undefinedFlags || item.undefinedRegisters !== 0;
    const fresh = draft !== last;
    writer.byte(
      (fresh ? CaseBit.code | CaseBit.pins | CaseBit.windows : 0) |
        (item.overrides.size > 0 ? CaseBit.overrides : 0) |
        (outcome.trap !== null ? CaseBit.trap : 0) |
        (special ? CaseBit.undefined : 0) |
        (item.patches.length > 0 ? CaseBit.contents : 0),
    );
    if (fresh) {
      writer.byte(draft.code.length);
      writer.bytes(draft.code);
      writeList(writer, draft.pins);
      writer.byte(draft.windows.length);
      for (const { address, length } of draft.windows) {
        writer.varint(address);
        writer.varint(length);
      }
    }
    last = draft;
    if (item.overrides.size > 0) writeList(writer, item.overrides);
    if (item.patches.length > 0) writeRuns(writer, item.patches);
    if (outcome.trap !== null) {
      writer.byte(outcome.trap.vector);
      writer.varint(outcome.trap.error);
    }
    if (special) {
      writer.varint(item.undefinedFlags);
      writer.varint(item.undefinedRegisters);
    }
    const expected = item.state.slice();
    if (outcome.trap === null) expected[RIP] += BigInt(draft.code.length);
    let changed = 0;
    for (let entry = 0; entry < STATE_SIZE; entry++) if (expected[entry] !== outcome.state[entry]) changed |= 1 << entry;
    writer.varint(changed);
    for (let entry = 0; entry < STATE_SIZE; entry++) {
      if (changed & (1 << entry)) writeValue(writer, outcome.state[entry], expected[entry], entry < RFLAGS ? item.state : undefined);
    }
    writeRuns(writer, differences(item.memory, outcome.memory));
  });
  return writer.result();
}

/** Assembles and compresses a file. The same input gives the same bytes with the same zlib. */
export function encodeFile(seed: number, host: string, forms: readonly { form: VectorForm; stream: Uint8Array }[]): Uint8Array {
  const writer = new Writer();
  const header = new TextEncoder().encode(JSON.stringify({ seed, host, forms: forms.map(({ form }) => form) }));
  writer.bytes(new TextEncoder().encode(MAGIC));
  writer.word(header.length);
  writer.bytes(header);
  for (const { stream } of forms) {
    writer.word(stream.length);
    writer.bytes(stream);
  }
  writer.word(END_MARK);
  return gzipSync(writer.result(), { level: 9 });
}
