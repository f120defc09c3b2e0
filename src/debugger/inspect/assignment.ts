import { UserError } from "../../machine/errors";
import { compile, parseExpression, toInteger, type Node, type Scope } from "../expr";
import { fitting, hex } from "../numbers";
import { readRegister, writeRegister } from "../registerAccess";
import { registerPart } from "../expr";
import { registerName, type GuestWrite } from "../guestWrite";
import { Value } from "../symbols/dwarf/values";
import type { DebugCpu } from "../target";
import type { SetInput } from "./node";
import { pokeRegister } from "./apicScope";
import { assignValue, type ValuePlace } from "./valueNodes";

/** Splits `target = value` or `target := value`, whose value keeps the `:=`, at the assignment sign; undefined for an expression without one. */
export function splitAssignment(text: string): { target: string; value: string } | undefined {
  let quote: string | undefined;
  for (let at = 0; at < text.length; at++) {
    const character = text[at];
    if (quote !== undefined) {
      if (character === "\\") at++;
      else if (character === quote) quote = undefined;
    } else if (character === '"' || character === "'") quote = character;
    else if (character === "=") {
      if (text[at + 1] === "=") at++;
      else if (text[at - 1] === ":") return { target: text.slice(0, at - 1).trim(), value: text.slice(at - 1).trim() };
      else if (!/[=!<>]/.test(text[at - 1] ?? "")) return { target: text.slice(0, at).trim(), value: text.slice(at + 1).trim() };
    }
  }
  return undefined;
}

export interface Assignment {
  readonly target: string;
  readonly input: SetInput;
  readonly cpu: DebugCpu;
  readonly cpus: readonly DebugCpu[];
  readonly scope: Scope;
  readonly place: ValuePlace;
  /** Writes as the CPU would. */
  readonly store: (write: GuestWrite) => void;
}

/** Carries out an assignment. Throws a {@link UserError} for targets that are no place. */
export function assign(assignment: Assignment): void {
  const { target, input, cpu, cpus, scope, place } = assignment;
  const { root } = parseExpression(target);
  if (input.asGuest) return assignAsGuest(assignment, root);
  switch (root.kind) {
    case "name":
      if (!root.register) {
        const variable = scope.variable?.(root.name);
        if (variable instanceof Value) return assignValue(variable, input.number(), place);
      }
      if (isRegister(cpu, root.name)) return writeRegister(cpu, root.name, input.number());
      break;
    case "member":
      if (root.operand.kind === "name" && assignDotted(root.operand.name, root.name, assignment, cpus)) return;
      break;
    case "memory": {
      if (root.physical)
        throw new UserError(`'${target}' cannot be assigned to: physical memory is only read here; write it by a linear address.`);
      const address = BigInt.asUintN(64, toInteger(compile({ text: target, root: root.address, format: undefined }).evaluate(scope)).value);
      return writeInteger(cpu, address, fitting(target, input.number(), root.type.bits), root.type.bits);
    }
    case "unary":
      if (root.operator === "*" && root.operand.kind === "cast" && root.operand.stars === 1)
        return assignThroughCast(assignment, root.operand);
      break;
    case "number":
    case "string":
    case "binary":
    case "conditional":
    case "cast":
    case "typeCast":
    case "index":
      break;
  }
  const value = compile(parseExpression(target)).evaluate(scope);
  if (value.kind === "typed" && value.value instanceof Value) return assignValue(value.value, input.number(), place);
  throw new UserError(`'${target}' cannot be assigned to; registers, variables and memory such as u32[0x1000] can.`);
}

/** `target := value`: a register of the local APIC, or memory of any kind, as if an instruction had stored it. */
function assignAsGuest({ target, input, scope, store }: Assignment, root: Node): void {
  if (root.kind === "member" && root.operand.kind === "name" && root.operand.name === "lapic")
    return store({ register: registerName(root.name), value: input.number(), size: 4 });
  if (root.kind === "memory" && !root.physical) {
    const address = BigInt.asUintN(64, toInteger(compile({ text: target, root: root.address, format: undefined }).evaluate(scope)).value);
    const size = [1, 2, 4, 8].find((bytes): bytes is 1 | 2 | 4 | 8 => bytes === root.type.bits / 8);
    if (size !== undefined) return store({ address, value: fitting(target, input.number(), root.type.bits), size });
  }
  throw new UserError(`'${target}' cannot be written as the guest would; lapic.NAME and memory such as u32[0xfec00000] can.`);
}

function assignThroughCast({ target, input, cpu, scope }: Assignment, cast: Extract<Node, { kind: "cast" }>): void {
  const address = toInteger(compile({ text: target, root: cast, format: undefined }).evaluate(scope)).value;
  writeInteger(cpu, BigInt.asUintN(64, address), fitting(target, input.number(), cast.type.bits), cast.type.bits);
}

/** `cpu1.rax` or `lapic.tpr`; false for other names. */
function assignDotted(prefix: string, name: string, { input, cpu }: Assignment, cpus: readonly DebugCpu[]): boolean {
  const other = /^cpu(\d{1,2})$/.exec(prefix);
  if (other !== null) {
    const owner = cpus.find((candidate) => candidate.index === Number(other[1]));
    if (owner === undefined) throw new UserError(`There is no ${prefix}; the machine has ${cpus.length} CPUs.`);
    writeRegister(owner, name, input.number());
    return true;
  }
  if (prefix !== "lapic") return false;
  const view = cpu.apic.registers().find((register) => register.name.toLowerCase().replaceAll(" ", "_") === name.toLowerCase());
  if (view === undefined) throw new UserError(`The local APIC has no register '${name}'.`);
  pokeRegister(cpu.apic, view, input.number());
  return true;
}

function isRegister(cpu: DebugCpu, name: string): boolean {
  const lower = name.toLowerCase();
  return registerPart(lower) !== undefined || readRegister(cpu, lower) !== undefined;
}

function writeInteger(cpu: DebugCpu, address: bigint, value: bigint, bits: number): void {
  const bytes = Uint8Array.from({ length: bits / 8 }, (_, i) => Number(BigInt.asUintN(8, value >> BigInt(8 * i))));
  const written = cpu.writeMemory(address, bytes);
  if (written < bytes.length) throw new UserError(`Memory at ${hex(address)} cannot be written.`);
}
