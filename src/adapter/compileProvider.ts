import type { MessagePort } from "node:worker_threads";
import type { CompiledModule, CompileThread, ModuleOrder } from "../tcg/backend/compilation";
import { COMPILE_WORDS, type CompileThreadData, DONE, ENDED, READY, SENT } from "./compileRequests";
import { startThread, threads } from "./hostThread";

/** Modules after which a thread is worth what it costs to start, some 50 ms of another processor's time: small guests never have so many. */
const SMALL = 8;
/** Milliseconds: what is hot has been compiled, and a thread that waits costs memory only. */
const PATIENCE = 30_000;

export interface CompileProviderOptions {
  /** The guest is known to be large: the thread starts with the machine. */
  readonly prompt?: boolean;
  /** Milliseconds without an order after which the thread ends; for tests. */
  readonly patience?: number;
}

/** A way to have generated code made for machines, by a thread for each that starts when there is enough to do and ends by itself; it keeps no process alive. */
export const compileProvider =
  (options: CompileProviderOptions = {}) =>
  (): CompileThread =>
    new CompileWorker(options);

class CompileWorker implements CompileThread {
  private orders = 0;
  private taken = 0;
  private thread: { readonly words: Int32Array; readonly port: MessagePort; sent: number; failure: string | undefined } | undefined;

  constructor(private readonly options: CompileProviderOptions) {
    if (options.prompt === true) this.start();
  }

  private start(): void {
    const { MessageChannel } = threads();
    const { port1, port2 } = new MessageChannel();
    const words = new Int32Array(new SharedArrayBuffer(4 * COMPILE_WORDS));
    const workerData: CompileThreadData = { words, port: port2, patience: this.options.patience ?? PATIENCE };
    const thread = { words, port: port1, sent: 0, failure: undefined as string | undefined };
    // Without it, code is made as it is where there is no thread.
    const failed = (error: Error): void => void (thread.failure = error.message);
    startThread("compileThread.js", workerData, { maxYoungGenerationSizeMb: 4, maxOldGenerationSizeMb: 64 }, failed, [port2]);
    port1.unref();
    this.thread = thread;
    this.taken = 0;
  }

  send(order: ModuleOrder): boolean {
    const { thread } = this;
    if (thread === undefined) {
      if (++this.orders >= SMALL) this.start();
      return false;
    }
    if (thread.failure !== undefined || Atomics.load(thread.words, READY) === 0) return false;
    // The thread may end at this very moment.
    if (Atomics.compareExchange(thread.words, SENT, thread.sent, thread.sent + 1) === ENDED) {
      thread.port.close();
      this.thread = undefined;
      this.orders = 0;
      return false;
    }
    thread.sent++;
    thread.port.postMessage(order);
    return true;
  }

  take(): CompiledModule | string | undefined {
    const { thread } = this;
    if (thread === undefined) return "the thread that compiles has ended";
    if (Atomics.load(thread.words, DONE) === this.taken) return thread.failure;
    this.taken++;
    const received = threads().receiveMessageOnPort(thread.port) as { message: CompiledModule | string } | undefined;
    return received?.message ?? "an outcome of the thread that compiles was lost";
  }
}
