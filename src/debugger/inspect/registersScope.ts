import { CS } from "../../cpu/segmentRegisters";
import type { CpuState } from "../../cpu/state";
import { hex } from "../numbers";
import { generalRegisters, readRegister, segmentRegisters, writeRegister } from "../registerAccess";
import type { DebugCpu } from "../target";
import { bitFields } from "./bitFields";
import { mxcsrNode, x87Node, xcr0Node } from "./floatingNodes";
import type { VariableNode } from "./node";
import { vectorsNode } from "./vectorNodes";

/** Bits of RFLAGS (SDM vol. 1, "EFLAGS Register"): name, first bit, width. */
const flagFields: readonly (readonly [name: string, bit: number, width: number])[] = [
  ["CF", 0, 1],
  ["PF", 2, 1],
  ["AF", 4, 1],
  ["ZF", 6, 1],
  ["SF", 7, 1],
  ["TF", 8, 1],
  ["IF", 9, 1],
  ["DF", 10, 1],
  ["OF", 11, 1],
  ["IOPL", 12, 2],
  ["NT", 14, 1],
  ["RF", 16, 1],
  ["VM", 17, 1],
  ["AC", 18, 1],
  ["VIF", 19, 1],
  ["VIP", 20, 1],
  ["ID", 21, 1],
];

/** Names of the flags that are set: "IF ZF PF". */
export function flagText(rflags: bigint): string {
  const set = flagFields.filter(([, bit, width]) => (rflags >> BigInt(bit)) & ((1n << BigInt(width)) - 1n));
  return set
    .map(([name, bit, width]) => (width === 1 ? name : `${name}=${(rflags >> BigInt(bit)) & ((1n << BigInt(width)) - 1n)}`))
    .reverse()
    .join(" ");
}

/** Scope 'Registers' of the innermost frame: all can be set. Names and widths follow the code's width. */
export function registerNodes(cpu: DebugCpu, symbolOf: (address: bigint) => string | undefined): VariableNode[] {
  const bits = cpu.codeBits();
  const digits = bits === 64 ? 16 : 8;
  const shown = (name: string): string => (bits === 64 ? name : name.replace(/^r(?=[a-df-z])/, "e"));
  const whole = (name: string, text?: string): VariableNode => {
    const value = BigInt.asUintN(digits * 4, readRegister(cpu, name) ?? 0n);
    const own = shown(name);
    return {
      name: own,
      value: text === undefined || text === "" ? hex(value, digits) : `${hex(value, digits)} ${text}`,
      type: `u${digits * 4}`,
      evaluateName: `$${own}`,
      memory: value,
      set: (input) => writeRegister(cpu, own, input.number()),
    };
  };
  const general = generalRegisters.filter((_, index) => bits === 64 || index < 8).map(([name]) => whole(name));
  const symbol = symbolOf(cpu.linearRip());
  const rflags = readRegister(cpu, "rflags") ?? 0n;
  const flags: VariableNode = {
    ...whole("rflags", `[${flagText(rflags)}]`),
    memory: undefined,
    children: () => bitFields(flagFields, rflags, (value) => writeRegister(cpu, "rflags", value)),
  };
  return [
    ...general,
    whole("rip", symbol === undefined ? "" : `<${symbol}>`),
    flags,
    ...segmentNodes(cpu),
    ...baseNodes(cpu),
    ...unitNodes(cpu),
  ];
}

/** The x87 unit and the vectors. */
function unitNodes(cpu: DebugCpu): VariableNode[] {
  return [x87Node(cpu), vectorsNode(cpu), mxcsrNode(cpu), xcr0Node(cpu)];
}

function baseNodes(cpu: DebugCpu): VariableNode[] {
  return ["fs_base", "gs_base"].map((name) => {
    const value = readRegister(cpu, name) ?? 0n;
    const set: VariableNode["set"] = (input) => writeRegister(cpu, name, input.number());
    return { name, value: hex(value, 16), type: "u64", evaluateName: `$${name}`, memory: value, set };
  });
}

function segmentNodes(cpu: DebugCpu): VariableNode[] {
  return segmentRegisters.map(([name, number]) => {
    const selector = cpu.state.selector[number];
    return {
      name,
      value: `${hex(selector, 4)} ${segmentText(cpu.state, number)}`,
      type: "u16",
      evaluateName: `$${name}`,
      set: (input) => writeRegister(cpu, name, input.number()),
      children: () => hiddenSegmentNodes(cpu.state, number),
    };
  });
}

/** The hidden part of a segment register (SDM vol. 3, "Segment Registers"). */
export function hiddenSegmentNodes(state: CpuState, number: number): VariableNode[] {
  const access = state.access[number];
  return [
    { name: "Base", value: hex(state.segBase(number), 8), memory: state.segBase(number) },
    { name: "Limit", value: hex(state.limit[number], 8) },
    { name: "Access", value: `${hex(access & 0xffff, 4)} ${accessText(access)}` },
    { name: "DPL", value: String((access >> 5) & 3) },
  ];
}

const systemTypes: Readonly<Record<number, string>> = {
  0x1: "16-bit TSS",
  0x2: "LDT",
  0x3: "busy 16-bit TSS",
  0x4: "16-bit call gate",
  0x5: "task gate",
  0x6: "16-bit interrupt gate",
  0x7: "16-bit trap gate",
  0x9: "TSS",
  0xb: "busy TSS",
  0xc: "call gate",
  0xe: "interrupt gate",
  0xf: "trap gate",
};

/** Access rights in words: bits 0-7 as in the descriptor's byte 5, bits 12-15 as in the upper half of its byte 6. */
export function accessText(access: number): string {
  if (access & 0x10000) return "unusable";
  const present = access & 0x80 ? "" : ", not present";
  if ((access & 0x10) === 0) return `${systemTypes[access & 15] ?? "reserved"}${present}`;
  const size = access & 0x2000 ? "64-bit" : access & 0x4000 ? "32-bit" : "16-bit";
  const kind =
    access & 8
      ? `${size} code${access & 2 ? ", readable" : ""}${access & 4 ? ", conforming" : ""}`
      : `data${access & 2 ? ", writable" : ""}${access & 4 ? ", expand-down" : ""}`;
  return `${kind}, DPL ${(access >> 5) & 3}${present}`;
}

function segmentText(state: CpuState, number: number): string {
  const base = state.segBase(number);
  const mode = number === CS ? accessText(state.access[number]) : state.access[number] & 0x10000 ? "unusable" : "";
  return [base === 0n ? "" : `base ${hex(base)}`, mode].filter((part) => part !== "").join(", ");
}

/** Scope 'Registers' of a caller's frame: what the unwinder could tell. */
export function frameRegisterNodes(registers: ReadonlyMap<string, bigint>, bits: 16 | 32 | 64): VariableNode[] {
  const digits = bits === 64 ? 16 : 8;
  const names = [...generalRegisters.filter((_, index) => bits === 64 || index < 8).map(([name]) => name), "rip", "rflags"];
  return names.map((name) => {
    const value = registers.get(name);
    const shown = bits === 64 ? name : name.replace(/^r(?=[a-df-z])/, "e");
    if (value === undefined) return { name: shown, value: "<not known in this frame>" };
    return { name: shown, value: hex(value, digits), type: `u${digits * 4}`, memory: value };
  });
}
