import assert from "node:assert/strict";
import { bootImage, type BootMemory, type BootRequest, type BootState } from "../../src/firmware/boot";
import { UserError } from "../../src/common/errors";

const MIB = 0x100000;
const HOLE = 0xc0000000;
const HIGH = 0x100000000;
const PAGE = 0x10000;

/** Guest RAM that only takes what is written, so that machines of gigabytes cost nothing. Accesses outside RAM fail the test. */
export class SparseMemory implements BootMemory {
  private readonly pages = new Map<number, Uint8Array>();

  constructor(readonly size: number) {}

  private check(address: number, length: number): void {
    const end = address + length;
    const ok = address >= HIGH ? end <= HIGH + this.size - HOLE : address >= 0 && end <= Math.min(this.size, HOLE);
    assert.ok(ok, `access to ${length} bytes at 0x${address.toString(16)} is outside RAM`);
  }

  read(address: number, length: number): Uint8Array {
    this.check(address, length);
    const bytes = new Uint8Array(length);
    for (let i = 0; i < length;) {
      const at = address + i;
      const offset = at % PAGE;
      const count = Math.min(PAGE - offset, length - i);
      const page = this.pages.get(at - offset);
      if (page !== undefined) bytes.set(page.subarray(offset, offset + count), i);
      i += count;
    }
    return bytes;
  }

  expectWrites(address: number, length: number): void {
    this.check(address, length);
  }

  write(address: number, bytes: Uint8Array): void {
    this.check(address, bytes.length);
    for (let i = 0; i < bytes.length;) {
      const at = address + i;
      const offset = at % PAGE;
      const part = bytes.subarray(i, i + PAGE - offset);
      let page = this.pages.get(at - offset);
      if (page === undefined && part.some((byte) => byte !== 0)) {
        page = new Uint8Array(PAGE);
        this.pages.set(at - offset, page);
      }
      page?.set(part, offset);
      i += part.length;
    }
  }

  view(address: number, length: number): DataView {
    return new DataView(this.read(address, length).buffer);
  }

  u8(address: number): number {
    return this.read(address, 1)[0];
  }

  u16(address: number): number {
    return this.view(address, 2).getUint16(0, true);
  }

  u32(address: number): number {
    return this.view(address, 4).getUint32(0, true);
  }

  u64(address: number): number {
    return Number(this.view(address, 8).getBigUint64(0, true));
  }

  /** A NUL-terminated string. */
  text(address: number): string {
    let text = "";
    for (let at = address; text.length < 4096; at++) {
      const byte = this.u8(at);
      if (byte === 0) return text;
      text += String.fromCharCode(byte);
    }
    return text;
  }
}

export interface Booted {
  readonly state: BootState;
  readonly memory: SparseMemory;
}

/** Boots `image` on a machine of `mib` MiB. */
export function boot(image: Uint8Array, options: Partial<Omit<BootRequest, "image" | "memory">> & { mib?: number } = {}): Booted {
  const { mib = 64, ...rest } = options;
  const memory = new SparseMemory(mib * MIB);
  const cpus = rest.cpus ?? 1;
  const request: BootRequest = {
    imageName: "kernel",
    hpet: false,
    apicIds: Array.from({ length: cpus }, (_, index) => index),
    ...rest,
    cpus,
    image,
    memory: memory.size,
  };
  return { state: bootImage(request, memory), memory };
}

/** Asserts that booting is refused as a mistake of the user, with a message that matches, about `subject`. */
export function refused(image: Uint8Array, message: RegExp, subject: string, options: Parameters<typeof boot>[1] = {}): void {
  assert.throws(
    () => boot(image, options),
    (error: unknown) => {
      assert.ok(error instanceof UserError, String(error));
      assert.match(error.message, message);
      assert.equal(error.subject, subject);
      return true;
    },
  );
}

/** Sum of bytes modulo 256: 0 where a checksum is right. */
export const byteSum = (bytes: Uint8Array): number => bytes.reduce((sum, byte) => (sum + byte) & 0xff, 0);

export interface SegmentSpec {
  readonly physical: bigint;
  readonly virtual?: bigint;
  readonly data: Uint8Array;
  readonly memorySize?: number;
}

export interface ElfSpec {
  readonly bits: 32 | 64;
  readonly entry: bigint;
  readonly segments: readonly SegmentSpec[];
  readonly machine?: number;
  readonly type?: number;
  readonly note?: Uint8Array;
  /** Adds a section table with a symbol table of this content. */
  readonly symbols?: Uint8Array;
}

/** An ELF file: headers, then the contents of segments on 16-byte boundaries from offset 0x400, then sections. */
export function elf(spec: ElfSpec): Uint8Array {
  const wide = spec.bits === 64;
  const file = new Uint8Array(0x10000);
  const view = new DataView(file.buffer);
  const word = (at: number, value: bigint): void => {
    if (wide) view.setBigUint64(at, value, true);
    else view.setUint32(at, Number(value & 0xffffffffn), true);
  };
  file.set([0x7f, 0x45, 0x4c, 0x46, wide ? 2 : 1, 1, 1]);
  view.setUint16(16, spec.type ?? 2, true);
  view.setUint16(18, spec.machine ?? (wide ? 62 : 3), true);
  view.setUint32(20, 1, true);
  word(24, spec.entry);
  const headerSize = wide ? 56 : 32;
  const headersAt = wide ? 64 : 52;
  word(wide ? 32 : 28, BigInt(headersAt));
  view.setUint16(wide ? 54 : 42, headerSize, true);
  const all = [
    ...spec.segments.map((segment) => ({ type: 1, ...segment })),
    ...(spec.note ? [{ type: 4, physical: 0n, data: spec.note }] : []),
  ];
  view.setUint16(wide ? 56 : 44, all.length, true);
  let at = 0x400;
  all.forEach((segment: SegmentSpec & { type: number }, index) => {
    const header = headersAt + index * headerSize;
    view.setUint32(header, segment.type, true);
    word(header + (wide ? 8 : 4), BigInt(at));
    word(header + (wide ? 16 : 8), segment.virtual ?? segment.physical);
    word(header + (wide ? 24 : 12), segment.physical);
    word(header + (wide ? 32 : 16), BigInt(segment.data.length));
    word(header + (wide ? 40 : 20), BigInt(segment.memorySize ?? segment.data.length));
    file.set(segment.data, at);
    at = (at + segment.data.length + 15) & ~15;
  });
  if (spec.symbols !== undefined) {
    const symbolsAt = at;
    file.set(spec.symbols, symbolsAt);
    at = (at + spec.symbols.length + 15) & ~15;
    const entrySize = wide ? 64 : 40;
    word(wide ? 40 : 32, BigInt(at));
    view.setUint16(wide ? 58 : 46, entrySize, true);
    view.setUint16(wide ? 60 : 48, 2, true);
    const header = at + entrySize;
    view.setUint32(header + 4, 2, true);
    word(header + (wide ? 24 : 16), BigInt(symbolsAt));
    word(header + (wide ? 32 : 20), BigInt(spec.symbols.length));
    at += entrySize * 2;
  }
  return file.slice(0, at);
}

/** `count` bytes of a recognisable pattern. */
export const pattern = (count: number): Uint8Array => Uint8Array.from({ length: count }, (_, index) => (index * 7 + 1) & 0xff);

/** Little-endian 32-bit words. */
export function words(...values: number[]): Uint8Array {
  const bytes = new Uint8Array(values.length * 4);
  const view = new DataView(bytes.buffer);
  values.forEach((value, index) => view.setUint32(index * 4, value >>> 0, true));
  return bytes;
}

/** A Multiboot 1 header with its checksum. */
export const multiboot1Header = (flags: number, ...rest: number[]): Uint8Array => words(0x1badb002, flags, -(0x1badb002 + flags), ...rest);

/** A Multiboot 2 header with its checksum around tags given as words; the end tag is added. */
export function multiboot2Header(tags: readonly number[][], options: { architecture?: number; end?: boolean } = {}): Uint8Array {
  const body = tags.flatMap((tag) => (tag.length % 2 === 0 ? tag : [...tag, 0]));
  const end = options.end === false ? [] : [0, 8];
  const length = 16 + (body.length + end.length) * 4;
  const architecture = options.architecture ?? 0;
  return words(0xe85250d6, architecture, length, -(0xe85250d6 + architecture + length), ...body, ...end);
}

/** The PVH note with a 32-bit entry. */
export const pvhNote = (entry: number): Uint8Array => words(4, 4, 6, 0x006e6558, 0x1234, 4, 4, 18, 0x006e6558, entry);

export interface BzImageSpec {
  readonly version?: number;
  readonly loadFlags?: number;
  readonly initSize?: number;
  readonly preferred?: bigint;
  readonly initrdMax?: number;
  readonly cmdlineSize?: number;
  readonly kernel?: Uint8Array;
  readonly setupSectors?: number;
}

/** A bzImage with this header and payload. */
export function bzImage(spec: BzImageSpec = {}): Uint8Array {
  const kernel = spec.kernel ?? pattern(4096);
  const sectors = spec.setupSectors ?? 3;
  const file = new Uint8Array((sectors + 1) * 512 + kernel.length);
  const view = new DataView(file.buffer);
  file[0x1f1] = sectors;
  view.setUint32(0x1f4, Math.floor(kernel.length / 16), true);
  view.setUint16(0x1fe, 0xaa55, true);
  file.set([0xeb, 0x66], 0x200);
  view.setUint32(0x202, 0x53726448, true);
  view.setUint16(0x206, spec.version ?? 0x20f, true);
  file[0x211] = spec.loadFlags ?? 1;
  view.setUint32(0x214, 0x100000, true);
  view.setUint32(0x22c, spec.initrdMax ?? 0x7fffffff, true);
  view.setUint32(0x230, 0x200000, true);
  file[0x234] = 1;
  view.setUint32(0x238, spec.cmdlineSize ?? 2047, true);
  view.setBigUint64(0x258, spec.preferred ?? 0x1000000n, true);
  view.setUint32(0x260, spec.initSize ?? 0x200000, true);
  file.set(kernel, (sectors + 1) * 512);
  return file;
}
