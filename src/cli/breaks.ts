// `apicscope run --break`: stops a run where a person wants to look, and tells what there is to see.
import { IcedDisassembler } from "../adapter/icedDisassembler";
import { UserError } from "../common/errors";
import { CodeBreakpoints } from "../debugger/codeBreakpoints";
import { Debugger } from "../debugger/debugger";
import { isFilterName, type FilterSpec } from "../debugger/eventFilters";
import { hex, hex64 } from "../debugger/numbers";
import { generalRegisters } from "../debugger/registerAccess";
import { recordLines, type Outcome, type Stop } from "../debugger/stops";
import type { SymbolStore } from "../debugger/symbols/table";
import { combineHooks } from "../machine/hooks";
import type { Machine } from "../machine/machine";
import type { RunEnd } from "../machine/types";

/** Interrupts of each CPU that are told. */
const recordsTold = 5;

/** Splits `WHERE: CONDITION`. A symbol may have `::` in it. */
function split(text: string): { where: string; condition: string | undefined } {
  const colon = /(?<!:):(?!:)/.exec(text);
  if (colon === null) return { where: text.trim(), condition: undefined };
  return { where: text.slice(0, colon.index).trim(), condition: text.slice(colon.index + 1).trim() };
}

/** The places and events that a run stops at. */
export class Breaks {
  private readonly session: Debugger;
  private stop: Stop | undefined;

  /** @throws UserError for an event, a symbol or a condition that there is not */
  constructor(
    texts: readonly string[],
    private readonly machine: Machine,
    symbols: SymbolStore,
  ) {
    const before = machine.hooks;
    const output = (text: string): void => void process.stderr.write(text);
    this.session = new Debugger({
      machine,
      symbols,
      disassembler: new IcedDisassembler(),
      sink: { output, serial: () => undefined, cpuStarted: () => undefined, cpuReset: () => undefined },
      clock: () => performance.now(),
    });
    machine.hooks = combineHooks(before, machine.hooks);
    const filters: FilterSpec[] = [];
    const places: Parameters<CodeBreakpoints["setFunctions"]>[0][number][] = [];
    for (const [index, text] of texts.entries()) {
      const { where, condition } = split(text);
      if (where === "") throw new UserError(`--break "${text}" names no event and no place.`, "break");
      if (isFilterName(where)) filters.push({ id: `break ${index + 1}`, filter: where, condition });
      else places.push({ name: where, condition });
    }
    this.session.filters.check(filters);
    this.session.filters.replace("launch", filters);
    // Without addresses it will never be there; else its code may be yet to come.
    for (const { verified, addresses, message } of this.session.breakpoints.setFunctions(places))
      if (!verified && addresses.length === 0) throw new UserError(`--break: ${message ?? "the place is not known"}`, "break");
  }

  /** Runs a portion of the guest. "break" when it stands where it is to stop. */
  run(instructions: number, until: number): RunEnd | { readonly kind: "break" } {
    const { machine, session } = this;
    session.lookForCode();
    const end = machine.run(instructions, until);
    const outcome = this.outcome(end);
    if (outcome?.kind === "stop") {
      this.stop = session.withBreakpointHere(outcome.stop);
      return { kind: "break" };
    }
    // Passed, or a hook's own stop: the guest goes on.
    return end.kind === "breakpoint" || end.kind === "stop" ? { kind: "limit" } : end;
  }

  private outcome(end: RunEnd): Outcome {
    switch (end.kind) {
      case "breakpoint":
        return this.session.arrive(end.cpu);
      case "reset":
        // The run itself sees to it.
        return this.session.takePending();
      case "limit":
      case "stop":
      case "power-off":
      case "exit":
      case "triple-fault":
      case "dead":
        return this.session.settle(end);
    }
  }

  /** Where the run stopped and what all CPUs were doing, for standard error. */
  report(): string[] {
    const { machine, session, stop } = this;
    if (stop === undefined) return [];
    const { symbolOf } = session;
    const lines = [`stopped after ${machine.instructions()} instructions: ${stop.text}`];
    lines.push(...session.describeStop(stop).map((line) => `  ${line}`));
    lines.push(...session.report().split("\n"));
    for (const cpu of machine.cpus) {
      const registers = generalRegisters.map(([name, number]) => `${name} ${hex64(cpu.state.gpr(number))}`);
      lines.push(`CPU ${cpu.index}: rip ${hex64(cpu.state.rip)} rflags ${hex(cpu.state.rflags, 8)} cr3 ${hex(cpu.state.cr3, 8)}`);
      for (let at = 0; at < registers.length; at += 4) lines.push(`  ${registers.slice(at, at + 4).join("  ")}`);
      const { pendingVectors, inServiceVectors, ppr } = cpu.apic;
      const list = (vectors: readonly number[]): string => `{${vectors.map((vector) => hex(vector, 2)).join(", ")}}`;
      lines.push(`  local APIC: IRR ${list(pendingVectors)}, ISR ${list(inServiceVectors)}, PPR ${hex(ppr, 2)}`);
      for (const record of machine.ledger.records({ target: cpu.index, limit: recordsTold }))
        lines.push(...recordLines(record, symbolOf).map((line, index) => `  ${index === 0 ? "interrupt" : "         "} ${line}`));
    }
    return lines;
  }
}
