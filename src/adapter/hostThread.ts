import { createRequire } from "node:module";
import type { ResourceLimits, TransferListItem, Worker } from "node:worker_threads";
import { bundledScript } from "./bundledScript";

/** Node's threads, loaded for those who have use for one: they take 4 ms of a start. */
export const threads = (): typeof import("node:worker_threads") =>
  createRequire(__filename)("node:worker_threads") as typeof import("node:worker_threads");

/** Starts a bundled script as a thread that keeps no process alive. What goes wrong in it is told to `failed`. */
export function startThread(
  script: string,
  workerData: unknown,
  resourceLimits: ResourceLimits,
  failed: (error: Error) => void,
  transferList: TransferListItem[] = [],
): Worker {
  const { Worker } = threads();
  const worker = new Worker(bundledScript(script), {
    workerData,
    transferList,
    stdout: true,
    stderr: true,
    execArgv: [],
    resourceLimits,
  });
  worker.on("error", failed);
  worker.unref();
  return worker;
}
