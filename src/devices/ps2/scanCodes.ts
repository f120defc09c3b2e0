/** Scan codes of PC keyboards: what sets 1 and 2 call a key, and the set 1 codes of the keys that the W3C's UI Events name. */

/**
 * What the 8042 makes of a set 2 code (its translation ROM): the set 1 make code. Index 0 to 0x7f; codes above translate to themselves, but 0x83 to 0x41
 * and 0x84 to 0x54.
 */
const SET2_TO_SET1: readonly number[] = [
  0xff, 0x43, 0x41, 0x3f, 0x3d, 0x3b, 0x3c, 0x58, 0x64, 0x44, 0x42, 0x40, 0x3e, 0x0f, 0x29, 0x59, 0x65, 0x38, 0x2a, 0x70, 0x1d, 0x10, 0x02,
  0x5a, 0x66, 0x71, 0x2c, 0x1f, 0x1e, 0x11, 0x03, 0x5b, 0x67, 0x2e, 0x2d, 0x20, 0x12, 0x05, 0x04, 0x5c, 0x68, 0x39, 0x2f, 0x21, 0x14, 0x13,
  0x06, 0x5d, 0x69, 0x31, 0x30, 0x23, 0x22, 0x15, 0x07, 0x5e, 0x6a, 0x72, 0x32, 0x24, 0x16, 0x08, 0x09, 0x5f, 0x6b, 0x33, 0x25, 0x17, 0x18,
  0x0b, 0x0a, 0x60, 0x6c, 0x34, 0x35, 0x26, 0x27, 0x19, 0x0c, 0x61, 0x6d, 0x73, 0x28, 0x74, 0x1a, 0x0d, 0x62, 0x6e, 0x3a, 0x36, 0x1c, 0x1b,
  0x75, 0x2b, 0x63, 0x76, 0x55, 0x56, 0x77, 0x78, 0x79, 0x7a, 0x0e, 0x7b, 0x7c, 0x4f, 0x7d, 0x4b, 0x47, 0x7e, 0x7f, 0x6f, 0x52, 0x53, 0x50,
  0x4c, 0x4d, 0x48, 0x01, 0x45, 0x57, 0x4e, 0x51, 0x4a, 0x37, 0x49, 0x46, 0x54,
];

/** What the controller hands on for byte `code` of a set 2 keyboard, the break prefix aside. */
export function translate(code: number): number {
  if (code < 0x80) return SET2_TO_SET1[code];
  return code === 0x83 ? 0x41 : code === 0x84 ? 0x54 : code;
}

/** Set 2 code of each set 1 make code. */
const SET1_TO_SET2 = new Uint8Array(0x80);
SET2_TO_SET1.forEach((code, index) => {
  if (code < 0x80) SET1_TO_SET2[code] = index;
});
// F7 and Alt+SysRq come from codes past 0x7f.
SET1_TO_SET2[0x41] = 0x83;
SET1_TO_SET2[0x54] = 0x84;

/** Set 2 bytes for set 1 byte `code`: prefixes stay, a break code becomes 0xf0 and the make code. */
export function toSet2(code: number): readonly number[] {
  if (code === 0xe0 || code === 0xe1) return [code];
  const make = SET1_TO_SET2[code & 0x7f];
  return code & 0x80 ? [0xf0, make] : [make];
}

/** Set 1 make codes by the W3C's `KeyboardEvent.code`; 0xe0xx has the extended prefix. */
const KEYS: Readonly<Record<string, number>> = {
  Escape: 0x01,
  ...series(0x02, ["Digit1", "Digit2", "Digit3", "Digit4", "Digit5", "Digit6", "Digit7", "Digit8", "Digit9", "Digit0", "Minus", "Equal"]),
  ...series(0x0e, ["Backspace", "Tab", "KeyQ", "KeyW", "KeyE", "KeyR", "KeyT", "KeyY", "KeyU", "KeyI", "KeyO", "KeyP", "BracketLeft"]),
  ...series(0x1b, ["BracketRight", "Enter", "ControlLeft", "KeyA", "KeyS", "KeyD", "KeyF", "KeyG", "KeyH", "KeyJ", "KeyK", "KeyL"]),
  ...series(0x27, ["Semicolon", "Quote", "Backquote", "ShiftLeft", "Backslash", "KeyZ", "KeyX", "KeyC", "KeyV", "KeyB", "KeyN", "KeyM"]),
  ...series(0x33, ["Comma", "Period", "Slash", "ShiftRight", "NumpadMultiply", "AltLeft", "Space", "CapsLock"]),
  ...series(0x3b, ["F1", "F2", "F3", "F4", "F5", "F6", "F7", "F8", "F9", "F10", "NumLock", "ScrollLock"]),
  ...series(0x47, ["Numpad7", "Numpad8", "Numpad9", "NumpadSubtract", "Numpad4", "Numpad5", "Numpad6", "NumpadAdd"]),
  ...series(0x4f, ["Numpad1", "Numpad2", "Numpad3", "Numpad0", "NumpadDecimal"]),
  IntlBackslash: 0x56,
  F11: 0x57,
  F12: 0x58,
  IntlRo: 0x73,
  KanaMode: 0x70,
  Convert: 0x79,
  NonConvert: 0x7b,
  IntlYen: 0x7d,
  NumpadEnter: 0xe01c,
  ControlRight: 0xe01d,
  NumpadDivide: 0xe035,
  PrintScreen: 0xe037,
  AltRight: 0xe038,
  Home: 0xe047,
  ArrowUp: 0xe048,
  PageUp: 0xe049,
  ArrowLeft: 0xe04b,
  ArrowRight: 0xe04d,
  End: 0xe04f,
  ArrowDown: 0xe050,
  PageDown: 0xe051,
  Insert: 0xe052,
  Delete: 0xe053,
  MetaLeft: 0xe05b,
  MetaRight: 0xe05c,
  ContextMenu: 0xe05d,
};

function series(first: number, names: readonly string[]): Record<string, number> {
  return Object.fromEntries(names.map((name, index) => [name, first + index]));
}

/**
 * Set 1 bytes of a key going down or up, as `Machine.keyboardInput` takes them.
 * @param code the W3C's `KeyboardEvent.code`, such as "KeyA" or "Enter"
 * @returns undefined for keys that a PC keyboard does not have; none for the release of Pause, which sends nothing
 */
export function scanCodes(code: string, down: boolean): Uint8Array | undefined {
  if (code === "Pause") return Uint8Array.from(down ? [0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5] : []);
  if (!Object.hasOwn(KEYS, code)) return undefined;
  const key = KEYS[code];
  const byte = (key & 0x7f) | (down ? 0 : 0x80);
  return Uint8Array.from(key > 0xff ? [0xe0, byte] : [byte]);
}
