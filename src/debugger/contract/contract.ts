import { isInterruptFrame } from "../../machine/handlerFrames";
import type { MachineHooks } from "../../machine/types";
import { LintList } from "../lints/lint";
import { LintWatch } from "../lints/lintWatch";
import type { DebugMachine } from "../target";
import type { ParsedStatement, Statement, Violation } from "./statement";

/** Violations of one statement that are kept; all are counted. */
const keptViolations = 20;

/** What came of one statement. */
export interface StatementResult {
  readonly text: string;
  readonly line: number;
  readonly violations: readonly Violation[];
  /** All of them, those that are not kept among them. */
  readonly count: number;
}

interface Running {
  readonly parsed: ParsedStatement;
  readonly statement: Statement;
  readonly violations: Violation[];
  count: number;
}

/** Checks a contract while a guest runs. Its hooks are put on the machine by the owner. */
export class ContractChecker {
  private readonly running: readonly Running[];
  private readonly lints: LintList;
  private readonly watch: LintWatch;
  private readonly decoder = new TextDecoder();
  private results: readonly StatementResult[] | undefined;

  constructor(
    private readonly machine: DebugMachine,
    parsed: readonly ParsedStatement[],
  ) {
    const context = {
      cpus: machine.cpus.length,
      instructions: () => machine.instructions(),
      now: () => machine.now(),
      retired: (cpu: number) => machine.cpus[cpu].retired,
      record: (id: number) => machine.ledger.record(id),
    };
    this.running = parsed.map((one): Running => {
      const violations: Violation[] = [];
      const running: Running = {
        parsed: one,
        violations,
        count: 0,
        statement: one.start(context, (violation) => {
          running.count++;
          if (violations.length < keptViolations) violations.push(violation);
        }),
      };
      return running;
    });
    this.lints = new LintList(machine, (lint, isNew) => {
      if (isNew) this.each((statement) => statement.lint?.(lint));
    });
    this.watch = new LintWatch(machine, this.lints);
  }

  /** What the machine is to tell; the owner may put its own around them. */
  readonly hooks: MachineHooks = {
    interrupt: (event) => {
      this.watch.interrupt(event);
      this.each((statement) => statement.interrupt?.(event));
    },
    storm: (storm) => this.each((statement) => statement.storm?.(storm)),
    misuse: (misuse) => this.watch.misuse(misuse),
    exception: (cpu, event) => {
      this.watch.delivering(cpu, event);
      this.each((statement) => statement.exception?.(cpu, event));
    },
    handlerEntered: (cpu, frame) => {
      this.watch.handlerEntered(cpu, frame);
      const depth = this.machine.frames.of(cpu).filter(isInterruptFrame).length;
      this.each((statement) => statement.handlerEntered?.(cpu, frame, depth));
    },
    handlerReturned: (cpu, frame) => this.each((statement) => statement.handlerReturned?.(cpu, frame)),
    interruptFlag: (cpu, enabled) => this.each((statement) => statement.interruptFlag?.(cpu, enabled)),
    cpuStarted: (cpu) => this.each((statement) => statement.cpuStarted?.(cpu)),
    serial: (bytes) => {
      const text = this.decoder.decode(bytes, { stream: true });
      this.each((statement) => statement.serial?.(text));
    },
  };

  private each(tell: (statement: Statement) => void): void {
    for (const { statement } of this.running) tell(statement);
  }

  /** The run is over. Returns what came of each statement; further calls return the same. */
  finish(end: { readonly kind: string }, exitStatus: number): readonly StatementResult[] {
    if (this.results === undefined) {
      this.watch.poll();
      this.each((statement) => statement.finish?.(end, exitStatus));
      this.results = this.running.map(({ parsed, violations, count }) => ({ text: parsed.text, line: parsed.line, violations, count }));
    }
    return this.results;
  }
}
