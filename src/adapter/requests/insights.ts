import type { HandlerTable } from "../context";
import { decodeRequest, lintsRequest, resolveAddressRequest } from "../insightProtocol";

export const insightRequests: HandlerTable = {
  /** A value in words: {register, value}. */
  [decodeRequest]: async (args, { call }) => call("decode", { register: args.text("register"), value: args.integer("value") }),
  /** What the guest did wrong so far. */
  [lintsRequest]: async (_args, { call }) => call("lints", undefined),
  /** What a person typed, as an address: {text, frameId?}. */
  [resolveAddressRequest]: async (args, { call }) =>
    call("resolveAddress", { text: args.text("text"), frameId: args.optionalWhole("frameId") }),
};
