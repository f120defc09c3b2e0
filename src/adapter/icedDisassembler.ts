import { Decoder, DecoderOptions, FlowControl, Formatter, FormatterSyntax, type Instruction, OpKind } from "iced-x86";
import type { DecodedInstruction, Disassembler, FlowKind } from "../debugger/instructions";

function flowOf(instruction: Instruction): FlowKind {
  switch (instruction.flowControl) {
    case FlowControl.Call:
    case FlowControl.IndirectCall:
      return "call";
    case FlowControl.Interrupt:
      return "interrupt";
    case FlowControl.Return:
      return "return";
    default:
      return "other";
  }
}

function hasNearTarget(instruction: Instruction): boolean {
  switch (instruction.op0Kind) {
    case OpKind.NearBranch16:
    case OpKind.NearBranch32:
    case OpKind.NearBranch64:
      return true;
    default:
      return false;
  }
}

/** Disassembly in Intel syntax by iced-x86. */
export class IcedDisassembler implements Disassembler {
  private readonly formatter = new Formatter(FormatterSyntax.Intel);

  constructor() {
    this.formatter.hexPrefix = "0x";
    this.formatter.hexSuffix = "";
    this.formatter.uppercaseHex = false;
    this.formatter.spaceAfterOperandSeparator = true;
    this.formatter.branchLeadingZeros = false;
    this.formatter.showBranchSize = false;
    this.formatter.ripRelativeAddresses = true;
  }

  decode(bytes: Uint8Array, bits: 16 | 32 | 64, ip: bigint): DecodedInstruction {
    const decoder = new Decoder(bits, bytes, DecoderOptions.None);
    decoder.ip = ip;
    const instruction = decoder.decode();
    const valid = !instruction.isInvalid;
    const decoded: DecodedInstruction = {
      length: valid ? instruction.length : 1,
      text: valid ? this.formatter.format(instruction) : "(bad)",
      flow: valid ? flowOf(instruction) : "other",
      target: valid && hasNearTarget(instruction) ? instruction.nearBranchTarget : undefined,
      memory: valid && instruction.isIpRelMemoryOperand ? instruction.ipRelMemoryAddress : undefined,
      valid,
    };
    // Both live in WebAssembly memory, which no garbage collector sees.
    instruction.free();
    decoder.free();
    return decoded;
  }
}
