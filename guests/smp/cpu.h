/*
 * Types, privileged instructions and per-CPU data shared by the whole kernel.
 *
 * "SDM" in comments is the Intel 64 and IA-32 Architectures Software Developer's
 * Manual; "SDM 3A 11.5.1" is volume 3A, section 11.5.1 (the APIC chapter is 11 in
 * editions since 2022; older editions number it 10).
 */
#ifndef SMP_CPU_H
#define SMP_CPU_H

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;
typedef _Bool bool;
#define true 1
#define false 0
#define NULL ((void *)0)

#define MAX_CPUS 64
#define CPU_STACK_SIZE 16384

/* Selectors in the GDT of percpu.c. */
#define SEL_CODE64 0x08
#define SEL_DATA 0x10
#define SEL_CODE32 0x18
#define SEL_TSS(cpu) (0x20 + 16 * (cpu))

/* Stacks the CPU switches to by itself (IST, SDM 3A 6.14.5). */
#define IST_NMI 1
#define IST_DOUBLE_FAULT 2

/* Who handles what. The upper four bits of a vector are its priority class (SDM 3A 11.8.3). */
#define VEC_NMI 2
#define VEC_TIMER 0x20      /* LVT timer of each CPU */
#define VEC_PIC 0x28        /* 8259 pair: IRQ 0..7 here, 8..15 above */
#define VEC_LINE 0x38       /* I/O APIC, edge */
#define VEC_LEVEL 0x39      /* I/O APIC, level */
#define VEC_MSI 0x48        /* message signalled interrupt of a PCI device */
#define VEC_LOWEST 0x51     /* lowest-priority IPI */
#define VEC_NEST_LOW 0x61   /* nesting: waits for the end of VEC_NEST */
#define VEC_NEST 0x71       /* nesting: the interrupted handler */
#define VEC_NEST_HIGH 0x81  /* nesting: interrupts VEC_NEST */
#define VEC_IPI 0xf0        /* fixed IPI to one CPU */
#define VEC_BROADCAST 0xf1  /* IPI by shorthand */
#define VEC_SELF 0xf2       /* IPI to oneself */
#define VEC_WAKE 0xf3       /* wakes an idle CPU that has work */
#define VEC_LOGICAL 0xf4    /* IPI to a logical destination */
#define VEC_ERROR 0xfe      /* LVT error */
#define VEC_SPURIOUS 0xff

/* What idt_entry.S leaves on the stack, lowest address first. */
struct frame {
    u64 r15, r14, r13, r12, r11, r10, r9, r8, rbp, rdi, rsi, rdx, rcx, rbx, rax;
    u64 vector, error;
    u64 rip, cs, rflags, rsp, ss;
};

struct cpu {
    struct cpu *self; /* at GS:0, see this_cpu() */
    u32 index;
    u32 apic_id;
    volatile u32 online;
    volatile u32 count[256];      /* deliveries by vector */
    const char *volatile problem; /* first thing a handler on this CPU found wrong */
    volatile u32 problem_vector;
    void (*volatile work)(void);  /* what cpu_idle runs next */
    volatile u32 work_done;
    volatile u64 nmi_stack;       /* RSP seen by the last NMI handler */
    volatile u32 nest_trace;      /* vectors of the nesting test in order, a byte each */
};

extern struct cpu cpus[MAX_CPUS];
extern u32 cpu_count;
extern u8 cpu_stacks[MAX_CPUS][CPU_STACK_SIZE];

#define INLINE static inline __attribute__((always_inline))

INLINE void outb(u16 port, u8 value) { __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port)); }
INLINE void outl(u16 port, u32 value) { __asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port)); }
INLINE u8 inb(u16 port)
{
    u8 value;
    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}
INLINE u32 inl(u16 port)
{
    u32 value;
    __asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
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
INLINE void pause(void) { __asm__ volatile("pause" : : : "memory"); }
INLINE void interrupts_on(void) { __asm__ volatile("sti" : : : "memory"); }
INLINE void interrupts_off(void) { __asm__ volatile("cli" : : : "memory"); }
INLINE u64 interrupts_save(void)
{
    u64 flags;
    __asm__ volatile("pushfq; popq %0; cli" : "=r"(flags) : : "memory");
    return flags;
}
INLINE void interrupts_restore(u64 flags)
{
    if (flags & 0x200)
        interrupts_on();
}
/* STI holds interrupts off until after the next instruction, so no wake-up can be lost between the two. */
INLINE void sti_hlt(void) { __asm__ volatile("sti; hlt" : : : "memory"); }

INLINE struct cpu *this_cpu(void)
{
    struct cpu *self;
    __asm__ volatile("movq %%gs:0, %0" : "=r"(self));
    return self;
}

/* percpu.c */
void percpu_init(u32 index);
void cpu_idle(void);

/* idt.c */
void idt_init(void);
void idt_load(void);
void interrupt_dispatch(struct frame *frame);
void report_problem(const char *what, u32 vector);
extern volatile bool level_line_stuck_once;
extern volatile u32 level_line_remote_irr;
extern void (*volatile timer_hook)(void);

/* serial.c */
void serial_init(void);
void print(const char *format, ...);
void info(const char *format, ...);
void fatal(const char *format, ...) __attribute__((noreturn));
void machine_exit(u32 status) __attribute__((noreturn));
extern bool quiet;

/* time.c */
void calibrate(void);
void delay_us(u32 microseconds);
bool wait_count(volatile u32 *counter, u32 at_least);
void pit_channel0_oneshot(u16 count);
void pit_channel0_stop(void);
extern u64 tsc_per_ms;
extern u32 apic_ticks_per_ms;

/* smp.c */
u32 start_aps(void);
void ap_main(struct cpu *cpu) __attribute__((noreturn));

/* pic.c */
void pic_init(void);
void pic_unmask(u8 irq);
void pic_mask_all(void);
void pic_eoi(u8 irq);

/* pci.c */
struct msi_device {
    const char *name;
    u32 config;          /* configuration address of its function 0 */
    u64 bar;             /* where its registers are */
    u32 raise_offset;    /* a dword written here raises the interrupt */
    u32 acknowledge_offset;
    bool needs_acknowledge;
};
bool pci_find_msi_device(struct msi_device *device);
bool pci_program_msi(const struct msi_device *device, u64 address, u32 data);
void msi_trigger(const struct msi_device *device);
void msi_acknowledge(const struct msi_device *device);

/* tests.c */
u32 run_tests(void);
void run_loop(void) __attribute__((noreturn));

/* bootinfo.c */
void bootinfo_parse(void);
bool option(const char *word);
extern u64 bootinfo_rsdp;
extern const char *bootinfo_protocol;

#endif
