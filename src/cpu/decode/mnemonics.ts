/**
 * What the opcode table's rows stand for. One name a behaviour: conditions (Jcc, SETcc, CMOVcc) are one name with the condition in the opcode, string
 * instructions one name for all widths. `x87` and `simd` are instructions that are decoded for their length only, as the CPU model has no such unit.
 */
export const mnemonics = [
  "aaa", "aad", "aam", "aas", "adc", "adcx", "add", "adox", "and", "andn", "arpl",
  "bextr", "blsi", "blsmsk", "blsr", "bound", "bsf", "bsr", "bswap", "bt", "btc", "btr", "bts", "bzhi",
  "call", "callFar", "cbw", "clac", "clc", "cld", "clflush", "cli", "clts", "cmc", "cmovcc", "cmp", "cmps", "cmpxchg", "cmpxchg16b", "cmpxchg8b", "cpuid",
  "crc32", "cwd",
  "daa", "das", "dec", "div",
  "enter",
  "hlt",
  "idiv", "imul", "in", "inc", "ins", "int", "int1", "int3", "into", "invd", "invlpg", "invpcid", "iret",
  "jcc", "jcxz", "jmp", "jmpFar",
  "lahf", "lar", "lds", "lea", "leave", "les", "lfence", "lfs", "lgdt", "lgs", "lidt", "lldt", "lmsw", "lods", "loop", "loope", "loopne", "lsl", "lss", "ltr",
  "lzcnt",
  "mfence", "monitor", "mov", "movCr", "movDr", "movSeg", "movbe", "movnti", "movs", "movsx", "movzx", "mul", "mulx", "mwait",
  "neg", "nop", "not",
  "or", "out", "outs",
  "pause", "pdep", "pext", "pop", "popSeg", "popa", "popcnt", "popf", "push", "pushSeg", "pusha", "pushf",
  "rcl", "rcr", "rdfsbase", "rdgsbase", "rdmsr", "rdpmc", "rdrand", "rdseed", "rdtsc", "rdtscp", "ret", "retFar", "rol", "ror", "rorx", "rsm",
  "sahf", "salc", "sar", "sarx", "sbb", "scas", "setcc", "sfence", "sgdt", "shl", "shld", "shlx", "shr", "shrd", "shrx", "sidt", "simd", "sldt", "smsw", "stac",
  "stc", "std", "sti", "stos", "str", "sub", "swapgs", "syscall", "sysenter", "sysexit", "sysret",
  "test", "tzcnt",
  "ud",
  "verr", "verw",
  "wait", "wbinvd", "wrfsbase", "wrgsbase", "wrmsr",
  "x87", "xadd", "xchg", "xgetbv", "xlat", "xor", "xsetbv",
] as const;

export type Mnemonic = (typeof mnemonics)[number];
