import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { guestConfiguration, isCandidate, type FoundGuest } from "../../src/extension/guests/configurations";
import { identifyGuest, type GuestFile, type GuestKind } from "../../src/extension/guests/identify";

function file(bytes: Uint8Array): GuestFile {
  return { size: bytes.length, read: (offset, length) => bytes.subarray(offset, offset + length) };
}

/** A file of `size` bytes with pieces at offsets. */
function made(size: number, pieces: Readonly<Record<number, Uint8Array | string>>): GuestFile {
  const bytes = new Uint8Array(size);
  for (const [offset, piece] of Object.entries(pieces))
    bytes.set(typeof piece === "string" ? new TextEncoder().encode(piece) : piece, Number(offset));
  return file(bytes);
}

function words(...values: number[]): Uint8Array {
  return new Uint8Array(Uint32Array.from(values).buffer);
}

/** The head of a 64-bit executable, with one program header of type `kind` at 64 that covers 0x200 bytes at 0x400. */
function elfHead(kind: number): Uint8Array {
  const head = new Uint8Array(0x100);
  const view = new DataView(head.buffer);
  head.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  view.setUint16(16, 2, true);
  view.setUint16(18, 62, true);
  view.setBigUint64(32, 64n, true);
  view.setUint16(54, 56, true);
  view.setUint16(56, 1, true);
  view.setUint32(64, kind, true);
  view.setBigUint64(64 + 8, 0x400n, true);
  view.setBigUint64(64 + 32, 0x200n, true);
  return head;
}

const signature = Uint8Array.of(0x55, 0xaa);
const checksum = (magic: number, ...rest: number[]): number => -(magic + rest.reduce((sum, word) => sum + word, 0)) >>> 0;

describe("guests are known by their content", () => {
  const cases: readonly (readonly [string, GuestFile, GuestKind | undefined])[] = [
    ["the bundled guest", file(readFileSync("guests/smp/smp.elf")), "multiboot2"],
    [
      "an ELF file with a Multiboot 2 header",
      made(0x2000, { 0: elfHead(1), 0x1000: words(0xe85250d6, 0, 16, checksum(0xe85250d6, 0, 16)) }),
      "multiboot2",
    ],
    ["an ELF file with a PVH note", made(0x2000, { 0: elfHead(4), 0x400: words(4, 4, 18), 0x40c: "Xen\0" }), "pvh"],
    [
      "a PVH note behind another",
      made(0x2000, { 0: elfHead(4), 0x400: words(4, 3, 1), 0x40c: "GNU\0abc", 0x414: words(4, 4, 18), 0x420: "Xen\0" }),
      "pvh",
    ],
    ["an ELF file without either", made(0x2000, { 0: elfHead(1) }), undefined],
    ["a wrong checksum", made(0x2000, { 0: elfHead(1), 0x1000: words(0x1badb002, 0, 5) }), undefined],
    ["this computer's own program", file(readFileSync(process.execPath).subarray(0, 65_536)), undefined],
    ["a flat Multiboot image", made(0x2000, { 0x40: words(0x1badb002, 0x10000, checksum(0x1badb002, 0x10000)) }), "multiboot"],
    ["a bzImage", made(0x8000, { 510: signature, 0x202: "HdrS" }), "linux"],
    ["a disk with a boot sector", made(0x10000, { 0: Uint8Array.of(0xfa), 510: signature }), "disk"],
    ["a boot sector alone", made(512, { 0: Uint8Array.of(0xfa), 510: signature }), undefined],
    ["a qcow2 image", made(0x10000, { 0: Uint8Array.of(0x51, 0x46, 0x49, 0xfb) }), "qcow2"],
    ["an ISO image", made(0x9000, { 0x8001: "CD001" }), "iso"],
    ["text", made(0x1000, { 0: "just text" }), undefined],
    ["an empty file", made(0, {}), undefined],
    ["the head of an ELF file cut short", made(600, { 0: elfHead(4).subarray(0, 70) }), undefined],
  ];
  for (const [name, guest, kind] of cases) test(name, () => assert.equal(identifyGuest(guest), kind));

  test("damaged files end in an answer, never in an exception", () => {
    const good = new Uint8Array(0x2000);
    good.set(elfHead(4));
    good.set(words(4, 4, 18), 0x400);
    let seed = 12345;
    const random = (below: number): number => (seed = (Math.imul(seed, 1103515245) + 12345) >>> 0) % below;
    for (let round = 0; round < 2_000; round++) {
      const bytes = good.slice(0, 512 + random(0x1e00));
      for (let change = 0; change < 8; change++) bytes[random(Math.min(bytes.length, 0x420))] = random(256);
      assert.doesNotThrow(() => identifyGuest(file(bytes)));
    }
  });
});

describe("configurations of found guests", () => {
  const root = "${workspaceFolder}/";
  const of = (guest: FoundGuest, ...others: string[]): object => guestConfiguration(guest, [guest.path, ...others], root);

  test("a Linux kernel comes with the initramfs and the symbols beside it", () => {
    assert.deepEqual(of({ path: "out/bzImage", kind: "linux" }, "out/initramfs.cpio.gz", "out/vmlinux", "other/initrd.img"), {
      name: "APICScope: out/bzImage",
      program: "${workspaceFolder}/out/bzImage",
      initrd: "${workspaceFolder}/out/initramfs.cpio.gz",
      symbols: ["${workspaceFolder}/out/vmlinux"],
      cmdline: "console=ttyS0 nokaslr",
      cpus: 4,
      memory: 512,
    });
    assert.deepEqual(Object.keys(of({ path: "memtest86+x64.bin", kind: "linux" })), ["name", "program", "cpus", "memory"]);
  });

  test("xv6's kernel comes with its disks, other kernels without", () => {
    const xv6 = of({ path: "kernel", kind: "multiboot" }, "xv6.img", "fs.img") as { disks: string[]; firmware: string };
    assert.deepEqual([xv6.firmware, xv6.disks], ["seabios", ["${workspaceFolder}/xv6.img", "${workspaceFolder}/fs.img"]]);
    assert.ok(!("disks" in of({ path: "kernel", kind: "multiboot" }, "fs.img")));
  });

  test("disks and CD-ROMs boot through firmware", () => {
    assert.deepEqual(of({ path: "a.qcow2", kind: "qcow2" }), {
      ...{ name: "APICScope: a.qcow2", firmware: "seabios", disks: ["${workspaceFolder}/a.qcow2"], cpus: 4, memory: 256 },
    });
    assert.ok("cdrom" in of({ path: "a.iso", kind: "iso" }));
  });

  test("only likely names are looked into", () => {
    for (const path of ["kernel", "a/b/myos", "boot.iso", "x.elf", "vmlinuz-6.1.0", "disk.QCOW2"]) assert.ok(isCandidate(path), path);
    for (const path of ["main.c", "a.o", "README.md", "x.kernel.c", "lib.so.1"]) assert.ok(!isCandidate(path), path);
  });
});
