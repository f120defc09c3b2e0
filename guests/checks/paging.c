/* 4-level paging in 64-bit mode. SDM 3A 4.5. */
#include "paging_common.h"

extern u64 boot_pml4[512], boot_pdpt[512], boot_pd[2048];
static u64 directory[512] __attribute__((aligned(4096)));
static u64 table[512] __attribute__((aligned(4096)));
static u64 high_pdpt[512] __attribute__((aligned(4096)));

static void set_pte(u32 index, u64 entry) { *(volatile u64 *)&table[index] = entry; }
static u64 get_pte(u32 index) { return *(volatile u64 *)&table[index]; }
static void set_pde(u64 entry) { *(volatile u64 *)&directory[0] = entry; }
static u64 get_pde(void) { return *(volatile u64 *)&directory[0]; }
static void identity_user(bool user)
{
    u32 i;
    for (i = 0; i < 2048; i++)
        boot_pd[i] = user ? boot_pd[i] | U : boot_pd[i] & ~(u64)U;
}

CODE(rd_high, "mov $0x8040000000, %rdi", "movl (%rdi), %eax; mov %rax, value_read")
CODE(ud_in_user, "nop", "ud2")
CODE(wr_1g, "mov $0x8040123450, %rdi; mov $0x1234, %eax", "movl %eax, (%rdi)")
CODE(rd_top, "mov $0xffffffffffffffff, %rdi", "movb (%rdi), %al")

/* The upper levels, on addresses of their own: PML4 entry 1. */
static void upper_levels(void)
{
    const word address = 0x8040000000;
    u32 regs[4];
    bool huge;

    cpuid(0x80000001, regs);
    huge = regs[3] >> 26 & 1;
    boot_pml4[1] = 0;
    pf("PML4 entry not present", false, rd_high, 0, address);
    boot_pml4[1] = (word)high_pdpt | P | W | U | PS;
    pf("PML4 entry with bit 7 set", false, rd_high, E_P | E_RSVD, address);
    boot_pml4[1] = (word)high_pdpt | P | W | U;
    high_pdpt[1] = 0;
    pf("PDPT entry not present", true, rd_high, E_U, address);
    high_pdpt[1] = (word)directory | P | W | U;
    set_pde((word)table | P | W | U);
    set_pte(0, (word)page_a | P | W | U);
    okay("all levels present", true, rd_high);
    check("A set at all levels", (boot_pml4[1] & A) && (high_pdpt[1] & A) && (get_pde() & A) && (get_pte(0) & A));
    boot_pml4[1] &= ~(u64)U;
    pf("supervisor PML4 entry: user read", true, rd_high, E_P | E_U, address);
    boot_pml4[1] |= U;
    high_pdpt[1] &= ~(u64)U;
    pf("supervisor PDPT entry: user read", true, rd_high, E_P | E_U, address);
    high_pdpt[1] |= U;
    boot_pml4[1] |= NX;
    okay("no-execute PML4 entry: read", true, rd_high);
    boot_pml4[1] &= ~NX;
    if (huge) {
        high_pdpt[1] = 0 | P | W | U | PS;
        okay("1 GiB page: read", true, rd_high);
        okay("1 GiB page: write", true, wr_1g);
        check_value("1 GiB page: sets A and D", high_pdpt[1] & (A | D), A | D);
        check_value("1 GiB page: written", *(volatile u32 *)0x123450, 0x1234);
        high_pdpt[1] = 0x2000 | P | W | U | PS;
        pf("1 GiB page with a reserved low bit", false, rd_high, E_P | E_RSVD, address);
    } else {
        high_pdpt[1] = 0 | P | W | U | PS;
        pf("1 GiB page where there are none", false, rd_high, E_P | E_RSVD, address);
    }
    boot_pml4[1] = 0;
    pf("last byte of the address space, not present", false, rd_top, 0, ~0ul);
}

/* A trap from CPL 3 finds the stack of its TSS missing: #PF, whose handler needs the same stack: #DF on its IST stack. */
static bool stack_hook(struct frame *frame)
{
    (void)frame;
    tss.rsp[0] = 0; /* set anew by the next run_user() */
    return false;
}

static void missing_kernel_stack(void)
{
    set_pde((word)table | P | W | U);
    set_pte(0, 0);
    flush();
    trap_hook = stack_hook;
    gate(UD, stub_of(UD), SEL_CODE, GATE_INTERRUPT, 2);
    tss.ist[1] = TEST + 0x800;
    check_value("handler's stack not present, benign first fault: page fault", (u32)run_user(ud_in_user), PF);
    check_value("... is a supervisor write", trap.error, E_W);
    check_value("... just below the stack's top", trap.cr2, TEST + 0x7f8);
    gate(PF, stub_of(PF), SEL_CODE, GATE_INTERRUPT, 2);
    check_value("handler's stack not present, page fault first: double fault", (u32)run_user(ud_in_user), DF);
    check_value("... with error code 0", trap.error, 0);
    check_value("... and CR2 of the last page fault", trap.cr2, TEST + 0x7f8);
    gate_reset(UD);
    gate_reset(PF);
    trap_hook = NULL;
}

void check_main(void)
{
    struct mode mode = { true, true, (word)table, set_pte, get_pte, set_pde, get_pde, identity_user };
    boot_pdpt[1] = (word)directory | P | W | U;
    common_checks(&mode);
    wrmsr(0xc0000080, rdmsr(0xc0000080) & ~(1ul << 11)); /* NXE off */
    set_pte(0, (word)page_a | P | W | U | NX);
    pf("no-execute bit without EFER.NXE is reserved", false, rd, E_P | E_RSVD, TEST);
    wrmsr(0xc0000080, rdmsr(0xc0000080) | 1ul << 11);
    supervisor_checks(&mode);
    upper_levels();
    missing_kernel_stack();
}
