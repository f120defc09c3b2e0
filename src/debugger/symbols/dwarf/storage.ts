import type { Location, LocationContext } from "./location";

/** Where the bytes of a value come from. */
export type Storage =
  | { readonly kind: "memory"; readonly address: bigint }
  /** Bytes of registers or constants. `known` marks those that are not optimised out; undefined: all are known. */
  | { readonly kind: "bytes"; readonly bytes: Uint8Array; readonly known: Uint8Array | undefined; readonly register: number | undefined }
  | { readonly kind: "missing"; readonly reason: string };

/** Values assembled from pieces are at most this large; others are read from memory as they are needed. */
const maximumAssembled = 4096;

/** The storage that a location describes, for a value of `size` bytes. */
export function storageOf(location: Location, size: number, context: LocationContext): Storage {
  switch (location.kind) {
    case "memory":
      return { kind: "memory", address: location.address };
    case "missing":
      return location;
    case "bytes":
      return { kind: "bytes", bytes: location.bytes, known: undefined, register: undefined };
    case "value":
      return { kind: "bytes", bytes: toBytes(location.value, Math.max(size, 8)), known: undefined, register: undefined };
    case "register": {
      const value = context.register(location.number);
      if (value === undefined) return { kind: "missing", reason: "in a register that is not saved" };
      return { kind: "bytes", bytes: toBytes(value, 16), known: undefined, register: location.number };
    }
    case "pieces":
      return assemble(location, size, context);
  }
}

function assemble(location: Extract<Location, { kind: "pieces" }>, size: number, context: LocationContext): Storage {
  const total = Math.min(size, maximumAssembled);
  const bytes = new Uint8Array(total);
  const known = new Uint8Array(total);
  let at = 0;
  for (const piece of location.pieces) {
    if (piece.bits % 8 !== 0 || piece.bitOffset % 8 !== 0) return { kind: "missing", reason: "in pieces of single bits" };
    const length = Math.min(piece.bits / 8, total - at);
    if (length <= 0) break;
    const part = readStorage(storageOf(piece.location, length + piece.bitOffset / 8, context), piece.bitOffset / 8, length, context);
    if (part instanceof Uint8Array) {
      bytes.set(part, at);
      known.fill(1, at, at + length);
    }
    at += length;
  }
  if (known.every((byte) => byte === 0)) return { kind: "missing", reason: "optimised out" };
  return { kind: "bytes", bytes, known, register: undefined };
}

/** `size` bytes from `offset` of a value, or the reason why there are none. */
export function readStorage(
  storage: Storage,
  offset: number,
  size: number,
  memory: { readMemory(address: bigint, size: number): Uint8Array | undefined },
): Uint8Array | string {
  switch (storage.kind) {
    case "missing":
      return storage.reason;
    case "memory": {
      const address = BigInt.asUintN(64, storage.address + BigInt(offset));
      const bytes = memory.readMemory(address, size);
      return bytes !== undefined && bytes.length >= size ? bytes : `cannot read memory at 0x${address.toString(16)}`;
    }
    case "bytes": {
      if (offset < 0 || offset + size > storage.bytes.length) return "optimised out";
      const { known } = storage;
      if (known?.subarray(offset, offset + size).some((byte) => byte === 0) === true) return "optimised out";
      return storage.bytes.subarray(offset, offset + size);
    }
  }
}

/** The part of a value that begins `offset` bytes in. */
export function partOf(storage: Storage, offset: number): Storage {
  if (offset === 0) return storage;
  switch (storage.kind) {
    case "missing":
      return storage;
    case "memory":
      return { kind: "memory", address: BigInt.asUintN(64, storage.address + BigInt(offset)) };
    case "bytes":
      if (offset < 0 || offset > storage.bytes.length) return { kind: "missing", reason: "optimised out" };
      return { kind: "bytes", bytes: storage.bytes.subarray(offset), known: storage.known?.subarray(offset), register: undefined };
  }
}

function toBytes(value: bigint, size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  let rest = BigInt.asUintN(size * 8, value);
  for (let i = 0; i < size && rest !== 0n; i++, rest >>= 8n) bytes[i] = Number(rest & 0xffn);
  return bytes;
}
