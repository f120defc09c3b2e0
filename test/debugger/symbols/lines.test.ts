import assert from "node:assert/strict";
import { basename } from "node:path";
import { describe, test } from "node:test";
import { DwarfInfo } from "../../../src/debugger/symbols/dwarf/info";
import { RowFlag } from "../../../src/debugger/symbols/dwarf/line";
import { SymbolStore } from "../../../src/debugger/symbols/table";
import { fixtureBytes, fixtureElf, fixtureNames, golden, inflate } from "../../fixtures/dwarf/fixture";

const hex = (value: bigint): string => `0x${value.toString(16)}`;

function storeOf(name: string, offset = 0n): SymbolStore {
  const store = new SymbolStore({ inflate });
  store.add(name, fixtureBytes(name), offset);
  return store;
}

describe("line tables", () => {
  for (const name of fixtureNames) {
    test(`${name}: rows are those of readelf`, () => {
      const info = new DwarfInfo(fixtureElf(name));
      const found: string[] = [];
      for (const unit of info.units) {
        const table = info.lineTable(unit);
        if (table === undefined) continue;
        const { rows, header } = table;
        for (let i = 0; i < rows.lines.length; i++) {
          const end = (rows.flags[i] & RowFlag.EndSequence) !== 0;
          // readelf prints no file or flags that mean anything for end marks.
          found.push(
            end
              ? `${hex(rows.addresses[i])} end`
              : `${hex(rows.addresses[i])} ${basename(header.files[rows.files[i]] ?? "")}:${rows.lines[i]} ${(rows.flags[i] & RowFlag.Statement) !== 0}`,
          );
        }
      }
      const code = fixtureElf(name);
      const expected = golden(name)
        .lines.filter(([address, , line]) => code.isCode(BigInt(address)) || (line === -1 && BigInt(address) > 0x1000n))
        .map(([address, file, line, statement]) =>
          line === -1 ? `${hex(BigInt(address))} end` : `${hex(BigInt(address))} ${basename(file)}:${line} ${statement}`,
        );
      assert.ok(expected.length > 20);
      assert.deepEqual([...new Set(found)].sort(), [...new Set(expected)].sort());
    });

    test(`${name}: functions, files and lines, also of inlined calls, are those of addr2line`, () => {
      const store = storeOf(name);
      const { places, lines } = golden(name);
      // The innermost line is checked against readelf's rows, the last statement of each address first: GNU addr2line 2.40 gives the
      // first row of a version 5 table a wrong file, and takes the last row whether it is a statement or not.
      const innermost = new Map<string, readonly [string, number, boolean]>();
      for (const [address, file, line, statement] of lines) {
        const key = hex(BigInt(address));
        if (line >= 0 && (statement || innermost.get(key)?.[2] !== true)) innermost.set(key, [basename(file), line, statement]);
      }
      let inlined = 0;
      for (const [address, expected] of Object.entries(places)) {
        const frames = store.framesAt(BigInt(address));
        // addr2line knows code behind the last row of a sequence by its function only.
        if (expected[0][2] === 0) continue;
        inlined += frames.filter((frame) => frame.inlined).length;
        assert.deepEqual(
          frames.map((frame, i) => [i === 0 ? basename(frame.file ?? "") : frame.file, frame.line]),
          expected.map(([, file, line], i) => (i === 0 ? innermost.get(address)?.slice(0, 2) : [file, line])),
          address,
        );
        for (const [i, [symbol]] of expected.entries())
          assert.ok(
            symbol.includes(
              frames[i].name
                .replace(/<.*>$/, "")
                .split("::")
                .at(-1)
                ?.replace(/^operator.*/, "") ?? "?",
            ),
            `${address} ${symbol} ${frames[i].name}`,
          );
      }
      if (/-O[12]/.test(name)) assert.ok(inlined > 0 || name.startsWith("rust") || name.startsWith("cpp"));
    });

    test(`${name}: breakpoints on lines go where gdb puts them`, () => {
      const store = storeOf(name);
      const { source, lines } = golden(name).breaks;
      const codeLines = new Set(store.codeLines(source));
      assert.ok(codeLines.size > 10);
      const wrong: string[] = [];
      for (const [line, expected] of Object.entries(lines)) {
        const found = store.lineBreakpoints(`/elsewhere/${source}`, Number(line));
        if (expected.every(([, at]) => at === null)) assert.equal(found, undefined);
        // Where a line has no code that gdb takes for its own, it stops at another line: left to each debugger's taste.
        const theirs = expected.filter(([, at]) => at === Number(line)).map(([address]) => address);
        if (theirs.length === 0 || !codeLines.has(Number(line))) continue;
        const ours = found?.addresses.map(hex) ?? [];
        // Optimised loops have several places for one line: gdb may take more of them.
        const good = /^c.*-O0/.test(name)
          ? ours.join() === theirs.join()
          : ours.length > 0 && ours.every((address) => theirs.includes(address));
        if (!good) wrong.push(`${line}: gdb ${theirs.join()}, here ${found?.line} ${ours.join()}`);
      }
      assert.deepEqual(wrong, []);
    });
  }

  test("a line's range and load offsets", () => {
    const offset = 0xffff_ffff_8000_0000n;
    const store = storeOf("c-O0-dwarf5", offset);
    const [leaf] = store.addressesOf("leaf");
    assert.equal(leaf >> 32n, 0xffff_ffffn);
    const line = store.lineAt(leaf + 2n);
    assert.ok(line !== undefined && line.low === leaf && line.high > leaf + 2n && line.line === 61);
    assert.equal(store.describe(leaf + 3n), "leaf+0x3");
    assert.equal(store.describe(leaf - offset), undefined);
    assert.deepEqual(store.functionBreakpoints("leaf"), store.lineBreakpoints("/fixtures/src/shapes.c", 61)?.addresses);
  });

  test("source mapping changes what is shown and what is found", () => {
    const store = new SymbolStore({
      sourceMap: [
        ["/fixtures", "/home/me/project"],
        ["/fixtures/src", "/home/me/code"],
      ],
    });
    store.add("a", fixtureBytes("c-O2-dwarf5"));
    assert.deepEqual(
      store.sources().filter((path) => path.endsWith("util.h")),
      ["/home/me/code/util.h"],
    );
    assert.equal(store.lookup(store.addressesOf("leaf")[0])?.file, "/home/me/code/shapes.c");
    assert.ok((store.lineBreakpoints("/home/me/code/util.h", 12)?.addresses.length ?? 0) > 0);
    assert.equal(store.lineBreakpoints("/home/me/code/nothing.h", 12), undefined);
  });

  test("assembly labels, data symbols and System.map", () => {
    const store = storeOf("c-O0-dwarf5");
    const [label] = store.addressesOf("asm_label");
    assert.equal(store.describe(label + 1n), "asm_label+0x1");
    assert.match(store.lookup(label)?.file ?? "", /start\.S$/);
    assert.equal(store.describe(store.addressesOf("counter")[0]), "counter");
    const map = new SymbolStore();
    map.add(
      "System.map",
      new TextEncoder().encode(
        "ffffffff81000000 T _text\nffffffff81000040 t secondary\nffffffff82000000 D table\n0000000000000000 A zero\nffffffff83000000 B _end\n",
      ),
    );
    assert.equal(map.describe(0xffff_ffff_8100_0050n), "secondary+0x10");
    assert.equal(map.describe(0xffff_ffff_8300_0010n), undefined);
    assert.deepEqual(map.addressesOf("zero"), [0n]);
    assert.throws(() => map.add("x", new TextEncoder().encode("hello world\n")), /x is neither an ELF file nor a System\.map\./);
    assert.throws(() => map.add("k", new TextEncoder().encode("0000000000000000 T a\n0000000000000000 t b\n")), /only zero addresses/);
  });
});
