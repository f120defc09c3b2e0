import { UserError } from "../../machine/errors";
import { checkRange, type DataPlace } from "../dataPlaces";
import { compile, parseExpression, toInteger } from "../expr";
import type { CpuScope } from "../cpuScope";
import type { DebugCpu } from "../target";

/** What places are looked for with. */
export interface PlaceContext {
  readonly cpu: DebugCpu;
  readonly cpus: readonly DebugCpu[];
  readonly scope: CpuScope;
}

const msrNames: Readonly<Record<string, number>> = {
  efer: 0xc0000080,
  fs_base: 0xc0000100,
  gs_base: 0xc0000101,
  kernel_gs_base: 0xc0000102,
};

/**
 * The place that a person names: `lapic.tpr`, `cpu1.lapic.icr`, `msr 0x1b`, `cr3`, `port 0x3f8`, `phys 0x1000`, or an expression that lies in memory: a variable, `u32[address]`. With
 * `asAddress` the expression is an address. `bytes` is how many from there on. Throws a {@link UserError} for what lies nowhere, as a value that is computed.
 */
export function findPlace(text: string, context: PlaceContext, bytes: number | undefined, asAddress = false): DataPlace {
  const { cpu, scope } = context;
  const number = (expression: string): bigint => BigInt.asUintN(64, toInteger(compile(parseExpression(expression)).evaluate(scope)).value);
  const trimmed = text.trim();
  const range = /^(port|phys|physical)(?:\s*:\s*|\s+|(?=\[))(.+)$/i.exec(trimmed);
  if (range !== null) {
    const kind = range[1].toLowerCase() === "port" ? "port" : "physical";
    return checkRange(kind, number(range[2].replace(/^\[(.*)\]$/, "$1")), bytes ?? (kind === "port" ? 1 : 4));
  }
  if (asAddress) return checkRange("linear", number(trimmed), bytes ?? 1);
  return registerPlace(trimmed, context, number, cpu) ?? memoryPlace(trimmed, context, bytes);
}

function registerPlace(
  text: string,
  { cpus }: PlaceContext,
  number: (expression: string) => bigint,
  focus: DebugCpu,
): DataPlace | undefined {
  const prefixed = /^(?:cpu(\d{1,2})\.)?(.+)$/is.exec(text);
  if (prefixed === null) return undefined;
  const cpu = (prefixed[1] as string | undefined) === undefined ? focus : cpus.find(({ index }) => index === Number(prefixed[1]));
  if (cpu === undefined) throw new UserError(`There is no CPU ${prefixed[1]}; the machine has ${cpus.length}.`, "name");
  const { index } = cpu;
  const name = prefixed[2].toLowerCase();
  const apic = /^lapic\.(\w+)$/.exec(name);
  if (apic !== null) {
    const names = [...cpu.apic.registers().map((view) => view.name), "EOI", "SELF IPI"];
    const register = names.find((candidate) => candidate.toLowerCase().replaceAll(" ", "_") === apic[1]);
    if (register === "APIC_BASE") return { kind: "msr", cpu: index, index: 0x1b };
    if (register === undefined) throw new UserError(`The local APIC has no register '${apic[1]}'.`, "name");
    return { kind: "apic", cpu: index, register };
  }
  const control = /^\$?cr([02348])$/.exec(name);
  if (control !== null) return { kind: "control", cpu: index, register: Number(control[1]) };
  const msr = /^msr(?:\s*\[(.+)\]|\s+(.+))$/.exec(name);
  if (msr !== null) {
    const value = number(msr[1] ?? msr[2]);
    if (value > 0xffff_ffffn) throw new UserError("The number of an MSR has 32 bits.", "name");
    return { kind: "msr", cpu: index, index: Number(value) };
  }
  const known = name.replace(/^\$/, "");
  return Object.hasOwn(msrNames, known) ? { kind: "msr", cpu: index, index: msrNames[known] } : undefined;
}

function memoryPlace(text: string, { scope }: PlaceContext, bytes: number | undefined): DataPlace {
  const expression = parseExpression(text);
  const { root } = expression;
  if (root.kind === "memory") {
    const address = toInteger(compile({ text, root: root.address, format: undefined }).evaluate(scope)).value;
    return checkRange("linear", BigInt.asUintN(64, address), bytes ?? root.type.bits / 8);
  }
  const value = compile(expression).evaluate(scope);
  if (value.kind === "typed") {
    const { address, size } = value.value;
    if (address === undefined) throw new UserError(`${text} does not lie in memory, so that its accesses cannot be seen.`, "name");
    return checkRange("linear", address, bytes ?? size ?? 1);
  }
  // A symbol without a type is its address.
  if (root.kind === "name" && !root.register && value.kind === "integer") {
    const address = BigInt.asUintN(64, value.value);
    if (scope.symbols(root.name).includes(address)) return checkRange("linear", address, bytes ?? 8);
  }
  throw new UserError(
    `${text} is a value and no place: write u32[address], a variable, lapic.tpr, msr 0x1b, cr3, port 0x3f8 or phys 0x1000.`,
    "name",
  );
}
