// The rows of interrupt breakpoints in the 'Interrupts' view.
import type { InterruptBreakpoint } from "../adapter/protocol";
import { filterLabel, type BreakpointStatuses } from "./interruptBreakpoints";
import { hitsText, type InterruptNode } from "./interruptNodes";

/** The row of the breakpoints, with a row each. `statuses`: what the shown session made of them. */
export function breakpointsNode(breakpoints: readonly InterruptBreakpoint[], statuses: BreakpointStatuses | undefined): InterruptNode {
  return {
    id: "breakpoints",
    kind: "breakpoints",
    label: "Interrupt Breakpoints",
    description: breakpoints.length === 0 ? "none" : "",
    tooltip: "Stops on stages of an interrupt's life. Kept with the workspace.",
    changed: false,
    open: true,
    children: breakpoints.map((breakpoint) => breakpointNode(breakpoint, statuses)),
  };
}

function breakpointNode(breakpoint: InterruptBreakpoint, statuses: BreakpointStatuses | undefined): InterruptNode {
  const status = statuses?.get(breakpoint.id);
  const refused = status !== undefined && !status.verified;
  const details: string[] = [];
  if (breakpoint.condition !== undefined) details.push(breakpoint.condition);
  if (breakpoint.hitCondition !== undefined) details.push(`hits ${breakpoint.hitCondition}`);
  if (refused) details.push(status.message ?? "not accepted");
  else if (status !== undefined && status.hits > 0) details.push(hitsText(status.hits));
  const label = filterLabel(breakpoint.filter);
  return {
    id: `breakpoint/${breakpoint.id}`,
    kind: "breakpoint",
    label,
    description: details.join(" · "),
    tooltip: [`${label} (${breakpoint.filter})`, ...details].join("\n"),
    ...(refused ? { icon: "warning" } : {}),
    changed: false,
    children: [],
    checked: breakpoint.enabled,
    breakpointId: breakpoint.id,
    value: breakpoint.condition ?? "",
  };
}
