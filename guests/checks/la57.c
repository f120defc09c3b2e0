/*
 * 5-level paging: how to get there and back, the fifth level, which addresses are canonical and where. SDM 3A 4.5 and 3.3.7.1 of volume 1; that MSRs and
 * bases are held to the width that the processor supports and not to the mode's is from SDM 3A 4.5.3 ("Use of Linear Addresses with 5-Level Paging").
 */
#include "protection.h"

#define CR4_LA57 (1ul << 12)
#define MSR_LSTAR 0xc0000082
#define MSR_KERNEL_GS_BASE 0xc0000102
/* Canonical in 57 bits only, and in neither. */
#define WIDE 0x0080000000000000ul
#define WIDE_TOP 0xff00000000000000ul
#define NEITHER 0x0100000000000000ul

extern u64 boot_pml4[512];
static u64 pml5[512] __attribute__((aligned(4096)));
static u64 wide_pml4[512] __attribute__((aligned(4096)));
static u64 wide_pdpt[512] __attribute__((aligned(4096)));
static u64 wide_directory[512] __attribute__((aligned(4096)));
struct { u16 limit; u64 base; } __attribute__((packed)) pseudo;

CODE(toggle_la57, "mov %cr4, %rax; xor $0x1000, %eax", "mov %rax, %cr4")
CODE(rd_wide, "mov $0x0080000000000000, %rdi", "movl (%rdi), %eax; mov %rax, value_read")
CODE(rd_wide_top, "mov $0xff00000000000000, %rdi", "movl (%rdi), %eax; mov %rax, value_read")
CODE(rd_neither, "mov $0x0100000000000000, %rdi", "movl (%rdi), %eax")
CODE(rd_edge, "mov $0x00fffffffffffffe, %rdi", "movl (%rdi), %eax")
CODE(push_neither, "mov %rsp, %rdx; mov $0x0100000000001000, %rsp", "pushq $1; mov %rdx, %rsp")
CODE(jump_wide, "mov $0x0080000000000000, %rdi", "call *%rdi")
CODE(jump_neither, "mov $0x0100000000000000, %rdi", "call *%rdi")
CODE(lgdt_wide, "sgdt pseudo; mov pseudo + 2, %rsi; mov $0x0080000000000000, %rdi; mov %rdi, pseudo + 2", "lgdt pseudo; mov %rsi, pseudo + 2; lgdt pseudo")
CODE(lgdt_neither, "sgdt pseudo; mov $0x0100000000000000, %rdi; mov %rdi, pseudo + 2", "lgdt pseudo")
CODE(lstar_wide, "mov $0xc0000082, %ecx; xor %eax, %eax; mov $0x00800000, %edx", "wrmsr")
CODE(lstar_neither, "mov $0xc0000082, %ecx; xor %eax, %eax; mov $0x01000000, %edx", "wrmsr")
CODE(wrgsbase_wide, "mov $0x0080000000000000, %rdi", "wrgsbase %rdi")
CODE(wrgsbase_neither, "mov $0x0100000000000000, %rdi", "wrgsbase %rdi")
CODE(invlpg_neither, "mov $0x0100000000000000, %rdi", "invlpg (%rdi)")

/* Turns LA57 over: only without paging, hence by way of 32-bit code. %edi: the new CR3, %esi: the bits of CR4 to change. */
__asm__(".text\n.globl switch_levels\nswitch_levels: push %rbx; mov %ds, %r8d; push %r8; ljmp *2f\n"
        ".code32\n1: mov %cr0, %eax; btr $31, %eax; mov %eax, %cr0; mov %cr4, %ecx; xor %esi, %ecx; mov %ecx, %cr4; mov %edi, %cr3; bts $31, %eax\n"
        "mov %eax, %cr0; ljmp $0x08, $3f\n.code64\n3: pop %r8; mov %r8d, %ds; pop %rbx; ret\n"
        ".data\n2: .long 1b\n.word 0x38\n.text\n");
void switch_levels(word cr3, word cr4_bits);

static void canonical_addresses(bool five)
{
    check_prefix = five ? "5 levels: " : "4 levels: ";
    expect("read of an address of 57 bits", false, rd_wide, five ? NOTHING : GP, 0, rd_wide_at);
    expect("call to an address of 57 bits", false, jump_wide, five ? NOTHING : GP, 0, jump_wide_at);
    expect("read of a high address of 57 bits", false, rd_wide_top, five ? PF : GP, 0, rd_wide_top_at);
    if (five)
        check_value("... its CR2", trap.cr2, WIDE_TOP);
    FAULTS(rd_neither, GP, 0);
    expect("read across the end of the low half", false, rd_edge, five ? PF : GP, 0, rd_edge_at);
    FAULTS(jump_neither, GP, 0);
    USER_FAULTS(push_neither, SS, 0);
    RUNS(lgdt_wide);
    FAULTS(lgdt_neither, GP, 0);
    RUNS(lstar_wide);
    check_value("LSTAR", rdmsr(MSR_LSTAR), WIDE);
    FAULTS(lstar_neither, GP, 0);
    RUNS(wrgsbase_wide);
    FAULTS(wrgsbase_neither, GP, 0);
    RUNS(invlpg_neither);
    check_prefix = "";
}

static void fifth_level(void)
{
    const u64 entry = pml5[128];
    pml5[128] = 0;
    pf("PML5 entry not present", true, rd_wide, E_U, WIDE);
    pml5[128] = (entry & ~(u64)A) | PS;
    pf("PML5 entry with bit 7 set", false, rd_wide, E_P | E_RSVD, WIDE);
    pml5[128] = entry & ~(u64)(U | A);
    pf("supervisor PML5 entry: user read", true, rd_wide, E_P | E_U, WIDE);
    okay("supervisor PML5 entry: read", false, rd_wide);
    check_value("A set in the PML5 entry", pml5[128] & A, A);
    pml5[128] = entry | NX;
    pf("no-execute PML5 entry: fetch", false, jump_wide, E_P | E_I, WIDE);
    pml5[128] = entry | 1ull << 51;
    pf("PML5 entry with a reserved address bit", false, rd_wide, E_P | E_RSVD, WIDE);
    pml5[128] = entry;
    okay("PML5 entry", true, rd_wide);
    check_value("frame", (u32)value_read, 0x5757c3c3);
}

void five_levels(void)
{
    u32 regs[4];
    word cr3 = read_cr3();
    cpuid(0, regs);
    if (regs[0] >= 7)
        cpuid(7, regs);
    else
        regs[2] = 0;
    if (!(regs[2] >> 16 & 1)) {
        FAULTS(toggle_la57, GP, 0);
        FAULTS(lstar_wide, GP, 0);
        skip("LA57");
        return;
    }
    cpuid(0x80000008, regs);
    check_value("linear-address width", regs[0] >> 8 & 0xff, 57);
    FAULTS(toggle_la57, GP, 0);
    write_cr4(read_cr4() | 1 << 16);
    *(volatile u32 *)page_b = 0x5757c3c3;
    /* Entry 128 of the fifth level is WIDE. */
    pml5[0] = (word)boot_pml4 | P | W | U;
    pml5[128] = (word)wide_pml4 | P | W | U;
    wide_pml4[0] = (word)wide_pdpt | P | W | U;
    wide_pdpt[0] = (word)wide_directory | P | W | U;
    wide_directory[0] = (word)table | P | W | U;
    *(volatile u64 *)&table[0] = (word)page_b | P | W | U;

    canonical_addresses(false);
    switch_levels((word)pml5, CR4_LA57);
    check_value("CR4.LA57 is set", read_cr4() & CR4_LA57, CR4_LA57);
    FAULTS(toggle_la57, GP, 0);
    canonical_addresses(true);
    fifth_level();
    switch_levels(cr3, CR4_LA57);
    check_value("CR4.LA57 is clear", read_cr4() & CR4_LA57, 0);
    canonical_addresses(false);
    wrmsr(MSR_LSTAR, 0);
}
