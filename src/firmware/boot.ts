/**
 * Boot without firmware: finds out what an image is, loads it, writes what a PC's firmware would have left in memory, and says how the
 * bootstrap processor starts.
 */
import { assert, UserError } from "../common/errors";
import { BootContext } from "./bootContext";
import { ImageReader } from "./bytes";
import { isElf, parseElf } from "./elf";
import { writeFirmwareTables } from "./firmwareTables";
import { bootLinux, isLinux } from "./linux";
import { bootMultiboot1, findMultiboot1 } from "./multiboot1";
import { bootMultiboot2, findMultiboot2 } from "./multiboot2";
import { bootPlainElf, bootPvh, findPvhEntry } from "./pvh";
import { RamPlan } from "./ram";
import type { BootMemory, BootRequest, BootState } from "./types";

export * from "./types";
export { biosState, GPR_NAMES } from "./state";

/**
 * Loads `request.image` into `memory` and returns the bootstrap processor's first state.
 *
 * An image with several headers is booted by the first of: Linux, Multiboot 1, Multiboot 2, PVH, plain ELF. That is from the most specific
 * file format to the least, and among the headers that an ELF file may carry at once, the order in which machine emulators try them.
 * @throws UserError if the image, or a file beside it, is damaged, unsuitable or too big for the machine.
 */
export function bootImage(request: BootRequest, memory: BootMemory): BootState {
  assert(request.memory === memory.size, `request has ${request.memory} bytes of memory, the machine ${memory.size}`);
  assert(request.cpus > 0 && request.apicIds.length === request.cpus, `${request.cpus} CPUs with ${request.apicIds.length} APIC ids`);
  const image = new ImageReader(request.image);
  if (image.length === 0) throw new UserError(`${request.imageName} is empty.`, "program");
  const boot = findProtocol(image, request.imageName);

  const tables = writeFirmwareTables(memory, request.apicIds, request.hpet);
  return boot(new BootContext(request, image, new RamPlan(memory, tables.start, request.imageName), tables));
}

/** How to boot the image, or a UserError if nothing is known about it. */
function findProtocol(image: ImageReader, imageName: string): (context: BootContext) => BootState {
  if (isLinux(image)) return bootLinux;
  const multiboot1 = findMultiboot1(image);
  if (multiboot1 !== undefined) return (context) => bootMultiboot1(context, multiboot1);
  const multiboot2 = findMultiboot2(image);
  if (multiboot2 !== undefined) return (context) => bootMultiboot2(context, multiboot2);
  if (isElf(image)) {
    const elf = parseElf(image, imageName);
    const entry = findPvhEntry(elf);
    if (entry !== undefined) return (context) => bootPvh(context, elf, entry);
    return (context) => bootPlainElf(context, elf);
  }
  throw new UserError(`${imageName} is not a bootable image: no Multiboot, Multiboot 2, PVH, Linux or ELF header was found.`, "program");
}
