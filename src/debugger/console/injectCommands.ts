import type { DeliveryMode } from "../../apic/events";
import { injectionText, type InjectionRequest } from "../injections";
import type { Command, CommandArguments, CommandContext } from "./command";

const latched: readonly DeliveryMode[] = ["nmi", "smi", "init", "extint"];

function request(args: CommandArguments, { cpu }: CommandContext): InjectionRequest {
  const target = (): number => (args.optionalCpu() ?? cpu).index;
  if (args.accept("pin")) {
    const pin = Number(args.number("the pin", 0n, 23n));
    const level = args.accept("high") ? "high" : args.accept("low") ? "low" : "pulse";
    args.accept("pulse");
    return { kind: "pin", pin, level };
  }
  if (args.accept("msi"))
    return {
      kind: "msi",
      address: Number(args.number("the address", 0xfee00000n, 0xfeefffffn)),
      data: Number(args.number("the data", 0n, 0xffffffffn)),
    };
  if (args.accept("spurious")) return { kind: "spurious", cpu: target() };
  if (args.accept("sipi")) return { kind: "message", mode: "sipi", vector: args.vector("the start page"), cpu: target() };
  for (const mode of latched) if (args.accept(mode)) return { kind: "message", mode, vector: 0, cpu: target() };
  args.accept("fixed");
  return { kind: "message", mode: "fixed", vector: args.vector(), cpu: target() };
}

const inject: Command = {
  name: "inject",
  usage:
    "VECTOR | nmi | smi | init | sipi PAGE | extint | spurious | pin N [high | low | pulse] | msi ADDRESS DATA  [cpuN] [at INSTRUCTION]",
  summary: "sends an interrupt to a CPU, as if from a device, now or at a count of instructions",
  details:
    'It goes the way of all others, with source "debugger". "at" counts the instructions of the whole machine; "spurious" asserts INTR ' +
    "and takes the request back before the CPU acknowledges it.",
  complete: (_words, { session }) => [
    ...["fixed", "nmi", "smi", "init", "sipi", "extint", "spurious", "pin", "msi", "at", "high", "low", "pulse"],
    ...session.machine.cpus.map((cpu) => `cpu${cpu.index}`),
  ],
  run: (args, context) => {
    const wanted = request(args, context);
    const at = args.accept("at") ? Number(args.number("the instruction", 0n, 1n << 53n)) : undefined;
    const outcome = context.session.injections.add(wanted, at);
    return { text: `${injectionText(wanted)}: ${outcome}`, changed: at === undefined };
  },
};

export const injectCommands: readonly Command[] = [inject];
