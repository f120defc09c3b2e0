import { vectorNames } from "../vector/names";
import { vectorPrograms } from "../vector/programs";

/** Vector ops that have no code of their own and call their helper. */
export const vectorHelpers: ReadonlySet<string> = new Set(
  vectorNames.filter((name) => !vectorPrograms.has(name)).map((name) => `v_${name}`),
);
