// Unlinked files, as kernel modules are: placed by hand they say what the same file says that ld has linked there, nowhere they wait, and damaged ones are refused.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { findSections, moduleName, readModules } from "../../../src/debugger/symbols/loadedModule";
import { SymbolModule } from "../../../src/debugger/symbols/module";
import { ProgramValues } from "../../../src/debugger/symbols/program";
import { isNowhere } from "../../../src/debugger/symbols/relocations";
import { SymbolStore } from "../../../src/debugger/symbols/table";
import { Unwinder } from "../../../src/debugger/unwind/unwinder";
import type { CodeMode } from "../../../src/debugger/unwind/frame";
import { UserError } from "../../../src/machine/errors";
import { fixtureBytes, fixtureElf } from "../../fixtures/dwarf/fixture";

const unlinked = (bits: number): Uint8Array =>
  new Uint8Array(readFileSync(join(import.meta.dirname, `../../fixtures/dwarf/module-${bits}.ko`)));

/** Where the linker put the sections of the same module. */
function places(bits: number): Map<string, bigint> {
  const sections = fixtureElf(`module-${bits}`).sections.filter(({ flags, address }) => (flags & 2n) !== 0n && address !== 0n);
  return new Map(sections.map(({ name, address }) => [name, address]));
}

const noMemory = (): undefined => undefined;

for (const bits of [64, 32])
  describe(`a kernel module of ${bits} bits`, () => {
    const linked = new SymbolStore();
    linked.add("linked", fixtureBytes(`module-${bits}`));
    const placed = new SymbolStore();
    placed.add("module.ko", unlinked(bits), 0n, undefined, places(bits));
    const symbols = fixtureElf(`module-${bits}`)
      .symbols()
      .filter(({ name }) => !name.startsWith("_"));
    const code = [...places(bits)].filter(([name]) => name.endsWith("text"));
    const addresses = code.flatMap(([, base]) => Array.from({ length: 0xa8 }, (_, at) => base + BigInt(at)));

    test("is told at each address as the linked file is", () => {
      let lines = 0;
      for (const address of addresses) {
        assert.equal(placed.describe(address), linked.describe(address));
        assert.deepEqual(placed.lineAt(address), linked.lineAt(address));
        assert.deepEqual(placed.framesAt(address), linked.framesAt(address));
        if (placed.lineAt(address) !== undefined) lines++;
      }
      assert.ok(lines > 200, `${lines} addresses with lines`);
    });

    test("has breakpoints and variables where the linked file has them", () => {
      for (const { name } of symbols) {
        assert.deepEqual(placed.addressesOf(name), linked.addressesOf(name), name);
        assert.deepEqual(placed.functionBreakpoints(name), linked.functionBreakpoints(name), name);
      }
      for (const file of ["/fixtures/src/module.c", "/fixtures/src/helper.c"]) {
        assert.ok(placed.codeLines(file).length > 2);
        assert.deepEqual(placed.codeLines(file), linked.codeLines(file));
        for (let line = 1; line < 60; line++) assert.deepEqual(placed.lineBreakpoints(file, line), linked.lineBreakpoints(file, line));
      }
      const [mine, theirs] = [placed, linked].map((store) => new ProgramValues(store, noMemory).globals().map((value) => value.show()));
      assert.deepEqual(mine, theirs);
      assert.ok(
        mine.some((value) => /cannot read memory at 0x405/.test(value)),
        mine.join(),
      );
    });

    test("unwinds with its relocated call frame information", () => {
      const memory = new Map<bigint, bigint>();
      const word = bits / 8;
      const stack = 0x9000n;
      // Of weigh called by module_work: the return address, which is looked up too.
      memory.set(stack, (linked.addressesOf("module_work").at(0) ?? 0n) + 8n);
      const readMemory = (address: bigint, size: number): Uint8Array => {
        const bytes = new Uint8Array(Math.max(size, 8));
        new DataView(bytes.buffer).setBigUint64(0, memory.get(address) ?? 0n, true);
        return bytes.subarray(0, size);
      };
      for (const pc of linked.addressesOf("weigh")) {
        const registers = new Map([
          ["rip", pc],
          ["rsp", stack],
          ["rbp", 0n],
        ]);
        const mode: CodeMode = bits === 64 ? "long" : "protected";
        const [mine, theirs] = [placed, linked].map((store) =>
          new Unwinder(store)
            .unwind({ mode, registers, readMemory, maximumFrames: 8 })
            .map(({ pc: at, cfa, found }) => ({ at, cfa, found })),
        );
        assert.deepEqual(mine, theirs);
        assert.equal(mine[1].found, "tables");
        assert.equal(mine[0].cfa, stack + BigInt(word));
      }
    });

    test("lies nowhere while nobody says where, and is read anew when somebody does", () => {
      const store = new SymbolStore();
      const module = store.add("module.ko", unlinked(bits));
      store.add("again.ko", unlinked(bits));
      const pending = [
        ...store.functionBreakpoints("module_work"),
        ...(store.lineBreakpoints("/fixtures/src/module.c", 21)?.addresses ?? []),
      ];
      assert.equal(new Set(store.functionBreakpoints("module_work")).size, 2, "each file has its own place");
      assert.ok(pending.every(isNowhere));
      for (const address of [0n, 0x10n, ...addresses]) assert.equal(store.describe(address), undefined);
      assert.equal(module.moveSections(places(bits)), true);
      assert.equal(module.moveSections(places(bits)), false);
      for (const address of addresses) assert.equal(store.describe(address), linked.describe(address));
      // A part of it is known: the rest waits.
      module.moveSections(new Map([[".text", 0x402000n]]));
      assert.deepEqual(
        store.functionBreakpoints("module_work").filter((address) => !isNowhere(address)),
        linked.functionBreakpoints("module_work"),
      );
      assert.ok(store.addressesOf("init_module").every(isNowhere));
      for (const address of addresses) if (address >= 0x403000n) assert.equal(store.describe(address), undefined);
    });

    test("damage is told, soon, and does no harm", () => {
      const bytes = unlinked(bits);
      let state = 7;
      const random = (limit: number): number => Math.floor(((state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32) * limit);
      let refused = 0;
      const before = performance.now();
      for (let round = 0; round < 400; round++) {
        const copy = bytes.slice();
        for (let i = 0; i < 1 + random(20); i++) copy[random(copy.length)] = random(256);
        const store = new SymbolStore();
        try {
          store.add("module.ko", copy, 0n, undefined, round % 2 === 0 ? places(bits) : new Map());
        } catch (error) {
          assert.ok(error instanceof UserError, String(error));
          refused++;
          continue;
        }
        for (const address of addresses.filter((_, index) => index % 16 === 0)) store.framesAt(address);
        store.functionBreakpoints("helper");
        store.lineBreakpoints("/fixtures/src/module.c", 21);
      }
      assert.ok(refused > 20 && refused < 400, `${refused} refused`);
      assert.ok(performance.now() - before < 60_000);
    });
  });

describe("modules in a guest's memory", () => {
  const elf = new SymbolModule("some-name.ko", unlinked(64), 0n).elf;

  test("the file says the module's name, else the file's name does", () => {
    assert.ok(elf !== undefined);
    assert.equal(moduleName(elf), "fixture");
    const plain = new SymbolModule("/lib/snd-hda.ko.debug", fixtureBytes("c-O0-dwarf5"), 0n).elf;
    assert.ok(plain !== undefined);
    assert.equal(moduleName(plain), "snd_hda");
  });

  /** Memory with 64-bit words at addresses. */
  const memoryOf =
    (words: Record<string, bigint>) =>
    (address: bigint, size: number): Uint8Array => {
      const bytes = new Uint8Array(size);
      for (let at = 0; at < size; at++) {
        const word = words[`${((address + BigInt(at)) / 8n) * 8n}`] ?? 0n;
        bytes[at] = Number((word >> (((address + BigInt(at)) % 8n) * 8n)) & 255n);
      }
      return bytes;
    };

  test("a list that does not close, or whose entries do not point back, is none", () => {
    assert.deepEqual(readModules(0x1000n, 64, memoryOf({ 4096: 0x1000n, 4104: 0x1000n })), []);
    assert.equal(readModules(0x1000n, 64, memoryOf({ 4096: 0x2008n, 4104: 0x2008n })), undefined);
    assert.equal(
      readModules(0x1000n, 64, () => undefined),
      undefined,
    );
    // 0x2008 -> 0x3008 -> 0x2008 ...
    const circle = memoryOf({ 4096: 0x2008n, 8200: 0x3008n, 8208: 0x1000n, 12296: 0x2008n, 12304: 0x2008n });
    assert.equal(readModules(0x1000n, 64, circle), undefined);
    const one = memoryOf({ 4096: 0x2008n, 4104: 0x2008n, 8192: 1n, 8200: 0x1000n, 8208: 0x1000n, 8216: 0x6f6f66n });
    assert.deepEqual(readModules(0x1000n, 64, one), [{ name: "foo", address: 0x2000n, state: 1 }]);
  });

  test("memory that is no module says nothing of where sections lie but that of its structure", () => {
    assert.ok(elf !== undefined);
    const nothing = findSections(elf, { name: "fixture", address: 0x8000n, state: 1 }, memoryOf({}));
    assert.deepEqual(nothing, new Map([[".gnu.linkonce.this_module", 0x8000n]]));
    assert.deepEqual(
      findSections(elf, { name: "fixture", address: 0x8000n, state: 1 }, () => undefined),
      new Map(),
    );
  });
});
