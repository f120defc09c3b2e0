import type { MessagePort } from "node:worker_threads";

/** What the thread that compiles is told, in memory that both sides share: a word each. */

/** Orders sent; ENDED once the thread takes no more. */
export const SENT = 0;
/** Their outcomes that have been posted. */
export const DONE = 1;
/** 1: the thread is there. */
export const READY = 2;
export const COMPILE_WORDS = 3;
export const ENDED = -1;

export interface CompileThreadData {
  readonly words: Int32Array;
  /** Orders come and outcomes go here. */
  readonly port: MessagePort;
  /** Milliseconds without an order after which the thread ends. */
  readonly patience: number;
}
