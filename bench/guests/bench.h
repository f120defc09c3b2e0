/* What every benchmark shares. */
#pragma once
#include <stddef.h>
#include <stdint.h>

/* One benchmark: does a fixed amount of work and returns a checksum that depends on all of it. */
typedef uint64_t benchmark(uint32_t work);

benchmark bench_integer, bench_memory, bench_calls, bench_wide_1000, bench_wide_4000, bench_x87, bench_x87_double;
benchmark bench_sse_scalar_double, bench_sse_packed_double, bench_sse_scalar_single, bench_sse_packed_single, bench_sse_integer;
benchmark bench_string, bench_string_scan, bench_self_ipi, bench_ping_pong_spin, bench_ping_pong_halt, bench_latency, bench_timer;
benchmark bench_address_spaces, bench_ring_interrupt, bench_ring_fast, bench_code_patch, bench_code_generate;

/* Console on the first serial port; the end of the run. */
void put_text(const char *text);
void put_hex(uint64_t value);
_Noreturn void leave(uint32_t status);
_Noreturn void fail(const char *why);

/* Interrupts. A handler is assembly or a function with the attribute "interrupt". */
void set_vector(unsigned vector, const void *handler, unsigned privilege);

/* Local APIC, at its usual place. */
#define APIC_ID 0x20
#define APIC_EOI 0xB0
#define APIC_SVR 0xF0
#define APIC_ICR 0x300
#define APIC_ICR_HIGH 0x310
#define APIC_LVT_TIMER 0x320
#define APIC_INITIAL_COUNT 0x380
#define APIC_DIVIDE 0x3E0
static inline volatile uint32_t *apic_register(unsigned offset) { return (volatile uint32_t *)(uintptr_t)(0xFEE00000u + offset); }
void apic_enable(void);

/* Physical memory for the benchmarks to use: plain RAM in every configuration of at least 128 MiB. */
#define ARENA 0x1000000u
#define ARENA_BYTES 0x5000000u
/* Linear addresses that only map_page() maps. */
#define WINDOW 0x80000000u
/* A copy of the boot page tables with its own, empty window. Its root, for CR3. Tables come from `*tables`, which is moved on. */
uintptr_t new_address_space(uintptr_t *tables);
/* Maps the 4 KiB page of the window at `linear` to `physical`, for user code too. */
void map_page(uintptr_t root, uintptr_t linear, uintptr_t physical, uintptr_t *tables);

static inline void out8(uint16_t port, uint8_t value) { __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port)); }
static inline uint8_t in8(uint16_t port)
{
    uint8_t value;
    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}
static inline void write_cr3(uintptr_t root) { __asm__ volatile("mov %0, %%cr3" : : "r"(root) : "memory"); }
static inline void write_msr(uint32_t index, uint64_t value)
{
    __asm__ volatile("wrmsr" : : "c"(index), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)) : "memory");
}

/* A generator for data and for random order. */
static inline uint32_t next_random(uint32_t *state)
{
    uint32_t x = *state;
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    return *state = x;
}
static inline uint64_t mix(uint64_t sum, uint64_t value) { return (sum ^ value) * 0x9E3779B97F4A7C15u + (sum >> 31); }
