import type { MachineHooks } from "./types";

/** Hooks that say whether another one is to be called. */
const questions = { stage: "interrupt", handlerStarts: "handlerEntered" } as const;
type Question = keyof typeof questions;
type HookName = Exclude<keyof MachineHooks, "handlersOnly" | Question>;
type Call = (...args: unknown[]) => void;
type Ask = (...args: unknown[]) => boolean;
/** A set that is being made, whatever the types of its hooks. */
type Combined = Partial<Record<keyof MachineHooks, Call | Ask>>;

/** Those who hear of handlers that begin or end. */
const handlerHooks: readonly HookName[] = ["exception", "handlerEntered", "handlerReturned"];

const callsOf = (hooks: MachineHooks): Combined => hooks as unknown as Combined;
const isQuestion = (key: string): key is Question => Object.hasOwn(questions, key);
const isHookName = (key: string): key is HookName => key !== "handlersOnly" && !isQuestion(key);

/** One set of hooks that calls several, in order. Hooks that none of them has are left out, so that nothing is made for nobody. */
export function combineHooks(...all: readonly MachineHooks[]): MachineHooks {
  const combined: Combined = {};
  const keys = new Set(all.flatMap((hooks) => Object.keys(hooks)));
  for (const key of keys) {
    if (!isHookName(key)) continue;
    const calls = all.map((hooks) => callsOf(hooks)[key]).filter((call) => call !== undefined);
    if (calls.length === 0) continue;
    combined[key] = (...args) => {
      for (const call of calls) call(...args);
    };
  }
  for (const key of keys) if (isQuestion(key)) ask(all, combined, key);
  const listening = all.filter((hooks) => handlerHooks.some((key) => hooks[key] !== undefined));
  // Each of them may think otherwise later.
  Object.defineProperty(combined, "handlersOnly", {
    get: () => listening.every(({ handlersOnly }) => handlersOnly === true),
    enumerable: true,
  });
  return combined as unknown as MachineHooks;
}

/** Combines a question with the hook behind it: each of `all` hears of what it wants itself. */
function ask(all: readonly MachineHooks[], combined: Combined, question: Question): void {
  const hook = questions[question];
  const list = all
    .filter((hooks) => hooks[hook] !== undefined)
    .map((hooks) => ({ asks: callsOf(hooks)[question] as Ask | undefined, call: callsOf(hooks)[hook] as Call, wants: true }));
  combined[question] = (...args) => {
    let any = false;
    for (const one of list) {
      one.wants = one.asks?.(...args) ?? true;
      any ||= one.wants;
    }
    return any;
  };
  combined[hook] = (...args) => {
    for (const one of list) if (one.wants) one.call(...args);
  };
}
