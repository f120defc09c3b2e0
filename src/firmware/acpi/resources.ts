/** Resource descriptors of _CRS (ACPI 6, 6.4). */
import { ByteWriter } from "../bytes";
import { type Aml, join } from "./aml";

/** Fixed I/O ports that the device decodes with all 16 address bits. */
export const ioPorts = (base: number, length: number): Uint8Array =>
  new ByteWriter().u8(0x47, 0x01).u16(base, base).u8(0x01, length).finish();

/** An ISA interrupt: edge, active high, not shared. */
export const isaIrq = (irq: number): Uint8Array =>
  new ByteWriter()
    .u8(0x22)
    .u16(1 << irq)
    .finish();

/** A fixed range of memory, writable. */
export const fixedMemory = (base: number, length: number): Uint8Array => new ByteWriter().u8(0x86).u16(9).u8(1).u32(base, length).finish();

/** Flags of an address space that a bridge passes on: both ends fixed, positive decode. */
const FIXED_ENDS = 0x0c;

/** Bus numbers [first, last] below a host bridge. */
export const busRange = (first: number, last: number): Uint8Array =>
  new ByteWriter()
    .u8(0x88)
    .u16(13)
    .u8(2, FIXED_ENDS, 0)
    .u16(0, first, last, 0, last - first + 1)
    .finish();

/** I/O ports [first, last] that a host bridge passes on. */
export const ioRange = (first: number, last: number): Uint8Array =>
  new ByteWriter()
    .u8(0x88)
    .u16(13)
    .u8(1, FIXED_ENDS, 0x03)
    .u16(0, first, last, 0, last - first + 1)
    .finish();

/** Memory [first, last] that a host bridge passes on, uncached and writable. */
export const memoryRange = (first: number, last: number): Uint8Array =>
  new ByteWriter()
    .u8(0x87)
    .u16(23)
    .u8(0, FIXED_ENDS, 0x01)
    .u32(0, first, last, 0, last - first + 1)
    .finish();

/** `descriptors` and the end tag, whose checksum 0 stands for "right" (6.4.2.9). */
export function resourceTemplate(...descriptors: Uint8Array[]): Aml {
  return join(...descriptors.map((bytes) => Array.from(bytes)), [0x79, 0]);
}
