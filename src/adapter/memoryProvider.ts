import type { Worker } from "node:worker_threads";
import type { MemoryProvider } from "../machine/undoMemory";
import { startThread } from "./hostThread";
import { ASKED, ENDED, type MemoryThreadData, rangeWord } from "./memoryRequests";

/** Ranges that are asked for before a thread is worth what it costs to start, 80 ms of processor time: small guests never use so many. */
const SMALL = 8;
/** As many ranges as 4 GiB have of the smallest worth asking for, of all memories together. */
const MAX_RANGES = 4096;
/** Milliseconds: guests stop to use memory for the first time, and a thread that waits costs memory only, about as much as one that starts costs time. */
const PATIENCE = 30_000;

const noRequests = (): Int32Array => new Int32Array(new SharedArrayBuffer(4 * rangeWord(MAX_RANGES)));

export interface MemoryProviderOptions {
  /** The guest is known to use much memory: the thread starts with the first memory, and is there when the first parts are asked for. */
  readonly prompt?: boolean;
  /** Milliseconds without a request after which the thread ends; for tests. */
  readonly patience?: number;
}

/**
 * A way to have the host provide parts of memories (bytes, multiples of 4096) ahead of their use: a thread, one for all memories of a machine, writes to each page what it holds. It starts when enough was
 * asked for, and ends by itself; it keeps no process alive.
 */
export function memoryProvider({ prompt = false, patience = PATIENCE }: MemoryProviderOptions = {}): MemoryProvider {
  const memories: WebAssembly.Memory[] = [];
  let requests = noRequests();
  let asked = 0;
  let running: Worker | undefined;
  const start = (): void => {
    const workerData: MemoryThreadData = { memories, requests, patience };
    // Without it memory comes page by page, as it always may.
    const failed = (): void => undefined;
    running = startThread("memoryThread.js", workerData, { maxYoungGenerationSizeMb: 1, maxOldGenerationSizeMb: 16 }, failed);
  };
  return (memory) => {
    const number = memories.push(memory) - 1;
    if (running !== undefined) running.postMessage(memory);
    else if (prompt) start();
    return (address, length) => {
      if (asked === MAX_RANGES) return;
      if (running !== undefined && Atomics.load(requests, ASKED) === ENDED) {
        requests = noRequests();
        asked = 0;
        running = undefined;
      }
      const range = rangeWord(asked);
      Atomics.store(requests, range, number);
      Atomics.store(requests, range + 1, address / 4096);
      Atomics.store(requests, range + 2, length / 4096);
      // The thread may end at this very moment: what it does not see is not provided.
      if (Atomics.compareExchange(requests, ASKED, asked, asked + 1) !== asked) return;
      asked++;
      if (running !== undefined) Atomics.notify(requests, ASKED);
      else if (asked >= SMALL) start();
    };
  };
}
