import { UserError } from "../../machine/errors";
import type { BinaryOperator, Expression, IntegerType, Node } from "./ast";
import { registerPart } from "./registers";
import type { Scope, TypedValue } from "./scope";

/**
 * A number. `value` is the number itself, not its bits: in [0, 2^bits) when unsigned, in [-2^(bits-1), 2^(bits-1)) when signed.
 * Literals are `plain` until they meet something that is signed or unsigned.
 */
export interface IntegerValue {
  readonly kind: "integer";
  readonly value: bigint;
  readonly bits: number;
  readonly sign: "plain" | "unsigned" | "signed";
  /** Set by `(u32 *)`: what a dereference reads. `stars` of 2 and more are pointers to pointers. */
  readonly pointee?: { readonly type: IntegerType; readonly stars: number } | undefined;
}

export type Value =
  IntegerValue | { readonly kind: "string"; readonly value: string } | { readonly kind: "typed"; readonly value: TypedValue };

/** An expression made ready to be evaluated often. */
export interface CompiledExpression {
  readonly expression: Expression;
  /** The value in `scope`. Throws a {@link UserError}: unknown name, unreadable memory, division by zero, operands that do not fit. */
  evaluate(scope: Scope): Value;
  /** Whether the expression holds in `scope`: its number is not zero. */
  test(scope: Scope): boolean;
}

type Evaluator = (scope: Scope) => Value;

/** Compiles a parsed expression to closures. */
export function compile(expression: Expression): CompiledExpression {
  const evaluate = compileNode(expression.root);
  return { expression, evaluate, test: (scope) => isTrue(evaluate(scope)) };
}

const unsigned = (value: bigint, bits = 64): IntegerValue => ({
  kind: "integer",
  value: BigInt.asUintN(bits, value),
  bits,
  sign: "unsigned",
});
const signed = (value: bigint, bits = 64): IntegerValue => ({ kind: "integer", value: BigInt.asIntN(bits, value), bits, sign: "signed" });
const truth = (holds: boolean): IntegerValue => ({ kind: "integer", value: holds ? 1n : 0n, bits: 64, sign: "plain" });

/** A literal's result: signed when negative, wrapped when it has outgrown 64 bits. */
function plain(value: bigint): IntegerValue {
  if (value < 0n) return signed(value);
  return { kind: "integer", value: BigInt.asUintN(64, value), bits: 64, sign: "plain" };
}

function describe(value: Value): string {
  if (value.kind === "string") return `the string "${value.value}"`;
  return value.kind === "typed" ? `a value of type ${value.value.type}` : "a number";
}

/** The number that a value stands for. */
export function toInteger(value: Value): IntegerValue {
  if (value.kind === "integer") return value;
  if (value.kind === "string") throw new UserError(`the string "${value.value}" cannot be used as a number`);
  const number = value.value.integer();
  if (number === undefined) {
    // Arrays become their address, as in C.
    if (value.value.target() !== undefined && value.value.address !== undefined) return unsigned(value.value.address);
    throw new UserError(`a value of type ${value.value.type} cannot be used as a number`);
  }
  return number.signed ? signed(number.value, number.bits) : unsigned(number.value, number.bits);
}

function isTrue(value: Value): boolean {
  return toInteger(value).value !== 0n;
}

function compileNode(node: Node): Evaluator {
  switch (node.kind) {
    case "number": {
      const value = plain(node.value);
      return () => value;
    }
    case "string": {
      const value: Value = { kind: "string", value: node.value };
      return () => value;
    }
    case "name":
      return compileName(node.name, node.register, node.at);
    case "unary":
      return compileUnary(node);
    case "binary":
      return compileBinary(node.operator, compileNode(node.left), compileNode(node.right));
    case "conditional": {
      const condition = compileNode(node.condition);
      const then = compileNode(node.then);
      const otherwise = compileNode(node.otherwise);
      return (scope) => (isTrue(condition(scope)) ? then(scope) : otherwise(scope));
    }
    case "cast": {
      const operand = compileNode(node.operand);
      const { type, stars } = node;
      if (stars > 0) return (scope) => ({ ...unsigned(toInteger(operand(scope)).value), pointee: { type, stars } });
      return (scope) => convert(toInteger(operand(scope)).value, type);
    }
    case "typeCast": {
      const operand = compileNode(node.operand);
      const { type, stars } = node;
      return (scope) => {
        const pointer = scope.pointerTo?.(type, stars, BigInt.asUintN(64, toInteger(operand(scope)).value));
        if (pointer === undefined) throw new UserError(`unknown type '${type}' at column ${node.at + 2}`);
        return { kind: "typed", value: pointer };
      };
    }
    case "memory": {
      const address = compileNode(node.address);
      const { type, physical } = node;
      return (scope) => load(scope, toInteger(address(scope)).value, type, physical);
    }
    case "member":
      return compileMember(node);
    case "index":
      return compileIndex(node);
  }
}

function convert(value: bigint, type: IntegerType): IntegerValue {
  return type.signed ? signed(value, type.bits) : unsigned(value, type.bits);
}

/** Reads an integer from guest memory (little-endian). */
function load(scope: Scope, at: bigint, type: IntegerType, physical = false): IntegerValue {
  const address = BigInt.asUintN(64, at);
  const size = type.bits / 8;
  const bytes = physical ? scope.readPhysical?.(address, size) : scope.readMemory(address, size);
  if (bytes === undefined || bytes.length < size)
    throw new UserError(`cannot read ${size} bytes of ${physical ? "physical " : ""}memory at 0x${address.toString(16)}`);
  let value = 0n;
  for (let i = size - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[i]);
  return convert(value, type);
}

/** Asks the scope for `name`; parts of registers are cut out of the whole. `prefix` is that of another CPU (`cpu1.`) or empty. */
function lookup(scope: Scope, prefix: string, name: string): Value | undefined {
  const direct = scope.lookup(prefix + name);
  const lower = name.toLowerCase();
  const part = registerPart(lower);
  if (direct !== undefined) {
    if (typeof direct === "string") return { kind: "string", value: direct };
    if (direct < 0n) return signed(direct);
    return unsigned(direct, part?.bits ?? 64);
  }
  if (part === undefined) return undefined;
  const whole = scope.lookup(prefix + part.whole);
  return typeof whole === "bigint" ? unsigned(whole >> part.shift, part.bits) : undefined;
}

function compileName(name: string, register: boolean, at: number): Evaluator {
  return (scope) => {
    const variable = register ? undefined : scope.variable?.(name);
    if (variable !== undefined) return { kind: "typed", value: variable };
    const value = lookup(scope, "", name);
    if (value === undefined) throw new UserError(`unknown name '${name}' at column ${at + 1}`);
    return value;
  };
}

function compileMember(node: Extract<Node, { kind: "member" }>): Evaluator {
  const { name, operand, arrow } = node;
  const inner = compileNode(operand);
  // `cpu1.rax`, `cpu1.lapic.tpr` and the like are names with dots, unless the program has a variable of the first name.
  const dotted = arrow ? undefined : dottedName(operand);
  return (scope) => {
    if (dotted !== undefined && (dotted.register || scope.variable?.(dotted.first) === undefined)) {
      const variable = /^cpu\d+$/.test(dotted.whole) ? scope.variable?.(`${dotted.whole}.${name}`) : undefined;
      if (variable !== undefined) return { kind: "typed", value: variable };
      const found = lookup(scope, `${dotted.whole}.`, name);
      if (found !== undefined) return found;
      if (/^(?:cpu\d+|(?:cpu\d+\.)?lapic)$/.test(dotted.whole))
        throw new UserError(`unknown name '${dotted.whole}.${name}' at column ${dotted.at + 1}`);
    }
    const value = inner(scope);
    // C tells p->b and a.b apart; whoever types in a debugger means the same by both.
    const holder = value.kind === "typed" ? value.value : undefined;
    const member = holder?.member(name) ?? holder?.target()?.member(name);
    if (member === undefined) throw new UserError(`${describe(value)} has no member '${name}' (column ${node.at + 1})`);
    return { kind: "typed", value: member };
  };
}

/** What stands before a name with dots: `lapic`, `cpu1`, `cpu1.lapic`. */
function dottedName(
  node: Node,
): { readonly first: string; readonly whole: string; readonly register: boolean; readonly at: number } | undefined {
  if (node.kind === "name") return { first: node.name, whole: node.name, register: node.register, at: node.at };
  if (node.kind !== "member" || node.arrow || node.name !== "lapic" || node.operand.kind !== "name") return undefined;
  const { name, register, at } = node.operand;
  return { first: name, whole: `${name}.${node.name}`, register, at };
}

function compileIndex(node: Extract<Node, { kind: "index" }>): Evaluator {
  const operand = compileNode(node.operand);
  const index = compileNode(node.index);
  return (scope) => {
    const base = operand(scope);
    const offset = toInteger(index(scope)).value;
    if (base.kind === "typed") {
      const element = base.value.element(offset);
      if (element !== undefined) return { kind: "typed", value: element };
    } else if (base.kind === "integer" && base.pointee !== undefined) return dereference(scope, add(base, plain(offset), 1n));
    throw new UserError(`${describe(base)} has no elements (column ${node.at + 1}); use u32[address] to read memory`);
  };
}

function dereference(scope: Scope, value: Value): Value {
  if (value.kind === "typed") {
    const target = value.value.target();
    if (target !== undefined) return { kind: "typed", value: target };
  }
  const address = toInteger(value);
  const { pointee } = address;
  if (pointee === undefined || pointee.stars === 1) return load(scope, address.value, pointee?.type ?? { bits: 64, signed: false });
  return { ...load(scope, address.value, { bits: 64, signed: false }), pointee: { type: pointee.type, stars: pointee.stars - 1 } };
}

function compileUnary(node: Extract<Node, { kind: "unary" }>): Evaluator {
  const operand = compileNode(node.operand);
  switch (node.operator) {
    case "!":
      return (scope) => truth(!isTrue(operand(scope)));
    case "+":
      return (scope) => toInteger(operand(scope));
    case "-":
      return (scope) => {
        const { value, sign } = toInteger(operand(scope));
        return sign === "plain" ? plain(-value) : sign === "signed" ? signed(-value) : unsigned(-value);
      };
    case "~":
      return (scope) => {
        const { value, sign } = toInteger(operand(scope));
        return sign === "signed" ? signed(~value) : unsigned(~value);
      };
    case "*":
      return (scope) => dereference(scope, operand(scope));
    case "&":
      return (scope) => {
        const value = operand(scope);
        if (value.kind === "typed" && value.value.address !== undefined) return unsigned(value.value.address);
        if (node.operand.kind === "name" && (node.operand.register || registerPart(node.operand.name.toLowerCase()) !== undefined))
          throw new UserError(`${node.operand.name} is a register and has no address (column ${node.at + 1})`);
        // A symbol without type is its address already.
        if (value.kind === "integer" && node.operand.kind === "name") return value;
        throw new UserError(`${describe(value)} has no address (column ${node.at + 1})`);
      };
  }
}

function compileBinary(operator: BinaryOperator, left: Evaluator, right: Evaluator): Evaluator {
  switch (operator) {
    case "&&":
      return (scope) => truth(isTrue(left(scope)) && isTrue(right(scope)));
    case "||":
      return (scope) => truth(isTrue(left(scope)) || isTrue(right(scope)));
    case "==":
      return (scope) => truth(equal(left(scope), right(scope)));
    case "!=":
      return (scope) => truth(!equal(left(scope), right(scope)));
    case "<":
      return (scope) => truth(compare(left(scope), right(scope)) < 0);
    case "<=":
      return (scope) => truth(compare(left(scope), right(scope)) <= 0);
    case ">":
      return (scope) => truth(compare(left(scope), right(scope)) > 0);
    case ">=":
      return (scope) => truth(compare(left(scope), right(scope)) >= 0);
    case "+":
    case "-":
      return (scope) => sum(left(scope), right(scope), operator === "+" ? 1n : -1n);
    default:
      return (scope) => arithmetic(operator, toInteger(left(scope)), toInteger(right(scope)));
  }
}

function sum(left: Value, right: Value, factor: bigint): Value {
  // Pointers of the program step by elements, as in C.
  if (left.kind === "typed") {
    const target = left.value.target();
    const element = target === undefined ? undefined : left.value.element(toInteger(right).value * factor);
    if (element?.address !== undefined && right.kind === "integer") return unsigned(element.address);
  }
  return add(toInteger(left), toInteger(right), factor);
}

function add(left: IntegerValue, right: IntegerValue, factor: bigint): IntegerValue {
  if (left.pointee === undefined) return combine(left, right, left.value + right.value * factor);
  const size = left.pointee.stars > 1 ? 8n : BigInt(left.pointee.type.bits / 8);
  return { ...unsigned(left.value + right.value * factor * size), pointee: left.pointee };
}

/** The result of 64-bit arithmetic: unsigned as soon as one operand is, else signed. */
function combine(left: IntegerValue, right: IntegerValue, value: bigint): IntegerValue {
  if (left.sign === "unsigned" || right.sign === "unsigned") return unsigned(value);
  return left.sign === "signed" || right.sign === "signed" ? signed(value) : plain(value);
}

function arithmetic(
  operator: Exclude<BinaryOperator, "+" | "-" | "&&" | "||" | "==" | "!=" | "<" | "<=" | ">" | ">=">,
  left: IntegerValue,
  right: IntegerValue,
): IntegerValue {
  switch (operator) {
    case "*":
      return combine(left, right, left.value * right.value);
    case "/":
    case "%":
      if (right.value === 0n) throw new UserError("division by zero");
      return combine(left, right, operator === "/" ? left.value / right.value : left.value % right.value);
    case "&":
      return combine(left, right, left.value & right.value);
    case "|":
      return combine(left, right, left.value | right.value);
    case "^":
      return combine(left, right, left.value ^ right.value);
    case "<<":
      return combine(left, left, shiftCount(right) > 63n ? 0n : left.value << shiftCount(right));
    case ">>":
      return combine(left, left, left.value >> shiftCount(right));
  }
}

function shiftCount(right: IntegerValue): bigint {
  if (right.value < 0n) throw new UserError(`a shift by ${right.value} bits is not possible`);
  return right.value > 64n ? 64n : right.value;
}

/** -1, 0 or 1. Against a negative number an unsigned one is read as signed, so that `eax == -1` and `rax < 0 - 4` mean what they say. */
function compare(leftValue: Value, rightValue: Value): number {
  if (leftValue.kind === "string" || rightValue.kind === "string") {
    if (leftValue.kind === "string" && rightValue.kind === "string") throw new UserError(`strings can only be compared by '==' and '!='`);
    const [text, other] = leftValue.kind === "string" ? [leftValue, rightValue] : [rightValue, leftValue];
    throw new UserError(`${describe(text)} cannot be compared with ${describe(other)}`);
  }
  const left = toInteger(leftValue);
  const right = toInteger(rightValue);
  const a = right.value < 0n && left.sign === "unsigned" ? BigInt.asIntN(left.bits, left.value) : left.value;
  const b = left.value < 0n && right.sign === "unsigned" ? BigInt.asIntN(right.bits, right.value) : right.value;
  return a < b ? -1 : a > b ? 1 : 0;
}

function equal(left: Value, right: Value): boolean {
  if (left.kind === "string" && right.kind === "string") return left.value === right.value;
  // An enumeration's constants and C strings compare with text by what is shown of them.
  if (left.kind === "typed" && right.kind === "string") return showsAs(left.value, right.value);
  if (left.kind === "string" && right.kind === "typed") return showsAs(right.value, left.value);
  return compare(left, right) === 0;
}

function showsAs(value: TypedValue, text: string): boolean {
  const shown = value.show();
  return shown === text || shown.endsWith(` ${JSON.stringify(text)}`) || shown === JSON.stringify(text);
}
