// The expression language of conditions, watch expressions and logpoints.
export type { Expression, Format, Node } from "./ast";
export type { KnownNames } from "./check";
export { checkExpression } from "./check";
export type { CompiledExpression, IntegerValue, Value } from "./evaluate";
export { compile, toInteger } from "./evaluate";
export { parseExpression } from "./parser";
export { mayHold } from "./possible";
export { registerPart, wholeRegisters } from "./registers";
export type { Scope, TypedValue } from "./scope";
export type { Template } from "./show";
export { parseTemplate, showValue } from "./show";
