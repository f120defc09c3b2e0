/** Integer types of the language: casts, `u32[address]`, `*(u16 *)address`. */
export interface IntegerType {
  readonly bits: 8 | 16 | 32 | 64;
  readonly signed: boolean;
}

export type UnaryOperator = "-" | "+" | "!" | "~" | "*" | "&";
export type BinaryOperator =
  "+" | "-" | "*" | "/" | "%" | "<<" | ">>" | "<" | "<=" | ">" | ">=" | "==" | "!=" | "&" | "^" | "|" | "&&" | "||";

/** A part of an expression. `at` is its offset in the text, for messages. */
export type Node =
  | { readonly kind: "number"; readonly value: bigint; readonly at: number }
  | { readonly kind: "string"; readonly value: string; readonly at: number }
  /** `register`: written with a `$`, so that it is never a variable. */
  | { readonly kind: "name"; readonly name: string; readonly register: boolean; readonly at: number }
  | { readonly kind: "unary"; readonly operator: UnaryOperator; readonly operand: Node; readonly at: number }
  | { readonly kind: "binary"; readonly operator: BinaryOperator; readonly left: Node; readonly right: Node; readonly at: number }
  | { readonly kind: "conditional"; readonly condition: Node; readonly then: Node; readonly otherwise: Node; readonly at: number }
  | { readonly kind: "cast"; readonly type: IntegerType; readonly stars: number; readonly operand: Node; readonly at: number }
  /** A cast to a pointer to a type of the program, `(struct node *)address`. */
  | { readonly kind: "typeCast"; readonly type: string; readonly stars: number; readonly operand: Node; readonly at: number }
  /** `u32[address]`, `mem32(address)` or, of a physical address, `phys32(address)`. */
  | { readonly kind: "memory"; readonly type: IntegerType; readonly address: Node; readonly physical: boolean; readonly at: number }
  | { readonly kind: "member"; readonly operand: Node; readonly name: string; readonly arrow: boolean; readonly at: number }
  | { readonly kind: "index"; readonly operand: Node; readonly index: Node; readonly at: number };

/** How a result is to be written, given after a comma: `rax,d`. */
export type Format = "x" | "d" | "u" | "o" | "b" | "c" | "s";

/** A parsed expression, to be compiled and evaluated any number of times. */
export interface Expression {
  readonly text: string;
  readonly root: Node;
  readonly format: Format | undefined;
}

const integerTypes: ReadonlyMap<string, IntegerType> = new Map(
  ([8, 16, 32, 64] as const).flatMap((bits): [string, IntegerType][] => [
    [`u${bits}`, { bits, signed: false }],
    [`s${bits}`, { bits, signed: true }],
    [`uint${bits}_t`, { bits, signed: false }],
    [`int${bits}_t`, { bits, signed: true }],
  ]),
);

/** The integer type called `name`: u8 to u64, s8 to s64, and the names of stdint.h. */
export function integerType(name: string): IntegerType | undefined {
  return integerTypes.get(name);
}

/** What `mem8(...)` to `mem64(...)` and `phys8(...)` to `phys64(...)` read. */
export function memoryFunction(name: string): { readonly type: IntegerType; readonly physical: boolean } | undefined {
  const match = /^(mem|phys)(\d+)$/.exec(name);
  const type = match === null ? undefined : integerTypes.get(`u${match[2]}`);
  return match === null || type === undefined ? undefined : { type, physical: match[1] === "phys" };
}

/** The nodes directly under `node`. */
export function childNodes(node: Node): readonly Node[] {
  switch (node.kind) {
    case "number":
    case "string":
    case "name":
      return [];
    case "unary":
    case "cast":
    case "typeCast":
    case "member":
      return [node.operand];
    case "binary":
      return [node.left, node.right];
    case "conditional":
      return [node.condition, node.then, node.otherwise];
    case "memory":
      return [node.address];
    case "index":
      return [node.operand, node.index];
  }
}
