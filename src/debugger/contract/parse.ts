import { UserError } from "../../common/errors";
import type { ParsedStatement, StatementFactory } from "./statement";
import * as statements from "./statements";
import { lintKinds } from "../lints/lint";

type Maker = (groups: Readonly<Record<string, string | undefined>>) => StatementFactory;

const vector = "(?:vector )(?<vector>0x[0-9a-f]+|\\d+)";
const where = "(?: on (?:every cpu|cpu (?<cpu>\\d+)))?";
const count = "(?<count>\\d+)";

const number = (text: string | undefined): number => Number(text ?? "0");
const optional = (text: string | undefined): number | undefined => (text === undefined ? undefined : Number(text));

const units: Readonly<Record<string, number>> = { ns: 1, us: 1e3, ms: 1e6, s: 1e9 };
const time = (amount: string | undefined, unit: string | undefined): number => Number(amount ?? "0") * (units[unit ?? "ns"] ?? 1);

const scope = (groups: Readonly<Record<string, string | undefined>>): statements.Where => ({
  vector: number(groups["vector"]),
  cpu: optional(groups["cpu"]),
});

/** The sentences of the language: what they look like, an example, and what they mean. */
const grammar: readonly { readonly example: string; readonly pattern: RegExp; readonly make: Maker }[] = [
  {
    example: "vector 0x20 on every CPU is followed by EOI within 5000 instructions",
    pattern: new RegExp(`^${vector}${where} is followed by eoi within ${count} instructions$`),
    make: (groups) => statements.followedBy("eoi", scope(groups), number(groups["count"])),
  },
  {
    example: "vector 0x20 is delivered within 1000 instructions",
    pattern: new RegExp(`^${vector}${where} is delivered within ${count} instructions$`),
    make: (groups) => statements.deliveredWithin(scope(groups), number(groups["count"])),
  },
  {
    example: "the handler of vector 0x20 returns within 20000 instructions",
    pattern: new RegExp(`^the handler of ${vector}${where} returns within ${count} instructions$`),
    make: (groups) => statements.followedBy("return", scope(groups), number(groups["count"])),
  },
  {
    example: "vector 0x20 on CPU 1 is delivered at least 10 times",
    pattern: new RegExp(`^${vector}${where} is delivered at (?<bound>least|most) ${count} times$`),
    make: (groups) => statements.deliveredTimes(scope(groups), groups["bound"] === "least" ? "least" : "most", number(groups["count"])),
  },
  {
    example: "CPU 3 starts within 10 ms",
    pattern: /^(?:cpu (?<cpu>\d+) starts|every cpu starts) within (?<amount>\d+(?:\.\d+)?) ?(?<unit>ns|us|ms|s)$/,
    make: (groups) => statements.startsWithin(optional(groups["cpu"]), time(groups["amount"], groups["unit"])),
  },
  {
    example: "no lint",
    pattern: new RegExp(`^no lint(?: (?<kind>${lintKinds.join("|")}))?$`),
    make: (groups) => statements.noLint(groups["kind"]),
  },
  {
    example: "no drop",
    pattern: new RegExp(`^no drop(?: of ${vector})?$`),
    make: (groups) => statements.noDrop(optional(groups["vector"])),
  },
  { example: "no storm", pattern: /^no storm$/, make: () => statements.noStorm() },
  {
    example: "no exception 13",
    pattern: /^no exceptions?(?: (?<vector>0x[0-9a-f]+|\d+))?$/,
    make: (groups) => statements.noException(optional(groups["vector"])),
  },
  {
    example: "interrupts are never off for more than 100000 instructions",
    pattern: new RegExp(`^interrupts are never off for more than ${count} instructions(?: on cpu (?<cpu>\\d+))?$`),
    make: (groups) => statements.maskedAtMost(optional(groups["cpu"]), number(groups["count"])),
  },
  {
    example: "handlers never nest deeper than 2",
    pattern: new RegExp(`^handlers never nest deeper than ${count}$`),
    make: (groups) => statements.nestedAtMost(number(groups["count"])),
  },
  {
    example: 'the guest prints "PASS"',
    pattern: /^the guest prints "(?<text>[^"]+)"$/,
    make: (groups) => statements.prints(groups["text"] ?? ""),
  },
  {
    example: "the guest ends with status 0",
    pattern: new RegExp(`^the guest ends with status ${count}$`),
    make: (groups) => statements.endsWith(number(groups["count"])),
  },
];

/** The statements that there are, one example each. */
export const contractExamples: readonly string[] = grammar.map(({ example }) => example);

const maximumStatements = 1000;

/**
 * Parses a contract: one statement a line, `#` begins a comment. Words may be in any case; what the guest prints is taken as written.
 * @throws UserError that names the file and line of a statement that is none
 */
export function parseContract(text: string, file: string): ParsedStatement[] {
  const found: ParsedStatement[] = [];
  for (const [index, raw] of text.split(/\r?\n/).entries()) {
    const line = raw.replace(/^((?:[^"#]|"[^"]*")*)#.*$/, "$1").trim();
    if (line === "") continue;
    const plain = line.replace(/"[^"]*"|[^"]+/g, (part) => (part.startsWith('"') ? part : part.toLowerCase().replace(/\s+/g, " ")));
    const sentence = plain.replace(/\.$/, "");
    const start = startOf(sentence);
    if (start === undefined)
      throw new UserError(
        `${file}:${index + 1}: "${line}" is no statement of a contract. There are: ${contractExamples.join("; ")}.`,
        "contract",
      );
    found.push({ text: line, line: index + 1, start });
    if (found.length > maximumStatements)
      throw new UserError(`${file}: at most ${maximumStatements} statements fit a contract.`, "contract");
  }
  if (found.length === 0) throw new UserError(`${file}: the contract has no statements.`, "contract");
  return found;
}

function startOf(sentence: string): StatementFactory | undefined {
  for (const { pattern, make } of grammar) {
    const match = pattern.exec(sentence);
    if (match !== null) return make(match.groups ?? {});
  }
  return undefined;
}
