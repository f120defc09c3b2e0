import { describe, test } from "node:test";
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as acpi from "../../src/firmware/acpi/tables";
import { integer, nameString, pack, eisaId, buffer, join as joinAml } from "../../src/firmware/acpi/aml";
import * as board from "../../src/devices/board";
import { writeFirmwareTables } from "../../src/firmware/firmwareTables";
import { boot, bzImage, byteSum, SparseMemory } from "./support";

const MIB = 0x100000;
const ids = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

/** What a guest does: search the BIOS segment for a signature on 16-byte boundaries. */
function scan(memory: SparseMemory, signature: string): number {
  for (let at = 0xe0000; at < MIB; at += 16) {
    if (signature === String.fromCharCode(...memory.read(at, signature.length))) return at;
  }
  return 0;
}

/** Follows the RSDP to all tables, by signature. */
function acpiTables(memory: SparseMemory): Map<string, { at: number; bytes: Uint8Array }> {
  const rsdp = scan(memory, "RSD PTR ");
  assert.equal(byteSum(memory.read(rsdp, 20)), 0);
  assert.equal(byteSum(memory.read(rsdp, 36)), 0);
  assert.equal(memory.u8(rsdp + 15), 2);
  const found = new Map<string, { at: number; bytes: Uint8Array }>();
  const take = (at: number): string => {
    const signature = String.fromCharCode(...memory.read(at, 4));
    const bytes = memory.read(at, memory.u32(at + 4));
    if (signature !== "FACS") assert.equal(byteSum(bytes), 0, signature);
    found.set(signature, { at, bytes });
    return signature;
  };
  const rsdt = memory.u32(rsdp + 16);
  const xsdt = memory.u64(rsdp + 24);
  assert.equal(take(rsdt), "RSDT");
  assert.equal(take(xsdt), "XSDT");
  const count = (memory.u32(rsdt + 4) - 36) / 4;
  for (let index = 0; index < count; index++) {
    assert.equal(memory.u32(rsdt + 36 + index * 4), memory.u64(xsdt + 36 + index * 8));
    take(memory.u32(rsdt + 36 + index * 4));
  }
  const fadt = found.get("FACP")?.at ?? 0;
  assert.equal(take(memory.u32(fadt + 36)), "FACS");
  assert.equal(take(memory.u32(fadt + 40)), "DSDT");
  return found;
}

describe("ACPI tables in memory", () => {
  const memory = new SparseMemory(64 * MIB);
  writeFirmwareTables(memory, ids(4), true);

  test("are found through the RSDP, with right checksums, inside the ranges the map keeps for them", () => {
    const tables = acpiTables(memory);
    assert.deepEqual([...tables.keys()].sort(), ["APIC", "DSDT", "FACP", "FACS", "HPET", "RSDT", "XSDT"]);
    for (const [signature, { at, bytes }] of tables) {
      const [from, to] = signature === "FACS" ? [0x3fff000, 0x4000000] : [0x3ff0000, 0x3fff000];
      assert.ok(at >= from && at + bytes.length <= to, `${signature} at ${at.toString(16)}`);
    }
    assert.equal((tables.get("FACS")?.at ?? 1) % 64, 0);
  });

  test("the FADT names the board's ports", () => {
    const fadt = acpiTables(memory).get("FACP")?.at ?? 0;
    assert.equal(memory.u32(fadt + 4), 276);
    assert.equal(memory.u16(fadt + 46), board.SCI_IRQ);
    assert.equal(memory.u32(fadt + 56), board.PM1A_EVENT_PORT);
    assert.equal(memory.u32(fadt + 64), board.PM1A_CONTROL_PORT);
    assert.equal(memory.u32(fadt + 76), board.PM_TIMER_PORT);
    assert.equal(memory.u64(fadt + 120), board.RESET_PORT);
    assert.equal(memory.u8(fadt + 128), board.RESET_VALUE);
    // The generic addresses repeat the ports: event, control, timer, GPE.
    assert.equal(memory.u64(fadt + 152), board.PM1A_EVENT_PORT);
    assert.equal(memory.u64(fadt + 176), board.PM1A_CONTROL_PORT);
    assert.equal(memory.u64(fadt + 212), board.PM_TIMER_PORT);
    assert.equal(memory.u64(fadt + 224), board.GPE0_PORT);
  });

  test("the MADT lists every CPU, with x2APIC entries from id 255 on", () => {
    const entries = (list: readonly number[]): number[][] => {
      const bytes = acpi.madt(list);
      assert.equal(byteSum(bytes), 0);
      const found: number[][] = [];
      for (let at = 44; at < bytes.length; at += bytes[at + 1]) found.push([...bytes.slice(at, at + bytes[at + 1])]);
      return found;
    };
    assert.deepEqual(
      entries([0, 254, 255, 300]).map(([type]) => type),
      [0, 0, 9, 9, 1, 2, 2, 4, 10],
    );
    assert.deepEqual(entries([0, 7]), [
      [0, 8, 0, 0, 1, 0, 0, 0],
      [0, 8, 1, 7, 1, 0, 0, 0],
      [1, 12, 0, 0, 0, 0, 0xc0, 0xfe, 0, 0, 0, 0],
      [2, 10, 0, 0, 2, 0, 0, 0, 0, 0],
      [2, 10, 0, 9, 9, 0, 0, 0, 0x0d, 0],
      [4, 6, 0xff, 0, 0, 1],
    ]);
  });

  test("there is no HPET table without an HPET", () => {
    const bare = new SparseMemory(64 * MIB);
    writeFirmwareTables(bare, ids(1), false);
    assert.ok(!acpiTables(bare).has("HPET"));
  });

  test("tables of many CPUs fit", () => {
    const large = new SparseMemory(64 * MIB);
    const tables = writeFirmwareTables(large, ids(1024), false);
    assert.ok(tables.start <= 64 * MIB - 0x10000);
    assert.equal(acpiTables(large).get("APIC")?.bytes.length, 44 + 255 * 8 + 769 * 16 + 12 + 10 + 10 + 6 + 12);
  });

  test("small kernels' search for \\_S5 finds the package they expect", () => {
    const dsdt = acpi.dsdt(1, true);
    const at = Buffer.from(dsdt).indexOf("_S5_");
    assert.equal(dsdt[at + 4], 0x12);
    assert.ok(dsdt[at - 1] === 0x08 || (dsdt[at - 2] === 0x08 && dsdt[at - 1] === 0x5c));
    const sleepType = at + 5 + (dsdt[at + 5] >> 6) + 2;
    assert.equal(dsdt[sleepType], board.S5_SLEEP_TYPE);
  });
});

describe("AML", () => {
  test("integers take their shortest form", () => {
    assert.deepEqual(
      [0, 1, 2, 255, 256, 65535, 65536].map((value) => [...integer(value)]),
      [[0], [1], [0x0a, 2], [0x0a, 255], [0x0b, 0, 1], [0x0b, 255, 255], [0x0c, 0, 0, 1, 0]],
    );
  });

  test("names, ids and lengths are encoded as the specification says", () => {
    assert.equal(Buffer.from(nameString("\\_SB.PCI0")).toString("latin1"), "\\\x2e_SB_PCI0");
    assert.equal(Buffer.from(nameString("A.B.C")).toString("latin1"), "\x2f\x03A___B___C___");
    assert.deepEqual([...eisaId("PNP0A03")], [0x0c, 0x41, 0xd0, 0x0a, 0x03]);
    assert.deepEqual([...pack(integer(0))], [0x12, 3, 1, 0]);
    const long = buffer(new Array<number>(0x1234).fill(0));
    // Length bytes (3), size integer (3) and contents, low nibble in the lead byte.
    const length = 0x1234 + 3 + 3;
    assert.deepEqual([...long.slice(0, 4)], [0x11, 0x80 | (length & 15), (length >> 4) & 0xff, length >> 12]);
    assert.equal(joinAml([1], [2, 3]).length, 3);
  });

  test("iasl disassembles all tables (it knows no RSDP) and compiles what it made of them", (context) => {
    if (spawnSync("iasl", ["-v"]).error) {
      context.skip("iasl is not installed (Debian package acpica-tools)");
      return;
    }
    const folder = mkdtempSync(join(tmpdir(), "acpi-"));
    try {
      const tables: Record<string, Uint8Array> = {
        dsdt: acpi.dsdt(8, true),
        fadt: acpi.fadt(0x3ff0000, 0x3fff000),
        madt: acpi.madt([0, 1, 255, 256]),
        hpet: acpi.hpet(),
        rsdt: acpi.rsdt([0x1000, 0x2000]),
        xsdt: acpi.xsdt([0x1000, 0x2000]),
        facs: acpi.facs(),
      };
      for (const [name, bytes] of Object.entries(tables)) {
        const file = join(folder, `${name}.aml`);
        writeFileSync(file, bytes);
        const disassembly = spawnSync("iasl", ["-d", file], { encoding: "utf8" });
        const output = disassembly.stdout + disassembly.stderr;
        assert.equal(disassembly.status, 0, output);
        assert.doesNotMatch(output, /error|warning|invalid|incorrect|should be/i, name);
        const compiled = execFileSync("iasl", ["-p", join(folder, `${name}-again`), join(folder, `${name}.dsl`)], { encoding: "utf8" });
        if (name === "dsdt") {
          assert.match(compiled, /\b0 Errors, 0 Warnings/);
          // The compiler's own encoding of the same source, header apart, is this one.
          const again = readFileSync(join(folder, `${name}-again.aml`));
          assert.deepEqual([...again.subarray(36)], [...bytes.subarray(36)]);
        }
      }
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});

describe("MP tables", () => {
  const memory = new SparseMemory(64 * MIB);
  writeFirmwareTables(memory, [0, 1, 2, 5, 300], false);
  const pointer = scan(memory, "_MP_");
  const table = memory.u32(pointer + 4);

  test("are found through the floating pointer, with right checksums", () => {
    assert.equal(byteSum(memory.read(pointer, 16)), 0);
    assert.equal(String.fromCharCode(...memory.read(table, 4)), "PCMP");
    assert.equal(byteSum(memory.read(table, memory.u16(table + 4))), 0);
    assert.equal(memory.u32(table + 36), board.LAPIC_BASE);
  });

  test("list processors, buses, the I/O APIC and every interrupt", () => {
    const entries: number[][] = [];
    let at = table + 44;
    for (let index = 0; index < memory.u16(table + 34); index++) {
      const length = memory.u8(at) === 0 ? 20 : 8;
      entries.push([...memory.read(at, length)]);
      at += length;
    }
    assert.equal(at, table + memory.u16(table + 4));
    const ofType = (type: number): number[][] => entries.filter((entry) => entry[0] === type);
    assert.deepEqual(
      ofType(0).map((entry) => [entry[1], entry[3]]),
      [
        [0, 3],
        [1, 1],
        [2, 1],
        [5, 1],
      ],
    );
    assert.deepEqual(
      ofType(1).map((entry) => String.fromCharCode(...entry.slice(2))),
      ["PCI   ", "ISA   "],
    );
    assert.equal(ofType(2).length, 1);
    const isa = ofType(3).filter((entry) => entry[4] === 1);
    assert.equal(isa.length, 15);
    assert.deepEqual(isa[0], [3, 0, 0, 0, 1, 0, board.IOAPIC_ID, board.PIT_GSI]);
    assert.deepEqual(isa.find((entry) => entry[5] === board.SCI_IRQ)?.slice(1, 4), [0, 0xd, 0]);
    assert.equal(ofType(3).filter((entry) => entry[4] === 0).length, 128);
    assert.deepEqual(ofType(4), [
      [4, 3, 0, 0, 1, 0, 0xff, 0],
      [4, 1, 0, 0, 1, 0, 0xff, 1],
    ]);
  });
});

describe("below 1 MiB", () => {
  const memory = new SparseMemory(64 * MIB);
  writeFirmwareTables(memory, ids(1), false);

  test("interrupt vectors lead to an IRET, those of hardware interrupts after they ended the interrupt", () => {
    for (let vector = 0; vector < 256; vector++) {
      const handler = memory.u16(vector * 4 + 2) * 16 + memory.u16(vector * 4);
      const code = [...memory.read(handler, 64)];
      const end = code.indexOf(0xcf);
      const first = vector >= 0x08 && vector < 0x10;
      const second = vector >= 0x70 && vector < 0x78;
      if (!first && !second) assert.equal(end, 0, `vector ${vector}`);
      else {
        const text = code.slice(0, end).join(" ");
        const ends = second ? [0xb0, 0x20, 0xe6, 0xa0, 0xe6, 0x20] : [0xb0, 0x20, 0xe6, 0x20];
        assert.ok(text.includes(ends.join(" ")), `vector ${vector}: ${text}`);
      }
    }
  });

  test("the BIOS data area gives the memory size and the extended area's segment", () => {
    assert.equal(memory.u16(0x413), 639);
    assert.equal(memory.u16(0x40e), 0x9fc0);
    assert.equal(memory.u8(0x9fc00), 1);
    assert.equal(memory.u16(0x400), board.UART1_PORT);
  });
});

describe("memory map", () => {
  for (const mib of [2, 64, 512, 3072, 3584, 8192]) {
    test(`of ${mib} MiB adds up`, () => {
      const { state } = boot(bzImage({ preferred: 0x100000n, initSize: 0 }), { mib });
      let previous = 0;
      for (const entry of state.memoryMap) {
        assert.ok(entry.start >= previous && entry.end > entry.start);
        previous = entry.end;
      }
      // RAM is all there but for video and option ROMs: the map covers it up to 3 GiB, and from 4 GiB on.
      const ram = state.memoryMap.filter((entry) => entry.start < 0xfe000000 || entry.start >= 0x100000000);
      const total = ram.reduce((sum, entry) => sum + entry.end - entry.start, 0);
      assert.equal(total, mib * MIB - (0xf0000 - 0xa0000));
      const usable = state.memoryMap.filter((entry) => entry.type === 1);
      assert.equal(usable[0].end, 0x9fc00);
      assert.equal(usable[1].start, MIB);
      assert.equal(usable[1].end, Math.min(mib, 3072) * MIB - 0x10000);
      assert.equal(usable.length, mib > 3072 ? 3 : 2);
      if (mib > 3072) assert.deepEqual(usable[2], { start: 0x100000000, end: 0x100000000 + (mib - 3072) * MIB, type: 1 });
      // What was loaded is in RAM that the map calls usable.
      for (const range of state.loaded)
        assert.ok(
          usable.some((entry) => entry.start <= range.start && range.end <= entry.end),
          range.what,
        );
    });
  }
});
