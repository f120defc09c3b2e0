/** A guest with a screen and a keyboard: what stands on the screen is waited for, keys are typed. */
import assert from "node:assert/strict";
import { textLines } from "../../src/devices/vga/snapshot";
import { scanCodes } from "../../src/devices/ps2/scanCodes";
import type { Machine } from "../../src/machine/machine";
import type { RunEnd } from "../../src/machine/types";

/** The text screen's rows without trailing blanks; one line for a screen of pixels. */
export function screenText(machine: Machine): string {
  const shown = machine.screenSnapshot();
  if (shown.kind === "pixels") return `[${shown.width} by ${shown.height} pixels]`;
  return textLines(shown)
    .map((line) => line.trimEnd())
    .join("\n");
}

/** Runs until `wanted` is on the screen. Fails with the screen's text when `limit` instructions of virtual time, or the guest's end, come first. */
export function runToScreen(machine: Machine, wanted: RegExp, limit: number, piece = 2e6): void {
  const last = machine.now() + limit;
  for (;;) {
    const text = screenText(machine);
    if (wanted.test(text)) return;
    assert.ok(machine.now() < last, `${String(wanted)} is not on the screen\n${text}`);
    // A guest that waits for a key idles past it in few instructions.
    const end = machine.run(piece, machine.now() + 50e6);
    assert.equal(end.kind, "limit", `ended by ${end.kind}\n${text}`);
  }
}

/** Runs to the guest's end, at most `limit` instructions. */
export function runToEnd(machine: Machine, limit: number): RunEnd {
  const end = machine.run(limit);
  assert.notEqual(end.kind, "limit", `goes on and on\n${screenText(machine)}`);
  return end;
}

/** Presses and releases keys, by their W3C names, one after the other, with time for the guest in between. */
export function press(machine: Machine, ...keys: string[]): void {
  for (const key of keys)
    for (const down of [true, false]) {
      machine.keyboardInput(Uint8Array.from(scanCodes(key, down) ?? assert.fail(key)));
      machine.run(3e6, machine.now() + 3e6);
    }
}

/** Keys of characters that are no letters or digits, as an American keyboard has them. */
const CHARACTER_KEYS: Readonly<Partial<Record<string, string>>> = {
  " ": "Space",
  "\n": "Enter",
  "-": "Minus",
  "/": "Slash",
  ".": "Period",
  ";": "Semicolon",
};

/** Types a line of small letters, digits and a few signs. */
export function typeText(machine: Machine, text: string): void {
  for (const character of text) {
    press(machine, CHARACTER_KEYS[character] ?? (/[a-z]/.test(character) ? `Key${character.toUpperCase()}` : `Digit${character}`));
  }
}
