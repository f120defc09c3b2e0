import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { memoryProvider } from "../../src/adapter/memoryProvider";
import { EngineMemory } from "../../src/tcg/memory";

const MIB = 2 ** 20;

/** Bytes of this process that are resident. */
const resident = (): number => Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync("/proc/self/status", "latin1"))?.[1]) * 1024;

/** Waits until `what` holds, at most 30 s. */
async function eventually(what: () => boolean): Promise<boolean> {
  for (let i = 0; i < 600; i++) {
    if (what()) return true;
    await sleep(50);
  }
  return false;
}

test("memory is provided ahead, and holds what it held", { skip: process.platform !== "linux" }, async () => {
  const memory = new EngineMemory({ cpus: 1, ram: 128 * MIB, codeArena: 4096, provider: memoryProvider() });
  const before = resident();
  for (let chunk = 0; chunk < 32; chunk++) {
    for (let place = 0; place < 4; place++) {
      const at = memory.ramBase + chunk * 2 * MIB + place * 8192;
      memory.expectWrite(at);
      memory.u8[at] = chunk + place;
    }
  }
  // A thread that is being told of a page writes to it now and then, as the guest does.
  for (let turn = 0; turn < 200; turn++) {
    for (let chunk = 0; chunk < 32; chunk++) memory.u32[(memory.ramBase + chunk * 2 * MIB + 20480) >> 2]++;
    if (turn % 20 === 0) await sleep(5);
  }
  assert.ok(await eventually(() => resident() - before > 56 * MIB), `${resident() - before} bytes more are resident`);
  for (let chunk = 0; chunk < 32; chunk++) {
    for (let place = 0; place < 4; place++) assert.equal(memory.u8[memory.ramBase + chunk * 2 * MIB + place * 8192], chunk + place);
    assert.equal(memory.u32[(memory.ramBase + chunk * 2 * MIB + 20480) >> 2], 200);
  }
  const last = memory.u8.subarray(memory.ramBase + 63 * MIB, memory.ramBase + 64 * MIB);
  assert.ok(last.every((byte) => byte === 0));
});

test("a chunk is asked for once, and not where memory is used here and there", () => {
  const asked: [number, number][] = [];
  const memory = new EngineMemory({
    cpus: 1,
    ram: 16 * MIB,
    codeArena: 4096,
    provider: () => (address, length) => void asked.push([address, length]),
  });
  const first = 4 * MIB;
  for (const place of [0, 1, 2]) memory.expectWrite(first + place * 4096);
  assert.deepEqual(asked, []);
  for (const place of [9, 10, 11]) memory.expectWrite(first + place * 4096);
  assert.deepEqual(asked, [[first, 2 * MIB]]);
  const end = memory.pages * 65536;
  for (let place = 1; place <= 4; place++) memory.expectWrite(end - place * 4096);
  assert.deepEqual(asked[1], [16 * MIB, end - 16 * MIB], "the last one ends with the memory");
});

test("memory that is filled from one end to the other is asked for ahead, a range that is announced at once", () => {
  const asked: number[] = [];
  const memory = new EngineMemory({
    cpus: 1,
    ram: 64 * MIB,
    codeArena: 4096,
    provider: () => (address) => void asked.push(address / (2 * MIB)),
  });
  const fill = (chunk: number): void => {
    for (let place = 0; place < 512; place++) memory.expectWrite(chunk * 2 * MIB + place * 4096);
  };
  fill(4);
  fill(5);
  assert.deepEqual(asked, [4, 5, 6]);
  fill(6);
  assert.deepEqual(asked, [4, 5, 6, 7]);
  fill(20);
  fill(19);
  fill(18);
  assert.deepEqual(asked.slice(4), [20, 19, 18, 17]);
  memory.expectRange(9 * 2 * MIB + 100, 4 * MIB);
  memory.expectRange(9 * 2 * MIB, 2 * MIB);
  assert.deepEqual(asked.slice(8), [9, 10, 11]);
  const chunks = Math.ceil((memory.pages * 65536) / (2 * MIB));
  fill(chunks - 2);
  fill(chunks - 1);
  assert.deepEqual(asked.slice(11), [chunks - 2, chunks - 1], "behind the memory there is none");
});

test("one thread provides for all memories, those that come later too", { skip: process.platform !== "linux" }, async () => {
  const provider = memoryProvider({ prompt: true });
  const pages = (32 * MIB) / 65536;
  const made = (): WebAssembly.Memory => new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
  const before = resident();
  // Fewer ranges than a thread of its own would start for.
  for (const parts of [1, 2, 3]) {
    const provide = provider(made());
    for (let part = 0; part < parts; part++) provide((part * 32 * MIB) / parts, (32 * MIB) / parts);
    assert.ok(
      await eventually(() => resident() - before > parts * 30 * MIB),
      `memory ${parts}: ${resident() - before} bytes more are resident`,
    );
  }
});

test("a thread that was idle has ended, and another takes its place", { skip: process.platform !== "linux" }, async () => {
  const memory = new EngineMemory({ cpus: 1, ram: 96 * MIB, codeArena: 4096, provider: memoryProvider({ patience: 500 }) });
  const ask = (from: number, to: number): void => {
    for (let chunk = from; chunk < to; chunk++)
      for (let place = 0; place < 4; place++) memory.expectWrite(memory.ramBase + chunk * 2 * MIB + place * 4096);
  };
  const before = resident();
  ask(0, 16);
  assert.ok(await eventually(() => resident() - before > 28 * MIB));
  // Longer than its patience.
  await sleep(1_500);
  ask(16, 40);
  assert.ok(await eventually(() => resident() - before > 70 * MIB), `${resident() - before} bytes more are resident`);
});
