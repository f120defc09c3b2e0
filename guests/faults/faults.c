/*
 * A guest with one mistake, chosen on the command line: each is what a diagnosis of the debugger must find. Without a word it makes none. The kernel around it is
 * that of guests/smp, with another main().
 */
#include "apic.h"

#define VEC_MINE 0x90
#define VEC_OTHER 0x91

struct gate {
    u16 offset_low, selector;
    u8 ist, type;
    u16 offset_middle;
    u32 offset_high, reserved;
};

struct interrupt_frame {
    u64 rip, cs, rflags, rsp, ss;
};

#define HANDLER __attribute__((interrupt, noinline)) void

static volatile u32 taken;

static struct gate *gate(u32 vector)
{
    struct {
        u16 limit;
        u64 base;
    } __attribute__((packed)) pointer;
    __asm__ volatile("sidt %0" : "=m"(pointer));
    return (struct gate *)pointer.base + vector;
}

static void handle(u32 vector, void (*handler)(struct interrupt_frame *))
{
    struct gate *entry = gate(vector);
    u64 address = (u64)handler;
    entry->offset_low = (u16)address;
    entry->offset_middle = (u16)(address >> 16);
    entry->offset_high = (u32)(address >> 32);
}

static HANDLER good_handler(struct interrupt_frame *frame)
{
    (void)frame;
    taken++;
    eoi();
}

static HANDLER handler_without_eoi(struct interrupt_frame *frame)
{
    (void)frame;
    taken++;
}

static HANDLER handler_with_two_eois(struct interrupt_frame *frame)
{
    (void)frame;
    taken++;
    eoi();
    eoi();
}

static HANDLER spurious_handler_with_eoi(struct interrupt_frame *frame)
{
    (void)frame;
    taken++;
    eoi();
}

static HANDLER handler_with_pic_eoi(struct interrupt_frame *frame)
{
    (void)frame;
    taken++;
    outb(0x20, 0x20);
    eoi();
}

static HANDLER slow_handler(struct interrupt_frame *frame)
{
    u32 i;
    (void)frame;
    taken++;
    for (i = 0; i < 20000; i++)
        pause();
    eoi();
}

/* Lets VEC_OTHER, of the same class, in after its EOI: two handlers deep. */
static HANDLER nesting_handler(struct interrupt_frame *frame)
{
    (void)frame;
    taken++;
    eoi();
    self_ipi(VEC_OTHER);
    interrupts_on();
    delay_us(5);
    interrupts_off();
}

static void settle(void)
{
    delay_us(50);
}

static void missing_eoi(void)
{
    handle(VEC_MINE, handler_without_eoi);
    self_ipi(VEC_MINE);
    settle();
}

static void eoi_nothing_in_service(void)
{
    handle(VEC_MINE, handler_with_two_eois);
    self_ipi(VEC_MINE);
    settle();
}

static void eoi_in_spurious_handler(void)
{
    handle(VEC_SPURIOUS, spurious_handler_with_eoi);
    /* The debugger raises the spurious interrupt while this waits. */
    while (!taken)
        pause();
}

static void pic_eoi_in_apic_mode(void)
{
    handle(VEC_MINE, handler_with_pic_eoi);
    self_ipi(VEC_MINE);
    settle();
}

static void vector_below_16(void)
{
    apic_write(APIC_LVT_ERROR, LVT_MASKED | VEC_ERROR);
    send_fixed_ipi(&cpus[0], 9);
    settle();
}

static void ipi_to_nobody(void)
{
    icr_write(77, ICR_FIXED | ICR_ASSERT | VEC_MINE);
    settle();
}

static void icr_not_polled(void)
{
    handle(VEC_MINE, good_handler);
    interrupts_off();
    apic_write(APIC_ICR_HIGH, 0);
    apic_write(APIC_ICR_LOW, ICR_FIXED | ICR_ASSERT | ICR_TO_SELF | VEC_MINE);
    apic_write(APIC_ICR_LOW, ICR_FIXED | ICR_ASSERT | ICR_TO_SELF | VEC_MINE);
    interrupts_on();
    settle();
}

/* The timer's line rises once while its pin is masked, and stays up. */
static void edge_lost(void)
{
    handle(VEC_MINE, good_handler);
    pit_channel0_stop();
    ioapic_route(board.isa[0].gsi, VEC_MINE, &cpus[0], IOAPIC_MASKED);
    pit_channel0_oneshot(2000);
    delay_us(4000);
    ioapic_route(board.isa[0].gsi, VEC_MINE, &cpus[0], 0);
    delay_us(200000);
}

static void coalesced(void)
{
    u32 i;
    handle(VEC_MINE, good_handler);
    interrupts_off();
    apic_write(APIC_LVT_TIMER, VEC_MINE);
    for (i = 0; i < 2; i++) {
        apic_write(APIC_TIMER_INITIAL, 10);
        delay_us(20);
    }
    interrupts_on();
    settle();
    apic_write(APIC_LVT_TIMER, LVT_MASKED);
}

/* One vector for an edge-triggered IPI and a level-triggered line. */
static void trigger_mismatch(void)
{
    handle(VEC_MINE, good_handler);
    interrupts_off();
    self_ipi(VEC_MINE);
    ioapic_route(board.isa[0].gsi, VEC_MINE, &cpus[0], IOAPIC_LEVEL);
    pit_channel0_oneshot(100);
    delay_us(200);
    ioapic_mask(board.isa[0].gsi);
    interrupts_on();
    settle();
}

static void lapic_disabled(void)
{
    apic_write(APIC_SVR, VEC_SPURIOUS);
    self_ipi(VEC_MINE);
    settle();
    apic_write(APIC_SVR, 0x100 | VEC_SPURIOUS);
}

static void gate_not_present(void)
{
    gate(VEC_MINE)->type = 0x0e;
    self_ipi(VEC_MINE);
    settle();
}

static void nmi_stack(void)
{
    struct {
        u16 limit;
        u64 base;
    } __attribute__((packed)) gdt;
    u8 *tss;
    u64 base;
    u16 selector;
    const u8 *descriptor;
    __asm__ volatile("sgdt %0" : "=m"(gdt));
    __asm__ volatile("str %0" : "=r"(selector));
    descriptor = (const u8 *)gdt.base + selector;
    base = descriptor[2] | (u64)descriptor[3] << 8 | (u64)descriptor[4] << 16 | (u64)descriptor[7] << 24 | (u64)*(const u32 *)(descriptor + 8) << 32;
    tss = (u8 *)base;
    *(u64 *)(tss + 0x24) = 0x700000000000ul; /* IST 1: not mapped */
    send_nmi(&cpus[0]);
    settle();
}

static void slow(void)
{
    handle(VEC_MINE, slow_handler);
    self_ipi(VEC_MINE);
    settle();
}

static void masked(void)
{
    interrupts_off();
    delay_us(300);
    interrupts_on();
}

static void late(void)
{
    handle(VEC_MINE, good_handler);
    interrupts_off();
    self_ipi(VEC_MINE);
    delay_us(100);
    interrupts_on();
    settle();
}

static void nested(void)
{
    handle(VEC_MINE, nesting_handler);
    handle(VEC_OTHER, good_handler);
    self_ipi(VEC_MINE);
    settle();
}

/* A start-up IPI to a CPU that runs already, one to an id that nobody has, and a level de-assert only. */
static void bring_up(void)
{
    if (cpu_count > 1)
        send_startup(&cpus[1], 8);
    icr_write(78, ICR_STARTUP | ICR_ASSERT | 8);
    icr_write(cpus[cpu_count - 1].apic_id, ICR_INIT | 1u << 15);
    settle();
}

/* No stack, no IDT: the first exception becomes three. */
static void triple_fault(void)
{
    struct {
        u16 limit;
        u64 base;
    } __attribute__((packed)) pointer = { 0, 0 };
    interrupts_off();
    __asm__ volatile("lidt %0; ud2" : : "m"(pointer));
}

static void none(void)
{
    handle(VEC_MINE, good_handler);
    self_ipi(VEC_MINE);
    settle();
}

static const struct {
    const char *word;
    void (*run)(void);
} faults[] = {
    { "missing-eoi", missing_eoi },
    { "eoi-nothing-in-service", eoi_nothing_in_service },
    { "eoi-in-spurious-handler", eoi_in_spurious_handler },
    { "pic-eoi", pic_eoi_in_apic_mode },
    { "vector-below-16", vector_below_16 },
    { "ipi-to-nobody", ipi_to_nobody },
    { "icr-not-polled", icr_not_polled },
    { "edge-lost", edge_lost },
    { "coalesced", coalesced },
    { "trigger-mismatch", trigger_mismatch },
    { "lapic-disabled", lapic_disabled },
    { "gate-not-present", gate_not_present },
    { "nmi-stack", nmi_stack },
    { "slow", slow },
    { "masked", masked },
    { "late", late },
    { "nested", nested },
    { "bring-up", bring_up },
    { "triple-fault", triple_fault },
};

void main(void)
{
    u32 i;

    serial_init();
    bootinfo_parse();
    find_cpus();
    percpu_init(0);
    idt_init();
    pic_init();
    apic_choose_mode();
    apic_enable();
    cpus[0].online = 1;
    ioapic_init();
    calibrate();
    interrupts_on();
    if (cpu_count > 1)
        start_aps();
    for (i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
        if (option(faults[i].word)) {
            print("fault: %s\n", faults[i].word);
            faults[i].run();
            print("done\n");
            machine_exit(0);
        }
    none();
    print("done\n");
    machine_exit(0);
}
