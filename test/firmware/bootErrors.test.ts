import { describe, test } from "node:test";
import assert from "node:assert/strict";
import { UserError } from "../../src/common/errors";
import { boot, bzImage, elf, multiboot1Header, multiboot2Header, pattern, pvhNote, refused, words, type ElfSpec } from "./support";

const code = pattern(100);
const join = (...parts: Uint8Array[]): Uint8Array => Uint8Array.from(parts.flatMap((part) => [...part]));
const plain = (changes: Partial<ElfSpec> = {}): Uint8Array =>
  elf({ bits: 64, entry: 0x100000n, segments: [{ physical: 0x100000n, data: code }], ...changes });
const at = (physical: bigint, memorySize = 100): Partial<ElfSpec> => ({
  entry: physical,
  segments: [{ physical, data: code, memorySize }],
});

describe("images that cannot be booted", () => {
  test("no image", () => {
    refused(pattern(5000), /^kernel is not a bootable image: no Multiboot, Multiboot 2, PVH, Linux or ELF header was found\.$/, "program");
    refused(new Uint8Array(0), /^kernel is empty\.$/, "program");
    refused(new Uint8Array([0x4d, 0x5a]), /not a bootable image/, "program");
  });

  test("damaged ELF", () => {
    const file = plain();
    refused(file.slice(0, 40), /truncated/, "program");
    refused(file.slice(0, 80), /truncated: its program headers/, "program");
    refused(file.slice(0, 0x420), /truncated: segment 0 takes 100 bytes at offset 1024/, "program");
    refused(plain({ segments: [{ physical: 0x100000n, data: code, memorySize: 50 }] }), /larger in the file than in memory/, "program");
    refused(plain({ segments: [] }), /no program headers/, "program");
    refused(plain({ segments: [{ physical: 0x100000n, data: new Uint8Array(0) }] }), /no segment to load/, "program");
    refused(plain({ entry: 0x900000n }), /entry point 0x900000 of the ELF file lies in none/, "program");
  });

  test("ELF for something else", () => {
    refused(plain({ machine: 40 }), /is for ARM, not for x86/, "program");
    refused(plain({ machine: 183 }), /is for AArch64, not for x86/, "program");
    refused(plain({ machine: 999 }), /is for machine type 999/, "program");
    refused(plain({ type: 1 }), /object file that has not been linked/, "program");
    refused(plain({ type: 4 }), /not an executable/, "program");
    refused(plain({ type: 3, ...at(0n) }), /position-independent/, "program");
    const big = plain();
    big[5] = 2;
    big.set([0, 62], 18);
    refused(big, /big-endian/, "program");
  });

  test("ELF for a larger machine", () => {
    refused(
      plain(at(0x5000000n)),
      /segment 0 at 0x5000000 \(100 bytes\) needs 81 MiB of memory, the machine has 64: raise `memory`/,
      "memory",
    );
    refused(plain(at(0x100000n, 64 << 20)), /needs 66 MiB of memory/, "memory");
    refused(plain(at(0x100000000n)), /needs 3073 MiB of memory/, "memory");
    boot(plain(at(0x5000000n)), { mib: 81 });
    boot(plain(at(0x100000000n)), { mib: 3073 });
    refused(plain(at(0x100000n, 63 << 20)), /needs 65 MiB of memory/, "memory");
  });

  test("ELF where there is no RAM", () => {
    refused(plain(at(0xb8000n)), /overlaps the firmware's area and tables from 0x9fc00 to 0x100000/, "program");
    refused(plain(at(0xd0000000n)), /PCI hole/, "program");
    refused(plain(at(0xffffffff80000000n)), /where there is no RAM: give it a physical address/, "program");
    refused(plain(at(0xbfff0000n)), /overlaps the firmware's tables at the end of RAM/, "program", { mib: 4096 });
  });

  test("ELF linked at addresses that cannot be mapped", () => {
    const segments = [{ physical: 0x100000n, virtual: 0x0000f00000000000n, data: code }];
    refused(plain({ segments, entry: 0x0000f00000000000n }), /cannot be mapped at 0xf00000000000/, "program");
  });

  test("Multiboot 1", () => {
    const flat = (...fields: number[]): Uint8Array => join(multiboot1Header(0x10000, ...fields), code);
    refused(join(multiboot1Header(0), code), /not ELF: there is no telling where to load it/, "program");
    refused(join(multiboot1Header(0x10), code), /requires features 0x10/, "program");
    refused(multiboot1Header(0x10000), /truncated within its Multiboot header/, "program");
    refused(flat(0x100000, 0x100004, 0, 0, 0x100000), /contradict/, "program");
    refused(flat(0x100008, 0x100000, 0, 0, 0x100000), /contradict/, "program");
    refused(flat(0x100000, 0x100000, 0x200000, 0, 0x100000), /truncated: the Multiboot header asks for 1048576 bytes/, "program");
    refused(flat(0x100000, 0x100000, 0x80000, 0, 0x100000), /empty image/, "program");
    refused(flat(0x100000, 0x100000, 0, 0xa0000000, 0x100000), /raise `memory`/, "memory");
  });

  test("Multiboot 2", () => {
    const image = (...tags: number[][]): Uint8Array => join(multiboot2Header(tags), code);
    refused(image([9, 12, 5]), /requires an EFI entry point, and there is no EFI firmware/, "program");
    refused(image([7, 8]), /requires EFI boot services/, "program");
    refused(image([77, 8]), /has tag 77, which is not known/, "program");
    refused(image([1, 12, 12]), /requires information 12/, "program");
    refused(image([3, 8]), /too short: 8 bytes instead of 12/, "program");
    refused(image([3, 4]), /wrong size, 4 bytes/, "program");
    refused(image([3, 4096, 0]), /wrong size/, "program");
    refused(image([10, 24, 0, 0xffffffff, 3, 0]), /alignment of 3/, "program");
    refused(image([2, 24, 0x100000, 0x100000, 0, 0]), /no entry address tag/, "program");
    refused(image(), /not ELF/, "program");
    refused(join(multiboot2Header([], { architecture: 4 }), code), /for MIPS, not for i386/, "program");
    refused(join(multiboot2Header([[6, 8]], { end: false }), code), /no end tag/, "program");
    const relocatable = join(multiboot2Header([[10, 24, 0x10000000, 0x20000000, 4096, 0]]), code);
    refused(
      elf({ bits: 32, entry: 0x100000n, segments: [{ physical: 0x100000n, data: relocatable }] }),
      /no room in memory for the relocatable image/,
      "memory",
    );
  });

  test("Linux", () => {
    refused(bzImage({ version: 0x205 }), /too old: it speaks boot protocol 2\.05/, "program");
    refused(bzImage({ loadFlags: 0 }), /zImage/, "program");
    refused(bzImage().slice(0, 3000), /truncated: its header asks for 6144 bytes, the file has 3000/, "program");
    refused(bzImage({ initSize: 0x4000000 }), /the unpacked kernel at 0x1000000 \(67108864 bytes\) needs 81 MiB of memory/, "memory");
    refused(bzImage({ cmdlineSize: 10 }), /has 11 bytes, kernel takes at most 10/, "cmdline", { cmdline: "01234567890" });
    refused(bzImage(), /fit beside kernel in 64 MiB of memory: raise `memory`/, "initrd", {
      initrd: { bytes: new Uint8Array(60 << 20), name: "initrd" },
    });
    refused(bzImage({ initrdMax: 0x1ffffff }), /does not fit below 0x2000000, where the kernel wants it,/, "initrd", {
      initrd: { bytes: new Uint8Array(16 << 20), name: "initrd" },
    });
    refused(bzImage(), /takes an initrd and no modules/, "modules", { modules: [{ bytes: code, name: "m" }] });
  });

  test("PVH", () => {
    refused(plain({ note: pvhNote(0x500000) }), /PVH entry 0x500000 lies in none/, "program");
  });

  test("files and options that do not fit", () => {
    refused(plain(), /initrd\.gz \(64\.0 MiB\) does not fit/, "initrd", { initrd: { bytes: new Uint8Array(64 << 20), name: "initrd.gz" } });
    refused(plain(), /big \(64\.0 MiB\) does not fit/, "modules", { modules: [{ bytes: new Uint8Array(64 << 20), name: "big" }] });
    refused(plain(), /takes at most 65535/, "cmdline", { cmdline: "x".repeat(65536) });
    refused(plain(), /NUL/, "cmdline", { cmdline: "a\0b" });
    refused(plain(), /has 1024 KiB of memory, booting takes at least 2 MiB/, "memory", { mib: 1 });
    boot(plain(), { mib: 2 });
  });
});

describe("mutated images", () => {
  /** A small generator with a fixed seed (xorshift): the same mutations in every run. */
  function random(seed: number): (below: number) => number {
    let state = seed;
    return (below) => {
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      return (state >>> 0) % below;
    };
  }

  const samples: Record<string, Uint8Array> = {
    elf32: plain({ bits: 32, symbols: pattern(48) }),
    elf64: plain({ symbols: pattern(48) }),
    pvh: plain({ note: pvhNote(0x100010) }),
    multiboot1: plain({
      bits: 32,
      entry: 0x100010n,
      segments: [{ physical: 0x100000n, data: join(multiboot1Header(7), code) }],
      symbols: pattern(48),
    }),
    kludge: join(multiboot1Header(0x10000, 0x100000, 0x100000, 0, 0x101000, 0x100020), code),
    multiboot2: plain({
      entry: 0x100010n,
      segments: [
        {
          physical: 0x100000n,
          data: join(
            multiboot2Header([
              [1, 16, 4, 6],
              [10, 24, 0x100000, 0xffffffff, 4096, 1],
              [5, 20, 80, 25, 0],
            ]),
            code,
          ),
        },
      ],
    }),
    linux: bzImage(),
  };
  const interesting = [0, 1, 2, 4, 0x7f, 0x80, 0xff, 0x1000, 0x7fffffff, 0x80000000, 0xffffffff, 0xfffff000];

  /** Where a sample's headers lie: mutations elsewhere hardly matter. */
  function headerBytes(name: string, file: Uint8Array): number[] {
    const ranges: Record<string, [number, number][]> = {
      linux: [[0x1f1, 0x268]],
      kludge: [[0, 40]],
    };
    return (
      ranges[name] ?? [
        [4, 0x100],
        [0x400, 0x480],
        [file.length - 140, file.length],
      ]
    ).flatMap(([from, to]) => Array.from({ length: to - from }, (_, index) => from + index));
  }

  for (const [name, sample] of Object.entries(samples)) {
    test(`${name}: a mutated header boots or is refused, and nothing else`, () => {
      const next = random(0x1234567 + sample.length);
      const places = headerBytes(name, sample);
      const start = process.cpuUsage();
      let refusals = 0;
      const rounds = 120;
      for (let round = 0; round < rounds; round++) {
        let file = sample.slice();
        const view = new DataView(file.buffer);
        for (let count = 1 + next(3); count > 0; count--) {
          const place = places[next(places.length)];
          if (next(2) === 0) file[place] = next(256);
          else if (place + 4 <= file.length) view.setUint32(place, interesting[next(interesting.length)], true);
        }
        if (next(8) === 0) file = file.slice(0, next(file.length));
        try {
          boot(file, { initrd: { bytes: code, name: "initrd" }, cmdline: "a b" });
        } catch (error) {
          if (!(error instanceof UserError)) throw error;
          assert.ok(error.subject !== undefined);
          refusals++;
        }
      }
      assert.ok(refusals > rounds / 20, `${refusals} refusals`);
      const { user, system } = process.cpuUsage(start);
      assert.ok((user + system) / 1000 < 20_000);
    });
  }

  test("claims of endless notes, sections and segments are bounded", () => {
    // 4096 program headers of 32 MiB each over the same memory.
    const count = 4096;
    const file = new Uint8Array(64 + count * 56);
    file.set(plain().slice(0, 64));
    const view = new DataView(file.buffer);
    view.setUint16(56, count, true);
    for (let index = 0; index < count; index++) {
      const header = 64 + index * 56;
      view.setUint32(header, 1, true);
      view.setBigUint64(header + 16, 0x100000n, true);
      view.setBigUint64(header + 24, 0x100000n, true);
      view.setBigUint64(header + 40, 32n << 20n, true);
    }
    refused(file, /overlap each other/, "program");
    view.setUint16(56, 65535, true);
    refused(file, /claims 65535 program headers/, "program");
    const note = words(0xfffffff0, 0xfffffff0, 18, 0x006e6558, 0);
    assert.equal(boot(plain({ note })).state.kind, "elf");
  });
});
