// Touches memory ahead of its use, so that the host provides it while the guest goes on (adapter/memoryProvider.ts).
import { parentPort, receiveMessageOnPort, workerData, type MessagePort } from "node:worker_threads";
import { ASKED, ENDED, type MemoryThreadData, rangeWord } from "./memoryRequests";

const PAGE_WORDS = 1024;

function serve({ memories, requests, patience }: MemoryThreadData, port: MessagePort): void {
  const words = memories.map(({ buffer }) => new Int32Array(buffer));
  /** A memory that is asked for by a range has been sent before. */
  const wordsOf = (memory: number): Int32Array | undefined => {
    while (words.length <= memory) {
      const sent = receiveMessageOnPort(port) as { message: WebAssembly.Memory } | undefined;
      if (sent === undefined) return undefined;
      words.push(new Int32Array(sent.message.buffer));
    }
    return words[memory];
  };
  for (let done = 0; ;) {
    if (Atomics.load(requests, ASKED) === done) {
      // The one who asks sees that nobody takes it any more, or is heard.
      const idle = Atomics.wait(requests, ASKED, done, patience) === "timed-out";
      if (idle && Atomics.compareExchange(requests, ASKED, done, ENDED) === done) return;
      continue;
    }
    const range = rangeWord(done++);
    const of = wordsOf(Atomics.load(requests, range));
    if (of === undefined) continue;
    const first = Atomics.load(requests, range + 1);
    const end = first + Atomics.load(requests, range + 2);
    // A write that changes nothing, whatever the guest stores there meanwhile: in one piece.
    for (let page = first; page < end; page++) Atomics.or(of, page * PAGE_WORDS, 0);
  }
}

if (parentPort !== null) serve(workerData as MemoryThreadData, parentPort);
