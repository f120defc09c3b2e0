import type { FieldView, RegisterView } from "../../devices/device";
import { UserError } from "../../machine/errors";
import { vectorSetText } from "../cpuScope";
import { hex, inRange, numberText } from "../numbers";
import type { SetInput, VariableNode } from "./node";
import { withField } from "./bitFields";

/** A device whose registers a debugger can put values into. */
export interface Pokable {
  registers(): readonly RegisterView[];
  /** Bits of a register that {@link poke} sets; undefined for unknown and read-only names. */
  pokeMask: (name: string) => bigint | undefined;
  /** False for unknown and read-only names, and for what no state of the device could be. */
  poke: (name: string, value: bigint) => boolean;
}

/** Registers of 256 bits, one for each vector. */
const vectorRegisters = new Set(["ISR", "TMR", "IRR"]);

/**
 * Scopes 'Local APIC' and 'I/O APIC': each register with its raw value and decoded fields, which can be set without side effects or, where there is `store`, written as by the
 * guest.
 */
export function deviceNodes(device: Pokable, prefix?: string, store?: Store): VariableNode[] {
  return device.registers().map((view) => registerNode(device, view, prefix, store));
}

/** Writes a register as the guest would. Throws a UserError for one that it cannot write. */
type Store = (register: string, value: bigint) => void;

/** Puts a value into a register of a device. Throws a UserError for one that is read-only or cannot become exactly that: nothing is cut silently. */
export function pokeRegister(device: Pokable, { name, value: old, bits }: RegisterView, value: bigint): void {
  const mask = device.pokeMask(name);
  if (mask === undefined) throw new UserError(`${name} is read-only.`, name);
  // A register that begins with its settable bits ends with them, as far as a person is concerned.
  inRange(name, value, 0n, (mask & (mask + 1n)) === 0n ? mask : (1n << BigInt(bits)) - 1n);
  // What cannot be set may stay as it is: people change a part of what they see.
  const stray = value & ~mask;
  if (stray !== 0n && stray !== (old & ~mask))
    throw new UserError(
      `${numberText(value)} does not fit in ${name}: its bits ${hex(stray)} cannot be set, only those of ${hex(mask)} can.`,
      name,
    );
  if (!device.poke(name, value)) throw new UserError(`${name} cannot be ${numberText(value)}: there is no such state of the device.`, name);
}

function registerNode(device: Pokable, view: RegisterView, prefix: string | undefined, store: Store | undefined): VariableNode {
  const fields = view.fields ?? [];
  const isVectors = vectorRegisters.has(view.name);
  const raw = hex(view.value, Math.ceil(view.bits / 4));
  const children = (): VariableNode[] => [
    ...(isVectors ? [{ name: "Raw", value: raw }] : []),
    ...fields.map((field) => fieldNode(device, view, field, store)),
  ];
  return {
    name: view.name,
    value: isVectors ? vectorSetText(view) : view.text === undefined ? raw : `${raw} ${view.text}`,
    type: `${view.bits} bits`,
    evaluateName: prefix === undefined ? undefined : `${prefix}.${view.name.toLowerCase().replaceAll(" ", "_")}`,
    children: fields.length === 0 && !isVectors ? undefined : children,
    set: (input) => pokeRegister(device, view, isVectors ? parseVectors(input) : input.number()),
    store: store === undefined ? undefined : (input) => store(view.name, input.number()),
  };
}

/** Vectors as a person writes them: `0x30, 0xf0`, with or without braces; empty for none. */
function parseVectors({ text, number }: SetInput): bigint {
  const inner = text.trim().replace(/^[{[](.*)[}\]]$/s, "$1");
  if (inner.trim() === "" || inner.trim() === "none") return 0n;
  const parts = inner.split(",").map((part) => part.trim());
  let bits = 0n;
  for (const part of parts) {
    const vector = parts.length === 1 && !/^(0x[0-9a-f]+|\d+)$/i.test(part) ? number() : vectorNumber(part);
    if (vector < 16n || vector > 255n) throw new UserError(`Vectors go from 16 (0x10) to 255 (0xff): ${part} does not exist.`);
    bits |= 1n << vector;
  }
  return bits;
}

function vectorNumber(text: string): bigint {
  if (!/^(0x[0-9a-f]+|\d+)$/i.test(text)) throw new UserError(`"${text}" is no vector; write vectors such as 0x30, 0xf0.`);
  return BigInt(text);
}

function fieldNode(device: Pokable, view: RegisterView, field: FieldView, store: Store | undefined): VariableNode {
  const [high, low = high] = field.bits.split(":").map(Number);
  const width = high - low + 1;
  const raw = width === 1 ? String(field.value) : hex(field.value);
  const text = field.text === undefined || field.text === raw ? raw : `${raw} (${field.text})`;
  const changed = (input: SetInput): bigint => withField(view.value, low, width, input.number(), field.name);
  return {
    name: field.name,
    value: text,
    type: width === 1 ? `bit ${field.bits}` : `bits ${field.bits}`,
    set: (input) => pokeRegister(device, view, changed(input)),
    store: store === undefined ? undefined : (input) => store(view.name, changed(input)),
  };
}
