/** Values of registers by name: always the 64-bit names (`rax`, `rip`, `rflags`, `cs`, `fs_base`), whatever the mode; `xmmN` are 128 bits. */
export type RegisterValues = ReadonlyMap<string, bigint>;

const x8664 = ["rax", "rdx", "rcx", "rbx", "rsi", "rdi", "rbp", "rsp", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "rip"];
const i386 = ["rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "rip", "rflags"];
const segments = ["es", "cs", "ss", "ds", "fs", "gs"];

/** How a DWARF file numbers registers: x86-64 psABI (figure 3.36) or i386 psABI (table 2.14). */
export interface RegisterNumbering {
  name(number: number): string | undefined;
  readonly stackPointer: number;
  readonly returnAddress: number;
}

export const numberingX8664: RegisterNumbering = {
  stackPointer: 7,
  returnAddress: 16,
  name: (number) => {
    if (number <= 16) return x8664[number];
    if (number <= 32) return `xmm${number - 17}`;
    if (number === 49) return "rflags";
    if (number >= 50 && number <= 55) return segments[number - 50];
    if (number === 58 || number === 59) return number === 58 ? "fs_base" : "gs_base";
    return undefined;
  },
};

export const numberingI386: RegisterNumbering = {
  stackPointer: 4,
  returnAddress: 8,
  name: (number) => {
    if (number <= 9) return i386[number];
    if (number >= 21 && number <= 28) return `xmm${number - 21}`;
    if (number >= 40 && number <= 45) return segments[number - 40];
    return undefined;
  },
};

/** Registers that a called function may change (System V ABI): unknown in callers unless unwind information says where they are. */
export const callClobbered: ReadonlySet<string> = new Set(["rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "rflags"]);
/** The i386 ABI keeps ESI and EDI across calls. */
export const callClobbered32: ReadonlySet<string> = new Set(["rax", "rcx", "rdx", "rflags"]);
