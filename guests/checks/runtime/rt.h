/*
 * Runtime of the self-checking guests: boots one CPU into 64-bit mode or stays in 32-bit protected mode
 * (by how it is compiled), catches every trap, and reports on the first serial port.
 *
 * "SDM" is the Intel 64 and IA-32 Architectures Software Developer's Manual. What a check expects is what
 * the SDM says, also where some emulator is known to answer differently; see ../known.txt.
 */
#ifndef CHECKS_RT_H
#define CHECKS_RT_H

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef unsigned long word; /* a general register */
typedef _Bool bool;
#define true 1
#define false 0
#define NULL ((void *)0)

#define INLINE static inline __attribute__((always_inline))

/* Selectors of the runtime's GDT; tests may fill gdt[SEL_FREE / 8] to gdt[63]. */
#define SEL_CODE 0x08
#define SEL_DATA 0x10
#define SEL_USER_CODE 0x1b
#define SEL_USER_DATA 0x23
#define SEL_TSS 0x28
#define SEL_CODE32 0x38
#define SEL_FREE 0x40

#define FLAG_CF (1u << 0)
#define FLAG_ZF (1u << 6)
#define FLAG_TF (1u << 8)
#define FLAG_IF (1u << 9)
#define FLAG_DF (1u << 10)
#define FLAG_NT (1u << 14)
#define FLAG_RF (1u << 16)
#define FLAG_VM (1u << 17)
#define FLAG_AC (1u << 18)

enum { DE, DB, NMI, BP, OF, BR, UD, NM, DF, TS = 10, NP, SS, GP, PF, MF = 16, AC };
#define USER_EXIT 0x80       /* the vector by which run_user()'s code comes back */
#define NOTHING (-1)         /* no trap */
#define NO_ERROR ((word)-1)  /* no error code was pushed */

struct frame {
#ifdef __x86_64__
    word r15, r14, r13, r12, r11, r10, r9, r8, bp, di, si, dx, cx, bx, ax;
#else
    word gs, fs, es, ds, di, si, bp, unused_sp, bx, dx, cx, ax;
#endif
    word vector, error;
    word ip, cs, flags, sp, ss;
#ifndef __x86_64__
    word v86_es, v86_ds, v86_fs, v86_gs;
#endif
};

/* The last trap. */
struct trap {
    word vector, error, ip, cs, flags, sp, ss, cr2, dr6;
    word handler_flags; /* as the gate left them */
    word handler_sp;    /* where the frame was */
    u32 count;          /* since run() began */
};
extern volatile struct trap trap;

/* Called first on a trap; true resumes the interrupted code with the frame as it then is. */
extern bool (*trap_hook)(struct frame *frame);

/* Run code; the vector of the trap that ended it, or NOTHING. run_user() does so at CPL 3 with user_flags. */
int run(void (*code)(void));
int run_user(void (*code)(void));
extern word user_flags;
extern u8 user_stack[4096];
#ifndef __x86_64__
extern word inner_ss; /* the SS that traps from run_user() get: SEL_DATA unless a test spoils it */
#endif

/*
 * A piece of assembly as a function: code, code_at (the instruction of interest) and code_next (the one after).
 * It may use the registers that a C function may.
 */
#define CODE(name, before, instruction)                                                                              \
    __asm__(".text\n.globl " #name "\n.type " #name ",@function\n" #name ":\n" before "\n" #name "_at: " instruction \
            "\n" #name "_next: ret\n");                                                                               \
    void name(void);                                                                                                 \
    extern char name##_at[], name##_next[];

bool check(const char *name, bool good);
bool check_value(const char *name, u64 got, u64 want);
bool expect(const char *name, bool user, void (*code)(void), int vector, word error, const void *at);

/* Code must trap with this vector and error code, at its instruction of interest (a fault)... */
#define FAULTS(code, vector, error) expect(#code, false, code, vector, error, code##_at)
#define USER_FAULTS(code, vector, error) expect(#code " (user)", true, code, vector, error, code##_at)
/* ... or behind it (a trap) ... */
#define TRAPS(code, vector) expect(#code, false, code, vector, NO_ERROR, code##_next)
#define USER_TRAPS(code, vector) expect(#code " (user)", true, code, vector, NO_ERROR, code##_next)
/* ... or not at all. */
#define RUNS(code) expect(#code, false, code, NOTHING, 0, NULL)
#define USER_RUNS(code) expect(#code " (user)", true, code, NOTHING, 0, NULL)

void print(const char *format, ...);
void skip(const char *what);
extern const char *check_prefix; /* put before the names of checks */
bool option(const char *word);
void finish(void) __attribute__((noreturn));
void check_main(void); /* each guest's own */

/* Descriptor tables */
extern u64 gdt[64];
extern u64 idt[512];
void gdt_set_limit(u16 limit);
void load_idt(u16 limit);
void gate(u32 vector, word offset, u16 selector, u32 type, u32 ist);
void gate_reset(u32 vector);
word stub_of(u32 vector);
u64 segment(u32 base, u32 limit, u32 access, u32 flags);
#ifdef __x86_64__
struct tss {
    u32 reserved0;
    u64 rsp[3], reserved1, ist[7], reserved2;
    u16 reserved3, io_map;
} __attribute__((packed));
#else
struct tss {
    u32 link, esp0, ss0, esp1, ss1, esp2, ss2, cr3, eip, eflags, eax, ecx, edx, ebx, esp, ebp, esi, edi, es, cs, ss, ds, fs, gs, ldt;
    u16 trap, io_map;
    u8 bitmap[8193];
} __attribute__((packed));
#endif
extern struct tss tss;
void tss_reload(void);

#ifdef __x86_64__
#define WORD "q"
#define R "r"
#else
#define WORD "l"
#define R "e"
#endif
#define GATE_INTERRUPT 0x8e
#define GATE_TRAP 0x8f
#define GATE_USER 0x60

INLINE void outb(u16 port, u8 value) { __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port)); }
INLINE void outl(u16 port, u32 value) { __asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port)); }
INLINE u8 inb(u16 port)
{
    u8 value;
    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}
INLINE u64 rdmsr(u32 msr)
{
    u32 low, high;
    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
    return (u64)high << 32 | low;
}
INLINE void wrmsr(u32 msr, u64 value)
{
    __asm__ volatile("wrmsr" : : "c"(msr), "a"((u32)value), "d"((u32)(value >> 32)) : "memory");
}
INLINE u64 rdtsc(void)
{
    u32 low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (u64)high << 32 | low;
}
INLINE void cpuid(u32 leaf, u32 out[4])
{
    __asm__ volatile("cpuid" : "=a"(out[0]), "=b"(out[1]), "=c"(out[2]), "=d"(out[3]) : "a"(leaf), "c"(0));
}
#define CONTROL_REGISTER(name)                                                                    \
    INLINE word read_##name(void)                                                                 \
    {                                                                                             \
        word value;                                                                               \
        __asm__ volatile("mov %%" #name ", %0" : "=r"(value));                                    \
        return value;                                                                             \
    }                                                                                             \
    INLINE void write_##name(word value) { __asm__ volatile("mov %0, %%" #name : : "r"(value) : "memory"); }
CONTROL_REGISTER(cr0)
CONTROL_REGISTER(cr2)
CONTROL_REGISTER(cr3)
CONTROL_REGISTER(cr4)
CONTROL_REGISTER(dr0)
CONTROL_REGISTER(dr1)
CONTROL_REGISTER(dr2)
CONTROL_REGISTER(dr3)
CONTROL_REGISTER(dr6)
CONTROL_REGISTER(dr7)
INLINE word read_flags(void)
{
    word flags;
    __asm__ volatile("pushf; pop %0" : "=r"(flags));
    return flags;
}

/* The local APIC as the boot CPU finds it: xAPIC mode at its usual place. */
#define APIC_PAGE 0xfee00000u
INLINE u32 apic_get(u32 reg) { return *(volatile u32 *)(word)(APIC_PAGE + reg); }
INLINE void apic_set(u32 reg, u32 value) { *(volatile u32 *)(word)(APIC_PAGE + reg) = value; }

#endif
