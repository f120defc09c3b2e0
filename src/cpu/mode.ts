/**
 * The mode word: everything besides bytes and address that a block's translation depends on. Part of a block's key; WORD_MODE of the CPU.
 */
/** Default operand and address size of code: bits 0-1. */
export const MODE_SIZE_MASK = 3;
export const MODE_16 = 0;
export const MODE_32 = 1;
export const MODE_64 = 2;
/** SS.B: stack pointer is ESP (in 64-bit code the stack is always 64 bits wide and this bit is clear). */
export const MODE_STACK32 = 1 << 2;
/** CPL in bits 3-4. */
export const MODE_CPL_SHIFT = 3;
export const MODE_PROTECTED = 1 << 5;
export const MODE_VM86 = 1 << 6;
/** ES, CS, SS, DS have base 0 and limit 4 GiB, are present, readable and (but CS) writable: accesses need no segment op. Always set in 64-bit code. */
export const MODE_FLAT = 1 << 7;
/** CS limit is not 4 GiB: near branches check it. */
export const MODE_CS_LIMIT = 1 << 8;
/** CR0.AM, EFLAGS.AC and CPL 3: data accesses are checked for alignment. */
export const MODE_ALIGN = 1 << 9;
/** IA32_EFER.LMA. */
export const MODE_LONG = 1 << 10;
/** An instruction breakpoint is enabled in DR7: every instruction begins with the checkBreakpoint helper. */
export const MODE_GUEST_BREAKPOINTS = 1 << 11;
/** CR0.EM, CR0.TS, CR0.MP, CR4.OSFXSR: what x87, MMX and SSE instructions fault with. */
export const MODE_FPU_EM = 1 << 12;
export const MODE_FPU_TS = 1 << 13;
export const MODE_FPU_MP = 1 << 14;
export const MODE_OSFXSR = 1 << 15;
/** EFLAGS.IOPL in bits 16-17: CLI, STI, IN, OUT, PUSHF and POPF are translated by it. */
export const MODE_IOPL_SHIFT = 16;
/** CR4.UMIP and CPL above 0. */
export const MODE_UMIP = 1 << 18;
/** CR4.OSXSAVE, and XCR0 enables SSE and AVX state: VEX-coded vector instructions are defined. */
export const MODE_AVX = 1 << 19;
/** CR4.LA57 in long mode: linear addresses have 57 bits. */
export const MODE_LA57 = 1 << 20;

export const modeCpl = (mode: number): number => (mode >> MODE_CPL_SHIFT) & 3;
/** Significant bits of a linear address (SDM vol. 1, "Canonical Addressing"). */
export const modeLinearBits = (mode: number): 48 | 57 => ((mode & MODE_LA57) !== 0 ? 57 : 48);
export const modeIopl = (mode: number): number => (mode >> MODE_IOPL_SHIFT) & 3;
