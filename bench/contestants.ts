/** The emulators that are compared, each with the command line for a guest. */
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { release } from "node:os";
import { guestImage, GUEST_MEMORY, type Benchmark, type Bits } from "./benchmarks";
import type { LinuxFiles } from "./linux";
import type { Command } from "./measure";

export type Plan = Command | { readonly cannot: string };

export interface Contestant {
  readonly id: string;
  /** What and which version, for the report. */
  readonly description: string;
  guest(benchmark: Pick<Benchmark, "cpus">, bits: Bits, commandLine: string): Plan;
  linux(files: LinuxFiles): Plan;
}

function output(file: string, args: readonly string[]): string | undefined {
  try {
    return execFileSync(file, args, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
  } catch {
    return undefined;
  }
}

/** Without a peer there is no comparison: the table says why. */
function missing(id: string, why: string): Contestant {
  return { id, description: why, guest: () => ({ cannot: why }), linux: () => ({ cannot: why }) };
}

/** This project's command line, under the Node binary `node`, on `engine`. */
export function apicscope(node: string, engine: string, id = "apicscope"): Contestant {
  const run = (args: readonly string[]): Command => ({ file: node, args: ["dist/cli.js", "run", ...args, "--engine", engine] });
  return {
    id,
    description: `APICScope, engine ${engine}, Node ${output(node, ["--version"]) ?? "?"}`,
    guest: ({ cpus }, bits, commandLine) =>
      run([guestImage(bits), "--cpus", String(cpus), "--memory", String(GUEST_MEMORY), "--cmdline", commandLine]),
    linux: ({ kernel, initramfs, commandLine, cpus, memory }) =>
      run([kernel, "--initrd", initramfs, "--cpus", String(cpus), "--memory", String(memory), "--cmdline", commandLine]),
  };
}

/** QEMU's TCG at its fastest: one host thread a CPU where there are several (its manual, "Multi-threaded TCG"), no instruction counting, no devices but those needed. */
export function qemu(): Contestant {
  const file = "qemu-system-x86_64";
  const version = output(file, ["--version"]);
  if (version === undefined) return missing("qemu", `${file} is not installed`);
  const run = (cpus: number, memory: number, args: readonly string[]): Command => ({
    file,
    args: [
      ...["-accel", `tcg,thread=${cpus > 1 ? "multi" : "single"}`, "-smp", String(cpus), "-m", String(memory)],
      ...["-nodefaults", "-display", "none", "-serial", "stdio", "-no-reboot"],
      ...["-device", "isa-debug-exit,iobase=0xf4,iosize=4", ...args],
    ],
  });
  return {
    id: "qemu",
    description: version.split("\n")[0],
    guest: ({ cpus }, bits, commandLine) => run(cpus, GUEST_MEMORY, ["-kernel", guestImage(bits), "-append", commandLine]),
    linux: ({ kernel, initramfs, commandLine, cpus, memory }) =>
      run(cpus, memory, ["-kernel", kernel, "-initrd", initramfs, "-append", commandLine]),
  };
}

/** v86 in Node: 32-bit guests on one CPU. */
export function v86(node: string): Contestant {
  const manifest = "node_modules/v86/package.json";
  if (!existsSync(manifest)) return missing("v86", "the npm package v86 is not installed");
  const { version } = JSON.parse(readFileSync(manifest, "utf8")) as { version: string };
  return {
    id: "v86",
    description: `v86 ${version}, Node ${output(node, ["--version"]) ?? "?"}`,
    guest: ({ cpus }, bits, commandLine) =>
      bits === 64
        ? { cannot: "32-bit only" }
        : cpus > 1
          ? { cannot: "one CPU only" }
          : { file: node, args: ["bench/engines/v86Guest.mjs", guestImage(bits), String(GUEST_MEMORY), commandLine] },
    linux: () => ({ cannot: "32-bit only" }),
  };
}

/** Processor, cores and system of this machine. */
export function machineClass(): string {
  let processor = "unknown processor";
  let cores = 0;
  try {
    const text = readFileSync("/proc/cpuinfo", "latin1");
    processor = /^model name\s*:\s*(.*)$/m.exec(text)?.[1] ?? processor;
    cores = (text.match(/^processor\s*:/gm) ?? []).length;
  } catch {
    // Not Linux: nothing is known.
  }
  return `${processor}, ${cores} logical processors, ${process.platform} ${release()}`;
}
