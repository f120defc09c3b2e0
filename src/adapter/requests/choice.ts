import { UserError } from "../../machine/errors";
import type { Args } from "../arguments";

/** An argument that takes one of a few words. */
export function choice<T extends string>(args: Args, name: string, words: readonly T[]): T | undefined {
  const text = args.optionalText(name);
  const found = words.find((word) => word === text);
  if (found === undefined && text !== undefined) {
    const list = words.map((word) => JSON.stringify(word)).join(", ");
    throw new UserError(`The argument "${name}" must be one of ${list}, not ${JSON.stringify(text)}.`, name);
  }
  return found;
}
