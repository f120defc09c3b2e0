import { describe, test } from "node:test";
import assert from "node:assert/strict";
import { biosState } from "../../src/firmware/boot";
import type { Booted } from "./support";
import { boot, bzImage, elf, multiboot1Header, multiboot2Header, pattern, pvhNote } from "./support";

const MIB = 0x100000;
const code = pattern(100);
const join = (...parts: Uint8Array[]): Uint8Array => Uint8Array.from(parts.flatMap((part) => [...part]));

/** What every 32-bit protocol asks for: flat segments, protection on, paging and interrupts off. */
function assertProtectedMode({ state, memory }: Booted): void {
  assert.equal(state.mode, "protected32");
  assert.equal(state.cr0, 0x11n);
  assert.equal(state.cr4, 0n);
  assert.equal(state.efer, 0n);
  assert.equal(state.rflags, 2n);
  for (const name of ["cs", "ds", "es", "ss", "fs", "gs"] as const) {
    const segment = state.segments[name];
    assert.equal(segment.base, 0n);
    assert.equal(segment.limit, 0xffffffff);
    // The hidden parts are what the GDT holds at the selector.
    assert.ok(segment.selector + 7 <= state.gdt.limit);
    const descriptor = memory.view(Number(state.gdt.base) + segment.selector, 8);
    assert.equal((descriptor.getUint32(4, true) >> 8) & 0xf0ff, segment.access);
  }
}

interface Range {
  readonly start: number;
  readonly end: number;
  readonly type: number;
}

describe("Multiboot 1", () => {
  const image = (flags: number): Uint8Array =>
    elf({ bits: 32, entry: 0x100010n, segments: [{ physical: 0x100000n, data: join(multiboot1Header(flags), code), memorySize: 0x2000 }] });

  test("an ELF image is loaded, zeroed behind its data and entered with the magic value", () => {
    const booted = boot(image(3), { cmdline: "hello  world" });
    const { state, memory } = booted;
    assert.equal(state.kind, "multiboot1");
    assert.equal(state.rip, 0x100010n);
    assert.equal(state.gprs.rax, 0x2badb002n);
    assertProtectedMode(booted);
    // Where kernels that load their own GDT but not CS expect themselves.
    assert.deepEqual([booted.state.segments.cs.selector, booted.state.segments.ds.selector], [0x08, 0x10]);
    assert.deepEqual(memory.read(0x10000c, 100), code);
    assert.equal(memory.u32(0x100070), 0);
    const info = Number(state.gprs.rbx);
    assert.equal(memory.u32(info), 0b1001001101);
    assert.equal(memory.u32(info + 4), 639);
    assert.equal(memory.u32(info + 8), (64 - 1) * 1024 - 64);
    assert.equal(memory.text(memory.u32(info + 16)), "hello  world");
    assert.equal(memory.text(memory.u32(info + 64)), "APICScope");
  });

  test("the memory map is the state's", () => {
    const { state, memory } = boot(image(0), { mib: 3584 });
    const info = Number(state.gprs.rbx);
    const ranges: Range[] = [];
    const start = memory.u32(info + 48);
    for (let at = start; at < start + memory.u32(info + 44); at += memory.u32(at) + 4) {
      ranges.push({ start: memory.u64(at + 4), end: memory.u64(at + 4) + memory.u64(at + 12), type: memory.u32(at + 20) });
    }
    assert.deepEqual(ranges, state.memoryMap);
  });

  test("modules stand on pages above the image, the initrd first", () => {
    const { state, memory } = boot(image(1), {
      initrd: { bytes: pattern(5000), name: "initrd.img" },
      modules: [{ bytes: pattern(10), name: "second", cmdline: "second arg" }],
    });
    const info = Number(state.gprs.rbx);
    assert.equal(memory.u32(info + 20), 2);
    const list = memory.u32(info + 24);
    const [start, end, second] = [memory.u32(list), memory.u32(list + 4), memory.u32(list + 16)];
    assert.equal(start, 0x102000);
    assert.equal(end - start, 5000);
    assert.deepEqual(memory.read(start, 5000), pattern(5000));
    assert.equal(memory.text(memory.u32(list + 8)), "initrd.img");
    assert.equal(second, 0x104000);
    assert.equal(memory.text(memory.u32(list + 24)), "second arg");
  });

  test("an image without ELF is loaded by the header's addresses", () => {
    const header = multiboot1Header(0x10000, 0x200008, 0x200000, 0x200000 + 60, 0x201000, 0x200040);
    const file = join(pattern(16), pattern(8), header, code);
    const { state, memory } = boot(file);
    assert.equal(state.rip, 0x200040n);
    assert.deepEqual(memory.read(0x200000, 60), file.slice(16, 76));
    assert.equal(memory.u32(0x20003c), 0);
  });

  test("load end 0 means the whole file", () => {
    const file = join(multiboot1Header(0x10000, 0x100000, 0x100000, 0, 0, 0x100020), code);
    const { memory } = boot(file);
    assert.deepEqual(memory.read(0x100000, file.length), file);
  });

  test("a video mode is answered with the text screen", () => {
    const { state, memory } = boot(image(4));
    const info = Number(state.gprs.rbx);
    assert.equal(memory.u32(info) & (1 << 12), 1 << 12);
    assert.equal(memory.u64(info + 88), 0xb8000);
    assert.equal(memory.u8(info + 109), 2);
  });

  test("section headers and symbols are passed on", () => {
    const symbols = pattern(48);
    const file = elf({ bits: 32, entry: 0x100010n, symbols, segments: [{ physical: 0x100000n, data: join(multiboot1Header(0), code) }] });
    const { state, memory } = boot(file);
    const info = Number(state.gprs.rbx);
    assert.equal(memory.u32(info) & (1 << 5), 1 << 5);
    assert.equal(memory.u32(info + 28), 2);
    const header = memory.u32(info + 36) + 40;
    assert.deepEqual(memory.read(memory.u32(header + 12), 48), symbols);
  });

  test("a kernel linked high is entered at the physical address of its entry", () => {
    const file = elf({
      bits: 64,
      entry: 0xffffffff80100010n,
      segments: [{ physical: 0x100000n, virtual: 0xffffffff80100000n, data: join(multiboot1Header(0), code) }],
    });
    assert.equal(boot(file).state.rip, 0x100010n);
  });
});

describe("Multiboot 2", () => {
  const image = (tags: readonly number[][], symbols?: Uint8Array): Uint8Array =>
    elf({
      bits: 64,
      entry: 0x200040n,
      segments: [{ physical: 0x200000n, data: join(multiboot2Header(tags), code), memorySize: 0x1000 }],
      ...(symbols ? { symbols } : {}),
    });

  /** Information tags by type: address and size. */
  function tags({ state, memory }: Booted): Map<number, { at: number; size: number }> {
    const info = Number(state.gprs.rbx);
    assert.equal(info % 8, 0);
    const found = new Map<number, { at: number; size: number }>();
    let at = info + 8;
    for (; ; at = (at + memory.u32(at + 4) + 7) & ~7) {
      found.set(memory.u32(at), { at, size: memory.u32(at + 4) });
      if (memory.u32(at) === 0) break;
    }
    assert.equal(at + 8 - info, memory.u32(info));
    return found;
  }

  test("all information tags are there and right", () => {
    const booted = boot(
      image(
        [
          [1, 16, 4, 6],
          [6, 8],
          [5, 20, 80, 25, 0],
        ],
        pattern(24),
      ),
      {
        cmdline: "root=/dev/ram",
        initrd: { bytes: pattern(100), name: "ramdisk" },
      },
    );
    const { state, memory } = booted;
    assert.equal(state.kind, "multiboot2");
    assert.equal(state.rip, 0x200040n);
    assert.equal(state.gprs.rax, 0x36d76289n);
    assertProtectedMode(booted);
    const found = tags(booted);
    assert.deepEqual(
      [...found.keys()].sort((a, b) => a - b),
      [0, 1, 2, 3, 4, 6, 8, 9, 14, 15],
    );
    const at = (type: number): number => found.get(type)?.at ?? 0;
    assert.equal(memory.text(at(1) + 8), "root=/dev/ram");
    assert.equal(memory.text(at(2) + 8), "APICScope");
    assert.deepEqual(memory.read(memory.u32(at(3) + 8), 100), pattern(100));
    assert.equal(memory.text(at(3) + 16), "ramdisk");
    assert.deepEqual([memory.u32(at(4) + 8), memory.u32(at(4) + 12)], [639, 63 * 1024 - 64]);
    assert.equal(memory.u64(at(8) + 8), 0xb8000);
    assert.equal(memory.text(at(14) + 8).slice(0, 8), "RSD PTR ");
    assert.deepEqual(memory.read(at(15) + 8, 36), memory.read(state.rsdp, 36));
    const map: Range[] = [];
    const entry = memory.u32(at(6) + 8);
    for (let offset = 16; offset < (found.get(6)?.size ?? 0); offset += entry) {
      const start = memory.u64(at(6) + offset);
      map.push({ start, end: start + memory.u64(at(6) + offset + 8), type: memory.u32(at(6) + offset + 16) });
    }
    assert.deepEqual(map, state.memoryMap);
    const sections = memory.u32(at(9) + 8);
    assert.equal(sections, 2);
    assert.deepEqual(memory.read(memory.u64(at(9) + 20 + 64 + 16), 24), pattern(24));
  });

  test("address and entry tags load a flat file", () => {
    const header = multiboot2Header([
      [2, 24, 0x300000, 0xffffffff, 0, 0x302000],
      [3, 12, 0x300050],
    ]);
    const file = join(header, code);
    const { state, memory } = boot(file);
    assert.equal(state.rip, 0x300050n);
    assert.deepEqual(memory.read(0x300000, file.length), file);
  });

  const relocated = (preference: number, minimum: number, maximum: number, alignment = 0x200000): Booted =>
    boot(image([[10, 24, minimum, maximum, alignment, preference]]));

  test("a relocatable image stays at its address if that suits", () => {
    assert.equal(relocated(0, 0x100000, 0xffffffff).state.loadOffset, 0n);
  });

  test("a relocatable image moves to the lowest place", () => {
    const booted = relocated(1, 0x1000000, 0xffffffff);
    assert.equal(booted.state.rip, 0x1000040n);
    assert.equal(booted.state.loadOffset, 0xe00000n);
    assert.equal(booted.memory.u32(0x1000000), 0xe85250d6);
    assert.equal(booted.memory.u32((tags(booted).get(21)?.at ?? 0) + 8), 0x1000000);
  });

  test("a relocatable image moves to the highest place", () => {
    const booted = relocated(2, 0x100000, 0x2ffffff, 0x1000);
    assert.equal(booted.state.rip, 0x2fff040n);
  });

  test("unknown optional tags and optional EFI tags do not matter", () => {
    assert.equal(
      boot(
        image([
          [0x10000 | 77, 8],
          [0x10000 | 7, 8],
          [0x10000 | 9, 12, 5],
        ]),
      ).state.rip,
      0x200040n,
    );
    assert.equal(
      boot(
        image([
          [9, 12, 5],
          [3, 12, 0x200044],
        ]),
      ).state.rip,
      0x200044n,
    );
  });
});

describe("Linux", () => {
  test("a bzImage is loaded at 1 MiB with its zero page", () => {
    const booted = boot(bzImage(), { cmdline: "console=ttyS0", initrd: { bytes: pattern(70000), name: "initramfs" } });
    const { state, memory } = booted;
    assert.equal(state.kind, "linux");
    assert.equal(state.rip, 0x100000n);
    assertProtectedMode(booted);
    assert.equal(state.segments.cs.selector, 0x10);
    assert.equal(state.segments.ds.selector, 0x18);
    for (const name of ["rbx", "rbp", "rdi"] as const) assert.equal(state.gprs[name], 0n);
    assert.deepEqual(memory.read(0x100000, 4096), pattern(4096));
    const zero = Number(state.gprs.rsi);
    assert.equal(memory.u32(zero + 0x202), 0x53726448);
    assert.equal(memory.u16(zero + 0x206), 0x20f);
    assert.equal(memory.u8(zero + 0x1ef), 0, "sentinel");
    assert.equal(memory.u8(zero + 0x210), 0xff);
    assert.equal(memory.u16(zero + 0x1fa), 0xffff);
    assert.equal(memory.u32(zero + 0x214), 0x100000);
    assert.equal(memory.text(memory.u32(zero + 0x228)), "console=ttyS0");
    assert.equal(memory.u64(zero + 0x70), state.rsdp);
    const ramdisk = memory.u32(zero + 0x218);
    assert.equal(memory.u32(zero + 0x21c), 70000);
    assert.equal(ramdisk % 4096, 0);
    assert.ok(ramdisk > 60 * MIB);
    assert.deepEqual(memory.read(ramdisk, 70000), pattern(70000));
    const map: Range[] = Array.from({ length: memory.u8(zero + 0x1e8) }, (_, index) => {
      const at = zero + 0x2d0 + index * 20;
      return { start: memory.u64(at), end: memory.u64(at) + memory.u64(at + 8), type: memory.u32(at + 16) };
    });
    assert.deepEqual(map, state.memoryMap);
  });

  test("the initrd stays below the kernel's limit and above what it unpacks itself into", () => {
    const initrd = { bytes: pattern(0x100000), name: "initrd" };
    const below = boot(bzImage({ initrdMax: 0x37ffffff }), { mib: 2048, initrd });
    assert.equal(below.memory.u32(Number(below.state.gprs.rsi) + 0x218), 0x37f00000);
    // 32 MiB hold the unpacked kernel from 16 MiB to nearly the end: the RAM disk goes below it.
    const squeezed = boot(bzImage({ initSize: 15 * MIB + 0x80000 }), { mib: 32, initrd });
    assert.equal(squeezed.memory.u32(Number(squeezed.state.gprs.rsi) + 0x218), 0xf00000);
  });

  test("the number of setup sectors 0 means 4", () => {
    const file = bzImage({ setupSectors: 4 });
    file[0x1f1] = 0;
    assert.deepEqual(boot(file).memory.read(0x100000, 4096), pattern(4096));
  });
});

describe("PVH", () => {
  const image = (bits: 32 | 64): Uint8Array =>
    elf({ bits, entry: 0x100000n, segments: [{ physical: 0x100000n, data: code, memorySize: 0x3000 }], note: pvhNote(0x100020) });

  for (const bits of [32, 64] as const) {
    test(`an ELF${bits} image is entered at its note's address with the start information`, () => {
      const booted = boot(image(bits), { cmdline: "x=y", initrd: { bytes: pattern(50), name: "mod" }, mib: 512 });
      const { state, memory } = booted;
      assert.equal(state.kind, "pvh");
      assert.equal(state.rip, 0x100020n);
      assertProtectedMode(booted);
      assert.equal(state.segments.tr.limit, 0x67);
      const info = Number(state.gprs.rbx);
      assert.deepEqual([memory.u32(info), memory.u32(info + 4), memory.u32(info + 12)], [0x336ec578, 1, 1]);
      const module = memory.u64(info + 16);
      assert.equal(memory.u64(module), 0x103000);
      assert.equal(memory.u64(module + 8), 50);
      assert.equal(memory.text(memory.u64(module + 16)), "mod");
      assert.equal(memory.text(memory.u64(info + 24)), "x=y");
      assert.equal(memory.u64(info + 32), state.rsdp);
      const map: Range[] = Array.from({ length: memory.u32(info + 48) }, (_, index) => {
        const at = memory.u64(info + 40) + index * 24;
        return { start: memory.u64(at), end: memory.u64(at) + memory.u64(at + 8), type: memory.u32(at + 16) };
      });
      assert.deepEqual(map, state.memoryMap);
    });
  }
});

describe("plain ELF", () => {
  /** Walks the 4-level page tables; undefined where nothing is mapped. */
  function translate({ state, memory }: Booted, virtual: bigint): number | undefined {
    let table = Number(state.cr3);
    for (let level = 3; level >= 0; level--) {
      const entry = memory.u64(table + Number((virtual >> BigInt(12 + 9 * level)) & 0x1ffn) * 8);
      if ((entry & 1) === 0) return undefined;
      const base = Math.floor(entry / 0x1000) * 0x1000;
      if (level === 0) return base + Number(virtual & 0xfffn);
      if ((entry & 0x80) !== 0) return base + Number(virtual & 0x1fffffn);
      table = base;
    }
    return undefined;
  }

  test("a 32-bit image starts in protected mode as a called function", () => {
    const booted = boot(elf({ bits: 32, entry: 0x100008n, segments: [{ physical: 0x100000n, data: code }] }));
    const { state, memory } = booted;
    assert.equal(state.kind, "elf");
    assert.equal(state.rip, 0x100008n);
    assertProtectedMode(booted);
    const stack = Number(state.gprs.rsp);
    assert.equal((stack + 4) % 16, 0);
    assert.equal(memory.u32(stack), 0);
    assert.equal(memory.u32(memory.u32(stack + 4)), 0x336ec578);
    assert.equal(memory.u32(stack + 4), Number(state.gprs.rbx));
    assert.ok(state.reserved.some((range) => range.start < stack && stack < range.end));
  });

  test("a 64-bit image starts in long mode with memory identity-mapped", () => {
    const booted = boot(elf({ bits: 64, entry: 0x400000n, segments: [{ physical: 0x400000n, data: code }] }), { mib: 3584 });
    const { state, memory } = booted;
    assert.equal(state.mode, "long64");
    assert.equal(state.rip, 0x400000n);
    assert.equal(state.cr0, 0x80000011n);
    assert.equal(state.cr4, 0x20n);
    assert.equal(state.efer, 0x500n);
    assert.equal(state.segments.cs.access & 0x6000, 0x2000, "CS is 64-bit code");
    assert.equal(state.gprs.rsp % 16n, 8n);
    assert.equal(memory.u64(Number(state.gprs.rsp)), 0);
    assert.equal(memory.u32(Number(state.gprs.rdi)), 0x336ec578);
    for (const address of [0, 0x400123, 0xbffffff8, 0xfee00030, 0x11fffffff]) assert.equal(translate(booted, BigInt(address)), address);
    assert.equal(translate(booted, 0x140000000n), undefined);
    const last = state.memoryMap.filter((range) => range.type === 2).at(1);
    assert.ok(last !== undefined);
    assert.ok(state.reserved.some((range) => range.start <= Number(state.cr3) && Number(state.cr3) < range.end));
  });

  test("a 64-bit image linked high is mapped there", () => {
    const virtual = 0xffffffff80000000n;
    const booted = boot(
      elf({
        bits: 64,
        entry: virtual + 0x20n,
        segments: [
          { physical: 0x200000n, virtual, data: code, memorySize: 0x300000 },
          { physical: 0x600000n, virtual: virtual + 0x400000n, data: code },
        ],
      }),
    );
    assert.equal(booted.state.rip, virtual + 0x20n);
    assert.equal(translate(booted, virtual + 0x20n), 0x200020);
    assert.equal(translate(booted, virtual + 0x2ff000n), 0x4ff000);
    assert.equal(translate(booted, virtual + 0x400010n), 0x600010);
    assert.equal(translate(booted, virtual + 0x500000n), undefined);
  });
});

test("a firmware image starts at the reset vector", () => {
  const state = biosState();
  assert.equal(state.mode, "real");
  assert.equal(state.segments.cs.base + state.rip, 0xfffffff0n);
  assert.equal(state.cr0, 0x60000010n);
  assert.equal(state.localApic, undefined);
});
