/** REP MOVS and STOS in both directions against a plain model, overlapping and across pages, on each engine. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { pageEntry, PT, testGuest } from "./testGuest";

const AREA = 0x10_0000;
const AREA_BYTES = 0x3000;
const FLAG_DF = 0x400;
const RCX = 1;
const RSI = 6;
const RDI = 7;

interface Case {
  readonly store: boolean;
  readonly size: 1 | 2 | 4 | 8;
  readonly down: boolean;
  readonly from: number;
  readonly to: number;
  readonly count: number;
}

function model(memory: Uint8Array, { store, size, down, from, to, count }: Case, value: bigint): void {
  for (let i = 0; i < count; i++) {
    const step = (down ? -size : size) * i;
    const element = memory.slice(from + step, from + step + size);
    for (let byte = 0; byte < size; byte++) memory[to + step + byte] = store ? Number((value >> BigInt(8 * byte)) & 0xffn) : element[byte];
  }
}

function* cases(): Generator<Case> {
  let state = 12345;
  const random = (limit: number): number => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return (state >>> 8) % limit;
  };
  for (let i = 0; i < 400; i++) {
    const size = ([1, 2, 4, 8] as const)[random(4)];
    const count = 1 + random(i % 3 === 0 ? 900 : 40);
    const down = random(2) === 1;
    const span = (count - 1) * size;
    const place = (near: number): number => {
      const lowest = near < 0 ? random(AREA_BYTES - span - size) : near + random(64) - 32;
      const start = Math.min(Math.max(lowest, 0), AREA_BYTES - span - size);
      return down ? start + span : start;
    };
    const from = place(-1);
    const to = place(random(2) === 1 ? -1 : down ? from - span : from);
    yield { store: random(4) === 0, size, down, from, to, count };
  }
}

describe("REP MOVS and STOS", () => {
  for (const engine of ["reference", "interpreter", "jit"] as const) {
    test(`do what one element after the other would, on the ${engine}`, () => {
      const labels = {
        1: [[0xa4], [0xaa]],
        2: [
          [0x66, 0xa5],
          [0x66, 0xab],
        ],
        4: [[0xa5], [0xab]],
        8: [
          [0x48, 0xa5],
          [0x48, 0xab],
        ],
      };
      const guest = testGuest(
        (a) => {
          a.label("cpu0").nop();
          for (const [size, both] of Object.entries(labels)) {
            both.forEach((bytes, index) => {
              const prefixed = bytes[0] === 0x66 ? [0x66, 0xf3, ...bytes.slice(1)] : [0xf3, ...bytes];
              a.label(`${size}${index === 1}`)
                .bytes(...prefixed)
                .exit();
            });
          }
        },
        { engine },
      );
      const { machine } = guest;
      const { state } = machine.cpus[0];
      // The middle page of the area lies elsewhere, so that neighbours in linear memory are none in RAM.
      const middle = AREA / 4096 + 1;
      const entry = new Uint8Array(8);
      new DataView(entry.buffer).setUint32(0, pageEntry(middle + 7), true);
      machine.memory.write(PT + middle * 8, entry);
      machine.cpus[0].mmu.tlb.flush();
      const pages = [AREA, AREA + 8 * 4096, AREA + 2 * 4096];
      const expected = new Uint8Array(AREA_BYTES);
      expected.forEach((_, index) => (expected[index] = (index * 7 + (index >> 8)) & 0xff));
      pages.forEach((page, index) => machine.memory.write(page, expected.subarray(index * 4096, (index + 1) * 4096)));
      const value = 0x1122_3344_5566_7788n;
      for (const each of cases()) {
        model(expected, each, value);
        state.setGpr(0, value);
        state.setGpr(RCX, BigInt(each.count));
        state.setGpr(RSI, BigInt(AREA + each.from));
        state.setGpr(RDI, BigInt(AREA + each.to));
        state.rflags = each.down ? 2 | FLAG_DF : 2;
        machine.cpus[0].setRip(guest.code.at(`${each.size}${each.store}`));
        // In two parts, the first of which ends in the middle.
        machine.run(each.count >> 1);
        machine.run(each.count - (each.count >> 1));
        const step = BigInt((each.down ? -1 : 1) * each.size * each.count);
        const said = JSON.stringify(each);
        assert.equal(state.gpr(RCX), 0n, said);
        assert.equal(state.gpr(RDI), BigInt(AREA + each.to) + step, said);
        if (!each.store) assert.equal(state.gpr(RSI), BigInt(AREA + each.from) + step, said);
        const found = Buffer.concat(pages.map((page) => machine.memory.read(page, 4096)));
        assert.equal(found.compare(expected), 0, said);
      }
    });
  }
});
