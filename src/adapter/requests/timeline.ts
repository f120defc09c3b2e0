import type { HandlerTable } from "../context";
import { timelinePageLimit, timelineRequest } from "../timelineProtocol";

export const timelineRequests: HandlerTable = {
  /** The book of interrupts: {since?: {sequence, digest}, limit?}. Works while the guest runs. */
  [timelineRequest]: async (args, { call }) => {
    const since = args.has("since") ? args.object("since") : undefined;
    return call("timeline", {
      since: { sequence: since?.whole("sequence") ?? 0, digest: since?.whole("digest") ?? 0 },
      limit: args.optionalWhole("limit", 1, timelinePageLimit) ?? timelinePageLimit,
    });
  },
};
