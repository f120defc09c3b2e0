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

test(
  "amd64: bochs-drm draws the console into the frame buffer, psmouse reads the mouse; keys reach a shell there; reboot",
  { skip: lacks("amd64") },
  (t) => {
    const disk = { file: new MemoryFile(testDisk()) };
    const modules = ["ata_piix", "sd_mod", "sr_mod", "psmouse", "bochs"];
    const run = runDevices("amd64", modules, ["sda"], true, { cpus: 2, disks: [disk], devices: ["vga"] });
    t.diagnostic(`${(run.instructions / 1e6).toFixed(0)} million instructions`);
    assert.match(run.output, /Console: switching to colour frame buffer device 128x48/);
    assert.match(run.output, /AT Translated Set 2 keyboard/);
    assert.match(run.output, /Explorer Mouse as .*serio1/);
    assert.equal(run.screen, "[1024 by 768 pixels]");
    assert.ok(run.drawn > 300, `${run.drawn} pixels of the screen were drawn between the typed line and its answer`);
    assert.equal(run.end.kind, "reset");
  },
);
