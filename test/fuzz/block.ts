/** What a block of the fuzzer is, and the state before and after it: the structures of native.c. */

/** Where blocks live. Data pages are DATA to DATA_END; around them nothing is mapped. The window, whose bytes a state holds, lies across their page boundary. */
export const CODE = 0x20000;
export const DATA = 0x30000;
export const DATA_BYTES = 0x2000;
export const WINDOW = 0x30f00;
export const WINDOW_BYTES = 512;
export const WINDOW_CENTER = WINDOW + WINDOW_BYTES / 2;
export const MAX_CODE = 255;

/** Offsets in `struct state`. */
export const AT = {
  rip: 0,
  rflags: 8,
  regs: 16,
  mxcsr: 144,
  trap: 148,
  mode: 149,
  codeLength: 150,
  error: 152,
  hash: 156,
  cr2: 160,
  ymm: 168,
  window: 680,
} as const;
export const STATE_BYTES = 1192;
export const BLOCK_BYTES = STATE_BYTES + 256;

export type Bits = 32 | 64;
export const END_OF_BLOCK = 3;

/** One instruction of a block. */
export interface Instruction {
  readonly text: string;
  readonly bytes: readonly number[];
  /** A displacement to be filled in: of the instruction `skip` further on (a byte at the end), or of an address relative to RIP (32 bits at `at`). */
  readonly fixup?:
    { readonly kind: "jump"; readonly skip: number } | { readonly kind: "relative"; readonly at: number; readonly target: number };
  /** Its flags that the manuals leave undefined are defined again by an instruction behind it. */
  readonly volatileFlags: boolean;
}

export interface Block {
  readonly bits: Bits;
  readonly instructions: readonly Instruction[];
  /** The state before, as `struct state`. */
  readonly state: Uint8Array;
}

/** CMP AL, imm8: defines all status flags. */
const define = [0x3c, 0x5a];

/** The code of a block: instructions in order, then INT3. */
export function codeOf({ instructions }: Block): Uint8Array {
  const starts: number[] = [];
  let length = 0;
  for (const { bytes, volatileFlags } of instructions) {
    starts.push(length);
    length += bytes.length + (volatileFlags ? define.length : 0);
  }
  starts.push(length);
  const code = new Uint8Array(length + 1);
  const view = new DataView(code.buffer);
  instructions.forEach(({ bytes, fixup, volatileFlags }, index) => {
    code.set(bytes, starts[index]);
    const end = starts[index] + bytes.length;
    if (volatileFlags) code.set(define, end);
    if (fixup === undefined) return;
    if (fixup.kind === "jump") code[end - 1] = starts[Math.min(index + 1 + fixup.skip, instructions.length)] - end;
    else view.setInt32(starts[index] + fixup.at, fixup.target - (CODE + end), true);
  });
  code[length] = 0xcc;
  return code;
}

/** The structure that native.c reads. */
export function encodeBlock(block: Block): Uint8Array {
  const bytes = new Uint8Array(BLOCK_BYTES);
  const code = codeOf(block);
  bytes.set(block.state);
  bytes.set(code, STATE_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint8(AT.mode, block.bits);
  view.setUint16(AT.codeLength, code.length, true);
  return bytes;
}

/** What native.c makes of the data pages. */
export function hashData(data: Uint8Array): number {
  const view = new DataView(data.buffer, data.byteOffset);
  let hash = 0;
  for (let at = 0; at < data.length; at += 4) hash = Math.imul(hash ^ view.getUint32(at, true), 16777619);
  return hash >>> 0;
}
