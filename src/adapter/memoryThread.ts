// Touches memory ahead of its use, so that the host provides it while the guest goes on (adapter/memoryProvider.ts).
import { workerData } from "node:worker_threads";
import { ASKED, ENDED, type MemoryThreadData, rangeWord } from "./memoryRequests";

/** Milliseconds without a request after which the thread ends: guests stop to use memory for the first time. */
const PATIENCE = 2_000;
const PAGE_WORDS = 1024;

function serve({ memory, requests }: MemoryThreadData): void {
  const words = new Int32Array(memory.buffer);
  for (let done = 0; ;) {
    if (Atomics.load(requests, ASKED) === done) {
      // The one who asks sees that nobody takes it any more, or is heard.
      const idle = Atomics.wait(requests, ASKED, done, PATIENCE) === "timed-out";
      if (idle && Atomics.compareExchange(requests, ASKED, done, ENDED) === done) return;
      continue;
    }
    const range = rangeWord(done++);
    const first = Atomics.load(requests, range);
    const end = first + Atomics.load(requests, range + 1);
    // A write that changes nothing, whatever the guest stores there meanwhile: in one piece.
    for (let page = first; page < end; page++) Atomics.or(words, page * PAGE_WORDS, 0);
  }
}

serve(workerData as MemoryThreadData);
