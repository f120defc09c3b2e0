import { UserError } from "../../machine/errors";
import type { BinaryOperator, Expression, Format, Node, UnaryOperator } from "./ast";
import { integerType, memoryFunction } from "./ast";
import type { Token } from "./lexer";
import { mistake, tokenise } from "./lexer";

/** Binary operators from loosest to tightest, as in C. */
const levels: readonly (readonly BinaryOperator[])[] = [
  ["||"],
  ["&&"],
  ["|"],
  ["^"],
  ["&"],
  ["==", "!="],
  ["<", "<=", ">", ">="],
  ["<<", ">>"],
  ["+", "-"],
  ["*", "/", "%"],
];
const precedence: ReadonlyMap<string, number> = new Map(
  levels.flatMap((level, index) => level.map((operator) => [operator, index] as const)),
);

/** What people write in other languages, and what it is here. */
const corrections: Readonly<Record<string, string>> = {
  "=": "use '==' to compare",
  "===": "use '=='",
  "!==": "use '!='",
  "<>": "use '!='",
  and: "use '&&'",
  or: "use '||'",
  not: "use '!'",
  AND: "use '&&'",
  OR: "use '||'",
  NOT: "use '!'",
  is: "use '=='",
};

const formats: readonly string[] = ["x", "d", "u", "o", "b", "c", "s"] satisfies Format[];
const maximumDepth = 128;

/**
 * Parses an expression: C's operators over 64-bit integers, strings in comparisons, registers, symbols, memory (`*a`, `u32[a]`,
 * `mem32(a)`) and members of variables. Throws a {@link UserError} that names the column of the mistake.
 */
export function parseExpression(text: string): Expression {
  if (text.trim() === "") throw new UserError("the expression is empty");
  const parser = new Parser(tokenise(text));
  const root = parser.conditional();
  const format = parser.format();
  parser.end();
  return { text, root, format };
}

class Parser {
  private next = 0;
  private depth = 0;

  constructor(private readonly tokens: readonly Token[]) {}

  private get token(): Token {
    return this.tokens[this.next];
  }

  private is(text: string): boolean {
    return this.token.kind === "operator" && this.token.text === text;
  }

  private accept(text: string): boolean {
    if (!this.is(text)) return false;
    this.next++;
    return true;
  }

  private expect(text: string, opened: Token): void {
    if (this.accept(text)) return;
    if (this.token.kind === "end") throw mistake(`the '${opened.text}'`, opened.at, `its '${text}' is missing`);
    this.unexpected();
  }

  /** Throws the error for a token that cannot stand where it is. */
  private unexpected(): never {
    const { token } = this;
    const correction = Object.hasOwn(corrections, token.text) ? corrections[token.text] : undefined;
    if (correction !== undefined) throw mistake(`unknown operator '${token.text}'`, token.at, correction);
    if (token.kind === "end") throw mistake("the expression ends too early", token.at);
    if (token.kind === "operator" && /=$|\+\+|--/.test(token.text) && !precedence.has(token.text))
      throw mistake(`operator '${token.text}'`, token.at, "expressions cannot change anything");
    throw mistake(`unexpected '${token.text}'`, token.at);
  }

  private nested<T>(parse: () => T): T {
    if (++this.depth > maximumDepth) throw mistake("the expression is nested too deeply", this.token.at);
    try {
      return parse();
    } finally {
      this.depth--;
    }
  }

  end(): void {
    if (this.token.kind !== "end") this.unexpected();
  }

  format(): Format | undefined {
    if (!this.accept(",")) return undefined;
    const { token } = this;
    if (token.kind !== "name" || !formats.includes(token.text))
      throw mistake(`unknown format '${token.text}'`, token.at, `use one of ${formats.join(", ")}`);
    this.next++;
    return token.text as Format;
  }

  conditional(): Node {
    return this.nested(() => {
      const condition = this.binary(0);
      const { token } = this;
      if (!this.accept("?")) return condition;
      const then = this.conditional();
      this.expect(":", token);
      return { kind: "conditional", condition, then, otherwise: this.conditional(), at: token.at };
    });
  }

  private binary(level: number): Node {
    let left = this.unary();
    for (;;) {
      const { token } = this;
      const own = token.kind === "operator" ? precedence.get(token.text) : undefined;
      if (own === undefined || own < level) return left;
      this.next++;
      const right = this.nested(() => this.binary(own + 1));
      left = { kind: "binary", operator: token.text as BinaryOperator, left, right, at: token.at };
    }
  }

  private unary(): Node {
    const { token } = this;
    if (token.kind === "operator") {
      switch (token.text) {
        case "-":
        case "+":
        case "!":
        case "~":
        case "*":
        case "&":
          this.next++;
          return { kind: "unary", operator: token.text satisfies UnaryOperator, operand: this.nested(() => this.unary()), at: token.at };
        case "(": {
          const cast = this.cast();
          if (cast !== undefined) return cast;
          break;
        }
        default:
      }
    }
    return this.postfix(this.primary());
  }

  /** `(u8)x`, `(u32 *)x`, `(struct node *)x`, `(name *)x`; undefined when the parenthesis opens anything else. */
  private cast(): Node | undefined {
    const { at } = this.token;
    let look = this.next + 1;
    const words: string[] = [];
    for (let token = this.tokens[look]; token.kind === "name" && !token.register; token = this.tokens[++look]) words.push(token.value);
    let stars = 0;
    const isOperator = (text: string): boolean => this.tokens[look].kind === "operator" && this.tokens[look].text === text;
    while (isOperator("*")) {
      stars++;
      look++;
    }
    if (words.length === 0 || !isOperator(")")) return undefined;
    const name = words.filter((word) => !["struct", "union", "enum", "class", "const", "volatile"].includes(word)).join(" ");
    const type = integerType(name);
    if (type === undefined && stars === 0) return undefined;
    this.next = look + 1;
    const operand = this.nested(() => this.unary());
    return type === undefined ? { kind: "typeCast", type: name, stars, operand, at } : { kind: "cast", type, stars, operand, at };
  }

  private postfix(start: Node): Node {
    let node = start;
    for (;;) {
      const { token } = this;
      if (this.accept("[")) {
        node = { kind: "index", operand: node, index: this.conditional(), at: token.at };
        this.expect("]", token);
      } else if (this.is(".") || this.is("->")) {
        this.next++;
        const name = this.token;
        if (name.kind !== "name") throw mistake(`a member's name is missing after '${token.text}'`, token.at);
        this.next++;
        node = { kind: "member", operand: node, name: name.value, arrow: token.text === "->", at: token.at };
      } else return node;
    }
  }

  private primary(): Node {
    const { token } = this;
    switch (token.kind) {
      case "number":
        this.next++;
        return { kind: "number", value: token.value, at: token.at };
      case "string":
        this.next++;
        return { kind: "string", value: token.value, at: token.at };
      case "name":
        return this.name(token.value, token.register, token);
      case "operator":
        if (!this.accept("(")) return this.unexpected();
        return this.parenthesised(token);
      case "end":
        return this.unexpected();
    }
  }

  private parenthesised(opened: Token): Node {
    const node = this.conditional();
    this.expect(")", opened);
    return node;
  }

  private name(name: string, register: boolean, token: Token): Node {
    const following = this.tokens[this.next + 1];
    if (/^not$/i.test(name) && (following.kind !== "operator" || following.text === "(") && following.kind !== "end") this.unexpected();
    this.next++;
    const opened = this.token;
    const memory = register ? undefined : memoryFunction(name);
    if (memory !== undefined && this.accept("(")) return { kind: "memory", ...memory, address: this.parenthesised(opened), at: token.at };
    const type = register ? undefined : integerType(name);
    if (type !== undefined && this.accept("[")) {
      const address = this.conditional();
      this.expect("]", opened);
      return { kind: "memory", type, address, physical: false, at: token.at };
    }
    if (this.is("("))
      throw mistake(`functions cannot be called, and '${name}'`, token.at, "only mem8 to mem64 and phys8 to phys64 take an argument");
    return { kind: "name", name, register, at: token.at };
  }
}
