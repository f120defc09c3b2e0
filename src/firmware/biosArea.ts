import { checksum } from "./bytes";
import { ByteWriter } from "./bytes";
import { BIOS_BASE, EBDA_BASE } from "./ram";
import { BOOT_GDT, MULTIBOOT_GDT } from "./state";
import type { BootMemory } from "./types";
import { UART1_PORT, UART2_PORT, RESET_PORT, RESET_VALUE } from "../devices/board";

/** Guest-physical addresses inside the BIOS segment. RSDP and MP floating pointer stand on 16-byte boundaries, as their searchers demand. */
export const RSDP_ADDRESS = BIOS_BASE;
export const MP_POINTER_ADDRESS = BIOS_BASE + 0x30;
export const BOOT_GDT_ADDRESS = BIOS_BASE + 0x80;
export const MULTIBOOT_GDT_ADDRESS = BIOS_BASE + 0xc0;
export const MP_TABLE_ADDRESS = BIOS_BASE + 0x100;
export const MP_TABLE_LIMIT = BIOS_BASE + 0xe000;
/** Every real-mode vector leads here, to an IRET, but those of hardware interrupts. */
const IRET_OFFSET = 0xff53;
/** Handlers of IRQ 0, of the first 8259's other lines and of the second's. */
const TICK_OFFSET = 0xfea5;
const FIRST_PIC_OFFSET = 0xff60;
const SECOND_PIC_OFFSET = 0xff68;

/** INT 8: counts the tick at 40:6c, with midnight at 40:70, lets INT 1Ch have it, ends the interrupt. */
// prettier-ignore
const TICK = [
  0x1e, 0x50, // push ds; push ax
  0xb8, 0x40, 0x00, 0x8e, 0xd8, // mov ax, 0x40; mov ds, ax
  0x66, 0xff, 0x06, 0x6c, 0x00, // inc dword [0x6c]
  0x66, 0x81, 0x3e, 0x6c, 0x00, 0xb0, 0x00, 0x18, 0x00, // cmp dword [0x6c], 0x1800b0: the ticks of a day
  0x72, 0x0d, // jb past the two stores
  0x66, 0xc7, 0x06, 0x6c, 0x00, 0x00, 0x00, 0x00, 0x00, // mov dword [0x6c], 0
  0xfe, 0x06, 0x70, 0x00, // inc byte [0x70]
  0xcd, 0x1c, // int 0x1c
  0xb0, 0x20, 0xe6, 0x20, // mov al, 0x20; out 0x20, al
  0x58, 0x1f, 0xcf, // pop ax; pop ds; iret
];
/** push ax; mov al, 0x20; out 0x20, al; pop ax; iret */
const END_FIRST_PIC = [0x50, 0xb0, 0x20, 0xe6, 0x20, 0x58, 0xcf];
/** push ax; mov al, 0x20; out 0xa0, al; out 0x20, al; pop ax; iret */
const END_SECOND_PIC = [0x50, 0xb0, 0x20, 0xe6, 0xa0, 0xe6, 0x20, 0x58, 0xcf];

/** Offset in the BIOS segment of a real-mode vector's handler. */
function handlerOf(vector: number): number {
  if (vector === 0x08) return TICK_OFFSET;
  if (vector > 0x08 && vector < 0x10) return FIRST_PIC_OFFSET;
  return vector >= 0x70 && vector < 0x78 ? SECOND_PIC_OFFSET : IRET_OFFSET;
}
const RESET_OFFSET = 0xfff0;

/**
 * What a PC's firmware leaves below 1 MiB, as far as guests without BIOS calls look at it: interrupt vectors whose handlers end the
 * interrupt (the timer's counts its ticks as well) or are an IRET, the BIOS
 * data area, the extended one, the boot GDTs, and code at the reset vector that resets the machine (a jump to ffff:0 is an old way to reboot).
 */
export function writeBiosArea(memory: BootMemory): void {
  const vectors = new ByteWriter();
  for (let vector = 0; vector < 256; vector++) vectors.u16(handlerOf(vector), BIOS_BASE >> 4);
  memory.write(0, vectors.finish());

  const bda = new ByteWriter().zeros(0x100);
  bda.patch16(0x00, UART1_PORT).patch16(0x02, UART2_PORT);
  bda.patch16(0x0e, EBDA_BASE >> 4);
  // Equipment: FPU (bit 1), 80x25 colour text (bits 4-5), two serial ports (bits 9-11).
  bda.patch16(0x10, 0x0422);
  bda.patch16(0x13, EBDA_BASE >> 10);
  // The keyboard buffer is empty: head and tail at its start.
  bda.patch16(0x1a, 0x1e).patch16(0x1c, 0x1e).patch16(0x80, 0x1e).patch16(0x82, 0x3e);
  // Video: mode 3, 80 columns, one page of 4000 bytes (4096), CRTC at 0x3d4, 25 rows of 16 lines.
  bda.patch8(0x49, 3).patch16(0x4a, 80).patch16(0x4c, 0x1000).patch16(0x60, 0x0607).patch16(0x63, 0x3d4).patch8(0x84, 24).patch16(0x85, 16);
  memory.write(0x400, bda.finish());

  memory.write(EBDA_BASE, new ByteWriter().u8(1).zeros(0x3ff).finish());

  memory.write(BOOT_GDT_ADDRESS, new ByteWriter().u64(...BOOT_GDT).finish());
  memory.write(MULTIBOOT_GDT_ADDRESS, new ByteWriter().u64(...MULTIBOOT_GDT).finish());
  memory.write(BIOS_BASE + IRET_OFFSET, new Uint8Array([0xcf]));
  memory.write(BIOS_BASE + TICK_OFFSET, new Uint8Array(TICK));
  memory.write(BIOS_BASE + FIRST_PIC_OFFSET, new Uint8Array(END_FIRST_PIC));
  memory.write(BIOS_BASE + SECOND_PIC_OFFSET, new Uint8Array(END_SECOND_PIC));
  // mov dx, RESET_PORT; mov al, RESET_VALUE; out dx, al; hlt; jmp to the hlt
  const reset = [0xba, RESET_PORT & 0xff, RESET_PORT >> 8, 0xb0, RESET_VALUE, 0xee, 0xf4, 0xeb, 0xfd];
  memory.write(BIOS_BASE + RESET_OFFSET, new Uint8Array(reset));
  // The model byte, AT, and the checksum byte that no one reads.
  const model = new Uint8Array([0xfc, 0]);
  model[1] = checksum(model);
  memory.write(BIOS_BASE + 0xfffe, model);
}
