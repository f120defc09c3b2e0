import type { Debugger } from "../debugger/debugger";
import { recordPage } from "../debugger/records/timeline";
import type { TimelinePage, TimelinePoint } from "./timelineProtocol";

/** A page of the session's interrupts, with where the machine stands. */
export function timelinePage(session: Debugger, since: TimelinePoint, limit: number): TimelinePage {
  const { machine, symbols } = session;
  return {
    ...recordPage(machine, symbols, since, limit),
    cpus: machine.cpus.map(({ index, apicId }) => ({ index, apicId })),
    now: { instruction: machine.instructions(), time: machine.now() },
    running: session.isRunning,
  };
}
