import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { PageTracker } from "../../src/machine/pageTracker";
import { UndoLog } from "../../src/machine/undoLog";
import { SLAB_PAGES, UndoMemory } from "../../src/machine/undoMemory";

const PAGE = 4096;
const SLAB = SLAB_PAGES * PAGE;

/** A host that notes what it is asked to provide. */
class Host {
  readonly ranges: { readonly address: number; readonly length: number }[] = [];
  memories = 0;
  readonly provider = (memory: WebAssembly.Memory): ((address: number, length: number) => void) => {
    this.memories++;
    return (address, length) => {
      assert.ok(address >= 0 && address + length <= memory.buffer.byteLength);
      this.ranges.push({ address, length });
    };
  };

  get bytes(): number {
    return this.ranges.reduce((sum, { length }) => sum + length, 0);
  }
}

describe("memory for the content of pages", () => {
  test("is provided ahead, once the first slab is half full, and no range twice", () => {
    const host = new Host();
    const memory = new UndoMemory(host.provider);
    assert.equal(host.memories, 0);
    const slabs = [memory.take()];
    for (let page = 1; page < SLAB_PAGES / 2; page++) memory.using(page);
    assert.equal(host.bytes, 0);
    for (let page = SLAB_PAGES / 2; page < SLAB_PAGES; page++) memory.using(page);
    assert.equal(host.bytes, 4 * SLAB);
    assert.deepEqual(host.ranges[0], { address: SLAB, length: SLAB / 2 });
    for (let slab = 1; slab < 100; slab++) slabs.push(memory.take());
    assert.equal(new Set(host.ranges.map(({ address }) => address)).size, host.ranges.length);
    assert.equal(host.bytes, 63 * SLAB);
    assert.equal(host.memories, 1);
    for (const slab of slabs) assert.equal(slab.length, SLAB);
    slabs.forEach((slab, index) => slab.fill(index + 1));
    slabs.forEach((slab, index) => assert.ok(slab.at(0) === index + 1 && slab.at(-1) === index + 1));
  });

  test("is used again", () => {
    const host = new Host();
    const memory = new UndoMemory(host.provider);
    const slabs = Array.from({ length: 80 }, () => memory.take());
    const known = new Set(slabs);
    memory.giveBack(slabs);
    assert.equal(slabs.length, 0);
    const again = Array.from({ length: 80 }, () => memory.take()).filter((slab) => known.has(slab)).length;
    assert.ok(again >= 64, `${again} again`);
    assert.equal(host.bytes, 62 * SLAB);
  });

  test("holds what RAM is taken back to", () => {
    const ram = new Uint8Array(700 * PAGE);
    const host = new Host();
    const tracker = new PageTracker(700, () => undefined);
    const undo = new UndoLog(ram, tracker, host.provider);
    const write = (value: number): void => {
      for (let page = 0; page < 700; page++) {
        tracker.touch(page);
        ram.fill(value + (page % 50), page * PAGE, (page + 1) * PAGE);
      }
    };
    write(1);
    const before = ram.slice();
    const mark = undo.mark();
    write(101);
    undo.mark();
    write(201);
    assert.equal(undo.bytes, 1400 * PAGE);
    undo.returnTo(mark, () => undefined);
    assert.deepEqual(ram, before);
    assert.ok(host.bytes > 4 * SLAB);
  });

  test("is not needed for pages that hold zeros", () => {
    const ram = new Uint8Array(4 * PAGE);
    const tracker = new PageTracker(4, () => undefined);
    const undo = new UndoLog(ram, tracker);
    const write = (page: number, at: number, value: number): void => {
      tracker.touch(page);
      ram[page * PAGE + at] = value;
    };
    for (let page = 0; page < 4; page++) write(page, 5, 1);
    ram.fill(0, PAGE, 3 * PAGE);
    // The last byte of a page counts as well.
    ram.fill(0, 3 * PAGE, 4 * PAGE);
    ram[4 * PAGE - 1] = 7;
    const before = ram.slice();
    const mark = undo.mark();
    for (let page = 0; page < 4; page++) write(page, 100, 9);
    assert.equal(undo.bytes, 2 * PAGE);
    undo.returnTo(mark, () => undefined);
    assert.deepEqual(ram, before);
  });
});
