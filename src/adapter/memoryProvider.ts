import { Worker } from "node:worker_threads";
import type { ProvideMemory } from "../tcg/memory";
import { bundledScript } from "./bundledScript";
import { ASKED, ENDED, type MemoryThreadData, rangeWord } from "./memoryRequests";

/** Ranges that are asked for before a thread is worth its 20 ms: small guests never use so many. */
const SMALL = 8;
/** As many ranges as 4 GiB have of the smallest worth asking for. */
const MAX_RANGES = 4096;

const noRequests = (): Int32Array => new Int32Array(new SharedArrayBuffer(4 * rangeWord(MAX_RANGES)));

/**
 * A way to have the host provide parts of `memory` (bytes, multiples of 4096) ahead of their use: a thread writes to each page what it holds. The thread starts when enough was asked for, and ends by
 * itself; it keeps no process alive.
 */
export const memoryProvider = (memory: WebAssembly.Memory): ProvideMemory => provider(memory, false);

/** The same for a guest that is known to use much memory: the thread starts at once, and is there when the first parts are asked for. */
export const promptMemoryProvider = (memory: WebAssembly.Memory): ProvideMemory => provider(memory, true);

function provider(memory: WebAssembly.Memory, prompt: boolean): ProvideMemory {
  let requests = noRequests();
  let asked = 0;
  let running = false;
  const start = (): void => {
    running = true;
    const workerData: MemoryThreadData = { memory, requests };
    const thread = new Worker(bundledScript("memoryThread.js"), {
      workerData,
      stdout: true,
      stderr: true,
      execArgv: [],
      resourceLimits: { maxYoungGenerationSizeMb: 1, maxOldGenerationSizeMb: 16 },
    });
    // Without it memory comes page by page, as it always may.
    thread.on("error", () => undefined);
    thread.unref();
  };
  if (prompt) start();
  return (address, length) => {
    if (asked === MAX_RANGES) return;
    if (running && Atomics.load(requests, ASKED) === ENDED) {
      requests = noRequests();
      asked = 0;
      running = false;
    }
    const range = rangeWord(asked);
    Atomics.store(requests, range, address / 4096);
    Atomics.store(requests, range + 1, length / 4096);
    // The thread may end at this very moment: what it does not see is not provided.
    if (Atomics.compareExchange(requests, ASKED, asked, asked + 1) !== asked) return;
    asked++;
    if (running) Atomics.notify(requests, ASKED);
    else if (asked >= SMALL) start();
  };
}
