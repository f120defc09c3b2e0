// Finds out from its content what kind of guest a file is. Knows nothing of VS Code.

export type GuestKind = "multiboot" | "multiboot2" | "pvh" | "linux" | "disk" | "qcow2" | "iso";

/** A file, read in pieces: the bytes at `offset`, fewer at its end. */
export interface GuestFile {
  readonly size: number;
  read(offset: number, length: number): Uint8Array;
}

/** Where boot headers may stand: Multiboot within 8 KiB, Multiboot 2 within 32 KiB. */
const headBytes = 32_768;
const multibootBytes = 8_192;
const maximumNotes = 65_536;
const xenPhysicalEntry = 18;
/** The smallest disk that is taken for one: less is a boot sector or a piece of firmware. */
const leastDisk = 32_768;

/** The kind of guest that a file is; undefined for everything else, programs of this computer among it. */
export function identifyGuest(file: GuestFile): GuestKind | undefined {
  if (file.size < 512) return undefined;
  const head = file.read(0, headBytes);
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  if (ascii(head, 0, 4) === "\x7fELF") return identifyElf(file, head, view);
  if (ascii(head, 0, 4) === "QFI\xfb") return "qcow2";
  if (ascii(file.read(0x8001, 5), 0, 5) === "CD001") return "iso";
  const bootSector = head[510] === 0x55 && head[511] === 0xaa;
  if (bootSector && ascii(head, 0x202, 4) === "HdrS") return "linux";
  // An image that is no ELF file says itself where it is to be loaded.
  if (multiboot1(view, 1 << 16)) return "multiboot";
  if (bootSector && head[0] !== 0 && file.size >= leastDisk && file.size % 512 === 0) return "disk";
  return undefined;
}

function ascii(bytes: Uint8Array, offset: number, length: number): string {
  return String.fromCharCode(...bytes.subarray(offset, offset + length));
}

/** A Multiboot 1 header whose checksum is right and that has these flags (Multiboot Specification 0.6.96, 3.1). */
function multiboot1(view: DataView, flags: number): boolean {
  const end = Math.min(view.byteLength, multibootBytes) - 12;
  for (let at = 0; at <= end; at += 4) {
    if (view.getUint32(at, true) !== 0x1badb002) continue;
    const given = view.getUint32(at + 4, true);
    if (((0x1badb002 + given + view.getUint32(at + 8, true)) & 0xffffffff) === 0 && (given & flags) === flags) return true;
  }
  return false;
}

/** A Multiboot 2 header for i386 whose checksum is right (Multiboot2 Specification 2.0, 3.1.1). */
function multiboot2(view: DataView): boolean {
  for (let at = 0; at + 16 <= view.byteLength; at += 8) {
    if (view.getUint32(at, true) !== 0xe85250d6) continue;
    const sum = 0xe85250d6 + view.getUint32(at + 4, true) + view.getUint32(at + 8, true) + view.getUint32(at + 12, true);
    if (sum % 2 ** 32 === 0) return true;
  }
  return false;
}

function identifyElf(file: GuestFile, head: Uint8Array, view: DataView): GuestKind | undefined {
  if (head.length < 64) return undefined;
  const wide = head[4] === 2;
  const [type, machine] = [view.getUint16(16, true), view.getUint16(18, true)];
  // Little-endian executables for 386 or x86-64.
  if (head[5] !== 1 || (type !== 2 && type !== 3) || (machine !== 3 && machine !== 62)) return undefined;
  if (multiboot2(view)) return "multiboot2";
  if (multiboot1(view, 0)) return "multiboot";
  return hasPvhNote(file, view, wide) ? "pvh" : undefined;
}

/** A note of Xen's with the physical entry point (Xen's public/elfnote.h, XEN_ELFNOTE_PHYS32_ENTRY). */
function hasPvhNote(file: GuestFile, view: DataView, wide: boolean): boolean {
  const word = (at: number): number => (wide ? Number(view.getBigUint64(at, true)) : view.getUint32(at, true));
  const table = wide ? word(32) : word(28);
  const [size, count] = wide ? [view.getUint16(54, true), view.getUint16(56, true)] : [view.getUint16(42, true), view.getUint16(44, true)];
  for (let index = 0; index < Math.min(count, 64); index++) {
    const at = table + index * size;
    if (at + size > view.byteLength || size < (wide ? 56 : 32)) return false;
    if (view.getUint32(at, true) !== 4) continue;
    const [offset, length] = wide ? [word(at + 8), word(at + 32)] : [word(at + 4), word(at + 16)];
    if (offset >= file.size) continue;
    const notes = file.read(offset, Math.min(length, maximumNotes));
    const data = new DataView(notes.buffer, notes.byteOffset, notes.byteLength);
    for (let note = 0; note + 12 <= notes.length;) {
      const [nameSize, descriptionSize] = [data.getUint32(note, true), data.getUint32(note + 4, true)];
      if (data.getUint32(note + 8, true) === xenPhysicalEntry && ascii(notes, note + 12, 4) === "Xen\0") return true;
      note += 12 + Math.ceil(nameSize / 4) * 4 + Math.ceil(descriptionSize / 4) * 4;
    }
  }
  return false;
}
