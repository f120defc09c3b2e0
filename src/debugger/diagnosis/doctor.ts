import type { InterruptRecord } from "../../apic/events";
import type { ExceptionLog, LoggedException } from "../exceptionLog";
import { describeException } from "../exceptionLog";
import { hex } from "../numbers";
import type { SymbolStore } from "../symbols/table";
import type { DebugCpu, DebugMachine } from "../target";
import { activityText } from "../words";
import { causeText, placeText } from "./causes";

/** What the bring-up of a CPU came to. */
export interface CpuDiagnosis {
  readonly cpu: number;
  /** One sentence. */
  readonly verdict: string;
  /** How it came to that, oldest first. */
  readonly history: readonly string[];
}

export interface BringUpReport {
  readonly cpus: readonly CpuDiagnosis[];
  /** INIT and start-up IPIs that reached nobody. */
  readonly lost: readonly string[];
}

/** Records looked at. */
const maximumRecords = 4096;

/**
 * Looks at how the CPUs were brought up: the INIT and start-up IPIs to each, what became of them, the first exception after a CPU started, and the chain of exceptions
 * behind a triple fault (SDM vol. 3, "Multiple-Processor (MP) Initialization").
 */
export function diagnoseBringUp(machine: DebugMachine, exceptions: ExceptionLog, symbols: SymbolStore): BringUpReport {
  const sent = (["init", "sipi"] as const)
    .flatMap((mode) => machine.ledger.records({ mode, limit: maximumRecords }))
    .sort((a, b) => a.id - b.id);
  const lost = sent.filter((record) => record.dst < 0).map((record) => `${lostText(record)} (sent ${senderText(record, symbols)})`);
  const cpus = machine.cpus.map((cpu) => diagnose(cpu, sent, exceptions.of(cpu.index), symbols));
  return { cpus, lost };
}

function lostText({ mode, dropReason }: InterruptRecord): string {
  return `${mode === "init" ? "INIT" : "SIPI"}: ${dropReason ?? "reached nobody"}`;
}

function senderText(record: InterruptRecord, symbols: SymbolStore): string {
  const { instruction, cpu, rip } = record.stages[0];
  return causeText(symbols, { instruction, cpu, rip });
}

function diagnose(
  cpu: DebugCpu,
  sent: readonly InterruptRecord[],
  exceptions: readonly LoggedException[],
  symbols: SymbolStore,
): CpuDiagnosis {
  const own = sent.filter((record) => record.dst === cpu.apicId);
  const history: { readonly at: number; readonly text: string }[] = own.map((record) => ({
    at: record.stages[0].instruction,
    text: `${ipiText(record)}, sent ${senderText(record, symbols)}`,
  }));
  const started = own.filter((record) => record.mode === "sipi" && record.stages.some((stamp) => stamp.stage === "deliver")).at(-1);
  const startedAt = started?.stages.find((stamp) => stamp.stage === "deliver")?.instruction ?? (cpu.state.bootstrap ? 0 : Infinity);
  const after = exceptions.filter((logged) => logged.instruction >= startedAt);
  const symbolOf = (address: bigint): string | undefined => symbols.describe(address);
  for (const { event, instruction } of after)
    history.push({ at: instruction, text: `${describeException(event, symbolOf)}, at instruction ${instruction}` });
  history.sort((a, b) => a.at - b.at);
  return {
    cpu: cpu.index,
    verdict: verdict(cpu, own, started, after, symbols),
    history: history.map(({ at, text }) => `instruction ${at}: ${text}`),
  };
}

function ipiText(record: InterruptRecord): string {
  const what = record.mode === "init" ? "INIT" : `SIPI to page ${hex(record.vector, 2)} (${hex(record.vector * 4096, 5)})`;
  if (record.dropReason !== undefined) return `${what}, ${record.dropReason.replace(/^SIPI ignored: /, "ignored: ")}`;
  return `${what}, ${record.stages.some((stamp) => stamp.stage === "deliver") ? "taken" : "latched, not taken yet"}`;
}

function verdict(
  cpu: DebugCpu,
  own: readonly InterruptRecord[],
  started: InterruptRecord | undefined,
  after: readonly LoggedException[],
  symbols: SymbolStore,
): string {
  const name = `CPU ${cpu.index} (APIC id ${cpu.apicId})`;
  const where = placeText(symbols, cpu.linearRip());
  const first = after.at(0);
  const firstText =
    first === undefined ? "" : `; its first exception was ${describeException(first.event, (address) => symbols.describe(address))}`;
  switch (cpu.activity) {
    case "wait-for-SIPI": {
      const inits = own.filter((record) => record.mode === "init" && record.dropReason === undefined).length;
      const deasserts = own.filter((record) => record.dropReason?.includes("de-assert") === true).length;
      if (inits > 0) return `${name} took INIT and waits: no SIPI came after it`;
      if (deasserts > 0) return `${name} never started: only an INIT level de-assert was sent, which sends nothing`;
      return own.length === 0
        ? `${name} never started: no INIT or SIPI was sent to it`
        : `${name} never started: none of its SIPIs was accepted`;
    }
    case "shutdown":
      return `${name} shut down by a triple fault at ${where}${chainText(after, symbols)}`;
    case "running":
    case "halted":
    case "mwait": {
      const how = started === undefined ? "runs since power-on" : `started at page ${hex(started.vector, 2)}`;
      return `${name} ${how}, ${activityText(cpu.activity)} at ${where}${firstText}`;
    }
  }
}

/** The exceptions that became a triple fault: the last one, what its delivery raised, and what the double fault's delivery raised. */
function chainText(exceptions: readonly LoggedException[], symbols: SymbolStore): string {
  const last = exceptions.at(-1);
  if (last === undefined) return "";
  // All of one chain come without an instruction in between.
  const chain = exceptions.filter((logged) => logged.instruction === last.instruction);
  return `: ${chain.map(({ event }) => describeException(event, (address) => symbols.describe(address))).join(", then ")}, then the delivery of that failed too`;
}

/** A report as lines of text. */
export function bringUpLines({ cpus, lost }: BringUpReport): string[] {
  const lines: string[] = [];
  for (const { verdict: text, history } of cpus) lines.push(text, ...history.map((line) => `    ${line}`));
  for (const text of lost) lines.push(`sent to nobody: ${text}`);
  return lines;
}
