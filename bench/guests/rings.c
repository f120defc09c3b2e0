/* From user to supervisor and back: by an interrupt gate, and by SYSCALL (64 bits) or SYSENTER (32 bits). */
#include "bench.h"

extern uint32_t gdt[];
void user_interrupt_loop(void), user_fast_loop(void), ring_interrupt_entry(void), ring_fast_entry(void), ring_exit_entry(void);
void run_in_user_mode(void (*code)(void), uint32_t count, uint32_t *total);

static uint32_t task_state[26];
static uint8_t ring_stack[8192] __attribute__((aligned(16)));
uintptr_t ring_stack_top;

/* Called from both entries: what a small system call does. */
uint32_t system_call(uint32_t number, uint32_t argument) { return (number * 0x9E3779B1u) ^ (argument + (argument >> 7)); }

static void set_up(void)
{
    uintptr_t address = (uintptr_t)task_state;
    ring_stack_top = (uintptr_t)ring_stack + sizeof ring_stack;
    task_state[1] = (uint32_t)ring_stack_top;
    task_state[2] = sizeof(uintptr_t) == 8 ? 0 : 0x10;
    task_state[25] = 104u << 16;
    uint32_t *descriptor = gdt + 0x40 / 4;
    descriptor[0] = (uint32_t)address << 16 | (sizeof task_state - 1);
    descriptor[1] = ((uint32_t)address & 0xFF000000u) | 0x8900u | ((uint32_t)address >> 16 & 0xFF);
    __asm__ volatile("ltr %w0" : : "r"(0x40));
    set_vector(0x80, (void *)ring_interrupt_entry, 3);
    set_vector(0x81, (void *)ring_exit_entry, 3);
}

uint64_t bench_ring_interrupt(uint32_t work)
{
    uint64_t sum = 19;
    uint32_t total = 1;
    set_up();
    for (uint32_t round = 0; round < work; round++) {
        run_in_user_mode(user_interrupt_loop, 1000, &total);
        sum = mix(sum, total);
    }
    return sum;
}

uint64_t bench_ring_fast(uint32_t work)
{
    uint64_t sum = 20;
    uint32_t total = 1;
    set_up();
#ifdef __x86_64__
    write_msr(0xC0000081, 0x00180008ull << 32);
    write_msr(0xC0000082, (uintptr_t)ring_fast_entry);
    write_msr(0xC0000084, 0x200);
#else
    write_msr(0x174, 0x08);
    write_msr(0x175, ring_stack_top);
    write_msr(0x176, (uintptr_t)ring_fast_entry);
#endif
    for (uint32_t round = 0; round < work; round++) {
        run_in_user_mode(user_fast_loop, 1000, &total);
        sum = mix(sum, total);
    }
    return sum;
}
