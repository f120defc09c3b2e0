import { type FunctionBody, FunctionWriter, I32, I64, type Type } from "../wasm/writer";
import { BRANCH_HINTS } from "../wasm/branchHints";
import { MAX_MEMORY_PAGES, SHARED_MEMORY } from "../wasm/sharedMemory";
import { addressFunction, enterFunction, jumpFunction, multiplyHighFunction, plainAddressFunction, TYPE_REGION } from "./common";
import { storeFlagsFunction } from "./flags";
import { x87PartNames } from "../x87/operation";
import { scalarCheck } from "../vector/floating";
import { scalarCheckType } from "../vector/scalarChecks";

const FUNCTION = 0x60;
const CODE_SECTION = 10;
/** Bytes of what is in every module, and of what each function takes beside its body, about. */
const OF_EVERY_MODULE = 4096;
const OF_A_FUNCTION = 64;

/** Types by index; TYPE_REGION (common.ts) is one of them. */
const types: readonly (readonly [readonly Type[], readonly Type[]])[] = [
  [[I32, I32, I32, I32], [I32]],
  [[I32, I32, I32, I32, I32], [I32]],
  [[I32, I32, I32], [I32]],
  [[I32], [I64]],
  [[I32, I64], []],
  [[I32, I32, I64, I64, I64, I64], []],
  [[I32, I32], [I32]],
  [[I64, I64], [I64]],
  [[I32, I64, I32], [I32]],
  [[I32, I64, I64, I32], [I32]],
  scalarCheckType(32),
  scalarCheckType(64),
];
/** Imported functions and their types, then the common ones, in the order of `Callee`. */
const imports: readonly (readonly [string, number])[] = [
  ["run", 0],
  ["helper", 1],
  ["hostAddress", 2],
  ["getFlags", 3],
  ["setFlags", 4],
  ["walk", 8],
  ["bulkString", 6],
  ["findJump", 6],
  ...x87PartNames.map((name) => [name, 9] as const),
  ["fastCall", 0],
];
const common = [
  { type: 5, body: storeFlagsFunction().hintedBody() },
  { type: 6, body: jumpFunction(false).hintedBody() },
  { type: 2, body: enterFunction().hintedBody() },
  { type: 7, body: multiplyHighFunction().hintedBody() },
  { type: 8, body: plainAddressFunction().hintedBody() },
  { type: 10, body: scalarCheck(32).hintedBody() },
  { type: 11, body: scalarCheck(64).hintedBody() },
  { type: 8, body: addressFunction().hintedBody() },
  { type: 2, body: jumpFunction(true).hintedBody() },
];

/**
 * Assembles a module of generated functions. Bodies are the same whatever module they are in: functions can be packed anew without generating them again.
 * @param slots where each function goes in table 0
 */
export function assembleModule(bodies: readonly FunctionBody[], slots: readonly number[], memoryPages: number): Uint8Array<ArrayBuffer> {
  const size = bodies.reduce((sum, { bytes }) => sum + bytes.length + OF_A_FUNCTION, OF_EVERY_MODULE);
  const out = new FunctionWriter(0, size);
  for (const byte of [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00]) out.byte(byte);
  const section = (id: number, fill: (w: FunctionWriter) => void): void => {
    const w = new FunctionWriter(0, id === CODE_SECTION ? size : 1024);
    fill(w);
    out.byte(id).unsigned(w.size).append(w.code());
  };
  const name = (w: FunctionWriter, text: string): void => {
    w.unsigned(text.length);
    for (let i = 0; i < text.length; i++) w.byte(text.charCodeAt(i));
  };
  section(1, (w) => {
    w.unsigned(types.length);
    for (const [parameters, results] of types) {
      w.byte(FUNCTION).unsigned(parameters.length);
      for (const type of parameters) w.byte(type);
      w.unsigned(results.length);
      for (const type of results) w.byte(type);
    }
  });
  section(2, (w) => {
    w.unsigned(imports.length + 2);
    name(w, "env");
    name(w, "memory");
    w.byte(0x02).byte(SHARED_MEMORY).unsigned(memoryPages).unsigned(MAX_MEMORY_PAGES);
    name(w, "env");
    name(w, "table");
    w.byte(0x01).byte(0x70).byte(0x00).byte(0x00);
    for (const [imported, type] of imports) {
      name(w, "env");
      name(w, imported);
      w.byte(0x00).unsigned(type);
    }
  });
  section(3, (w) => {
    w.unsigned(common.length + bodies.length);
    for (const { type } of common) w.unsigned(type);
    for (let i = 0; i < bodies.length; i++) w.unsigned(TYPE_REGION);
  });
  const first = imports.length + common.length;
  section(9, (w) => {
    w.unsigned(bodies.length);
    slots.forEach((slot, i) => {
      w.byte(0x00)
        .i32(slot)
        .byte(0x0b)
        .unsigned(1)
        .unsigned(first + i);
    });
  });
  const all = [...common.map(({ body }) => body), ...bodies];
  section(0, (w) => {
    name(w, BRANCH_HINTS);
    w.unsigned(all.filter(({ hints }) => hints.length > 0).length);
    all.forEach(({ hints }, i) => {
      if (hints.length === 0) return;
      w.unsigned(imports.length + i).unsigned(hints.length / 2);
      for (let k = 0; k < hints.length; k += 2)
        w.unsigned(hints[k])
          .unsigned(1)
          .unsigned(hints[k + 1]);
    });
  });
  section(CODE_SECTION, (w) => {
    w.unsigned(all.length);
    for (const { bytes } of all) w.append(bytes);
  });
  return out.code().slice();
}
