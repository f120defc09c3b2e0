/** Boots a Linux kernel of Debian with a userland of busybox, talks to its shell, and looks at what the kernel says of its CPUs and interrupts. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { cpio } from "../../bench/linux";
import { Machine } from "../../src/machine/machine";
import type { MachineConfiguration, RunEnd } from "../../src/machine/types";

export const FLAVOURS = ["cloud-amd64", "amd64"] as const;
export type Flavour = (typeof FLAVOURS)[number];

export const kernelFile = (flavour: Flavour): string => `out/kernels/vmlinuz-${flavour}`;

/** What is missing to boot this kernel, in words; undefined when nothing is. */
export function missing(flavour: Flavour): string | undefined {
  if (!existsSync(kernelFile(flavour))) return `${kernelFile(flavour)} is missing: run scripts/fetch-kernels.sh`;
  return existsSync("/bin/busybox") ? undefined : "/bin/busybox is missing: install busybox-static";
}

/**
 * Process 1. It wakes a sleeper on each CPU from another one, which takes a rescheduling interrupt, and switches a static key on and off from two CPUs, for which the kernel calls a function on all
 * others. Then a shell has the console.
 */
const INIT = `#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /bin /tmp
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
/bin/busybox --install -s /bin
export PATH=/bin
n=$(nproc)
last=$((n - 1))
for c in $(seq 0 $last); do
  other=$(((c + 1) % n))
  taskset -c $other sh -c 'for i in 1 2 3 4 5; do usleep 20000; echo $i; done' | taskset -c $c cat > /dev/null
done
for c in 0 $last; do
  taskset -c $c sh -c 'echo 1 > /proc/sys/kernel/sched_schedstats; echo 0 > /proc/sys/kernel/sched_schedstats'
done
echo "== nproc $n"
echo "== clocksource $(cat /sys/devices/system/clocksource/clocksource0/current_clocksource)"
echo "== lpj $(dmesg | sed -n 's/.*(lpj=\\([0-9]*\\)).*/\\1/p')"
sed -n 's/^ *\\(LOC\\|RES\\|CAL\\):/== \\1/p' /proc/interrupts
echo "== ready"
exec sh
`;

/** A userland of busybox with this script as process 1, and further files. */
export function initramfs(init = INIT, others: readonly { readonly name: string; readonly bytes: Uint8Array }[] = []): Uint8Array {
  return cpio([
    { name: "bin", mode: 0o040755 },
    { name: "dev", mode: 0o040755 },
    { name: "dev/console", mode: 0o020600, device: [5, 1] },
    { name: "dev/null", mode: 0o020666, device: [1, 3] },
    { name: "bin/busybox", mode: 0o100755, data: readFileSync("/bin/busybox") },
    { name: "init", mode: 0o100755, data: Buffer.from(init) },
    ...others.map(({ name, bytes }) => ({ name, mode: 0o100644, data: bytes })),
  ]);
}

export interface LinuxRun {
  readonly instructions: number;
  readonly virtualSeconds: number;
  readonly nproc: number;
  readonly clocksource: string;
  readonly lpj: number;
  /** By name, a count for each CPU. */
  readonly interrupts: ReadonlyMap<string, readonly number[]>;
  readonly output: string;
  readonly hash: string;
}

/** A machine with the kernel loaded, and what it has written to its console. */
export function linuxMachine(
  flavour: Flavour,
  cmdline: string,
  configuration: Partial<MachineConfiguration>,
): { machine: Machine; output: () => string } {
  const machine = Machine.create({ cpus: 1, memory: 256 << 20, ...configuration });
  let output = "";
  machine.hooks = { serial: (bytes) => void (output += Buffer.from(bytes).toString("latin1")) };
  machine.boot({
    image: readFileSync(kernelFile(flavour)),
    imageName: kernelFile(flavour),
    cmdline: `console=ttyS0 nokaslr panic=-1 ${cmdline}`.trim(),
    initrd: { bytes: initramfs(), name: "initramfs" },
  });
  return { machine, output: () => output };
}

/** Instructions after which a kernel that has not come up counts as lost. */
const LIMIT = 12e9;

/** Runs to the shell, has it calculate, and powers off. @throws AssertionError where anything is not as it should be */
export function bootLinux(flavour: Flavour, cmdline: string, configuration: Partial<MachineConfiguration>): LinuxRun {
  const { machine, output } = linuxMachine(flavour, cmdline, configuration);
  const until = (text: string): void => {
    let end: RunEnd = { kind: "limit" };
    while (!output().includes(text) && machine.instructions() < LIMIT && end.kind === "limit") end = machine.run(5_000_000);
    assert.ok(
      output().includes(text),
      `no ${JSON.stringify(text)} after ${machine.instructions()} instructions (${end.kind}): ${output().slice(-2000)}`,
    );
  };
  until("== ready");
  machine.serialInput(Buffer.from("echo the answer is $((6 * 7))\n"));
  until("the answer is 42");
  machine.serialInput(Buffer.from("poweroff -f\n"));
  let end: RunEnd = { kind: "limit" };
  while (end.kind === "limit" && machine.instructions() < LIMIT) end = machine.run(5_000_000);
  assert.deepEqual(end, { kind: "power-off" });
  const said = (what: string): string => new RegExp(`== ${what} *(.*?)\\r?\\n`).exec(output())?.[1] ?? "";
  const counts = (name: string): number[] =>
    said(name)
      .split(/ +/)
      .filter((word) => /^\d+$/.test(word))
      .map(Number);
  return {
    instructions: machine.instructions(),
    virtualSeconds: machine.now() / 1e9,
    nproc: Number(said("nproc")),
    clocksource: said("clocksource"),
    lpj: Number(said("lpj")),
    interrupts: new Map(["LOC", "RES", "CAL"].map((name) => [name, counts(name)])),
    output: output(),
    hash: machine.stateHash(),
  };
}

/** What every boot must show: its CPUs, and on each of them timer interrupts and, with several, both kinds of inter-processor interrupts. */
export function checkLinux(run: LinuxRun, cpus: number): void {
  assert.equal(run.nproc, cpus);
  // A tick is 4 ms of a clock of 1 GHz.
  assert.ok(run.lpj > 1_900_000 && run.lpj < 4_200_000, `lpj ${run.lpj}`);
  for (const [name, counts] of run.interrupts) {
    if (cpus === 1 && name !== "LOC") continue;
    assert.equal(counts.length, cpus, `${name}: ${counts.join(" ")}`);
    assert.ok(
      counts.every((count) => count > 0),
      `${name}: ${counts.join(" ")}`,
    );
  }
}
