/** The runner of VEX cases (vexNative.c). */
import { spawnSync } from "node:child_process";
import { VEX_STATE_BYTES, type VexCase } from "../vexCases";

const INPUT_BYTES = VEX_STATE_BYTES + 16;

/** Executes cases on the host: their states after, one behind the other. */
export function runNatively(runner: string, cases: readonly VexCase[]): Uint8Array {
  const input = new Uint8Array(cases.length * INPUT_BYTES);
  cases.forEach(({ code, state }, index) => {
    input.set(state, index * INPUT_BYTES);
    input.set(code, index * INPUT_BYTES + VEX_STATE_BYTES);
  });
  const { stdout, status, signal } = spawnSync(runner, { input, maxBuffer: 1 << 30 });
  if (status !== 0 || stdout.length !== cases.length * VEX_STATE_BYTES)
    throw new Error(`the runner failed: ${String(status)} ${String(signal)}, ${stdout.length} bytes`);
  return stdout;
}
