/** How wide physical addresses are (CPUID 0x80000008 EAX, bits 0 to 7): what lies above is reserved in entries of page tables (SDM vol. 3, "Paging") and in CR3. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { MachineConfiguration } from "../../../src/machine/types";
import { DATA, testGuest, type TestGuest } from "../../machine/testGuest";

const PDPT = 0x4000;
const GIB = 0x4000_0000;
/** Present, writable, accessed, dirty, PS. */
const PAGE = 0xe3;
const PROTECTION_RESERVED = 9;

/** Reads in the second GiB, whose entry has bit `bit` set beside those of a page; the width goes to DATA + 24, a page fault's error code to DATA + 8. */
function reads(bit: number, configuration: Partial<MachineConfiguration>): TestGuest {
  const guest = testGuest((a) => {
    a.label("cpu0");
    // mov eax, 0x80000008; cpuid; and eax, 0xff
    a.bytes(0xb8, 0x08, 0, 0, 0x80, 0x0f, 0xa2, 0x25, 0xff, 0, 0, 0).store(DATA + 24, "rax");
    a.load("rax", GIB + DATA).exit();
    a.label("vector14")
      .bytes(0x58)
      .store(DATA + 8, "rax")
      .exit();
  }, configuration);
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(PAGE) | (1n << BigInt(bit)), true);
  guest.machine.memory.write(PDPT + 8, bytes);
  guest.finish();
  return guest;
}

describe("the width of physical addresses", () => {
  for (const engine of ["interpreter", "jit", "reference"] as const)
    for (const [cpuModel, width] of [
      ["max", 40],
      ["max,phys-bits=36", 36],
      ["max,phys-bits=39", 39],
    ] as const)
      test(`${cpuModel}, ${engine}`, () => {
        const inside = reads(width - 1, { engine, cpuModel });
        assert.equal(inside.read32(DATA + 24), width, "CPUID tells");
        assert.deepEqual(inside.deliveries, []);
        for (const bit of [width, 51]) {
          const beyond = reads(bit, { engine, cpuModel });
          assert.equal(beyond.read32(DATA + 8), PROTECTION_RESERVED, `bit ${bit} is reserved`);
        }
      });

  test("CR3 takes no bit above it", () => {
    const guest = testGuest(
      (a) => {
        // mov rax, cr3; bts rax, 36; mov cr3, rax
        a.label("cpu0").bytes(0x0f, 0x20, 0xd8, 0x48, 0x0f, 0xba, 0xe8, 36, 0x0f, 0x22, 0xd8).exit();
        a.label("vector13").exit();
      },
      { cpuModel: "max,phys-bits=36" },
    );
    guest.finish();
    assert.deepEqual(
      guest.deliveries.map(({ vector }) => vector),
      [13],
    );
  });
});
