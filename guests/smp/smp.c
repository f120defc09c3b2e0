/* Starting the other CPUs: INIT, then start-up IPIs (SDM 3A 8.4.4.1). */
#include "apic.h"

#define TRAMPOLINE 0x8000

extern const u8 trampoline_load[], trampoline_begin[], trampoline_end[];

/* Read by trampoline.S. */
struct cpu *volatile ap_start_cpu;
u8 *volatile ap_start_stack;

/*
 * INIT puts the AP into wait-for-SIPI; SIPI gives it the page to start at. A second SIPI follows because the first may
 * be lost on real boards; an AP that has started ignores it. The manual waits 10 ms after INIT, which was for
 * processors with a separate APIC chip; a fraction of that has been enough since.
 */
static bool start_ap(struct cpu *cpu)
{
    ap_start_cpu = cpu;
    ap_start_stack = cpu_stacks[cpu->index] + CPU_STACK_SIZE;
    send_init(cpu);
    delay_us(100);
    send_startup(cpu, TRAMPOLINE >> 12);
    delay_us(50);
    send_startup(cpu, TRAMPOLINE >> 12);
    return wait_count(&cpu->online, 1);
}

/* Starts all CPUs but ours, one after the other; returns how many came up. */
u32 start_aps(void)
{
    u8 *to = (u8 *)TRAMPOLINE;
    u32 size = trampoline_end - trampoline_begin;
    u32 i, started = 0;

    for (i = 0; i < size; i++)
        to[i] = trampoline_load[i];
    for (i = 1; i < cpu_count; i++) {
        if (start_ap(&cpus[i]))
            started++;
        else
            print("start_aps: CPU %u (APIC id %u) did not come up\n", i, cpus[i].apic_id);
    }
    return started;
}

/* First C code of an AP. */
void ap_main(struct cpu *cpu)
{
    percpu_init(cpu->index);
    idt_load();
    apic_enable();
    if (apic_id() != cpu->apic_id)
        report_problem("started with another APIC id than was sent to", 0);
    info("CPU %u (APIC id %u) up\n", cpu->index, apic_id());
    cpu->online = 1;
    cpu_idle();
    for (;;)
        pause();
}
