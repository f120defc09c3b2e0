/* The local APIC timer: modes, changes in mid-count, TSC deadline. SDM 3A 11.5.4. */
#include "apic.h"

static u32 per_100us; /* timer ticks, divided by 1 */

static void spin(u32 microseconds)
{
    u64 start = rdtsc();
    while (rdtsc() - start < tsc_per_100us * microseconds / 100)
        __asm__ volatile("pause");
}

/* Ticks in about 400 us. */
static u32 measure(u32 divide)
{
    u64 start, ticks;
    set(TDCR, divide);
    set(TMICT, 0xffffffff);
    start = rdtsc();
    spin(400);
    ticks = 0xffffffff - get(TMCCT);
    start = rdtsc() - start;
    set(TMICT, 0);
    return (u32)(ticks * 4 * tsc_per_100us / start);
}

static bool near(u64 a, u64 b) { return a * 4 > b * 3 && b * 4 > a * 3; }

static void dividers(void)
{
    static const u8 codes[8] = { 0xb, 0, 1, 2, 3, 8, 9, 0xa }; /* 1, 2, 4 ... 128 */
    u32 base, i;
    bool good = true;

    set(LVT_TIMER, MASKED);
    base = measure(codes[0]);
    per_100us = base / 4;
    for (i = 1; i < 8; i++) {
        u32 ticks = measure(codes[i]);
        if (!near((u64)ticks << i, base)) {
            print("  divide by %u: %u ticks, by 1: %u\n", 1u << i, ticks, base);
            good = false;
        }
    }
    check("all eight dividers", good);
}

static void one_shot(void)
{
    u32 now;
    restart_apic();
    set(TDCR, 0xb);
    set(LVT_TIMER, 0x40);
    set(TMICT, per_100us);
    check_value("initial count reads back", get(TMICT), per_100us);
    check("one-shot: fires", arrives(0x40, 1));
    settle(250);
    check_value("one-shot: once", count[0x40], 1);
    check_value("one-shot: current count stays at 0", get(TMCCT), 0);
    forget();
    set(TMICT, per_100us);
    set(TMICT, 0);
    settle(200);
    check_value("initial count 0 stops it", count[0x40], 0);
    set(TMICT, per_100us * 5);
    spin(250);
    set(TMICT, per_100us * 5);
    now = get(TMCCT);
    check("writing the initial count restarts", now > per_100us * 4);
    set(TMICT, 0);

    forget();
    set(LVT_TIMER, MASKED | 0x40);
    set(TMICT, per_100us / 2);
    spin(500);
    check_value("masked: counts down", get(TMCCT), 0);
    set(LVT_TIMER, 0x40);
    settle(50);
    check_value("masked while it fired: the interrupt is lost", count[0x40], 0);
}

static void periodic(void)
{
    restart_apic();
    set(TDCR, 0xb);
    set(LVT_TIMER, PERIODIC | 0x40);
    set(TMICT, per_100us);
    check("periodic: fires again and again", arrives(0x40, 4));
    check("periodic: current count within the initial one", get(TMCCT) <= per_100us);
    set(LVT_TIMER, PERIODIC | MASKED | 0x40);
    settle(10);
    forget();
    settle(250);
    check_value("periodic: masked", count[0x40], 0);
    set(LVT_TIMER, PERIODIC | 0x40);
    check("periodic: unmasked, goes on", arrives(0x40, 1));
    set(LVT_TIMER, 0x40);
    settle(250);
    forget();
    settle(250);
    check_value("periodic to one-shot: stops after the count in progress", count[0x40], 0);
    set(LVT_TIMER, 0x40);
    set(TMICT, per_100us);
    set(LVT_TIMER, PERIODIC | 0x40);
    check("one-shot to periodic in mid-count: reloads", arrives(0x40, 3));
    set(TMICT, 0);
    settle(20);
    forget();
    settle(250);
    check_value("initial count 0 stops periodic mode", count[0x40], 0);
}

/* The count goes on from where it is; only its speed changes. */
static void divide_change(void)
{
    u32 before, after, later;
    restart_apic();
    set(LVT_TIMER, MASKED);
    set(TDCR, 0xb);
    set(TMICT, per_100us * 20);
    spin(400);
    before = get(TMCCT);
    set(TDCR, 3); /* by 16 */
    after = get(TMCCT);
    check("divider change keeps the count", after <= before && before - after < per_100us * 4);
    spin(400);
    later = get(TMCCT);
    check("divider change: slower from then on", after - later < per_100us * 4 && later <= after);
    set(TDCR, 0xb);
    after = get(TMCCT);
    check("divider change back keeps the count", after <= later && later - after < per_100us * 4);
    spin(200);
    later = get(TMCCT);
    check("divider change back: faster again", later == 0 || after - later > per_100us);
    set(TMICT, 0);
}

static void deadline(void)
{
    u32 regs[4];
    cpuid(1, regs);
    if (!(regs[2] >> 24 & 1)) {
        check("IA32_TSC_DEADLINE does not exist without its CPUID bit", read_faults(MSR_DEADLINE));
        skip("TSC deadline");
        return;
    }
    restart_apic();
    wrmsr(MSR_DEADLINE, rdtsc() + tsc_per_100us);
    check_value("deadline: written in another mode, ignored", rdmsr(MSR_DEADLINE), 0);
    set(LVT_TIMER, DEADLINE | 0x40);
    __asm__ volatile("mfence");
    set(TMICT, per_100us);
    check("deadline: initial count is ignored, current count is 0", get(TMCCT) == 0);
    settle(200);
    check_value("... and nothing fires", count[0x40], 0);
    wrmsr(MSR_DEADLINE, rdtsc() + tsc_per_100us * 2);
    check("deadline: armed, reads back", rdmsr(MSR_DEADLINE) != 0);
    check("deadline: fires", arrives(0x40, 1));
    check_value("deadline: 0 after firing", rdmsr(MSR_DEADLINE), 0);
    settle(300);
    check_value("deadline: once", count[0x40], 1);
    forget();
    wrmsr(MSR_DEADLINE, 1);
    check("deadline in the past fires at once", arrives(0x40, 1));
    forget();
    wrmsr(MSR_DEADLINE, rdtsc() + tsc_per_100us);
    wrmsr(MSR_DEADLINE, 0);
    settle(200);
    check_value("deadline 0 disarms", count[0x40], 0);
    wrmsr(MSR_DEADLINE, rdtsc() + tsc_per_100us);
    set(LVT_TIMER, 0x40);
    settle(200);
    check_value("leaving the mode disarms", count[0x40], 0);
    set(LVT_TIMER, DEADLINE | 0x40);
    check_value("... for good", rdmsr(MSR_DEADLINE), 0);
    set(LVT_TIMER, DEADLINE | MASKED | 0x40);
    wrmsr(MSR_DEADLINE, rdtsc() + tsc_per_100us / 2);
    spin(500);
    set(LVT_TIMER, DEADLINE | 0x40);
    settle(50);
    check_value("deadline passed while masked: lost", count[0x40], 0);
    restart_apic();
}

void timer_checks(void)
{
    restart_apic();
    dividers();
    one_shot();
    periodic();
    divide_change();
    deadline();
    restart_apic();
}
