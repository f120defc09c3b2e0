import { assert, UserError } from "../common/errors";
import * as acpi from "./acpi/tables";
import { alignDown, alignUp } from "./bytes";
import { MP_POINTER_ADDRESS, MP_TABLE_ADDRESS, MP_TABLE_LIMIT, RSDP_ADDRESS, writeBiosArea } from "./biosArea";
import { mpConfiguration, mpFloatingPointer } from "./mpTables";
import { lowRamEnd, MIB, MINIMUM_MEMORY, PAGE } from "./ram";
import { MemoryType, type BootMemory, type MemoryMapEntry } from "./types";

/** The end of low RAM that the tables take at least: a round figure, so that guests' maps do not change with every CPU. */
const TABLES_SIZE = 0x10000;

export interface FirmwareTables {
  /** Guest-physical address of the root pointer, in the BIOS segment. */
  readonly rsdp: number;
  /** The root pointer's bytes, which Multiboot 2 wants a copy of. */
  readonly rsdpBytes: Uint8Array;
  /** Where the tables at the end of low RAM start, and the entries of the address map for them. */
  readonly start: number;
  readonly map: readonly MemoryMapEntry[];
}

/** Where the FACS is: the last page of low RAM. */
export const facsAddress = (memorySize: number): number => lowRamEnd(memorySize) - PAGE;
/** Offset in the FACS of the firmware waking vector (ACPI specification, "Firmware ACPI Control Structure"). */
export const WAKING_VECTOR = 12;

/**
 * Writes everything that a PC's firmware would have left in memory: the real-mode areas below 1 MiB with the ACPI root pointer and the MP
 * tables, and the ACPI tables at the end of low RAM.
 * @throws UserError if there is too little RAM for that.
 */
export function writeFirmwareTables(memory: BootMemory, apicIds: readonly number[], hpet: boolean): FirmwareTables {
  if (memory.size < MINIMUM_MEMORY) {
    throw new UserError(
      `The machine has ${Math.floor(memory.size / 1024)} KiB of memory, booting takes at least ${MINIMUM_MEMORY / MIB} MiB: raise \`memory\`.`,
      "memory",
    );
  }
  writeBiosArea(memory);

  const mp = mpConfiguration(apicIds);
  assert(MP_TABLE_ADDRESS + mp.length <= MP_TABLE_LIMIT, `MP table of ${mp.length} bytes fits the BIOS segment`);
  memory.write(MP_TABLE_ADDRESS, mp);
  memory.write(MP_POINTER_ADDRESS, mpFloatingPointer(MP_TABLE_ADDRESS));

  const end = lowRamEnd(memory.size);
  const nvs = facsAddress(memory.size);
  const dsdt = acpi.dsdt(apicIds.length, true);
  const madt = acpi.madt(apicIds);
  const slack = 0x1000;
  const start = alignDown(Math.min(end - TABLES_SIZE, nvs - dsdt.length - madt.length - slack), PAGE);

  let at = start;
  const put = (bytes: Uint8Array): number => {
    const address = at;
    memory.write(address, bytes);
    at = alignUp(address + bytes.length, 16);
    return address;
  };
  memory.write(nvs, acpi.facs());
  const dsdtAddress = put(dsdt);
  const tables = [put(acpi.fadt(dsdtAddress, nvs)), put(madt)];
  if (hpet) tables.push(put(acpi.hpet()));
  const rsdpBytes = acpi.rsdp(put(acpi.rsdt(tables)), put(acpi.xsdt(tables)));
  assert(at <= nvs, `ACPI tables end at ${at}, NVS starts at ${nvs}`);
  memory.write(RSDP_ADDRESS, rsdpBytes);
  return {
    rsdp: RSDP_ADDRESS,
    rsdpBytes,
    start,
    map: [
      { start, end: nvs, type: MemoryType.acpi },
      { start: nvs, end, type: MemoryType.nvs },
    ],
  };
}
