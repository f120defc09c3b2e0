import { UserError } from "../common/errors";
import { StateHash } from "../common/hash";
import { DEFAULT_MODEL } from "../cpu/models";
import type { BootRequest } from "../firmware/boot";
import type { MachineConfiguration } from "./types";

/** What a course of events depends on beside inputs, by the names that people know: files are told apart by their size and hash. */
export type MachineMake = Readonly<Record<string, string | number>>;

/** Version of what state and inputs mean: a recording or saved state of another is refused. */
export const MAKE_VERSION = 1;

function fileMark(bytes: Uint8Array): string {
  const hash = new StateHash();
  hash.update(bytes);
  return `${bytes.length} bytes, hash ${hash.digest()}`;
}

/** The make of a machine, complete once it was booted. Engines are no part of it: they all run the same. */
export function machineMake(
  configuration: MachineConfiguration,
  booted: Pick<BootRequest, "image" | "cmdline" | "initrd"> | undefined,
): MachineMake {
  return {
    version: MAKE_VERSION,
    cpus: configuration.cpus,
    memory: configuration.memory,
    cpuModel: configuration.cpuModel ?? DEFAULT_MODEL,
    quantum: configuration.quantum ?? "default",
    seed: configuration.seed ?? 0,
    startTime: configuration.startTime ?? "default",
    devices: [...(configuration.devices ?? [])].sort().join(" "),
    // Disks may be too large to be read as a whole: their sizes must do.
    disks: (configuration.disks ?? []).map((disk) => `${disk.interface ?? "ide"} disk of ${disk.file.size} bytes`).join(", "),
    cdrom: configuration.cdrom === undefined ? "" : `CD of ${configuration.cdrom.size} bytes`,
    tripleFault: configuration.tripleFault ?? "stop",
    firmware: configuration.firmware === undefined ? "none" : fileMark(configuration.firmware.image),
    image: booted === undefined ? "none" : fileMark(booted.image),
    cmdline: booted?.cmdline ?? "",
    initrd: booted?.initrd === undefined ? "none" : fileMark(booted.initrd.bytes),
  };
}

/** What a difference in each part is called. */
const words: Readonly<Record<string, string>> = {
  version: "another version of APICScope",
  image: "another image",
  firmware: "another firmware image",
  initrd: "another initial RAM disk",
  cmdline: "another command line",
  start: "another state to begin with",
};

/**
 * Compares the make that `file` was written with to the machine's.
 * @throws UserError naming the first difference
 */
export function checkMake(file: string, written: MachineMake, machine: MachineMake): void {
  for (const part of new Set([...Object.keys(machine), ...Object.keys(written)])) {
    if (written[part] === machine[part]) continue;
    const what = words[part] ?? `${part} ${written[part] ?? "unknown"}, and this machine has ${machine[part] ?? "none"}`;
    throw new UserError(`${file} was made with ${what}.`, part);
  }
}
