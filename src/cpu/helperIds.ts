/**
 * Helpers: the system behaviour that ops do not express, called by the `helper` op as (a, b, imm). `a` and `b` are slot offsets; imm is 64 bits, passed as (lo, hi).
 * "terminal": the front end first sets SLOT_RIP to the next instruction's RIP (op movi) and ends the block after it with `exit` (state changed widely), `lookup`
 * or `lookupUnlessRequest`; a helper that transfers control sets SLOT_RIP itself. On a fault the engine restores SLOT_RIP to the faulting instruction.
 * Sizes are in bytes. Segment numbers are x86's: ES 0, CS 1, SS 2, DS 3, FS 4, GS 5.
 */
export const helperNames = [
  /** raise: exception vector lo with error code hi (-1: none). Always faults. #DB, #BP, #OF of INT1/INT3/INTO go through `interrupt`. */
  "raise",
  /** Software interrupt: vector lo; hi: 0 INT n, 1 INT3, 2 INTO, 3 INT1 (ICEBP). Terminal, exit. RIP (already set to next) is pushed. */
  "interrupt",
  /** BOUND: index in slot a, address of bounds in slot b (linear); lo = operand size. */
  "bound",
  /** in: d-less; result zero-extended into slot a (full width of lo bytes), port in slot b. lo = size 1, 2, 4. May fault (IOPL, bitmap). Deposit is the front end's. */
  "in",
  /** out: value in slot a, port in slot b, lo = size. Terminal, lookupUnlessRequest (may raise). */
  "out",
  /**
   * String instruction, terminal, lookupUnlessRequest. lo bits 0-2: kind 0 MOVS 1 CMPS 2 STOS 3 LODS 4 SCAS 5 INS 6 OUTS; bits 4-7: element size;
   * bits 8-11: address size 2, 4, 8; bits 12-13: 0 none, 1 REP/REPE, 2 REPNE; bits 16-18: source segment. One iteration counts as one retired instruction: when the
   * budget runs out or a request arrives between iterations the helper leaves SLOT_RIP at the instruction itself (given in b's slot) and returns STATUS_LEAVE.
   */
  "string",
  /** cli, sti: with the IOPL/CPL, VME and PVI rules. sti sets WORD_SHADOW through the op `shadow` that the front end emits after it. */
  "cli",
  "sti",
  /** pushf image into slot a, of lo bytes (VM and RF clear), checks V86 IOPL. */
  "pushfImage",
  /** popf: value in slot a, lo = size. Terminal, exit. */
  "popf",
  /** hlt, mwait: terminal, exit. monitor: address offset in slot a (linear). */
  "hlt",
  "monitor",
  "mwait",
  /** pause: a hint to the scheduler that this CPU spins. The last of its block, as are rdtsc and rdtscp: the engine does most of them itself (tcg/interpreter/time.ts). */
  "pause",
  /** Far transfers: selector in slot a, offset in slot b, lo = operand size (2, 4, 8). Terminal, exit. farCall pushes CS:SLOT_RIP. */
  "farJump",
  "farCall",
  /** retf: lo = operand size, hi = bytes of parameters to release. Terminal, exit. */
  "farReturn",
  /** iret: lo = operand size. Terminal, exit. */
  "iret",
  "syscall",
  /** sysret: lo = operand size 4 or 8. */
  "sysret",
  "sysenter",
  /** sysexit: lo = operand size 4 or 8. */
  "sysexit",
  "rsm",
  /** Loads segment register lo with the selector in slot a. Terminal for SS (with `shadow`) and whenever the front end wants the mode re-read: exit. */
  "loadSegment",
  /** lldt, ltr: selector in slot a. ltr, lldt end no block. */
  "lldt",
  "ltr",
  /** lar, lsl: selector in slot a; result into slot b (untouched when not valid); sets ZF. lo = operand size. verr, verw: selector in a, set ZF. */
  "lar",
  "lsl",
  "verr",
  "verw",
  /** arpl: destination in slot a (updated, 16 bits), source selector in slot b; sets ZF. */
  "arpl",
  /** sgdt, sidt: store to the linear address in slot a; lo = operand size 2, 4, 8. lgdt, lidt: load. */
  "sgdt",
  "sidt",
  "lgdt",
  "lidt",
  /** Control and debug registers: number lo. read: value into slot a. write: value in slot a; terminal, exit. */
  "readCr",
  "writeCr",
  "readDr",
  "writeDr",
  /** smsw: value into slot a. lmsw: value in slot a; terminal, exit. clts: terminal, exit. */
  "smsw",
  "lmsw",
  "clts",
  /** invlpg: linear address in slot a; terminal, exit. invpcid: type in slot a, descriptor's linear address in slot b. */
  "invlpg",
  "invpcid",
  /** invd, wbinvd: privilege check only. */
  "invd",
  "wbinvd",
  /** MSRs: ECX; EDX:EAX. writeMsr: terminal, exit. */
  "readMsr",
  "writeMsr",
  /** rdtsc into EDX:EAX (CR4.TSD); rdtscp also ECX; rdpmc; cpuid; xgetbv; xsetbv (terminal, exit). */
  "rdtsc",
  "rdtscp",
  "rdpmc",
  "cpuid",
  "xgetbv",
  "xsetbv",
  /**
   * xsaveReady: #UD, #GP(0) and #NM of XSAVE and its kin, lo: kind (cpu/xsave.ts). xsave: linear address of the area in slot a, lo: kind, hi: 1 with REX.W.
   */
  "xsaveReady",
  "xsave",
  /** enter with nesting level hi (1-31), frame size lo bits 0-15, operand size lo bits 16-23. Level 0 is expressed in ops. */
  "enter",
  /** cmpxchg16b at the linear address in slot a: #GP(0) unless 16-byte aligned. Compares and exchanges RDX:RAX, RCX:RBX; ZF. */
  "cmpxchg16b",
  /** daa das aaa aas on RAX; aam, aad with base lo (aam: #DE for 0). Flags. */
  "daa",
  "das",
  "aaa",
  "aas",
  "aam",
  "aad",
  /** Near branch target in slot a against the CS limit: #GP(0). */
  "checkCsLimit",
  /** Guest instruction breakpoint (DR0-3) at SLOT_RIP-to-be: linear RIP offset in imm; faults with #DB unless RF is set. First op of every instruction under MODE_GUEST_BREAKPOINTS. */
  "checkBreakpoint",
  /** Debugger breakpoint at RIP imm: leaves with EXIT_BREAK semantics unless the debugger resumes from it. */
  "debuggerBreakpoint",
  /** rdrand: a random number into slot a, CF set and the other status flags cleared: RDRAND and RDSEED. rdpid: IA32_TSC_AUX into slot a. */
  "rdrand",
  "rdpid",
  /** crc32: slot a accumulates slot b, lo = size of b. pdep, pext: a = op(a, b). */
  "crc32",
  "pdep",
  "pext",
  /** fsgsbase: lo = 0 RDFSBASE, 1 RDGSBASE (value into slot a), 2 WRFSBASE, 3 WRGSBASE (value in slot a). #UD unless CR4.FSGSBASE; writes: #GP(0) if not canonical. */
  "fsgsbase",
  /** setAc: EFLAGS.AC = lo (CLAC, STAC at CPL 0), and the soft TLB in use follows (SMAP). */
  "setAc",
  /** pkru: lo = 0 RDPKRU, 1 WRPKRU, with their faults. */
  "pkru",
  /** hypercall: lo = 0 VMCALL, 1 VMMCALL. Registers as the machine's answer has them; #UD when it gives none. Terminal, exit. */
  "hypercall",
  /**
   * x87: linear address of the memory operand in slot a, offset in CS of the instruction in slot b; lo: ModRM in bits 0-7, low three bits of the opcode in 8-10,
   * segment of the memory operand in 11-13, bit 14: operand size 16. fxsave, fxrstor: linear address in slot a; lo: 1 with REX.W. x87Wait: #MF if one waits.
   */
  "x87",
  "x87Wait",
  "fxsave",
  "fxrstor",
  /**
   * simd: operation lo (cpu/simd/operations.ts) on the vectors at slot a (destination too) and slot b; hi: immediate byte, bit 8: 64-bit general register,
   * bit 9: MMX, bit 10: VEX-coded (the destination above the result becomes zero; the first source is the register in bits 12-15, a third one that in bits
   * 16-19), bit 11: 256 bits. May fault with #XM.
   */
  "simd",
] as const;

export type HelperName = (typeof helperNames)[number];

/** Helper number by name: operand d of the `helper` op. */
export const Helper: { readonly [name in HelperName]: number } = Object.fromEntries(helperNames.map((name, index) => [name, index])) as {
  [name in HelperName]: number;
};
