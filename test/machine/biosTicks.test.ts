/** The state that Multiboot's loaders leave: a guest back in real mode finds the timer ticking through the BIOS's vectors, as on a PC. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Machine } from "../../src/machine/machine";
import { MIB } from "./runGuest";

const LOAD = 0x10000;
const GDT = 0x80;
const GDT_POINTER = 0x90;
const IDT_POINTER = 0x98;
const HEADER = 0xa0;

// prettier-ignore
const START = [
  0x0f, 0x01, 0x15, GDT_POINTER, 0x00, 0x01, 0x00, // lgdt
  0x0f, 0x01, 0x1d, IDT_POINTER, 0x00, 0x01, 0x00, // lidt
  0xea, 0x20, 0x00, 0x00, 0x00, 0x08, 0x00, // to the 16-bit code segment
];
// prettier-ignore
const REAL = [
  0x0f, 0x20, 0xc0, 0x66, 0x83, 0xe0, 0xfe, 0x0f, 0x22, 0xc0, // CR0.PE off
  0xea, 0x2f, 0x00, 0x00, 0x10, // jmp 1000:002f
  0x31, 0xc0, 0x8e, 0xd8, 0x8e, 0xd0, 0xbc, 0x00, 0x70, // ds = ss = 0, sp = 0x7000
  0xfb, // sti
  0xf4, 0x83, 0x3e, 0x6c, 0x04, 0x03, 0x72, 0xf8, // hlt until three ticks are counted at 0x46c
  0xfa, 0xb0, 0x00, 0xe6, 0xf4, 0xf4, // exit with status 0
];

function image(): Uint8Array {
  const bytes = new Uint8Array(0x100);
  const view = new DataView(bytes.buffer);
  const words = (at: number, ...values: number[]): void => values.forEach((value, i) => view.setUint32(at + i * 4, value, true));
  bytes.set(START, 0);
  bytes.set(REAL, 0x20);
  // 16-bit code, base LOAD.
  bytes.set([0xff, 0xff, 0x00, 0x00, 0x01, 0x9b, 0x00, 0x00], GDT + 8);
  bytes.set([0x0f, 0x00], GDT_POINTER);
  words(GDT_POINTER + 2, LOAD + GDT);
  bytes.set([0xff, 0x03, 0, 0, 0, 0], IDT_POINTER);
  const magic = 0x1badb002;
  const flags = 0x10000;
  words(HEADER, magic, flags, -(magic + flags), LOAD + HEADER, LOAD, 0, 0, LOAD);
  return bytes;
}

test("a Multiboot guest that goes back to real mode hears the timer's ticks", () => {
  const machine = Machine.create({ cpus: 1, memory: 4 * MIB });
  machine.boot({ image: image(), imageName: "ticks" });
  assert.deepEqual(machine.run(1_000_000), { kind: "exit", status: 1 });
  const milliseconds = machine.now() / 1e6;
  // 65,536 periods of 1.193182 MHz each.
  assert.ok(milliseconds > 2 * 54.9 && milliseconds < 3 * 55, `${milliseconds} ms`);
});
