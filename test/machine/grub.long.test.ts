/** GRUB from a rescue CD through SeaBIOS: its menu on the screen, keys from the keyboard, and on to a kernel. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { loadFirmware } from "../../src/adapter/storage";
import { Machine } from "../../src/machine/machine";
import { MemoryFile } from "../devices/block/images";
import { missingGrub, rescueIso } from "../firmware/rescueIso";
import { press, runToEnd, runToScreen } from "./consoleGuest";

const skip = existsSync("/usr/share/seabios/bios-256k.bin") ? missingGrub() : "SeaBIOS is not installed";

test("GRUB's menu, and a kernel chosen by keys", { skip }, () => {
  const menu = `
set timeout=60
menuentry "Stop" { halt }
menuentry "Sample" { multiboot2 /smp.elf quiet
boot }
`;
  const iso = rescueIso(menu, { "smp.elf": readFileSync("guests/smp/smp.elf") });
  const machine = Machine.create({
    cpus: 2,
    memory: 64 << 20,
    firmware: loadFirmware("seabios", false),
    cdrom: new MemoryFile(iso),
  });
  let serial = "";
  machine.hooks = { serial: (bytes) => void (serial += Buffer.from(bytes).toString("latin1")), debugConsole: () => undefined };
  machine.bootFirmware();
  // The firmware alone waits 2.5 s for the key to its boot menu.
  runToScreen(machine, /\*Stop[\s\S]*executed automatically in/, 6e9);
  press(machine, "ArrowDown");
  runToScreen(machine, /\*Sample/, 2e8);
  press(machine, "Enter");
  assert.deepEqual(runToEnd(machine, 2e9), { kind: "exit", status: 1 }, serial);
  assert.match(serial, /PASS/);
});
