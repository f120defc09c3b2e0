import { modes as deliveryModes } from "../../apic/recordStore";
import { UserError } from "../../machine/errors";
import { delayText, interruptChoices, otherChoices, scheduleText, type DelayRequest } from "../runControl";
import type { Command, CommandArguments, CommandContext, CommandResult } from "./command";

function cpusOf(args: CommandArguments, { cpu }: CommandContext): number[] {
  const list: number[] = [];
  for (let next = args.optionalCpu(); next !== undefined; next = args.optionalCpu()) list.push(next.index);
  return list.length === 0 ? [cpu.index] : list;
}

const cpuWords = ({ session }: CommandContext): string[] => session.machine.cpus.map(({ index }) => `cpu${index}`);

function frozenResult({ session }: CommandContext): CommandResult {
  const state = session.runControl.state;
  const names = state.frozen.map((cpu) => `CPU ${cpu}`).join(", ");
  return { text: names === "" ? "no CPU is frozen" : `frozen: ${names}`, data: state };
}

const freeze: Command = {
  name: "freeze",
  usage: "[cpuN...]",
  summary: "CPUs stand still, whatever the others do; a step of a frozen CPU moves it alone",
  complete: (_words, context) => cpuWords(context),
  run: (args, context) => {
    context.session.runControl.setFrozen(cpusOf(args, context), true);
    return frozenResult(context);
  },
};

const unfreeze: Command = {
  name: "unfreeze",
  usage: "[cpuN... | all]",
  summary: "frozen CPUs run again; all of them if none is named",
  complete: (_words, context) => ["all", ...cpuWords(context)],
  run: (args, context) => {
    const every = args.accept("all") || args.peek() === undefined;
    const { runControl } = context.session;
    runControl.setFrozen(every ? runControl.state.frozen : cpusOf(args, context), false);
    return frozenResult(context);
  },
};

const only: Command = {
  name: "only",
  usage: "[cpuN...]",
  summary: "freezes all CPUs but these",
  complete: (_words, context) => cpuWords(context),
  run: (args, context) => {
    context.session.runControl.runOnly(cpusOf(args, context));
    return frozenResult(context);
  },
};

const stepping: Command = {
  name: "stepping",
  usage: "[others run|hold] [interrupts auto|taken|held|into]",
  summary: "what steps do with the other CPUs and with interrupts of the stepped one",
  details:
    "taken: handlers run through to their return; held: maskable interrupts stay pending; into: the step ends at the handler's first instruction;\n" +
    "auto: as into for a step into by instruction, as taken for all others.",
  complete: (words) => {
    const before = words.at(-2);
    if (before === "others") return otherChoices;
    return before === "interrupts" ? interruptChoices : ["others", "interrupts"];
  },
  run: (args, { session }) => {
    const { runControl } = session;
    const pick = <T extends string>(words: readonly T[]): T => {
      const found = words.find((word) => args.accept(word));
      if (found === undefined) throw args.mistake(`choose ${words.join(", ")}`);
      return found;
    };
    for (;;) {
      if (args.accept("others")) runControl.setStepping({ others: pick(otherChoices) });
      else if (args.accept("interrupts")) runControl.setStepping({ interrupts: pick(interruptChoices) });
      else break;
    }
    const { others, interrupts } = runControl.stepping;
    const text = `while a CPU is stepped the others ${others === "run" ? "run along" : "are held"}; its interrupts: ${interrupts}`;
    return { text, data: runControl.state };
  },
};

const most = 1_000_000_000n;

const schedule: Command = {
  name: "schedule",
  usage: "[quantum N] [seed N] | interleave",
  summary: "how CPUs share the time: turns of N instructions, in order or (seed not 0) at random; instruction by instruction",
  complete: () => ["quantum", "seed", "interleave"],
  run: (args, { session }) => {
    const { runControl } = session;
    if (args.accept("interleave")) runControl.setSchedule({ quantum: 1, seed: 0 });
    for (;;) {
      if (args.accept("quantum")) runControl.setSchedule({ quantum: Number(args.number("the quantum", 1n, most)) });
      else if (args.accept("seed")) runControl.setSchedule({ seed: Number(args.number("the seed", 0n, 0xffff_ffffn)) });
      else break;
    }
    return { text: scheduleText(runControl.state.schedule), data: runControl.state };
  },
};

/** An APIC id: a number, or that of `cpuN`. */
function apicId(args: CommandArguments, what: string): number {
  const cpu = args.optionalCpu();
  return cpu === undefined ? Number(args.number(what, 0n, 0xffff_ffffn)) : cpu.apicId;
}

function delayRequest(args: CommandArguments): DelayRequest {
  let request: DelayRequest = { instructions: Number(args.number("the number of instructions", 1n, most)) };
  for (;;) {
    if (args.accept("vector")) request = { ...request, vector: args.vector() };
    else if (args.accept("src")) request = { ...request, src: apicId(args, "the sender's APIC id") };
    else if (args.accept("dst")) request = { ...request, dst: apicId(args, "the target's APIC id") };
    else if (args.accept("mode")) {
      const word = args.word("the delivery mode");
      const mode = deliveryModes.find((candidate) => candidate === word);
      if (mode === undefined) throw new UserError(`There is no delivery mode '${word}'; there are ${deliveryModes.join(", ")}.`, "mode");
      request = { ...request, mode };
    } else return request;
  }
}

const delay: Command = {
  name: "delay",
  usage: "N [vector V] [mode M] [src ID|cpuN] [dst ID|cpuN] | cancel [ID] | list",
  summary: "the next IPI that matches is held back for N instructions on its way",
  details: "Its record tells of it. Instructions of all CPUs count; when all wait, it is let go.",
  complete: (words) => (words.length === 1 ? ["list", "cancel"] : ["vector", "mode", "src", "dst"]),
  run: (args, { session }) => {
    const { runControl } = session;
    if (args.accept("cancel")) {
      const ids = args.peek() === undefined ? undefined : [Number(args.number("the id", 1n, most))];
      runControl.cancelDelays(ids);
    } else if (!args.accept("list") && args.peek() !== undefined) {
      const request = delayRequest(args);
      args.end();
      const id = runControl.delay(request);
      return { text: `${id}: ${delayText(request)}`, data: runControl.state };
    }
    const lines = runControl.state.delays.map((rule) => `${rule.id}: ${delayText(rule)}`);
    return { text: lines.length === 0 ? "no IPI is to be held back" : lines.join("\n"), data: runControl.state };
  },
};

export const runCommands: readonly Command[] = [freeze, unfreeze, only, stepping, schedule, delay];
