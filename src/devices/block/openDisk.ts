import { UserError } from "../../common/errors";
import { Disk } from "./disk";
import { type BlockSource, type DiskConfiguration, type ImageFile, type ImageFormat, type Inflate } from "./image";
import { QCOW2_MAGIC, Qcow2Image } from "./qcow2";
import { RawImage } from "./raw";

/** Formats that are recognized in order to refuse them: a disk that is not what it seems would only confuse the guest. */
const FOREIGN: readonly (readonly [string, number, string])[] = [
  ["KDMV", 0, "VMDK"],
  ["vhdxfile", 0, "VHDX"],
  ["conectix", 0, "VHD"],
  ["<<< ", 0, "VDI"],
];

function signature(file: ImageFile, offset: number, length: number): string {
  if (file.size < offset + length) return "";
  const bytes = new Uint8Array(length);
  file.read(offset, bytes);
  return String.fromCharCode(...bytes);
}

function formatOf(file: ImageFile): ImageFormat {
  const magic = String.fromCharCode(0x51, 0x46, 0x49, QCOW2_MAGIC & 0xff);
  if (signature(file, 0, 4) === magic) return "qcow2";
  for (const [text, offset, name] of FOREIGN) {
    if (signature(file, offset, text.length) !== text) continue;
    throw new UserError(`The disk image ${file.name} is a ${name} image: only raw and qcow2 can be used.`, "disks");
  }
  return "raw";
}

/** Opens the image of a disk; `inflate` is needed for compressed images only. @throws UserError naming the file. */
export function openDisk(name: string, configuration: DiskConfiguration, inflate?: Inflate): Disk {
  const { file } = configuration;
  const format = configuration.format ?? formatOf(file);
  const source: BlockSource = format === "qcow2" ? new Qcow2Image(file, inflate) : new RawImage(file);
  return new Disk(name, file.name, source, configuration.mode ?? "overlay");
}

/** Bytes of a CD's sector. */
export const CD_SECTOR = 2048;

/** Opens a CD-ROM image: raw sectors of 2048 bytes, read-only. @throws UserError naming the file. */
export function openCdrom(name: string, file: ImageFile): Disk {
  if (file.size < CD_SECTOR) throw new UserError(`The CD-ROM image ${file.name} is shorter than a sector.`, "cdrom");
  return new Disk(name, file.name, new RawImage(file), "readonly", "cdrom");
}
