import { TR } from "../../cpu/segmentRegisters";
import { checkGate, readGate, type Gate } from "../inspect/gates";
import { gateKind } from "../inspect/idt";
import { hex, hex64 } from "../numbers";
import type { DebugCpu } from "../target";
import { littleEndian } from "../unwind/frame";
import { placeText } from "../diagnosis/causes";
import { walkPages } from "../inspect/pageTables";
import type { Command, CommandContext } from "./command";

/** Gates that follow each other at a constant distance into one symbol: a table of stubs. */
interface GateRun {
  readonly first: Gate;
  last: Gate;
  step: bigint;
}

function gateName({ vector }: Gate): string {
  return hex(vector, 2);
}

function gateText({ first, last, step }: GateRun, { session }: CommandContext): string {
  const parts = [gateKind(first.type), `DPL ${first.dpl}`];
  if (!first.present) parts.push("not present");
  if (first.ist > 0) parts.push(`IST ${first.ist}`);
  const name = first === last ? gateName(first) : `${gateName(first)}-${gateName(last)}`;
  const each = first === last ? "" : `, ${hex(step)} apart`;
  return `${name.padEnd(9)}  ${hex(first.selector, 4)}:${placeText(session.symbols, first.offset)}  ${parts.join(", ")}${each}`;
}

/** Whether `gate` goes on where `run` ends. */
function continues(run: GateRun, gate: Gate, { session }: CommandContext): boolean {
  const { first, last, step } = run;
  const same = first.selector === gate.selector && first.type === gate.type && first.dpl === gate.dpl;
  if (!same || first.present !== gate.present || first.ist !== gate.ist || gate.vector !== last.vector + 1) return false;
  if (session.symbols.lookup(gate.offset)?.symbol !== session.symbols.lookup(first.offset)?.symbol) return false;
  return first === last || gate.offset - last.offset === step;
}

function gateLines(cpu: DebugCpu, context: CommandContext): string[] {
  const runs: GateRun[] = [];
  for (let vector = 0; vector < 256; vector++) {
    const gate = readGate(cpu, vector);
    if (gate === "outside") break;
    if (gate === "unreadable") return [...runs.map((run) => gateText(run, context)), `${hex(vector, 2)}  <cannot be read>`];
    if (gate.raw === 0n) continue;
    const run = runs.at(-1);
    if (run === undefined || !continues(run, gate, context)) {
      runs.push({ first: gate, last: gate, step: 0n });
      continue;
    }
    run.step = gate.offset - run.last.offset;
    run.last = gate;
  }
  return runs.map((run) => gateText(run, context));
}

function oneGate(cpu: DebugCpu, vector: number, context: CommandContext): string {
  const gate = readGate(cpu, vector);
  if (gate === "outside") return `${hex(vector, 2)}  outside the IDT's limit`;
  if (gate === "unreadable") return `${hex(vector, 2)}  <cannot be read>`;
  return gate.raw === 0n ? `${hex(vector, 2)}  empty` : gateText({ first: gate, last: gate, step: 0n }, context);
}

const idt: Command = {
  name: "idt",
  usage: "[VECTOR] [cpuN]",
  summary: "the IDT of a CPU with its handlers, or one gate and whether an interrupt could enter it",
  run: (args, context) => {
    const next = args.peek();
    const one = next === undefined || /^cpu\d/i.test(next) ? undefined : args.vector();
    const cpu = args.optionalCpu() ?? context.cpu;
    const { idtrBase, idtrLimit } = cpu.state;
    const head = `IDT of CPU ${cpu.index} at ${hex64(idtrBase)}, limit ${hex(idtrLimit, 4)}`;
    if (one !== undefined) {
      const fault = checkGate(cpu, one);
      const verdict =
        fault === undefined ? "an interrupt can enter it" : `an interrupt cannot enter it: ${fault.text} (${fault.exception})`;
      return { text: `${head}\n${oneGate(cpu, one, context)}\n${verdict}` };
    }
    return { text: [head, ...gateLines(cpu, context)].join("\n") };
  },
};

const tss: Command = {
  name: "tss",
  usage: "[cpuN]",
  summary: "the task-state segment of a CPU: the stacks of privilege levels and of the IST",
  run: (args, context) => {
    const cpu = args.optionalCpu() ?? context.cpu;
    const { state } = cpu;
    const base = state.segBase(TR);
    const head = `TSS of CPU ${cpu.index}: selector ${hex(state.selector[TR], 4)}, ${hex64(base)}, limit ${hex(state.limit[TR] >>> 0, 4)}`;
    const field = (name: string, offset: number, bytes: number): string => {
      const read = cpu.readMemory(BigInt.asUintN(64, base + BigInt(offset)), bytes);
      const value = read === undefined || read.length < bytes ? "<cannot be read>" : hex(littleEndian(read), bytes * 2);
      return `  ${name.padEnd(6)}${value}`;
    };
    if (!state.longMode) {
      const lines = [0, 1, 2].flatMap((level) => [field(`ESP${level}`, 4 + level * 8, 4), field(`SS${level}`, 8 + level * 8, 2)]);
      return { text: [head, ...lines, field("CR3", 28, 4)].join("\n") };
    }
    const stacks = [0, 1, 2].map((level) => field(`RSP${level}`, 4 + level * 8, 8));
    const ists = [1, 2, 3, 4, 5, 6, 7].map((ist) => field(`IST${ist}`, 0x24 + (ist - 1) * 8, 8));
    return { text: [head, ...stacks, ...ists].join("\n") };
  },
};

const pages: Command = {
  name: "pages",
  usage: "ADDRESS [cpuN]",
  summary: "the page-table walk of a linear address, entry by entry",
  run: (args, context) => {
    const address = args.number("the address", 0n, (1n << 64n) - 1n);
    const walk = walkPages(args.optionalCpu() ?? context.cpu, address);
    return { text: walk.lines.join("\n"), data: walk };
  },
};

export const descriptorCommands: readonly Command[] = [idt, tss, pages];
