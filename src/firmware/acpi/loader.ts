/**
 * ACPI and MP tables as files for a firmware that allocates the memory: the tables with offsets in place of addresses, and the script of allocations, pointers
 * and checksums that links them (QEMU's docs/specs/acpi "bios-linker-loader", which SeaBIOS runs).
 */
import { alignUp, ByteWriter } from "../bytes";
import { MP_CHECKSUM, MP_CONFIGURATION, mpConfiguration, mpFloatingPointer, type PciPin } from "../mpTables";
import * as acpi from "./tables";

const TABLES = "etc/acpi/tables";
const RSDP = "etc/acpi/rsdp";
const MP = "etc/mp/tables";
/** The BIOS segment has some 1,600 bytes for everything that is allocated there, drives among it. */
const MP_LIMIT = 640;

const ENTRY_LENGTH = 128;
const FILE_NAME_LENGTH = 56;
const ALLOCATE = 1;
const ADD_POINTER = 2;
const ADD_CHECKSUM = 3;
/** Anywhere in high memory, or in the BIOS segment. */
const ZONE_HIGH = 1;
const ZONE_BIOS = 2;

/** Offsets of fields (ACPI 6.3, 5.2). */
const HEADER_LENGTH = 36;
const CHECKSUM = 9;
const FADT_FACS = 36;
const FADT_DSDT = 40;
const FADT_X_DSDT = 140;
const RSDP_CHECKSUM = 8;
const RSDP_RSDT = 16;
const RSDP_XSDT = 24;
const RSDP_EXTENDED_CHECKSUM = 32;

const entry = (command: number, write: (entry: ByteWriter) => void): Uint8Array => {
  const bytes = new ByteWriter().u32(command);
  write(bytes);
  const content = bytes.finish();
  return new ByteWriter()
    .bytes(content)
    .zeros(ENTRY_LENGTH - content.length)
    .finish();
};

const allocate = (file: string, alignment: number, zone: number): Uint8Array =>
  entry(ALLOCATE, (bytes) => bytes.text(file, FILE_NAME_LENGTH).u32(alignment).u8(zone));

/** The `size` bytes at `offset` of `file` hold an offset into the file `target`, to which its address is added. */
const pointer = (file: string, offset: number, size: number, target = TABLES): Uint8Array =>
  entry(ADD_POINTER, (bytes) => bytes.text(file, FILE_NAME_LENGTH).text(target, FILE_NAME_LENGTH).u32(offset).u8(size));

const sum = (file: string, offset: number, start: number, length: number): Uint8Array =>
  entry(ADD_CHECKSUM, (bytes) => bytes.text(file, FILE_NAME_LENGTH).u32(offset, start, length));

/**
 * The MP tables as one file: the floating pointer, at a multiple of 16, and the configuration table. A firmware that makes tables of its own leaves out all processors of a
 * package but the first, as SeaBIOS does, and guests without ACPI would not find the others; these are allocated below its own, where guests look first. Undefined when they
 * would take too much of the BIOS segment.
 */
function mpFile(
  apicIds: readonly number[],
  pins: readonly PciPin[],
): { readonly bytes: Uint8Array; readonly script: readonly Uint8Array[] } | undefined {
  const { length } = mpFloatingPointer(0);
  const bytes = new ByteWriter().bytes(mpFloatingPointer(length)).bytes(mpConfiguration(apicIds, pins)).finish();
  if (bytes.length > MP_LIMIT) return undefined;
  return { bytes, script: [allocate(MP, 16, ZONE_BIOS), pointer(MP, MP_CONFIGURATION, 4, MP), sum(MP, MP_CHECKSUM, 0, length)] };
}

/** The files "etc/acpi/tables", "etc/acpi/rsdp", "etc/mp/tables" and "etc/table-loader" for CPUs with these APIC ids and devices with these interrupt pins. */
export function tableFiles(apicIds: readonly number[], pins: readonly PciPin[]): { readonly name: string; readonly bytes: Uint8Array }[] {
  const tables = new ByteWriter();
  const script: Uint8Array[] = [allocate(TABLES, 64, ZONE_HIGH), allocate(RSDP, 16, ZONE_BIOS)];
  let end = 0;
  const put = (bytes: Uint8Array, pointers: readonly (readonly [number, number])[] = []): number => {
    const offset = alignUp(end, 16);
    tables.zeros(offset - end).bytes(bytes);
    end = offset + bytes.length;
    for (const [at, size] of pointers) script.push(pointer(TABLES, offset + at, size));
    if (pointers.length > 0) script.push(sum(TABLES, offset + CHECKSUM, offset, bytes.length));
    return offset;
  };
  // First, for its alignment to 64.
  const facs = put(acpi.facs());
  const dsdt = put(acpi.dsdt(apicIds.length, false));
  const fadt = put(acpi.fadt(dsdt, facs), [
    [FADT_FACS, 4],
    [FADT_DSDT, 4],
    [FADT_X_DSDT, 8],
  ]);
  const listed = [fadt, put(acpi.madt(apicIds)), put(acpi.hpet())];
  const each = (size: number): [number, number][] => listed.map((_, index) => [HEADER_LENGTH + size * index, size]);
  const rsdt = put(acpi.rsdt(listed), each(4));
  const xsdt = put(acpi.xsdt(listed), each(8));
  const rsdp = acpi.rsdp(rsdt, xsdt);
  script.push(pointer(RSDP, RSDP_RSDT, 4), pointer(RSDP, RSDP_XSDT, 8));
  script.push(sum(RSDP, RSDP_CHECKSUM, 0, acpi.RSDP_V1_LENGTH), sum(RSDP, RSDP_EXTENDED_CHECKSUM, 0, rsdp.length));
  const mp = mpFile(apicIds, pins);
  if (mp !== undefined) script.push(...mp.script);
  const loader = new ByteWriter();
  for (const bytes of script) loader.bytes(bytes);
  return [
    { name: TABLES, bytes: tables.finish() },
    { name: RSDP, bytes: rsdp },
    ...(mp === undefined ? [] : [{ name: MP, bytes: mp.bytes }]),
    { name: "etc/table-loader", bytes: loader.finish() },
  ];
}
