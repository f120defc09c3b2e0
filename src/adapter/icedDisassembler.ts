import type * as Iced from "iced-x86";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import type { DecodedInstruction, Disassembler, FlowKind } from "../debugger/instructions";
import { bundledScript } from "./bundledScript";

function flowOf({ FlowControl }: typeof Iced, instruction: Iced.Instruction): FlowKind {
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

function hasNearTarget({ OpKind }: typeof Iced, instruction: Iced.Instruction): boolean {
  switch (instruction.op0Kind) {
    case OpKind.NearBranch16:
    case OpKind.NearBranch32:
    case OpKind.NearBranch64:
      return true;
    default:
      return false;
  }
}

/** The library is as large as everything else together, and most sessions begin without it: it is read when an instruction is first asked for. */
function loadIced(): typeof Iced {
  const bundled = bundledScript("iced.js");
  return createRequire(__filename)(existsSync(bundled) ? bundled : "iced-x86") as typeof Iced;
}

function intelFormatter({ Formatter, FormatterSyntax }: typeof Iced): Iced.Formatter {
  const formatter = new Formatter(FormatterSyntax.Intel);
  formatter.hexPrefix = "0x";
  formatter.hexSuffix = "";
  formatter.uppercaseHex = false;
  formatter.spaceAfterOperandSeparator = true;
  formatter.branchLeadingZeros = false;
  formatter.showBranchSize = false;
  formatter.ripRelativeAddresses = true;
  return formatter;
}

/** Disassembly in Intel syntax by iced-x86. */
export class IcedDisassembler implements Disassembler {
  private loaded: { readonly iced: typeof Iced; readonly formatter: Iced.Formatter } | undefined;

  private get library(): { readonly iced: typeof Iced; readonly formatter: Iced.Formatter } {
    if (this.loaded === undefined) {
      const iced = loadIced();
      this.loaded = { iced, formatter: intelFormatter(iced) };
    }
    return this.loaded;
  }

  decode(bytes: Uint8Array, bits: 16 | 32 | 64, ip: bigint): DecodedInstruction {
    const { iced, formatter } = this.library;
    const decoder = new iced.Decoder(bits, bytes, iced.DecoderOptions.None);
    decoder.ip = ip;
    const instruction = decoder.decode();
    const valid = !instruction.isInvalid;
    const decoded: DecodedInstruction = {
      length: valid ? instruction.length : 1,
      text: valid ? formatter.format(instruction) : "(bad)",
      flow: valid ? flowOf(iced, instruction) : "other",
      target: valid && hasNearTarget(iced, instruction) ? instruction.nearBranchTarget : undefined,
      memory: valid && instruction.isIpRelMemoryOperand ? instruction.ipRelMemoryAddress : undefined,
      valid,
    };
    // Both live in WebAssembly memory, which no garbage collector sees.
    instruction.free();
    decoder.free();
    return decoded;
  }
}
