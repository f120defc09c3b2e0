import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { pausedText, runningText, speedText, timeText } from "../../src/extension/progressText";
import { cpuState, machineState } from "./states";

describe("the status bar", () => {
  test("gives times and speeds a fitting unit", () => {
    assert.deepEqual([0, 999, 12_345, 2_826_267, 3_500_000_000].map(timeText), ["0 ns", "999 ns", "12.345 µs", "2.826 ms", "3.500 s"]);
    assert.deepEqual([500, 45_200_000].map(speedText), ["0.5 kIPS", "45.2 MIPS"]);
  });

  test("says where a session is paused, from the CPU in focus", () => {
    const state = machineState(2, [cpuState(0), cpuState(1, { symbol: "cpu_idle+0x47", stateText: "halted, IF=1" })]);
    assert.equal(pausedText(state, 1).text, "$(debug-pause) CPU 1 at cpu_idle+0x47 · 2.000 µs");
    assert.match(pausedText(state, 1).tooltip, /halted, IF=1.*\nVirtual time 2\.000 µs, 2,000 instructions/);
    assert.equal(pausedText(state, undefined).text, "$(debug-pause) CPU 0 at 0x0000000000100000 · 2.000 µs");
  });

  test("says how fast a session runs, and that it idles", () => {
    const at = { instructions: 50_000_000, nanoseconds: 60_000_000 };
    assert.equal(runningText(at, undefined).text, "$(debug-start) 60.000 ms");
    const before = { progress: { instructions: 10_000_000, nanoseconds: 20_000_000 }, milliseconds: 1000 };
    assert.equal(runningText(at, before).text, "$(debug-start) 60.000 ms · 40.0 MIPS");
    assert.equal(runningText(at, { progress: at, milliseconds: 1000 }).text, "$(debug-start) 60.000 ms · idle");
    assert.equal(runningText(at, before).label, "APICScope, running, virtual time 60.000 ms, 40.0 MIPS");
  });
});
