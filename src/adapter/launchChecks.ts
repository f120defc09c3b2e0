// Checks the attributes of a launch request: each problem is one sentence that names the attribute.
import { statSync } from "node:fs";
import { isAbsolute } from "node:path";
import { UserError } from "../machine/errors";
import { withWholePaths } from "./launchPaths";
import { parseDisk } from "./storage";
import { placesProblem } from "./symbolPlaces";
import { engines, maximumCpus, maximumMemory, tripleFaults, type LaunchAttributes } from "./protocol";

type Check = (value: unknown) => string | undefined;

const text: Check = (value) => (typeof value === "string" ? undefined : "must be text");
const flag: Check = (value) => (typeof value === "boolean" ? undefined : "must be true or false");

const file: Check = (value) => {
  if (typeof value !== "string" || value.trim() === "") return "must be the path of a file";
  let stat;
  try {
    stat = statSync(value);
  } catch {
    return `names ${value}, which does not exist`;
  }
  return stat.isFile() ? undefined : `names ${value}, which is not a file`;
};

const directory: Check = (value) => {
  if (typeof value !== "string" || !isAbsolute(value)) return "must be the whole path of a directory";
  return statSync(value, { throwIfNoEntry: false })?.isDirectory() === true ? undefined : `names ${value}, which is no directory`;
};

const whole =
  (least: number, most: number, unit = ""): Check =>
  (value) =>
    typeof value === "number" && Number.isInteger(value) && value >= least && value <= most
      ? undefined
      : `must be a whole number from ${least} to ${most}${unit}, not ${JSON.stringify(value)}`;

const listOf =
  (check: Check): Check =>
  (value) => {
    if (!Array.isArray(value)) return "must be a list";
    for (const [index, entry] of (value as unknown[]).entries()) {
      const problem = check(entry);
      if (problem !== undefined) return `has an entry ${index + 1} that ${problem}`;
    }
    return undefined;
  };

const oneOf =
  (words: readonly string[]): Check =>
  (value) =>
    words.some((word) => word === value) ? undefined : `must be one of ${words.join(", ")}, not ${JSON.stringify(value)}`;

const symbolFile: Check = (value) => {
  if (typeof value !== "object" || value === null) return file(value);
  const { file: path, offset, sections } = value as Record<string, unknown>;
  return file(path) ?? placesProblem(offset, sections);
};

const pathMap: Check = (value) =>
  typeof value === "object" && value !== null && !Array.isArray(value) && Object.values(value).every((entry) => typeof entry === "string")
    ? undefined
    : "must map path prefixes to path prefixes";

const breakpoint: Check = (value) => {
  if (typeof value !== "object" || value === null) return "must be an object with a filter";
  const { filter, condition, hitCondition, enabled } = value as Record<string, unknown>;
  if (typeof filter !== "string") return "has no filter";
  if (condition !== undefined && typeof condition !== "string") return "has a condition that is not text";
  if (hitCondition !== undefined && typeof hitCondition !== "string") return 'has a hitCondition that is not text such as ">= 3"';
  return enabled === undefined || typeof enabled === "boolean" ? undefined : "must have true or false for enabled";
};

/** A disk image's path with options behind it, taken apart when it is opened. */
const disk: Check = (value) => {
  if (typeof value !== "string" || value.trim() === "") return "must be the path of a file";
  try {
    return file(parseDisk(value).file);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return `is wrong: ${error.message.replace(/\.$/, "")}`;
  }
};

const checks: Readonly<Record<Exclude<keyof LaunchAttributes, "program">, Check>> = {
  cpus: whole(1, maximumCpus),
  memory: whole(1, maximumMemory, " (MiB)"),
  cmdline: text,
  initrd: file,
  disks: listOf(disk),
  cdrom: (value) => (value === "" ? undefined : file(value)),
  firmware: (value) => (value === "" || value === "seabios" ? undefined : file(value)),
  cpuModel: text,
  symbols: listOf(symbolFile),
  sourceMap: pathMap,
  cwd: directory,
  stopOnEntry: flag,
  interruptBreakpoints: listOf(breakpoint),
  workspaceInterruptBreakpoints: listOf(breakpoint),
  serial: (value) => (typeof value === "string" && value !== "" ? undefined : 'must be "stdio", "terminal", "none" or the path of a file'),
  engine: oneOf(engines),
  tripleFault: oneOf(tripleFaults),
  quantum: whole(1, 1_000_000_000, " (instructions)"),
  seed: whole(0, 0xffff_ffff),
  interruptRecords: whole(64, 1_000_000, " (records)"),
  pace: flag,
  record: (value) => (typeof value === "string" && value !== "" ? undefined : "must be the path of a file"),
};

/** The attributes of a launch request, checked. Throws a {@link UserError} whose subject is the first attribute that is wrong. */
export function checkLaunch(given: unknown): LaunchAttributes {
  if (typeof given !== "object" || given === null) throw new UserError("A launch request needs attributes.", "program");
  const { cwd = process.cwd() } = given as { cwd?: unknown };
  const wrong = directory(cwd);
  if (wrong !== undefined) throw new UserError(`The launch attribute "cwd" ${wrong}.`, "cwd");
  const attributes = withWholePaths(given as Record<string, unknown>, String(cwd));
  const { program } = attributes;
  const missing = program === undefined || program === null || program === "";
  const boots = (Array.isArray(attributes["disks"]) && attributes["disks"].length > 0) || (attributes["cdrom"] ?? "") !== "";
  if (missing && !boots)
    throw new UserError(
      'The launch attribute "program" is missing: it names the guest image to debug; or name a disk in "disks" or a CD-ROM in "cdrom" to boot from.',
      "program",
    );
  const all: [string, Check][] = [...(missing ? [] : [["program", file] as [string, Check]]), ...Object.entries(checks)];
  for (const [attribute, check] of all) {
    const value = attributes[attribute];
    if (value === undefined || value === null) continue;
    const problem = check(value);
    if (problem !== undefined) throw new UserError(`The launch attribute "${attribute}" ${problem}.`, attribute);
  }
  // Without an image the machine starts as a PC does: with its firmware.
  const start = missing ? { program: "", firmware: attributes["firmware"] ?? "seabios" } : {};
  return { ...(attributes as unknown as LaunchAttributes), ...start } as LaunchAttributes;
}
