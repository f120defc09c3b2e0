/** A Linux that loads the drivers of the board's disks, display and input devices, reads the disks, and has a shell take keys from the keyboard and answer on screen and serial port. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { cpio } from "../../bench/linux";
import { ScreenRenderer } from "../../src/devices/vga/screen";
import { Machine } from "../../src/machine/machine";
import type { MachineConfiguration, RunEnd } from "../../src/machine/types";
import { MemoryFile, patterned } from "../devices/block/images";
import { screenText, typeText } from "../machine/consoleGuest";
import { type Flavour, kernelFile } from "./linux";
import { modulesFor } from "./modules";

const DISK_BYTES = 4 << 20;
const CD_BYTES = 1 << 20;
/** Instructions of one piece of a run. */
const PIECE = 10_000_000;

export interface DevicesRun {
  readonly output: string;
  /** What the screen showed when a typed line had been answered. */
  readonly screen: string;
  /** Pixels that changed on it while the line was typed and answered. */
  readonly drawn: number;
  readonly end: RunEnd;
  readonly instructions: number;
}

const init = (disks: readonly string[], mouse: boolean): string => `#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /bin /tmp
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox --install -s /bin
export PATH=/bin
for m in /modules/*; do insmod $m || echo "== failed $m"; done
for i in 1 2 3 4 5 6 7 8 9 10; do
  [ -b /dev/sr0 ] ${disks.map((disk) => `&& [ -b /dev/${disk} ]`).join(" ")} && break
  sleep 0.2
done
for d in ${disks.join(" ")} sr0; do echo "== $d $(md5sum < /dev/$d)"; done
dd if=/dev/zero of=/dev/sda bs=4096 seek=1 count=2 conv=notrunc,fsync 2>/dev/null
echo 3 > /proc/sys/vm/drop_caches
echo "== written $(md5sum < /dev/sda)"
${mouse ? "(dd if=/dev/input/mice bs=3 count=1 2>/dev/null | od -An -tx1 | sed 's/^/== mouse/' > /dev/ttyS0) &" : ""}
echo "== ready"
exec setsid sh -c 'sh < /dev/tty1 2>&1 | tee /dev/ttyS0 > /dev/tty1'
`;

/** The screen's pixels, RGBA in a word each. */
function picture(machine: Machine): Uint32Array {
  const { pixels } = machine.screen(new ScreenRenderer());
  return new Uint32Array(pixels.slice().buffer);
}

/**
 * Boots, checks what Linux read from and wrote to the disks, types a command and moves the mouse, and lets it reboot.
 * @param modules drivers to load
 * @param disks names that the disks get
 */
export function runDevices(
  flavour: Flavour,
  modules: readonly string[],
  disks: readonly string[],
  mouse: boolean,
  configuration: Partial<MachineConfiguration> & Pick<MachineConfiguration, "disks">,
): DevicesRun {
  const cd = patterned(CD_BYTES);
  const machine = Machine.create({ cpus: 1, memory: 256 << 20, cdrom: new MemoryFile(cd), ...configuration });
  let output = "";
  machine.hooks = { serial: (bytes) => void (output += Buffer.from(bytes).toString("latin1")) };
  const files = modulesFor(flavour, modules).map(({ name, bytes }, index) => ({
    name: `modules/${String(index).padStart(2, "0")}-${name}.ko`,
    mode: 0o100644,
    data: bytes,
  }));
  const initrd = cpio([
    { name: "bin", mode: 0o040755 },
    { name: "dev", mode: 0o040755 },
    { name: "dev/console", mode: 0o020600, device: [5, 1] },
    { name: "modules", mode: 0o040755 },
    { name: "bin/busybox", mode: 0o100755, data: readFileSync("/bin/busybox") },
    { name: "init", mode: 0o100755, data: Buffer.from(init(disks, mouse)) },
    ...files,
  ]);
  machine.boot({
    image: readFileSync(kernelFile(flavour)),
    imageName: kernelFile(flavour),
    cmdline: "console=tty0 console=ttyS0",
    initrd: { bytes: initrd, name: "initramfs" },
  });
  const until = (wanted: RegExp): void => {
    const last = machine.now() + 60e9;
    while (!wanted.test(output)) {
      assert.ok(machine.now() < last, `${String(wanted)} did not come\n${output.slice(-3000)}`);
      const end = machine.run(PIECE);
      assert.equal(end.kind, "limit", `ended by ${end.kind}\n${output.slice(-3000)}`);
    }
  };
  until(/== ready/);
  assert.doesNotMatch(output, /== failed/, output);
  const sum = (bytes: Uint8Array): string => createHash("md5").update(bytes).digest("hex");
  const content = patterned(DISK_BYTES);
  for (const disk of disks) assert.match(output, new RegExp(`== ${disk} ${sum(content)}`), output);
  assert.match(output, new RegExp(`== sr0 ${sum(cd)}`), output);
  content.fill(0, 4096, 3 * 4096);
  assert.match(output, new RegExp(`== written ${sum(content)}`), output);
  machine.run(PIECE);
  if (mouse) {
    machine.mouseInput(5, -3, 0, 1);
    until(/== mouse 29 05 03|== mouse 09 05 03/);
  }
  const before = picture(machine);
  typeText(machine, "echo typed; uname -m\n");
  until(/typed\r?\nx86_64/);
  const screen = screenText(machine);
  const drawn = picture(machine).reduce((count, pixel, at) => (pixel === before[at] ? count : count + 1), 0);
  typeText(machine, "reboot -f\n");
  let end: RunEnd = { kind: "limit" };
  for (let pieces = 0; pieces < 200 && end.kind === "limit"; pieces++) end = machine.run(PIECE);
  return { output, screen, drawn, end, instructions: machine.instructions() };
}

export const testDisk = (): Uint8Array => patterned(DISK_BYTES);
