/** What this machine can record: vectors are only as good as the CPU that made them. */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";

/** Forms' features whose names in /proc/cpuinfo are others. */
const KERNEL_NAMES: Readonly<Partial<Record<string, string>>> = { lzcnt: "abm", "sse4.2": "sse4_2", prefetchw: "3dnowprefetch" };

/**
 * Tells for a form's feature whether the kernel names it. One that the CPU has but a hypervisor hides is of no use: what the hypervisor emulates is then as on a CPU without
 * it (LZCNT is BSR).
 */
export function hostFeatures(): (feature: string) => boolean {
  const flags = new Set(/^flags\s*:(.*)$/m.exec(readFileSync("/proc/cpuinfo", "utf8"))?.[1].trim().split(" "));
  return (feature) => feature === "base" || flags.has(KERNEL_NAMES[feature] ?? feature);
}

/** Why nothing can be recorded here; false when it can. */
export function cannotRecord(): string | false {
  if (process.platform !== "linux" || process.arch !== "x64" || !existsSync("/proc/cpuinfo")) return "needs Linux on x86-64";
  return spawnSync(process.env["CC"] ?? "gcc", ["--version"]).status === 0 ? false : "needs gcc";
}
