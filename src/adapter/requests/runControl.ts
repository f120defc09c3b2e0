// Which CPUs run, how steps treat the others and interrupts, how time is shared, and IPIs that are held back.
import { modes as deliveryModes } from "../../apic/recordStore";
import { interruptChoices, otherChoices, type Others, type RunControlState, type StepInterrupts } from "../../debugger/runControl";
import { UserError } from "../../machine/errors";
import type { Args } from "../arguments";
import type { HandlerTable } from "../context";
import type { RunControlBody } from "../protocol";
import { choice } from "./choice";
import { unitOf } from "./execution";

/** The state as clients see it: threads instead of CPUs. */
export function runControlBody({ frozen, stepping, schedule, delays }: RunControlState): RunControlBody {
  return { frozenThreads: frozen.map((cpu) => cpu + 1), stepping, schedule, delays: [...delays] };
}

const others = (args: Args): Others | undefined => choice(args, "others", otherChoices);
const interrupts = (args: Args): StepInterrupts | undefined => choice(args, "interrupts", interruptChoices);

/** CPUs of `threadIds` or `threadId`; undefined when neither is given. */
function cpus(args: Args): number[] | undefined {
  if (args.has("threadIds")) return args.cpus("threadIds");
  return args.has("threadId") ? [args.cpu()] : undefined;
}

function cpusRequired(args: Args): number[] {
  const list = cpus(args);
  if (list === undefined) throw new UserError('Give "threadId" or "threadIds".', "threadIds");
  return list;
}

export const runControlRequests: HandlerTable = {
  "apicscope/runControl": async (_args, { call }) => runControlBody(await call("runControl", undefined)),

  "apicscope/freeze": async (args, { call }) => runControlBody(await call("setFrozen", { cpus: cpusRequired(args), frozen: true })),

  /** All CPUs if none is named. */
  "apicscope/unfreeze": async (args, { call }) => runControlBody(await call("setFrozen", { cpus: cpus(args), frozen: false })),

  "apicscope/runOnly": async (args, { call }) => {
    const list = cpusRequired(args);
    if (list.length === 0) throw new UserError('The argument "threadIds" names no thread: one at least has to run.', "threadIds");
    return runControlBody(await call("runOnly", { cpus: list }));
  },

  "apicscope/setHeld": async (args, { call }) => runControlBody(await call("setFrozen", { cpus: [args.cpu()], frozen: args.flag("held") })),

  "apicscope/setStepping": async (args, { call }) => {
    const [forOthers, forInterrupts] = [others(args), interrupts(args)];
    if (forOthers === undefined && forInterrupts === undefined) throw new UserError('Give "others" or "interrupts".', "others");
    const stepping = {
      ...(forOthers === undefined ? {} : { others: forOthers }),
      ...(forInterrupts === undefined ? {} : { interrupts: forInterrupts }),
    };
    return runControlBody(await call("setStepping", stepping));
  },

  /** One step with choices of its own: {threadId, kind, granularity?, others?, interrupts?}. */
  "apicscope/step": async (args, { call }) => {
    const kind = choice(args, "kind", ["in", "over", "out"] as const);
    if (kind === undefined) throw new UserError('The argument "kind" is missing: "in", "over" or "out".', "kind");
    await call("step", { cpu: args.cpu(), kind, unit: unitOf(args), others: others(args), interrupts: interrupts(args) });
  },

  "apicscope/setSchedule": async (args, { call }) => {
    const quantum = args.optionalWhole("quantum");
    const seed = args.optionalWhole("seed");
    if (quantum === undefined && seed === undefined) throw new UserError('Give "quantum" or "seed".', "quantum");
    const schedule = { ...(quantum === undefined ? {} : { quantum }), ...(seed === undefined ? {} : { seed }) };
    return runControlBody(await call("setSchedule", schedule));
  },

  /** Holds back the next IPI that matches: {instructions, vector?, mode?, src?, dst?}, with APIC ids. */
  "apicscope/delayIpi": async (args, { call }) => {
    const mode = choice(args, "mode", deliveryModes);
    const vector = args.optionalWhole("vector", 0, 255);
    const src = args.optionalWhole("src");
    const dst = args.optionalWhole("dst");
    const id = await call("delayIpi", {
      instructions: args.whole("instructions", 1),
      ...(vector === undefined ? {} : { vector }),
      ...(mode === undefined ? {} : { mode }),
      ...(src === undefined ? {} : { src }),
      ...(dst === undefined ? {} : { dst }),
    });
    return { id };
  },

  /** Takes back delays whose IPI has not come: {ids?}. */
  "apicscope/cancelDelays": async (args, { call }) =>
    runControlBody(await call("cancelDelays", { ids: args.has("ids") ? args.wholes("ids") : undefined })),
};
