// Colours of the editor's theme, as a canvas needs them. High contrast themes have borders where others have fills.

import { clearer, readable } from "./colours";

/** Colours by what they are for. */
export interface Theme {
  readonly foreground: string;
  readonly muted: string;
  readonly background: string;
  readonly grid: string;
  /** Dashes of the grid, in pixels: in high contrast its lines are as bright as arrows and bars. Empty for whole lines. */
  readonly gridDashes: number[];
  readonly laneLine: string;
  readonly focus: string;
  readonly selection: string;
  readonly latency: string;
  readonly drop: string;
  readonly onBar: string;
  /** Border of every bar in high contrast; undefined in other themes. */
  readonly outline: string | undefined;
  /** By source, as the row's number says. */
  readonly sources: readonly string[];
  readonly font: string;
}

type Chart = "blue" | "orange" | "purple" | "green" | "yellow" | "red";
const fallbacks: Readonly<Record<Chart, string>> = {
  blue: "#3794ff",
  orange: "#d18616",
  purple: "#b180d7",
  green: "#89d185",
  yellow: "#cca700",
  red: "#f14c4c",
};
/** Colour of each source, in the order of timelineSources. */
const sourceColours = ["blue", "orange", "purple", "green", "yellow", "yellow", "red", "red", "yellow", "red", "orange", "purple"] as const;

/** Reads the variables that VS Code sets on the document (see its theme colour reference). */
export function readTheme(element: HTMLElement): Theme {
  const style = getComputedStyle(element);
  const read = (name: string, otherwise: string): string => style.getPropertyValue(`--vscode-${name}`).trim() || otherwise;
  const { classList } = document.body;
  const highContrast = classList.contains("vscode-high-contrast") || classList.contains("vscode-high-contrast-light");
  const foreground = read("editor-foreground", "#cccccc");
  const background = read("editor-background", "#1f1f1f");
  // Some themes have chart colours that hardly stand out from the editor.
  const colour = (name: Chart): string => clearer(read(`charts-${name}`, fallbacks[name]), fallbacks[name], background);
  return {
    foreground,
    muted: highContrast ? foreground : read("descriptionForeground", "#9d9d9d"),
    background,
    grid: read(highContrast ? "contrastBorder" : "editorIndentGuide-background1", "#40404055"),
    gridDashes: highContrast ? [1, 4] : [],
    laneLine: read(highContrast ? "contrastBorder" : "panel-border", "#2b2b2b"),
    focus: read(highContrast ? "contrastActiveBorder" : "focusBorder", "#0078d4"),
    selection: read("editor-selectionBackground", "#264f78"),
    latency: foreground,
    drop: read("errorForeground", "#f85149"),
    onBar: highContrast ? foreground : readable(colour("blue"), foreground, background),
    outline: highContrast ? read("contrastBorder", foreground) : undefined,
    sources: sourceColours.map(colour),
    font: `11px ${read("font-family", "system-ui, sans-serif")}`,
  };
}
