/* Interrupts: to oneself, between two processors, delays. Compiled without SSE, as interrupt handlers must be. */
#include "bench.h"

struct frame;
static volatile uint32_t received, ap_ready, ap_received;
static uint32_t ap_id;

#define VECTOR 0xF2
#define REPLY_VECTOR 0xF3
#define TIMER_VECTOR 0x40
#define ICR_SELF 0x40000
#define ICR_PENDING 0x1000

__attribute__((interrupt)) static void count_interrupt(struct frame *frame)
{
    (void)frame;
    received++;
    *apic_register(APIC_EOI) = 0;
}

uint64_t bench_self_ipi(uint32_t work)
{
    uint64_t sum = 14;
    set_vector(VECTOR, count_interrupt, 0);
    apic_enable();
    __asm__ volatile("sti");
    for (uint32_t round = 0; round < work; round++) {
        for (uint32_t i = 0; i < 500; i++) {
            uint32_t before = received;
            *apic_register(APIC_ICR) = ICR_SELF | VECTOR;
            while (received == before)
                ;
        }
        sum = mix(sum, received);
    }
    __asm__ volatile("cli");
    return sum;
}

/* The wait from an interrupt's becoming deliverable to its handler: with interrupts disabled it is sent, then they are enabled. */
uint64_t bench_latency(uint32_t work)
{
    uint64_t sum = 15;
    set_vector(VECTOR, count_interrupt, 0);
    apic_enable();
    for (uint32_t round = 0; round < work; round++) {
        uint32_t late = 0;
        for (uint32_t i = 0; i < 500; i++) {
            uint32_t want = received + 1;
            *apic_register(APIC_ICR) = ICR_SELF | VECTOR;
            __asm__ volatile("sti; nop; nop; cli" : : : "memory");
            late += received != want;
        }
        /* Emulators that look for interrupts only now and then are late: that is not what a processor does. */
        sum = mix(sum, late);
        sum = mix(sum, received);
    }
    return sum;
}

/* One-shot timer interrupts, each waited for in HLT. */
uint64_t bench_timer(uint32_t work)
{
    uint64_t sum = 16;
    set_vector(TIMER_VECTOR, count_interrupt, 0);
    apic_enable();
    *apic_register(APIC_DIVIDE) = 0xB;
    *apic_register(APIC_LVT_TIMER) = TIMER_VECTOR;
    for (uint32_t round = 0; round < work; round++) {
        for (uint32_t i = 0; i < 50; i++) {
            uint32_t before = received;
            *apic_register(APIC_INITIAL_COUNT) = 1000;
            while (received == before)
                __asm__ volatile("sti; hlt; cli" : : : "memory");
        }
        sum = mix(sum, received);
    }
    return sum;
}

static void send(uint32_t destination, uint32_t command)
{
    *apic_register(APIC_ICR_HIGH) = destination << 24;
    *apic_register(APIC_ICR) = command;
}

__attribute__((interrupt)) static void answer(struct frame *frame)
{
    (void)frame;
    ap_received++;
    *apic_register(APIC_EOI) = 0;
    send(0, REPLY_VECTOR);
}

static volatile uint32_t ap_halts;

void ap_main(void)
{
    *apic_register(APIC_SVR) = 0x1FF;
    ap_ready = 1;
    __asm__ volatile("sti");
    for (;;) {
        if (ap_halts)
            __asm__ volatile("hlt");
        else
            __asm__ volatile("pause");
    }
}

extern const uint8_t trampoline[], trampoline_end[];

static void start_ap(void)
{
    uint8_t *low = (uint8_t *)(uintptr_t)0x8000;
    for (size_t i = 0; i < (size_t)(trampoline_end - trampoline); i++)
        low[i] = trampoline[i];
    ap_id = 1;
    if (*apic_register(APIC_ID) >> 24)
        fail("the boot processor's APIC id is not 0");
    send(ap_id, 0x4500);
    for (volatile int i = 0; i < 1000; i++)
        ;
    send(ap_id, 0x4608);
    for (uint32_t i = 0; i < 400000000u && !ap_ready; i++)
        __asm__ volatile("pause");
    if (!ap_ready)
        fail("there is no second processor");
}

static uint64_t ping_pong(uint32_t work, uint32_t halts)
{
    uint64_t sum = 17 + halts;
    set_vector(VECTOR, answer, 0);
    set_vector(REPLY_VECTOR, count_interrupt, 0);
    apic_enable();
    ap_halts = halts;
    start_ap();
    for (uint32_t round = 0; round < work; round++) {
        for (uint32_t i = 0; i < 100; i++) {
            uint32_t before = received;
            send(ap_id, VECTOR);
            if (halts) {
                while (received == before)
                    __asm__ volatile("sti; hlt; cli" : : : "memory");
            } else {
                __asm__ volatile("sti");
                while (received == before)
                    __asm__ volatile("pause");
                __asm__ volatile("cli");
            }
        }
        sum = mix(sum, received);
        sum = mix(sum, ap_received);
    }
    return sum;
}

uint64_t bench_ping_pong_spin(uint32_t work) { return ping_pong(work, 0); }
uint64_t bench_ping_pong_halt(uint32_t work) { return ping_pong(work, 1); }
