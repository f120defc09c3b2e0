/** Every form the recorder knows. */
import type { FormSpec } from "../cases.js";
import { arithmeticForms } from "./arithmetic.js";

export const FORMS: readonly FormSpec[] = [...arithmeticForms];
