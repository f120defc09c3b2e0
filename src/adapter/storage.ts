// The disks, the CD-ROM and the firmware that a user names: descriptions taken apart, files opened, firmware found.
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { UserError } from "../common/errors";
import {
  DISK_INTERFACES,
  type DiskConfiguration,
  type DiskInterface,
  IMAGE_FORMATS,
  type ImageFormat,
  type WriteMode,
} from "../devices/block/image";
import type { FirmwareConfiguration, MachineConfiguration } from "../machine/types";
import { HostImageFile, inflateRaw } from "./imageFile";

/** A disk as a user describes it. */
export interface DiskDescription {
  readonly file: string;
  readonly interface?: DiskInterface;
  readonly format?: ImageFormat;
  readonly mode?: WriteMode;
}

/** Where distributions put SeaBIOS, in the order of search. */
const SEABIOS = [
  "/usr/share/seabios/bios-256k.bin",
  "/usr/share/qemu/bios-256k.bin",
  "/usr/share/seabios/bios.bin",
  "/opt/homebrew/share/qemu/bios-256k.bin",
  "/usr/local/share/qemu/bios-256k.bin",
  "C:\\Program Files\\qemu\\share\\bios-256k.bin",
];
/** VGA BIOSes beside the firmware, for the board's VGA without extensions. */
const VGA_BIOS = ["vgabios-isavga.bin", "vgabios.bin", "vgabios-stdvga.bin"];
/** And for the board's display adapter. */
const DISPLAY_BIOS = "vgabios-stdvga.bin";
const FIRMWARE_LIMIT = 16 << 20;

const isOneOf = <T extends string>(list: readonly T[], value: string): value is T => list.some((entry) => entry === value);

/**
 * Takes a description of a disk apart: the file's path, then any of `,ide` `,ahci` `,virtio` (the controller), `,raw` `,qcow2` (the format, else found
 * out), `,readonly` or `,write-through`. What is none of these belongs to the path.
 * @throws UserError for options that contradict each other.
 */
export function parseDisk(text: string): DiskDescription {
  const parts = text.split(",");
  let chosen: DiskDescription = { file: "" };
  const set = <K extends keyof DiskDescription>(key: K, value: DiskDescription[K]): void => {
    if (chosen[key] !== undefined && chosen[key] !== value) {
      throw new UserError(`The disk "${text}" has two values for its ${key}: ${chosen[key]} and ${value}.`, "disks");
    }
    chosen = { ...chosen, [key]: value };
  };
  while (parts.length > 1) {
    const option = parts[parts.length - 1];
    if (isOneOf(DISK_INTERFACES, option)) set("interface", option);
    else if (isOneOf(IMAGE_FORMATS, option)) set("format", option);
    else if (option === "readonly" || option === "write-through") set("mode", option);
    else break;
    parts.pop();
  }
  const file = parts.join(",");
  if (file === "") throw new UserError(`The disk "${text}" names no file.`, "disks");
  if (parts.length > 1 && !existsSync(file)) {
    const unknown = parts[parts.length - 1];
    throw new UserError(
      `There is no file ${file}, and "${unknown}" is no disk option: choose from ${[...DISK_INTERFACES, ...IMAGE_FORMATS, "readonly", "write-through"].join(", ")}.`,
      "disks",
    );
  }
  return { ...chosen, file };
}

/** The file of the firmware that `name` asks for: "seabios" is looked for where distributions put it. @throws UserError */
function firmwareFile(name: string): string {
  if (name !== "seabios") return name;
  const found = SEABIOS.find((path) => existsSync(path));
  if (found !== undefined) return found;
  throw new UserError(
    `SeaBIOS was not found in ${[...new Set(SEABIOS.map(dirname))].slice(0, 2).join(" or ")}: install it (Debian's package seabios), or name a firmware image.`,
    "firmware",
  );
}

function readFirmware(path: string): Uint8Array {
  const file = new HostImageFile(path, false, "firmware");
  try {
    if (file.size > FIRMWARE_LIMIT) throw new UserError(`${path} is too big for a firmware image.`, "firmware");
    const bytes = new Uint8Array(file.size);
    file.read(0, bytes);
    return bytes;
  } finally {
    file.close();
  }
}

/** Reads the firmware image that `name` asks for, and the VGA BIOSes beside it. @throws UserError */
export function loadFirmware(name: string, serialConsole: boolean): FirmwareConfiguration {
  const path = firmwareFile(name);
  const vga = VGA_BIOS.map((file) => join(dirname(path), file)).find((file) => existsSync(file));
  const display = join(dirname(path), DISPLAY_BIOS);
  return {
    image: readFirmware(path),
    name: path,
    serialConsole,
    ...(vga === undefined ? {} : { vgaBios: readFileSync(vga) }),
    ...(existsSync(display) ? { displayBios: readFileSync(display) } : {}),
  };
}

/** Opens disks and CD-ROM for a machine. @throws UserError naming the file. */
export function openStorage(
  disks: readonly (string | DiskDescription)[],
  cdrom: string | undefined,
): Pick<MachineConfiguration, "disks" | "cdrom" | "inflate"> {
  const opened = disks.map((disk): DiskConfiguration => {
    const { file, ...options } = typeof disk === "string" ? parseDisk(disk) : disk;
    return { ...options, file: new HostImageFile(file, options.mode === "write-through", "disks") };
  });
  return {
    disks: opened,
    inflate: inflateRaw,
    ...(cdrom === undefined ? {} : { cdrom: new HostImageFile(cdrom, false, "cdrom") }),
  };
}
