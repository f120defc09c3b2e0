import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Value } from "../../../src/debugger/symbols/dwarf/values";
import { ProgramValues } from "../../../src/debugger/symbols/program";
import { SymbolStore } from "../../../src/debugger/symbols/table";
import { Unwinder } from "../../../src/debugger/unwind/unwinder";
import { UserError } from "../../../src/machine/errors";
import { fixtureBytes, fixtureElf, inflate } from "../../fixtures/dwarf/fixture";

/** A small deterministic generator: the same damage in every run. */
function generator(seed: number): (limit: number) => number {
  let state = seed >>> 0;
  return (limit) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
}

const readMemory = (_address: bigint, size: number): Uint8Array => new Uint8Array(size).fill(0x41);

/** Visits a value and what hangs from it, but not for ever. */
function visit(value: Value, depth: number): void {
  value.show();
  void value.type;
  void value.childCount;
  if (depth < 2) for (const child of value.children(0, 4)) visit(child, depth + 1);
}

/** Asks everything of a symbol file. Only mistakes in the file may be thrown, and only by adding it. */
function exercise(bytes: Uint8Array, addresses: readonly bigint[]): "refused" | "read" {
  const store = new SymbolStore({ inflate });
  try {
    store.add("damaged.elf", bytes);
  } catch (error) {
    assert.ok(error instanceof UserError, `${String(error)} ${error instanceof Error ? error.stack : ""}`);
    assert.match(error.message, /^damaged\.elf [^\n]+\.$/);
    return "refused";
  }
  const program = new ProgramValues(store, readMemory);
  const unwinder = new Unwinder(store);
  for (const address of addresses) {
    store.describe(address);
    const registers = new Map([
      ["rip", address],
      ["rsp", 0x1000n],
      ["rbp", 0x1100n],
      ["rdi", 5n],
    ]);
    for (const frame of unwinder.unwind({ mode: "long", registers, readMemory, maximumFrames: 8 })) {
      for (let inlined = 0; inlined < Math.min(frame.frames.length, 3); inlined++)
        for (const { value } of program.locals(frame, inlined).slice(0, 20)) {
          try {
            visit(value, 0);
          } catch (error) {
            assert.ok(error instanceof UserError, String(error));
          }
        }
    }
  }
  for (const value of program.globals(30)) {
    try {
      visit(value, 0);
    } catch (error) {
      assert.ok(error instanceof UserError, `${String(error)} ${error instanceof Error ? error.stack : ""}`);
    }
  }
  for (const source of store.sources().slice(0, 4)) {
    store.lineBreakpoints(source, 60);
    store.codeLines(source);
  }
  store.functionBreakpoints("leaf");
  try {
    program.pointerTo("node", 1, 0x1000n)?.member("next");
  } catch (error) {
    assert.ok(error instanceof UserError, String(error));
  }
  return "read";
}

/** Code addresses of a fixture to ask about. */
function someAddresses(name: string): bigint[] {
  const elf = fixtureElf(name);
  const text = elf.section(".text");
  assert.ok(text !== undefined);
  return Array.from({ length: 6 }, (_, i) => text.address + BigInt(Math.floor((text.size * i) / 6)));
}

/** Milliseconds of processor time since: a busy computer takes longer, but no more of that. */
function processorTime(since: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(since);
  return (user + system) / 1000;
}

describe("damaged symbol files", () => {
  for (const name of [
    "c-O0-dwarf5",
    "c-O2-dwarf4",
    "c-O0-zlib",
    "cpp-O2-types4",
    "cpp-O0-types5",
    "rust-O2",
    "c-m32-O2",
    "clang-O2-dwarf5",
    "zig-fast",
  ]) {
    test(`${name}: cut short anywhere`, () => {
      const bytes = fixtureBytes(name);
      const addresses = someAddresses(name);
      const random = generator(bytes.length);
      let refused = 0;
      for (let i = 0; i < 40; i++) if (exercise(bytes.slice(0, random(bytes.length)), addresses) === "refused") refused++;
      // The section table stands at the end of these files.
      assert.equal(refused, 40);
    });

    test(`${name}: bytes changed anywhere`, () => {
      const original = fixtureBytes(name);
      const addresses = someAddresses(name);
      const random = generator(name.length * 7919 + original.length);
      const begun = process.cpuUsage();
      let read = 0;
      const rounds = 60;
      for (let round = 0; round < rounds; round++) {
        const bytes = original.slice();
        const changes = 1 + random(12);
        for (let i = 0; i < changes; i++) {
          const at = random(bytes.length);
          bytes[at] = [0, 0xff, 0x7f, 0x80, random(256)][random(5)];
        }
        const before = process.cpuUsage();
        if (exercise(bytes, addresses) === "read") read++;
        assert.ok(processorTime(before) < 3000, `round ${round} took too long`);
      }
      // A checksum guards compressed sections, so that few damaged ones are read.
      assert.ok(read > rounds / (name.endsWith("zlib") ? 20 : 4), `${read} of ${rounds} were read`);
      assert.ok(processorTime(begun) < 60_000);
    });
  }

  test("a section of debug information replaced by noise", () => {
    const name = "c-O2-dwarf5";
    const addresses = someAddresses(name);
    const elf = fixtureElf(name);
    for (const section of elf.sections.filter((candidate) => candidate.name.startsWith(".debug") || candidate.name === ".eh_frame"))
      for (let seed = 0; seed < 6; seed++) {
        const bytes = fixtureBytes(name);
        const random = generator(seed + section.index * 31);
        for (let i = 0; i < section.size; i++) bytes[section.offset + i] = seed < 2 ? seed * 255 : random(256);
        exercise(bytes, addresses);
      }
  });
});
