// Reads the files of a launch and makes the machine and its symbols from them. Runs in the engine's worker.
import { existsSync, readFileSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { Cancelled, type WorkWatch } from "../common/work";
import { ElfFile, isElf } from "../debugger/symbols/elf";
import { elfImage, type LoadedImage } from "../debugger/symbols/module";
import type { ByteSource } from "../debugger/symbols/source";
import type { SourceMapping } from "../debugger/symbols/paths";
import type { SectionAddresses } from "../debugger/symbols/relocations";
import { SymbolStore } from "../debugger/symbols/table";
import { UserError } from "../machine/errors";
import { Machine } from "../machine/machine";
import type { MachineConfiguration } from "../machine/types";
import { demangle } from "./demangler";
import { compileProvider } from "./compileProvider";
import { memoryProvider } from "./memoryProvider";
import { loadFirmware, openStorage } from "./storage";
import { inflateSection, openSymbolFile, readImage } from "./symbolFiles";
import { launchDefaults, type LaunchAttributes, type SymbolFile } from "./protocol";

export interface LoadedGuest {
  readonly machine: Machine;
  readonly symbols: SymbolStore;
  /** What the entry point is, in words. */
  readonly entry: string;
  /** For the person: what could not be used. */
  readonly warnings: readonly string[];
  /** Closes the symbol files. */
  readonly close: () => void;
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
      tripleFault: attributes.tripleFault ?? launchDefaults.tripleFault,
      ...(attributes.interruptRecords === undefined ? {} : { interruptRecords: attributes.interruptRecords }),
      // A PCI function that sends an MSI on demand: the bundled guest shows one by it, and no driver of others claims it.
      devices: ["msi-test"],
      provider: memoryProvider(),
      compiler: compileProvider(),
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
export function loadGuest(attributes: LaunchAttributes, watch?: WorkWatch): LoadedGuest {
  const { program } = attributes;
  const image = program === "" ? new Uint8Array(0) : naming("program", () => readImage(program));
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
  const loaded = naming("symbols", () => loadSymbols(attributes, isElf(image), state.loadOffset, watch));
  return { machine, entry: state.entryName, ...loaded };
}

/** With more units of debug information than this, sources are not looked for beside the image. */
const unitsSearched = 500;

function loadSymbols(
  attributes: LaunchAttributes,
  isElfImage: boolean,
  loadOffset: bigint,
  watch: WorkWatch | undefined,
): Pick<LoadedGuest, "symbols" | "warnings" | "close"> {
  const { program } = attributes;
  const files = (attributes.symbols ?? []).map((entry) => (typeof entry === "string" ? { file: entry } : entry));
  const warnings: string[] = [];
  const open: (() => void)[] = [];
  const symbols = new SymbolStore({ sourceMap: Object.entries(attributes.sourceMap ?? {}), inflate: inflateSection, watch, demangle });
  const openFile = (file: string): ByteSource => {
    const { source, close } = openSymbolFile(file);
    open.push(close);
    return source;
  };
  const add = (
    file: string,
    source: ByteSource,
    offset: bigint,
    image?: LoadedImage,
    canSlide = true,
    sections?: SectionAddresses,
  ): void => {
    try {
      symbols.add(file, source, offset, image, sections).canSlide = canSlide && offset === 0n;
    } catch (error) {
      if (!(error instanceof Cancelled)) throw error;
      warnings.push(`Reading the symbols of ${file} was cancelled: they are not used in this session.`);
    }
  };
  const close = (): void => open.splice(0).forEach((end) => end());
  try {
    const programSource = isElfImage ? openFile(program) : undefined;
    const loaded = programSource !== undefined && files.length > 0 ? elfImage(new ElfFile(programSource, program)) : undefined;
    for (const { file, offset, sections } of files as readonly SymbolFile[]) {
      const source = openFile(file);
      const places = sectionAddresses(file, source, offset, sections);
      if (places !== undefined) {
        add(file, source, 0n, undefined, false, places);
        continue;
      }
      const given = integer(offset ?? 0);
      // A file that is loaded elsewhere than linked cannot be compared with the image.
      add(file, source, given === 0n ? loadOffset : given, given === 0n ? loaded : undefined, offset === undefined);
    }
    if (programSource !== undefined)
      try {
        add(program, programSource, loadOffset);
      } catch (error) {
        if (!(error instanceof UserError)) throw error;
        if (files.length === 0) warnings.push(`No symbols: ${error.message}`);
      }
    const units = symbols.modules.reduce((sum, module) => sum + (module.dwarf?.units.length ?? 0), 0);
    if (program !== "" && units <= unitsSearched) symbols.addSourceMap(sourcesBeside(symbols.sources(), program));
    if (attributes.cwd !== undefined) symbols.startPathsFrom(attributes.cwd);
  } catch (error) {
    close();
    throw error;
  }
  return { symbols, warnings, close };
}

/** A checked attribute's value; texts may have a sign before their base. */
const integer = (value: number | string): bigint =>
  typeof value === "string" && value.startsWith("-") ? -BigInt(value.slice(1)) : BigInt(value);

/** Where the sections of an unlinked file are said to lie; undefined for other files. @throws UserError for a section that it has not */
function sectionAddresses(
  path: string,
  source: ByteSource,
  offset: SymbolFile["offset"],
  sections: SymbolFile["sections"] = {},
): SectionAddresses | undefined {
  const elf = isElf(source) ? new ElfFile(source, path) : undefined;
  if (elf?.isUnlinked !== true) {
    if (Object.keys(sections).length === 0) return undefined;
    throw new UserError(
      `The launch attribute "symbols" gives sections of ${path}, which is no unlinked file; "offset" moves a linked one.`,
      "symbols",
    );
  }
  const places = new Map(Object.entries(sections).map(([name, address]) => [name, BigInt.asUintN(64, integer(address))]));
  for (const name of places.keys())
    if (elf.section(name) === undefined)
      throw new UserError(`The launch attribute "symbols" gives section ${name} of ${path}, which has none of that name.`, "symbols");
  if (offset !== undefined && !places.has(".text")) places.set(".text", BigInt.asUintN(64, integer(offset)));
  return places;
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
