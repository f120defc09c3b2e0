/* Every way an interrupt can come to a CPU, each proven by counts and by what the handlers saw. */
#include "apic.h"

static const char *detail;
static u32 detail_cpu, detail_value;

/* Notes why a step failed; returns false so that a step can return it. */
static bool explain(const char *what, u32 cpu, u32 value)
{
    detail = what;
    detail_cpu = cpu;
    detail_value = value;
    return false;
}

static void forget_counts(void)
{
    u32 cpu, vector;
    for (cpu = 0; cpu < cpu_count; cpu++)
        for (vector = 0; vector < 256; vector++)
            cpus[cpu].count[vector] = 0;
}

/* Waits for one more delivery on a CPU. */
static bool arrives(u32 cpu, u32 vector)
{
    return wait_count(&cpus[cpu].count[vector], 1) || explain("time-out: not delivered, vector", cpu, vector);
}

/* True if each CPU in the set (a bit each) had the vector exactly once and no other CPU had it. */
static bool exactly_once(u64 set, u32 vector)
{
    u32 cpu;
    for (cpu = 0; cpu < cpu_count; cpu++)
        if ((set >> cpu & 1) && !arrives(cpu, vector))
            return false;
    delay_us(20);
    for (cpu = 0; cpu < cpu_count; cpu++)
        if (cpus[cpu].count[vector] != (set >> cpu & 1))
            return explain("deliveries", cpu, cpus[cpu].count[vector]);
    return true;
}

static u64 all_cpus(void)
{
    return cpu_count == 64 ? ~0ul : (1ul << cpu_count) - 1;
}

/* Runs a function on every CPU at once, ours included. */
static bool run_everywhere(void (*work)(void))
{
    u32 i;
    for (i = 1; i < cpu_count; i++) {
        cpus[i].work_done = 0;
        cpus[i].work = work;
        send_fixed_ipi(&cpus[i], VEC_WAKE);
    }
    work();
    for (i = 1; i < cpu_count; i++)
        if (!wait_count(&cpus[i].work_done, 1))
            return explain("time-out: work not finished", i, 0);
    return true;
}

static bool start_aps_test(void)
{
    u32 started = start_aps();
    return started == cpu_count - 1 || explain("CPUs that came up", 0, started);
}

/* An interrupt that may not be delivered yet waits in IRR; delivery moves it to ISR (the handler looks there). */
static bool irr_isr_test(void)
{
    bool pending;
    interrupts_off();
    self_ipi(VEC_SELF);
    delay_us(5);
    pending = apic_test_bit(APIC_IRR, VEC_SELF);
    if (cpus[0].count[VEC_SELF])
        return explain("delivered with interrupts off, vector", 0, VEC_SELF);
    interrupts_on();
    if (!arrives(0, VEC_SELF))
        return false;
    if (!pending)
        return explain("no bit in IRR for vector", 0, VEC_SELF);
    return !apic_test_bit(APIC_IRR, VEC_SELF) || explain("IRR kept its bit of vector", 0, VEC_SELF);
}

/* The task priority holds back its own class and all below (SDM 3A 11.8.3.1). */
static bool task_priority_test(void)
{
    apic_write(APIC_TPR, 0x70);
    self_ipi(VEC_NEST_LOW);
    delay_us(5);
    if (cpus[0].count[VEC_NEST_LOW] || !apic_test_bit(APIC_IRR, VEC_NEST_LOW)) {
        apic_write(APIC_TPR, 0);
        return explain("task priority did not hold back vector", 0, VEC_NEST_LOW);
    }
    self_ipi(VEC_NEST_HIGH);
    if (!arrives(0, VEC_NEST_HIGH))
        return false;
    apic_write(APIC_TPR, 0);
    return arrives(0, VEC_NEST_LOW);
}

static bool nesting_test(void)
{
    cpus[0].nest_trace = 0;
    self_ipi(VEC_NEST);
    if (!arrives(0, VEC_NEST_LOW))
        return false;
    return cpus[0].nest_trace == (VEC_NEST << 24 | VEC_NEST_HIGH << 16 | 0xee << 8 | VEC_NEST_LOW) ||
           explain("wrong order, last vectors", 0, cpus[0].nest_trace);
}

static bool fixed_ipi_test(void)
{
    send_fixed_ipi(&cpus[1], VEC_IPI);
    return exactly_once(1ul << 1, VEC_IPI);
}

static bool fixed_ipi_everywhere_test(void)
{
    u32 i;
    for (i = 0; i < cpu_count; i++) {
        forget_counts();
        send_fixed_ipi(&cpus[i], VEC_IPI);
        if (!exactly_once(1ul << i, VEC_IPI))
            return false;
    }
    return true;
}

static bool broadcast_others_test(void)
{
    broadcast_ipi(VEC_BROADCAST, false);
    return exactly_once(all_cpus() & ~1ul, VEC_BROADCAST);
}

static bool broadcast_all_test(void)
{
    broadcast_ipi(VEC_BROADCAST, true);
    return exactly_once(all_cpus(), VEC_BROADCAST);
}

static bool nmi_test(void)
{
    u64 low = (u64)cpu_stacks[1];
    send_nmi(&cpus[1]);
    if (!exactly_once(1ul << 1, VEC_NMI))
        return false;
    return (cpus[1].nmi_stack >= low && cpus[1].nmi_stack < low + 4096) || explain("NMI not on its own stack", 1, (u32)cpus[1].nmi_stack);
}

static bool self_ipi_test(void)
{
    self_ipi(VEC_SELF);
    return exactly_once(1, VEC_SELF);
}

static bool logical_destination_test(void)
{
    u32 target, i;
    for (target = 0; target < cpu_count; target++) {
        u64 set = 0;
        for (i = 0; i < cpu_count; i++)
            if (apic_logical_id(&cpus[i]) == apic_logical_id(&cpus[target]))
                set |= 1ul << i;
        forget_counts();
        send_logical_ipi(apic_logical_id(&cpus[target]), VEC_LOGICAL, ICR_FIXED);
        if (!exactly_once(set, VEC_LOGICAL))
            return false;
    }
    return true;
}

/* To all CPUs of a set, but only one of them may take it. Which one is for the board to decide. */
static bool lowest_priority_test(void)
{
    u32 destination = 0, i, taken = 0, total = 0, tries;
    u64 start = rdtsc();

    for (i = 0; i < cpu_count; i++)
        if (!x2apic || cpus[i].apic_id >> 4 == cpus[0].apic_id >> 4)
            destination |= apic_logical_id(&cpus[i]);
    send_logical_ipi(destination, VEC_LOWEST, ICR_LOWEST_PRIORITY);
    for (tries = 0; total == 0 && (tries < 5000000 || rdtsc() - start < tsc_per_ms * 300); tries++) {
        for (i = 0; i < cpu_count; i++)
            total += cpus[i].count[VEC_LOWEST];
        pause();
    }
    delay_us(20);
    for (total = 0, i = 0; i < cpu_count; i++)
        if (cpus[i].count[VEC_LOWEST]) {
            total += cpus[i].count[VEC_LOWEST];
            taken = i;
        }
    if (total != 1)
        return explain("CPUs that took it", taken, total);
    info("lowest_priority_test: taken by CPU %u\n", taken);
    return true;
}

/* One shot: one interrupt, and the current count stays at 0 (SDM 3A 11.5.4). */
void timer_oneshot(void)
{
    struct cpu *cpu = this_cpu();
    apic_write(APIC_TIMER_DIVIDE, TIMER_DIVIDE_BY_16);
    apic_write(APIC_LVT_TIMER, LVT_TIMER_ONESHOT | VEC_TIMER);
    apic_write(APIC_TIMER_INITIAL, apic_ticks_per_ms / 4);
    if (!wait_count(&cpu->count[VEC_TIMER], 1))
        report_problem("one-shot: no interrupt", VEC_TIMER);
    delay_us(400);
    if (cpu->count[VEC_TIMER] != 1)
        report_problem("one-shot: more than one interrupt", VEC_TIMER);
    if (apic_read(APIC_TIMER_CURRENT) != 0)
        report_problem("one-shot: still counting", VEC_TIMER);
    apic_write(APIC_LVT_TIMER, LVT_MASKED);
}

/* Periodic: the count is reloaded; writing 0 as the initial count stops it. */
void timer_periodic(void)
{
    struct cpu *cpu = this_cpu();
    u32 ticks;
    apic_write(APIC_TIMER_DIVIDE, TIMER_DIVIDE_BY_16);
    apic_write(APIC_LVT_TIMER, LVT_TIMER_PERIODIC | VEC_TIMER);
    apic_write(APIC_TIMER_INITIAL, apic_ticks_per_ms / 5);
    if (!wait_count(&cpu->count[VEC_TIMER], 5))
        report_problem("periodic: fewer than 5 ticks", VEC_TIMER);
    if (apic_read(APIC_TIMER_CURRENT) > apic_ticks_per_ms / 5)
        report_problem("periodic: current count above the initial one", VEC_TIMER);
    apic_write(APIC_TIMER_INITIAL, 0);
    apic_write(APIC_LVT_TIMER, LVT_MASKED);
    ticks = cpu->count[VEC_TIMER];
    delay_us(500);
    if (cpu->count[VEC_TIMER] > ticks + 1)
        report_problem("periodic: does not stop", VEC_TIMER);
}

/* Fires when the time-stamp counter reaches a value; the register then reads 0 (SDM 3A 11.5.4.1). */
void timer_tsc_deadline(void)
{
    struct cpu *cpu = this_cpu();
    apic_write(APIC_LVT_TIMER, LVT_TIMER_TSC_DEADLINE | VEC_TIMER);
    __asm__ volatile("mfence" : : : "memory"); /* an xAPIC store and a WRMSR are not ordered otherwise */
    wrmsr(MSR_TSC_DEADLINE, rdtsc() + tsc_per_ms / 4);
    if (!wait_count(&cpu->count[VEC_TIMER], 1))
        report_problem("TSC deadline: no interrupt", VEC_TIMER);
    else if (rdmsr(MSR_TSC_DEADLINE) != 0)
        report_problem("TSC deadline: not disarmed", VEC_TIMER);
    apic_write(APIC_LVT_TIMER, LVT_MASKED);
}

static bool timer_oneshot_test(void) { return run_everywhere(timer_oneshot); }
static bool timer_periodic_test(void) { return run_everywhere(timer_periodic); }
static bool timer_tsc_deadline_test(void) { return run_everywhere(timer_tsc_deadline); }

static bool has_tsc_deadline(void)
{
    u32 regs[4];
    cpuid(1, regs);
    return regs[2] >> 24 & 1;
}

static bool has_ioapic(void) { return ioapic_pins() > board.isa[0].gsi; }
static bool has_testdev(void) { return has_ioapic() && option("testdev"); }

/* The PIT's first channel on its I/O APIC pin, to the last CPU. */
static bool ioapic_line_test(void)
{
    struct cpu *target = &cpus[cpu_count - 1];
    u32 gsi = board.isa[0].gsi;
    bool good;

    pit_channel0_stop();
    ioapic_route(gsi, VEC_LINE, target, 0);
    pit_channel0_oneshot(300);
    good = exactly_once(1ul << target->index, VEC_LINE);
    ioapic_mask(gsi);
    pit_channel0_stop();
    return good;
}

/* The handler counts before its EOI, so the EOI may be a moment away. */
static bool remote_irr_clears(u32 gsi)
{
    u64 start = rdtsc();
    u32 tries = 0;
    while (ioapic_entry(gsi) & IOAPIC_REMOTE_IRR)
        if (++tries > 100000 && rdtsc() - start > tsc_per_ms * 100)
            return false;
    return true;
}

/*
 * The same line, now treated as level-triggered: in mode 0 the PIT holds its output high until it is
 * programmed anew. The handler leaves it high the first time, so the interrupt must come twice.
 */
static bool ioapic_level_test(void)
{
    struct cpu *target = &cpus[cpu_count - 1];
    u32 gsi = board.isa[0].gsi;
    bool good;

    pit_channel0_stop();
    level_line_remote_irr = 0;
    level_line_stuck_once = true;
    ioapic_route(gsi, VEC_LEVEL, target, IOAPIC_LEVEL);
    pit_channel0_oneshot(300);
    good = wait_count(&target->count[VEC_LEVEL], 2) || explain("time-out: level interrupts", target->index, target->count[VEC_LEVEL]);
    delay_us(50);
    if (good && target->count[VEC_LEVEL] != 2)
        good = explain("level interrupts", target->index, target->count[VEC_LEVEL]);
    if (good && !level_line_remote_irr)
        good = explain("no remote IRR while in service", target->index, 0);
    if (good && !remote_irr_clears(gsi))
        good = explain("remote IRR not cleared by EOI", target->index, 0);
    ioapic_mask(gsi);
    return good;
}

/* A line that software drives: port 0x2000 + n of the pc-testdev is ISA line n. */
static bool testdev_line_test(void)
{
    u32 gsi = board.isa[14].gsi;
    bool good;

    outb(0x2000 + 14, 0);
    ioapic_route(gsi, VEC_LINE, &cpus[0], 0);
    outb(0x2000 + 14, 1);
    good = exactly_once(1, VEC_LINE);
    outb(0x2000 + 14, 0);
    ioapic_route(gsi, VEC_LEVEL, &cpus[0], IOAPIC_LEVEL);
    outb(0x2000 + 14, 1);
    good = good && exactly_once(1, VEC_LEVEL);
    outb(0x2000 + 14, 0);
    ioapic_mask(gsi);
    return good;
}

/* As on a machine of before 1994: 8259, INTR pin, LINT0 of the boot CPU as ExtINT. */
static bool pic_extint_test(void)
{
    bool good;
    pit_channel0_stop();
    pic_init(); /* forgets the edges of the line that it saw while masked */
    apic_write(APIC_LVT_LINT0, LVT_EXTINT);
    pic_unmask(0);
    pit_channel0_oneshot(300);
    good = exactly_once(1, VEC_PIC);
    pic_mask_all();
    apic_write(APIC_LVT_LINT0, LVT_MASKED | LVT_EXTINT);
    pit_channel0_stop();
    return good;
}

/*
 * A message signalled interrupt is a store by a device to 0xFEExxxxx: the destination is in bits 19:12 of the address,
 * the vector in the data (SDM 3A 11.11). A store by a CPU to that page reaches its own APIC's registers instead.
 */
static bool msi_test(void)
{
    struct cpu *target = &cpus[cpu_count > 1 ? 1 : 0];
    struct msi_device device;
    bool good;

    if (!pci_find_msi_device(&device)) {
        info("msi: no device\n");
        return true;
    }
    info("msi: %s at %x\n", device.name, device.bar);
    if (!pci_program_msi(&device, 0xfee00000 | target->apic_id << 12, VEC_MSI))
        return explain("no MSI capability", 0, 0);
    msi_trigger(&device);
    good = exactly_once(1ul << target->index, VEC_MSI);
    msi_acknowledge(&device);
    return good;
}

static const struct {
    const char *name;
    bool (*run)(void);
    u32 cpus;               /* needs that many */
    bool (*possible)(void); /* or NULL */
} steps[] = {
    { "start_aps", start_aps_test, 2, NULL },
    { "irr_isr", irr_isr_test, 1, NULL },
    { "task_priority", task_priority_test, 1, NULL },
    { "nesting", nesting_test, 1, NULL },
    { "fixed_ipi", fixed_ipi_test, 2, NULL },
    { "fixed_ipi_everywhere", fixed_ipi_everywhere_test, 1, NULL },
    { "broadcast_others", broadcast_others_test, 2, NULL },
    { "broadcast_all", broadcast_all_test, 1, NULL },
    { "nmi", nmi_test, 2, NULL },
    { "self_ipi", self_ipi_test, 1, NULL },
    { "logical_destination", logical_destination_test, 1, NULL },
    { "lowest_priority", lowest_priority_test, 1, NULL },
    { "timer_oneshot", timer_oneshot_test, 1, NULL },
    { "timer_periodic", timer_periodic_test, 1, NULL },
    { "timer_tsc_deadline", timer_tsc_deadline_test, 1, has_tsc_deadline },
    { "ioapic_line", ioapic_line_test, 1, has_ioapic },
    { "ioapic_level", ioapic_level_test, 1, has_ioapic },
    { "testdev_line", testdev_line_test, 1, has_testdev },
    { "pic_extint", pic_extint_test, 1, NULL },
    { "msi", msi_test, 1, NULL },
};

/* Handlers cannot fail a step themselves; they leave a note. */
static bool no_problems(void)
{
    u32 i;
    for (i = 0; i < cpu_count; i++)
        if (cpus[i].problem) {
            explain(cpus[i].problem, i, cpus[i].problem_vector);
            cpus[i].problem = NULL;
            return false;
        }
    return true;
}

/* Returns the number of steps that failed. */
u32 run_tests(void)
{
    u32 i, failures = 0;

    for (i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        bool good;
        if (cpu_count < steps[i].cpus) {
            info("skip: %s (needs %u CPUs)\n", steps[i].name, steps[i].cpus);
            continue;
        }
        if (steps[i].possible && !steps[i].possible()) {
            info("skip: %s (not on this board)\n", steps[i].name);
            continue;
        }
        forget_counts();
        good = steps[i].run();
        interrupts_on();
        good = no_problems() && good;
        if (good)
            info("ok: %s\n", steps[i].name);
        else {
            failures++;
            print("FAIL: %s: %s (CPU %u, %x)\n", steps[i].name, detail, detail_cpu, (u64)detail_value);
            if (i == 0) /* without its CPUs the rest would only time out */
                break;
        }
    }
    return failures;
}

/* Each tick: one IPI to the next CPU in turn. */
static void loop_tick(void)
{
    static u32 next;
    next = (next + 1) % cpu_count;
    send_fixed_ipi(&cpus[next], VEC_IPI);
}

/* With `loop`: about a thousand times a second CPU 0's timer fires and sends an IPI; everybody sleeps in between. */
void run_loop(void)
{
    info("loop: an IPI %x every millisecond to each CPU in turn\n", (u64)VEC_IPI);
    timer_hook = loop_tick;
    apic_write(APIC_TIMER_DIVIDE, TIMER_DIVIDE_BY_16);
    apic_write(APIC_LVT_TIMER, LVT_TIMER_PERIODIC | VEC_TIMER);
    apic_write(APIC_TIMER_INITIAL, apic_ticks_per_ms);
    for (;;)
        sti_hlt();
}
