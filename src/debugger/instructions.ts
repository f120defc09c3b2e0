import type { DebugCpu } from "./target";

/** What an instruction does to the flow of control, as far as stepping cares. */
export type FlowKind = "call" | "interrupt" | "return" | "other";

/** One decoded instruction. */
export interface DecodedInstruction {
  readonly length: number;
  readonly text: string;
  readonly flow: FlowKind;
  /** Where a direct branch or call goes. */
  readonly target: bigint | undefined;
  /** The address of an operand relative to RIP. */
  readonly memory: bigint | undefined;
  readonly valid: boolean;
}

/** Decodes one instruction; the host brings it, so that nothing here depends on a library. */
export interface Disassembler {
  decode(bytes: Uint8Array, bits: 16 | 32 | 64, ip: bigint): DecodedInstruction;
}

export const longestInstruction = 15;

/** The instruction at the CPU's RIP; undefined where its bytes cannot be read. */
export function currentInstruction(cpu: DebugCpu, disassembler: Disassembler): DecodedInstruction | undefined {
  const bytes = cpu.readMemory(cpu.linearRip(), longestInstruction);
  return bytes === undefined || bytes.length === 0 ? undefined : disassembler.decode(bytes, cpu.codeBits(), cpu.state.rip);
}
