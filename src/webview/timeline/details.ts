// The whole life of the selected interrupt, with ways to its places.
import { TimelineColumn, type TimelinePlace } from "../../adapter/timelineProtocol";
import type { Axis, TimelineStore } from "./store";
import { lifeLines } from "./tables";
import { describeRow, placeText, stateText } from "./words";

/** What the panel's buttons do. */
export interface DetailActions {
  openPlace(place: TimelinePlace): void;
  zoomTo(row: number): void;
  showInTable(row: number): void;
}

/** Fills the panel with a row's life; hides it for -1. */
export function showDetails(panel: HTMLElement, store: TimelineStore, row: number, axis: Axis, actions: DetailActions): void {
  panel.hidden = row < 0;
  if (row < 0) return;
  const title = document.createElement("h2");
  title.textContent = `#${store.value(row, TimelineColumn.id)} ${describeRow(store, row)}: ${stateText(store, row)}`;
  const life = document.createElement("ol");
  for (const { stage, at, since } of lifeLines(store, row, axis)) {
    const line = document.createElement("li");
    const name = document.createElement("b");
    name.textContent = stage;
    line.append(name, ` ${at} ${since}`);
    life.append(line);
  }
  const buttons = document.createElement("div");
  buttons.className = "actions";
  const button = (text: string, run: () => void): void => {
    const made = document.createElement("button");
    made.textContent = text;
    made.addEventListener("click", run);
    buttons.append(made);
  };
  for (const [column, text] of [
    ["sentAt", "Go to sender"],
    ["handler", "Go to handler"],
    ["endedAt", "Go to EOI"],
  ] as const) {
    const place = store.place(row, column);
    if (place !== undefined) button(`${text}: ${placeText(place)}`, () => actions.openPlace(place));
  }
  if (store.stage(row, "deliver", axis) >= 0) button("Zoom to it", () => actions.zoomTo(row));
  button("Show in table", () => actions.showInTable(row));
  panel.replaceChildren(title, life, buttons);
}
