import { UserError } from "../../machine/errors";
import { mostWatched, type DataPlace } from "../dataPlaces";
import { hex } from "../numbers";
import { writeRegister } from "../registerAccess";
import { numberingOf } from "../symbols/program";
import type { Value } from "../symbols/dwarf/values";
import type { SymbolModule } from "../symbols/module";
import type { DebugCpu } from "../target";
import type { VariableNode } from "./node";

/** Where values of the program are changed. */
export interface ValuePlace {
  readonly cpu: DebugCpu;
  /** Of the code that the values belong to; undefined when unknown. */
  readonly module: SymbolModule | undefined;
  /** Registers of a caller's frame may stand anywhere: they cannot be set. */
  readonly innermost: boolean;
}

/** A value of the program with its members, elements or target below it. `evaluateName` is an expression for it. */
export function valueNode(value: Value, place: ValuePlace, evaluateName = value.name): VariableNode {
  const count = value.childCount;
  const isArray = value.typeInfo.kind === "array";
  return {
    name: value.name,
    value: value.show(),
    type: value.type,
    evaluateName,
    memory: value.address ?? value.pointsTo,
    place: placeOf(value),
    inParts: true,
    indexed: isArray && count > 0 ? count : undefined,
    children:
      count === 0
        ? undefined
        : (start, length) => value.children(start, length).map((child) => valueNode(child, place, childName(evaluateName, child.name))),
    set: (input) => assignValue(value, input.number(), place),
  };
}

function placeOf({ address, size }: Value): DataPlace | undefined {
  return address === undefined || size === undefined || size < 1 || size > mostWatched ? undefined : { kind: "linear", address, size };
}

function childName(parent: string, name: string): string {
  if (name.startsWith("[")) return `${parent}${name}`;
  if (name.startsWith("*")) return `*(${parent})`;
  return `${parent}.${name}`;
}

/** Writes an integer into a variable, wherever it lies. Throws a UserError where that is not possible. */
export function assignValue(value: Value, number: bigint, { cpu, module, innermost }: ValuePlace): void {
  const assignment = value.assign(number);
  if (assignment.kind === "memory") {
    const written = cpu.writeMemory(assignment.address, assignment.bytes);
    if (written < assignment.bytes.length)
      throw new UserError(`${value.name} cannot be changed: memory at ${hex(assignment.address)} cannot be written.`);
    return;
  }
  const name = module === undefined ? undefined : numberingOf(module).name(assignment.number);
  if (name === undefined || !innermost) throw new UserError(`${value.name} cannot be changed: its register is not known in this frame.`);
  writeRegister(cpu, name, assignment.value);
}
