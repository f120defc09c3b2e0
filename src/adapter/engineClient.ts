// The session's side of the engine: starts the worker, sends requests, gives events on.
import { Worker } from "node:worker_threads";
import { bundledScript } from "./bundledScript";
import type { EngineEvent, EngineFailure, EngineMethod, EngineMethods, FromEngine, ToEngine } from "./rpc";

/** A request that the engine refused or that was cancelled. */
export class EngineError extends Error {
  constructor(readonly failure: EngineFailure) {
    super(failure.message);
    this.name = "EngineError";
  }
}

interface Waiting {
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: Error) => void;
}

/** One engine in its own worker thread. */
export class EngineClient {
  private readonly worker: Worker;
  /** The number of a request to end while it is carried out. */
  private readonly cancelled = new Int32Array(new SharedArrayBuffer(4));
  private readonly waiting = new Map<number, Waiting>();
  private nextId = 1;
  private ended: Error | undefined;

  constructor(private readonly hear: (event: EngineEvent) => void) {
    this.worker = new Worker(bundledScript("worker.js"), { stdout: true, stderr: false, workerData: this.cancelled.buffer });
    this.worker.on("message", (message: FromEngine) => this.receive(message));
    this.worker.on("error", (error) => this.fail(`The engine failed: ${error.stack ?? error.message}`));
    this.worker.on("exit", () => this.fail("The engine has ended."));
  }

  private receive(message: FromEngine): void {
    switch (message.kind) {
      case "event":
        return this.hear(message.event);
      case "response":
        this.waiting.get(message.id)?.resolve(message.result);
        break;
      case "failure":
        this.waiting.get(message.id)?.reject(new EngineError(message.failure));
        break;
    }
    this.waiting.delete(message.id);
  }

  private fail(message: string): void {
    if (this.ended !== undefined) return;
    const failure = this.disposed
      ? { blame: "cancelled" as const, message: "The session has ended." }
      : { blame: "internal" as const, message };
    this.ended = new EngineError({ ...failure, subject: undefined });
    const waiting = [...this.waiting.values()];
    this.waiting.clear();
    for (const { reject } of waiting) reject(this.ended);
    if (!this.disposed) this.hear({ kind: "ended", exitCode: 70, text: message });
  }

  private disposed = false;

  private send(message: ToEngine): void {
    this.worker.postMessage(message);
  }

  /** Sends a request. `onId` learns the number by which it can be cancelled. Rejects with an {@link EngineError}. */
  call<M extends EngineMethod>(
    method: M,
    args: EngineMethods[M]["args"],
    onId?: (id: number) => void,
  ): Promise<EngineMethods[M]["result"]> {
    if (this.ended !== undefined) return Promise.reject(this.ended);
    const id = this.nextId++;
    onId?.(id);
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve: (result) => resolve(result as EngineMethods[M]["result"]), reject });
      this.send({ kind: "request", id, method, args });
    });
  }

  /** Takes back a request that has not begun, or is at work that can be ended. */
  cancel(id: number): void {
    Atomics.store(this.cancelled, 0, id);
    if (this.ended === undefined) this.send({ kind: "cancel", id });
  }

  /** Ends the worker, whatever it is doing. */
  async dispose(): Promise<void> {
    this.disposed = true;
    await this.worker.terminate();
  }
}
