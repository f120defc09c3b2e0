/** Every form the recorder knows. */
import type { FormSpec } from "../cases.js";
import { arithmeticForms } from "./arithmetic.js";
import { bitForms } from "./bits.js";
import { controlForms } from "./control.js";
import { miscForms } from "./misc.js";
import { moveForms } from "./moves.js";
import { shiftForms } from "./shifts.js";
import { stackForms } from "./stack.js";
import { stringForms } from "./strings.js";

export const FORMS: readonly FormSpec[] = [
  ...arithmeticForms,
  ...shiftForms,
  ...bitForms,
  ...moveForms,
  ...controlForms,
  ...stackForms,
  ...stringForms,
  ...miscForms,
];
