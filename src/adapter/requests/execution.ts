import type { DebugProtocol } from "@vscode/debugprotocol";
import { UserError } from "../../machine/errors";
import type { StepKind, StepUnit } from "../../debugger/stepper";
import { hex64 } from "../../debugger/numbers";
import type { Args } from "../arguments";
import type { Handler, HandlerTable } from "../context";
import { fromClientLine, sourcePath, toClientLine } from "../sources";

/** Lines and statements are stepped the same way; assembly by instruction. */
export function unitOf(args: Args): StepUnit {
  const granularity = args.optionalText("granularity");
  switch (granularity) {
    case "instruction":
      return "instruction";
    case undefined:
    case "line":
    case "statement":
      return "line";
    default:
      throw new UserError(
        `The argument "granularity" must be "instruction", "line" or "statement", not ${JSON.stringify(granularity)}.`,
        "granularity",
      );
  }
}

const step =
  (kind: StepKind): Handler =>
  async (args, { call }) =>
    call("step", {
      cpu: args.cpu(),
      kind,
      unit: unitOf(args),
      others: args.flag("singleThread") ? "hold" : undefined,
      interrupts: undefined,
    });

/** That a CPU runs, or all of them do. */
export function continuedEvent(cpu: number, allThreadsContinued = false): DebugProtocol.ContinuedEvent {
  return { type: "event", seq: 0, event: "continued", body: { threadId: cpu + 1, allThreadsContinued } };
}

export const executionRequests: HandlerTable = {
  continue: async (args, { call, sendEvent, after }) => {
    const cpu = args.cpu();
    // Asked before: nothing may come between the start and the response, which must reach the client before the next stop does.
    const { length } = await call("threads", undefined);
    const running = await call("resume", { cpu, single: args.flag("singleThread") });
    if (running.length === length) return { allThreadsContinued: true };
    // The response is about this thread alone; each other one that runs is told of.
    const others = running.filter((other) => other !== cpu);
    after(() => others.forEach((other) => sendEvent(continuedEvent(other))));
    return { allThreadsContinued: false };
  },
  next: step("over"),
  stepIn: step("in"),
  stepOut: step("out"),
  stepBack: async (args, { call }) => call("goBack", { kind: "step", cpu: args.cpu(), unit: unitOf(args) }),
  reverseContinue: async (args, { call }) => call("goBack", { kind: "continue", cpu: args.cpu() }),
  pause: async (args, { call }) => call("pause", { cpu: args.cpu() }),

  gotoTargets: async (args, { call, client, session }) => {
    const path = sourcePath(args, client);
    const line = fromClientLine(args.whole("line"), client);
    const places = await call("gotoTargets", { path, line });
    const targets = places.map(({ address, line: at }) => {
      const id = session.gotoTargets.size + 1;
      session.gotoTargets.set(id, address);
      return { id, label: hex64(address), line: toClientLine(at, client), instructionPointerReference: hex64(address) };
    });
    return { targets };
  },

  goto: async (args, { call, session }) => {
    const cpu = args.cpu();
    const address = session.gotoTargets.get(args.whole("targetId"));
    if (address === undefined)
      throw new UserError(
        `There is no goto target ${args.whole("targetId")}; "gotoTargets" gives those of a line, which hold until the guest runs.`,
        "targetId",
      );
    await call("goto", { cpu, address });
  },
};
