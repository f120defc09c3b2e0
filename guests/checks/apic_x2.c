/* x2APIC mode: transitions, which registers exist and how, reserved bits, self IPI, logical ids. SDM 3A 11.12. */
#include "apic.h"

static void registers(void)
{
    static const u16 reserved[] = { 0x800, 0x801, 0x804, 0x807, 0x809, 0x80c, 0x80e, 0x829, 0x82e, 0x831, 0x83a, 0x83d };
    static const u16 read_only[] = { X2(ID), X2(VERSION), X2(PPR), X2(LDR), X2(ISR), X2(TMR), X2(IRR), X2(TMCCT) };
    static const u16 writable32[] = { X2(TPR), X2(SVR), X2(LVT_TIMER), X2(LVT_LINT0), X2(LVT_LINT1), X2(LVT_ERROR), X2(TMICT), X2(TDCR), X2(SELF_IPI) };
    u32 i;
    bool good;

    for (good = true, i = 0; i < sizeof(reserved) / 2; i++)
        if (!read_faults(reserved[i]) || !write_faults(reserved[i], 0)) {
            print("  register %x\n", (u64)reserved[i]);
            good = false;
        }
    check("registers that do not exist fault", good);
    for (good = true, i = 0; i < sizeof(read_only) / 2; i++)
        if (read_faults(read_only[i]) || !write_faults(read_only[i], 0)) {
            print("  register %x\n", (u64)read_only[i]);
            good = false;
        }
    check("writing a read-only register faults", good);
    check("reading a write-only register faults", read_faults(X2(EOI)) && read_faults(X2(SELF_IPI)));
    for (good = true, i = 0; i < sizeof(writable32) / 2; i++)
        if (!write_faults(writable32[i], 1ull << 32)) {
            print("  register %x\n", (u64)writable32[i]);
            good = false;
        }
    check("upper half of a 32-bit register is reserved", good);
    check("EOI takes 0 only", write_faults(X2(EOI), 1) && !write_faults(X2(EOI), 0));
    check("ESR takes 0 only", write_faults(X2(ESR), 1) && !write_faults(X2(ESR), 0));
    check("TPR: reserved bits", write_faults(X2(TPR), 0x100) && !write_faults(X2(TPR), 0xff));
    set(TPR, 0);
    check("SVR: reserved bits", write_faults(X2(SVR), 0x1ff | 1 << 10) && write_faults(X2(SVR), 0x1ff | 1u << 31));
    check("LVT timer: reserved bits", write_faults(X2(LVT_TIMER), MASKED | 1 << 8) && write_faults(X2(LVT_TIMER), MASKED | 1 << 13) &&
                                          write_faults(X2(LVT_TIMER), MASKED | 1 << 19));
    check("LVT LINT0: reserved bits", write_faults(X2(LVT_LINT0), MASKED | 1 << 11) && write_faults(X2(LVT_LINT0), MASKED | 1 << 17));
    check("LVT error: reserved bits", write_faults(X2(LVT_ERROR), MASKED | 1 << 8) && write_faults(X2(LVT_ERROR), MASKED | 1 << 13));
    check("divide configuration: reserved bits", write_faults(X2(TDCR), 4) && write_faults(X2(TDCR), 16) && !write_faults(X2(TDCR), 0xb));
    check("ICR: reserved bits", write_faults(X2(ICR), TO_SELF | 0x41 | 1 << 13) && write_faults(X2(ICR), TO_SELF | 0x41 | 1 << 20));
    check("self IPI: reserved bits", write_faults(X2(SELF_IPI), 0x141));
    check_value("LVT masked after all that", get(LVT_TIMER) & MASKED, MASKED);
}

static void interrupts(void)
{
    u32 id = (u32)rdmsr(X2(ID));
    u32 logical = (id >> 4) << 16 | 1u << (id & 15);

    restart_apic();
    check_value("logical id follows from the id", rdmsr(X2(LDR)), logical);
    wrmsr(X2(SELF_IPI), 0x41);
    check("self IPI register: pending", bit(IRR, 0x41));
    settle(10);
    check_value("self IPI register: delivered", count[0x41], 1);
    wrmsr(X2(SELF_IPI), 0x0f);
    check_value("self IPI register: illegal vector", latched_esr() & 0x20, 0x20);
    ipi(0, TO_SELF | ASSERT | 0x42);
    settle(10);
    check_value("ICR, self", count[0x42], 1);
    check_value("ICR reads back 64 bits", rdmsr(X2(ICR)), TO_SELF | ASSERT | 0x42);
    ipi(id, ASSERT | 0x43);
    settle(10);
    check_value("ICR, physical", count[0x43], 1);
    ipi(0xffffffff, ASSERT | 0x43);
    settle(10);
    check_value("ICR, broadcast", count[0x43], 2);
    ipi(id ^ 0x100, ASSERT | 0x43);
    settle(10);
    check_value("ICR, an id that differs in the upper bits", count[0x43], 2);
    ipi(logical, LOGICAL | ASSERT | 0x44);
    settle(10);
    check_value("ICR, logical", count[0x44], 1);
    ipi(logical | 0xffff, LOGICAL | ASSERT | 0x44);
    settle(10);
    check_value("ICR, logical, whole cluster", count[0x44], 2);
    ipi(logical ^ 0x00010000, LOGICAL | ASSERT | 0x44);
    settle(10);
    check_value("ICR, logical, another cluster", count[0x44], 2);
    ipi(0xffffffff, LOGICAL | ASSERT | 0x44);
    settle(10);
    check_value("ICR, logical, broadcast", count[0x44], 3);
    ipi(id, ASSERT | DELIVER_NMI);
    settle(10);
    check_value("ICR, NMI to oneself", count[NMI], 1);
    set(LVT_TIMER, 0x45);
    set(TDCR, 0xb);
    set(TMICT, 1000);
    check("timer", arrives(0x45, 1));
    restart_apic();
}

void x2apic_checks(void)
{
    u32 regs[4], version = get(VERSION);
    u64 base = rdmsr(MSR_APIC_BASE);

    cpuid(1, regs);
    if (!(regs[2] >> 21 & 1)) {
        skip("x2APIC");
        return;
    }
    check("x2APIC registers fault in xAPIC mode", read_faults(X2(VERSION)) && write_faults(X2(TPR), 0));
    set(TPR, 0x20);
    set(LVT_TIMER, MASKED | 0x47);
    check("xAPIC to x2APIC", !write_faults(MSR_APIC_BASE, base | BASE_EXTD));
    x2apic = true;
    check_value("state is kept: TPR", get(TPR), 0x20);
    check_value("state is kept: LVT", get(LVT_TIMER), MASKED | 0x47);
    check_value("state is kept: SVR", get(SVR), 0x1ff);
    check_value("version", get(VERSION), version);
    check_value("id", rdmsr(X2(ID)), my_id);
    check("the page is no longer the APIC", apic_get(VERSION) != version);
    set(TPR, 0);
    registers();
    interrupts();
    check("x2APIC to xAPIC in one step faults", write_faults(MSR_APIC_BASE, base));
    check("x2APIC with the enable bit clear faults", write_faults(MSR_APIC_BASE, (base & ~(u64)BASE_ENABLE) | BASE_EXTD));
    check("x2APIC to disabled", !write_faults(MSR_APIC_BASE, base & ~(u64)BASE_ENABLE));
    check("disabled: no x2APIC registers", read_faults(X2(VERSION)));
    check("disabled to x2APIC in one step faults", write_faults(MSR_APIC_BASE, base | BASE_EXTD));
    check("disabled to xAPIC", !write_faults(MSR_APIC_BASE, base));
    x2apic = false;
    check("back in xAPIC mode: reset state", get(VERSION) == version && get(SVR) == 0xff && get(TPR) == 0 && get(ID) >> 24 == my_id);
    restart_apic();
    self(0x41);
    settle(10);
    check_value("back in xAPIC mode: works", count[0x41], 1);
}
