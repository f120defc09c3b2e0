/** Talks to the native runner (native.c): batches of cases in, states after them out. */
import { spawnSync } from "node:child_process";
import { RFLAGS, RIP, STATE_SIZE, type Mode } from "../expand.js";

/** What a group of cases has in common: code bytes, pinned registers and the places of the memory windows. */
export interface Draft {
  readonly code: Uint8Array;
  readonly pins: ReadonlyMap<number, bigint>;
  readonly windows: readonly { readonly address: number; readonly length: number }[];
}

/** One case, complete enough to run and to write to a file. */
export interface PreparedCase {
  readonly mode: Mode;
  readonly draft: Draft;
  /** Full state before: registers, RFLAGS, RIP. */
  readonly state: BigUint64Array;
  /** Bytes of the windows before, in the order of the draft. */
  readonly memory: readonly Uint8Array[];
  readonly overrides: ReadonlyMap<number, bigint>;
  readonly patches: readonly { readonly window: number; readonly offset: number; readonly bytes: Uint8Array }[];
  readonly undefinedFlags: number;
  readonly undefinedRegisters: number;
}

/** What running a case on the host gave. */
export interface Outcome {
  readonly trap: { readonly vector: number; readonly error: number } | null;
  readonly state: BigUint64Array;
  readonly memory: readonly Uint8Array[];
}

/** The part of a case that the runner needs. */
export interface Runnable {
  readonly mode: Mode;
  readonly code: Uint8Array;
  readonly state: BigUint64Array;
  readonly windows: readonly { readonly address: number; readonly bytes: Uint8Array }[];
}

const REQUEST_SIZE = 8 + STATE_SIZE * 8 + 16;
const RESPONSE_SIZE = 8 + STATE_SIZE * 8;
const NO_TRAP = 0xff;
const MODE_NUMBER: Record<Mode, number> = { 16: 0, 32: 1, 64: 2 };

const padded = (length: number): number => (length + 7) & ~7;

/** Runs cases on the host's CPU with the built runner at path `runner`. */
export function runNatively(runner: string, cases: readonly Runnable[]): Outcome[] {
  let size = 0;
  for (const { windows } of cases) {
    size += REQUEST_SIZE;
    for (const { bytes } of windows) size += 8 + padded(bytes.length);
  }
  const request = new Uint8Array(size);
  const view = new DataView(request.buffer);
  let at = 0;
  for (const { mode, code, state, windows } of cases) {
    request[at] = MODE_NUMBER[mode];
    request[at + 1] = code.length;
    request[at + 2] = windows.length;
    view.setBigUint64(at + 8, state[RIP], true);
    view.setBigUint64(at + 16, state[RFLAGS], true);
    for (let i = 0; i < 16; i++) view.setBigUint64(at + 24 + i * 8, state[i], true);
    request.set(code, at + 24 + 128);
    at += REQUEST_SIZE;
    for (const { address, bytes } of windows) {
      view.setUint32(at, address, true);
      view.setUint32(at + 4, bytes.length, true);
      at += 8;
    }
    for (const { bytes } of windows) {
      request.set(bytes, at);
      at += padded(bytes.length);
    }
  }
  const run = spawnSync(runner, { input: request, maxBuffer: size + 4096, stdio: ["pipe", "pipe", "pipe"] });
  if (run.status !== 0) {
    throw new Error(`The native runner failed (${run.status ?? run.signal ?? run.error?.message}): ${run.stderr?.toString().trim() ?? ""}`);
  }
  return parseOutcomes(run.stdout, cases);
}

function parseOutcomes(output: Uint8Array, cases: readonly Runnable[]): Outcome[] {
  const view = new DataView(output.buffer, output.byteOffset, output.byteLength);
  let at = 0;
  return cases.map(({ windows }) => {
    const vector = output[at];
    const error = view.getUint32(at + 4, true);
    const state = new BigUint64Array(STATE_SIZE);
    state[RIP] = view.getBigUint64(at + 8, true);
    state[RFLAGS] = view.getBigUint64(at + 16, true);
    for (let i = 0; i < 16; i++) state[i] = view.getBigUint64(at + 24 + i * 8, true);
    at += RESPONSE_SIZE;
    const memory = windows.map(({ bytes }) => {
      const start = at;
      at += padded(bytes.length);
      return output.slice(start, start + bytes.length);
    });
    return { trap: vector === NO_TRAP ? null : { vector, error }, state, memory };
  });
}
