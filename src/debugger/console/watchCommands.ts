import type { DataBreakpointView } from "../dataBreakpoints";
import { formatPlace, placeText, type AccessType } from "../dataPlaces";
import type { Command, CommandArguments } from "./command";

/** Words that begin a place of two words. */
const prefixes = ["port", "phys", "msr"];

function view({ id, name, place, access, condition, hits }: DataBreakpointView): string {
  const what = name === placeText(place) ? name : `${name}, ${placeText(place)}`;
  const when = condition === "" ? "" : ` if ${condition}`;
  return `${id}: ${access} of ${what}${when}, hit ${hits} times`;
}

function accessOf(args: CommandArguments): { access: AccessType; change: boolean } {
  if (args.accept("read")) return { access: "read", change: false };
  if (args.accept("readwrite")) return { access: "readWrite", change: false };
  if (args.accept("change")) return { access: "write", change: true };
  args.accept("write");
  return { access: "write", change: false };
}

const watch: Command = {
  name: "watch",
  usage: "[PLACE [size N] [read|write|readWrite|change] [if CONDITION]]",
  summary: "stops after the instruction that accesses a place: memory, a port, a register of the local APIC, an MSR, a control register",
  details:
    "PLACE: a variable, u32[ADDRESS], phys ADDRESS, port N, lapic.tpr, cpu1.lapic.icr, msr 0x1b, cr3. Alone, the command lists what is watched.\n" +
    'Conditions may use value, old, address, size, access ("read", "write"), cpu, time, registers and symbols.',
  complete: (words) => (words.length < 2 ? [...prefixes, "lapic."] : ["size", "read", "write", "readWrite", "change", "if"]),
  run: (args, context) => {
    const { session } = context;
    const { data } = session;
    if (args.peek() === undefined) {
      const list = data.list.map(view);
      return { text: list.length === 0 ? "nothing is watched" : list.join("\n"), data: data.list };
    }
    const first = args.word("the place");
    const name = prefixes.includes(first.toLowerCase()) ? `${first} ${args.word("the address or number")}` : first;
    const size = args.accept("size") ? Number(args.number("the size", 1n, 1n << 20n)) : undefined;
    const { access, change } = accessOf(args);
    const given = args.accept("if") ? args.rest() : "";
    const condition = change ? (given === "" ? "value != old" : `value != old && (${given})`) : given;
    args.end();
    const made = data.add({ dataId: formatPlace(context.place(name, size)), access, condition, name });
    return { text: view(made), data: made };
  },
};

const unwatch: Command = {
  name: "unwatch",
  usage: "[ID]",
  summary: "takes away what `watch` has set: one by its number, or all",
  complete: (_words, { session }) => session.data.list.filter(({ owner }) => owner === "console").map(({ id }) => String(id)),
  run: (args, { session }) => {
    const { data } = session;
    data.remove(args.peek() === undefined ? undefined : Number(args.number("the number", 0n, 1n << 32n)));
    const list = data.list.map(view);
    return { text: list.length === 0 ? "nothing is watched" : list.join("\n"), data: data.list };
  },
};

export const watchCommands: readonly Command[] = [watch, unwatch];
