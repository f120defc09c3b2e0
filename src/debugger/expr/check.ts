import { UserError } from "../../machine/errors";
import type { Expression, Node } from "./ast";
import { childNodes } from "./ast";
import { registerPart } from "./registers";

/** What may stand in an expression, for checks before there is anything to evaluate it in. */
export interface KnownNames {
  /** Fields: listed in the message when a name is unknown. */
  readonly names: Iterable<string>;
  /** The texts that a field takes: `mode` is one of "fixed", "nmi" and so on. */
  readonly values?: Readonly<Record<string, readonly string[]>> | undefined;
  /** Whether names of registers may stand, with or without `cpuN.`; they may when not said. */
  readonly registers?: boolean | undefined;
  /** Whether any other name may stand: symbols and variables. */
  isKnown?(name: string): boolean;
}

const maximumListed = 40;

/**
 * Checks the names of an expression, and the strings that fields are compared with. Throws a {@link UserError} that names the first
 * unknown one and lists the valid ones.
 */
export function checkExpression(expression: Expression, known: KnownNames | Iterable<string>): void {
  const rules: KnownNames = isKnownNames(known) ? known : { names: known };
  const names = new Set(rules.names);
  checkNode(expression.root, rules, names);
}

function isKnownNames(known: KnownNames | Iterable<string>): known is KnownNames {
  return typeof known === "object" && "names" in known;
}

function checkNode(node: Node, rules: KnownNames, names: ReadonlySet<string>): void {
  if (node.kind === "name") return checkName(node.name, node.name, node.at, rules, names);
  if (node.kind === "member" && node.operand.kind === "name" && !node.arrow) {
    const { name, at } = node.operand;
    const dotted = `${name}.${node.name}`;
    if (names.has(dotted) || rules.isKnown?.(dotted) === true) return;
    if (/^cpu\d+$/.test(name)) return checkName(node.name, dotted, at, rules, names);
    return checkName(name, name, at, rules, names);
  }
  if (node.kind === "member" && node.operand.kind === "member" && !node.arrow && !node.operand.arrow) {
    const { operand, name: register } = node.operand;
    // `cpu1.lapic.tpr`
    if (operand.kind === "name" && /^cpu\d+$/.test(operand.name) && rules.isKnown?.(`${register}.${node.name}`) === true) return;
  }
  if (node.kind === "binary") checkTexts(node, rules);
  for (const child of childNodes(node)) checkNode(child, rules, names);
}

function checkName(name: string, shown: string, at: number, rules: KnownNames, names: ReadonlySet<string>): void {
  // Of another CPU (`cpu1.`) there are registers and symbols, and no fields.
  if ((name === shown && names.has(name)) || rules.isKnown?.(name) === true) return;
  if (rules.registers !== false && registerPart(name.toLowerCase()) !== undefined) return;
  const hint = guess(name, names);
  const all = [...names];
  const listed = all.slice(0, maximumListed).join(", ") + (all.length > maximumListed ? ", ..." : "");
  const others = rules.registers === false ? "" : ", registers";
  throw new UserError(
    `unknown name '${shown}' at column ${at + 1}${hint}; valid names are ${listed}${others}${rules.isKnown === undefined ? "" : " and symbols"}`,
  );
}

/** `(did you mean ...?)` for hexadecimal digits without 0x and for names that differ by a letter or two. */
function guess(name: string, names: ReadonlySet<string>): string {
  if (/^[a-fA-F][0-9a-fA-F]+$/.test(name)) return ` (did you mean 0x${name}?)`;
  let best: string | undefined;
  let distance = name.length > 4 ? 3 : 2;
  for (const candidate of names) {
    const own = editDistance(name.toLowerCase(), candidate.toLowerCase(), distance);
    if (own < distance) {
      distance = own;
      best = candidate;
    }
  }
  return best === undefined ? "" : ` (did you mean '${best}'?)`;
}

/** Levenshtein's distance, or `limit` when it is at least that. */
function editDistance(a: string, b: string, limit: number): number {
  if (Math.abs(a.length - b.length) >= limit || a.length > 64) return limit;
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) next.push(Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1)));
    row = next;
  }
  return Math.min(row[b.length], limit);
}

function checkTexts(node: Extract<Node, { kind: "binary" }>, rules: KnownNames): void {
  if (node.operator !== "==" && node.operator !== "!=") return;
  for (const [field, text] of [
    [node.left, node.right],
    [node.right, node.left],
  ]) {
    if (field.kind !== "name" || rules.values === undefined || !Object.hasOwn(rules.values, field.name)) continue;
    const valid = rules.values[field.name];
    if (text.kind === "string" && !valid.includes(text.value))
      throw new UserError(
        `${field.name} is never "${text.value}" (column ${text.at + 1}); valid values are ${valid.map((value) => `"${value}"`).join(", ")}`,
      );
    // The commonest slip: the quotes forgotten.
    if (text.kind === "name" && valid.includes(text.name))
      throw new UserError(`${text.name} needs quotes at column ${text.at + 1}; write ${field.name} ${node.operator} "${text.name}"`);
    if (text.kind === "number")
      throw new UserError(
        `${field.name} is a text, not a number (column ${text.at + 1}); valid values are ${valid.map((value) => `"${value}"`).join(", ")}`,
      );
  }
}
