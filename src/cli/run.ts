import { closeSync, fstatSync, openSync, read, readFileSync } from "node:fs";
import { basename } from "node:path";
import type { RecordingFile } from "../adapter/recordingFile";
import { compileProvider } from "../adapter/compileProvider";
import { memoryProvider } from "../adapter/memoryProvider";
import { WHOLE_IMAGE } from "../adapter/wholeImage";
import { UserError } from "../common/errors";
import type { DeliveredEvent } from "../cpu/system/context";
import { combineHooks } from "../machine/hooks";
import { Machine } from "../machine/machine";
import type { MachineConfiguration, MachineHooks } from "../machine/types";
import type { Breaks } from "./breaks";
import { GuestSink } from "./guestSink";
import type { Replay } from "./replay";
import { type LoopEnd, runToEnd } from "./runLoop";
import { parseRunOptions, type RunOptions } from "./runOptions";
import { statistics } from "./statistics";

export const STATUS_DEAD = 3;
export const STATUS_LIMIT = 124;
/** Images from this size on, in bytes, are kernels that use many times as much memory. */
const LARGE_IMAGE = 4 << 20;
/** Address from which on they are loaded. */
const USUAL_PLACE = 1 << 20;
/** A run that stopped at a `--break`. */
const STATUS_BREAK = 6;
/** A replay came out otherwise than it was recorded. */
export const STATUS_DIVERGED = 4;

/**
 * `apicscope run`: runs a guest to its end with its serial port on standard output. Returns the exit status. What a plain run does without is loaded
 * only for those who want it: it would take longer than to start the guest. @throws UserError for bad arguments.
 */
export async function runCommand(args: readonly string[]): Promise<number> {
  const options = parseRunOptions(args);
  // Read by threads of Node's while the machine is made: the first touches of a kernel's memory cost a thread 50 ms.
  const imageRead = options.image === undefined ? undefined : readInput(options.image, "image");
  const initrdRead = options.initrd === undefined ? undefined : readInput(options.initrd, "initrd");
  const isLarge = (imageRead?.size ?? 0) >= LARGE_IMAGE;
  const machine = Machine.create({
    cpus: options.cpus,
    memory: options.memory * 2 ** 20,
    devices: options.devices,
    ...(await storageOf(options)),
    cpuModel: options.cpuModel,
    seed: options.seed,
    tripleFault: options.tripleFault,
    engine: options.engine,
    provider: memoryProvider({ prompt: isLarge }),
    compiler: compileProvider({ prompt: isLarge }),
    ...(options.quantum === undefined ? {} : { quantum: options.quantum }),
  });
  // Where Linux and most others are loaded: so much is done before the image has been read.
  if (isLarge) machine.memory.expectWrites(USUAL_PLACE, imageRead?.size ?? 0);
  const file = await imageRead?.bytes;
  const image = options.image === undefined || file === undefined ? undefined : await imageOf(file, basename(options.image));
  const initrdBytes = await initrdRead?.bytes;
  const initrd =
    options.initrd === undefined || initrdBytes === undefined ? undefined : { bytes: initrdBytes, name: basename(options.initrd) };
  const sinks = new Sinks();
  const serial = sinks.open(options.serial);
  const virtioConsole = sinks.open("stdio");
  const debugConsole = options.debugConsole ?? (image === undefined ? "none" : undefined);
  const debugOutput = debugConsole === undefined ? undefined : sinks.open(debugConsole, "debug-console");
  const { trace, contract, junit } = options;
  const watched = trace !== undefined || contract !== undefined || junit !== undefined;
  const watchers = watched ? new (await import("./watchers")).Watchers(options, machine, file, image?.name ?? "firmware") : undefined;
  const own: MachineHooks = {
    serial: (bytes) => serial?.write(bytes),
    console: (bytes) => virtioConsole?.write(bytes),
    ...(debugConsole === undefined ? {} : { debugConsole: (bytes: Uint8Array) => debugOutput?.write(bytes) }),
  };
  machine.hooks = combineHooks(own, watchers?.hooks ?? {});
  const boot =
    image === undefined
      ? machine.bootFirmware()
      : machine.boot({
          image: image.bytes,
          imageName: image.name,
          cmdline: options.cmdline,
          ...(initrd === undefined ? {} : { initrd }),
        });
  if (options.stats) process.stderr.write(`apicscope: ${image?.name ?? options.firmware}: ${boot.entryName}\n`);
  if (options.loadState !== undefined) (await import("../adapter/stateFiles")).loadState(machine, options.loadState);
  const replay: Replay | undefined =
    options.replay === undefined ? undefined : new (await import("./replay")).Replay(options.replay, machine);
  const recording: RecordingFile | undefined =
    options.record === undefined
      ? undefined
      : new (await import("../adapter/recordingFile")).RecordingFile(options.record, machine, "--record");
  const breaks = options.breaks.length === 0 ? undefined : await breaksOf(options.breaks, machine, image);
  const started = performance.now();
  const end = await runToEnd(machine, options, replay, breaks, sinks.flush).finally(sinks.flush);
  recording?.close(end.kind === "break" ? "quit" : end.kind);
  if (options.saveState !== undefined) (await import("../adapter/stateFiles")).saveState(machine, options.saveState);
  sinks.close();
  if (options.stats) for (const line of statistics(machine, performance.now() - started)) say(line);
  for (const line of breaks?.report() ?? []) say(line);
  const reported = report(end, machine);
  const status = (await watchers?.finish(end, reported)) ?? reported;
  if (replay === undefined) return status;
  const { same, text } = replay.verdict();
  say(text);
  return same ? status : STATUS_DIVERGED;
}

interface NamedImage {
  readonly name: string;
  readonly bytes: Uint8Array;
}

async function imageOf(file: Uint8Array, name: string): Promise<NamedImage> {
  return { name, bytes: file.length <= WHOLE_IMAGE ? file : (await import("../adapter/symbolFiles")).bootedBytes(file, name) };
}

async function storageOf({ disks, cdrom, firmware, serial }: RunOptions): Promise<Partial<MachineConfiguration>> {
  if (disks.length === 0 && cdrom === undefined && firmware === undefined) return {};
  const { loadFirmware, openStorage } = await import("../adapter/storage");
  return {
    ...openStorage(disks, cdrom),
    ...(firmware === undefined ? {} : { firmware: loadFirmware(firmware, serial !== "none") }),
  };
}

async function breaksOf(texts: readonly string[], machine: Machine, image: NamedImage | undefined): Promise<Breaks> {
  const [{ Breaks }, { symbolStoreOf }] = await Promise.all([import("./breaks"), import("./watchers")]);
  return new Breaks(texts, machine, symbolStoreOf(image?.bytes, image?.name ?? "firmware"));
}

/** A file that is being read. */
interface Input {
  readonly size: number;
  readonly bytes: Promise<Uint8Array>;
}

/** Opens the file at once, and reads it as a whole meanwhile. @throws UserError */
function readInput(file: string, subject: string): Input {
  const refused = (error: unknown): UserError => {
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    const why =
      code === "ENOENT"
        ? "there is no such file"
        : code === "EISDIR"
          ? "it is a folder"
          : code === "EACCES"
            ? "it may not be read"
            : String(error);
    return new UserError(`${file}: ${why}.`, subject);
  };
  try {
    const descriptor = openSync(file, "r");
    const stat = fstatSync(descriptor);
    // What does not tell its size beforehand, a pipe say, is read piece by piece.
    if (!stat.isFile() || stat.size === 0) {
      closeSync(descriptor);
      const whole = readFileSync(file);
      return { size: whole.length, bytes: Promise.resolve(whole) };
    }
    const whole = readWhole(descriptor, stat.size).catch((error: unknown) => {
      throw refused(error);
    });
    // Something else may be wrong before anybody waits for it.
    whole.catch(() => undefined);
    return { size: stat.size, bytes: whole };
  } catch (error) {
    throw refused(error);
  }
}

/** The first `size` bytes of a file, or all that it still has; closes it. One request: Node's own takes one for each 512 KiB, and none of them while the main thread is busy. */
async function readWhole(descriptor: number, size: number): Promise<Uint8Array> {
  const bytes = Buffer.allocUnsafeSlow(size);
  try {
    let done = 0;
    while (done < size) {
      const from = done;
      const count = await new Promise<number>((resolve, reject) =>
        read(descriptor, bytes, from, size - from, from, (error, got) => (error === null ? resolve(got) : reject(error))),
      );
      if (count === 0) break;
      done += count;
    }
    return bytes.subarray(0, done);
  } finally {
    closeSync(descriptor);
  }
}

/** Where the guest's serial port, console and debug console go: one sink for each place, so that what comes to the same place stays in order. */
class Sinks {
  private readonly places = new Map<string, GuestSink>();

  /** undefined for "none". */
  open(where: string, subject = "serial"): GuestSink | undefined {
    if (where === "none") return undefined;
    const known = this.places.get(where);
    if (known !== undefined) return known;
    const sink = new GuestSink(where === "stdio" ? 1 : where === "stderr" ? 2 : openFile(where, subject));
    this.places.set(where, sink);
    return sink;
  }

  readonly flush = (): void => {
    for (const sink of this.places.values()) sink.flush();
  };

  close(): void {
    for (const sink of this.places.values()) sink.close();
    this.places.clear();
  }
}

function openFile(file: string, subject: string): number {
  try {
    return openSync(file, "w");
  } catch {
    throw new UserError(`${file}: cannot be written.`, subject);
  }
}

const say = (text: string): void => void process.stderr.write(`apicscope: ${text}\n`);

/** "vector 14 (exception) at RIP 0x1234 error code 0x2 address 0xdead0000". */
function deliveryLine({ vector, kind, rip, errorCode, address }: DeliveredEvent): string {
  const code = errorCode >= 0 ? ` error code 0x${errorCode.toString(16)}` : "";
  return `vector ${vector} (${kind}) at RIP 0x${rip.toString(16)}${code}${vector === 14 ? ` address 0x${address.toString(16)}` : ""}`;
}

function report(end: LoopEnd, machine: Machine): number {
  const history = (): void => {
    for (const cpu of machine.cpus) {
      say(`CPU ${cpu.index}: ${cpu.activity} at RIP 0x${cpu.state.rip.toString(16)}`);
      for (const event of cpu.system.delivery.log.last) say(`  ${deliveryLine(event)}`);
    }
  };
  switch (end.kind) {
    case "power-off":
    case "quit":
      return 0;
    case "exit":
      return end.status & 0xff;
    case "break":
      return STATUS_BREAK;
    case "reset":
      say("the guest reset the machine");
      return 0;
    case "triple-fault":
      say(`CPU ${end.cpu} shut down by a triple fault after ${machine.instructions()} instructions; last exceptions:`);
      history();
      return STATUS_DEAD;
    case "dead":
      say(`nothing can wake the guest after ${machine.instructions()} instructions: every CPU waits for ever; last exceptions:`);
      history();
      return STATUS_DEAD;
    case "limit":
    case "stop":
    case "breakpoint":
      say(`stopped at a limit after ${machine.instructions()} instructions`);
      return STATUS_LIMIT;
  }
}
