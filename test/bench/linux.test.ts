/** The archive that the Linux benchmark boots from. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { cpio } from "../../bench/linux";

test("an archive in the newc format", () => {
  const archive = Buffer.from(cpio([{ name: "a", mode: 0o100644, data: Buffer.from("hello") }])).toString("latin1");
  const field = (header: number, index: number): number => parseInt(archive.slice(header + 6 + index * 8, header + 14 + index * 8), 16);
  assert.equal(archive.slice(0, 6), "070701");
  assert.equal(field(0, 1), 0o100644);
  assert.equal(field(0, 6), 5);
  assert.equal(field(0, 11), 2);
  assert.equal(archive.slice(110, 112), "a\0");
  assert.equal(archive.slice(112, 117), "hello");
  const trailer = 120;
  assert.equal(archive.slice(trailer, trailer + 6), "070701");
  assert.equal(archive.slice(trailer + 110, trailer + 120), "TRAILER!!!");
});
