/* The local APIC: access in both modes, enabling, and every way to send an interrupt. */
#include "apic.h"

bool x2apic;
static u64 apic_page;

/* xAPIC registers are 32-bit words 16 bytes apart; in x2APIC mode register 0xNN0 is MSR 0x8NN (SDM 3A 11.12.1). */
u32 apic_read(enum apic_register reg)
{
    if (x2apic)
        return (u32)rdmsr(0x800 + (reg >> 4));
    return *(volatile u32 *)(apic_page + reg);
}

void apic_write(enum apic_register reg, u32 value)
{
    if (x2apic)
        wrmsr(0x800 + (reg >> 4), value);
    else
        *(volatile u32 *)(apic_page + reg) = value;
}

/* ISR, TMR and IRR are 256 bits each in eight registers (SDM 3A 11.8.4). */
bool apic_test_bit(enum apic_register bank, u32 vector)
{
    return apic_read(bank + (vector / 32) * 16) >> (vector % 32) & 1;
}

u32 apic_id(void)
{
    u32 id = apic_read(APIC_ID);
    return x2apic ? id : id >> 24;
}

/*
 * The bit(s) that name a CPU in logical destination mode. Flat xAPIC has eight bits, set by
 * apic_enable(); CPUs beyond the eighth share them. In x2APIC mode the CPU derives the value from
 * its id: cluster in the upper half, one of 16 bits in the lower (SDM 3A 11.12.10.2).
 */
u32 apic_logical_id(const struct cpu *cpu)
{
    if (x2apic)
        return (cpu->apic_id >> 4) << 16 | 1u << (cpu->apic_id & 15);
    return 1u << (cpu->index & 7);
}

/* Once, on the boot CPU: x2APIC mode if it was asked for and there is one. */
void apic_choose_mode(void)
{
    u32 regs[4];
    cpuid(1, regs);
    apic_page = rdmsr(MSR_APIC_BASE) & 0xffffff000ul;
    if (!option("x2apic"))
        return;
    x2apic = regs[2] >> 21 & 1;
    if (!x2apic)
        info("x2apic: not offered by CPUID, staying in xAPIC mode\n");
}

/* On each CPU: hardware enable, mode, software enable, LVTs quiet. */
void apic_enable(void)
{
    u64 base = rdmsr(MSR_APIC_BASE) | 1 << 11;

    /* xAPIC first: going from disabled to x2APIC in one step is a general protection fault (SDM 3A 11.12.5). */
    wrmsr(MSR_APIC_BASE, base);
    if (x2apic)
        wrmsr(MSR_APIC_BASE, base | 1 << 10);
    else {
        apic_write(APIC_DFR, 0xffffffff); /* flat model */
        apic_write(APIC_LDR, 1u << ((this_cpu()->index & 7) + 24));
    }

    apic_write(APIC_TPR, 0);
    /* While the APIC is software-disabled all LVT entries are masked and stay so (SDM 3A 11.4.7.2): enable it first. */
    apic_write(APIC_SVR, 0x100 | VEC_SPURIOUS);
    apic_write(APIC_LVT_TIMER, LVT_MASKED);
    apic_write(APIC_LVT_LINT0, LVT_MASKED | LVT_EXTINT);
    apic_write(APIC_LVT_LINT1, LVT_MASKED | LVT_NMI);
    apic_write(APIC_ESR, 0);
    apic_write(APIC_LVT_ERROR, VEC_ERROR);
}

/* The end of an interrupt: clears the highest bit in ISR, and tells the I/O APIC if it was level-triggered. */
void eoi(void)
{
    apic_write(APIC_EOI, 0);
}

/*
 * Writing the low half sends. In xAPIC mode the command is two registers, so an interrupt handler
 * that sends between our two writes would change our destination: interrupts stay off. x2APIC has one
 * 64-bit MSR and no such gap, and no delivery status to wait for (SDM 3A 11.12.9).
 */
void icr_write(u32 destination, u32 low)
{
    u64 flags;
    u32 tries;

    if (x2apic) {
        __asm__ volatile("mfence; lfence" : : : "memory"); /* WRMSR to the APIC does not wait for earlier stores */
        wrmsr(0x830, (u64)destination << 32 | low);
        return;
    }
    flags = interrupts_save();
    for (tries = 0; apic_read(APIC_ICR_LOW) & ICR_SEND_PENDING; tries++) {
        if (tries == 1000000)
            fatal("ICR: the last command was never sent");
        pause();
    }
    apic_write(APIC_ICR_HIGH, destination << 24);
    apic_write(APIC_ICR_LOW, low);
    interrupts_restore(flags);
}

void send_fixed_ipi(const struct cpu *target, u8 vector)
{
    icr_write(target->apic_id, ICR_FIXED | ICR_ASSERT | vector);
}

void send_logical_ipi(u32 logical_destination, u8 vector, u32 mode)
{
    icr_write(logical_destination, mode | ICR_LOGICAL | ICR_ASSERT | vector);
}

void broadcast_ipi(u8 vector, bool including_self)
{
    icr_write(0, ICR_FIXED | ICR_ASSERT | (including_self ? ICR_TO_ALL : ICR_TO_OTHERS) | vector);
}

/* The vector field is ignored: an NMI is always vector 2. */
void send_nmi(const struct cpu *target)
{
    icr_write(target->apic_id, ICR_NMI | ICR_ASSERT);
}

void send_init(const struct cpu *target)
{
    icr_write(target->apic_id, ICR_INIT | ICR_ASSERT);
}

void send_startup(const struct cpu *target, u8 page)
{
    icr_write(target->apic_id, ICR_STARTUP | ICR_ASSERT | page);
}

/* x2APIC mode has a register of its own for this, without the cost of the ICR (SDM 3A 11.12.11). */
void self_ipi(u8 vector)
{
    if (x2apic)
        wrmsr(0x800 + (APIC_SELF_IPI >> 4), vector);
    else
        icr_write(0, ICR_FIXED | ICR_ASSERT | ICR_TO_SELF | vector);
}
