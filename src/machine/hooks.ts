import type { MachineHooks } from "./types";

/** One set of hooks that calls several, in order. Hooks that none of them has are left out, so that nothing is made for nobody. */
export function combineHooks(...all: readonly MachineHooks[]): MachineHooks {
  const combined: { -readonly [K in keyof MachineHooks]: MachineHooks[K] } = {};
  const join = <K extends keyof MachineHooks>(key: K): void => {
    type Call = (...args: unknown[]) => void;
    const calls = all.map((hooks) => hooks[key] as Call | undefined).filter((call) => call !== undefined);
    if (calls.length === 0) return;
    const each: Call = (...args) => {
      for (const call of calls) call(...args);
    };
    combined[key] = each;
  };
  for (const key of new Set(all.flatMap((hooks) => Object.keys(hooks) as (keyof MachineHooks)[]))) join(key);
  return combined;
}
