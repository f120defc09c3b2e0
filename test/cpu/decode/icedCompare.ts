/** Compares our decoder with iced-x86 on one byte string: an independent definition of the same encodings. */
import { Decoder as IcedDecoder, DecoderOptions, type Instruction, Mnemonic as IcedMnemonic, OpKind, Register } from "iced-x86";
import { BASE_RIP, DECODE_OK, DECODE_TOO_LONG, DECODE_UNDEFINED, Decoder, NO_REGISTER } from "../../../src/cpu/decode/decoder";
import type { Mnemonic } from "../../../src/cpu/decode/mnemonics";
import { MODE_16, MODE_32, MODE_64, MODE_FLAT, MODE_LONG, MODE_PROTECTED } from "../../../src/cpu/mode";
import { type CpuFeatures, featureNames, featureSet } from "../../../src/cpu/features";
import type { CodeSource } from "../../../src/cpu/translation";

export const allFeatures: CpuFeatures = featureSet(featureNames);

export type Bitness = 16 | 32 | 64;
export const modeOfBitness = (bits: Bitness): number =>
  MODE_PROTECTED | (bits === 16 ? MODE_16 : bits === 32 ? MODE_32 : MODE_64 | MODE_LONG | MODE_FLAT);

const conditionNames = ["o", "no", "b", "ae", "e", "ne", "be", "a", "s", "ns", "p", "np", "l", "ge", "le", "g"];
/** Names of iced's that one of ours covers, where they are not the same. */
const covered: Partial<Record<Mnemonic, readonly string[]>> = {
  callFar: ["call"],
  cbw: ["cbw", "cwde", "cdqe"],
  clflush: ["clflush", "clflushopt", "clwb"],
  cmovcc: conditionNames.map((name) => `cmov${name}`),
  cmps: ["cmpsb", "cmpsw", "cmpsd", "cmpsq"],
  cwd: ["cwd", "cdq", "cqo"],
  fxrstor: ["fxrstor", "fxrstor64"],
  fxsave: ["fxsave", "fxsave64"],
  ins: ["insb", "insw", "insd"],
  iret: ["iret", "iretd", "iretq"],
  jcc: conditionNames.map((name) => `j${name}`),
  jcxz: ["jcxz", "jecxz", "jrcxz"],
  jmpFar: ["jmp"],
  lods: ["lodsb", "lodsw", "lodsd", "lodsq"],
  movCr: ["mov"],
  movDr: ["mov"],
  movSeg: ["mov"],
  movs: ["movsb", "movsw", "movsd", "movsq"],
  movsx: ["movsx", "movsxd"],
  nop: ["nop", "reservednop"],
  outs: ["outsb", "outsw", "outsd"],
  popSeg: ["pop"],
  popa: ["popa", "popad"],
  popf: ["popf", "popfd", "popfq"],
  pushSeg: ["push"],
  pusha: ["pusha", "pushad"],
  pushf: ["pushf", "pushfd", "pushfq"],
  retFar: ["retf"],
  scas: ["scasb", "scasw", "scasd", "scasq"],
  setcc: conditionNames.map((name) => `set${name}`),
  shl: ["shl", "sal"],
  stos: ["stosb", "stosw", "stosd", "stosq"],
  sysexit: ["sysexit", "sysexitq"],
  sysret: ["sysret", "sysretq"],
  ud: ["ud0", "ud1", "ud2"],
  vpcmpestri: ["vpcmpestri", "vpcmpestri64"],
  vpcmpestrm: ["vpcmpestrm", "vpcmpestrm64"],
  wbinvd: ["wbinvd", "wbnoinvd"],
  xchg: ["xchg", "nop"],
  xlat: ["xlatb"],
  xrstor: ["xrstor", "xrstor64"],
  xrstors: ["xrstors", "xrstors64"],
  xsave: ["xsave", "xsave64"],
  xsavec: ["xsavec", "xsavec64"],
  xsaveopt: ["xsaveopt", "xsaveopt64"],
  xsaves: ["xsaves", "xsaves64"],
};
const claimed = new Set<string>();

/** Whether iced's mnemonic is an instruction that we claim. */
export function isClaimed(name: string, ours: readonly Mnemonic[]): boolean {
  if (claimed.size === 0) for (const own of ours) for (const other of covered[own] ?? [own.toLowerCase()]) claimed.add(other);
  return claimed.has(name);
}

/** A code source over bytes that start at offset 0. */
export function codeOf(bytes: Uint8Array): CodeSource {
  return { byte: (offset) => (offset < bytes.length ? bytes[offset] : -1) };
}

const decoder = new Decoder(allFeatures);
/** First of sixteen registers of each width. */
const gprBases: readonly number[] = [Register.AX, Register.EAX, Register.RAX];

function indexNumber(register: Register): number {
  if (!decoder.row.vsib) return gprNumber(register);
  // Which width the indexes have follows from the instruction.
  const number = register >= Register.YMM0 ? register - Register.YMM0 : register - Register.XMM0;
  return number >= 0 && number < 16 ? number : NO_REGISTER;
}

/** Registers that are operands of a VEX-coded instruction, with their widths. */
function registerDifference(instruction: Instruction, bits: Bitness): string | null {
  // MASKMOVDQU has its address as the first operand.
  if (!decoder.vex || decoder.row.mnemonic === "vmaskmovdqu") return null;
  const { operands } = decoder.row;
  const explicit = operands.filter(({ letter }) => letter !== "I").length;
  for (let index = 0; index < explicit; index++) {
    const { letter, width } = operands[index];
    const isRegister = instruction.opKind(index) === OpKind.Register;
    if (!isRegister) {
      if (!decoder.memory || !(letter === "W" || letter === "E" || letter === "M"))
        return `operand ${index} is ${letter} instead of memory`;
      continue;
    }
    const number = ((): number => {
      switch (letter) {
        case "V":
        case "G":
          return decoder.reg;
        case "H":
        case "B":
          return decoder.vvvv;
        case "L":
          return decoder.immediateRegister;
        default:
          return decoder.rm;
      }
    })();
    const theirs: number = instruction.opRegister(index);
    const first = ((): number => {
      // With VEX.W iced shows 64 bits also of registers that take no more than 32.
      if (letter === "E" || letter === "G" || letter === "B") return bits === 64 && decoder.rexW ? Register.RAX : Register.EAX;
      return width === "x" && decoder.vexL ? Register.YMM0 : Register.XMM0;
    })();
    if (first + number !== theirs) return `operand ${index}: register ${first + number} instead of ${theirs}`;
  }
  return null;
}

function gprNumber(register: Register): number {
  if (register === Register.None) return NO_REGISTER;
  if (register === Register.RIP || register === Register.EIP) return BASE_RIP;
  const number: number = register;
  for (const base of gprBases) if (number >= base && number < base + 16) return number - base;
  throw new Error(`unexpected base register ${String(register)}`);
}

function memoryDifference(instruction: Instruction, bits: Bitness): string | null {
  const usesMemory = Array.from({ length: instruction.opCount }, (_, index) => instruction.opKind(index)).includes(OpKind.Memory);
  if (usesMemory !== decoder.memory) return `memory operand ${decoder.memory} instead of ${usesMemory}`;
  if (!usesMemory) return null;
  const base = gprNumber(instruction.memoryBase);
  const index = indexNumber(instruction.memoryIndex);
  if (base !== decoder.base) return `base ${decoder.base} instead of ${base}`;
  if (index !== decoder.index) return `index ${decoder.index} instead of ${index}`;
  if (index !== NO_REGISTER && instruction.memoryIndexScale !== 1 << decoder.scale) return `scale ${decoder.scale}`;
  const mask = decoder.addressSize === 16 ? 0xffffn : decoder.addressSize === 32 ? 0xffffffffn : 0xffffffffffffffffn;
  let displacement = BigInt(decoder.displacement);
  if (decoder.row.operands.some(({ letter }) => letter === "O") && decoder.addressSize === 64)
    displacement = (BigInt(decoder.displacementHigh) << 32n) | BigInt(decoder.displacement >>> 0);
  if (base === BASE_RIP) displacement += BigInt(instruction.length);
  if ((displacement & mask) !== (instruction.memoryDisplacement & mask))
    return `displacement ${displacement & mask} instead of ${instruction.memoryDisplacement & mask}`;
  const segment = instruction.memorySegment - Register.ES;
  if (segment !== decoder.segment && !(bits === 64 && segment < 4 && decoder.segment < 4))
    return `segment ${decoder.segment} instead of ${segment}`;
  return null;
}

function immediateDifference(instruction: Instruction): string | null {
  for (let index = 0; index < instruction.opCount; index++) {
    const kind = instruction.opKind(index);
    if (kind === OpKind.NearBranch16 || kind === OpKind.NearBranch32 || kind === OpKind.NearBranch64) {
      const mask = kind === OpKind.NearBranch16 ? 0xffffn : kind === OpKind.NearBranch32 ? 0xffffffffn : 0xffffffffffffffffn;
      const target = BigInt(decoder.length + decoder.immediate) & mask;
      if (target !== instruction.nearBranchTarget) return `branch target ${target} instead of ${instruction.nearBranchTarget}`;
    } else if (kind >= OpKind.Immediate8 && kind <= OpKind.Immediate8to64) {
      if (kind === OpKind.Immediate8_2nd) {
        if (decoder.immediate2 !== instruction.immediate8_2nd) return `second immediate ${decoder.immediate2}`;
        continue;
      }
      if (instruction.opKind(0) === OpKind.FarBranch16) continue;
      if (decoder.row.operands[index]?.letter === "1") continue;
      const width =
        kind === OpKind.Immediate8
          ? 0xffn
          : kind === OpKind.Immediate16 || kind === OpKind.Immediate8to16
            ? 0xffffn
            : decoder.operandSize === 64 || kind === OpKind.Immediate64
              ? 0xffffffffffffffffn
              : 0xffffffffn;
      const ours = (BigInt(decoder.immediateHigh) << 32n) | BigInt(decoder.immediate >>> 0);
      const theirs = instruction.immediate(index);
      if ((ours & width) !== (theirs & width)) return `immediate ${ours & width} instead of ${theirs & width}`;
    } else if (kind === OpKind.FarBranch32 || kind === OpKind.FarBranch16) {
      const far = kind === OpKind.FarBranch32 ? instruction.farBranch32 : instruction.farBranch16;
      if (decoder.immediate >>> 0 !== far || decoder.immediate2 !== instruction.farBranchSelector) return `far pointer`;
    }
  }
  return null;
}

/** One disagreement in words, or null. `ours` is the list of mnemonics that we claim. */
export function compare(bytes: Uint8Array, bits: Bitness, ours: readonly Mnemonic[]): string | null {
  const iced = new IcedDecoder(bits, bytes, DecoderOptions.ForceReservedNop);
  iced.ip = 0n;
  const instruction = iced.decode();
  try {
    const status = decoder.decode(codeOf(bytes), 0, modeOfBitness(bits), 1 << 30);
    if (instruction.isInvalid) {
      if (status === DECODE_OK && decoder.row.mnemonic !== "simd" && decoder.row.mnemonic !== "ud")
        return `${decoder.row.mnemonic} is not valid`;
      return null;
    }
    const name = IcedMnemonic[instruction.mnemonic].toLowerCase();
    if (status === DECODE_TOO_LONG) return `too long, but ${name} of ${instruction.length}`;
    if (status !== DECODE_OK) return status === DECODE_UNDEFINED && !isClaimed(name, ours) ? null : `undefined, but ${name}`;
    if (decoder.length !== instruction.length)
      return `${decoder.row.mnemonic}: length ${decoder.length} instead of ${instruction.length} (${name})`;
    const { mnemonic } = decoder.row;
    if (mnemonic === "simd" || mnemonic === "x87") return isClaimed(name, ours) ? `${mnemonic} instead of ${name}` : null;
    if (!(covered[mnemonic] ?? [mnemonic.toLowerCase()]).includes(name)) return `${mnemonic} instead of ${name}`;
    if (mnemonic === "nop" || mnemonic === "ud" || mnemonic === "xchg" || mnemonic === "xlat") return null;
    return memoryDifference(instruction, bits) ?? immediateDifference(instruction) ?? registerDifference(instruction, bits);
  } finally {
    instruction.free();
    iced.free();
  }
}
