// Reads the files of a launch and makes the machine and its symbols from them. Runs in the engine's worker.
import { existsSync, readFileSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { inflateSync } from "node:zlib";
import { ElfFile, isElf } from "../debugger/symbols/elf";
import { elfImage } from "../debugger/symbols/module";
import type { SourceMapping } from "../debugger/symbols/paths";
import { SymbolStore } from "../debugger/symbols/table";
import { UserError } from "../machine/errors";
import { Machine } from "../machine/machine";
import type { MachineConfiguration } from "../machine/types";
import { loadFirmware, openStorage } from "./storage";
import { launchDefaults, type LaunchAttributes } from "./protocol";

export interface LoadedGuest {
  readonly machine: Machine;
  readonly symbols: SymbolStore;
  /** What the entry point is, in words. */
  readonly entry: string;
  /** For the person: what could not be used. */
  readonly warnings: readonly string[];
}

const mebibyte = 2 ** 20;

function readAttribute(attribute: keyof LaunchAttributes, path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new UserError(`The launch attribute "${attribute}" names ${path}, which cannot be read: ${why}.`, attribute);
  }
}

const isStorage = (subject: string): boolean => ["disks", "cdrom", "firmware"].includes(subject);

/** Runs `load`; a mistake that does not say so itself is told with the attribute's name. */
function naming<T>(attribute: keyof LaunchAttributes, load: () => T): T {
  try {
    return load();
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    const named = /\b(program|memory|cpus|quantum|cpuModel|cmdline|initrd|symbols)\b/.test(error.message);
    const subject = error.subject ?? attribute;
    throw named
      ? error
      : new UserError(`The launch attribute "${isStorage(subject) ? subject : attribute}" is wrong: ${error.message}`, subject);
  }
}

type Storage = Pick<MachineConfiguration, "disks" | "cdrom" | "inflate" | "firmware">;

function storageOf(attributes: LaunchAttributes): Storage {
  const { disks, cdrom, firmware } = attributes;
  const attached = openStorage(disks ?? [], cdrom === "" ? undefined : cdrom);
  if (firmware === undefined || firmware === "") return attached;
  return { ...attached, firmware: loadFirmware(firmware, attributes.serial !== "none") };
}

function createMachine(attributes: LaunchAttributes, storage: Storage): Machine {
  const memory = attributes.memory ?? launchDefaults.memory;
  try {
    return Machine.create({
      cpus: attributes.cpus ?? launchDefaults.cpus,
      memory: memory * mebibyte,
      engine: attributes.engine ?? launchDefaults.engine,
      ...(attributes.quantum === undefined ? {} : { quantum: attributes.quantum }),
      ...(attributes.cpuModel === undefined ? {} : { cpuModel: attributes.cpuModel }),
      seed: attributes.seed ?? launchDefaults.seed,
      ...(attributes.interruptRecords === undefined ? {} : { interruptRecords: attributes.interruptRecords }),
      // A PCI function that sends an MSI on demand: the bundled guest shows one by it, and no driver of others claims it.
      devices: ["msi-test"],
      ...storage,
    });
  } catch (error) {
    // The host's WebAssembly refuses memories that it cannot give.
    if (!(error instanceof RangeError)) throw error;
    throw new UserError(
      `The launch attribute "memory" asks for ${memory} MiB, which this computer cannot give: ${error.message}.`,
      "memory",
    );
  }
}

/** Makes the machine, loads the image, reads symbols. Throws a {@link UserError} that names the attribute or file. */
export function loadGuest(attributes: LaunchAttributes): LoadedGuest {
  const { program } = attributes;
  const image = readAttribute("program", program);
  const initrd = attributes.initrd === undefined ? undefined : readAttribute("initrd", attributes.initrd);
  const storage = naming("disks", () => storageOf(attributes));
  const machine = naming("memory", () => createMachine(attributes, storage));
  const state = naming("program", () =>
    // With firmware the guest comes from a disk or CD, and the program gives its symbols.
    storage.firmware !== undefined
      ? machine.bootFirmware()
      : machine.boot({
          image,
          imageName: program,
          cmdline: attributes.cmdline ?? launchDefaults.cmdline,
          ...(initrd === undefined ? {} : { initrd: { bytes: initrd, name: attributes.initrd ?? "" } }),
        }),
  );
  const { symbols, warnings } = naming("symbols", () => loadSymbols(attributes, image, state.loadOffset));
  return { machine, symbols, entry: state.entryName, warnings };
}

function loadSymbols(attributes: LaunchAttributes, image: Uint8Array, loadOffset: bigint): { symbols: SymbolStore; warnings: string[] } {
  const sourceMap = Object.entries(attributes.sourceMap ?? {});
  const files = (attributes.symbols ?? []).map((entry) => (typeof entry === "string" ? { file: entry, offset: 0 } : entry));
  const contents = files.map(({ file }) => readAttribute("symbols", file));
  const warnings: string[] = [];
  const fill = (mappings: readonly SourceMapping[]): SymbolStore => {
    const store = new SymbolStore({
      sourceMap: mappings,
      inflate: (data, size) => inflateSync(data, { maxOutputLength: Math.max(size, 1) }),
    });
    const loaded = isElf(image) ? elfImage(new ElfFile(image, attributes.program)) : undefined;
    for (const [index, { file, offset }] of files.entries()) {
      const given = BigInt(offset ?? 0);
      // A file that is loaded elsewhere than linked cannot be compared with the image.
      store.add(file, contents[index], given === 0n ? loadOffset : given, given === 0n ? loaded : undefined);
    }
    if (isElf(image))
      try {
        store.add(attributes.program, image, loadOffset);
      } catch (error) {
        if (!(error instanceof UserError)) throw error;
        if (files.length === 0) warnings.push(`No symbols: ${error.message}`);
      }
    return store;
  };
  const store = fill(sourceMap);
  warnings.length = 0;
  const beside = sourcesBeside(store.sources(), attributes.program);
  return { symbols: beside.length === 0 ? fill(sourceMap) : fill([...sourceMap, ...beside]), warnings };
}

/** Sources that do not exist where they were compiled but lie beside the image: their directories are mapped there. */
function sourcesBeside(sources: readonly string[], program: string): SourceMapping[] {
  const directory = dirname(resolve(program));
  const mappings = new Map<string, string>();
  for (const source of sources) {
    if (existsSync(source) && source.startsWith("/")) continue;
    const from = dirname(source);
    if (!mappings.has(from) && existsSync(join(directory, basename(source)))) mappings.set(from, directory);
  }
  return [...mappings];
}
