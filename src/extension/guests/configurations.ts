// Launch configurations for guests that were found: what each kind needs, and the files beside it that belong to it. Knows nothing of VS Code.
import type { LaunchAttributes } from "../../adapter/protocol";
import type { GuestKind } from "./identify";

/** A guest that was found; `path` and the paths beside it are relative to the workspace folder, with forward slashes. */
export interface FoundGuest {
  readonly path: string;
  readonly kind: GuestKind;
}

/** A launch configuration without type and request. */
export type GuestConfiguration = { readonly name: string; readonly program?: string } & Partial<Omit<LaunchAttributes, "program">>;

const kindNames: Readonly<Record<GuestKind, string>> = {
  multiboot: "Multiboot kernel",
  multiboot2: "Multiboot 2 kernel",
  pvh: "PVH kernel",
  linux: "Linux kernel",
  disk: "disk image",
  qcow2: "disk image",
  iso: "CD-ROM image",
};

/** The kind of a guest in words. */
export function kindName(kind: GuestKind): string {
  return kindNames[kind];
}

function split(path: string): { folder: string; name: string } {
  const slash = path.lastIndexOf("/");
  return { folder: path.slice(0, slash + 1), name: path.slice(slash + 1) };
}

/**
 * The configuration that starts a guest. `others` are the workspace folder's files, for what lies beside it: an initramfs and symbols of a Linux kernel, the
 * disks of an xv6 kernel. `root` stands for the folder: "${workspaceFolder}/" or its path.
 */
export function guestConfiguration(guest: FoundGuest, others: readonly string[], root: string): GuestConfiguration {
  const { folder, name } = split(guest.path);
  const beside = (pattern: RegExp): string | undefined =>
    others.find((path) => path !== guest.path && split(path).folder === folder && pattern.test(split(path).name));
  const at = (path: string): string => `${root}${path}`;
  const title = `APICScope: ${guest.path}`;
  const program = at(guest.path);
  switch (guest.kind) {
    case "multiboot":
    case "multiboot2": {
      // xv6 and its like keep their file system on the second disk, and boot from the first.
      const [boot, files] = [beside(/^xv6\.img$/), beside(/^fs\.img$/)];
      if (boot !== undefined && files !== undefined)
        return { name: title, program, firmware: "seabios", disks: [at(boot), at(files)], cpus: 2, memory: 128 };
      return { name: title, program, cpus: 4, memory: 128 };
    }
    case "pvh":
      return { name: title, program, cpus: 4, memory: 128 };
    case "linux": {
      if (/^memtest/i.test(name)) return { name: title, program, cpus: 4, memory: 128 };
      const initrd = beside(/^(initrd|initramfs|rootfs)|\.cpio(\.\w+)?$/i);
      const symbols = beside(/^vmlinux/) ?? others.find((path) => path === "vmlinux");
      return {
        name: title,
        program,
        ...(initrd === undefined ? {} : { initrd: at(initrd) }),
        ...(symbols === undefined ? {} : { symbols: [at(symbols)] }),
        cmdline: "console=ttyS0 nokaslr",
        cpus: 4,
        memory: 512,
      };
    }
    case "disk":
    case "qcow2":
      return { name: title, firmware: "seabios", disks: [program], cpus: 4, memory: 256 };
    case "iso":
      return { name: title, firmware: "seabios", cdrom: program, cpus: 4, memory: 256 };
  }
}

/** Whether a file's name makes it worth a look: a known extension of images, or none at all, as kernels have. */
export function isCandidate(path: string): boolean {
  const { name } = split(path);
  if (/\.(elf\d*|bin|img|iso|qcow2|raw|hdd|kernel|sys|exe|bz)$/i.test(name)) return true;
  return !name.includes(".") || /^(vmlinuz|bzImage|kernel|memtest)/i.test(name);
}
