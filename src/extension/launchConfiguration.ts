// Checks and completes launch configurations. Knows nothing of VS Code; src/extension/configuration.ts shows what it finds.
import {
  engines,
  tripleFaults,
  launchDefaults,
  maximumCpus,
  maximumMemory,
  type LaunchAttributes,
  type LaunchInterruptBreakpoint,
} from "../adapter/protocol";
import { placesProblem } from "../adapter/symbolPlaces";
import { conditionProblem, hitConditionProblem } from "./conditions";
import { isExceptionFilter } from "./interruptBreakpoints";

/** What is wrong with a configuration: the attribute and one sentence that names it. */
export interface ConfigurationProblem {
  readonly attribute: string;
  readonly message: string;
}

/** Answers about files: real ones in VS Code, made-up ones in tests. */
export interface FileProbe {
  /** What stands at an absolute path. */
  kind(path: string): "file" | "directory" | "missing";
}

type Check = (value: unknown, files: FileProbe) => string | undefined;

const text: Check = (value) => (typeof value === "string" ? undefined : "must be text");
const flag: Check = (value) => (typeof value === "boolean" ? undefined : "must be true or false");
const file: Check = (value, files) => {
  if (typeof value !== "string" || value.trim() === "") return "must be the path of a file";
  switch (files.kind(value)) {
    case "file":
      return undefined;
    case "directory":
      return `names ${value}, which is a directory and not a file`;
    case "missing":
      return `names ${value}, which does not exist`;
  }
};
const whole =
  (least: number, most: number, unit = ""): Check =>
  (value) =>
    typeof value === "number" && Number.isInteger(value) && value >= least && value <= most
      ? undefined
      : `must be a whole number from ${least} to ${most}${unit}`;
const listOf =
  (check: Check): Check =>
  (value, files) => {
    if (!Array.isArray(value)) return "must be a list";
    for (const [index, entry] of (value as unknown[]).entries()) {
      const problem = check(entry, files);
      if (problem !== undefined) return `has an entry ${index + 1} that ${problem}`;
    }
    return undefined;
  };
const oneOf =
  (words: readonly string[]): Check =>
  (value) =>
    words.some((word) => word === value) ? undefined : `must be one of ${words.join(", ")}`;
const symbolFile: Check = (value, files) => {
  if (typeof value !== "object" || value === null) return file(value, files);
  const { file: path, offset, sections } = value as Record<string, unknown>;
  return file(path, files) ?? placesProblem(offset, sections);
};
const pathMap: Check = (value) =>
  typeof value === "object" && value !== null && !Array.isArray(value) && Object.values(value).every((entry) => typeof entry === "string")
    ? undefined
    : "must map path prefixes to path prefixes";
const interruptBreakpoint: Check = (value) => {
  if (typeof value !== "object" || value === null) return "must be an object with a filter";
  const { filter, condition, hitCondition, enabled } = value as { [Key in keyof LaunchInterruptBreakpoint]: unknown };
  if (!isExceptionFilter(filter)) return `has ${filter === undefined ? "no filter" : `the unknown filter ${JSON.stringify(filter)}`}`;
  if (condition !== undefined) {
    const problem = typeof condition === "string" ? conditionProblem(condition) : "It must be text.";
    if (problem !== undefined) return `has a wrong condition: ${problem.replace(/\.$/, "")}`;
  }
  if (hitCondition !== undefined && (typeof hitCondition !== "string" || hitConditionProblem(hitCondition) !== undefined))
    return 'has a wrong hitCondition: it is text such as ">= 3"';
  return enabled === undefined || typeof enabled === "boolean" ? undefined : "must have true or false for enabled";
};

/** Options behind a disk image's path. */
const diskOptions = /(,(ide|ahci|virtio|raw|qcow2|readonly|write-through))+$/;

const checks: Readonly<Record<Exclude<keyof LaunchAttributes, "program" | "workspaceInterruptBreakpoints">, Check>> = {
  cpus: whole(1, maximumCpus),
  memory: whole(1, maximumMemory, " (MiB)"),
  cmdline: text,
  initrd: file,
  disks: listOf((value, files) => file(typeof value === "string" ? value.replace(diskOptions, "") : value, files)),
  cdrom: file,
  firmware: (value, files) => (value === "seabios" ? undefined : file(value, files)),
  cpuModel: text,
  symbols: listOf(symbolFile),
  sourceMap: pathMap,
  cwd: (value, files) =>
    typeof value === "string" && files.kind(value) === "directory" ? undefined : `must be a directory, not ${JSON.stringify(value)}`,
  stopOnEntry: flag,
  interruptBreakpoints: listOf(interruptBreakpoint),
  serial: (value) => (typeof value === "string" && value !== "" ? undefined : 'must be "stdio", "terminal", "none" or the path of a file'),
  engine: oneOf(engines),
  tripleFault: oneOf(tripleFaults),
  quantum: whole(1, 1_000_000_000, " (instructions)"),
  seed: whole(0, 0xffff_ffff),
  pace: flag,
  interruptRecords: whole(64, 1_000_000, " (records)"),
  record: text,
};

/** Fills in the attributes that are left out. */
export function withDefaults<T extends object>(configuration: T): T & typeof launchDefaults {
  return { ...launchDefaults, ...configuration };
}

/** Finds the first thing wrong with a configuration whose variables have been resolved. */
export function findProblem(configuration: Readonly<Record<string, unknown>>, files: FileProbe): ConfigurationProblem | undefined {
  const { program, disks, cdrom } = configuration;
  const missing = program === undefined || program === null || program === "";
  const boots = (Array.isArray(disks) && disks.length > 0) || (typeof cdrom === "string" && cdrom !== "");
  if (missing && !boots) {
    const message =
      'The launch attribute "program" is missing: it names the guest image to debug, such as "${workspaceFolder}/kernel.elf"; or name a disk in "disks" or a CD-ROM in "cdrom" to boot from.';
    return { attribute: "program", message };
  }
  // Where other paths start comes first.
  const attributes: [string, Check][] = [
    ["cwd", checks.cwd],
    ...(missing ? [] : [["program", file] as [string, Check]]),
    ...Object.entries(checks),
  ];
  for (const [attribute, check] of attributes) {
    const value = configuration[attribute];
    if (value === undefined) continue;
    const problem = check(value, files);
    if (problem !== undefined) return { attribute, message: `The launch attribute "${attribute}" ${problem}.` };
  }
  return undefined;
}
