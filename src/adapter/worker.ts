// The engine's worker: takes requests one after the other, and lets the machine run in between.
import { parentPort, workerData } from "node:worker_threads";
import { Cancelled } from "../common/work";
import { UserError } from "../machine/errors";
import { Engine } from "./engine";
import type { EngineFailure, FromEngine, ToEngine } from "./rpc";

function failureOf(error: unknown): EngineFailure {
  if (error instanceof Cancelled) return { blame: "cancelled", message: "cancelled", subject: undefined };
  if (error instanceof UserError) return { blame: "user", message: error.message, subject: error.subject };
  const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return { blame: "internal", message, subject: undefined };
}

function serve(port: NonNullable<typeof parentPort>): void {
  const send = (message: FromEngine): void => port.postMessage(message);
  // The request to end although it is under way: messages are not heard in its course.
  const shared = new Int32Array(workerData as SharedArrayBuffer);
  const engine = new Engine(
    (event) => send({ kind: "event", event }),
    (request) => Atomics.load(shared, 0) === request,
  );
  const queue: Extract<ToEngine, { kind: "request" }>[] = [];
  const cancelled = new Set<number>();

  const next = (): void => {
    const request = queue.shift();
    if (request === undefined) return;
    const { id, method, args } = request;
    try {
      if (cancelled.delete(id)) send({ kind: "failure", id, failure: { blame: "cancelled", message: "cancelled", subject: undefined } });
      else send({ kind: "response", id, result: engine.call(method, args as never, id) });
    } catch (error) {
      send({ kind: "failure", id, failure: failureOf(error) });
    }
    if (queue.length > 0) setImmediate(next);
  };

  port.on("message", (message: ToEngine) => {
    switch (message.kind) {
      case "request":
        queue.push(message);
        // Not at once: a cancellation that is already under way must be seen first.
        if (queue.length === 1) setImmediate(next);
        break;
      case "cancel":
        if (queue.some((request) => request.id === message.id)) cancelled.add(message.id);
        break;
    }
  });
}

if (parentPort !== null) serve(parentPort);
