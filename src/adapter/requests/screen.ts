import { scanCodes } from "../../devices/ps2/scanCodes";
import { UserError } from "../../machine/errors";
import type { HandlerTable } from "../context";
import { keyInputRequest, screenRequest } from "../screenProtocol";

/** Keys of one request at most. */
const mostKeys = 256;

export const screenRequests: HandlerTable = {
  /** What the guest's screen shows: {since?}. */
  [screenRequest]: async (args, { call }) => call("screen", { since: args.optionalWhole("since") }),

  /** Keys go down and up: {keys: [{code, down}]}. */
  [keyInputRequest]: async (args, { call }) => {
    const keys = args.list("keys");
    if (keys.length > mostKeys) throw new UserError(`At most ${mostKeys} keys can be given at once.`, "keys");
    const codes = keys.flatMap((key) => {
      const code = key.text("code");
      const bytes = scanCodes(code, key.flag("down"));
      if (bytes === undefined) throw new UserError(`"${code}" is no key of a PC's keyboard.`, "code");
      return [...bytes];
    });
    await call("keyInput", { codes: Uint8Array.from(codes) });
  },
};
