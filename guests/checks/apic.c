/*
 * The local APIC by the manual (SDM 3A chapter 11): registers and their reserved bits, priorities, errors, software
 * disable, NMI, relocation. Timer, x2APIC mode, I/O APIC and other CPUs have files of their own.
 */
#include "apic.h"

volatile u32 count[256];
volatile u8 order[64];
volatile u32 order_length;
void (*handler[256])(void);
bool x2apic;
u64 tsc_per_100us = 100000;
u32 my_id;

u32 get(u32 reg) { return x2apic ? (u32)rdmsr(X2(reg)) : apic_get(reg); }
void set(u32 reg, u32 value)
{
    if (x2apic)
        wrmsr(X2(reg), value);
    else
        apic_set(reg, value);
}
bool bit(u32 bank, u32 vector) { return get(bank + vector / 32 * 16) >> vector % 32 & 1; }

void ipi(u32 destination, u32 command)
{
    u32 tries;
    if (x2apic) {
        wrmsr(X2(ICR), (u64)destination << 32 | command);
        return;
    }
    apic_set(ICR_HIGH, destination << 24);
    apic_set(ICR, command);
    for (tries = 0; tries < 100000 && (apic_get(ICR) & 1 << 12); tries++)
        ;
}
void self(u32 vector) { ipi(0, TO_SELF | ASSERT | vector); }

void forget(void)
{
    u32 i;
    for (i = 0; i < 256; i++)
        count[i] = 0;
    order_length = 0;
}

/* Lets pending interrupts in for a moment. */
void window(void) { __asm__ volatile("sti; nop; nop; nop; nop; cli" : : : "memory"); }

/* Opens windows until a vector was delivered so often; false on time-out. */
bool arrives(u32 vector, u32 times)
{
    u64 start = rdtsc();
    u32 tries;
    for (tries = 0; count[vector] < times; tries++) {
        if (tries > 300000 && rdtsc() - start > 1000 * tsc_per_100us)
            return false;
        window();
        __asm__ volatile("pause");
    }
    return true;
}

/* Waits with windows open. */
void settle(u32 microseconds)
{
    u64 start = rdtsc();
    while (rdtsc() - start < tsc_per_100us * microseconds / 100)
        window();
}

/* The errors since the last call: a write latches and clears what was collected (SDM 3A 11.5.3). */
u32 latched_esr(void)
{
    set(ESR, 0);
    return get(ESR);
}

/* Every interrupt of the boot CPU comes here; faults do not, so that run() sees them. */
bool install_hooks(struct frame *frame)
{
    u32 vector = frame->vector;
    if (ap_frame(frame))
        return true;
    if ((vector < 15 && vector != NMI) || vector == AC || vector == USER_EXIT)
        return false;
    count[vector]++;
    if (order_length < sizeof(order))
        order[order_length++] = vector;
    if (handler[vector])
        handler[vector]();
    if (vector != NMI && bit(ISR, vector))
        set(EOI, 0);
    return true;
}

u32 msr_index, msr_low, msr_high;
CODE(do_wrmsr, "mov msr_index, %ecx; mov msr_low, %eax; mov msr_high, %edx", "wrmsr")
CODE(do_rdmsr, "mov msr_index, %ecx", "rdmsr; mov %eax, msr_low; mov %edx, msr_high")

bool write_faults(u32 msr, u64 value)
{
    msr_index = msr;
    msr_low = (u32)value;
    msr_high = value >> 32;
    return run(do_wrmsr) == GP && trap.error == 0;
}
bool read_faults(u32 msr)
{
    msr_index = msr;
    return run(do_rdmsr) == GP && trap.error == 0;
}

/* A known state: enabled, nothing pending, LVTs masked, flat mode. */
void restart_apic(void)
{
    u32 i, reg;
    set(SVR, 0x1ff);
    set(TPR, 0);
    set(TMICT, 0);
    for (reg = LVT_TIMER; reg <= LVT_ERROR; reg += 0x10)
        set(reg, MASKED);
    settle(10);
    for (i = 0; i < 256; i++)
        handler[i] = NULL;
    set(ESR, 0);
    set(ESR, 0);
    if (!x2apic) {
        set(DFR, 0xffffffff);
        set(LDR, 0x01000000);
    }
    forget();
}

/* ---- registers ---- */
static void registers(void)
{
    u32 regs[4], version, reg, timer_bits;
    u64 base = rdmsr(MSR_APIC_BASE);

    cpuid(1, regs);
    check("IA32_APIC_BASE: enabled, boot CPU", (base & (BASE_ENABLE | BASE_BSP | BASE_EXTD)) == (BASE_ENABLE | BASE_BSP));
    check_value("IA32_APIC_BASE: address", base & 0xffffff000, APIC_PAGE);
    my_id = get(ID) >> 24;
    check_value("ID is CPUID's", my_id, regs[1] >> 24);
    version = get(VERSION);
    check("version of an integrated APIC", (version & 0xff) >= 0x10 && (version & 0xff) <= 0x15);
    check("at least four LVT entries", (version >> 16 & 0xff) >= 3 && (version >> 16 & 0xff) <= 6);

    restart_apic();
    set(TPR, 0xffffffff);
    check_value("TPR: 8 bits", get(TPR), 0xff);
    set(TPR, 0);
    set(LDR, 0xffffffff);
    check_value("LDR: upper 8 bits", get(LDR), 0xff000000);
    set(DFR, 0);
    check_value("DFR: lower 28 bits read as 1", get(DFR), 0x0fffffff);
    set(DFR, 0xffffffff);
    set(SVR, 0x1ff);
    check_value("SVR", get(SVR), 0x1ff);
    set(SVR, 0xfffff1ff & ~(1u << 12));
    check_value("SVR: reserved bits", get(SVR) & ~(1u << 9), 0x1ff);
    set(SVR, 0x1ff);
    set(LVT_TIMER, 0xfff9ffff);
    check_value("LVT timer: reserved and read-only bits", get(LVT_TIMER), 0x000100ff);
    timer_bits = regs[2] >> 24 & 1 ? DEADLINE : 0;
    set(LVT_TIMER, MASKED | DEADLINE | 0x40);
    check_value("LVT timer: TSC-deadline bit only if CPUID has it", get(LVT_TIMER), MASKED | timer_bits | 0x40);
    set(LVT_TIMER, MASKED);
    set(LVT_LINT0, 0xffffffff);
    check_value("LVT LINT0: reserved and read-only bits", get(LVT_LINT0), 0x0001a7ff);
    set(LVT_LINT1, 0xfffffcff);
    check_value("LVT LINT1: reserved and read-only bits", get(LVT_LINT1), 0x0001a4ff);
    set(LVT_ERROR, 0xffffffff);
    check_value("LVT error: vector and mask", get(LVT_ERROR), 0x000100ff);
    if ((version >> 16 & 0xff) >= 4) {
        set(LVT_PMC, 0xfffffcff);
        check_value("LVT performance: reserved and read-only bits", get(LVT_PMC), 0x000104ff);
    }
    if ((version >> 16 & 0xff) >= 5) {
        set(LVT_THERMAL, 0xfffffcff);
        check_value("LVT thermal: reserved and read-only bits", get(LVT_THERMAL), 0x000104ff);
    }
    for (reg = LVT_TIMER; reg <= LVT_ERROR; reg += 0x10)
        set(reg, MASKED);
    set(TDCR, 0xffffffff);
    check_value("divide configuration: bits 3, 1, 0", get(TDCR), 0xb);
    set(TMICT, 0);
    set(TMCCT, 0x1234);
    check_value("current count is read-only", get(TMCCT), 0);
    set(ISR + 0x70, 0xffffffff);
    set(IRR + 0x70, 0xffffffff);
    set(TMR + 0x70, 0xffffffff);
    check("ISR, IRR, TMR are read-only", !get(ISR + 0x70) && !get(IRR + 0x70) && !get(TMR + 0x70));
    set(PPR, 0xff);
    check_value("PPR is read-only", get(PPR), 0);
    set(ICR_HIGH, 0xffffffff);
    check_value("ICR, upper half: destination only", get(ICR_HIGH), 0xff000000);
    ipi(0, TO_SELF | ASSERT | 0x41);
    check_value("ICR reads back, delivery status idle", get(ICR), TO_SELF | ASSERT | 0x41);
    settle(10);
}

/* ---- errors ---- */
static u32 esr_in_handler;
static void on_error(void) { esr_in_handler = latched_esr(); }

static void errors(void)
{
    restart_apic();
    check_value("ESR clear", latched_esr(), 0);
    self(0x0f);
    check_value("ESR does not change before it is written", get(ESR), 0);
    check_value("send illegal vector", latched_esr() & 0x20, 0x20);
    check_value("a second write clears ESR", latched_esr(), 0);
    check("an illegal vector is not delivered", !bit(IRR, 0x0f));
    forget();
    window();
    check_value("... nor counted", count[0x0f], 0);
    self(0x10);
    check("vector 16 is legal", latched_esr() == 0 && bit(IRR, 0x10));

    restart_apic();
    (void)get(0x40);
    check_value("read of a reserved register", latched_esr(), 0x80);
    set(0x40, 0);
    check_value("write of a reserved register", latched_esr(), 0x80);

    restart_apic();
    set(LVT_TIMER, 0x0f);
    set(TDCR, 0xb);
    set(TMICT, 100);
    settle(100);
    set(LVT_TIMER, MASKED);
    check_value("LVT with an illegal vector: receive illegal vector", latched_esr() & 0x40, 0x40);

    restart_apic();
    handler[0xfe] = on_error;
    set(LVT_ERROR, 0xfe);
    esr_in_handler = 0;
    self(0x0f);
    check("error LVT delivers", arrives(0xfe, 1));
    check_value("ESR in its handler", esr_in_handler & 0x20, 0x20);
    set(LVT_ERROR, MASKED | 0xfe);
    forget();
    self(0x0f);
    settle(20);
    check_value("error LVT masked", count[0xfe], 0);
    latched_esr();
}

/* ---- priorities ---- */
static u32 ppr_seen, waited;
static void in_45(void)
{
    ppr_seen = get(PPR);
    self(0x4f);
    window();
    waited = count[0x4f] == 0 && bit(IRR, 0x4f);
    self(0x41);
    window();
    waited |= (count[0x41] == 0) << 1;
    self(0x51);
    window();
    waited |= (count[0x51] == 1) << 2;
}
static void in_61(void)
{
    handler[0x61] = NULL;
    self(0x61);
    self(0x61);
    waited = bit(ISR, 0x61) && bit(IRR, 0x61);
}

static bool ordered(const char *name, const u8 *want, u32 length)
{
    u32 i;
    bool good = order_length == length;
    for (i = 0; good && i < length; i++)
        good = order[i] == want[i];
    if (!check(name, good)) {
        print("  got");
        for (i = 0; i < order_length; i++)
            print(" %x", (u64)order[i]);
        print("\n");
    }
    return good;
}

static void priorities(void)
{
    static const u8 by_class[] = { 0x45, 0x51, 0x4f, 0x41 };
    static const u8 descending[] = { 0xe5, 0x62, 0x61, 0x33 };
    static const u8 threshold[] = { 0x71 };

    restart_apic();
    set(TPR, 0x35);
    check_value("PPR is TPR if nothing is in service", get(PPR), 0x35);
    set(TPR, 0);
    handler[0x45] = in_45;
    self(0x45);
    check("delivered", arrives(0x45, 1));
    check_value("PPR: class of the vector in service", ppr_seen, 0x40);
    check_value("its class and below wait, the class above does not", waited, 7);
    settle(20);
    ordered("order: higher class nests, the same class follows the EOI, highest vector first", by_class, sizeof(by_class));

    restart_apic();
    handler[0x45] = in_45;
    set(TPR, 0x4c);
    self(0x45);
    window();
    check("TPR holds back its own class", count[0x45] == 0 && bit(IRR, 0x45));
    set(TPR, 0x3f);
    window();
    check_value("TPR of the class below does not", count[0x45], 1);
    settle(20);

    restart_apic();
    handler[0x45] = NULL;
    self(0x33);
    self(0xe5);
    self(0x61);
    self(0x62);
    settle(20);
    ordered("pending interrupts come highest first", descending, sizeof(descending));

    restart_apic();
    set(TPR, 0x70);
    self(0x71);
    self(0x81);
    settle(10);
    check("only the class above TPR", count[0x81] == 1 && count[0x71] == 0);
    forget();
    __asm__ volatile("mov %0, %%cr8" : : "r"(6ul));
    settle(10);
    ordered("lowering CR8 lets it in", threshold, sizeof(threshold));
    check_value("CR8 writes TPR", get(TPR), 0x60);
    set(TPR, 0xa7);
    {
        word cr8;
        __asm__ volatile("mov %%cr8, %0" : "=r"(cr8));
        check_value("CR8 reads TPR's class", cr8, 0xa);
    }
    set(TPR, 0);

    restart_apic();
    self(0x61);
    self(0x61);
    settle(10);
    check_value("two of a vector before delivery are one", count[0x61], 1);
    forget();
    handler[0x61] = in_61;
    self(0x61);
    settle(10);
    check("one in service, one pending", waited);
    check_value("... and no third", count[0x61], 2);

    set(EOI, 0);
    check_value("EOI with nothing in service does nothing", get(PPR), 0);
    set(TPR, 0);
}

/* ---- software disable (SDM 3A 11.4.7.2) ---- */
static void software_disable(void)
{
    u32 reg;
    bool masked = true;

    restart_apic();
    set(LVT_TIMER, 0x40);
    set(LVT_LINT1, 0x400);
    set(LVT_ERROR, 0xfe);
    set(SVR, 0xff);
    for (reg = LVT_TIMER; reg <= LVT_ERROR; reg += 0x10)
        masked = masked && (get(reg) & MASKED);
    check("software disable masks all LVTs", masked);
    set(LVT_TIMER, 0x40);
    check_value("... and they cannot be unmasked", get(LVT_TIMER), MASKED | 0x40);
    self(0x41);
    settle(10);
    check("software-disabled: fixed interrupts are not accepted", count[0x41] == 0 && !bit(IRR, 0x41));
    ipi(my_id, ASSERT | DELIVER_NMI);
    settle(10);
    check_value("software-disabled: NMI is accepted", count[NMI], 1);
    set(SVR, 0x1ff);
    check_value("enabled again: masks stay", get(LVT_TIMER), MASKED | 0x40);
    settle(10);
    check_value("... and what was sent is lost", count[0x41], 0);

    restart_apic();
    self(0x41);
    set(SVR, 0xff);
    check("pending interrupts stay pending when disabled", bit(IRR, 0x41));
    set(SVR, 0x1ff);
    settle(10);
    check_value("... and are delivered in the end", count[0x41], 1);
}

/* ---- destinations, one CPU ---- */
static void hits(const char *name, u32 destination, u32 command, bool expected)
{
    forget();
    ipi(destination, command | ASSERT | 0x41);
    settle(10);
    check_value(name, count[0x41], expected);
}

static void destinations(void)
{
    restart_apic();
    hits("physical: own id", my_id, 0, true);
    hits("physical: another id", my_id ^ 0x0e, 0, false);
    hits("physical: broadcast", 0xff, 0, true);
    hits("shorthand: all", 0, TO_ALL, true);
    hits("shorthand: others", 0, TO_OTHERS, false);
    set(LDR, 0x02000000);
    hits("flat: own bit", 0x02, LOGICAL, true);
    hits("flat: own bit among others", 0x83, LOGICAL, true);
    hits("flat: other bits", 0xfd, LOGICAL, false);
    hits("flat: broadcast", 0xff, LOGICAL, true);
    set(DFR, 0x0fffffff);
    set(LDR, 0x21000000);
    hits("cluster: own cluster and bit", 0x21, LOGICAL, true);
    hits("cluster: all of the cluster", 0x2f, LOGICAL, true);
    hits("cluster: other bit", 0x22, LOGICAL, false);
    hits("cluster: other cluster", 0x11, LOGICAL, false);
    hits("cluster: broadcast", 0xff, LOGICAL, true);
    hits("cluster: lowest priority", 0x21, LOGICAL | LOWEST, true);
    restart_apic();
}

/* ---- NMI ---- */
static u32 nmi_nested;
static void nmi_twice(void)
{
    handler[NMI] = NULL;
    ipi(my_id, ASSERT | DELIVER_NMI);
    ipi(my_id, ASSERT | DELIVER_NMI);
    settle(10);
    nmi_nested = count[NMI];
}
/* The IRET of any handler ends the blocking, also that of a breakpoint within the NMI handler (SDM 3A 6.7.1). */
static void nmi_breakpoint(void)
{
    handler[NMI] = NULL;
    ipi(my_id, ASSERT | DELIVER_NMI);
    settle(5);
    nmi_nested = count[NMI];
    __asm__ volatile("int $0x42");
    nmi_nested |= count[NMI] << 8;
}
static void eoi_nothing(void) {}

static void nmis(void)
{
    restart_apic();
    set(TPR, 0xff);
    ipi(my_id, ASSERT | DELIVER_NMI | 0x55);
    __asm__ volatile("nop; nop; nop; nop" : : : "memory");
    check_value("NMI ignores IF, TPR and its vector field", count[NMI], 1);
    set(TPR, 0);
    forget();
    handler[NMI] = nmi_twice;
    ipi(my_id, ASSERT | DELIVER_NMI);
    settle(10);
    check_value("NMIs are blocked in an NMI handler", nmi_nested, 1);
    check_value("... one is kept", count[NMI], 2);
    forget();
    handler[NMI] = nmi_breakpoint;
    handler[0x42] = eoi_nothing;
    ipi(my_id, ASSERT | DELIVER_NMI);
    settle(10);
    check_value("IRET of a nested handler unblocks NMIs", nmi_nested, 0x201);
    set(LVT_LINT1, 0x400);
    check_value("LVT in NMI mode keeps no vector of its own", get(LVT_LINT1), 0x400);
    set(LVT_LINT1, MASKED);
    restart_apic();
}

/* ---- IA32_APIC_BASE ---- */
static void base_register(void)
{
    u64 base = rdmsr(MSR_APIC_BASE);
    u32 regs[4], version = get(VERSION), width;

    check("reserved low bits", write_faults(MSR_APIC_BASE, base | 1) && write_faults(MSR_APIC_BASE, base | 1 << 9));
    cpuid(0x80000008, regs);
    width = regs[0] & 0xff;
    check("address bits beyond the physical address", write_faults(MSR_APIC_BASE, base | 1ull << (width < 52 ? width : 52)));
    cpuid(1, regs);
    check("disabled with EXTD set", write_faults(MSR_APIC_BASE, (base & ~(u64)BASE_ENABLE) | BASE_EXTD));
    if (!(regs[2] >> 21 & 1))
        check("EXTD without x2APIC", write_faults(MSR_APIC_BASE, base | BASE_EXTD));

    wrmsr(MSR_APIC_BASE, (base & 0xfff) | 0xfe100000);
    check_value("moved: registers at the new address", *(volatile u32 *)(0xfe100000ul + VERSION), version);
    check("moved: not at the old one", apic_get(VERSION) != version);
    wrmsr(MSR_APIC_BASE, base);
    check_value("moved back", apic_get(VERSION), version);

    set(TPR, 0x50);
    set(LDR, 0x0f000000);
    wrmsr(MSR_APIC_BASE, base & ~(u64)BASE_ENABLE);
    cpuid(1, regs);
    check("disabled: CPUID shows no APIC", !(regs[3] >> 9 & 1));
    check("disabled: no registers", apic_get(VERSION) != version);
    wrmsr(MSR_APIC_BASE, base);
    cpuid(1, regs);
    check("enabled: CPUID shows it", regs[3] >> 9 & 1);
    check("enabled: reset state", get(TPR) == 0 && get(SVR) == 0xff && get(LDR) == 0 && get(DFR) == 0xffffffff && get(LVT_TIMER) == MASKED &&
                                      get(LVT_LINT0) == MASKED && get(ID) >> 24 == my_id);
    restart_apic();
}

/* How long a moment is: 100 us by the PIT's second channel. */
static void calibrate(void)
{
    u32 tries;
    u64 start;
    outb(0x61, (inb(0x61) & ~2) | 1);
    outb(0x43, 0xb0);
    outb(0x42, 0xa9); /* 1193 counts are 1 ms */
    outb(0x42, 0x04);
    start = rdtsc();
    for (tries = 0; tries < 10000000 && !(inb(0x61) & 0x20); tries++)
        ;
    start = (rdtsc() - start) / 10;
    if (start > 100)
        tsc_per_100us = start;
}

void check_main(void)
{
    calibrate();
    trap_hook = install_hooks;
    registers();
    errors();
    priorities();
    software_disable();
    destinations();
    nmis();
    timer_checks();
    ioapic_checks();
    smp_checks();
    x2apic_checks();
    base_register();
}
