import { Portions } from "../common/portions";
import type { Machine } from "../machine/machine";
import { Pace } from "../machine/pace";
import type { RunEnd } from "../machine/types";
import type { Breaks } from "./breaks";
import type { Replay } from "./replay";
import type { RunOptions } from "./runOptions";
import { type InputKind, kindOfInput, StandardInput } from "./standardInput";

/** Guest instructions between two looks at standard input and the time limit: at first and at least, and at most. */
const PORTION = 2_000_000;
const LONGEST_PORTION = 16_000_000;
/** What they are to take. */
const PORTION_MILLISECONDS = 4;
/** Milliseconds from the start after which what is no terminal is listened to; at once where the guest waits for it. */
const LISTEN_AFTER = 200;
/** The guest's console. */
const CONSOLE = "uart0";

/** How a run ended: as the machine has it, or because the person wanted it. */
export type LoopEnd = RunEnd | { readonly kind: "quit" | "break" };

/**
 * Runs a machine to its end, to a limit or until the person has had enough: by standard input, or by a recording. `portionDone` is called before it looks at what else there is, or waits.
 */
export function runToEnd(
  machine: Machine,
  options: RunOptions,
  replay: Replay | undefined,
  breaks: Breaks | undefined,
  portionDone: () => void,
): Promise<LoopEnd> {
  const from: Runner = breaks ?? machine;
  const runner: Runner = {
    run: (instructions, until) => {
      const end = from.run(instructions, until);
      portionDone();
      return end;
    },
  };
  return replay === undefined ? new LiveRun(machine, runner, options).run() : runReplay(machine, runner, options, replay);
}

/** What runs portions of the guest: the machine, or what stops it at breakpoints. */
interface Runner {
  run(instructions: number, until: number): LoopEnd;
}

const breathe = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** A run with what comes from standard input. */
class LiveRun {
  private input: StandardInput | undefined;
  /** Whether there is anything to hear, and from whom. */
  private readonly inputKind: InputKind;
  private readonly pace: Pace | undefined;
  private readonly started = performance.now();
  private readonly portions = new Portions(PORTION_MILLISECONDS, PORTION, PORTION, LONGEST_PORTION);
  private quit = false;

  constructor(
    private readonly machine: Machine,
    private readonly runner: Runner,
    private readonly options: RunOptions,
  ) {
    this.inputKind = options.serial === "stdio" ? kindOfInput() : "nothing";
    const terminal = this.inputKind === "terminal";
    // Others are heard later: Node's streams take 5 ms, which a guest that is done by then need not pay.
    if (terminal) this.listen();
    const paced = options.pace ?? terminal;
    this.pace = paced ? new Pace(() => performance.now(), machine.now()) : undefined;
  }

  /** Has the guest hear standard input from now on, if it is to and there is something to hear. */
  private listen(): void {
    if (this.inputKind === "nothing" || this.input !== undefined) return;
    this.input = new StandardInput({
      bytes: (bytes) => this.machine.deviceInput(CONSOLE, bytes),
      quit: () => void (this.quit = true),
      save: () => void this.save(),
      say: (text) => void process.stderr.write(text.replaceAll("\n", "\r\n")),
    });
  }

  private async save(): Promise<void> {
    const file = this.options.saveState;
    if (file !== undefined) (await import("../adapter/stateFiles")).saveState(this.machine, file);
    process.stderr.write(file === undefined ? "\r\napicscope: give --save-state FILE\r\n" : `\r\napicscope: saved ${file}\r\n`);
  }

  async run(): Promise<LoopEnd> {
    try {
      for (let breathed = this.started; ;) {
        const end = await this.turn();
        if (end !== undefined) return end;
        const now = performance.now();
        if (now - this.started >= LISTEN_AFTER) this.listen();
        // The longest portion may take a fraction of what portions are to take.
        if (now - breathed < PORTION_MILLISECONDS / 2) continue;
        // Lets input and signals in.
        await breathe();
        breathed = performance.now();
      }
    } finally {
      this.input?.close();
    }
  }

  /** Milliseconds until --timeout. */
  private get timeLeft(): number {
    const { timeout } = this.options;
    return timeout === undefined ? Infinity : timeout * 1000 - (performance.now() - this.started);
  }

  /** Runs a portion, or waits. */
  private async turn(): Promise<LoopEnd | undefined> {
    const { machine, options, pace } = this;
    if (this.quit) return { kind: "quit" };
    const left = options.maxInstructions - machine.instructions();
    if (left <= 0 || this.timeLeft <= 0) return { kind: "limit" };
    const until = pace?.until(machine.now()) ?? Infinity;
    if (pace !== undefined && until <= machine.now()) return this.rest(pace.wait(machine.now()));
    const start = performance.now();
    const end = this.runner.run(Math.min(this.portions.instructions, left), until);
    this.portions.took(performance.now() - start);
    switch (end.kind) {
      case "limit":
        return undefined;
      case "reset":
        if (!options.reboot) return end;
        machine.reset();
        return undefined;
      case "dead":
        this.listen();
        return this.input?.open === true && machine.awaitsInput(CONSOLE) ? this.rest(Infinity) : end;
      default:
        return end;
    }
  }

  /** Waits for input, at most so many milliseconds. */
  private async rest(milliseconds: number): Promise<undefined> {
    const most = Math.min(milliseconds, this.timeLeft);
    if (this.input !== undefined) await this.input.wait(most);
    else await new Promise((resolve) => setTimeout(resolve, most));
  }
}

/** A run by a recording: nothing comes from standard input, and what the person did is done where it was done. */
async function runReplay(machine: Machine, runner: Runner, options: RunOptions, replay: Replay): Promise<LoopEnd> {
  const started = performance.now();
  for (;;) {
    const left = Math.min(options.maxInstructions - machine.instructions(), replay.stepsLeft);
    const overTime = options.timeout !== undefined && performance.now() - started >= options.timeout * 1000;
    if (replay.ending === "quit") return { kind: "quit" };
    if (replay.ending === "limit" || overTime || options.maxInstructions <= machine.instructions()) return { kind: "limit" };
    // Where the recording ended while all CPUs idled, only time is left to go by.
    const end = runner.run(Math.min(PORTION, Math.max(left, 1)), replay.until);
    if (end.kind === "reset" && machine.inputs.upcoming !== undefined) continue;
    if (end.kind === "dead" && replay.goesOn()) continue;
    if (end.kind !== "limit") return end;
    await breathe();
  }
}
