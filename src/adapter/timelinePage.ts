import type { Debugger } from "../debugger/debugger";
import { recordPage } from "../debugger/records/timeline";
import { wholePath } from "./sources";
import type { TimelinePage, TimelinePoint } from "./timelineProtocol";

/** A page of the session's interrupts, with where the machine stands. */
export function timelinePage(session: Debugger, since: TimelinePoint, limit: number): TimelinePage {
  const { machine, symbols } = session;
  const page = recordPage(machine, symbols, since, limit);
  return {
    ...page,
    places: page.places.map(wholePath),
    cpus: machine.cpus.map(({ index, apicId }) => ({ index, apicId })),
    now: { instruction: machine.instructions(), time: machine.now() },
    running: session.isRunning,
  };
}
