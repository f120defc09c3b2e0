/**
 * One Linux boot for bench/overheads.ts, in a process of its own: runs to the instruction that it is told, says what that cost, and waits for the next message. Bundled
 * like what ships: transpiled one by one, modules reach each other through getters.
 */
import { readFileSync } from "node:fs";
import { IcedDisassembler } from "../src/adapter/icedDisassembler";
import { memoryProvider } from "../src/adapter/memoryProvider";
import { Debugger } from "../src/debugger/debugger";
import { SymbolStore } from "../src/debugger/symbols/table";
import { Machine } from "../src/machine/machine";
import type { LinuxFiles } from "./linux";

export type Variant = "plain" | "debugger" | "breakpoint";

/** What the process is told: to run to an instruction, or to finish. */
export type Order = { readonly until: number } | "finish";

/** Milliseconds of processor time, all threads, that a stretch took. */
export interface Stretch {
  readonly processor: number;
}

/** What there is to say at the end. */
export interface Ending {
  readonly hash: string;
  /** MiB, at most, of the process. */
  readonly resident: number;
  /** With a debugger: moments that it keeps, the content of pages in them (MiB), and what a step back took (milliseconds). */
  readonly past: { readonly moments: number; readonly kept: number; readonly stepBack: number } | undefined;
}

const MIB = 2 ** 20;
/** Instructions of one call of the machine. */
const PORTION = 1_000_000;

function linuxMachine(files: LinuxFiles): Machine {
  const machine = Machine.create({ cpus: files.cpus, memory: files.memory * MIB, provider: memoryProvider() });
  machine.boot({
    image: readFileSync(files.kernel),
    imageName: "vmlinuz",
    cmdline: files.commandLine,
    initrd: { bytes: readFileSync(files.initramfs), name: "initramfs" },
  });
  return machine;
}

/** Milliseconds of processor time so far: the process waits while others have their turns. */
function processorTime(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/**
 * Milliseconds that the guest has been run: the clock that a debugger goes by has to stand still while others have their turns. Processor time would too, but asking for it takes 40 us
 * where a process has ten threads, and a debugger asks a thousand times.
 */
class RunClock {
  private before = 0;
  private since: number | undefined;

  readonly now = (): number => this.before + (this.since === undefined ? 0 : performance.now() - this.since);

  start(): void {
    this.since = performance.now();
  }

  stop(): void {
    this.before = this.now();
    this.since = undefined;
  }
}

/** Attaches a debugger, and lets it run. */
function attach(machine: Machine, variant: Variant, clock: RunClock): Debugger {
  const sink = { output: () => undefined, serial: () => undefined, cpuStarted: () => undefined, cpuReset: () => undefined };
  const session = new Debugger({
    machine,
    symbols: new SymbolStore(),
    disassembler: new IcedDisassembler(),
    sink,
    clock: clock.now,
  });
  if (variant === "breakpoint") {
    // No timer or device of the guest has this vector on this CPU.
    session.filters.replace("client", [{ id: "1", filter: "interrupt.deliver", condition: "vector == 0xf7 && cpu == 1" }]);
  }
  session.resume();
  return session;
}

/** Stops, goes back by one step, and says how long that took. */
function stepBack(session: Debugger): number {
  session.pause(0);
  while (session.isRunning) session.advance(PORTION);
  const { steps } = session.cpu(0);
  const begun = performance.now();
  session.goBack({ kind: "step", cpu: 0, unit: "instruction" });
  while (session.isRunning) session.advance(PORTION);
  if (session.cpu(0).steps !== steps - 1) throw new Error("a step back did not go back by one step");
  return performance.now() - begun;
}

function main(files: LinuxFiles, variant: Variant): void {
  const machine = linuxMachine(files);
  const clock = new RunClock();
  const session = variant === "plain" ? undefined : attach(machine, variant, clock);
  const advance = (most: number): boolean =>
    session === undefined ? machine.run(most).kind === "limit" : session.advance(most) === undefined;
  const run = (until: number): Stretch => {
    const begun = processorTime();
    clock.start();
    // All variants stop at the same instruction, so that they end in the same state.
    for (let left = until - machine.instructions(); left > 0; left = until - machine.instructions())
      if (!advance(Math.min(PORTION, left))) throw new Error(`the guest stopped before instruction ${until}`);
    clock.stop();
    return { processor: processorTime() - begun };
  };
  const finish = (): Ending => {
    const resident = process.resourceUsage().maxRSS / 1024;
    const hash = machine.stateHash();
    const { list, bytes } = machine.snapshots;
    const past = session && { moments: list.length, kept: bytes / MIB, stepBack: stepBack(session) };
    return { hash, resident, past };
  };
  process.on("message", (order: Order) => {
    process.send?.(order === "finish" ? finish() : run(order.until));
    if (order === "finish") process.disconnect();
  });
}

main(JSON.parse(process.argv[2]) as LinuxFiles, process.argv[3] as Variant);
