/** x87 instructions: one helper executes them; here the operand's address is formed and what the mode decides is checked. */
import { EXTENDED_AREA_BYTES, environmentBytes, saveBytes } from "../fpu/environment";
import { CODE_64, SEGMENT_SHIFT, x87Operation } from "../../tcg/x87/operation";
import { SLOT_ZERO } from "../../tcg/layout";
import { MODE_FPU_EM, MODE_FPU_MP, MODE_FPU_TS } from "../mode";
import { EXTENDED_OFFSET, type XsaveKind, xsaveKinds } from "../xsave";
import { type Emission, VECTOR_NM } from "./emission";

/** Memory operand of an instruction: bytes, whether they are written, and what they are to be aligned to where the mode checks that. */
interface MemoryOperand {
  readonly bytes: number;
  readonly write: boolean;
  readonly alignment: number;
}

/** `opcode` 0-7 for D8-DF. */
function memoryOperand(opcode: number, reg: number, field: 2 | 4): MemoryOperand {
  const plain = (bytes: number, write: boolean): MemoryOperand => ({ bytes, write, alignment: bytes });
  switch (opcode) {
    case 0:
    case 2:
      return plain(4, false);
    case 4:
      return plain(8, false);
    case 6:
      return plain(2, false);
    case 1:
      if (reg < 4) return plain(4, reg !== 0);
      return reg === 4 || reg === 6 ? { bytes: environmentBytes(field), write: reg === 6, alignment: field } : plain(2, reg === 7);
    case 3:
      return reg < 4 ? plain(4, reg !== 0) : { bytes: 10, write: reg === 7, alignment: 8 };
    case 5:
      if (reg < 4) return plain(8, reg !== 0);
      return reg === 7 ? plain(2, true) : { bytes: saveBytes(field), write: reg === 6, alignment: field };
    default:
      if (reg < 4) return plain(2, reg !== 0);
      return reg === 5 || reg === 7 ? plain(8, reg === 7) : { bytes: 10, write: reg === 6, alignment: 8 };
  }
}

/** #NM with CR0.EM or CR0.TS. True when the instruction may go on. */
function unitAvailable(e: Emission): boolean {
  if ((e.mode & (MODE_FPU_EM | MODE_FPU_TS)) === 0) return true;
  e.raise(VECTOR_NM);
  return false;
}

/** D8 to DF. */
export function floatingPoint(e: Emission): void {
  if (!unitAvailable(e)) return;
  const { insn } = e;
  const opcode = insn.opcode & 7;
  const operand16 = insn.operandSize === 16;
  let address = SLOT_ZERO;
  if (insn.memory) {
    const { bytes, write, alignment } = memoryOperand(opcode, insn.reg & 7, operand16 ? 2 : 4);
    e.addressMemory(bytes, write, 0);
    address = e.linearAddress();
    e.checkLinearAlignment(address, alignment);
  }
  const word = insn.modrm | (opcode << 8) | (insn.segment << 11) | (operand16 ? 0x4000 : 0);
  const operation = x87Operation(opcode, insn.modrm);
  if (operation < 0) e.helper("x87", address, e.constant(e.rip), word);
  else e.x87(address, e.constant(e.rip), word, operation | (insn.segment << SEGMENT_SHIFT) | (e.is64 ? CODE_64 : 0));
}

/** WAIT: #NM with CR0.MP and CR0.TS, #MF of a waiting exception. */
export function waitForUnit(e: Emission): void {
  if ((e.mode & MODE_FPU_MP) !== 0 && (e.mode & MODE_FPU_TS) !== 0) e.raise(VECTOR_NM);
  else e.helper("x87Wait");
}

/** FXSAVE, FXRSTOR: the helper refuses misaligned areas. */
export function extendedState(name: "fxsave" | "fxrstor") {
  return (e: Emission): void => {
    if (!unitAvailable(e)) return;
    e.addressMemory(EXTENDED_AREA_BYTES, name === "fxsave", 0);
    e.helper(name, e.linearAddress(), SLOT_ZERO, e.is64 && e.insn.rexW ? 1 : 0);
  };
}

/** XSAVE and its kin. What refuses the instruction as a whole comes before its operand is looked at; how long that is the helper knows. */
export function componentState(name: XsaveKind) {
  return (e: Emission): void => {
    const kind = xsaveKinds.indexOf(name);
    e.helper("xsaveReady", SLOT_ZERO, SLOT_ZERO, kind);
    e.addressMemory(EXTENDED_OFFSET, !name.startsWith("xrstor"), 0);
    e.helper("xsave", e.linearAddress(), SLOT_ZERO, kind, e.is64 && e.insn.rexW ? 1 : 0);
  };
}
