/**
 * Layout of the engine's linear memory. One `WebAssembly.Memory` holds, per CPU, a state block of 64-bit slots, a soft TLB and a jump cache;
 * then the code arena (translated blocks) and guest RAM. Offsets here are bytes from a CPU's state block unless said otherwise.
 */

/** The 16 general registers, `slotOfGpr(i)`: rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8..r15. */
export const SLOT_GPR = 0;
/** Instruction pointer as the architecture has it: an offset in CS, valid whenever no block is executing. */
export const SLOT_RIP = 128;
/**
 * Lazy status flags. `CC_RES`: the last result, sign-extended from its width to 64 bits. `CC_AUX`, by bit:
 * 63 CF; 62 carry into the top bit (OF = CF xor bit 62); 3 AF; 16 SD (SF = sign of CC_RES xor SD); 8-15 PDB (PF = even parity of the low byte of CC_RES xor PDB);
 * every other bit is zero. ZF = (CC_RES == 0).
 */
export const SLOT_CC_RES = 136;
export const SLOT_CC_AUX = 144;
/** RFLAGS without the six status flags: TF, IF, DF, IOPL, NT, RF, VM, AC, VIF, VIP, ID at their own positions, bit 1 set. */
export const SLOT_RFLAGS = 152;
/** Segment bases in x86's order ES, CS, SS, DS, FS, GS: `SLOT_SEG_BASE + 8 * segment`. Zero-extended 32 bits outside FS/GS in long mode. */
export const SLOT_SEG_BASE = 160;
/** Always zero. Reads of an absent operand name it. */
export const SLOT_ZERO = 208;
/** Written, never read: destination of operations done for their flags. */
export const SLOT_SINK = 216;
/** 16 temporaries, dead at the end of each guest instruction. */
export const SLOT_TEMP = 224;
export const TEMP_COUNT = 16;
/** Value that passes between memory operations and their slow path. */
export const SLOT_MEM_VALUE = 352;
/**
 * For segment-checked accesses: exclusive upper bound of readable (writable) offsets per segment; 0 sends every access to the slow path
 * (null, expand-down, not readable). `SLOT_SEG_LIMIT_R + 8 * segment`.
 */
export const SLOT_SEG_LIMIT_R = 360;
export const SLOT_SEG_LIMIT_W = 408;

/** 32-bit control words of the engine, in the same state block. */
/** Instructions the CPU may still retire before it must return; kept in a local while generated code runs, here at every call out. */
export const WORD_BUDGET = 456;
/** Budget at which the CPU is in an interrupt shadow (STI, MOV SS), or -1. In shadow iff WORD_SHADOW == WORD_BUDGET at a boundary. */
export const WORD_SHADOW = 460;
/** Non-zero while something waits for an instruction boundary: INTR with IF irrelevant, NMI, SMI, INIT, stop request. */
export const WORD_REQUEST = 464;
/** Address of the op that called out or exited. */
export const WORD_OP = 468;
/** Address of the executing block's header. */
export const WORD_BLOCK = 472;
/** Absolute address of the TLB in use (one of the CPU's MMU indexes). */
export const WORD_TLB = 476;
/** Generation of the jump cache; entries of other generations are stale. */
export const WORD_JUMP_GENERATION = 480;
/** Mode word (cpu/mode.ts) of the executing code: part of a block's key. */
export const WORD_MODE = 484;
/** Absolute address of the CPU's jump cache. */
export const WORD_JUMP_CACHE = 488;
/** Index of the CPU in the machine. */
export const WORD_CPU_INDEX = 492;
/** What the page walk in the engine may do: WALK_ bits, 0 for nothing. Made anew after each flush of the TLB. */
export const WORD_WALK = 496;
/** Physical address of the root table, below 4 GiB. */
export const WORD_WALK_ROOT = 500;
/** Thirty-seconds of the soft TLBs that may hold something: bit n for entries n * TLB_GROUP on, of every MMU index. */
export const WORD_TLB_USED = 504;
/** Walks that the engine did. */
export const WORD_WALKS = 508;
/** The 16 XMM registers, two slots each: `slotOfXmm(i)`, low half first. */
export const SLOT_XMM = 512;
/** MXCSR, zero-extended. */
export const SLOT_MXCSR = 768;
/**
 * How generated code finds a fetch in the fetch TLB by RIP: 1 at user rights, 0 at supervisor rights, -1 outside 64-bit code, where RIP is no linear address.
 */
export const WORD_FETCH = 776;
/**
 * Protection keys for the walk in the engine, made with WORD_WALK: bit k for keys that take something from accesses to user-mode addresses, 16 + k from others.
 */
export const WORD_WALK_KEYS = 780;
/** Vectors of the engine's own, as the registers: `slotOfVectorTemp(i)`, dead at the end of each guest instruction. */
export const SLOT_VECTOR_TEMP = 784;
export const VECTOR_TEMP_COUNT = 15;
/** Distance from a vector's lower 128 bits (an XMM register, a vector temporary) to its upper 128 bits: the upper halves of YMM registers. */
export const VECTOR_UPPER = 512;
/** The x87 unit (cpu/fpu/state.ts), by physical register: significands of 64 bits, signs and exponents of 16. Then words of 32 bits and offsets of 64. */
export const X87_SIGNIFICANDS = 1536;
export const X87_EXPONENTS = 1600;
export const X87_OCCUPIED = 1616;
export const X87_TOP = 1620;
export const X87_FLAGS = 1624;
export const X87_CONTROL = 1628;
export const X87_INSTRUCTION_SELECTOR = 1632;
export const X87_OPERAND_SELECTOR = 1636;
export const X87_INSTRUCTION = 1640;
export const X87_OPERAND = 1648;
/** Not 0: each instruction sets the unit's last opcode. */
export const X87_EVERY_OPCODE = 1656;
/** Instructions by which iterations of bulk string instructions may extend the slice: they are taken from here before WORD_BUDGET, and put SLOT_RETIRED_END and SLOT_INSTRUCTION_END off. */
export const WORD_STRING_RESERVE = 1660;

/** Condition codes of the status word, among the bits at X87_FLAGS. */
export const C0 = 1 << 8;
export const C1 = 1 << 9;
export const C2 = 1 << 10;
export const C3 = 1 << 14;
/** Segment selectors, 16 bits each. */
export const WORD_SELECTORS = 1664;
/** Where guest RAM and the marks of its pages are in the engine's memory, and how many pages it has: the same for every CPU, here so that the interpreter's code fits any machine. */
export const WORD_RAM_BASE = 1680;
export const WORD_MARKS_BASE = 1684;
export const WORD_RAM_PAGES = 1688;
/** Linear addresses of the IDT, the GDT and the task state segment. */
export const SLOT_IDTR_BASE = 1696;
export const SLOT_GDTR_BASE = 1704;
export const SLOT_TR_BASE = 1712;
/** MSRs by which system calls are entered: IA32_KERNEL_GS_BASE, IA32_STAR, IA32_LSTAR, IA32_FMASK. */
export const SLOT_KERNEL_GS_BASE = 1720;
export const SLOT_STAR = 1728;
export const SLOT_LSTAR = 1736;
export const SLOT_SFMASK = 1744;
/** Mode words that SYSCALL and SYSRET of 64-bit code lead to while flags are ordinary, 0 where they do not; address of the TLB that SYSCALL leads to. */
export const WORD_CALL_MODE = 1752;
export const WORD_RETURN_MODE = 1756;
export const WORD_CALL_TLB = 1760;
/** Current privilege level. */
export const WORD_CPL = 1764;
/** Limits and access rights of segments, ES to TR, 32 bits each (CpuState.limit, CpuState.access). */
export const WORD_LIMITS = 1768;
export const WORD_ACCESS = 1800;
/** Physical page of the CPU's local APIC registers, 0 where there is none: accesses to it have no place in memory. */
export const WORD_APIC_PAGE = 1832;
/** Not 0: NMIs are blocked until IRET. */
export const WORD_NMI_BLOCKED = 1836;
/** Mode words of 64-bit code at CPL 0 and CPL 3 while flags are ordinary, as the last mode that was made has it; 0 while that is not one of 64-bit code. */
export const WORD_SUPERVISOR_MODE = 1840;
export const WORD_USER_MODE = 1844;
/** Handlers that the CPU is in: entries from CPU_FRAMES on. */
export const WORD_FRAME_DEPTH = 1848;
/** What of transfers is observed: OBSERVED_ bits, 0 for nothing. */
export const WORD_OBSERVED = 1852;
/** Instructions that this CPU, and the whole machine, will have retired when the running slice has used up its budget: 64 bits. */
export const SLOT_RETIRED_END = 1856;
export const SLOT_INSTRUCTION_END = 1864;
/** Limits of the GDT and the IDT. */
export const WORD_GDTR_LIMIT = 1872;
export const WORD_IDTR_LIMIT = 1876;
/** CPUs of the machine. */
export const WORD_CPUS = 1880;
/** The last deliveries (cpu/system/deliveryLog.ts): how many there were, and rows of a ring. */
export const WORD_LOG_COUNT = 1884;
export const LOG_ROWS = 1888;
export const LOG_KEPT = 4;
export const LOG_ROW_BYTES = 32;
export const LOG_VECTOR = 0;
export const LOG_ERROR_CODE = 4;
export const LOG_CS = 8;
export const LOG_KIND = 12;
export const LOG_RIP = 16;
export const LOG_ADDRESS = 24;
/** What cleared IF last, while that is noted (OBSERVED_MASK): its RIP, and the instructions that the machine and this CPU had retired; the latter -1 for nothing. */
export const SLOT_MASK_RIP = 2016;
export const SLOT_MASK_INSTRUCTION = 2024;
export const SLOT_MASK_RETIRED = 2032;
/**
 * Registers of the CPU's local APIC that the engine works on (interpreter/localApic.ts), from here on: as words, at the indexes below. ISR, TMR and IRR have eight words each.
 */
export const APIC_REGISTERS = 2040;
export const APIC_ISR = 0;
export const APIC_TMR = 8;
export const APIC_IRR = 16;
export const APIC_TPR = 24;
/** ID register of xAPIC mode. */
export const APIC_ID = 25;
export const APIC_ICR_LOW = 26;
/** Not 0: ICR was written in xAPIC mode, and its delivery status not read since. */
export const APIC_SEND_NOT_LOOKED_AT = 27;
/** Not 0: INTR is asserted. */
export const APIC_INTR = 28;
/** Not 0: only the host may work on the registers. HOST_ bits, each set and cleared by whoever knows. */
export const APIC_HOST = 29;
export const APIC_WORDS = 30;
/** The local APIC is off, or in x2APIC mode, or has an external interrupt on its way. */
export const HOST_STATE = 1;
/** Somebody hears of stages, storms or misuse of interrupts, IPIs are to be held back, accesses to data or registers are watched. */
export const HOST_WATCHED = 2;
/** This run of the CPU is to stop at events, keeps interrupts off, or has its decisions noted. */
export const HOST_RUN = 4;
/** Not 0: the CPU is asked to take an interrupt. */
export const WORD_INTR = 2160;
/** Where the journal of interrupts is in the engine's memory: the same for every CPU. */
export const WORD_JOURNAL = 2164;
/** Instructions that the CPU had retired when the engine took an interrupt last, in this run: 64 bits, -1 for none. */
export const SLOT_FRESH = 2168;
/** Interrupts that the engine has taken and the host not counted yet. */
export const WORD_TAKEN = 2176;
/** Address of the header of the block whose indirect jump left generated code last, or 0: for the translator, which learns from it where jumps go. */
export const WORD_JUMP_FROM = 2180;
/** What RDTSC (interpreter/time.ts) gives beside virtual time: added to it, IA32_TSC_AUX, and CR4, whose TSD may forbid it. */
export const SLOT_TSC_OFFSET = 2192;
export const SLOT_TSC_AUX = 2200;
export const WORD_CR4 = 2208;
/** One more than the nanoseconds of virtual time that PAUSE may let go by before the running slice has to end sooner for it, which are those from the slice's end to the next timer, at most MOST_SPARE. 0: PAUSE is for the host, as another CPU can run. */
export const WORD_SPARE = 2212;
/** A multiple of 64, so that TLBs and the pairs of the jump cache behind it lie in lines of the host's cache. */
export const CPU_STATE_BYTES = 2240;

/**
 * The journal of interrupts: stages that the engine brought about and the ledger (apic/journalReader.ts) has yet to enter. One a machine. Id of the next record, 64 bits; rows; zeros, as many as a row has in front of the first one; then the rows, in order.
 */
export const JOURNAL_NEXT_ID = 0;
export const JOURNAL_COUNT = 8;
/** Not of the journal, but of the machine too: nanoseconds of virtual time that have gone by beside the instructions that have retired, 64 bits. */
export const JOURNAL_IDLE = 16;
export const JOURNAL_ROWS = 128;
export const JOURNAL_KEPT = 512;
export const JOURNAL_ROW_BYTES = 88;
export const JOURNAL_BYTES = JOURNAL_ROWS + JOURNAL_KEPT * JOURNAL_ROW_BYTES;
/**
 * A row: what happened, to which CPU, with which vector, the APIC id; doubles: record, instructions that the machine and the CPU had retired; 64 bits each: RIP, and where the handler returns to. Then, of the
 * handler's EOI and of its return, the instructions that the machine had retired and RIP.
 */
export const ROW_KIND = 0;
export const ROW_CPU = 4;
export const ROW_VECTOR = 8;
export const ROW_APIC_ID = 12;
export const ROW_RECORD = 16;
export const ROW_INSTRUCTION = 24;
export const ROW_RETIRED = 32;
export const ROW_RIP = 40;
export const ROW_RETURN = 48;
export const ROW_END_INSTRUCTION = 56;
export const ROW_END_RIP = 64;
export const ROW_RETURN_INSTRUCTION = 72;
export const ROW_RETURN_RIP = 80;
/** Kinds. Sent to oneself and accepted; and the CPU was asked to take it; and it took it after the same instruction. */
export const JOURNAL_ACCEPTED = 1;
export const JOURNAL_REQUESTED = 2;
export const JOURNAL_DELIVERED = 3;
/** Ended by EOI; returned from, by a record. */
export const JOURNAL_ENDED = 4;
export const JOURNAL_RETURNED = 5;
/** As JOURNAL_DELIVERED, where nothing came between that and its EOI; and where nothing came between that and its return: most interrupts are one row. */
export const JOURNAL_SERVED = 6;
export const JOURNAL_COMPLETE = 7;

/** Soft TLB: direct mapped, `TLB_ENTRIES` per MMU index, `TLB_ENTRY_BYTES` each. */
export const TLB_ENTRIES = 1024;
export const TLB_ENTRY_BYTES = 32;
/** Entry: tag of linear page for reads, for writes (i64 each: page address, low bits zero for the fast path, -1n for none), 8 unused bytes, then i32 addend. */
export const TLB_READ = 0;
export const TLB_WRITE = 8;
/** host address = low 32 bits of linear address + addend (wrapping). */
export const TLB_ADDEND = 24;
/** Physical page number (28 bits and more fit: pages below 2^44). */
export const TLB_PHYSICAL_PAGE = 28;
/** Low tag bit that sends an access of a valid page to the slow path: MMIO, watched, code, clean. */
export const TLB_SLOW = 1n;
/** MMU indexes: supervisor with access to user pages, supervisor under SMAP, user. */
export const MMU_SUPERVISOR = 0;
export const MMU_SUPERVISOR_SMAP = 1;
export const MMU_USER = 2;
export const MMU_INDEXES = 3;

/**
 * Bits of WORD_OBSERVED. Somebody hears of each delivery, each return or each change of IF: the engine leaves them to the host. Of deliveries to handlers of interrupts and of exceptions, and of
 * INT, by the host: the engine carries out IRET and, asked by the host, deliveries. And what clears IF is noted.
 */
export const OBSERVED_ALL = 1;
export const OBSERVED_HANDLERS = 2;
export const OBSERVED_MASK = 4;

/** Entries that a bit of WORD_TLB_USED stands for. */
export const TLB_GROUP = TLB_ENTRIES / 32;

/**
 * Bits of WORD_WALK: 4-level or 5-level paging; 32-bit paging; NX bits allowed; CR0.WP; large pages were seen and need no more notice; CR4.PSE; pages of 1 GiB exist;
 * 5-level paging.
 */
export const WALK_LONG = 1;
export const WALK_32 = 2;
export const WALK_NX = 4;
export const WALK_WP = 8;
export const WALK_LARGE = 16;
export const WALK_PSE = 32;
export const WALK_GIGABYTE = 64;
export const WALK_LA57 = 128;
/** Marks of a page of RAM: every CPU finds it at its own place and may read it; and a store to it needs no notice. */
export const MARK_PLAIN = 1;
export const MARK_FREE = 2;

/**
 * Jump cache: RIP to block, in pairs of entries: what is not at the index of its RIP may be at the other one of the pair. Entry: rip i64, mode i32, generation i32, address
 * of the first op i32, physical page of the code u32, the block's BLOCK_FUNCTION u32 or 0, 4 bytes unused. Of another generation: the code may be elsewhere now.
 */
export const JUMP_ENTRIES = 16384;
export const JUMP_ENTRY_BYTES = 32;
export const JUMP_RIP = 0;
export const JUMP_MODE = 8;
export const JUMP_GENERATION = 12;
export const JUMP_OP = 16;
export const JUMP_PAGE = 20;
/** Generated code reads it here, which spares it the header. 0: look there. Whoever changes BLOCK_FUNCTION clears it (backend/jumpCaches.ts). */
export const JUMP_FUNCTION = 24;
/**
 * Index of RIP in the jump cache: its bits, folded with the page number so that equal offsets in two pages differ. Most targets of jumps are not nearer than 8 bytes: with the lowest bits at the other end, those of
 * code that lies together lie together, in fewer of the host's pages. (What follows a REP instruction is nearer: it must not share the place of that instruction and of the one before.)
 */
export const jumpIndex = (ripLow: number): number => {
  const folded = ripLow ^ (ripLow >>> 12);
  return ((folded >>> 3) ^ (folded << 11)) & (JUMP_ENTRIES - 1);
};
/** Addresses of the two entries that may hold RIP in the jump cache at `cache`: the one at its index first. */
export const jumpPair = (cache: number, ripLow: number): readonly [number, number] => {
  const index = jumpIndex(ripLow);
  return [cache + index * JUMP_ENTRY_BYTES, cache + (index ^ 1) * JUMP_ENTRY_BYTES];
};
/** Where a CPU's jump cache is: WORD_JUMP_CACHE less the address of its state. */
export const CPU_JUMP_CACHE = CPU_STATE_BYTES + MMU_INDEXES * TLB_ENTRIES * TLB_ENTRY_BYTES;
/** An index times the size of an entry: folded bits shifted by one and by the other, combined, then masked. */
export const JUMP_OFFSET_SHIFT = 2;
export const JUMP_LOWEST_SHIFT = 16;
export const JUMP_OFFSET_MASK = (JUMP_ENTRIES - 1) * JUMP_ENTRY_BYTES;

/**
 * Fetch TLB, behind the jump cache: translations of fetches, apart from those of data, direct mapped by page and rights. Entry: lower half of the linear page with
 * bit 0 for user rights, upper half, physical page, 4 bytes unused. Only pages of plain memory are in it.
 */
export const FETCH_ENTRIES = 512;
export const FETCH_ENTRY_BYTES = 16;
export const FETCH_HIGH = 4;
export const FETCH_PAGE = 8;
/** Distance from the jump cache. */
export const FETCH_TLB = JUMP_ENTRIES * JUMP_ENTRY_BYTES;

/** Block header: u32 guest instructions, u32 block id, u32 generated function, i32 heat, u64 RIP, u32 tables of its instructions, u32 last target of its jump; ops follow. */
export const BLOCK_HEADER_BYTES = 32;
export const BLOCK_COUNT = 0;
export const BLOCK_ID = 4;
/** Where generated code of the block is: slot in the function table << FUNCTION_ENTRY_BITS | entry of the function; 0: none. */
export const BLOCK_FUNCTION = 8;
/** Entries that the interpreter may still make before the block counts as hot (EXIT_HOT at 0). */
export const BLOCK_HEAT = 12;
export const BLOCK_RIP = 16;
/** Where the tables behind the ops are: index of the first op of each instruction, then offsets of the instructions from the block's first byte, 16 bits each. */
export const BLOCK_TABLES = 24;
/** Lower half of the RIP that the jump at its end went to last, as far as generated code knew no target. */
export const BLOCK_TARGET = 28;
export const FUNCTION_ENTRY_BITS = 6;

/** Op record: u16 opcode, u16 d, u16 a, u16 b, i64 imm. */
export const OP_BYTES = 16;
export const OP_D = 2;
export const OP_A = 4;
export const OP_B = 6;
export const OP_IMM = 8;
/** Memory ops: imm is i32 displacement, u8 scale (0-3), u8 MemFlag. */
export const OP_SCALE = 12;
export const OP_MEM_FLAGS = 13;
/** goto: address of the chained block's first op (0 = not chained) in the a and b fields. */
export const OP_CHAIN = 4;

/** Flags of a memory op. */
export const MEM_STACK = 1;

/** Handlers that a CPU is in, outermost first (machine/handlerFrames.ts): more lose the outermost. */
export const CPU_FRAMES = CPU_JUMP_CACHE + JUMP_ENTRIES * JUMP_ENTRY_BYTES + FETCH_ENTRIES * FETCH_ENTRY_BYTES;
export const FRAME_COUNT = 64;
/** Entry: where the handler returns to, where it began, instructions that the machine and the CPU had retired, the interrupt's record: 64 bits each; then the event and the code segment returned to. */
export const FRAME_BYTES = 64;
export const FRAME_RIP = 0;
export const FRAME_RSP = 8;
export const FRAME_HANDLER = 16;
export const FRAME_HANDLER_RSP = 24;
export const FRAME_INSTRUCTION = 32;
export const FRAME_RETIRED = 40;
export const FRAME_RECORD = 48;
/** 16 bits each. */
export const FRAME_VECTOR = 56;
export const FRAME_KIND = 58;
export const FRAME_CS = 60;
/** A delivery that stays on its stack pushes at most six words, aligned to 16 bytes. */
export const LARGEST_PUSH = 64;
/** What lies further above a frame may be another stack. */
export const ONE_STACK = 16_384;

/** Bytes one CPU needs: state block, TLBs, jump cache, fetch TLB, frames. */
export const CPU_STRIDE = CPU_FRAMES + FRAME_COUNT * FRAME_BYTES;

/** Virtual time that PAUSE takes on the only CPU that can run, in nanoseconds: delay loops cost the host a fraction of what they wait for. */
export const PAUSE_NANOSECONDS = 256;
export const MOST_SPARE = 1 << 30;

export const slotOfGpr = (register: number): number => SLOT_GPR + register * 8;
export const slotOfTemp = (index: number): number => SLOT_TEMP + index * 8;
export const slotOfXmm = (register: number): number => SLOT_XMM + register * 16;
export const slotOfVectorTemp = (index: number): number => SLOT_VECTOR_TEMP + index * 16;
export const slotOfSegBase = (segment: number): number => SLOT_SEG_BASE + segment * 8;
