#ifndef CHECKS_APIC_H
#define CHECKS_APIC_H

#include "rt.h"

/* Local APIC registers by their offset in the xAPIC page (SDM 3A table 11-1). */
enum {
    ID = 0x20,
    VERSION = 0x30,
    TPR = 0x80,
    PPR = 0xa0,
    EOI = 0xb0,
    LDR = 0xd0,
    DFR = 0xe0,
    SVR = 0xf0,
    ISR = 0x100,
    TMR = 0x180,
    IRR = 0x200,
    ESR = 0x280,
    ICR = 0x300,
    ICR_HIGH = 0x310,
    LVT_TIMER = 0x320,
    LVT_THERMAL = 0x330,
    LVT_PMC = 0x340,
    LVT_LINT0 = 0x350,
    LVT_LINT1 = 0x360,
    LVT_ERROR = 0x370,
    TMICT = 0x380,
    TMCCT = 0x390,
    TDCR = 0x3e0,
    SELF_IPI = 0x3f0,
};

#define MASKED (1u << 16)
#define PERIODIC (1u << 17)
#define DEADLINE (2u << 17)
#define ASSERT (1u << 14)
#define TO_SELF (1u << 18)
#define TO_ALL (2u << 18)
#define TO_OTHERS (3u << 18)
#define LOGICAL (1u << 11)
#define LOWEST (1u << 8)
#define DELIVER_NMI (4u << 8)
#define DELIVER_INIT (5u << 8)
#define DELIVER_STARTUP (6u << 8)

#define MSR_APIC_BASE 0x1b
#define BASE_BSP (1u << 8)
#define BASE_EXTD (1u << 10)
#define BASE_ENABLE (1u << 11)
#define MSR_DEADLINE 0x6e0
#define X2(reg) (0x800 + ((reg) >> 4))

/* Interrupts on the boot CPU: how many, in which order, and what a vector's handler does before its EOI. */
extern volatile u32 count[256];
extern volatile u8 order[64];
extern volatile u32 order_length;
extern void (*handler[256])(void);
extern bool x2apic; /* how the helpers below reach the APIC now */

u32 get(u32 reg);
void set(u32 reg, u32 value);
bool bit(u32 bank, u32 vector);
void ipi(u32 destination, u32 command);
void self(u32 vector);
void forget(void);
void window(void);
bool arrives(u32 vector, u32 times);
void settle(u32 microseconds);
u32 latched_esr(void);
void restart_apic(void);
bool write_faults(u32 msr, u64 value);
bool read_faults(u32 msr);
extern u64 tsc_per_100us;
extern u32 my_id;

bool install_hooks(struct frame *frame);
void timer_checks(void);
void x2apic_checks(void);
void ioapic_checks(void);
void smp_checks(void);
bool ap_frame(struct frame *frame);

#endif
