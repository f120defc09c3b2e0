/*
 * The I/O APIC and its conversation with the local APIC: remote IRR, end of interrupt, masking, polarity. The line is the PIT's
 * first channel in mode 0, whose output is low after programming and then stays high; or with the word `testdev`, that device's line 14.
 */
#include "apic.h"

#define IO_BASE 0xfec00000ul
#define LEVEL (1u << 15)
#define REMOTE_IRR (1u << 14)
#define ACTIVE_LOW (1u << 13)
#define PIN (testdev ? 14u : 2u)

static bool testdev;
static u32 remote_irr_seen, tmr_seen, hold;

static u32 io_get(u32 reg)
{
    *(volatile u32 *)IO_BASE = reg;
    return *(volatile u32 *)(IO_BASE + 0x10);
}
static void io_set(u32 reg, u32 value)
{
    *(volatile u32 *)IO_BASE = reg;
    *(volatile u32 *)(IO_BASE + 0x10) = value;
}
static u32 entry(void) { return io_get(0x10 + 2 * PIN); }
static void route(u32 low)
{
    io_set(0x10 + 2 * PIN, MASKED);
    io_set(0x11 + 2 * PIN, my_id << 24);
    io_set(0x10 + 2 * PIN, low);
}

static void lower(void)
{
    if (testdev) {
        outb(0x2000 + 14, 0);
        return;
    }
    outb(0x43, 0x30);
    outb(0x40, 0);
    outb(0x40, 0);
}
static void raise(void)
{
    u64 start;
    u32 tries;
    if (testdev) {
        outb(0x2000 + 14, 1);
        return;
    }
    outb(0x43, 0x30);
    outb(0x40, 2);
    outb(0x40, 0);
    for (tries = 0; tries < 100000; tries++) { /* until the read-back command shows OUT high */
        outb(0x43, 0xe2);
        if (inb(0x40) & 0x80)
            break;
    }
    start = rdtsc();
    while (rdtsc() - start < 4 * tsc_per_100us) /* an emulator may act on its timers a little late */
        __asm__ volatile("pause");
}

/* Level-triggered: notes what can be seen, and lets go of the line after `hold` interrupts. */
static void on_level(void)
{
    remote_irr_seen = entry() & REMOTE_IRR;
    tmr_seen = bit(TMR, 0x49);
    if (hold == 0)
        lower();
    else
        hold--;
}

void ioapic_checks(void)
{
    u32 version = io_get(1), saved;

    testdev = option("testdev");
    restart_apic();
    check("version", (version & 0xff) >= 0x11 && (version & 0xff) <= 0x20);
    check("24 entries", (version >> 16 & 0xff) == 23);
    route(MASKED);
    io_set(0x10 + 2 * PIN, 0xffffffff);
    check_value("entry: delivery status and remote IRR are read-only", entry() & (REMOTE_IRR | 1 << 12), 0);
    check_value("entry: reserved bits", entry() & 0xfffe0000, 0);
    route(MASKED);
    lower();

    handler[0x49] = on_level;
    route(0x48);
    raise();
    arrives(0x48, 1);
    settle(20);
    check_value("edge: one interrupt", count[0x48], 1);
    check("edge: no TMR, no remote IRR", !bit(TMR, 0x48) && !(entry() & REMOTE_IRR));
    settle(20);
    check_value("edge: none while the line stays high", count[0x48], 1);
    lower();
    settle(20);
    check_value("edge: none for the falling edge", count[0x48], 1);
    io_set(0x10 + 2 * PIN, MASKED | 0x48);
    raise();
    io_set(0x10 + 2 * PIN, 0x48);
    settle(20);
    check_value("edge while masked is lost", count[0x48], 1);
    lower();

    restart_apic();
    handler[0x49] = on_level;
    hold = 0;
    route(LEVEL | 0x49);
    raise();
    check("level: delivered", arrives(0x49, 1));
    settle(20);
    check_value("level: once if the handler lowers the line", count[0x49], 1);
    check("level: TMR and remote IRR in the handler", tmr_seen && remote_irr_seen);
    check_value("level: EOI clears remote IRR", entry() & REMOTE_IRR, 0);
    forget();
    hold = 2;
    raise();
    arrives(0x49, 3);
    settle(20);
    check_value("level: again after each EOI while the line is high", count[0x49], 3);
    forget();
    io_set(0x10 + 2 * PIN, MASKED | LEVEL | 0x49);
    raise();
    settle(20);
    check_value("level: masked", count[0x49], 0);
    io_set(0x10 + 2 * PIN, LEVEL | 0x49);
    settle(20);
    check_value("level: comes when unmasked, as the line is still high", count[0x49], 1);
    forget();
    hold = 0;
    lower();
    if (option("polarity")) { /* many boards' models take an asserted line as active, whatever the entry says */
        route(LEVEL | ACTIVE_LOW | 0x4a);
        settle(20);
        check("active low: a low line interrupts", count[0x4a] > 0);
        route(MASKED);
    }
    settle(20);

    /* A vector that waits in IRR: remote IRR is set when the message is accepted, not when it is delivered. */
    restart_apic();
    handler[0x49] = on_level;
    hold = 0;
    set(TPR, 0x40);
    lower();
    route(LEVEL | 0x49);
    raise();
    settle(10);
    check("level: pending in IRR, remote IRR set", bit(IRR, 0x49) && (entry() & REMOTE_IRR) && count[0x49] == 0);
    set(TPR, 0);
    settle(10);
    check_value("level: delivered when TPR allows", count[0x49], 1);
    route(MASKED);
    lower();

    /* Delivery modes of an entry. */
    restart_apic();
    route(DELIVER_NMI | 0x48);
    raise();
    arrives(NMI, 1);
    settle(20);
    check("NMI through the I/O APIC", count[NMI] == 1 && count[0x48] == 0);
    route(MASKED);
    lower();
    io_set(0x11 + 2 * PIN, 0x01000000);
    io_set(0x10 + 2 * PIN, LOGICAL | LOWEST | 0x48);
    raise();
    arrives(0x48, 1);
    settle(20);
    check_value("logical destination, lowest priority", count[0x48], 1);
    route(MASKED);
    lower();

    /* With suppression an EOI stays in the local APIC, and software tells the I/O APIC itself (SDM 3A 11.8.5). */
    if (get(VERSION) >> 24 & 1 && (version & 0xff) >= 0x20) {
        restart_apic();
        handler[0x49] = on_level;
        hold = 0;
        saved = get(SVR);
        set(SVR, saved | 1 << 12);
        check("EOI-broadcast suppression can be set", get(SVR) >> 12 & 1);
        route(LEVEL | 0x49);
        raise();
        arrives(0x49, 1);
        settle(10);
        check("suppressed: remote IRR stays after the EOI", entry() & REMOTE_IRR);
        *(volatile u32 *)(IO_BASE + 0x40) = 0x49;
        check_value("suppressed: the I/O APIC's EOI register clears it", entry() & REMOTE_IRR, 0);
        set(SVR, saved);
        route(MASKED);
        lower();
    } else
        skip("EOI-broadcast suppression");
    restart_apic();
}
