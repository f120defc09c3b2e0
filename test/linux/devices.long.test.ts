/** The drivers of Debian's kernels find disk, CD-ROM, keyboard and text screen, and use them; then Linux reboots. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { test } from "node:test";
import { MemoryFile } from "../devices/block/images";
import { runDevices, testDisk } from "./devices";
import { type Flavour, missing } from "./linux";
import { moduleFolder } from "./modules";

const lacks = (flavour: Flavour): string | undefined =>
  missing(flavour) ?? (existsSync(moduleFolder(flavour)) ? undefined : `${moduleFolder(flavour)} is missing: run scripts/fetch-kernels.sh`);

test(
  "cloud-amd64: ata_piix reads and writes an IDE disk and reads a CD; keys reach a shell on the text screen; reboot",
  { skip: lacks("cloud-amd64") },
  (t) => {
    const disk = { file: new MemoryFile(testDisk()) };
    const run = runDevices("cloud-amd64", ["ata_piix", "sd_mod", "sr_mod"], ["sda"], false, { cpus: 2, disks: [disk], devices: ["vga"] });
    t.diagnostic(`${(run.instructions / 1e6).toFixed(0)} million instructions`);
    assert.match(run.screen, /echo typed; uname -m/);
    assert.equal(run.end.kind, "reset");
  },
);
