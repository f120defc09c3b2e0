// The legend: a colour and its source.
import { timelineSources } from "../../adapter/timelineProtocol";
import type { Theme } from "./theme";
import { sourceText } from "./words";

/** Sources that have a colour of their own; both pins share one. */
const shown = ["ipi", "ioapic", "msi", "timer", "lint0", "error"] as const;

/** Writes the legend in a theme's colours. */
export function writeLegend(legend: HTMLElement, theme: Theme): void {
  legend.replaceChildren(
    ...shown.map((source) => {
      const entry = document.createElement("span");
      const swatch = document.createElement("i");
      swatch.style.background = theme.sources[timelineSources.indexOf(source)];
      entry.append(swatch, source === "lint0" ? "LINT" : sourceText(source));
      return entry;
    }),
  );
}
