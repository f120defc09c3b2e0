/** Rescue CDs with GRUB, by Debian's packages grub-pc-bin, grub-common, xorriso and mtools. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

/** What is missing to make a rescue CD, in words; undefined when nothing is. */
export function missingGrub(): string | undefined {
  const found = (program: string): boolean => (process.env["PATH"] ?? "").split(":").some((folder) => existsSync(join(folder, program)));
  const absent = ["grub-mkrescue", "xorriso", "mformat"].find((program) => !found(program));
  if (absent !== undefined) return `${absent} is not installed`;
  return existsSync("/usr/lib/grub/i386-pc") ? undefined : "grub-pc-bin is not installed";
}

/** A CD that GRUB boots from by a BIOS, with these files by their paths, and `menu` as grub.cfg. */
export function rescueIso(menu: string, files: Readonly<Record<string, Uint8Array>>): Uint8Array {
  const folder = mkdtempSync(join(tmpdir(), "apicscope-iso-"));
  try {
    const all = { ...files, "boot/grub/grub.cfg": Buffer.from(menu) };
    for (const [path, bytes] of Object.entries(all)) {
      const file = join(folder, "tree", path);
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, bytes);
    }
    const iso = join(folder, "cd.iso");
    const made = spawnSync("grub-mkrescue", ["-d", "/usr/lib/grub/i386-pc", "-o", iso, join(folder, "tree")], { encoding: "utf8" });
    if (made.status !== 0) throw new Error(`grub-mkrescue failed: ${made.stderr}`);
    return readFileSync(iso);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
