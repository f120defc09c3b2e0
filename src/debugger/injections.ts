import type { InterruptRecord } from "../apic/events";
import { UserError } from "../machine/errors";
import type { MachineInjection } from "../machine/types";
import { hex } from "./numbers";
import type { DebugMachine } from "./target";

/** An interrupt that the person sends. */
export type InjectionRequest = MachineInjection;

/** Injections that may wait for their instruction at once. */
const maximumWaiting = 10_000;

export function injectionText(request: InjectionRequest): string {
  switch (request.kind) {
    case "message": {
      const { mode, vector, cpu } = request;
      const what =
        mode === "fixed" ? `vector ${hex(vector, 2)}` : mode === "sipi" ? `SIPI at ${hex(vector * 4096, 5)}` : mode.toUpperCase();
      return `${what} to CPU ${cpu}`;
    }
    case "msi":
      return `MSI ${hex(request.data)} to ${hex(request.address)}`;
    case "pin":
      return `I/O APIC pin ${request.pin} ${request.level}`;
    case "spurious":
      return `spurious interrupt to CPU ${request.cpu}`;
  }
}

/** What the person injects, now or when the machine reaches a count of instructions. */
export class Injections {
  private waiting: { readonly at: number; readonly since: number; readonly request: InjectionRequest }[] = [];

  constructor(private readonly machine: DebugMachine) {}

  /**
   * Sends `request` at once, or at the instruction count `at`. Returns what came of it, in words.
   * Throws a {@link UserError} for a CPU that there is not, a vector that cannot be, or a count that has passed.
   */
  add(request: InjectionRequest, at?: number): string {
    this.check(request);
    if (at === undefined) return this.send(request);
    const now = this.machine.instructions();
    if (at < now) throw new UserError(`Instruction ${at} has passed: the machine stands at ${now}.`, "at");
    if (this.waiting.length >= maximumWaiting) throw new UserError(`At most ${maximumWaiting} injections can wait.`, "at");
    this.waiting.push({ at, since: now, request });
    this.waiting.sort((a, b) => a.at - b.at);
    return `waits for instruction ${at}`;
  }

  private check(request: InjectionRequest): void {
    const { cpus } = this.machine;
    if ((request.kind === "message" || request.kind === "spurious") && !Object.hasOwn(cpus, request.cpu))
      throw new UserError(`There is no CPU ${request.cpu}; the machine has ${cpus.length}.`, "cpu");
    if (request.kind === "message" && request.mode === "fixed" && request.vector < 16)
      throw new UserError(`Vector ${hex(request.vector, 2)} is below 16: local APICs refuse it.`, "vector");
  }

  /** The instruction at which the next one is due, and at which it was asked for; undefined when none waits. */
  get next(): { readonly at: number; readonly since: number } | undefined {
    return this.waiting.at(0);
  }

  /** Instructions until the next one is due; Infinity when none waits. */
  get toNext(): number {
    return this.waiting.length === 0 ? Infinity : Math.max(0, this.waiting[0].at - this.machine.instructions());
  }

  /** Sends what is due, and returns what came of it. */
  sendDue(): string[] {
    const lines: string[] = [];
    while (this.waiting.length > 0 && this.toNext === 0) {
      const [{ request }] = this.waiting.splice(0, 1);
      lines.push(`${injectionText(request)}: ${this.send(request)}`);
    }
    return lines;
  }

  private send(request: InjectionRequest): string {
    const { ledger } = this.machine;
    const before = ledger.lastId;
    this.machine.inject(request);
    if (request.kind === "spurious") return "INTR raised and taken back";
    const records: InterruptRecord[] = [];
    for (let id = before + 1; id <= ledger.lastId; id++) {
      const record = ledger.record(id);
      if (record !== undefined) records.push(record);
    }
    if (records.length === 0) return "nothing was sent";
    return records
      .map(({ id, stages, dropReason, coalescedInto }) => {
        if (dropReason !== undefined) return `interrupt ${id} dropped: ${dropReason}`;
        if (coalescedInto !== undefined) return `interrupt ${id} accepted, coalesced with interrupt ${coalescedInto}`;
        return `interrupt ${id} ${stages[stages.length - 1].stage === "send" ? "sent" : "accepted"}`;
      })
      .join("; ");
  }
}
