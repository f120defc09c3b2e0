/** CR0.WP (SDM vol. 3, "Determination of Access Rights"): the supervisor's stores to read-only pages, and what a change costs. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { DATA, pageEntry, PT, testGuest } from "../../machine/testGuest";

/** A page that is present, accessed and dirty, and read-only. */
const READ_ONLY = 0x9000;
const TURNS = 1000;
/** and rax, ~WP; mov cr0, rax */
const CLEAR = [0x48, 0x0f, 0xba, 0xf0, 16, 0x0f, 0x22, 0xc0];
/** or rax, WP; mov cr0, rax */
const SET = [0x48, 0x0f, 0xba, 0xe8, 16, 0x0f, 0x22, 0xc0];
/** mov rax, cr0 */
const GET = [0x0f, 0x20, 0xc0];

describe("CR0.WP", () => {
  for (const engine of ["interpreter", "jit", "reference"] as const) {
    test(`stores to a read-only page, ${engine}`, () => {
      const guest = testGuest(
        (a) => {
          a.label("cpu0")
            .load("rdx", READ_ONLY)
            .bytes(...GET);
          // Each turn: a store that may be made, then one that faults.
          a.mov("rcx", 20)
            .label("turn")
            .bytes(...CLEAR)
            .inc(READ_ONLY)
            .bytes(...SET)
            .inc(READ_ONLY);
          a.bytes(0x48, 0xff, 0xc9).jcc("nz", "turn").exit();
          // pop the error code, count it, go on behind the store of 7 bytes
          a.label("vector14").bytes(0x5a, 0x83, 0xfa, 3).jcc("nz", "unexpected").inc(DATA).bytes(0x48, 0x83, 0x04, 0x24, 7).iretq();
        },
        { engine },
      );
      guest.machine.memory.write(PT + (READ_ONLY >> 12) * 8, Uint8Array.of(...words(pageEntry(READ_ONLY >> 12, 0x61))));
      guest.finish();
      assert.equal(guest.read32(READ_ONLY), 20, "one store a turn was made");
      assert.equal(guest.read32(DATA), 20, "one a turn faulted");
    });

    test(`translations stay while it is switched, ${engine}`, () => {
      const guest = testGuest(
        (a) => {
          a.label("cpu0")
            .mov("rcx", TURNS)
            .bytes(...GET)
            .label("turn")
            .bytes(...CLEAR)
            .inc(DATA)
            .bytes(...SET)
            .inc(DATA);
          a.bytes(0x48, 0xff, 0xc9).jcc("nz", "turn").exit();
        },
        { engine },
      );
      guest.finish();
      assert.equal(guest.read32(DATA), 2 * TURNS);
      const { tlbMisses } = guest.machine.stats();
      assert.ok(tlbMisses < TURNS / 10, `${tlbMisses} walks`);
    });
  }
});

function words(entry: number): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setUint32(0, entry, true);
  return bytes;
}
