/* What each CPU has for itself: its struct cpu behind GS, its task state segment, its stacks. */
#include "cpu.h"

#define MSR_GS_BASE 0xc0000101

/* 64-bit task state segment (SDM 3A 7.7): here only for the stacks in it. */
struct tss {
    u32 reserved0;
    u64 rsp[3];
    u64 reserved1;
    u64 ist[7];
    u64 reserved2;
    u16 reserved3;
    u16 io_map;
} __attribute__((packed));

struct cpu cpus[MAX_CPUS];
u32 cpu_count;
u8 cpu_stacks[MAX_CPUS][CPU_STACK_SIZE] __attribute__((aligned(4096)));
static struct tss tss[MAX_CPUS] __attribute__((aligned(128)));
extern u64 gdt[];

/*
 * Each CPU's 16 KiB from below: 4 KiB for NMIs, 4 KiB for double faults, 8 KiB to work on.
 * An NMI can come at any instruction, even where RSP is useless; hence its own stack.
 */
void percpu_init(u32 index)
{
    struct cpu *cpu = &cpus[index];
    struct tss *mine = &tss[index];
    u64 base = (u64)mine;
    u64 *descriptor = &gdt[SEL_TSS(index) / 8];

    cpu->self = cpu;
    mine->ist[IST_NMI - 1] = (u64)cpu_stacks[index] + 4096;
    mine->ist[IST_DOUBLE_FAULT - 1] = (u64)cpu_stacks[index] + 8192;
    mine->rsp[0] = (u64)cpu_stacks[index] + CPU_STACK_SIZE;
    mine->io_map = sizeof(*mine);

    /* SDM 3A figure 7-4: available 64-bit TSS, type 9, present. */
    descriptor[0] = (sizeof(*mine) - 1) | (base & 0xffffff) << 16 | 0x89ul << 40 | (base >> 24 & 0xff) << 56;
    descriptor[1] = base >> 32;
    __asm__ volatile("ltr %0" : : "r"((u16)SEL_TSS(index)));

    wrmsr(MSR_GS_BASE, (u64)cpu);
}

/* Runs what others leave in cpu->work, and sleeps in between. Never returns. */
void cpu_idle(void)
{
    struct cpu *cpu = this_cpu();
    for (;;) {
        interrupts_off();
        if (!cpu->work) {
            sti_hlt();
            continue;
        }
        interrupts_on();
        cpu->work();
        cpu->work = NULL;
        cpu->work_done++;
    }
}
