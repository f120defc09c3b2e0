// What looks on while a guest runs from the command line: the trace of its interrupts, and its contract.
import { createWriteStream, readFileSync, writeFileSync, type WriteStream } from "node:fs";
import type { InterruptEvent, InterruptRecord } from "../apic/events";
import { demangle } from "../adapter/demangler";
import { inflateSection } from "../adapter/symbolFiles";
import { UserError } from "../common/errors";
import { ContractChecker } from "../debugger/contract/contract";
import { parseContract } from "../debugger/contract/parse";
import { contractLines, junitReport } from "../debugger/contract/report";
import { eventLine } from "../debugger/records/jsonLines";
import { laneEvents, PerfettoWriter } from "../debugger/records/perfetto";
import { isElf } from "../debugger/symbols/elf";
import { SymbolStore } from "../debugger/symbols/table";
import { combineHooks } from "../machine/hooks";
import type { Machine } from "../machine/machine";
import type { MachineHooks } from "../machine/types";
import type { LoopEnd } from "./runLoop";
import type { RunOptions } from "./runOptions";

/** Exit status of a guest that broke its contract. */
export const STATUS_BROKEN_CONTRACT = 5;

type SymbolOf = (address: bigint) => string | undefined;

interface Watcher {
  readonly hooks: MachineHooks;
  /** The run is over; may change its exit status. */
  finish(end: LoopEnd, status: number): Promise<number>;
}

/** Everything that watches a run. */
export class Watchers {
  private readonly all: readonly Watcher[];
  readonly hooks: MachineHooks;

  /** @throws UserError for a contract or a file that cannot be used. */
  constructor(
    options: Pick<RunOptions, "trace" | "contract" | "junit">,
    machine: Machine,
    image: Uint8Array | undefined,
    imageName: string,
  ) {
    const watchers: Watcher[] = [];
    const symbolOf = options.contract === undefined && !isPerfetto(options.trace) ? () => undefined : symbolsOf(image, imageName);
    if (options.trace !== undefined)
      watchers.push(isPerfetto(options.trace) ? new PerfettoFile(options.trace, machine, symbolOf) : new TraceFile(options.trace));
    if (options.contract !== undefined) watchers.push(new Contract(options.contract, options.junit, machine, symbolOf));
    else if (options.junit !== undefined) throw new UserError("--junit writes what came of a contract: name one with --contract.", "junit");
    this.all = watchers;
    this.hooks = combineHooks(...watchers.map((watcher) => watcher.hooks));
  }

  /** Writes what is left, and returns the exit status: `status` unless a contract was broken. */
  async finish(end: LoopEnd, status: number): Promise<number> {
    let result = status;
    for (const watcher of this.all) result = await watcher.finish(end, result);
    return result;
  }
}

/** A trace file whose name ends in .json is a Perfetto trace, any other one has a line of JSON a stage. */
function isPerfetto(file: string | undefined): boolean {
  return file?.endsWith(".json") === true;
}

/** The symbols of an image, none where it has none. */
export function symbolStoreOf(image: Uint8Array | undefined, name: string): SymbolStore {
  const store = new SymbolStore({ inflate: inflateSection, demangle });
  if (image === undefined || !isElf(image)) return store;
  try {
    store.add(name, image);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
  }
  return store;
}

function symbolsOf(image: Uint8Array | undefined, name: string): SymbolOf {
  const store = symbolStoreOf(image, name);
  return (address) => store.describe(address);
}

function openTrace(file: string): WriteStream {
  const stream = createWriteStream(file);
  stream.on("error", (error) => {
    process.stderr.write(`apicscope: ${file}: the trace cannot be written: ${error.message}\n`);
    process.exit(2);
  });
  return stream;
}

const closed = (stream: WriteStream): Promise<void> => new Promise((resolve) => stream.end(resolve));

class TraceFile implements Watcher {
  private readonly stream: WriteStream;
  readonly hooks: MachineHooks = { interrupt: (event) => void this.stream.write(eventLine(event)) };

  constructor(file: string) {
    this.stream = openTrace(file);
  }

  async finish(_end: LoopEnd, status: number): Promise<number> {
    await closed(this.stream);
    return status;
  }
}

/** Writes each record once it is over, and those that are not at the end. */
class PerfettoFile implements Watcher {
  private readonly stream: WriteStream;
  private readonly writer: PerfettoWriter;
  private readonly open = new Map<number, InterruptRecord>();
  readonly hooks: MachineHooks = { interrupt: (event) => this.hear(event) };

  constructor(
    file: string,
    private readonly machine: Machine,
    symbolOf: SymbolOf,
  ) {
    this.stream = openTrace(file);
    this.writer = new PerfettoWriter(machine.cpus, symbolOf);
    const lanes = laneEvents(machine.cpus).map((event) => JSON.stringify(event));
    this.stream.write(`{"displayTimeUnit":"ns","traceEvents":[\n${lanes.join(",\n")}`);
  }

  private hear({ stage, record }: InterruptEvent): void {
    const ends = stage === "return" || stage === "drop" || (stage === "deliver" && ["init", "sipi", "smi"].includes(record.mode));
    if (!ends) return void this.open.set(record.id, record);
    this.open.delete(record.id);
    this.write(record);
  }

  private write(record: InterruptRecord): void {
    for (const event of this.writer.events(record)) this.stream.write(`,\n${JSON.stringify(event)}`);
  }

  async finish(_end: LoopEnd, status: number): Promise<number> {
    for (const [id, record] of this.open) this.write(this.machine.ledger.record(id) ?? record);
    this.stream.write("\n]}\n");
    await closed(this.stream);
    return status;
  }
}

class Contract implements Watcher {
  private readonly checker: ContractChecker;
  private readonly started = performance.now();
  readonly hooks: MachineHooks;

  constructor(
    private readonly file: string,
    private readonly junit: string | undefined,
    machine: Machine,
    private readonly symbolOf: SymbolOf,
  ) {
    let text: string;
    try {
      text = readFileSync(file, "utf8");
    } catch (error) {
      throw new UserError(`${file}: the contract cannot be read: ${error instanceof Error ? error.message : String(error)}`, "contract");
    }
    this.checker = new ContractChecker(machine, parseContract(text, file));
    this.hooks = this.checker.hooks;
    machine.followInterruptFlag("told");
  }

  finish(end: LoopEnd, status: number): Promise<number> {
    const results = this.checker.finish(end, status);
    for (const line of contractLines(results, this.symbolOf)) process.stderr.write(`apicscope: ${line}\n`);
    if (this.junit !== undefined) {
      const seconds = (performance.now() - this.started) / 1000;
      try {
        writeFileSync(this.junit, junitReport(results, this.file, seconds, this.symbolOf));
      } catch (error) {
        return Promise.reject(
          new UserError(`${this.junit}: cannot be written: ${error instanceof Error ? error.message : String(error)}`, "junit"),
        );
      }
    }
    return Promise.resolve(results.some((result) => result.count > 0) ? STATUS_BROKEN_CONTRACT : status);
  }
}
