import { UserError } from "../../machine/errors";
import { blockText } from "../explain/blockText";
import { pathLines, recordPath } from "../explain/recordPath";
import { hex64 } from "../numbers";
import type { Command } from "./command";
import { recordArgument } from "./recordArgument";

const block: Command = {
  name: "block",
  usage: "ADDRESS [cpuN]",
  summary: "the translated block at an address: guest code, its ops, what is left out of them, and the WebAssembly generated from it",
  details:
    "Only code that has run is translated. The WebAssembly is what would be generated now, with what indirect jumps are known to go to; which jumps of the function are linked to others is told of the one that runs.",
  complete: (words, { session }) => (words.length > 1 ? session.machine.cpus.map((cpu) => `cpu${cpu.index}`) : ["$rip"]),
  run: (args, { session, cpu }) => {
    const address = args.number("the address", 0n, (1n << 64n) - 1n);
    const target = args.optionalCpu() ?? cpu;
    const explained = session.machine.explainBlock(target.index, address);
    if (explained === undefined)
      throw new UserError(
        `No translated block holds ${hex64(address)}: the code there has not run on CPU ${target.index} in its present mode, or was dropped since.`,
        "block",
      );
    const lines = blockText(explained, target, session.disassembler, session.symbols, address);
    return { text: lines.join("\n"), data: explained };
  },
};

const path: Command = {
  name: "path",
  usage: "ID",
  summary: "the way of an interrupt through the emulator, function by function, with the state each read and wrote",
  details: "Registers are remembered as the interrupt passes, for the newest 2,048 records; of older ones values are missing.",
  run: (args, { session }) => {
    const found = recordArgument(args, session, "path");
    const steps = recordPath(found, session.stageStates);
    return { text: pathLines(found, steps, session.symbols).join("\n"), data: steps };
  },
};

const decisions: Command = {
  name: "decisions",
  usage: "[on | off] [cpuN]",
  summary: "why a CPU's loop left translated code the last 64 times; kept from `on` to `off`",
  complete: (_words, { session }) => ["on", "off", ...session.machine.cpus.map((cpu) => `cpu${cpu.index}`)],
  run: (args, { session, cpu }) => {
    if (args.accept("on")) {
      session.machine.followDecisions(true);
      return { text: "decisions are kept from now on" };
    }
    if (args.accept("off")) {
      session.machine.followDecisions(false);
      return { text: "decisions are no longer kept" };
    }
    const target = args.optionalCpu() ?? cpu;
    const kept = session.machine.decisions(target.index);
    if (kept === undefined) return { text: 'decisions are not kept; "decisions on" begins' };
    const lines = kept.map(({ rip, retired, text }) => {
      const symbol = session.symbols.describe(rip);
      return `${String(retired).padStart(12)}  ${hex64(rip)}${symbol === undefined ? "" : ` <${symbol}>`}  ${text}`;
    });
    return { text: lines.length === 0 ? `CPU ${target.index} has not run since` : lines.join("\n"), data: kept };
  },
};

export const explainCommands: readonly Command[] = [block, path, decisions];
