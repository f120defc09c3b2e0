// What the status bar says of a session. Knows nothing of VS Code.
import type { InterruptState } from "../adapter/protocol";
import { groupDigits } from "./interruptNodes";

/** How far a machine is. */
export interface Progress {
  readonly instructions: number;
  readonly nanoseconds: number;
}

export interface StatusText {
  readonly text: string;
  readonly tooltip: string;
  /** For screen readers. */
  readonly label: string;
}

/** Virtual time with a fitting unit: "12.345 ms". */
export function timeText(nanoseconds: number): string {
  if (nanoseconds < 1e3) return `${nanoseconds} ns`;
  if (nanoseconds < 1e6) return `${(nanoseconds / 1e3).toFixed(3)} µs`;
  if (nanoseconds < 1e9) return `${(nanoseconds / 1e6).toFixed(3)} ms`;
  return `${(nanoseconds / 1e9).toFixed(3)} s`;
}

/** Instructions a second: "45.2 MIPS". */
export function speedText(instructionsPerSecond: number): string {
  return instructionsPerSecond >= 1e6
    ? `${(instructionsPerSecond / 1e6).toFixed(1)} MIPS`
    : `${(instructionsPerSecond / 1e3).toFixed(1)} kIPS`;
}

function counts({ instructions, nanoseconds }: Progress): string {
  return `Virtual time ${timeText(nanoseconds)}, ${groupDigits(instructions)} instructions`;
}

/** A stopped session, seen from the CPU with this index or the first. */
export function pausedText(state: InterruptState, focused: number | undefined): StatusText {
  const cpu = state.cpus.find(({ index }) => index === focused) ?? state.cpus.at(0);
  const progress = { instructions: Number(state.instruction), nanoseconds: Number(state.time) };
  const place = cpu === undefined ? "" : `CPU ${cpu.index} at ${cpu.symbol ?? cpu.rip}`;
  return {
    text: `$(debug-pause) ${place} · ${timeText(progress.nanoseconds)}`,
    tooltip: `APICScope: paused, ${place}${cpu === undefined ? "" : ` (${cpu.stateText})`}\n${counts(progress)}`,
    label: `APICScope, paused, ${place}, virtual time ${timeText(progress.nanoseconds)}`,
  };
}

/** A running session; `before`: where it was so many milliseconds ago. */
export function runningText(progress: Progress, before: { progress: Progress; milliseconds: number } | undefined): StatusText {
  const done = before === undefined ? 0 : progress.instructions - before.progress.instructions;
  const speed =
    before === undefined || before.milliseconds <= 0 ? "" : done === 0 ? "idle" : speedText((done / before.milliseconds) * 1000);
  const words = [timeText(progress.nanoseconds), ...(speed === "" ? [] : [speed])];
  return {
    text: `$(debug-start) ${words.join(" · ")}`,
    tooltip: `APICScope: running${speed === "" ? "" : `, ${speed}`}\n${counts(progress)}`,
    label: `APICScope, running, virtual time ${words.join(", ")}`,
  };
}
