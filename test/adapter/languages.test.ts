// C++, Rust and Zig over the protocol, on the images of the symbol tests: breakpoints by name and line, stacks, locals, globals, expressions.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { describe, test } from "node:test";
import type { DebugProtocol } from "@vscode/debugprotocol";
import { lineOf, withClient, type Client } from "./harness";

const folder = resolve("test/fixtures/dwarf");
const sourceMap = { "/fixtures": folder, "/tmp/fixtures": folder };

interface Language {
  readonly name: string;
  readonly image: string;
  readonly file: string;
  /** A function by its qualified name, and a line in it by what it contains. */
  readonly called: string;
  readonly line: string;
  /** Functions of the stack at the function, innermost first. */
  readonly stack: readonly string[];
  /** Locals at the line: name, type, value. */
  readonly locals: readonly (readonly [string, RegExp, RegExp])[];
  readonly expressions: readonly (readonly [string, RegExp])[];
}

const languages: readonly Language[] = [
  {
    name: "C++",
    image: "cpp-O0-dwarf5",
    file: "objects.cpp",
    called: "hw::Timer::read",
    line: "return total;",
    stack: ["hw::Timer::read", "apply", "main", "_start"],
    locals: [
      ["this", /^const hw::Timer \*|hw::Timer \*/, /^0x[0-9a-f]+/],
      ["offset", /^int$/, /^3$/],
      ["total", /^int$/, /^110$/],
    ],
    expressions: [
      ["total", /^110$/],
      ["this->count", /^100$/],
      ["count + offset", /^(103|0x67)$/],
      ["hw::Device::created", /^2$/],
      ["hidden", /^5$/],
      ["*this", /count = 100/],
      ["total == 110 && id == 7", /^(1|true)$/],
    ],
  },
  {
    name: "Rust",
    image: "rust-O0",
    file: "enums.rs",
    called: "enums::inner::weigh",
    line: "super::black_box(weight",
    stack: ["enums::inner::weigh", "enums::total", "enums::main", "_start"],
    locals: [
      ["message", /Message/, /Write/],
      ["bias", /^u32$/, /^42$/],
      ["weight", /^u64$/, /^7$/],
    ],
    expressions: [
      ["bias", /^42$/],
      ["weight + bias", /^(49|0x31)$/],
      ["LIMIT", /^42$/],
      ["enums::LIMIT", /^42$/],
    ],
  },
  {
    name: "Zig",
    image: "zig-debug",
    file: "lights.zig",
    called: "lights.measure",
    line: "return level + bias;",
    stack: ["measure", "total", "main", "_start"],
    locals: [
      ["light", /\*.*Light/, /^0x[0-9a-f]+/],
      ["bias", /^u32$/, /^7$/],
      ["level", /^u32$/, /^11$/],
    ],
    expressions: [
      ["bias", /^7$/],
      ["level + bias", /^(18|0x12)$/],
      ["light->name.len", /^5$/],
    ],
  },
];

const evaluate = async (client: Client, expression: string, context = "watch"): Promise<string> => {
  const frameId = (await client.stack(1))[0].id;
  return (await client.dap.evaluateRequest({ expression, frameId, context })).body.result;
};

describe("languages", { timeout: 120_000 }, () => {
  for (const { name, image, file, called, line, stack, locals, expressions } of languages)
    test(`${name}: breakpoints by name and line, the stack, variables and expressions`, () =>
      withClient(async (client) => {
        const source = { path: resolve(folder, "src", file) };
        const at = lineOf(readFileSync(source.path, "utf8"), line);
        await client.launch({ program: `${folder}/${image}.elf`, cpus: 1, memory: 32, serial: "none", sourceMap }, async () => {
          const { body } = await client.dap.setFunctionBreakpointsRequest({ breakpoints: [{ name: called }] });
          assert.equal(body.breakpoints[0].verified, true, body.breakpoints[0].message);
          const lines = await client.dap.setBreakpointsRequest({ source, breakpoints: [{ line: at }] });
          assert.deepEqual([lines.body.breakpoints[0].verified, lines.body.breakpoints[0].line], [true, at]);
        });
        const first = await client.stop();
        assert.equal(first.reason, "function breakpoint");
        const frames = await client.stack(1);
        assert.deepEqual(
          frames.slice(0, stack.length).map((frame) => frame.name),
          stack,
        );
        assert.equal(frames[0].source?.path, source.path);
        const second = await client.continue(1);
        assert.equal(second.reason, "breakpoint");
        assert.equal((await client.stack(1))[0].line, at);
        const { variables } = await client.scope(1, "Locals");
        for (const [local, type, value] of locals) {
          const found =
            variables.find((variable) => variable.name === local) ??
            assert.fail(`no ${local} among ${variables.map((v) => v.name).join()}`);
          assert.match(found.type ?? "", type, local);
          assert.match(found.value, value, local);
        }
        for (const [expression, expected] of expressions) {
          assert.match(await evaluate(client, expression), expected, expression);
          assert.match(await evaluate(client, expression, "hover"), expected, expression);
        }
        // The caller's variables are its own.
        const scopes = (await client.dap.scopesRequest({ frameId: (await client.stack(1))[1].id })).body.scopes;
        assert.ok(scopes.some((scope) => scope.name === "Locals"));
      }));

  for (const image of ["cpp-O0-dwarf5", "cpp-O2-types4"])
    test(`${image}: a breakpoint on a template without arguments stops in all its instances`, () =>
      withClient(async (client) => {
        const set = async (name: string): Promise<DebugProtocol.Breakpoint> =>
          (await client.dap.setFunctionBreakpointsRequest({ breakpoints: [{ name }] })).body.breakpoints[0];
        await client.launch({ program: `${folder}/${image}.elf`, cpus: 1, memory: 32, serial: "none", sourceMap }, async () => {
          assert.equal((await set("hw::smallest")).verified, false);
          assert.equal((await set("hw::largest")).verified, true);
        });
        const seen: string[] = [];
        for (let stop = 0; stop < 2; stop++) {
          if (stop > 0) await client.dap.continueRequest({ threadId: 1 });
          await client.stop();
          seen.push((await client.stack(1))[0].name);
        }
        assert.deepEqual(seen.sort(), ["hw::largest<int>", "hw::largest<long int>"]);
        assert.equal((await set("hw::largest<int>")).verified, true);
      }));
});
