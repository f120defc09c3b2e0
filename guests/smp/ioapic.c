/* The I/O APIC: turns interrupt lines of devices into messages to local APICs (82093AA data sheet). */
#include "apic.h"

#define REG_VERSION 1
#define REG_ENTRY(pin) (0x10 + 2 * (pin))

static u32 pins;

/* Two memory registers: a selector at 0 and a window at 0x10. */
static u32 ioapic_read(u32 reg)
{
    *(volatile u32 *)board.io_apic = reg;
    return *(volatile u32 *)(board.io_apic + 0x10);
}

static void ioapic_write(u32 reg, u32 value)
{
    *(volatile u32 *)board.io_apic = reg;
    *(volatile u32 *)(board.io_apic + 0x10) = value;
}

void ioapic_init(void)
{
    u32 pin;

    if (!board.io_apic)
        return;
    pins = (ioapic_read(REG_VERSION) >> 16 & 0xff) + 1;
    for (pin = 0; pin < pins; pin++)
        ioapic_write(REG_ENTRY(pin), IOAPIC_MASKED);
    info("ioapic: %u pins\n", pins);
}

u32 ioapic_pins(void) { return pins; }

/*
 * Sends a line to one CPU with a vector; mode is a set of IOAPIC_ bits. Destination first and the low half,
 * which unmasks, last: a half-written entry must not fire.
 */
void ioapic_route(u32 gsi, u8 vector, const struct cpu *target, u32 mode)
{
    u32 pin = gsi - board.io_apic_gsi;
    ioapic_write(REG_ENTRY(pin), IOAPIC_MASKED);
    ioapic_write(REG_ENTRY(pin) + 1, target->apic_id << 24);
    ioapic_write(REG_ENTRY(pin), mode | vector);
}

void ioapic_mask(u32 gsi)
{
    u32 pin = gsi - board.io_apic_gsi;
    ioapic_write(REG_ENTRY(pin), ioapic_read(REG_ENTRY(pin)) | IOAPIC_MASKED);
}

/* The low half of a line's entry, with its delivery status and remote IRR. */
u32 ioapic_entry(u32 gsi)
{
    return ioapic_read(REG_ENTRY(gsi - board.io_apic_gsi));
}
