import type { Expression, Node } from "./ast";

/** What is known of a part of a condition when one field's value is: nothing, or its value. */
type Known = bigint | undefined;

const truth = (value: boolean): bigint => (value ? 1n : 0n);

const comparisons: Partial<Readonly<Record<string, (a: bigint, b: bigint) => boolean>>> = {
  "==": (a, b) => a === b,
  "!=": (a, b) => a !== b,
  "<": (a, b) => a < b,
  "<=": (a, b) => a <= b,
  ">": (a, b) => a > b,
  ">=": (a, b) => a >= b,
};

/**
 * Whether a condition can hold where the field `name` is `value`, as far as that alone tells: false when it cannot, whatever else is the case. A condition that may fail to be evaluated there counts
 * as one that can hold: `fields` are the names whose values are always known.
 */
export function mayHold({ root }: Expression, name: string, value: number, fields: ReadonlySet<string>): boolean {
  const known = (node: Node): Known => {
    switch (node.kind) {
      case "number":
        return node.value;
      case "name":
        return !node.register && node.name === name ? BigInt(value) : undefined;
      case "unary": {
        const operand = node.operator === "!" ? known(node.operand) : undefined;
        return operand === undefined ? undefined : truth(operand === 0n);
      }
      case "binary": {
        const left = known(node.left);
        // What stands behind it is not evaluated then.
        if (node.operator === "&&" && left === 0n) return 0n;
        if (node.operator === "||" && left !== undefined && left !== 0n) return 1n;
        const right = known(node.right);
        if (node.operator === "&&" && right === 0n && cannotFail(node.left, fields)) return 0n;
        if (left === undefined || right === undefined) return undefined;
        if (node.operator === "&&") return truth(left !== 0n && right !== 0n);
        if (node.operator === "||") return truth(left !== 0n || right !== 0n);
        const compare = comparisons[node.operator];
        return compare === undefined ? undefined : truth(compare(left, right));
      }
      case "string":
      case "conditional":
      case "cast":
      case "typeCast":
      case "memory":
      case "member":
      case "index":
        return undefined;
    }
  };
  return known(root) !== 0n;
}

/** Comparisons of fields with each other, numbers and texts, and what is put together of them. */
function cannotFail(node: Node, fields: ReadonlySet<string>): boolean {
  switch (node.kind) {
    case "number":
    case "string":
      return true;
    case "name":
      return !node.register && fields.has(node.name);
    case "unary":
      return node.operator === "!" && cannotFail(node.operand, fields);
    case "binary":
      return (
        (node.operator === "&&" || node.operator === "||" || comparisons[node.operator] !== undefined) &&
        cannotFail(node.left, fields) &&
        cannotFail(node.right, fields)
      );
    case "conditional":
    case "cast":
    case "typeCast":
    case "memory":
    case "member":
    case "index":
      return false;
  }
}
