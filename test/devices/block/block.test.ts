import assert from "node:assert/strict";
import { test } from "node:test";
import { deflateRawSync } from "node:zlib";
import { inflateRaw } from "../../../src/adapter/imageFile";
import { UserError } from "../../../src/common/errors";
import { Disk } from "../../../src/devices/block/disk";
import { openCdrom, openDisk } from "../../../src/devices/block/openDisk";
import { RawImage } from "../../../src/devices/block/raw";
import { fingerprint, randomNumbers } from "../testBoard";
import { type ClusterKind, makeQcow2, MemoryFile, patterned } from "./images";

const bytesOf = (disk: Disk, offset: number, length: number): Uint8Array => {
  const target = new Uint8Array(length);
  disk.read(offset, target);
  return target;
};

test("a raw disk reads its file and keeps changes to itself", () => {
  const content = patterned(10_000);
  const file = new MemoryFile(content.slice(), true);
  const disk = openDisk("disk0", { file });
  assert.equal(disk.size, 10_240, "the last sector is filled up");
  assert.deepEqual(bytesOf(disk, 512, 512), content.slice(512, 1024));
  assert.deepEqual(bytesOf(disk, 10_000, 240), new Uint8Array(240));
  disk.write(4000, new Uint8Array(300).fill(7));
  assert.deepEqual(bytesOf(disk, 3999, 302), Uint8Array.from([content[3999], ...new Array<number>(300).fill(7), content[4300]]));
  assert.deepEqual(file.bytes, content, "the file is not written");
  assert.equal(disk.overlayBytes, 8192);
});

test("random reads and writes agree with a plain array, through saves and restores", () => {
  const random = randomNumbers(11);
  const size = 64 * 1024;
  const model = patterned(size);
  const disk = openDisk("disk0", { file: new MemoryFile(model.slice()) });
  const saves: { state: ReturnType<Disk["save"]>; content: Uint8Array; print: string }[] = [];
  for (let step = 0; step < 3000; step++) {
    const offset = random(size);
    const length = 1 + random(Math.min(9000, size - offset));
    const kind = random(20);
    if (kind === 0) {
      const state = disk.save();
      saves.push({ state, content: model.slice(), print: fingerprint(state) });
    } else if (kind === 1 && saves.length > 0) {
      const save = saves[random(saves.length)];
      assert.equal(fingerprint(save.state), save.print, "a saved state does not change");
      disk.restore(save.state);
      model.set(save.content);
      assert.equal(fingerprint(disk.save()), save.print);
    } else if (kind < 10) {
      const bytes = new Uint8Array(length).fill(random(256));
      disk.write(offset, bytes);
      model.set(bytes, offset);
    } else {
      assert.deepEqual(bytesOf(disk, offset, length), model.slice(offset, offset + length));
    }
  }
});

test("write-through writes the file, and restoring an earlier state puts it back", () => {
  const content = patterned(9728);
  const file = new MemoryFile(content.slice(), true);
  const disk = openDisk("disk0", { file, mode: "write-through" });
  const start = disk.save();
  disk.write(512, new Uint8Array(512).fill(1));
  const one = disk.save();
  assert.deepEqual(file.bytes.slice(512, 1024), new Uint8Array(512).fill(1));
  assert.deepEqual(file.writes, [{ offset: 512, length: 512 }]);
  disk.write(8192, new Uint8Array(1024).fill(2));
  const two = disk.save();
  disk.restore(one);
  assert.deepEqual(file.bytes.slice(8192), content.slice(8192));
  assert.deepEqual(file.bytes.slice(512, 1024), new Uint8Array(512).fill(1));
  disk.restore(start);
  assert.deepEqual(file.bytes, content);
  assert.deepEqual(bytesOf(disk, 0, 9728), content);
  disk.restore(two);
  assert.deepEqual(file.bytes.slice(8192, 9216), new Uint8Array(1024).fill(2));
  disk.flush();
  assert.equal(file.flushes, 1);
});

test("qcow2: data, holes, zero and compressed clusters of both versions", () => {
  const kinds: ClusterKind[] = ["data", "hole", "zero", "compressed", "compressed", "data", "hole", "compressed"];
  const content = patterned(kinds.length * 4096);
  for (const version of [2, 3]) {
    const used = kinds.map((kind) => (version === 2 && kind === "zero" ? "hole" : kind));
    const disk = openDisk("disk0", { file: new MemoryFile(makeQcow2(content, used, deflateRawSync, version)) }, inflateRaw);
    assert.equal(disk.size, content.length);
    const expected = content.slice();
    used.forEach((kind, cluster) => {
      if (kind === "hole" || kind === "zero") expected.fill(0, cluster * 4096, (cluster + 1) * 4096);
    });
    assert.deepEqual(bytesOf(disk, 0, content.length), expected);
    assert.deepEqual(bytesOf(disk, 4095, 12_300), expected.slice(4095, 16_395));
    disk.write(3 * 4096 + 5, Uint8Array.of(9));
    assert.equal(bytesOf(disk, 3 * 4096 + 5, 1)[0], 9);
  }
});

test("what cannot be used is refused with a sentence that names the file", () => {
  const good = makeQcow2(patterned(4096 * 2), ["data", "compressed"], deflateRawSync);
  const changed = (change: (view: DataView) => void): MemoryFile => {
    const bytes = good.slice();
    change(new DataView(bytes.buffer));
    return new MemoryFile(bytes, true, "broken.qcow2");
  };
  const cases: [string, MemoryFile, RegExp][] = [
    ["backing file", changed((view) => view.setBigUint64(8, 200n)), /broken\.qcow2 has a backing file.*qemu-img convert/],
    ["version", changed((view) => view.setUint32(4, 9)), /version 9/],
    ["cluster size", changed((view) => view.setUint32(20, 40)), /cluster size/],
    ["encryption", changed((view) => view.setUint32(32, 1)), /encrypted/],
    ["size", changed((view) => view.setBigUint64(24, 1n << 60n)), /too big/],
    ["L1 too short", changed((view) => view.setBigUint64(24, 1n << 40n)), /L1 table has 1 entries/],
    ["L1 too big", changed((view) => view.setUint32(36, 0x7fffffff)), /too big/],
    ["L1 outside", changed((view) => view.setBigUint64(40, 1n << 40n)), /L1 table lies outside/],
    ["features", changed((view) => view.setBigUint64(72, 1n << 40n)), /unknown features/],
    ["corrupt", changed((view) => view.setBigUint64(72, 2n)), /marked as corrupt/],
    ["zstd", changed((view) => view.setBigUint64(72, 8n)), /zstd/],
    ["external data", changed((view) => view.setBigUint64(72, 4n)), /another file/],
    ["extended L2", changed((view) => view.setBigUint64(72, 16n)), /extended L2/],
    ["empty", new MemoryFile(new Uint8Array(0), false, "broken.img"), /broken\.img is empty/],
    ["VMDK", new MemoryFile(new TextEncoder().encode("KDMV".padEnd(512)), false, "x.vmdk"), /x\.vmdk is a VMDK image/],
  ];
  for (const [what, file, message] of cases) {
    assert.throws(
      () => openDisk("disk0", { file }, inflateRaw),
      (error) => error instanceof UserError && message.test(error.message),
      what,
    );
  }
  assert.throws(() => openDisk("disk0", { file: changed(() => undefined), mode: "write-through" }), /never written/);
  assert.throws(() => openDisk("disk0", { file: new MemoryFile(new Uint8Array(512)), mode: "write-through" }), /may not be written/);
  assert.throws(() => openDisk("disk0", { file: new MemoryFile(new Uint8Array(40)), format: "qcow2" }), /cut off/);
  assert.throws(() => openCdrom("cdrom", new MemoryFile(new Uint8Array(512))), /shorter than a sector/);
});

test("damage found while reading is a sentence, never a wrong result", () => {
  const good = makeQcow2(patterned(4096 * 2), ["data", "compressed"], deflateRawSync);
  const read = (change: (view: DataView) => void, without = false): Uint8Array => {
    const bytes = good.slice();
    change(new DataView(bytes.buffer));
    const disk = openDisk("disk0", { file: new MemoryFile(bytes) }, without ? undefined : inflateRaw);
    return bytesOf(disk, 0, 8192);
  };
  assert.throws(() => read((view) => view.setBigUint64(4096, 1n << 40n)), /L2 table of L1 entry 0 lies outside/);
  assert.throws(() => read((view) => view.setBigUint64(8192, 1n << 40n)), /data cluster 0 lies outside/);
  assert.throws(() => read((view) => view.setBigUint64(8200, (1n << 62n) | (1n << 40n))), /compressed cluster 1 lies outside/);
  assert.throws(() => read((view) => view.setBigUint64(8200, (1n << 62n) | 12288n)), /cannot be decompressed|too short/);
  assert.throws(() => read(() => undefined, true), /compressed clusters, which cannot be read here/);
});

test("random damage to a qcow2 image gives data or a sentence, in bounded time", () => {
  const good = makeQcow2(patterned(4096 * 4), ["data", "compressed", "zero", "compressed"], deflateRawSync);
  const random = randomNumbers(5);
  for (let round = 0; round < 3000; round++) {
    const bytes = good.slice(0, random(8) === 0 ? random(good.length) : good.length);
    for (let i = 0; i < 1 + random(4) && bytes.length > 0; i++) {
      const at = [random(112), 4096 + random(8), 8192 + random(32), random(bytes.length)][random(4)];
      if (at < bytes.length) bytes[at] = random(256);
    }
    try {
      const disk = openDisk("disk0", { file: new MemoryFile(bytes), format: "qcow2" }, inflateRaw);
      disk.read(0, new Uint8Array(Math.min(disk.size, 1 << 20)));
      disk.read(Math.max(0, disk.size - 512), new Uint8Array(Math.min(512, disk.size)));
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
    }
  }
});

test("a damaged saved state is refused", () => {
  const disk = new Disk("disk0", "a.img", new RawImage(new MemoryFile(new Uint8Array(8192))));
  const cluster = new Uint8Array(4096);
  for (const state of [
    null,
    { size: 4096, clusters: [], bytes: [] },
    { size: 8192, clusters: [2], bytes: [cluster] },
    { size: 8192, clusters: [0.5], bytes: [cluster] },
    { size: 8192, clusters: [0], bytes: [new Uint8Array(3)] },
    { size: 8192, clusters: [0], bytes: [] },
  ]) {
    assert.throws(() => disk.restore(state), UserError);
  }
});
