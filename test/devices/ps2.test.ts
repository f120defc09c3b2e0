import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { KeyboardController } from "../../src/devices/keyboardController";
import { scanCodes, toSet2, translate } from "../../src/devices/ps2/scanCodes";
import { A20Gate } from "../../src/devices/reset";
import { Probe, TestBoard } from "./testBoard";

interface Rig {
  readonly board: TestBoard;
  readonly kbc: KeyboardController;
  readonly irq: Probe;
  readonly mouseIrq: Probe;
  /** Everything that waits at port 0x60, mouse bytes with 0x100. */
  readonly drain: () => number[];
  readonly command: (value: number) => void;
  readonly mouse: (...bytes: number[]) => number[];
  readonly keyboard: (...bytes: number[]) => number[];
}

function rig(commandByte: number): Rig {
  const board = new TestBoard();
  const irq = new Probe();
  const mouseIrq = new Probe();
  const kbc = new KeyboardController(board.context, {
    irq: irq.line,
    mouseIrq: mouseIrq.line,
    a20: new A20Gate(),
    requestReset: () => undefined,
  });
  const drain = (): number[] => {
    const bytes: number[] = [];
    while (bytes.length < 1000) {
      const status = board.in(0x64);
      if ((status & 1) === 0) break;
      bytes.push(board.in(0x60) | (status & 0x20 ? 0x100 : 0));
    }
    return bytes;
  };
  const command = (value: number): void => board.out(0x64, value);
  command(0x60);
  board.out(0x60, commandByte);
  const mouse = (...bytes: number[]): number[] =>
    bytes.flatMap((byte) => {
      command(0xd4);
      board.out(0x60, byte);
      return drain();
    });
  const keyboard = (...bytes: number[]): number[] =>
    bytes.flatMap((byte) => {
      board.out(0x60, byte);
      return drain();
    });
  return { board, kbc, irq, mouseIrq, drain, command, mouse, keyboard };
}

describe("PS/2 keyboard", () => {
  test("keys by name reach the guest in set 1 through translation, each byte with an edge of IRQ 1", () => {
    const { kbc, irq, drain } = rig(0x41);
    for (const [name, down] of [
      ["KeyA", true],
      ["KeyA", false],
      ["ArrowUp", true],
      ["ArrowUp", false],
      ["F7", true],
      ["Pause", true],
    ] as const) {
      kbc.keyboard.type(scanCodes(name, down) ?? new Uint8Array());
    }
    assert.deepEqual(drain(), [0x1e, 0x9e, 0xe0, 0x48, 0xe0, 0xc8, 0x41, 0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5]);
    assert.equal(irq.rises, 13);
    assert.ok(!irq.level);
  });

  test("without translation in set 2, and in set 1 when told so", () => {
    const { kbc, drain, keyboard } = rig(0x01);
    kbc.keyboard.type(Uint8Array.of(0x1e, 0x9e, 0xe0, 0xc8));
    assert.deepEqual(drain(), [0x1c, 0xf0, 0x1c, 0xe0, 0xf0, 0x75]);
    assert.deepEqual(keyboard(0xf0, 0), [0xfa, 0xfa, 2]);
    assert.deepEqual(keyboard(0xf0, 3), [0xfa, 0xfe], "there is no set 3");
    assert.deepEqual(keyboard(0xf0, 1), [0xfa, 0xfa]);
    kbc.keyboard.type(Uint8Array.of(0x1e, 0x9e));
    assert.deepEqual(drain(), [0x1e, 0x9e]);
  });

  test("commands: identity, LEDs, echo, disable and enable, reset, resend, unknown ones", () => {
    const { kbc, drain, keyboard } = rig(0x01);
    assert.deepEqual(keyboard(0xf2), [0xfa, 0xab, 0x83]);
    assert.deepEqual(keyboard(0xed, 0x05), [0xfa, 0xfa]);
    assert.equal(kbc.keyboard.indicators, 5);
    assert.deepEqual(keyboard(0xee), [0xee]);
    assert.deepEqual(keyboard(0xf5), [0xfa]);
    assert.ok(!kbc.keyboard.type(Uint8Array.of(0x1e)), "scanning is off");
    assert.deepEqual(keyboard(0xf4), [0xfa]);
    assert.ok(kbc.keyboard.type(Uint8Array.of(0x1e)));
    assert.deepEqual(drain(), [0x1c]);
    assert.deepEqual(keyboard(0xfe), [0x1c]);
    assert.deepEqual(keyboard(0xff), [0xfa, 0xaa]);
    assert.deepEqual(keyboard(0x11), [0xfe]);
  });

  test("a disabled interface holds keys back; sending to the keyboard turns it on", () => {
    const { kbc, drain, command, keyboard } = rig(0x41);
    command(0xad);
    kbc.keyboard.type(Uint8Array.of(0x1e));
    assert.deepEqual(drain(), []);
    command(0xae);
    assert.deepEqual(drain(), [0x1e]);
    command(0xad);
    assert.deepEqual(keyboard(0xee), [0xee]);
  });

  test("a full keyboard loses whole keys, never halves", () => {
    const { kbc, drain } = rig(0x41);
    let taken = 0;
    for (let count = 0; count < 500; count++) if (kbc.keyboard.type(Uint8Array.of(0xe0, 0x48))) taken++;
    assert.deepEqual(drain(), Array.from({ length: taken }, () => [0xe0, 0x48]).flat());
    assert.ok(taken > 100 && taken < 500);
  });

  test("translation undoes what the keyboard makes of set 1, for every key there is a name for", () => {
    for (const name of [
      "Escape",
      "Digit1",
      "KeyZ",
      "Space",
      "F1",
      "F11",
      "F12",
      "Numpad5",
      "IntlBackslash",
      "Delete",
      "MetaLeft",
      "ContextMenu",
    ]) {
      const code = scanCodes(name, true)?.at(-1) ?? 0;
      assert.deepEqual(toSet2(code).map(translate), [code], name);
    }
    assert.equal(scanCodes("BrowserBack", true), undefined);
    assert.equal(scanCodes("constructor", true), undefined);
  });
});

describe("PS/2 mouse", () => {
  const tagged = (...bytes: number[]): number[] => bytes.map((byte) => byte | 0x100);

  test("found, identified and knocked for its wheel and its buttons", () => {
    const { mouse, command, drain } = rig(0x43);
    command(0xa9);
    assert.deepEqual(drain(), [0x00]);
    assert.deepEqual(mouse(0xff), tagged(0xfa, 0xaa, 0x00));
    assert.deepEqual(mouse(0xf2), tagged(0xfa, 0x00));
    mouse(0xf3, 200, 0xf3, 100, 0xf3, 80);
    assert.deepEqual(mouse(0xf2), tagged(0xfa, 0x03));
    mouse(0xf3, 200, 0xf3, 200, 0xf3, 80);
    assert.deepEqual(mouse(0xf2), tagged(0xfa, 0x04));
    assert.deepEqual(mouse(0xe9), tagged(0xfa, 0x00, 2, 80));
  });

  test("packets: signs, buttons, the wheel; long ways in steps; silent until enabled", () => {
    const { kbc, mouse, mouseIrq, drain } = rig(0x43);
    kbc.mouse.move(5, 5, 0, 1);
    assert.deepEqual(drain(), []);
    assert.deepEqual(mouse(0xf4), tagged(0xfa));
    kbc.mouse.move(10, 3, 1, 1);
    assert.deepEqual(drain(), tagged(0x29, 10, 0xfd), "right and down, left button");
    kbc.mouse.move(-300, -1, 0, 0);
    assert.deepEqual(drain(), tagged(0x18, 0x01, 0x01, 0x18, 0xd3, 0x00));
    mouse(0xf3, 200, 0xf3, 100, 0xf3, 80);
    kbc.mouse.move(0, 0, -2, 6);
    assert.deepEqual(drain(), tagged(0x0e, 0, 0, 0xfe));
    assert.ok(mouseIrq.rises > 10 && !mouseIrq.level);
  });

  test("motion that finds no room is reported when there is", () => {
    const { kbc, mouse, drain } = rig(0x43);
    mouse(0xf4);
    for (let count = 0; count < 100; count++) kbc.mouse.move(100, 0, 0, count & 1);
    const bytes = drain();
    let way = 0;
    for (let at = 0; at < bytes.length; at += 3) way += bytes[at + 1] & 0xff;
    assert.equal(way, 10_000);
  });

  test("input from outside comes as bytes; what is no input is ignored", () => {
    const { kbc, mouse, drain } = rig(0x43);
    mouse(0xf4);
    kbc.receive(Uint8Array.of(0, 0x1e, 0x9e));
    kbc.receive(Uint8Array.of(1, 2, 0, 0xff, 0xff, 0, 0, 1));
    kbc.receive(Uint8Array.of(1, 2));
    kbc.receive(Uint8Array.of(7, 7, 7));
    kbc.receive(new Uint8Array());
    assert.deepEqual(drain(), [0x1e, 0x9e, ...tagged(0x09, 2, 1)]);
  });

  test("remote mode answers when asked; wrap mode echoes", () => {
    const { kbc, mouse, drain } = rig(0x43);
    mouse(0xf4, 0xf0);
    kbc.mouse.move(7, 0, 0, 0);
    assert.deepEqual(drain(), []);
    assert.deepEqual(mouse(0xeb), tagged(0xfa, 0x08, 7, 0));
    assert.deepEqual(mouse(0xee, 0x42, 0xec), tagged(0xfa, 0x42, 0xfa));
  });
});
