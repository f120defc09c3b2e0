import type { DeliveryMode, InterruptRecord, InterruptSource, Stage } from "../../apic/events";
import { modes, sources, stages } from "../../apic/recordStore";
import type { RecordQuery } from "../../apic/recordQueries";
import { whyLines, whyNotDelivered } from "../diagnosis/why";
import { hex } from "../numbers";
import { recordLines } from "../stops";
import { formatOf, RecordExport } from "../records/recordExport";
import type { Command, CommandArguments, CommandContext } from "./command";
import { recordArgument } from "./recordArgument";

const cpuWords = ({ session }: CommandContext): string[] => session.machine.cpus.map((cpu) => `cpu${cpu.index}`);

const why: Command = {
  name: "why",
  usage: "VECTOR [cpuN]",
  summary: "why a vector is not delivered to a CPU: the first blocker, who caused it, what clears it",
  details:
    "Walks the way of the interrupt: I/O APIC pin and redirection entry, LVT entry, the last send, IA32_APIC_BASE, SVR, IRR, PPR, the CPU's state, IF, " +
    "the interrupt shadow, the IDT gate and its stack.",
  complete: (words, context) => (words.length > 1 ? cpuWords(context) : context.cpu.apic.pendingVectors.map((vector) => hex(vector, 2))),
  run: (args, { session, cpu }) => {
    const vector = args.vector();
    const report = whyNotDelivered(session, args.optionalCpu() ?? cpu, vector);
    return { text: whyLines(report, session.symbols).join("\n"), data: report };
  },
};

/** One record in a line: "12  IPI vector 0xf0, CPU 0 -> CPU 1  send@1200 accept@1200 deliver@1201". */
function recordLine(record: InterruptRecord, { session }: CommandContext): string {
  const life = record.stages.map((stamp) => `${stamp.stage}@${stamp.instruction}`).join(" ");
  const end = record.dropReason === undefined ? "" : `: ${record.dropReason}`;
  return `${String(record.id).padStart(7)}  ${session.names.record(record).padEnd(44)}  ${life}${end}`;
}

const keywords = ["last", "from", "to", ...sources, ...modes, ...stages] as const;

/** Takes the words that choose records, to the end of the line. `limit` holds where none is given; undefined: no limit. */
function recordQuery(args: CommandArguments, limit: number | undefined): RecordQuery {
  const query: { -readonly [K in keyof RecordQuery]: RecordQuery[K] } = limit === undefined ? {} : { limit };
  for (let word = args.peek(); word !== undefined; word = args.peek()) {
    const cpu = args.optionalCpu();
    const name = word.toLowerCase();
    if (cpu !== undefined) query.cpu = cpu.index;
    else if (args.accept("vector")) query.vector = args.vector();
    else if (args.accept("last")) query.limit = Number(args.number("the number of records", 1n, 1_000_000n));
    else if (args.accept("from")) query.from = Number(args.number("the instruction", 0n, 1n << 53n));
    else if (args.accept("to")) query.to = Number(args.number("the instruction", 0n, 1n << 53n));
    else if (sources.some((source) => source === name)) query.source = args.word("source") as InterruptSource;
    else if (modes.some((mode) => mode === name)) query.mode = args.word("mode") as DeliveryMode;
    else if (stages.some((stage) => stage === name)) query.stage = args.word("stage") as Stage;
    else query.vector = args.vector();
  }
  return query;
}

const queryUsage = "[vector V] [cpuN] [SOURCE] [MODE] [STAGE] [from INSTRUCTION] [to INSTRUCTION] [last N]";
const queryDetails = `SOURCE is one of ${sources.join(", ")}; MODE one of ${modes.join(", ")}; STAGE, the stage that was reached, one of ${stages.join(", ")}.`;

const records: Command = {
  name: "records",
  usage: queryUsage,
  summary: "the interrupts so far, oldest first: the last 20, or those that match",
  details: queryDetails,
  complete: (_words, context) => ["vector", ...keywords, ...cpuWords(context)],
  run: (args, context) => {
    const found = context.session.machine.ledger.records(recordQuery(args, 20));
    const text = found.length === 0 ? "no interrupts match" : found.map((record) => recordLine(record, context)).join("\n");
    return { text, data: found };
  },
};

const exportRecords: Command = {
  name: "export",
  takesFile: true,
  usage: `FILE ${queryUsage}`,
  summary: "writes interrupts to a file: a trace for Perfetto where its name ends in .json, else lines of JSON",
  details: `Without more, all that are kept. ${queryDetails}`,
  complete: (words, context) => (words.length > 1 ? ["vector", ...keywords, ...cpuWords(context)] : []),
  run: (args, { session, writeFile }) => {
    const file = args.word("the file").replace(/^(["'])(.*)\1$/, "$2");
    if (writeFile === undefined) throw args.mistake("files cannot be written from here");
    const exporter = new RecordExport(session, formatOf(file), recordQuery(args, undefined));
    let count = 0;
    writeFile(file, function* () {
      for (const page of exporter.pages()) {
        count += page.records;
        yield page.text;
      }
    });
    return { text: `${count} interrupts written to ${file}` };
  },
};

const record: Command = {
  name: "record",
  usage: "ID",
  summary: "the whole life of one interrupt, stage by stage",
  run: (args, { session }) => {
    const found = recordArgument(args, session, "record");
    const senderStack = session.senderLines(found);
    const lines = [session.names.record(found), ...recordLines(found, session.symbolOf, senderStack)];
    return { text: lines.join("\n"), data: { ...found, ...(senderStack.length === 0 ? {} : { senderStack }) } };
  },
};

const pins: Command = {
  name: "pins",
  usage: "",
  summary: "the I/O APIC's pins that are set up or asserted, and where each ends",
  run: (_args, { session }) => {
    const { ioApic } = session.machine;
    const shown = ioApic.pins().filter((pin) => !pin.masked || pin.asserted || (pin.raw & 0xffn) !== 0n);
    const lines = shown.map(
      ({ pin, text, asserted, by }) => `${String(pin).padStart(4)}  ${text}${asserted ? `, asserted by ${by.join(", ")}` : ""}`,
    );
    return { text: lines.length === 0 ? "no pin of the I/O APIC is set up" : lines.join("\n"), data: shown };
  },
};

export const interruptCommands: readonly Command[] = [why, records, record, exportRecords, pins];
