import { UserError } from "../../machine/errors";
import type { Format } from "./ast";
import type { CompiledExpression, IntegerValue, Value } from "./evaluate";
import { compile, toInteger } from "./evaluate";
import { parseExpression } from "./parser";
import type { Scope } from "./scope";

/** A C string in memory is shown up to this many bytes. */
const maximumString = 256;

/** Writes a value: unsigned numbers in hexadecimal, signed ones in decimal, unless `format` says otherwise. */
export function showValue(value: Value, format?: Format, scope?: Scope): string {
  if (value.kind === "string") return value.value;
  if (format === undefined)
    return value.kind === "typed" ? value.value.show() : value.sign === "unsigned" ? hexadecimal(value) : value.value.toString();
  const number = toInteger(value);
  switch (format) {
    case "x":
      return hexadecimal(number);
    case "d":
      return BigInt.asIntN(number.bits, number.value).toString();
    case "u":
      return BigInt.asUintN(number.bits, number.value).toString();
    case "o":
      return `0o${BigInt.asUintN(number.bits, number.value).toString(8)}`;
    case "b":
      return `0b${BigInt.asUintN(number.bits, number.value).toString(2)}`;
    case "c":
      return String.fromCharCode(Number(number.value & 0xffn));
    case "s":
      return readString(BigInt.asUintN(64, number.value), scope);
  }
}

function hexadecimal(number: IntegerValue): string {
  return `0x${BigInt.asUintN(number.bits, number.value).toString(16)}`;
}

/** The NUL-terminated text at `address`, up to a limit or the end of readable memory. */
function readString(address: bigint, scope: Scope | undefined): string {
  let text = "";
  for (let i = 0n; i < maximumString; i++) {
    const byte = scope?.readMemory(BigInt.asUintN(64, address + i), 1);
    if (byte === undefined || byte.length === 0) {
      if (i === 0n) throw new UserError(`cannot read memory at 0x${address.toString(16)}`);
      break;
    }
    if (byte[0] === 0) return text;
    text += String.fromCharCode(byte[0]);
  }
  return `${text}...`;
}

/** The text of a logpoint: words and expressions in braces. */
export interface Template {
  readonly parts: readonly (string | CompiledExpression)[];
  /** The text with all expressions evaluated; one that fails stands as its error in angle brackets. */
  render(scope: Scope): string;
}

/** Parses a logpoint's text: `{expression}` or `{expression,format}` is replaced by its value; `\{` is a brace. */
export function parseTemplate(text: string): Template {
  const parts: (string | CompiledExpression)[] = [];
  let words = "";
  for (let at = 0; at < text.length; at++) {
    if (text[at] === "\\" && (text[at + 1] === "{" || text[at + 1] === "}")) words += text[++at];
    else if (text[at] === "{") {
      const end = closingBrace(text, at);
      if (words !== "") parts.push(words);
      words = "";
      parts.push(compile(parseExpression(text.slice(at + 1, end))));
      at = end;
    } else words += text[at];
  }
  if (words !== "") parts.push(words);
  return {
    parts,
    render: (scope) => parts.map((part) => (typeof part === "string" ? part : renderPart(part, scope))).join(""),
  };
}

/** Offset of the brace that closes the one at `open`; braces within strings do not count. */
function closingBrace(text: string, open: number): number {
  let quote: string | undefined;
  for (let at = open + 1; at < text.length; at++) {
    const character = text[at];
    if (quote !== undefined) {
      if (character === "\\") at++;
      else if (character === quote) quote = undefined;
    } else if (character === '"' || character === "'") quote = character;
    else if (character === "}") return at;
  }
  throw new UserError(`the '{' at column ${open + 1} has no '}'; write \\{ for a brace`);
}

function renderPart(part: CompiledExpression, scope: Scope): string {
  try {
    return showValue(part.evaluate(scope), part.expression.format, scope);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return `<${error.message}>`;
  }
}
