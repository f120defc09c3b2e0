import { UserError } from "./errors";
import type { State } from "./state";

const NULL = 0;
const FALSE = 1;
const TRUE = 2;
const INTEGER = 3;
const DOUBLE = 4;
const BIGINT = 5;
const TEXT = 6;
const BYTES = 7;
const LIST = 8;
const RECORD = 9;

/** Records and lists in each other; no state comes near. */
const DEEPEST = 64;

const encoder = new TextEncoder();

class Writer {
  private buffer = new Uint8Array(1 << 16);
  private length = 0;

  private room(bytes: number): void {
    if (this.length + bytes <= this.buffer.length) return;
    const larger = new Uint8Array(Math.max(this.buffer.length * 2, this.length + bytes));
    larger.set(this.buffer);
    this.buffer = larger;
  }

  byte(value: number): void {
    this.room(1);
    this.buffer[this.length++] = value;
  }

  /** An unsigned safe integer, seven bits a byte. */
  count(value: number): void {
    while (value >= 0x80) {
      this.byte((value % 0x80) | 0x80);
      value = Math.floor(value / 0x80);
    }
    this.byte(value);
  }

  bytes(value: Uint8Array): void {
    this.count(value.length);
    this.room(value.length);
    this.buffer.set(value, this.length);
    this.length += value.length;
  }

  double(value: number): void {
    this.room(8);
    new DataView(this.buffer.buffer).setFloat64(this.length, value, true);
    this.length += 8;
  }

  state(state: State): void {
    if (state === null) this.byte(NULL);
    else if (typeof state === "boolean") this.byte(state ? TRUE : FALSE);
    else if (typeof state === "number") this.number(state);
    else if (typeof state === "bigint") {
      // Two's complement would need a width: zigzag does not.
      this.byte(BIGINT);
      this.bytes(encoder.encode((state < 0n ? -state * 2n - 1n : state * 2n).toString(16)));
    } else if (typeof state === "string") {
      this.byte(TEXT);
      this.bytes(encoder.encode(state));
    } else if (state instanceof Uint8Array) {
      this.byte(BYTES);
      this.bytes(state);
    } else if (Array.isArray(state)) {
      const list = state as readonly State[];
      this.byte(LIST);
      this.count(list.length);
      for (const item of list) this.state(item);
    } else {
      const record = state as { readonly [key: string]: State };
      const keys = Object.keys(record);
      this.byte(RECORD);
      this.count(keys.length);
      for (const key of keys) {
        this.bytes(encoder.encode(key));
        this.state(record[key]);
      }
    }
  }

  private number(value: number): void {
    if (Number.isSafeInteger(value) && value >= 0 && !Object.is(value, -0)) {
      this.byte(INTEGER);
      this.count(value);
    } else {
      this.byte(DOUBLE);
      this.double(value);
    }
  }

  finish(): Uint8Array {
    return this.buffer.slice(0, this.length);
  }
}

/** The bytes of `state`; `readState` gives the same data back. */
export function writeState(state: State): Uint8Array {
  const writer = new Writer();
  writer.state(state);
  return writer.finish();
}

class Reader {
  private at = 0;
  private readonly decoder = new TextDecoder("utf-8", { fatal: true });
  private readonly view: DataView;

  constructor(
    private readonly data: Uint8Array,
    private readonly what: string,
  ) {
    this.view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  }

  private damaged(): never {
    throw new UserError(`${this.what} is damaged: its saved state cannot be read.`, "state");
  }

  private byte(): number {
    if (this.at >= this.data.length) return this.damaged();
    return this.data[this.at++];
  }

  private count(): number {
    let value = 0;
    let scale = 1;
    for (let i = 0; i < 8; i++) {
      const byte = this.byte();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return Number.isSafeInteger(value) ? value : this.damaged();
      scale *= 0x80;
    }
    return this.damaged();
  }

  private bytes(): Uint8Array {
    const length = this.count();
    if (length > this.data.length - this.at) return this.damaged();
    this.at += length;
    return this.data.slice(this.at - length, this.at);
  }

  private text(): string {
    try {
      return this.decoder.decode(this.bytes());
    } catch (error) {
      if (error instanceof UserError) throw error;
      return this.damaged();
    }
  }

  private bigint(): bigint {
    const digits = this.text();
    if (!/^[0-9a-f]{1,4096}$/.test(digits)) return this.damaged();
    const zigzag = BigInt(`0x${digits}`);
    return (zigzag & 1n) === 0n ? zigzag / 2n : -(zigzag + 1n) / 2n;
  }

  state(depth = 0): State {
    if (depth > DEEPEST) return this.damaged();
    switch (this.byte()) {
      case NULL:
        return null;
      case FALSE:
        return false;
      case TRUE:
        return true;
      case INTEGER:
        return this.count();
      case DOUBLE:
        if (this.at + 8 > this.data.length) return this.damaged();
        this.at += 8;
        return this.view.getFloat64(this.at - 8, true);
      case BIGINT:
        return this.bigint();
      case TEXT:
        return this.text();
      case BYTES:
        return this.bytes();
      case LIST: {
        const length = this.count();
        // Every item takes at least a byte.
        if (length > this.data.length - this.at) return this.damaged();
        const list: State[] = [];
        for (let i = 0; i < length; i++) list.push(this.state(depth + 1));
        return list;
      }
      case RECORD: {
        const length = this.count();
        if (length > this.data.length - this.at) return this.damaged();
        const entries: [string, State][] = [];
        for (let i = 0; i < length; i++) entries.push([this.text(), this.state(depth + 1)]);
        return Object.fromEntries(entries);
      }
      default:
        return this.damaged();
    }
  }

  whole(): State {
    const state = this.state();
    return this.at === this.data.length ? state : this.damaged();
  }
}

/** Reads what `writeState` gave. @throws UserError that names `what` when the bytes are no such thing. */
export function readState(data: Uint8Array, what: string): State {
  return new Reader(data, what).whole();
}
