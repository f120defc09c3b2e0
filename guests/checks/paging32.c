/* 32-bit paging, PAE paging, and the ways between them and to 64-bit mode and back. SDM 3A 4.3, 4.4, 9.8.5. */
#include "paging_common.h"

#define SEL_CODE64 0x40


static u32 directory32[1024] __attribute__((aligned(4096)));
static u32 table32[1024] __attribute__((aligned(4096)));
static u64 pdpt[4] __attribute__((aligned(32)));
static u64 identity[4][512] __attribute__((aligned(4096)));
static u64 directory[512] __attribute__((aligned(4096)));
static u64 table[512] __attribute__((aligned(4096)));
u64 pml4[512] __attribute__((aligned(4096)));
u64 long_pdpt[512] __attribute__((aligned(4096)));

static void set_pte32(u32 index, u64 entry) { *(volatile u32 *)&table32[index] = (u32)entry; }
static u64 get_pte32(u32 index) { return *(volatile u32 *)&table32[index]; }
static void set_pde32(u64 entry) { *(volatile u32 *)&directory32[TEST >> 22] = (u32)entry; }
static u64 get_pde32(void) { return *(volatile u32 *)&directory32[TEST >> 22]; }
static void identity_user32(bool user)
{
    u32 i;
    for (i = 0; i < 1024; i++)
        if (i != TEST >> 22)
            directory32[i] = user ? directory32[i] | U : directory32[i] & ~U;
}

static void set_pte(u32 index, u64 entry) { *(volatile u64 *)&table[index] = entry; }
static u64 get_pte(u32 index) { return *(volatile u64 *)&table[index]; }
static void set_pde(u64 entry) { *(volatile u64 *)&directory[0] = entry; }
static u64 get_pde(void) { return *(volatile u64 *)&directory[0]; }
static void identity_user(bool user)
{
    u32 i;
    for (i = 0; i < 2048; i++)
        identity[i / 512][i % 512] = user ? identity[i / 512][i % 512] | U : identity[i / 512][i % 512] & ~(u64)U;
}

static void paging_off(void) { write_cr0(read_cr0() & ~0x80000000ul); }
static void paging_on(void) { write_cr0(read_cr0() | 0x80000000ul); }

static void prepare(void)
{
    u32 i;
    for (i = 0; i < 1024; i++)
        directory32[i] = i << 22 | P | W | U | PS | (i >= 768 ? 0x18 : 0);
    for (i = 0; i < 2048; i++)
        identity[i / 512][i % 512] = (u64)i << 21 | P | W | U | PS | (i >= 1536 ? 0x18 : 0);
    for (i = 0; i < 4; i++) {
        pdpt[i] = (word)identity[i] | P;
        long_pdpt[i] = (word)identity[i] | P | W | U;
    }
    pdpt[1] = (word)directory | P;
    pml4[0] = (word)long_pdpt | P | W | U;
}

static void thirty_two_bit(void)
{
    struct mode mode = { false, false, (word)table32, set_pte32, get_pte32, set_pde32, get_pde32, identity_user32 };
    u32 regs[4];
    u32 i;

    check_prefix = "32-bit: ";
    write_cr4(1 << 4); /* PSE */
    write_cr3((word)directory32);
    paging_on();
    common_checks(&mode);
    supervisor_checks(&mode);

    /* PSE-36: bits 20:13 are address bits 39:32, bit 21 is reserved (SDM 3A table 4-4). */
    set_pde32(LARGE_PHYSICAL | P | W | U | PS | 1 << 21);
    pf("4 MiB page with bit 21 set", false, rd, E_P | E_RSVD, TEST);
    set_pde32((word)table32 | P | W | U);
    set_pte32(0, (word)page_a | P | W | U | PS);
    okay("bit 7 of a table entry is PAT, not a large page", false, rd);

    /* Without CR4.PSE bit 7 of a directory entry is ignored: it leads to a table. Our identity map must not need it then. */
    for (i = 0; i < 1024; i++)
        table32[i] = i << 12 | P | W | U;
    set_pde32((word)table32 | P | W | U);
    cpuid(1, regs);
    if (regs[3] & 1 << 3) {
        u32 saved = directory32[0];
        directory32[0] = (word)table32 | P | W | U;
        set_pte32(0, (word)page_a | P | W | U);
        write_cr3(read_cr3());
        set_pde32((word)table32 | P | W | U | PS);
        write_cr4(0);
        okay("bit 7 of a directory entry without CR4.PSE", false, rd);
        check_value("... leads to the table", (u32)value_read, *(volatile u32 *)page_a);
        write_cr4(1 << 4);
        directory32[0] = saved;
    }
    paging_off();
    check_value("paging off: physical addresses", *(volatile u32 *)LARGE_PHYSICAL, 0x909090c3);
}

CODE(load_cr3_bad_pdpte, "mov %cr3, %eax", "mov %eax, %cr3")

static void pae(bool nx)
{
    struct mode mode = { true, nx, (word)table, set_pte, get_pte, set_pde, get_pde, identity_user };
    u64 efer = rdmsr(0xc0000080);

    check_prefix = nx ? "PAE, NX: " : "PAE: ";
    wrmsr(0xc0000080, nx ? efer | 1 << 11 : efer & ~(1u << 11));
    write_cr4(1 << 5);
    write_cr3((word)pdpt);
    paging_on();
    common_checks(&mode);
    supervisor_checks(&mode);

    /* The four PDPT entries are loaded with CR3, and checked then (SDM 3A 4.4.1). */
    set_pte(0, (word)page_a | P | W | U);
    *(volatile u64 *)&pdpt[1] = (word)directory | P | W;
    FAULTS(load_cr3_bad_pdpte, GP, 0);
    *(volatile u64 *)&pdpt[1] = (word)directory | P | 1ull << 63;
    FAULTS(load_cr3_bad_pdpte, GP, 0);
    *(volatile u64 *)&pdpt[1] = (word)directory | P;
    RUNS(load_cr3_bad_pdpte);
    *(volatile u64 *)&pdpt[1] = 0;
    check_value("a PDPT entry changed in memory has no effect before CR3 is loaded", (u32)run(rd), (u32)NOTHING);
    pf("a PDPT entry not present, after CR3 is loaded", true, rd, E_U, TEST);
    *(volatile u64 *)&pdpt[1] = (word)directory | P;
    write_cr3(read_cr3());
    paging_off();
    write_cr4(0);
    wrmsr(0xc0000080, efer);
}

/*
 * 32-bit -> compatibility -> 64-bit -> compatibility -> 32-bit, noting on the way what can be seen. The
 * interrupt table stays the 32-bit one, so nothing may trap here.
 */
u32 efer_seen[4];
u64 wide_seen;
u32 upper_seen;
void through_long_mode(void);
__asm__(".text\n.globl through_long_mode\nthrough_long_mode:\n"
        "push %ebx; push %esi; push %edi; push %ebp\n"
        "mov $0x20, %eax; mov %eax, %cr4\n"
        "mov $pml4, %eax; mov %eax, %cr3\n"
        "mov $0xc0000080, %ecx; rdmsr; or $0x100, %eax; wrmsr; rdmsr; mov %eax, efer_seen\n"
        "mov %cr0, %eax; or $0x80000000, %eax; mov %eax, %cr0\n"
        "rdmsr; mov %eax, efer_seen + 4\n" /* compatibility mode */
        "mov $0x89abcdef, %esi; mov $0x01234567, %ebp\n"
        "ljmp $0x40, $1f\n"
        ".code64\n"
        "1: shl $32, %rbp; or %rsi, %rbp; mov $wide_seen, %edi; mov %rbp, (%rdi); mov $1f, %edi\n"
        "push $0x08; push %rdi; rex.W lret\n"
        ".code32\n"
        "1: inc %ebp; mov %ebp, upper_seen\n"
        "mov %cr0, %eax; and $0x7fffffff, %eax; mov %eax, %cr0\n"
        "mov $0xc0000080, %ecx; rdmsr; mov %eax, efer_seen + 8\n"
        "and $~0x100, %eax; wrmsr; rdmsr; mov %eax, efer_seen + 12\n"
        "xor %eax, %eax; mov %eax, %cr4\n"
        "pop %ebp; pop %edi; pop %esi; pop %ebx; ret\n");

CODE(pg_with_lme_without_pae, "mov %cr0, %eax; or $0x80000000, %eax", "mov %eax, %cr0; and $0x7fffffff, %eax; mov %eax, %cr0")
CODE(lme_while_paging, "mov $0xc0000080, %ecx; rdmsr; or $0x100, %eax", "wrmsr")

static void long_mode(void)
{
    u32 regs[4];
    u64 efer;

    check_prefix = "switch: ";
    cpuid(0x80000001, regs);
    if (!(regs[3] >> 29 & 1)) {
        skip("64-bit mode");
        return;
    }
    efer = rdmsr(0xc0000080);
    long_pdpt[1] = (word)identity[1] | P | W | U;
    gdt[SEL_CODE64 / 8] = segment(0, 0xfffff, 0x9b, 0xa);
    through_long_mode();
    check_value("LME set, paging off: LMA clear", efer_seen[0] & 0x500, 0x100);
    check_value("LME set, paging on: LMA set", efer_seen[1] & 0x500, 0x500);
    check_value("64-bit registers", wide_seen, 0x0123456789abcdefull);
    check_value("compatibility mode again", upper_seen, 0x89abcdf0);
    check_value("paging off: LMA clear", efer_seen[2] & 0x500, 0x100);
    check_value("LME clear", efer_seen[3] & 0x500, 0);
    wrmsr(0xc0000080, efer | 0x100);
    write_cr3((word)directory32);
    write_cr4(1 << 4);
    if (!option("gentle"))
        FAULTS(pg_with_lme_without_pae, GP, 0);
    wrmsr(0xc0000080, efer);
    write_cr3((word)directory32);
    paging_on();
    FAULTS(lme_while_paging, GP, 0);
    paging_off();
    through_long_mode();
    check_value("a second time: 64-bit registers", wide_seen, 0x0123456789abcdefull);
}

void check_main(void)
{
    u32 regs[4];

    cpuid(1, regs);
    prepare();
    thirty_two_bit();
    if (regs[3] & 1 << 6) {
        pae(false);
        cpuid(0x80000001, regs);
        if (regs[3] >> 20 & 1)
            pae(true);
        long_mode();
    } else
        skip("PAE");
    check_prefix = "";
}
