/* The local APIC: registers by their offset in the xAPIC page (SDM 3A 11.4.1, table 11-1). */
#ifndef SMP_APIC_H
#define SMP_APIC_H

#include "cpu.h"

enum apic_register {
    APIC_ID = 0x20,
    APIC_VERSION = 0x30,
    APIC_TPR = 0x80,
    APIC_PPR = 0xa0,
    APIC_EOI = 0xb0,
    APIC_LDR = 0xd0,
    APIC_DFR = 0xe0,
    APIC_SVR = 0xf0,
    APIC_ISR = 0x100,
    APIC_TMR = 0x180,
    APIC_IRR = 0x200,
    APIC_ESR = 0x280,
    APIC_ICR_LOW = 0x300,
    APIC_ICR_HIGH = 0x310,
    APIC_LVT_TIMER = 0x320,
    APIC_LVT_THERMAL = 0x330,
    APIC_LVT_PMC = 0x340,
    APIC_LVT_LINT0 = 0x350,
    APIC_LVT_LINT1 = 0x360,
    APIC_LVT_ERROR = 0x370,
    APIC_TIMER_INITIAL = 0x380,
    APIC_TIMER_CURRENT = 0x390,
    APIC_TIMER_DIVIDE = 0x3e0,
    APIC_SELF_IPI = 0x3f0, /* x2APIC mode only */
};

/* Interrupt command register, low half (SDM 3A 11.6.1). */
#define ICR_FIXED (0u << 8)
#define ICR_LOWEST_PRIORITY (1u << 8)
#define ICR_NMI (4u << 8)
#define ICR_INIT (5u << 8)
#define ICR_STARTUP (6u << 8)
#define ICR_LOGICAL (1u << 11)
#define ICR_SEND_PENDING (1u << 12)
#define ICR_ASSERT (1u << 14)
#define ICR_TO_SELF (1u << 18)
#define ICR_TO_ALL (2u << 18)
#define ICR_TO_OTHERS (3u << 18)

/* Local vector table (SDM 3A 11.5.1). */
#define LVT_NMI (4u << 8)
#define LVT_EXTINT (7u << 8)
#define LVT_MASKED (1u << 16)
#define LVT_TIMER_ONESHOT (0u << 17)
#define LVT_TIMER_PERIODIC (1u << 17)
#define LVT_TIMER_TSC_DEADLINE (2u << 17)

#define TIMER_DIVIDE_BY_16 3

#define MSR_APIC_BASE 0x1b
#define MSR_TSC_DEADLINE 0x6e0

extern bool x2apic;

u32 apic_read(enum apic_register reg);
void apic_write(enum apic_register reg, u32 value);
bool apic_test_bit(enum apic_register bank, u32 vector);
u32 apic_id(void);
u32 apic_logical_id(const struct cpu *cpu);
void apic_choose_mode(void);
void apic_enable(void);
void eoi(void);

void icr_write(u32 destination, u32 low);
void send_fixed_ipi(const struct cpu *target, u8 vector);
void send_logical_ipi(u32 logical_destination, u8 vector, u32 mode);
void broadcast_ipi(u8 vector, bool including_self);
void send_nmi(const struct cpu *target);
void send_init(const struct cpu *target);
void send_startup(const struct cpu *target, u8 page);
void self_ipi(u8 vector);

/* acpi.c: what firmware says of the board. */
struct board {
    const char *source;
    u64 local_apic;
    u64 io_apic;       /* 0: none */
    u32 io_apic_gsi;   /* first global system interrupt of that I/O APIC */
    struct {
        u32 gsi;
        u16 flags;     /* MPS INTI flags: polarity in bits 1:0, trigger mode in bits 3:2 */
    } isa[16];         /* where each ISA interrupt really arrives */
};
extern struct board board;
void find_cpus(void);

/* ioapic.c */
#define IOAPIC_LEVEL (1u << 15)
#define IOAPIC_REMOTE_IRR (1u << 14)
#define IOAPIC_ACTIVE_LOW (1u << 13)
#define IOAPIC_MASKED (1u << 16)
void ioapic_init(void);
u32 ioapic_pins(void);
void ioapic_route(u32 gsi, u8 vector, const struct cpu *target, u32 mode);
void ioapic_mask(u32 gsi);
u32 ioapic_entry(u32 gsi);

#endif
