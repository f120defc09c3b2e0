import { LDTR, TR } from "../../cpu/segmentRegisters";
import { hex, hex64 } from "../numbers";
import { readRegister, writeRegister } from "../registerAccess";
import type { DebugCpu } from "../target";
import { littleEndian } from "../unwind/frame";
import { gateBytes, readGate, type Gate } from "./gates";
import type { VariableNode } from "./node";
import { bitFields } from "./bitFields";
import { accessText, hiddenSegmentNodes } from "./registersScope";

type Fields = readonly (readonly [name: string, bit: number, width: number])[];

/** Control registers and EFER (SDM vol. 3, "Control Registers"). */
const controlFields: Readonly<Record<string, Fields>> = {
  cr0: [
    ["PE", 0, 1],
    ["MP", 1, 1],
    ["EM", 2, 1],
    ["TS", 3, 1],
    ["ET", 4, 1],
    ["NE", 5, 1],
    ["WP", 16, 1],
    ["AM", 18, 1],
    ["NW", 29, 1],
    ["CD", 30, 1],
    ["PG", 31, 1],
  ],
  cr3: [
    ["PWT", 3, 1],
    ["PCD", 4, 1],
  ],
  cr4: [
    ["VME", 0, 1],
    ["PVI", 1, 1],
    ["TSD", 2, 1],
    ["DE", 3, 1],
    ["PSE", 4, 1],
    ["PAE", 5, 1],
    ["MCE", 6, 1],
    ["PGE", 7, 1],
    ["PCE", 8, 1],
    ["OSFXSR", 9, 1],
    ["OSXMMEXCPT", 10, 1],
    ["UMIP", 11, 1],
    ["LA57", 12, 1],
    ["FSGSBASE", 16, 1],
    ["PCIDE", 17, 1],
    ["OSXSAVE", 18, 1],
    ["SMEP", 20, 1],
    ["SMAP", 21, 1],
  ],
  efer: [
    ["SCE", 0, 1],
    ["LME", 8, 1],
    ["LMA", 10, 1],
    ["NXE", 11, 1],
  ],
};

/** Scope 'System': mode, control and debug registers, MSRs, descriptor tables. */
export function systemNodes(cpu: DebugCpu, symbolOf: (address: bigint) => string | undefined): VariableNode[] {
  const { state } = cpu;
  const control = (name: string): VariableNode => {
    const value = readRegister(cpu, name) ?? 0n;
    const fields = controlFields[name] as Fields | undefined;
    const write = (changed: bigint): void => writeRegister(cpu, name, changed);
    const set = fields?.filter(([, bit, width]) => width === 1 && (value >> BigInt(bit)) & 1n).map(([field]) => field);
    const wide = name === "cr2" || /^dr[0-3]$/.test(name);
    return {
      name: name.toUpperCase(),
      value: `${hex(value, wide ? 16 : 8)}${set === undefined || set.length === 0 ? "" : ` [${set.join(" ")}]`}`,
      evaluateName: `$${name}`,
      memory: wide ? value : undefined,
      children: fields === undefined ? undefined : () => bitFields(fields, value, write),
      set: (input) => write(input.number()),
    };
  };
  const debugRegisters = ["dr0", "dr1", "dr2", "dr3", "dr6", "dr7"];
  return [
    { name: "Mode", value: modeText(cpu) },
    ...["cr0", "cr2", "cr3", "cr4", "cr8", "efer"].map(control),
    { name: "MSRs", value: "", children: () => msrNodes(cpu, symbolOf) },
    { name: "Debug registers", value: `DR7 ${hex(state.dr7 >>> 0, 8)}`, children: () => debugRegisters.map(control) },
    {
      name: "GDT",
      value: `${hex64(state.gdtrBase)}, limit ${hex(state.gdtrLimit, 4)}`,
      memory: state.gdtrBase,
      children: () => descriptorNodes(cpu, state.gdtrBase, state.gdtrLimit),
    },
    {
      name: "IDT",
      value: `${hex64(state.idtrBase)}, limit ${hex(state.idtrLimit, 4)}`,
      memory: state.idtrBase,
      children: () => gateNodes(cpu, symbolOf),
    },
    { name: "LDTR", value: hex(state.selector[LDTR], 4), children: () => hiddenSegmentNodes(state, LDTR) },
    { name: "TR", value: hex(state.selector[TR], 4), children: () => hiddenSegmentNodes(state, TR) },
  ];
}

function modeText(cpu: DebugCpu): string {
  const { state } = cpu;
  const parts: string[] = [];
  if (!state.protectedMode) parts.push("real mode");
  else if (state.longMode) parts.push(state.code64 ? "64-bit mode" : "compatibility mode");
  else parts.push(state.vm86 ? "virtual-8086 mode" : "protected mode");
  parts.push(`${cpu.codeBits()}-bit code`, `CPL ${state.cpl}`);
  if ((state.cr0 & 0x8000_0000) === 0) parts.push("paging off");
  else parts.push(state.longMode ? "4-level paging" : state.cr4 & 0x20 ? "PAE paging" : "32-bit paging");
  return parts.join(", ");
}

function msrNodes(cpu: DebugCpu, symbolOf: (address: bigint) => string | undefined): VariableNode[] {
  const { state, apic } = cpu;
  const row = (index: number, name: string, value: bigint, code = false): VariableNode => {
    const symbol = code ? symbolOf(value) : undefined;
    const place = { kind: "msr", cpu: cpu.index, index } as const;
    return { name, value: `${hex64(value)}${symbol === undefined ? "" : ` <${symbol}>`}`, type: `MSR ${hex(index)}`, memory: value, place };
  };
  return [
    row(0x1b, "IA32_APIC_BASE", apic.baseMsr),
    row(0x174, "IA32_SYSENTER_CS", state.sysenterCs),
    row(0x175, "IA32_SYSENTER_ESP", state.sysenterEsp),
    row(0x176, "IA32_SYSENTER_EIP", state.sysenterEip, true),
    row(0x277, "IA32_PAT", state.pat),
    row(0xc0000080, "IA32_EFER", BigInt(state.efer >>> 0)),
    row(0xc0000081, "IA32_STAR", state.star),
    row(0xc0000082, "IA32_LSTAR", state.lstar, true),
    row(0xc0000083, "IA32_CSTAR", state.cstar, true),
    row(0xc0000084, "IA32_FMASK", state.sfmask),
    row(0xc0000100, "IA32_FS_BASE", readRegister(cpu, "fs_base") ?? 0n),
    row(0xc0000101, "IA32_GS_BASE", readRegister(cpu, "gs_base") ?? 0n),
    row(0xc0000102, "IA32_KERNEL_GS_BASE", state.kernelGsBase),
    row(0xc0000103, "IA32_TSC_AUX", state.tscAux),
    ...[...state.plainMsrs].sort((a, b) => a[0] - b[0]).map(([index, value]) => row(index, `MSR ${hex(index)}`, value)),
  ];
}

const maximumDescriptors = 256;

function descriptorNodes(cpu: DebugCpu, base: bigint, limit: number): VariableNode[] {
  const nodes: VariableNode[] = [];
  for (let selector = 0; selector + 7 <= limit && nodes.length < maximumDescriptors; selector += 8) {
    const address = BigInt.asUintN(64, base + BigInt(selector));
    const bytes = cpu.readMemory(address, 16);
    if (bytes === undefined || bytes.length < 8) {
      nodes.push({ name: hex(selector, 4), value: "<cannot be read>", memory: address });
      break;
    }
    const raw = littleEndian(bytes.subarray(0, 8));
    if (raw === 0n) continue;
    const access = Number((raw >> 40n) & 0xf0ffn);
    const wide = cpu.state.longMode && (access & 0x10) === 0;
    let segmentBase = ((raw >> 16n) & 0xff_ffffn) | ((raw >> 32n) & 0xff00_0000n);
    if (wide && bytes.length === 16) segmentBase |= littleEndian(bytes.subarray(8, 12)) << 32n;
    const low = Number((raw & 0xffffn) | ((raw >> 32n) & 0xf_0000n));
    const end = access & 0x8000 ? low * 4096 + 4095 : low;
    nodes.push({ name: hex(selector, 4), value: `${accessText(access)}, base ${hex(segmentBase)}, limit ${hex(end)}`, memory: address });
    if (wide) selector += 8;
  }
  return nodes;
}

/** The gates of the IDT, or the real-mode vector table. */
function gateNodes(cpu: DebugCpu, symbolOf: (address: bigint) => string | undefined): VariableNode[] {
  const size = gateBytes(cpu);
  const nodes: VariableNode[] = [];
  for (let vector = 0; vector < 256; vector++) {
    const gate = readGate(cpu, vector);
    if (gate === "outside") break;
    if (gate === "unreadable") {
      const address = BigInt.asUintN(64, cpu.state.idtrBase + BigInt(vector * size));
      nodes.push({ name: hex(vector, 2), value: "<cannot be read>", memory: address });
      break;
    }
    nodes.push({ name: hex(vector, 2), value: gateText(gate, size, symbolOf), memory: gate.offset });
  }
  return nodes;
}

/** A gate in words: "0x0010:0xffffffff81000000 <handler>, interrupt gate, IST 1". */
function gateText(gate: Gate, size: number, symbolOf: (address: bigint) => string | undefined): string {
  if (gate.raw === 0n) return "empty";
  const symbol = symbolOf(gate.offset);
  const parts = [`${hex(gate.selector, 4)}:${hex(gate.offset, size === 16 ? 16 : 8)}${symbol === undefined ? "" : ` <${symbol}>`}`];
  if (size > 4) parts.push(accessText(Number((gate.raw >> 40n) & 0xffn)));
  if (gate.ist > 0) parts.push(`IST ${gate.ist}`);
  return parts.join(", ");
}
