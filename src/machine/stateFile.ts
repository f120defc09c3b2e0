import { crc32 } from "../common/checksum";
import { UserError } from "../common/errors";
import type { State } from "../common/state";
import { readState, writeState } from "../common/stateCodec";
import { checkMake, type MachineMake } from "./make";
import type { Machine } from "./machine";
import type { MachineState } from "./snapshots";

/**
 * A machine's state as a file. Sixteen bytes of title, a 32-bit version, then sections: 4 letters of name, a byte that is 1 where the data is deflated, and, 32 bits each and little
 * endian, the data's length, its length in the file and the CRC-32 of what is in the file; then the data. In order: `make` (what the machine is), `cpus` (the state of
 * everything but RAM), any number of `ram ` (a count, so many page numbers, the pages; pages of zeros are left out), `end ` (the state hash).
 */
const TITLE = "APICScope state\n";
const VERSION = 2;
const PAGE = 4096;
/** Pages of one section. */
const CHUNK = 1024;
const SECTION_HEAD = 17;

export type Deflate = (data: Uint8Array) => Uint8Array;
/** Inflates to exactly `size` bytes. @throws anything when the data is damaged */
export type Inflate = (data: Uint8Array, size: number) => Uint8Array;

const encoder = new TextEncoder();

function section(name: string, data: Uint8Array, deflate: Deflate | undefined): Uint8Array {
  const small = deflate?.(data);
  const stored = small !== undefined && small.length < data.length ? small : data;
  const bytes = new Uint8Array(SECTION_HEAD + stored.length);
  const view = new DataView(bytes.buffer);
  bytes.set(encoder.encode(name));
  bytes[4] = stored === data ? 0 : 1;
  view.setUint32(5, data.length, true);
  view.setUint32(9, stored.length, true);
  view.setUint32(13, crc32(stored), true);
  bytes.set(stored, SECTION_HEAD);
  return bytes;
}

const isZero = (words: BigUint64Array): boolean => words.every((word) => word === 0n);

/** Writes the machine's state, piece by piece; between runs only. @param deflate the host's compressor, if the file is to be small */
export function writeStateFile(machine: Machine, write: (bytes: Uint8Array) => void, deflate?: Deflate): void {
  const head = new Uint8Array(TITLE.length + 4);
  head.set(encoder.encode(TITLE));
  new DataView(head.buffer).setUint32(TITLE.length, VERSION, true);
  write(head);
  write(section("make", writeState(machine.make), deflate));
  const { state, course, tlbs } = machine.saveMachine();
  const bytesOf = (words: Int32Array): Uint8Array => new Uint8Array(words.buffer, words.byteOffset, words.byteLength);
  const saved: State = { state, course: course as unknown as State, tlbs: tlbs.map(bytesOf) };
  write(section("cpus", writeState(saved), deflate));
  const { ram } = machine;
  const words = new BigUint64Array(ram.buffer, ram.byteOffset, ram.length / 8);
  let pages: number[] = [];
  const flush = (): void => {
    if (pages.length === 0) return;
    const data = new Uint8Array(4 + pages.length * (4 + PAGE));
    const view = new DataView(data.buffer);
    view.setUint32(0, pages.length, true);
    for (const [index, page] of pages.entries()) {
      view.setUint32(4 + index * 4, page, true);
      data.set(ram.subarray(page * PAGE, (page + 1) * PAGE), 4 + pages.length * 4 + index * PAGE);
    }
    write(section("ram ", data, deflate));
    pages = [];
  };
  for (let page = 0; page < ram.length / PAGE; page++) {
    if (isZero(words.subarray((page * PAGE) / 8, ((page + 1) * PAGE) / 8))) continue;
    pages.push(page);
    if (pages.length === CHUNK) flush();
  }
  flush();
  write(section("end ", encoder.encode(machine.stateHash()), undefined));
}

/** The same bytes without what a host's own kind of array does otherwise. */
const plain = (bytes: Uint8Array): Uint8Array => new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** The sections of a state file, each checked. */
class SectionReader {
  private at = TITLE.length + 4;
  private readonly view: DataView;

  constructor(
    private readonly bytes: Uint8Array,
    private readonly file: string,
    private readonly inflate: Inflate,
  ) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const title = new TextDecoder("latin1").decode(bytes.subarray(0, TITLE.length));
    if (title !== TITLE || bytes.length < this.at) throw new UserError(`${file} is no saved state.`, "load-state");
    const version = this.view.getUint32(TITLE.length, true);
    if (version !== VERSION)
      throw new UserError(`${file} is a saved state of version ${version}, which this version cannot read.`, "load-state");
  }

  damaged(): never {
    throw new UserError(`${this.file} is damaged.`, "load-state");
  }

  next(most: number): { name: string; data: Uint8Array } {
    const { view, bytes, at } = this;
    if (at + SECTION_HEAD > bytes.length) return this.damaged();
    const name = new TextDecoder("latin1").decode(bytes.subarray(at, at + 4));
    const size = view.getUint32(at + 5, true);
    const length = view.getUint32(at + 9, true);
    const start = at + SECTION_HEAD;
    if (start + length > bytes.length || size > most) return this.damaged();
    const stored = bytes.subarray(start, start + length);
    if (crc32(stored) !== view.getUint32(at + 13, true)) return this.damaged();
    this.at = start + length;
    if (bytes[at + 4] === 0) return size === length ? { name, data: stored } : this.damaged();
    try {
      const data = plain(this.inflate(stored, size));
      return data.length === size ? { name, data } : this.damaged();
    } catch {
      return this.damaged();
    }
  }

  /** True when nothing is left. */
  get done(): boolean {
    return this.at === this.bytes.length;
  }
}

/** Bytes that the state of CPUs and devices may take: more than any does. */
const MOST_STATE = 1 << 28;

/** @param like a state of the machine: the saved one must have the same parts */
function readMachineState(data: Uint8Array, file: string, like: MachineState, damaged: () => never): MachineState {
  const { state, course, tlbs } = readState(data, file) as { readonly [key: string]: State };
  if (typeof course !== "object" || course === null || !Array.isArray(tlbs)) return damaged();
  const parts = course as Readonly<Record<string, State>>;
  for (const [key, value] of Object.entries(like.course)) {
    // How a run ended is null or a record.
    const same =
      key === "end"
        ? typeof parts[key] === "object"
        : typeof parts[key] === typeof value && Array.isArray(parts[key]) === Array.isArray(value);
    if (!same) return damaged();
  }
  if (tlbs.length !== like.tlbs.length) return damaged();
  return {
    state,
    course: course as unknown as MachineState["course"],
    tlbs: (tlbs as State[]).map((bytes) =>
      bytes instanceof Uint8Array && bytes.length % 4 === 0 ? new Int32Array(bytes.slice().buffer) : damaged(),
    ),
  };
}

/**
 * Takes the machine, which has been booted from the same files, to the state in a file.
 * @throws UserError when the bytes are no state file, damaged, of another version, or of a machine of another make
 */
export function readStateFile(machine: Machine, bytes: Uint8Array, file: string, inflate: Inflate): void {
  const reader = new SectionReader(plain(bytes), file, inflate);
  const make = reader.next(1 << 20);
  if (make.name !== "make") return reader.damaged();
  checkMake(file, readState(make.data, file) as MachineMake, machine.make);
  const cpus = reader.next(MOST_STATE);
  if (cpus.name !== "cpus") return reader.damaged();
  const saved = readMachineState(cpus.data, file, machine.saveMachine(), () => reader.damaged());
  const pages = new Map<number, Uint8Array>();
  let hash = "";
  while (!reader.done) {
    const { name, data } = reader.next(4 + CHUNK * (4 + PAGE));
    if (name === "ram ") readPages(data, pages, machine.ram.length / PAGE, () => reader.damaged());
    else if (name === "end " && reader.done) hash = new TextDecoder().decode(data);
    else return reader.damaged();
  }
  if (hash === "") return reader.damaged();
  machine.load(saved, (page) => pages.get(page));
  if (machine.stateHash() !== hash) return reader.damaged();
}

function readPages(data: Uint8Array, pages: Map<number, Uint8Array>, most: number, damaged: () => never): void {
  if (data.length < 4) return damaged();
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const count = view.getUint32(0, true);
  if (data.length !== 4 + count * (4 + PAGE)) return damaged();
  for (let index = 0; index < count; index++) {
    const page = view.getUint32(4 + index * 4, true);
    if (page >= most || pages.has(page)) return damaged();
    const at = 4 + count * 4 + index * PAGE;
    pages.set(page, data.subarray(at, at + PAGE));
  }
}
