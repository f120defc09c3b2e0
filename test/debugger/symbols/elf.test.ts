import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ByteReader } from "../../../src/debugger/symbols/bytes";
import { ElfFile } from "../../../src/debugger/symbols/elf";
import { SymbolModule, elfImage } from "../../../src/debugger/symbols/module";
import { bytesOf, FileSource, PartSource } from "../../../src/debugger/symbols/source";
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
    const info = (elf: ElfFile): Uint8Array => bytesOf(elf.debugSection("debug_info") ?? assert.fail("no .debug_info"));
    assert.deepEqual(info(packed), info(plain));
    const without = new ElfFile(fixtureBytes("c-O0-zlib"), "packed.elf");
    assert.match(failure(() => without.debugSection("debug_info")).message, /^packed\.elf has compressed debug sections.*-gz=none\.$/);
  });

  test("sections compressed by zstd are unpacked where the host can, and refused clearly where not", () => {
    const bytes = fixtureBytes("c-O0-zlib").slice();
    const zlib = new ElfFile(bytes, "packed.elf", inflate);
    const plain = bytesOf(zlib.debugSection("debug_info") ?? assert.fail("no .debug_info"));
    // The compression header says zstd (2); the stand-in for its decompressor knows zlib.
    bytes[zlib.section(".debug_info")?.offset ?? 0] = 2;
    const kinds: string[] = [];
    const able = new ElfFile(bytes, "packed.elf", (data, size, kind) => {
      kinds.push(kind);
      return inflate(data, size);
    });
    assert.deepEqual(bytesOf(able.debugSection("debug_info") ?? assert.fail("no .debug_info")), plain);
    assert.deepEqual(kinds, ["zstd"]);
    const unable = new ElfFile(bytes, "packed.elf", (data, size, kind) => (kind === "zlib" ? inflate(data, size) : undefined));
    assert.match(failure(() => unable.debugSection("debug_info")).message, /compressed by zstd, which this Node\.js .* cannot unpack/);
    bytes[zlib.section(".debug_info")?.offset ?? 0] = 9;
    assert.match(
      failure(() => new ElfFile(bytes, "packed.elf", inflate).debugSection("debug_info")).message,
      /method 9; only zlib \(1\) and zstd \(2\)/,
    );
  });

  test("a file is read in parts, whatever its size", () => {
    const content = fixtureBytes("c-O2-dwarf5");
    let read = 0;
    const file = {
      size: content.length,
      read(offset: number, target: Uint8Array): void {
        read += target.length;
        target.set(content.subarray(offset, offset + target.length));
      },
    };
    const whole = new ElfFile(content, "a.elf", inflate);
    const parts = new ElfFile(new FileSource(file), "a.elf", inflate);
    assert.deepEqual(parts.symbols(), whole.symbols());
    for (const section of whole.sections) assert.deepEqual(parts.data(section), whole.data(section));
    assert.ok(read > 0);
  });

  test("a reader takes values that lie across windows of a file", () => {
    const bytes = new Uint8Array(300_000);
    for (let i = 0; i < bytes.length; i++) bytes[i] = (i * 7 + (i >> 8)) & 0xff || 1;
    const text = "x".repeat(70_000);
    bytes.set(new TextEncoder().encode(`${text}\0`), 100_000);
    const file = {
      size: bytes.length,
      read: (offset: number, target: Uint8Array) => target.set(bytes.subarray(offset, offset + target.length)),
    };
    const part = new PartSource(new FileSource(file), 10, bytes.length - 20);
    const parts = new ByteReader(part, "a.bin", "a test");
    const whole = new ByteReader(bytes.subarray(10, bytes.length - 10), "a.bin", "a test");
    for (const at of [0, 65_520, 65_525, 65_526, 65_530, 131_059, 131_061, 5, 299_950]) {
      parts.pos = whole.pos = at;
      assert.equal(parts.u64(), whole.u64());
      assert.equal(parts.u24(), whole.u24());
      assert.equal(parts.s8(), whole.s8());
      assert.deepEqual(parts.block(9 % (whole.end - whole.pos)), whole.block(9 % (whole.end - whole.pos)));
    }
    parts.pos = whole.pos = 99_990;
    assert.equal(parts.cstring(), whole.cstring());
    assert.equal(parts.pos, whole.pos);
    parts.pos = part.size - 3;
    assert.match(failure(() => parts.u32()).message, /it ends at/);
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
    assert.match(
      failure(() => new SymbolModule("a.elf", bytes, 0n, {}, new Map([[".text", 1n]]))).message,
      /^a\.elf is linked: "sections" is for unlinked files such as kernel modules; "offset" moves a linked one\.$/,
    );
    const packed = Uint8Array.of(0xfd, 0x37, 0x7a, 0x58, 0x5a, 0, 0, 4);
    assert.match(
      failure(() => new SymbolModule("a.ko.xz", packed, 0n)).message,
      /^a\.ko\.xz is compressed as a whole; unpack it first \(unxz\)\.$/,
    );
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
    const module = new SymbolModule("c-split.elf", fixtureBytes("c-split"), 0n, { inflate });
    assert.match(module.warnings[0], /^c-split\.elf keeps debug information in separate \.dwo files, which are not read/);
    assert.ok(module.symbols.named("leaf").length === 1);
  });
});
