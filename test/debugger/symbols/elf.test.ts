import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ElfFile } from "../../../src/debugger/symbols/elf";
import { SymbolModule, elfImage } from "../../../src/debugger/symbols/module";
import { UserError } from "../../../src/machine/errors";
import { fixtureBytes, fixtureElf, fixtureNames, golden, inflate } from "../../fixtures/dwarf/fixture";

const failure = (run: () => unknown): UserError => {
  try {
    run();
  } catch (error) {
    assert.ok(error instanceof UserError, String(error));
    return error;
  }
  assert.fail("nothing was thrown");
};

describe("ELF files", () => {
  for (const name of fixtureNames)
    test(`${name}: symbols are those of nm`, () => {
      const expected = new Set(
        golden(name)
          .symbols.filter((line) => !/ [aA] /.test(line))
          .map((line) =>
            line.replace(
              /^([0-9a-f]+) (?:([0-9a-f]+) )?\w (.*)$/,
              (_m, address: string, size: string | undefined, symbol: string) =>
                `${BigInt(`0x${address}`)} ${BigInt(`0x${size ?? "0"}`)} ${symbol}`,
            ),
          ),
      );
      const found = new Set(
        fixtureElf(name)
          .symbols()
          .filter((symbol) => symbol.section !== 0xfff1)
          .map((symbol) => `${symbol.address} ${symbol.size} ${symbol.name}`),
      );
      assert.deepEqual([...found].sort(), [...expected].sort());
    });

  test("build ids and segments are read", () => {
    const elf = fixtureElf("c-O0-dwarf5");
    assert.match(elf.buildId() ?? "", /^[0-9a-f]{40}$/);
    assert.equal(elf.bits, 64);
    assert.equal(elf.isCode(elf.entry), true);
    assert.deepEqual(elf.bytesAt(elf.entry, 2), new Uint8Array([0x31, 0xed]));
    assert.equal(fixtureElf("c-m32-O0").bits, 32);
  });

  test("compressed debug sections hold the same bytes, and need an inflater", () => {
    const packed = fixtureElf("c-O0-zlib");
    const plain = fixtureElf("c-O0-dwarf5");
    assert.ok((packed.section(".debug_info")?.flags ?? 0n) & 0x800n);
    assert.deepEqual(packed.debugSection("debug_info"), plain.debugSection("debug_info"));
    const without = new ElfFile(fixtureBytes("c-O0-zlib"), "packed.elf");
    assert.match(failure(() => without.debugSection("debug_info")).message, /^packed\.elf has compressed debug sections.*-gz=none\.$/);
  });

  test("what is no x86 ELF file is refused in one sentence", () => {
    const bytes = fixtureBytes("c-O0-dwarf5");
    const changed = (at: number, value: number): Uint8Array => {
      const copy = bytes.slice();
      copy[at] = value;
      return copy;
    };
    assert.equal(failure(() => new ElfFile(new Uint8Array(10), "a.txt")).message, "a.txt is not an ELF file.");
    assert.equal(failure(() => new ElfFile(bytes.slice(0, 20), "a.elf")).subject, "a.elf");
    assert.match(
      failure(() => new ElfFile(bytes.slice(0, 5000), "a.elf")).message,
      /^a\.elf is cut short or damaged: .* should end at byte 0x/,
    );
    assert.match(failure(() => new ElfFile(changed(5, 2), "a.elf")).message, /big-endian/);
    assert.match(failure(() => new ElfFile(changed(18, 40), "a.elf")).message, /machine type 40, not for x86/);
  });

  test("symbols of another build do not match", () => {
    const image = elfImage(fixtureElf("c-O0-dwarf5"));
    const other = new SymbolModule("other.elf", fixtureBytes("c-O2-dwarf5"), 0n);
    assert.match(failure(() => other.checkMatches(image)).message, /^other\.elf does not match c-O0-dwarf5\.elf: their build ids are/);
    new SymbolModule("same.elf", fixtureBytes("c-O0-dwarf5"), 0n).checkMatches(image);
    const noId = { ...image, buildId: undefined };
    assert.match(failure(() => other.checkMatches(noId)).message, /entry points/);
    assert.match(failure(() => other.checkMatches({ ...noId, entry: undefined })).message, /code differs at 0x/);
    new SymbolModule("same.elf", fixtureBytes("c-O0-dwarf5"), 0n).checkMatches(noId);
  });

  test("split debug information leaves symbols and a warning", () => {
    const module = new SymbolModule("c-split.elf", fixtureBytes("c-split"), 0n, inflate);
    assert.match(module.warnings[0], /^c-split\.elf keeps debug information in separate \.dwo files, which are not read/);
    assert.ok(module.symbols.named("leaf").length === 1);
  });
});
