// Interrupts that the person sends, now or at a count of instructions.
import { InvalidatedEvent } from "@vscode/debugadapter";
import { modes } from "../../apic/recordStore";
import { injectionText, type InjectionRequest } from "../../debugger/injections";
import { UserError } from "../../machine/errors";
import type { Args } from "../arguments";
import type { HandlerTable } from "../context";
import { choice } from "./choice";

const kinds = ["message", "msi", "pin", "spurious"] as const;

function injection(args: Args): InjectionRequest {
  const kind = choice(args, "kind", kinds) ?? "message";
  switch (kind) {
    case "message": {
      const mode = choice(args, "mode", modes) ?? "fixed";
      const needsVector = mode === "fixed" || mode === "lowpri" || mode === "sipi";
      return { kind, mode, cpu: args.cpu(), vector: needsVector ? args.whole("vector", 0, 255) : 0 };
    }
    case "msi": {
      const address = Number(args.address("address"));
      const data = Number(args.integer("data"));
      if (address < 0xfee00000 || address > 0xfeefffff)
        throw new UserError('The argument "address" of an MSI goes from 0xfee00000 to 0xfeefffff.', "address");
      if (data > 0xffffffff) throw new UserError('The argument "data" of an MSI has 32 bits.', "data");
      return { kind, address, data };
    }
    case "pin":
      return { kind, pin: args.whole("pin", 0, 23), level: choice(args, "level", ["high", "low", "pulse"] as const) ?? "pulse" };
    case "spurious":
      return { kind, cpu: args.cpu() };
  }
}

export const injectionRequests: HandlerTable = {
  /**
   * {kind: "message", mode?, vector?, threadId} | {kind: "msi", address, data} | {kind: "pin", pin, level?} | {kind: "spurious", threadId}, each with `at?`, the count of
   * instructions at which it is sent. Answers {text}: what came of it.
   */
  "apicscope/inject": async (args, { call, client, sendEvent, after }) => {
    const request = injection(args);
    const at = args.optionalWhole("at");
    const outcome = await call("inject", { request, at });
    if (client.invalidatedEvents && at === undefined) after(() => sendEvent(new InvalidatedEvent(["variables", "stacks"])));
    return { text: `${injectionText(request)}: ${outcome}` };
  },
};
