import assert from "node:assert/strict";
import { test } from "node:test";
import { Machine } from "../../src/machine/machine";

/** A ROM of 64 KiB that jumps to 0000:7c00, where `code` is put. */
function started(code: readonly number[]): Machine {
  const image = new Uint8Array(0x10000).fill(0xf4);
  // jmp 0000:7c00
  image.set([0xea, 0, 0x7c, 0, 0], 0xfff0);
  const machine = Machine.create({ cpus: 1, memory: 1 << 20, firmware: { image, name: "test.rom" } });
  machine.memory.write(0x7c00, Uint8Array.from(code));
  machine.bootFirmware();
  return machine;
}

test("programs in real mode write through CS, after protected mode as well", () => {
  const machine = started([
    // mov cs:[0x7000], edx, which reset left a signature in; lgdt [0x7d00]; mov eax, cr0; or al, 1; mov cr0, eax; jmp 8:7c18
    ...[0x2e, 0x66, 0x89, 0x16, 0, 0x70],
    ...[0x0f, 0x01, 0x16, 0, 0x7d, 0x0f, 0x20, 0xc0, 0x0c, 1, 0x0f, 0x22, 0xc0, 0xea, 0x18, 0x7c, 8, 0],
    // 7c18: and al, 0xfe; mov cr0, eax; jmp 0000:7c22
    ...[0x24, 0xfe, 0x0f, 0x22, 0xc0, 0xea, 0x22, 0x7c, 0, 0],
    // 7c22: inc byte cs:[0x7004]; mov al, 0x10; out 0xf4, al; hlt
    ...[0x2e, 0xfe, 0x06, 0x04, 0x70, 0xb0, 0x10, 0xe6, 0xf4, 0xf4],
  ]);
  const code = [0xff, 0xff, 0, 0, 0, 0x9b, 0, 0];
  machine.memory.write(0x7d00, Uint8Array.of(15, 0, 8, 0x7d, 0, 0, 0, 0));
  machine.memory.write(0x7d08, Uint8Array.of(...new Array<number>(8).fill(0), ...code));
  assert.deepEqual(machine.run(1000), { kind: "exit", status: 0x21 });
  assert.notDeepEqual([...machine.memory.read(0x7000, 4)], [0, 0, 0, 0]);
  assert.equal(machine.memory.read(0x7004, 1)[0], 1);
});
