/** What a Linux boot needs: a Debian cloud kernel of this machine, and an initramfs made of busybox. */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

export interface LinuxFiles {
  readonly kernel: string;
  readonly initramfs: string;
  readonly commandLine: string;
  readonly cpus: number;
  /** MiB. */
  readonly memory: number;
}

const CACHE = "out/bench";
const BUSYBOX = ["/bin/busybox", "/usr/bin/busybox"];

/** Boots to a shell script as init, which reports the number of processors. */
const INIT = `#!/bin/busybox sh
/bin/busybox mkdir -p /proc
/bin/busybox mount -t proc proc /proc
echo "end linux $(/bin/busybox grep -c ^processor /proc/cpuinfo) $(/bin/busybox uname -m)"
/bin/busybox poweroff -f
`;

/** Newest vmlinuz of Debian's cloud flavour in /boot or in `out/bench` (bench/fetch-linux.sh puts it there). */
function newestKernel(): string | undefined {
  for (const folder of ["/boot", CACHE]) {
    if (!existsSync(folder)) continue;
    const found = readdirSync(folder)
      .filter((name) => /^vmlinuz-.*-cloud-amd64$/.test(name))
      .sort(new Intl.Collator("en", { numeric: true }).compare)
      .at(-1);
    if (found !== undefined) return `${folder}/${found}`;
  }
  return undefined;
}

interface Entry {
  readonly name: string;
  readonly mode: number;
  readonly data?: Uint8Array;
  readonly device?: readonly [major: number, minor: number];
}

/** A cpio archive in the "newc" format (Linux, Documentation/driver-api/early-userspace/buffer-format.rst). */
export function cpio(entries: readonly Entry[]): Uint8Array {
  const parts: Buffer[] = [];
  const pad = (length: number): Buffer => Buffer.alloc((4 - (length % 4)) % 4);
  [...entries, { name: "TRAILER!!!", mode: 0 }].forEach(({ name, mode, data, device }: Entry, index) => {
    const size = data?.length ?? 0;
    const fields = [index + 1, mode, 0, 0, 1, 0, size, 0, 0, device?.[0] ?? 0, device?.[1] ?? 0, name.length + 1, 0];
    const header = Buffer.from(`070701${fields.map((field) => field.toString(16).padStart(8, "0")).join("")}${name}\0`, "latin1");
    parts.push(header, pad(header.length), Buffer.from(data ?? []), pad(size));
  });
  return Buffer.concat(parts);
}

/** Finds the kernel and builds the initramfs; a string says what is missing. `kernel` names another kernel. */
export function linuxFiles(kernel: string | undefined): LinuxFiles | string {
  const image = kernel ?? newestKernel();
  if (image === undefined) return "no Debian cloud kernel: install linux-image-cloud-amd64 or run bench/fetch-linux.sh";
  if (!existsSync(image)) return `${image}: there is no such file`;
  const busybox = BUSYBOX.find((file) => existsSync(file));
  if (busybox === undefined) return "busybox is not installed (package busybox-static)";
  mkdirSync(CACHE, { recursive: true });
  const initramfs = `${CACHE}/initramfs.cpio.gz`;
  const archive = cpio([
    { name: "bin", mode: 0o040755 },
    { name: "dev", mode: 0o040755 },
    { name: "dev/console", mode: 0o020600, device: [5, 1] },
    { name: "bin/busybox", mode: 0o100755, data: readFileSync(busybox) },
    { name: "init", mode: 0o100755, data: Buffer.from(INIT) },
  ]);
  writeFileSync(initramfs, gzipSync(archive, { level: 9 }));
  return { kernel: image, initramfs, commandLine: "console=ttyS0 quiet nokaslr panic=-1", cpus: 2, memory: 256 };
}
