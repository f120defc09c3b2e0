// Quick checks of what a person types for an interrupt breakpoint, while it is typed. The adapter has the last word: it knows
// registers and symbols; here only what can never be right is refused, with a hint.

const modes = ["fixed", "lowpri", "smi", "nmi", "init", "sipi", "extint"];
const sources = ["ipi", "ioapic", "msi", "timer", "lint0", "lint1", "error", "thermal", "pmc", "cmci", "pic", "debugger"];
const triggers = ["edge", "level"];
const shorthands = ["none", "self", "all", "others"];
const words: Readonly<Record<string, readonly string[]>> = { mode: modes, source: sources, trigger: triggers, shorthand: shorthands };
const closers: Readonly<Record<string, string>> = { ")": "(", "]": "[" };

/** Examples for the input box, from the commonest to the rarest. */
export const conditionExamples = ["vector == 0xf0 && dst == 1", 'mode == "nmi"', 'source == "timer" && cpu == 2', "count > 100"];

/** Says in one sentence what is wrong with a condition; undefined if nothing can be seen to be. Empty means: always. */
export function conditionProblem(condition: string): string | undefined {
  const quote = /^(?:[^"']|"[^"]*"|'[^']*')*$/.test(condition);
  if (!quote) return "A quotation mark is not closed.";
  const bare = condition.replace(/"[^"]*"|'[^']*'/g, '""').trim();
  const bracket = bracketProblem(bare);
  if (bracket !== undefined) return bracket;
  if (/(^|[^=!<>])=([^=]|$)/.test(bare)) return "Use == to compare.";
  if (/(&&|\|\||[=!<>]=|[<>+\-*/%&|^])$/.test(bare)) return "Something is missing at the end.";
  if (/^(&&|\|\||[=!<>]=|[<>/%|^])/.test(bare)) return "Something is missing at the beginning.";
  return vectorProblem(bare) ?? wordProblem(condition);
}

function bracketProblem(text: string): string | undefined {
  const open: string[] = [];
  for (const character of text) {
    if (character === "(" || character === "[") open.push(character);
    const opener = closers[character];
    if (opener !== undefined && open.pop() !== opener) return `There is no ${opener} for a ${character}.`;
  }
  const last = open.pop();
  return last === undefined ? undefined : `A ${last} is not closed.`;
}

function vectorProblem(text: string): string | undefined {
  for (const [, digits] of text.matchAll(/\bvector\s*==\s*(0x[0-9a-f]+|\d+)\b/gi)) {
    if (BigInt(digits) > 255n) return `Vectors go from 0 to 255 (0xff), ${digits} does not exist.`;
  }
  return undefined;
}

function wordProblem(text: string): string | undefined {
  for (const [, field, , word] of text.matchAll(/\b(mode|source|trigger|shorthand)\s*[=!]=\s*(["'])(.*?)\2/g)) {
    const allowed = words[field];
    if (!allowed.includes(word)) return `${field} is one of ${allowed.join(", ")}; "${word}" is none of them.`;
  }
  return undefined;
}

/** Says what is wrong with a hit condition; empty means: every time. */
export function hitConditionProblem(hitCondition: string): string | undefined {
  if (/^\s*((==|>=|>|<=|<|%)?\s*\d{1,9}\s*)?$/.test(hitCondition)) return undefined;
  return "Write a number of hits, or one with ==, >=, >, <=, < or % before it, such as >= 3.";
}
