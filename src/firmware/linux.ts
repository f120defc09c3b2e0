/** Linux/x86 boot protocol 2.06 to 2.15, entered at the kernel's 32-bit entry point with a filled-in zero page. */
import { UserError } from "../common/errors";
import { ByteWriter, type ImageReader } from "./bytes";
import type { BootContext } from "./bootContext";
import { MIB, PAGE } from "./ram";
import { gprs, protectedMode } from "./state";
import type { BootState } from "./types";

const BOOT_FLAG_OFFSET = 0x1fe;
const BOOT_FLAG = 0xaa55;
const HEADER_OFFSET = 0x1f1;
const MAGIC_OFFSET = 0x202;
const MAGIC = 0x53726448;
/** The first version with a limit for the command line; older kernels are from before 2.6.22. */
const OLDEST_VERSION = 0x206;
const LOADED_HIGH = 1 << 0;
/** Where the protected-mode part of a bzImage goes. */
const KERNEL_ADDRESS = MIB;
const ZERO_PAGE_LENGTH = 0x1000;
const SETUP_HEADER_LIMIT = 0x290;
const E820_OFFSET = 0x2d0;
const E820_MAX = 128;
/** The boot loader type of loaders without an assigned number. */
const LOADER_UNDEFINED = 0xff;

/** Whether the file has a Linux setup header. */
export const isLinux = (image: ImageReader): boolean =>
  image.u32(MAGIC_OFFSET) === MAGIC && image.u16(BOOT_FLAG_OFFSET) === BOOT_FLAG && image.has(0, 0x264);

const versionText = (version: number): string => `${version >> 8}.${(version & 0xff).toString().padStart(2, "0")}`;

/** Boots a bzImage, or another image that has its header (memtest86+). */
export function bootLinux(context: BootContext): BootState {
  const { image, plan } = context;
  const version = image.u16(0x206);
  if (version < OLDEST_VERSION) {
    throw context.bad(`the Linux image is too old: it speaks boot protocol ${versionText(version)}, the oldest known here is 2.06.`);
  }
  if ((image.u8(0x211) & LOADED_HIGH) === 0) {
    throw context.bad("the Linux image is a zImage, to be loaded below 1 MiB: build a bzImage.");
  }
  const setupSectors = image.u8(0x1f1) || 4;
  const kernelOffset = (setupSectors + 1) * 512;
  // The size field leaves out what a signature appends; a file shorter than it says is cut off.
  const paragraphs = image.u32(0x1f4);
  const size = image.length - kernelOffset;
  if (size <= 0 || Math.ceil(size / 16) < paragraphs) {
    const wanted = kernelOffset + paragraphs * 16;
    throw context.bad(`the Linux image is truncated: its header asks for ${wanted} bytes, the file has ${image.length}.`);
  }
  plan.claim(KERNEL_ADDRESS, size, "the kernel");
  plan.memory.expectWrites(KERNEL_ADDRESS, size);
  reserveUnpackingSpace(context, version, size);

  const zeroPage = new ByteWriter().zeros(ZERO_PAGE_LENGTH);
  // The header ends where the jump at 0x200 leads.
  const headerEnd = Math.min(MAGIC_OFFSET + image.u8(0x201), SETUP_HEADER_LIMIT);
  for (let at = HEADER_OFFSET; at < headerEnd; at++) zeroPage.patch8(at, image.u8(at));

  screenInfo(zeroPage);
  zeroPage.patch16(0x1fa, 0xffff);
  zeroPage.patch8(0x210, LOADER_UNDEFINED);
  zeroPage.patch32(0x214, KERNEL_ADDRESS);
  const upper = Math.floor(context.basicMemory().upper / 1024);
  zeroPage.patch16(0x02, Math.min(upper, 0xfc00)).patch32(0x1e0, upper);
  zeroPage.patch64(0x70, context.tables.rsdp);

  const map = context.memoryMap();
  zeroPage.patch8(0x1e8, Math.min(map.length, E820_MAX));
  map.slice(0, E820_MAX).forEach((range, index) => {
    const at = E820_OFFSET + index * 20;
    zeroPage
      .patch64(at, range.start)
      .patch64(at + 8, range.end - range.start)
      .patch32(at + 16, range.type);
  });

  const commandLine = plan.place(context.commandLine(image.u32(0x238)), 16, "command line");
  zeroPage.patch32(0x228, commandLine);
  const initrd = placeInitrd(context);
  zeroPage.patch32(0x218, initrd.start).patch32(0x21c, initrd.size);
  const address = plan.place(zeroPage.finish(), PAGE, "boot parameters");
  // Last: its memory is being provided since it was claimed.
  plan.memory.write(KERNEL_ADDRESS, image.slice(kernelOffset, size));

  return context.state({
    ...protectedMode(context.gdt),
    kind: "linux",
    entryName: "Linux 32-bit entry",
    rip: BigInt(KERNEL_ADDRESS),
    gprs: gprs({ rsi: BigInt(address) }),
  });
}

/**
 * Keeps clear what the kernel unpacks itself into before it looks at any memory map: init_size bytes from where it prefers to run, or from
 * where it was loaded if that is higher.
 */
function reserveUnpackingSpace(context: BootContext, version: number, size: number): void {
  const { image, plan } = context;
  if (version < 0x20a) return;
  const preferred = Number(image.u64(0x258));
  const start = Number.isSafeInteger(preferred) ? Math.max(preferred, KERNEL_ADDRESS) : KERNEL_ADDRESS;
  const unpacked = Math.max(image.u32(0x260), start === KERNEL_ADDRESS ? size : 0);
  plan.claim(start, unpacked, "the unpacked kernel");
  plan.memory.expectWrites(start, unpacked);
}

/** Colour text mode 3 with the cursor at the top left, on VGA. */
function screenInfo(zeroPage: ByteWriter): void {
  zeroPage.patch8(0x06, 3).patch8(0x07, 80).patch8(0x0e, 25).patch8(0x0f, 1).patch16(0x10, 16);
}

/** Puts the RAM disk as high as the kernel allows. */
function placeInitrd(context: BootContext): { start: number; size: number } {
  const { image, plan } = context;
  if ((context.request.modules ?? []).length > 0) {
    throw new UserError(`${context.imageName} is a Linux kernel, which takes an initrd and no modules.`, "modules");
  }
  const file = context.request.initrd;
  if (file === undefined || file.bytes.length === 0) return { start: 0, size: 0 };
  const highest = image.u32(0x22c) || 0x37ffffff;
  const limit = Math.min(highest + 1, plan.tablesStart);
  const start = plan.find(file.bytes.length, PAGE, MIB, limit, true);
  if (start === undefined) throw context.tooBig(file, limit < plan.tablesStart ? limit : undefined);
  plan.keep(start, start + file.bytes.length, `initrd ${file.name}`);
  plan.memory.expectWrites(start, file.bytes.length);
  plan.memory.write(start, file.bytes);
  return { start, size: file.bytes.length };
}
