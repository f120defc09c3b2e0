import { TR } from "../../cpu/segmentRegisters";
import type { DebugCpu } from "../target";
import { littleEndian } from "../unwind/frame";

/** A gate of the IDT, or an entry of the real-mode vector table (SDM vol. 3, "IDT Descriptors"; vol. 1, real-address mode). */
export interface Gate {
  readonly vector: number;
  /** Linear address of the entry. */
  readonly address: bigint;
  readonly raw: bigint;
  readonly selector: number;
  readonly offset: bigint;
  /** Descriptor type, 0 to 15: 5 task gate, 6 and 14 interrupt gates, 7 and 15 trap gates; -1 in real mode. */
  readonly type: number;
  readonly dpl: number;
  readonly present: boolean;
  /** Interrupt stack table index, 0 for none. */
  readonly ist: number;
}

/** Bytes of an IDT entry in the CPU's present mode. */
export function gateBytes(cpu: DebugCpu): 4 | 8 | 16 {
  const { state } = cpu;
  return !state.protectedMode ? 4 : state.longMode ? 16 : 8;
}

/** The gate of `vector`: "outside" when the IDT's limit does not cover it, "unreadable" when its memory is not mapped. */
export function readGate(cpu: DebugCpu, vector: number): Gate | "outside" | "unreadable" {
  const { state } = cpu;
  const size = gateBytes(cpu);
  if ((vector + 1) * size - 1 > state.idtrLimit) return "outside";
  const address = BigInt.asUintN(64, state.idtrBase + BigInt(vector * size));
  const bytes = cpu.readMemory(address, size);
  if (bytes === undefined || bytes.length < size) return "unreadable";
  const raw = littleEndian(bytes.subarray(0, Math.min(size, 8)));
  if (size === 4)
    return { vector, address, raw, selector: Number(raw >> 16n), offset: raw & 0xffffn, type: -1, dpl: 0, present: true, ist: 0 };
  let offset = (raw & 0xffffn) | ((raw >> 32n) & 0xffff_0000n);
  if (size === 16) offset |= littleEndian(bytes.subarray(8, 12)) << 32n;
  const access = Number((raw >> 40n) & 0xffn);
  return {
    vector,
    address,
    raw,
    selector: Number((raw >> 16n) & 0xffffn),
    offset,
    type: access & 15,
    dpl: (access >> 5) & 3,
    present: (access & 0x80) !== 0,
    ist: size === 16 ? Number((raw >> 32n) & 7n) : 0,
  };
}

/** What is wrong with a gate, for an interrupt that arrives now. */
export interface GateFault {
  /** In words: "the gate is not present". */
  readonly text: string;
  /** The exception that delivering would raise. */
  readonly exception: "#GP" | "#NP" | "#TS" | "#SS" | "#PF" | "#DF";
  /** What would mend it. */
  readonly clear: string;
  /** Linear address of what is at fault: the gate, the descriptor or the stack. */
  readonly address: bigint;
}

/**
 * Whether an external interrupt with `vector` could enter its handler on this CPU as it stands: gate, code segment and stack are looked at as delivery
 * would, without touching anything. Undefined: nothing is wrong.
 */
export function checkGate(cpu: DebugCpu, vector: number): GateFault | undefined {
  const { state } = cpu;
  const gate = readGate(cpu, vector);
  const where = BigInt.asUintN(64, state.idtrBase + BigInt(vector * gateBytes(cpu)));
  if (gate === "outside") {
    const text = `vector 0x${vector.toString(16)} lies outside the IDT, whose limit is 0x${state.idtrLimit.toString(16)}`;
    return { text, exception: "#GP", clear: "an IDT (LIDT) that covers the vector", address: where };
  }
  if (gate === "unreadable")
    return { text: "the IDT entry's page is not mapped", exception: "#PF", clear: "mapping the IDT", address: where };
  if (gate.type < 0) return undefined;
  const valid = state.longMode ? [14, 15] : [5, 6, 7, 14, 15];
  if (!valid.includes(gate.type)) {
    const text = gate.raw === 0n ? "the IDT entry is empty" : `the IDT entry has type ${gate.type}, which is no gate`;
    return { text, exception: "#GP", clear: "an interrupt gate in the IDT", address: gate.address };
  }
  if (!gate.present)
    return { text: "the gate is not present", exception: "#NP", clear: "setting the gate's present bit", address: gate.address };
  if (gate.type === 5) return undefined;
  return checkCode(cpu, gate);
}

function checkCode(cpu: DebugCpu, gate: Gate): GateFault | undefined {
  const { state } = cpu;
  const { selector } = gate;
  if ((selector & 0xfffc) === 0)
    return { text: "the gate's code selector is null", exception: "#GP", clear: "a code selector in the gate", address: gate.address };
  const local = (selector & 4) !== 0;
  const index = selector & 0xfff8;
  const base = local ? state.ldtrBase : state.gdtrBase;
  const limit = local ? state.limit[6] : state.gdtrLimit;
  const address = BigInt.asUintN(64, base + BigInt(index));
  const name = `the code selector 0x${selector.toString(16)} of the gate`;
  if (index + 7 > limit >>> 0)
    return { text: `${name} lies outside its table`, exception: "#GP", clear: "a descriptor for the selector", address: gate.address };
  const bytes = cpu.readMemory(address, 8);
  if (bytes === undefined || bytes.length < 8)
    return { text: `${name} has a descriptor that is not mapped`, exception: "#PF", clear: "mapping the descriptor table", address };
  const access = bytes[5];
  const long = (bytes[6] & 0x20) !== 0;
  const dpl = (access >> 5) & 3;
  if ((access & 0x18) !== 0x18 || (!local && dpl > state.cpl))
    return { text: `${name} names no code segment that can be entered`, exception: "#GP", clear: "a code descriptor of level 0", address };
  if ((access & 0x80) === 0)
    return { text: `${name} names a segment that is not present`, exception: "#NP", clear: "its present bit", address };
  if (state.longMode && !long) return { text: `${name} names a segment that is not 64-bit`, exception: "#GP", clear: "its L bit", address };
  return state.longMode ? checkLongStack(cpu, gate, (access & 4) === 0 && dpl < state.cpl) : undefined;
}

/** The stack of a delivery in long mode: an IST entry, RSP0, or the current one (SDM vol. 3, "Interrupt Stack Table"). */
function checkLongStack(cpu: DebugCpu, gate: Gate, inner: boolean): GateFault | undefined {
  const { state } = cpu;
  let stack = BigInt.asUintN(64, state.gpr(4));
  let name = "the current stack";
  if (gate.ist > 0 || inner) {
    const offset = gate.ist > 0 ? 0x24 + (gate.ist - 1) * 8 : 4;
    name = gate.ist > 0 ? `IST ${gate.ist}` : "RSP0";
    const at = BigInt.asUintN(64, state.segBase(TR) + BigInt(offset));
    if (offset + 7 > state.limit[TR] >>> 0)
      return { text: `the TSS is too small for ${name}`, exception: "#TS", clear: "a TSS of 104 bytes", address: at };
    const bytes = cpu.readMemory(at, 8);
    if (bytes === undefined || bytes.length < 8)
      return { text: "the TSS is not mapped", exception: "#PF", clear: "mapping the TSS", address: at };
    stack = littleEndian(bytes);
  }
  const top = BigInt.asUintN(64, (stack & ~0xfn) - 8n);
  const width = BigInt(state.linearBits - 1);
  const sign = top >> width;
  if (sign !== 0n && sign !== (1n << (64n - width)) - 1n)
    return {
      text: `${name} (0x${stack.toString(16)}) is not a canonical address`,
      exception: "#SS",
      clear: `a good value in ${name}`,
      address: top,
    };
  if (cpu.mmu.inspect(top) < 0)
    return { text: `${name} (0x${stack.toString(16)}) is not mapped`, exception: "#DF", clear: `a mapped stack in ${name}`, address: top };
  return undefined;
}
