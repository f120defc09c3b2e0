import { UserError } from "../machine/errors";

/** Tells from the number of times a breakpoint's condition held (this one included) whether to stop. */
export type HitTest = (hits: number) => boolean;

/**
 * Parses `N` or `== N`, `>= N`, `> N`, `<= N`, `< N` and `% N` (every Nth time). Undefined or blank: every time. Throws a
 * {@link UserError} that quotes what cannot be understood.
 */
export function parseHitCondition(text: string | undefined): HitTest {
  if (text === undefined || text.trim() === "") return () => true;
  const match = /^\s*(==|=|>=|>|<=|<|%)?\s*(\d{1,15})\s*$/.exec(text);
  if (match === null)
    throw new UserError(
      `The hit condition "${text}" is neither a number nor one with ==, >=, >, <=, < or % before it, such as ">= 3".`,
      "hitCondition",
    );
  const count = Number(match[2]);
  switch (match[1]) {
    case ">=":
      return (hits) => hits >= count;
    case ">":
      return (hits) => hits > count;
    case "<=":
      return (hits) => hits <= count;
    case "<":
      return (hits) => hits < count;
    case "%":
      if (count === 0) throw new UserError(`The hit condition "${text}" would divide by zero.`, "hitCondition");
      return (hits) => hits % count === 0;
    default:
      return (hits) => hits === count;
  }
}
