import { parseArgs, type ParseArgsConfig } from "node:util";
import { UserError } from "../common/errors";
import { DEFAULT_MODEL, modelNames, parseCpuModel } from "../cpu/models";
import { arrange } from "../cpu/topology";
import { OPTIONAL_DEVICES } from "../devices/pcBoard";
import { MAX_CPUS, MAX_MEMORY } from "../machine/limits";

/** Options of `apicscope run`, checked. */
export interface RunOptions {
  /** Undefined: the guest comes from a disk or CD, through firmware. */
  readonly image: string | undefined;
  /** Disks as described: see `parseDisk`. */
  readonly disks: readonly string[];
  readonly cdrom: string | undefined;
  /** A firmware image, or "seabios". */
  readonly firmware: string | undefined;
  /** Where the debug console's output goes: "stderr", "none", a file; undefined: with the first serial port's, and nowhere under firmware. */
  readonly debugConsole: string | undefined;
  readonly cpus: number;
  /** MiB. */
  readonly memory: number;
  readonly cmdline: string;
  readonly initrd: string | undefined;
  /** CPU model, checked. */
  readonly cpuModel: string;
  readonly engine: "auto" | "jit" | "interpreter";
  /** "stdio", "none", or a file that receives what the guest sends. */
  readonly serial: string;
  readonly maxInstructions: number;
  /** Seconds, or undefined for no limit. */
  readonly timeout: number | undefined;
  readonly quantum: number | undefined;
  readonly seed: number;
  readonly devices: readonly string[];
  /** File for the trace of all interrupts: lines of JSON or, ending in .json, a Perfetto trace. */
  readonly trace: string | undefined;
  /** File with statements that must hold. */
  readonly contract: string | undefined;
  /** File for the results of the contract as JUnit XML. */
  readonly junit: string | undefined;
  /** Where to stop: events with conditions, or places in the code. */
  readonly breaks: readonly string[];
  readonly stats: boolean;
  readonly reboot: boolean;
  /** What a triple fault does. */
  readonly tripleFault: "stop" | "reset";
  /** File to write the input log to. */
  readonly record: string | undefined;
  /** Input log to run by. */
  readonly replay: string | undefined;
  /** File to write the machine's state to as the run ends. */
  readonly saveState: string | undefined;
  /** File with the state to begin with. */
  readonly loadState: string | undefined;
  /** Undefined: where a person sits at a terminal. */
  readonly pace: boolean | undefined;
}

export const runUsage = `Usage: apicscope run IMAGE [options]
       apicscope run --disk FILE | --cdrom FILE | --firmware FILE [options]

  --cpus N               CPUs, 1 to 64 (default 1)
  --memory MIB           RAM in MiB (default 128)
  --cmdline TEXT         the kernel's command line
  --initrd FILE          initial RAM disk or first module
  --disk FILE[,OPTION]...  a disk image, raw or qcow2; may be repeated. Options: ide (default), ahci or virtio, the controller; raw or qcow2,
                         the format; readonly; write-through. The file is not written without write-through
  --cdrom FILE           the CD in the CD-ROM drive (ISO)
  --firmware FILE        a PC firmware image to start from instead of an IMAGE, or seabios to look for SeaBIOS, which is the default
                         without IMAGE
  --debug-console WHERE  the debug ports 0xe9 and 0x402: stderr, none, or a file (default: as the serial port; none with firmware)
  --serial WHERE         first serial port: stdio, none, or a file (default stdio)
  --device NAME          an optional device: ${OPTIONAL_DEVICES.join(", ")}; may be repeated
  --cpu MODEL            ${modelNames.join(", ")}, then ,+feature ,-feature ,vendor=amd ,phys-bits=N ,sockets=N ,cores=N ,threads=N
                         (default ${DEFAULT_MODEL}; see docs/cpu-models.md)
  --engine NAME          auto (default), jit (translates sooner) or interpreter
  --quantum N            instructions a CPU runs before the next one's turn
  --seed N               seed of whatever is random in the machine
  --max-instructions N   stop after N guest instructions, with status 124
  --timeout SECONDS      stop after so much wall-clock time, with status 124
  --trace FILE           write every stage of every interrupt as JSON lines, or, to a .json file, a trace for Perfetto
  --contract FILE        check statements such as "no lint" or "vector 0x20 on every CPU is followed by EOI within 5000 instructions"
  --junit FILE           write what came of the contract as JUnit XML
  --break WHERE          stop with status 6 and tell the state of all CPUs and their last interrupts. WHERE is an event of an interrupt's life, such as
                         interrupt.deliver, nmi or cpu.exception, or a symbol or address in the code, and may go on with a condition:
                         "interrupt.deliver: vector == 0x20 && cpu == 1", "main+0x10: rax == 5"; may be repeated
  --record FILE          write everything that comes from outside to a log
  --replay FILE          run by such a log instead of standard input, and compare the end
  --save-state FILE      write the machine's state to a file when the run ends, however it does; at a terminal also with Ctrl-A s
  --load-state FILE      begin with such a state instead of at power-on; image and options must be those it was saved with
  --pace, --no-pace      hold virtual time back to the wall clock while the guest idles (default: at a terminal)
  --triple-fault WHAT    stop (default) ends the run with status 3; reset resets the machine, as a PC's chips do
  --no-reboot            end with status 0 when the guest resets the machine
  --stats                print figures of the run to standard error

The guest's first serial port is standard output and input; all else goes to standard error. At a terminal every key goes to the guest, but for
Ctrl-A: Ctrl-A x ends the run, Ctrl-A h tells more. Exit status: the guest's isa-debug-exit value v as (v << 1) | 1, 0 on power-off and Ctrl-A x,
2 for bad arguments, 3 for a triple fault or a guest that halted for good, 4 for a replay that differs from its recording, 5 for a broken contract,
6 for a --break, 124 for a limit.
`;

const options = {
  cpus: { type: "string" },
  memory: { type: "string" },
  cmdline: { type: "string" },
  initrd: { type: "string" },
  serial: { type: "string" },
  device: { type: "string", multiple: true },
  engine: { type: "string" },
  quantum: { type: "string" },
  seed: { type: "string" },
  "max-instructions": { type: "string" },
  timeout: { type: "string" },
  trace: { type: "string" },
  junit: { type: "string" },
  "no-reboot": { type: "boolean" },
  "triple-fault": { type: "string" },
  pace: { type: "boolean" },
  "no-pace": { type: "boolean" },
  "save-state": { type: "string" },
  "load-state": { type: "string" },
  stats: { type: "boolean" },
  disk: { type: "string", multiple: true },
  cdrom: { type: "string" },
  firmware: { type: "string" },
  "debug-console": { type: "string" },
  cpu: { type: "string" },
  record: { type: "string" },
  replay: { type: "string" },
  contract: { type: "string" },
  break: { type: "string", multiple: true },
} as const satisfies ParseArgsConfig["options"];

/** Parses the arguments after `run`. @throws UserError naming the option. */
export function parseRunOptions(args: readonly string[]): RunOptions {
  let parsed;
  try {
    parsed = parseArgs({ args: [...args], options, allowPositionals: true, strict: true });
  } catch (error) {
    throw new UserError(error instanceof Error ? error.message : String(error));
  }
  const { values, positionals } = parsed;
  const { firmware } = values;
  const bootable = (values.disk ?? []).length > 0 || values.cdrom !== undefined || firmware !== undefined;
  if (positionals.length === 0 && !bootable) {
    throw new UserError("Name the image to run, apicscope run IMAGE, or a --disk or --cdrom to boot from.", "image");
  }
  if (positionals.length > 1) throw new UserError(`One image is run at a time; "${positionals[1]}" is one too many.`, "image");
  if (firmware !== undefined && positionals.length > 0) {
    throw new UserError(
      "With --firmware the guest comes from a disk or CD: leave out the image, or --firmware to boot the image directly.",
      "firmware",
    );
  }
  if (positionals.length === 0 && (values.cmdline !== undefined || values.initrd !== undefined)) {
    throw new UserError(
      "--cmdline and --initrd go with an image; a guest on a disk brings its own.",
      values.cmdline === undefined ? "initrd" : "cmdline",
    );
  }
  const engine = values.engine ?? "auto";
  if (engine !== "auto" && engine !== "jit" && engine !== "interpreter") {
    throw new UserError(`--engine ${engine}: choose auto, jit or interpreter.`, "engine");
  }
  const tripleFault = values["triple-fault"] ?? "stop";
  if (tripleFault !== "stop" && tripleFault !== "reset") {
    throw new UserError(`--triple-fault ${tripleFault}: choose stop or reset.`, "triple-fault");
  }
  const cpus = integer("cpus", values.cpus, 1, 1, MAX_CPUS);
  const cpuModel = values.cpu ?? DEFAULT_MODEL;
  arrange(cpus, parseCpuModel(cpuModel, "--cpu").arrangement, "--cpu");
  return {
    image: positionals[0],
    disks: values.disk ?? [],
    cdrom: values.cdrom,
    firmware: firmware ?? (positionals.length === 0 ? "seabios" : undefined),
    debugConsole: values["debug-console"],
    cpus,
    cpuModel,
    memory: integer("memory", values.memory, 128, 1, MAX_MEMORY),
    cmdline: values.cmdline ?? "",
    initrd: values.initrd,
    engine,
    serial: values.serial ?? "stdio",
    maxInstructions: integer("max-instructions", values["max-instructions"], Number.MAX_SAFE_INTEGER, 1, Number.MAX_SAFE_INTEGER),
    timeout: values.timeout === undefined ? undefined : positive("timeout", values.timeout),
    quantum: values.quantum === undefined ? undefined : integer("quantum", values.quantum, 1, 1, 1e9),
    seed: integer("seed", values.seed, 0, 0, Number.MAX_SAFE_INTEGER),
    devices: values.device ?? [],
    trace: values.trace,
    contract: values.contract,
    junit: values.junit,
    breaks: values.break ?? [],
    stats: values.stats ?? false,
    reboot: values["no-reboot"] !== true,
    tripleFault,
    record: values.record,
    replay: values.replay,
    saveState: values["save-state"],
    loadState: values["load-state"],
    pace: values["no-pace"] === true ? false : values.pace,
  };
}

function integer(name: string, text: string | undefined, fallback: number, low: number, high: number): number {
  if (text === undefined) return fallback;
  const value = /^\d+$/.test(text) ? Number(text) : NaN;
  if (!Number.isSafeInteger(value) || value < low || value > high) {
    throw new UserError(`--${name} ${text}: give a whole number from ${low} to ${high}.`, name);
  }
  return value;
}

function positive(name: string, text: string): number {
  const value = Number(text);
  if (!(value > 0) || !Number.isFinite(value)) throw new UserError(`--${name} ${text}: give a number of seconds above 0.`, name);
  return value;
}
