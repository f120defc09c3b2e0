import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Scope, TypedValue } from "../../../src/debugger/expr";
import { checkExpression, compile, parseExpression, parseTemplate, showValue, toInteger } from "../../../src/debugger/expr";
import { UserError } from "../../../src/machine/errors";

const memory = Uint8Array.from({ length: 64 }, (_, i) => i + 1);
memory.set([0x68, 0x69, 0], 40);
memory.fill(0xff, 56, 64);

const names: Record<string, bigint | string> = {
  rax: 0x1122_3344_5566_ff80n,
  rcx: 0xffff_ffff_ffff_fff0n,
  rdx: 0xffff_ffffn,
  rip: 0xffff_ffff_8100_0000n,
  rflags: 0x246n,
  cr3: 0x1000n,
  cs: 8n,
  "cpu1.rax": 0xabcdn,
  vector: 0xf0n,
  src: 0n,
  dst: 1n,
  mode: "fixed",
  start_kernel: 0xffff_ffff_8100_0123n,
};

const scope: Scope = {
  lookup: (name) => names[name],
  readMemory: (address, size) =>
    address >= 0x1000n && address + BigInt(size) <= 0x1040n
      ? memory.subarray(Number(address - 0x1000n), Number(address - 0x1000n) + size)
      : undefined,
};

const evaluate = (text: string, within: Scope = scope): string => {
  const expression = parseExpression(text);
  return showValue(compile(expression).evaluate(within), expression.format, within);
};

const holds = (text: string): boolean => compile(parseExpression(text)).test(scope);

const message = (run: () => unknown): string => {
  try {
    run();
  } catch (error) {
    assert.ok(error instanceof UserError, String(error));
    return error.message;
  }
  assert.fail("nothing was thrown");
};

describe("expressions", () => {
  const values: Record<string, string> = {
    "1 + 2 * 3": "7",
    "(1 + 2) * 3": "9",
    "0x10 + 0b11 + 0o7": "26",
    "1_000_000": "1000000",
    "'a'": "97",
    "10 - 3 - 2": "5",
    "2 - 5": "-3",
    "7 / 2": "3",
    "-7 / 2": "-3",
    "-7 % 3": "-1",
    "1 << 63 >> 62": "2",
    "1 << 64": "0",
    "~0": "0xffffffffffffffff",
    "-1 >> 4": "-1",
    "rcx >> 60": "0xf",
    "0xffffffffffffffff + 1": "0",
    "rcx + 0x20": "0x10",
    "1 ? 2 : 3 ? 4 : 5": "2",
    "0 ? 2 : 0 ? 4 : 5": "5",
    "6 & 3 | 8 ^ 1": "11",
    "!5 + !0": "1",
    $rax: "0x112233445566ff80",
    rax: "0x112233445566ff80",
    eax: "0x5566ff80",
    EAX: "0x5566ff80",
    ax: "0xff80",
    ah: "0xff",
    al: "0x80",
    pc: "0xffffffff81000000",
    "cpu1.rax": "0xabcd",
    "cpu1.al": "0xcd",
    "$cpu1.rax + 1": "0xabce",
    "(u8)rax": "0x80",
    "(s8)rax": "-128",
    "(s32)0xffffffff": "-1",
    "(u64)-1": "0xffffffffffffffff",
    "(uint16_t)-1": "0xffff",
    "-(s8)al": "128",
    "u8[0x1000]": "0x1",
    "u32[0x1000 + 4]": "0x8070605",
    "mem32(0x1004)": "0x8070605",
    "mem8(0x1000)": "0x1",
    "s16[0x103e]": "-1",
    "*0x1000": "0x807060504030201",
    "*(u16 *)0x1002": "0x403",
    "((u16 *)0x1000)[2]": "0x605",
    "*((u32 *)0x1000 + 1)": "0x8070605",
    "(u32 *)0x1000 + 2": "0x1008",
    "rax,d": "1234605616436543360",
    "rcx,d": "-16",
    "vector,b": "0b11110000",
    "8,x": "0x8",
    "0x41,c": "A",
    "0x1028,s": "hi",
    mode: "fixed",
    "&start_kernel": "0xffffffff81000123",
    "`start_kernel` + 1": "0xffffffff81000124",
  };
  test("of names with dots only those of other CPUs are asked for as variables, as a search for others takes long", () => {
    const asked = (text: string): string[] => {
      const list: string[] = [];
      const variable = (name: string): undefined => void list.push(name);
      const lookup = (name: string): bigint | undefined => (name.includes(".") ? 1n : undefined);
      evaluate(text, { ...scope, lookup, variable });
      return list;
    };
    assert.deepEqual(asked("lapic.tpr"), ["lapic"]);
    assert.deepEqual(asked("cpu1.lapic.tpr"), ["cpu1"]);
    assert.deepEqual(asked("cpu1.counter"), ["cpu1", "cpu1.counter"]);
  });

  test("values", () => {
    for (const [text, expected] of Object.entries(values)) assert.equal(evaluate(text), expected, text);
  });

  test("conditions compare as they read", () => {
    const yes = [
      "vector == 0xf0 && src == 0 && dst == 1",
      'mode == "fixed"',
      "mode == 'fixed'",
      'mode != "nmi"',
      "rip >= 0xffffffff80000000",
      "rip > 0",
      "rcx == -16",
      "rcx < 0 - 1",
      "-1 < 0",
      "-1 < 5",
      "0 > -1",
      "edx == -1",
      "dst > -1",
      "rcx > 5",
      "(s64)rcx < 5",
      "rflags & 0x200",
      "src == 1 || dst == 1",
      "!(vector < 32)",
      "~rcx == 0xf",
      "rip >> 63 == 1",
      "0 == 0x0",
      "vector >= 0x20 && *(u8 *)0x1000 == 1",
    ];
    for (const text of yes) assert.equal(holds(text), true, text);
    for (const text of ["vector == 0xf1", "rcx < 5", "edx > -1", "src && 1 / 0", "dst == 0 && u8[0] == 1"])
      assert.equal(holds(text), false, text);
  });

  test("mistakes are told with their column", () => {
    const mistakes: Record<string, string> = {
      "": "the expression is empty",
      "vector = 0xf0": "unknown operator '=' at column 8; use '==' to compare",
      "vector == 0xf0 and src == 0": "unknown operator 'and' at column 16; use '&&'",
      "not vector": "unknown operator 'not' at column 1; use '!'",
      "not (vector)": "unknown operator 'not' at column 1; use '!'",
      "a === b": "unknown operator '===' at column 3; use '=='",
      "vector ==": "the expression ends too early at column 10",
      "(1 + 2": "the '(' at column 1; its ')' is missing",
      "1 + 2)": "unexpected ')' at column 6",
      "u32[4": "the '[' at column 4; its ']' is missing",
      "0xfg": "'0xfg' is not a number at column 1",
      "12ab": "'12ab' is not a number at column 1; write hexadecimal as 0x12ab",
      "0x12345678901234567": "the number 0x12345678901234567 has more than 64 bits at column 1",
      '"abc': 'the string that begins with " has no end at column 1',
      "a # b": "unexpected character '#' at column 3",
      "x++": "operator '++' at column 2; expressions cannot change anything",
      "f(1)": "functions cannot be called, and 'f' at column 1; only mem8 to mem64 and phys8 to phys64 take an argument",
      "rax,y": "unknown format 'y' at column 5; use one of x, d, u, o, b, c, s",
      "1 2": "unexpected '2' at column 3",
      "a.": "a member's name is missing after '.' at column 2",
    };
    for (const [text, expected] of Object.entries(mistakes))
      assert.equal(
        message(() => parseExpression(text)),
        expected,
        text,
      );
    assert.match(
      message(() => parseExpression("(".repeat(5000))),
      /nested too deeply|too long/,
    );
    assert.match(
      message(() => parseExpression("1" + "+1".repeat(6000))),
      /too long/,
    );
    assert.match(
      message(() => parseExpression("!".repeat(900))),
      /nested too deeply/,
    );
  });

  test("what fails while evaluating is told", () => {
    assert.equal(
      message(() => evaluate("nothing + 1")),
      "unknown name 'nothing' at column 1",
    );
    assert.equal(
      message(() => evaluate("1 / (rax - rax)")),
      "division by zero",
    );
    assert.equal(
      message(() => evaluate("*0")),
      "cannot read 8 bytes of memory at 0x0",
    );
    assert.equal(
      message(() => evaluate("u32[0x103e]")),
      "cannot read 4 bytes of memory at 0x103e",
    );
    assert.equal(
      message(() => evaluate("mode == 3")),
      'the string "fixed" cannot be compared with a number',
    );
    assert.equal(
      message(() => evaluate("mode + 3")),
      'the string "fixed" cannot be used as a number',
    );
    assert.equal(
      message(() => evaluate("rax.x")),
      "a number has no member 'x' (column 4)",
    );
    assert.equal(
      message(() => evaluate("rax[1]")),
      "a number has no elements (column 4); use u32[address] to read memory",
    );
    assert.equal(
      message(() => evaluate("(struct node *)0x10")),
      "unknown type 'node' at column 2",
    );
    assert.equal(
      message(() => evaluate("1 << -1")),
      "a shift by -1 bits is not possible",
    );
  });

  test("names are checked before there is a machine", () => {
    const fields = { names: ["vector", "mode", "src", "dst"], values: { mode: ["fixed", "nmi"] } };
    const check = (text: string): void => checkExpression(parseExpression(text), fields);
    check('vector == 0xf0 && mode == "nmi" && rax > 0 && cpu3.al == 1 && u8[rsp]');
    assert.equal(
      message(() => check("vectr == 1")),
      "unknown name 'vectr' at column 1 (did you mean 'vector'?); valid names are vector, mode, src, dst, registers",
    );
    assert.match(
      message(() => check("vector == f0")),
      /unknown name 'f0' at column 11 \(did you mean 0xf0\?\)/,
    );
    assert.match(
      message(() => check('mode == "lowest"')),
      /^mode is never "lowest" \(column 9\); valid values are "fixed", "nmi"$/,
    );
    assert.equal(
      message(() => check("mode == nmi")),
      'nmi needs quotes at column 9; write mode == "nmi"',
    );
    assert.match(
      message(() => check("mode == 4")),
      /mode is a text, not a number/,
    );
    assert.match(
      message(() => check("cpu1.vector == 4")),
      /unknown name 'cpu1.vector'/,
    );
    assert.match(
      message(() => check("u8[foo] + bar.x")),
      /unknown name 'foo' at column 4/,
    );
    checkExpression(parseExpression("foo.x->y[2] == 3"), { names: [], isKnown: (name) => name === "foo" });
    assert.match(
      message(() => checkExpression(parseExpression("rax"), { names: ["vector"], registers: false })),
      /valid names are vector$/,
    );
  });

  test("logpoints", () => {
    const template = parseTemplate('vector {vector} at {rip,x}: \\{{mode}\\} {vector == 0xf0 ? "}" : 0} {nothing}!');
    assert.equal(template.render(scope), "vector 0xf0 at 0xffffffff81000000: {fixed} } <unknown name 'nothing' at column 1>!");
    assert.equal(
      message(() => parseTemplate("a {b")),
      "the '{' at column 3 has no '}'; write \\{ for a brace",
    );
    assert.equal(parseTemplate("plain").render(scope), "plain");
  });

  test("variables of the program: members, elements, pointers", () => {
    const integer = (type: string, value: bigint, address?: bigint): TypedValue => ({
      type,
      address,
      integer: () => ({ value, bits: 32, signed: true }),
      member: () => undefined,
      target: () => undefined,
      element: () => undefined,
      show: () => value.toString(),
    });
    const record: TypedValue = {
      ...integer("struct point", 0n, 0x2000n),
      integer: () => undefined,
      member: (name) => (name === "x" ? integer("int", -5n, 0x2000n) : undefined),
      show: () => "{...}",
    };
    const pointer: TypedValue = {
      ...integer("struct point *", 0x2000n, 0x3000n),
      integer: () => ({ value: 0x2000n, bits: 64, signed: false }),
      target: () => record,
      element: (i) => ({ ...record, address: 0x2000n + i * 8n }),
    };
    const typed: Scope = {
      ...scope,
      variable: (name) => (name === "p" ? pointer : name === "rax" ? integer("int", 3n) : undefined),
      pointerTo: (type, stars) => (type === "point" && stars === 1 ? pointer : undefined),
    };
    assert.equal(evaluate("p->x", typed), "-5");
    assert.equal(evaluate("p.x + 1", typed), "-4");
    assert.equal(evaluate("(*p).x", typed), "-5");
    assert.equal(evaluate("p[0].x == -5", typed), "1");
    assert.equal(evaluate("&p->x", typed), "0x2000");
    assert.equal(evaluate("p + 2", typed), "0x2010");
    assert.equal(evaluate("((struct point *)0x2000)->x", typed), "-5");
    assert.equal(evaluate("rax", typed), "3");
    assert.equal(evaluate("$rax", typed), "0x112233445566ff80");
    assert.equal(
      message(() => evaluate("p->y", typed)),
      "a value of type struct point * has no member 'y' (column 2)",
    );
    assert.equal(
      message(() => evaluate("*p + 1", typed)),
      "a value of type struct point cannot be used as a number",
    );
  });

  test("random expressions agree with 64-bit arithmetic", () => {
    let seed = 12345;
    const random = (limit: number): number => {
      seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
      return (seed >>> 8) % limit;
    };
    const wrap = (value: bigint): bigint => BigInt.asUintN(64, value);
    const bool = (value: boolean): bigint => (value ? 1n : 0n);
    const operators: Record<string, (a: bigint, b: bigint) => bigint> = {
      "+": (a, b) => a + b,
      "-": (a, b) => a - b,
      "*": (a, b) => a * b,
      "&": (a, b) => a & b,
      "|": (a, b) => a | b,
      "^": (a, b) => a ^ b,
      "<": (a, b) => bool(a < b),
      ">=": (a, b) => bool(a >= b),
      "==": (a, b) => bool(a === b),
      "!=": (a, b) => bool(a !== b),
      "&&": (a, b) => bool(a !== 0n && b !== 0n),
      "||": (a, b) => bool(a !== 0n || b !== 0n),
      "/": (a, b) => (b === 0n ? a : a / b),
    };
    const leaves: [string, bigint][] = Object.entries(names).flatMap(([name, value]) =>
      typeof value === "bigint" && !name.includes(".") && name !== "cs" ? [[name, value] as [string, bigint]] : [],
    );
    const make = (depth: number): [string, bigint] => {
      if (depth === 0) return leaves[random(leaves.length)];
      if (random(8) === 0) {
        const [text, value] = make(depth - 1);
        return [`(u64)~(u64)(${text})`, wrap(~value)];
      }
      const operator = Object.keys(operators)[random(Object.keys(operators).length)];
      const [left, a] = make(depth - 1);
      const [right, b] = make(depth - 1);
      if (operator === "/" && b === 0n) return [left, a];
      return [`(u64)((${left}) ${operator} (${right}))`, wrap(operators[operator](a, b))];
    };
    for (let i = 0; i < 300; i++) {
      const [text, expected] = make(1 + random(4));
      assert.equal(toInteger(compile(parseExpression(text)).evaluate(scope)).value, expected, text);
    }
  });

  test("random text never throws anything but a user's mistake", () => {
    const pieces = [
      "rax",
      "1",
      "(",
      ")",
      "+",
      "==",
      "&&",
      "[",
      "]",
      "u8",
      "mem8",
      ".",
      "->",
      "?",
      ":",
      '"x"',
      "'",
      ",",
      "*",
      "&",
      "0x",
      "-",
      " ",
      "~",
      "$",
      "::",
      "`",
      "struct",
      "vector",
      "<<",
      "cpu1",
    ];
    let seed = 99;
    const random = (limit: number): number => {
      seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
      return (seed >>> 8) % limit;
    };
    for (let i = 0; i < 5000; i++) {
      const text = Array.from({ length: 1 + random(12) }, () => pieces[random(pieces.length)]).join("");
      try {
        const expression = parseExpression(text);
        checkExpression(expression, ["vector"]);
        showValue(compile(expression).evaluate(scope), expression.format, scope);
      } catch (error) {
        assert.ok(error instanceof UserError, `${text}: ${String(error)}`);
      }
    }
  });
});
