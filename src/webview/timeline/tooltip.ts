// What hovering an interrupt tells.
import { TimelineColumn } from "../../adapter/timelineProtocol";
import type { Axis, TimelineStore } from "./store";
import { describeRow, handlerTimeOf, latencyOf, lengthText, placeText, stateText } from "./words";

function lines(store: TimelineStore, row: number, axis: Axis): string[] {
  const latency = latencyOf(store, row, axis);
  const handler = handlerTimeOf(store, row, axis);
  const sent = store.place(row, "sentAt");
  const alsoCounted = axis === "time" ? ` (${lengthText(latencyOf(store, row, "instruction"), "instruction")})` : "";
  return [
    `#${store.value(row, TimelineColumn.id)} ${describeRow(store, row)}`,
    stateText(store, row),
    ...(latency < 0 ? [] : [`latency ${lengthText(latency, axis)}${alsoCounted}`]),
    ...(handler < 0 ? [] : [`handler ${lengthText(handler, axis)}`]),
    ...(sent === undefined ? [] : [`sent at ${placeText(sent)}`]),
  ];
}

/** Shows what a row is beside the pointer, inside the window; hides the tooltip for -1. */
export function showTooltip(tooltip: HTMLElement, store: TimelineStore, row: number, axis: Axis, { clientX, clientY }: MouseEvent): void {
  tooltip.hidden = row < 0;
  if (row < 0) return;
  tooltip.textContent = lines(store, row, axis).join("\n");
  const { clientWidth, clientHeight } = document.documentElement;
  const { offsetWidth, offsetHeight } = tooltip;
  tooltip.style.left = `${Math.max(4, Math.min(clientX + 14, clientWidth - offsetWidth - 4))}px`;
  tooltip.style.top = `${clientY + 18 + offsetHeight > clientHeight ? clientY - offsetHeight - 8 : clientY + 18}px`;
}
