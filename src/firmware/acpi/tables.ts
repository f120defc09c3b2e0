/** The ACPI tables of the board (ACPI 6.3, chapter 5). */
import * as board from "../../devices/board";
import { ByteWriter, checksum } from "../bytes";
import { dsdtTerms } from "./dsdt";

const OEM_ID = "APICSC";
const OEM_TABLE_ID = "APICSCOP";
const CREATOR_ID = "APSC";
/** Local APIC ids from here on need x2APIC entries: 255 is the broadcast id of the older format. */
const FIRST_X2APIC_ID = 255;

const ADDRESS_IO = 1;
const ADDRESS_MEMORY = 0;

/** A system description table: header, `body`, length and checksum. */
function table(signature: string, revision: number, body: Uint8Array): Uint8Array {
  const writer = new ByteWriter()
    .text(signature, 4)
    .u32(36 + body.length)
    .u8(revision, 0)
    .text(OEM_ID, 6)
    .text(OEM_TABLE_ID, 8)
    .u32(1)
    .text(CREATOR_ID, 4)
    .u32(1)
    .bytes(body);
  return writer.patch8(9, checksum(writer.finish())).finish();
}

/** A generic address structure for `bits` bits of I/O port or memory, accessed in units of `access` (1 byte, 2 word, 3 dword). */
function address(writer: ByteWriter, space: number, at: number, bits: number, access: number): void {
  writer.u8(at === 0 ? 0 : space, at === 0 ? 0 : bits, 0, at === 0 ? 0 : access).u64(at);
}

/** `sleep`: the board wakes from S3, as it does where no firmware has to. */
export function dsdt(cpus: number, sleep: boolean): Uint8Array {
  return table("DSDT", 2, Uint8Array.from(dsdtTerms(cpus, sleep)));
}

/** The firmware control structure: shared with the guest, which writes its global lock and waking vector. 64 bytes on a 64-byte boundary. */
export function facs(): Uint8Array {
  return new ByteWriter().text("FACS", 4).u32(64).zeros(24).u8(2).zeros(31).finish();
}

/** FADT revision 6.3: fixed hardware in I/O ports, SCI, reset register, and what the PC legacy the board has. */
export function fadt(dsdtAddress: number, facsAddress: number): Uint8Array {
  const body = new ByteWriter();
  body.u32(facsAddress, dsdtAddress).u8(0, 1).u16(board.SCI_IRQ).u32(board.SMI_COMMAND_PORT);
  body.u8(board.ACPI_ENABLE_VALUE, board.ACPI_DISABLE_VALUE, 0, 0);
  body.u32(board.PM1A_EVENT_PORT, 0, board.PM1A_CONTROL_PORT, 0, 0, board.PM_TIMER_PORT, board.GPE0_PORT, 0);
  body.u8(board.PM1A_EVENT_LENGTH, board.PM1A_CONTROL_LENGTH, 0, board.PM_TIMER_LENGTH, board.GPE0_LENGTH, 0, 0, 0);
  // Latencies that say there is no C2 and no C3; no cache flush by reading (flags have WBINVD); no duty cycle.
  body.u16(0xfff, 0xfff, 0, 0).u8(0, 0);
  // No day or month alarm in the RTC; its century byte.
  body.u8(0, 0, board.RTC_CENTURY);
  // IA-PC boot flags: legacy devices and an 8042.
  body.u16(0x3).u8(0);
  const WBINVD = 1 << 0;
  const PROC_C1 = 1 << 2;
  const NO_FIXED_POWER_BUTTON = 1 << 4;
  const NO_FIXED_SLEEP_BUTTON = 1 << 5;
  const NO_RTC_WAKE_STATUS = 1 << 6;
  const TMR_VAL_EXT = board.PM_TIMER_BITS === 32 ? 1 << 8 : 0;
  const RESET_REG_SUP = 1 << 10;
  body.u32(WBINVD | PROC_C1 | NO_FIXED_POWER_BUTTON | NO_FIXED_SLEEP_BUTTON | NO_RTC_WAKE_STATUS | TMR_VAL_EXT | RESET_REG_SUP);
  address(body, ADDRESS_IO, board.RESET_PORT, 8, 1);
  body.u8(board.RESET_VALUE).u16(0).u8(3);
  // With a 32-bit FACS address the 64-bit one must be 0; the DSDT's must agree.
  body.u64(0, dsdtAddress);
  address(body, ADDRESS_IO, board.PM1A_EVENT_PORT, board.PM1A_EVENT_LENGTH * 8, 2);
  address(body, ADDRESS_IO, 0, 0, 0);
  address(body, ADDRESS_IO, board.PM1A_CONTROL_PORT, board.PM1A_CONTROL_LENGTH * 8, 2);
  address(body, ADDRESS_IO, 0, 0, 0);
  address(body, ADDRESS_IO, 0, 0, 0);
  address(body, ADDRESS_IO, board.PM_TIMER_PORT, board.PM_TIMER_LENGTH * 8, 3);
  address(body, ADDRESS_IO, board.GPE0_PORT, board.GPE0_LENGTH * 8, 1);
  address(body, ADDRESS_IO, 0, 0, 0);
  address(body, ADDRESS_IO, 0, 0, 0);
  address(body, ADDRESS_IO, 0, 0, 0);
  body.text("APICSCOP", 8);
  return table("FACP", 6, body.finish());
}

/** MADT revision 5: processors in the order of `apicIds`, the I/O APIC, overrides of IRQ 0 and of the SCI, NMI at LINT1 of every processor. */
export function madt(apicIds: readonly number[]): Uint8Array {
  const body = new ByteWriter();
  // PCAT_COMPAT: there are 8259s as well.
  body.u32(board.LAPIC_BASE, 1);
  const ENABLED = 1;
  let x2apic = false;
  apicIds.forEach((id, uid) => {
    if (id < FIRST_X2APIC_ID && uid < 255) {
      body.u8(0, 8, uid, id).u32(ENABLED);
    } else {
      x2apic = true;
      body.u8(9, 16).u16(0).u32(id, ENABLED, uid);
    }
  });
  body.u8(1, 12, board.IOAPIC_ID, 0).u32(board.IOAPIC_BASE, board.IOAPIC_GSI_BASE);
  const LEVEL_ACTIVE_HIGH = 0x000d;
  body.u8(2, 10, 0, board.PIT_IRQ).u32(board.PIT_GSI).u16(0);
  body.u8(2, 10, 0, board.SCI_IRQ).u32(board.SCI_IRQ).u16(LEVEL_ACTIVE_HIGH);
  body.u8(4, 6, 0xff).u16(0).u8(1);
  if (x2apic) body.u8(10, 12).u16(0).u32(0xffffffff).u8(1, 0, 0, 0);
  return table("APIC", 5, body.finish());
}

/** HPET table: three comparators, 64-bit counter, replacing the legacy timers if the guest wants. */
export function hpet(): Uint8Array {
  const body = new ByteWriter().u32(0x8086a201);
  address(body, ADDRESS_MEMORY, board.HPET_BASE, 64, 0);
  body.u8(0).u16(0x80).u8(0);
  return table("HPET", 1, body.finish());
}

export function rsdt(tables: readonly number[]): Uint8Array {
  return table("RSDT", 1, new ByteWriter().u32(...tables).finish());
}

export function xsdt(tables: readonly number[]): Uint8Array {
  return table("XSDT", 1, new ByteWriter().u64(...tables).finish());
}

/** Length of the part of the RSDP that ACPI 1.0 knows. */
export const RSDP_V1_LENGTH = 20;

/** The root pointer, revision 2: 36 bytes with both checksums. */
export function rsdp(rsdtAddress: number, xsdtAddress: number): Uint8Array {
  const writer = new ByteWriter().text("RSD PTR ", 8).u8(0).text(OEM_ID, 6).u8(2).u32(rsdtAddress, 36).u64(xsdtAddress).u8(0).zeros(3);
  writer.patch8(8, checksum(writer.finish().subarray(0, RSDP_V1_LENGTH)));
  return writer.patch8(32, checksum(writer.finish())).finish();
}
