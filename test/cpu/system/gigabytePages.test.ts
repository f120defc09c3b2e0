/** Pages of 1 GiB (SDM vol. 3, "4-Level Paging"): the bit PS of a page-directory-pointer entry, where the model has them and where it does not. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { MachineConfiguration } from "../../../src/machine/types";
import { DATA, testGuest, type TestGuest } from "../../machine/testGuest";

const PDPT = 0x4000;
const GIB = 0x4000_0000;
/** Present, writable, accessed, dirty, PS. */
const PAGE = 0xe3;
const PROTECTION_RESERVED = 9;

/** Reads through a page of 2 MiB a few times, then at DATA in the second GiB, whose entry is `entry`; the error code of a page fault goes to DATA + 8. */
function reads(entry: number, configuration: Partial<MachineConfiguration>): TestGuest {
  const guest = testGuest(
    (a) => {
      a.label("cpu0");
      for (let page = 0; page < 8; page++) a.load("rax", 0x20_0000 + page * 0x1000);
      a.load("rax", GIB + DATA)
        .store(DATA + 16, "rax")
        .exit();
      a.label("vector14")
        .bytes(0x58)
        .store(DATA + 8, "rax")
        .exit();
    },
    { ...configuration, cpuModel: configuration.cpuModel ?? "max" },
  );
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setUint32(0, entry, true);
  guest.machine.memory.write(PDPT + 8, bytes);
  guest.machine.memory.write(DATA, Uint8Array.of(0x78, 0x56, 0x34, 0x12));
  guest.finish();
  return guest;
}

describe("pages of 1 GiB", () => {
  for (const engine of ["interpreter", "jit", "reference"] as const)
    test(engine, () => {
      const mapped = reads(PAGE, { engine });
      assert.deepEqual(mapped.deliveries, []);
      assert.equal(mapped.read32(DATA + 16), 0x12345678);
      for (const bit of [13, 20, 29]) {
        const reserved = reads(PAGE | (1 << bit), { engine });
        assert.equal(reserved.read32(DATA + 8), PROTECTION_RESERVED, `bit ${bit} is reserved`);
      }
      const absent = reads(PAGE, { engine, cpuModel: "max,-pdpe1gb" });
      assert.equal(absent.read32(DATA + 8), PROTECTION_RESERVED, "PS is reserved without them");
    });
});
