import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { describe, test } from "node:test";
import { loadFirmware } from "../../src/adapter/storage";
import { UserError } from "../../src/common/errors";
import { press, runToScreen, screenText } from "./consoleGuest";
import { Machine } from "../../src/machine/machine";
import type { MachineConfiguration } from "../../src/machine/types";
import { MemoryFile, patterned } from "../devices/block/images";

const hex = (text: string): Uint8Array => Uint8Array.from(text.trim().split(/\s+/), (byte) => Number.parseInt(byte, 16));

/**
 * Real-mode start-up code: has the IDE channels decoded by way of configuration mechanism 1 (function 00:01.1, IDETIM and command), reads LBA 0 of the
 * primary master with READ SECTORS, polling, by REP INSW to 0:7c00, and jumps there.
 */
const START = hex(`
  66 b8 40 09 00 80 ba f8 0c 66 ef 66 b8 00 80 00 80 ba fc 0c 66 ef 66 b8 04 09 00 80 ba f8 0c 66 ef 66 b8 05
  00 00 00 ba fc 0c 66 ef ba f2 01 b0 01 ee 42 30 c0 ee 42 ee 42 ee 42 b0 e0 ee 42 b0 20 ee ec a8 08 74 fb 31
  ff 8e c7 bf 00 7c b9 00 01 ba f0 01 fc f3 6d ea 00 7c 00 00`);

/**
 * Boot sector: writes itself, inverted, to LBA 5 by WRITE SECTORS and REP OUTSW, reads it back, compares, and leaves by port 0xf4 with 0x10 if all is
 * equal, else 1.
 */
const BOOT_SECTOR = hex(`
  31 c0 8e d8 8e c0 8e d0 bc 00 70 be 00 7c bf 00 80 b9 00 01 fc ad f7 d0 ab e2 fa b0 30 e8 38 00 e8 4e 00 be
  00 80 b9 00 01 ba f0 01 f3 6f e8 4b 00 b0 20 e8 22 00 e8 38 00 bf 00 90 b9 00 01 ba f0 01 f3 6d be 00 80 bf
  00 90 b9 00 01 f3 a7 b0 01 75 02 b0 10 e6 f4 f4 50 ba f2 01 b0 01 ee 42 b0 05 ee 42 30 c0 ee 42 ee 42 b0 e0
  ee 42 58 ee c3 ba f7 01 ec a8 88 74 f8 78 f6 c3 ba f7 01 ec 84 c0 78 f8 c3`);

/** A ROM of 64 KiB: the code at its start, a jump to it at the reset vector. */
function rom(code: Uint8Array): Uint8Array {
  const image = new Uint8Array(0x10000).fill(0xf4);
  image.set(code);
  // jmp f000:0000
  image.set([0xea, 0, 0, 0, 0xf0], 0xfff0);
  return image;
}

function diskOf(sector: Uint8Array): Uint8Array {
  const disk = patterned(4096 * 512);
  disk.fill(0, 0, 512);
  disk.set(sector);
  return disk;
}

const machineWith = (configuration: Partial<MachineConfiguration>): Machine =>
  Machine.create({ cpus: 1, memory: 4 << 20, ...configuration });

describe("firmware", () => {
  test("ROM code at the reset vector boots a disk over IDE; the image's file is not written", () => {
    const content = diskOf(BOOT_SECTOR);
    const run = (piece: number): { status: number; hash: string; instructions: number } => {
      const file = new MemoryFile(content.slice());
      const machine = machineWith({ firmware: { image: rom(START), name: "test.rom" }, disks: [{ file }] });
      machine.bootFirmware();
      for (;;) {
        const end = machine.run(piece);
        assert.ok(machine.instructions() < 1_000_000, "it goes on for ever");
        if (end.kind === "limit") continue;
        assert.equal(end.kind, "exit");
        assert.deepEqual(file.bytes, content);
        const [{ disk }] = machine.board.disks;
        const written = new Uint8Array(512);
        disk.read(5 * 512, written);
        assert.deepEqual(
          written,
          content.slice(0, 512).map((byte) => ~byte & 0xff),
        );
        return { status: end.kind === "exit" ? end.status : -1, hash: machine.stateHash(), instructions: machine.instructions() };
      }
    };
    const whole = run(1_000_000);
    assert.equal(whole.status, 0x21);
    assert.deepEqual(run(1000), whole, "however the run is cut");
    assert.deepEqual(run(7), whole, "however the run is cut");
  });

  test("shadow RAM hides ROM below 1 MiB, reads and writes apart; ROM is not written", () => {
    const image = rom(Uint8Array.of(0x11, 0x22));
    const machine = machineWith({ firmware: { image, name: "test.rom" } });
    const { memory, board } = machine;
    const bridge = board.hostBridge;
    assert.deepEqual([...memory.read(0xf0000, 2)], [0x11, 0x22]);
    assert.deepEqual([...memory.read(0xffff0000, 2)], [0x11, 0x22]);
    assert.deepEqual([...memory.read(0xe0000, 2)], [0xff, 0xff], "a ROM of 64 KiB does not reach here");
    memory.write(0xf0000, Uint8Array.of(1));
    memory.write(0xffff0000, Uint8Array.of(1));
    assert.equal(memory.read(0xf0000, 1)[0], 0x11);
    bridge.writeConfig(0x59, 1, 0x20);
    memory.write(0xf0000, Uint8Array.of(0x33));
    assert.equal(memory.read(0xf0000, 1)[0], 0x11, "reads still go to ROM");
    assert.notEqual(memory.hostPage(0xf0, true, 0), memory.hostPage(0xf0, false, 0));
    assert.ok(!memory.writesFreely(0xf0, 0));
    bridge.writeConfig(0x59, 1, 0x10);
    assert.equal(memory.read(0xf0000, 1)[0], 0x33);
    memory.write(0xf0000, Uint8Array.of(0x44));
    assert.equal(memory.read(0xf0000, 1)[0], 0x33, "write-protected");
    assert.equal(memory.hostPage(0xf0, true, 0), -1);
  });

  test("closed SMRAM is hidden from all but system-management mode", () => {
    const { memory, board, cpus } = machineWith({ firmware: { image: rom(Uint8Array.of(0xf4)), name: "test.rom" } });
    board.hostBridge.writeConfig(0x72, 1, 0x4a);
    memory.write(0xa8000, Uint8Array.of(0x12));
    board.hostBridge.writeConfig(0x72, 1, 0x0a);
    memory.write(0xa8000, 1, 0x34n, 0);
    assert.equal(memory.read(0xa8000, 1, 0), 0xffn);
    assert.equal(memory.hostPage(0xa8, false, 0), -1);
    cpus[0].state.inSmm = true;
    assert.equal(memory.read(0xa8000, 1, 0), 0x12n);
    assert.ok(memory.hostPage(0xa8, true, 0) >= 0);
  });

  test("system-management mode sees SMRAM where others see the display adapter's window", () => {
    const { memory, board, cpus } = machineWith({ firmware: { image: rom(Uint8Array.of(0xf4)), name: "test.rom" }, devices: ["vga"] });
    board.hostBridge.writeConfig(0x72, 1, 0x0a);
    cpus[0].state.inSmm = true;
    memory.write(0xa8000, 1, 0x12n, 0);
    cpus[0].state.inSmm = false;
    assert.notEqual(memory.read(0xa8000, 1, 0), 0x12n);
    cpus[0].state.inSmm = true;
    assert.equal(memory.read(0xa8000, 1, 0), 0x12n);
  });

  test("what is no firmware is refused", () => {
    for (const [image, message] of [
      [new Uint8Array(1000), /1000 bytes/],
      [new Uint8Array(0x10001).fill(1), /not a multiple/],
      [new Uint8Array(0x10000), /no code at its reset vector/],
    ] as const) {
      assert.throws(
        () => machineWith({ firmware: { image, name: "x.bin" } }),
        (error) => error instanceof UserError && error.subject === "firmware" && message.test(error.message),
      );
    }
  });
});

/** Processors of the first MP table in the BIOS segment; -1 without one, or when a checksum is wrong. */
function firstMpTable(machine: Machine): number {
  const sums = (bytes: Uint8Array): boolean => (bytes.reduce((total, byte) => total + byte, 0) & 0xff) === 0;
  for (let at = 0xf0000; at < 0x100000; at += 16) {
    const pointer = machine.memory.read(at, 16);
    if (Buffer.from(pointer.subarray(0, 4)).toString("latin1") !== "_MP_" || !sums(pointer)) continue;
    const address = new DataView(pointer.buffer).getUint32(4, true);
    const length = new DataView(machine.memory.read(address, 44).buffer).getUint16(4, true);
    const table = machine.memory.read(address, length);
    if (Buffer.from(table.subarray(0, 4)).toString("latin1") !== "PCMP" || !sums(table)) return -1;
    let processors = 0;
    for (let entry = 44; table[entry] === 0; entry += 20) processors++;
    return processors;
  }
  return -1;
}

const seabios = existsSync("/usr/share/seabios/bios-256k.bin");

describe("SeaBIOS", { skip: seabios ? false : "SeaBIOS is not installed" }, () => {
  for (const kind of ["ide", "ahci"] as const)
    test(`finds the disk and starts its boot sector: ${kind}`, () => {
      // mov al, 0x10; out 0xf4, al; hlt
      const sector = new Uint8Array(512);
      sector.set([0xb0, 0x10, 0xe6, 0xf4, 0xf4]);
      sector.set([0x55, 0xaa], 510);
      let text = "";
      const machine = Machine.create({
        cpus: 2,
        memory: 16 << 20,
        firmware: loadFirmware("seabios", true),
        disks: [{ file: new MemoryFile(diskOf(sector)), interface: kind }],
      });
      machine.hooks = { serial: (bytes) => (text += Buffer.from(bytes).toString("latin1")), debugConsole: () => undefined };
      machine.bootFirmware();
      const end = machine.run(50_000_000);
      assert.deepEqual(end, { kind: "exit", status: 0x21 }, text);
      assert.match(text, /SeaBIOS/);
      assert.match(text, /Booting from Hard Disk/);
      assert.equal(firstMpTable(machine), 2, "the MP table that guests find first has all processors");
    });

  test("Esc brings up the boot menu, where a digit chooses the disk", () => {
    const sector = new Uint8Array(512);
    sector.set([0xb0, 0x10, 0xe6, 0xf4, 0xf4]);
    sector.set([0x55, 0xaa], 510);
    const idle = new Uint8Array(512);
    idle.set([0xf4, 0xeb, 0xfd]);
    idle.set([0x55, 0xaa], 510);
    const machine = Machine.create({
      cpus: 1,
      memory: 16 << 20,
      firmware: loadFirmware("seabios", false),
      disks: [{ file: new MemoryFile(diskOf(idle)) }, { file: new MemoryFile(diskOf(sector)) }],
    });
    machine.hooks = { debugConsole: () => undefined };
    machine.bootFirmware();
    runToScreen(machine, /Press ESC for boot menu/, 10e9);
    press(machine, "Escape");
    runToScreen(machine, /Select boot device:[^]*\n2\. /, 10e9);
    press(machine, "Digit2");
    assert.deepEqual(machine.run(50_000_000), { kind: "exit", status: 0x21 }, screenText(machine));
  });
});
