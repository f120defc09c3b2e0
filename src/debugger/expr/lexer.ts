import { UserError } from "../../machine/errors";

export type Token =
  | { readonly kind: "number"; readonly value: bigint; readonly at: number; readonly text: string }
  | { readonly kind: "string"; readonly value: string; readonly at: number; readonly text: string }
  | { readonly kind: "name"; readonly value: string; readonly register: boolean; readonly at: number; readonly text: string }
  | { readonly kind: "operator"; readonly at: number; readonly text: string }
  | { readonly kind: "end"; readonly at: number; readonly text: string };

/** Larger expressions are a mistake (or an attack on the parser, whose recursion these bound). */
const maximumLength = 16_384;
const maximumTokens = 1_000;

// Longest first; those that are not in the language are recognised so that the message can name them whole.
const operators = [
  ...["<<=", ">>=", "===", "!=="],
  ...["->", "<<", ">>", "<=", ">=", "==", "!=", "&&", "||", "<>", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "++", "--"],
  ...["+", "-", "*", "/", "%", "<", ">", "=", "!", "~", "&", "|", "^", "?", ":", "(", ")", "[", "]", ".", ","],
];

const escapes: Readonly<Record<string, string>> = { n: "\n", t: "\t", r: "\r", "0": "\0", "\\": "\\", "'": "'", '"': '"' };

/** The error for a mistake at offset `at` of the text: columns count from 1. */
export function mistake(message: string, at: number, hint?: string): UserError {
  return new UserError(`${message} at column ${at + 1}${hint === undefined ? "" : `; ${hint}`}`);
}

/** Splits the text of an expression into tokens. */
export function tokenise(text: string): Token[] {
  if (text.length > maximumLength) throw new UserError(`an expression of ${text.length} characters is too long`);
  const tokens: Token[] = [];
  let at = 0;
  while (at < text.length) {
    const character = text[at];
    if (/\s/.test(character)) {
      at++;
      continue;
    }
    const token = readToken(text, at);
    tokens.push(token);
    if (tokens.length > maximumTokens) throw new UserError(`an expression of more than ${maximumTokens} parts is too long`);
    at += token.text.length;
  }
  tokens.push({ kind: "end", at: text.length, text: "" });
  return tokens;
}

function readToken(text: string, at: number): Token {
  const character = text[at];
  if (/[0-9]/.test(character)) return readNumber(text, at);
  if (/[A-Za-z_$@]/.test(character)) return readName(text, at);
  if (character === '"' || character === "'") return readQuoted(text, at, character);
  if (character === "`") {
    const end = text.indexOf("`", at + 1);
    if (end < 0) throw mistake("the name that begins with '`' has no end", at);
    return { kind: "name", value: text.slice(at + 1, end), register: false, at, text: text.slice(at, end + 1) };
  }
  const operator = operators.find((candidate) => text.startsWith(candidate, at));
  if (operator === undefined) {
    const character = String.fromCodePoint(text.codePointAt(at) ?? 0);
    // What a terminal would not show is told by its number.
    const shown = /^\P{C}$/u.test(character)
      ? `'${character}'`
      : `U+${(text.codePointAt(at) ?? 0).toString(16).toUpperCase().padStart(4, "0")}`;
    throw mistake(`unexpected character ${shown}`, at);
  }
  return { kind: "operator", at, text: operator };
}

function readNumber(text: string, at: number): Token {
  const word = /^[0-9A-Za-z_.]+/.exec(text.slice(at))?.[0] ?? "";
  const match = /^(0[xX][0-9a-fA-F_]+?|0[bB][01_]+|0[oO][0-7_]+|[0-9][0-9_]*)[uUlL]*$/.exec(word);
  if (match === null) {
    const hint = /^[0-9a-fA-F]+[hH]?$/.test(word) ? `write hexadecimal as 0x${word.replace(/[hH]$/, "")}` : undefined;
    throw mistake(`'${word}' is not a number`, at, hint);
  }
  const digits = match[1].replaceAll("_", "").toLowerCase();
  if (/^0[xbo]?$/.test(digits) && digits.length === 2) throw mistake(`'${word}' is not a number`, at);
  const value = BigInt(digits);
  if (value >= 1n << 64n) throw mistake(`the number ${word.length > 40 ? `${word.slice(0, 20)}...` : word} has more than 64 bits`, at);
  return { kind: "number", value, at, text: word };
}

function readName(text: string, at: number): Token {
  const word = /^[$@]?[A-Za-z0-9_]*(?:::~?[A-Za-z_][A-Za-z0-9_]*)*/.exec(text.slice(at))?.[0] ?? "";
  const register = word.startsWith("$") || word.startsWith("@");
  const name = register ? word.slice(1) : word;
  if (name === "") throw mistake(`a name is missing after '${word}'`, at);
  return { kind: "name", value: name, register, at, text: word };
}

function readQuoted(text: string, at: number, quote: string): Token {
  let value = "";
  let end = at + 1;
  for (; end < text.length && text[end] !== quote; end++) {
    if (text[end] !== "\\") {
      value += text[end];
      continue;
    }
    end++;
    const hex = /^x([0-9a-fA-F]{1,2})/.exec(text.slice(end));
    if (hex !== null) {
      value += String.fromCharCode(Number(`0x${hex[1]}`));
      end += hex[0].length - 1;
    } else value += escapes[text[end]] ?? text[end] ?? "";
  }
  if (end >= text.length) throw mistake(`the string that begins with ${quote} has no end`, at);
  const whole = text.slice(at, end + 1);
  // 'a' is a number as in C; a longer text between single quotes can only be meant as a string.
  if (quote === "'" && value.length === 1) return { kind: "number", value: BigInt(value.charCodeAt(0)), at, text: whole };
  return { kind: "string", value, at, text: whole };
}
