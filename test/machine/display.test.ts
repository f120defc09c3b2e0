import assert from "node:assert/strict";
import { test } from "node:test";
import { ScreenRenderer } from "../../src/devices/vga/screen";
import { testGuest } from "./testGuest";

const FRAME_BUFFER = 0xc000_0000;

test("a guest draws into the frame buffer as into memory; snapshots keep it", () => {
  const guest = testGuest(
    (code) => {
      code.label("cpu0");
      // mov dx, 0x1ce; mov ax, index; out dx, ax; inc dx; mov ax, value; out dx, ax
      for (const [index, value] of [
        [1, 64],
        [2, 32],
        [3, 32],
        [4, 0x41],
      ]) {
        code.bytes(0x66, 0xba, 0xce, 0x01, 0x66, 0xb8, index, 0, 0x66, 0xef, 0x66, 0xff, 0xc2, 0x66, 0xb8, value, 0, 0x66, 0xef);
      }
      // mov edi, FRAME_BUFFER; mov eax, 0x00204060; mov ecx, 64 * 32; cld; rep stosd
      code.bytes(0xbf, 0, 0, 0, 0xc0, 0xb8, 0x60, 0x40, 0x20, 0x00, 0xb9, 0x00, 0x08, 0, 0, 0xfc, 0xf3, 0xab);
      // mov dword [FRAME_BUFFER + 4], 0xff by way of rdi: mov edi, ...; mov dword [rdi], 0xff
      code.bytes(0xbf, 4, 0, 0, 0xc0, 0xc7, 0x07, 0xff, 0, 0, 0);
      code.exit(0).hlt();
    },
    { devices: ["vga"] },
  );
  const { machine } = guest;
  const blank = machine.stateHash();
  const before = machine.snapshots.take();
  guest.finish();
  const drawn = machine.stateHash();
  const renderer = new ScreenRenderer();
  const image = machine.screen(renderer);
  assert.deepEqual([image.width, image.height], [64, 32]);
  assert.deepEqual([...image.pixels.subarray(0, 12)], [0x20, 0x40, 0x60, 255, 0, 0, 0xff, 255, 0x20, 0x40, 0x60, 255]);
  assert.equal(guest.read32(FRAME_BUFFER + 4), 0xff, "devices and debuggers read it too");
  machine.snapshots.restore(before);
  assert.equal(machine.stateHash(), blank);
  assert.equal(machine.screen(renderer).width, 720, "text again");
  guest.finish();
  assert.equal(machine.stateHash(), drawn);
  assert.ok(machine.cpus[0].mmu.tlb.misses < 100, "stores took the fast path");
});
