import { InvalidatedEvent } from "@vscode/debugadapter";
import { UserError } from "../../machine/errors";
import type { HandlerTable } from "../context";
import { interruptStateRequest } from "../protocol";

const sizes = [1, 2, 4, 8] as const;

export const interruptRequests: HandlerTable = {
  [interruptStateRequest]: async (_args, { call }) => call("interruptState", undefined),

  /** Writes as the guest would, with all effects: {threadId, register | address, value, size}. */
  "apicscope/guestWrite": async (args, { call, client, sendEvent, after }) => {
    const given = args.optionalWhole("size") ?? 4;
    const size = sizes.find((candidate) => candidate === given);
    if (size === undefined) throw new UserError('The argument "size" must be 1, 2, 4 or 8.', "size");
    const register = args.optionalText("register");
    const address = args.has("address") ? args.address("address") : undefined;
    await call("guestWrite", { cpu: args.cpu(), register, address, value: args.integer("value"), size });
    if (client.invalidatedEvents) after(() => sendEvent(new InvalidatedEvent(["variables", "stacks"])));
  },

  /** A console command: {command, threadId?}, answered with {text, data}. */
  "apicscope/command": async (args, { call, client, sendEvent, after }) => {
    const line = args.text("command");
    const said = await call("command", { line, frameId: undefined, cpu: args.has("threadId") ? args.cpu() : undefined });
    if (said === undefined) throw new UserError(`"${line.trim()}" is no command; "help" lists them.`, "command");
    if (said.changed && client.invalidatedEvents) after(() => sendEvent(new InvalidatedEvent(["variables", "stacks"])));
    return { text: said.text, data: said.data };
  },

  /** Bytes for the guest's serial port: {text} or {data} in base64. */
  "apicscope/serialInput": async (args, { call }) => {
    const bytes = args.has("data") ? new Uint8Array(Buffer.from(args.text("data"), "base64")) : new TextEncoder().encode(args.text("text"));
    await call("serialInput", { bytes });
  },
};
