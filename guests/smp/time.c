/*
 * Time without a wall clock: the PIT gives one known interval, against which the
 * time-stamp counter and the APIC timer are measured. Waits are bounded, and give up only after
 * both much time and many tries, so that neither a slow emulator nor a fast one fails.
 */
#include "apic.h"

#define PIT_HZ 1193182

u64 tsc_per_ms = 1000000;
u32 apic_ticks_per_ms = 10000;

/* Channel 2 counts 1 ms in mode 0; its output is bit 5 of port 0x61, its gate bit 0. */
void calibrate(void)
{
    u16 count = PIT_HZ / 1000;
    u64 tsc;
    u32 tries;

    apic_write(APIC_TIMER_DIVIDE, TIMER_DIVIDE_BY_16);
    apic_write(APIC_LVT_TIMER, LVT_MASKED | LVT_TIMER_ONESHOT);
    outb(0x61, (inb(0x61) & ~2) | 1);
    outb(0x43, 0xb0); /* channel 2, both bytes, mode 0 */
    outb(0x42, (u8)count);
    outb(0x42, count >> 8);
    tsc = rdtsc();
    apic_write(APIC_TIMER_INITIAL, 0xffffffff);
    for (tries = 0; !(inb(0x61) & 0x20); tries++)
        if (tries == 50000000) {
            info("time: no PIT, guessing\n");
            return;
        }
    tsc = rdtsc() - tsc;
    apic_ticks_per_ms = 0xffffffff - apic_read(APIC_TIMER_CURRENT);
    apic_write(APIC_TIMER_INITIAL, 0);
    tsc_per_ms = tsc;
    info("time: 1 ms is %u TSC ticks, %u APIC timer ticks (divided by 16)\n", (u32)tsc_per_ms, apic_ticks_per_ms);
    if (apic_ticks_per_ms < 100)
        apic_ticks_per_ms = 100;
}

void delay_us(u32 microseconds)
{
    u64 start = rdtsc();
    u64 ticks = tsc_per_ms * microseconds / 1000;
    while (rdtsc() - start < ticks)
        pause();
}

/* Waits until a counter that an interrupt handler increments reaches a value; false on time-out. */
bool wait_count(volatile u32 *counter, u32 at_least)
{
    u64 start = rdtsc();
    u32 tries = 0;
    while (*counter < at_least) {
        if (++tries > 5000000 && rdtsc() - start > tsc_per_ms * 300)
            return false;
        pause();
    }
    return true;
}

/* Mode 0: the output falls when the mode is set, and rises and stays up when the count has run out. */
void pit_channel0_oneshot(u16 count)
{
    outb(0x43, 0x30);
    outb(0x40, (u8)count);
    outb(0x40, count >> 8);
}

/* Mode 0 with the longest count: the output is low for the next 55 ms. */
void pit_channel0_stop(void)
{
    pit_channel0_oneshot(0);
}
