/*
 * What long mode's page tables have beyond 4-level paging: protection keys for user and supervisor pages, process-context identifiers, INVPCID; then
 * la57.c turns to five levels. SDM 3A 4.5, 4.6.2, 4.10. Features that CPUID does not offer must not be there.
 */
#include "protection.h"

u64 directory[512] __attribute__((aligned(4096)));
u64 table[512] __attribute__((aligned(4096)));
static u64 other_root[512] __attribute__((aligned(4096)));
static u64 other_pdpt[512] __attribute__((aligned(4096)));
static u64 other_directory[512] __attribute__((aligned(4096)));
static u64 other_table[512] __attribute__((aligned(4096)));
struct { u64 pcid, linear; } descriptor;
word value;

extern u64 boot_pml4[512], boot_pdpt[512];

#define PKU(reg7) ((reg7)[2] >> 3 & 1)
#define OSPKE(reg7) ((reg7)[2] >> 4 & 1)
#define PKS(reg7) ((reg7)[2] >> 31)

CODE(rdpkru, "xor %ecx, %ecx; mov $-1, %rdx", "rdpkru; mov %rax, value; mov %rdx, value + 8")
CODE(rdpkru_ecx, "mov $1, %ecx", "rdpkru")
CODE(wrpkru_ecx, "mov $1, %ecx; xor %eax, %eax; xor %edx, %edx", "wrpkru")
CODE(wrpkru_edx, "xor %ecx, %ecx; xor %eax, %eax; mov $1, %edx", "wrpkru")
CODE(pkrs_wide, "mov $0x6e1, %ecx; xor %eax, %eax; mov $1, %edx", "wrmsr")
CODE(pkrs_read, "mov $0x6e1, %ecx", "rdmsr")
CODE(user_wrpkru, "xor %ecx, %ecx; mov $0x30, %eax; xor %edx, %edx", "wrpkru")
CODE(set_pke, "mov %cr4, %rax; or $0x400000, %eax", "mov %rax, %cr4")
CODE(set_pks, "mov %cr4, %rax; or $0x1000000, %eax", "mov %rax, %cr4")
CODE(set_pcide, "mov %cr4, %rax; or $0x20000, %eax", "mov %rax, %cr4")
CODE(clear_pg, "mov %cr0, %rax; btr $31, %rax", "mov %rax, %cr0")
CODE(cr3_bit63, "mov %cr3, %rax; bts $63, %rax", "mov %rax, %cr3")
CODE(cr3_bit62, "mov %cr3, %rax; bts $62, %rax", "mov %rax, %cr3")
CODE(cr3_bit51, "mov %cr3, %rax; bts $51, %rax", "mov %rax, %cr3")
CODE(invpcid_0, "xor %eax, %eax", "invpcid descriptor, %rax")
CODE(invpcid_1, "mov $1, %eax", "invpcid descriptor, %rax")
CODE(invpcid_2, "mov $2, %eax", "invpcid descriptor, %rax")
CODE(invpcid_3, "mov $3, %eax", "invpcid descriptor, %rax")
CODE(invpcid_4, "mov $4, %eax", "invpcid descriptor, %rax")
CODE(invpcid_wide, "mov $0x100000000, %rax", "invpcid descriptor, %rax")

static void wrpkru(u32 rights) { __asm__ volatile("wrpkru" : : "a"(rights), "c"(0), "d"(0) : "memory"); }

static void leaf7(u32 regs[4])
{
    cpuid(0, regs);
    if (regs[0] >= 7)
        cpuid(7, regs);
    else
        regs[0] = regs[1] = regs[2] = regs[3] = 0;
}

static void key(u64 flags, u64 number) { *(volatile u64 *)&table[0] = (word)page_a | flags | number << 59; }

/* Rights of key 1: bit 2 access disable, bit 3 write disable. The identity mapping has key 0. */
static void keys_of_user_pages(void)
{
    u32 regs[4];
    word cr0 = read_cr0();
    leaf7(regs);
    if (!PKU(regs)) {
        skip("PKU");
        FAULTS(set_pke, GP, 0);
        FAULTS(rdpkru, UD, NO_ERROR);
        return;
    }
    check_value("OSPKE without CR4.PKE", OSPKE(regs), 0);
    FAULTS(rdpkru, UD, NO_ERROR);
    FAULTS(wrpkru_edx, UD, NO_ERROR);
    key(P | W | U, 1);
    RUNS(set_pke);
    leaf7(regs);
    check_value("OSPKE with CR4.PKE", OSPKE(regs), 1);
    FAULTS(rdpkru_ecx, GP, 0);
    FAULTS(wrpkru_ecx, GP, 0);
    FAULTS(wrpkru_edx, GP, 0);
    wrpkru(0x12345670);
    RUNS(rdpkru);
    check_value("RDPKRU", ((u32 *)&value)[0], 0x12345670);

    wrpkru(0);
    okay("key 1 without restrictions", true, wr);
    write_cr0(cr0 | 1 << 16);
    wrpkru(4);
    pf("AD: user read", true, rd, E_P | E_U | E_PK, TEST);
    pf("AD: supervisor read", false, rd, E_P | E_PK, TEST);
    pf("AD: user write", true, wr, E_P | E_U | E_W | E_PK, TEST);
    okay("AD: user fetch", true, ex);
    wrpkru(8);
    okay("WD: user read", true, rd);
    pf("WD: user write", true, wr, E_P | E_U | E_W | E_PK, TEST);
    pf("WD: supervisor write with WP", false, wr, E_P | E_W | E_PK, TEST);
    write_cr0(cr0 & ~(1ul << 16));
    okay("WD: supervisor write without WP", false, wr);
    pf("WD: user write without WP", true, wr, E_P | E_U | E_W | E_PK, TEST);
    wrpkru(4);
    pf("AD: supervisor read without WP", false, rd, E_P | E_PK, TEST);
    write_cr0(cr0 | 1 << 16);
    wrpkru(0);
    run(rd);
    wrpkru(4);
    check_value("WRPKRU needs no invalidation", (u32)run(rd), PF);
    wrpkru(0);
    check_value("... in either direction", (u32)run(rd), (u32)NOTHING);
    USER_RUNS(user_wrpkru);
    RUNS(rdpkru);
    check_value("WRPKRU at CPL 3", ((u32 *)&value)[0], 0x30);
    wrpkru(0xfffffff0);
    okay("rights of other keys do not count", true, rd);
    wrpkru(12);
    key(P | U, 1);
    pf("read-only page, WD: both refuse", true, wr, E_P | E_U | E_W | E_PK, TEST);
    key(P | W, 1);
    okay("supervisor page: PKRU is not for it", false, wr);
    pf("supervisor page: user read is no key's business", true, rd, E_P | E_U, TEST);
    key(W | U, 1);
    pf("not present: no key", true, rd, E_U, TEST);
    key(P | W | U, 15);
    wrpkru(1u << 30);
    pf("key 15, AD", true, rd, E_P | E_U | E_PK, TEST);
    wrpkru(~0u << 2);
    write_cr4(read_cr4() & ~(1ul << 22));
    okay("CR4.PKE off: keys are ignored", true, wr);
    write_cr4(read_cr4() | 1 << 22);
    RUNS(rdpkru);
    check_value("PKRU outlasts CR4.PKE", ((u32 *)&value)[0], ~0u << 2);
    *(volatile u64 *)&directory[0] = LARGE_PHYSICAL | P | W | U | PS | 2ull << 59;
    wrpkru(1u << 4);
    pf("large page, key 2, AD", true, rd, E_P | E_U | E_PK, TEST);
    *(volatile u64 *)&directory[0] = (word)table | P | W | U | 2ull << 59;
    key(P | W | U, 0);
    okay("keys of upper levels are ignored", true, rd);
    *(volatile u64 *)&directory[0] = (word)table | P | W | U;
    wrpkru(0);
    write_cr4(read_cr4() & ~(1ul << 22));
    write_cr0(cr0);
}

static void keys_of_supervisor_pages(void)
{
    u32 regs[4];
    word cr0 = read_cr0();
    leaf7(regs);
    if (!PKS(regs)) {
        skip("PKS");
        FAULTS(set_pks, GP, 0);
        FAULTS(pkrs_read, GP, 0);
        return;
    }
    key(P | W, 3);
    RUNS(pkrs_read);
    FAULTS(pkrs_wide, GP, 0);
    wrmsr(0x6e1, 1u << 6);
    okay("CR4.PKS off: keys are ignored", false, wr);
    RUNS(set_pks);
    write_cr0(cr0 | 1 << 16);
    pf("PKS, AD: read", false, rd, E_P | E_PK, TEST);
    pf("PKS, AD: write", false, wr, E_P | E_W | E_PK, TEST);
    okay("PKS, AD: fetch", false, ex);
    wrmsr(0x6e1, 2u << 6);
    okay("PKS, WD: read", false, rd);
    pf("PKS, WD: write", false, wr, E_P | E_W | E_PK, TEST);
    write_cr0(cr0 & ~(1ul << 16));
    okay("PKS, WD: write without WP", false, wr);
    key(P | W | U, 3);
    wrmsr(0x6e1, 3u << 6);
    okay("PKS: user pages are not its business", false, wr);
    wrmsr(0x6e1, 0);
    write_cr4(read_cr4() & ~(1ul << 24));
    write_cr0(cr0);
}

static u32 first(void) { run(rd); return (u32)value_read; }

static void set_other(u64 frame) { *(volatile u64 *)&other_table[0] = frame | P | W | U; }

/* What INVPCID promises to drop must be gone; what it leaves a processor may have dropped all the same. */
static void pcids(void)
{
    u32 regs[4], id[4], i;
    word cr3 = read_cr3();
    bool invpcid;
    leaf7(regs);
    invpcid = regs[1] >> 10 & 1;
    cpuid(1, id);
    if (!(id[2] >> 17 & 1)) {
        skip("PCID");
        FAULTS(set_pcide, GP, 0);
        FAULTS(cr3_bit63, GP, 0);
        if (!invpcid)
            FAULTS(invpcid_2, UD, NO_ERROR);
        return;
    }
    FAULTS(cr3_bit63, GP, 0);
    write_cr3(cr3 | 8);
    FAULTS(set_pcide, GP, 0);
    write_cr3(cr3);
    descriptor.pcid = 1;
    if (invpcid) {
        FAULTS(invpcid_0, GP, 0);
        FAULTS(invpcid_1, GP, 0);
        RUNS(invpcid_2);
        RUNS(invpcid_3);
        descriptor.pcid = 0;
        RUNS(invpcid_0);
        RUNS(invpcid_1);
        USER_FAULTS(invpcid_2, GP, 0);
    } else
        FAULTS(invpcid_2, UD, NO_ERROR);
    RUNS(set_pcide);
    expect("clear_pg", false, clear_pg, GP, 0, clear_pg_at);
    RUNS(cr3_bit63);
    check_value("bit 63 of CR3 is not kept", read_cr3(), cr3);
    FAULTS(cr3_bit62, GP, 0);
    FAULTS(cr3_bit51, GP, 0);

    /* Two address spaces: PCID 0 maps TEST to the first page, PCID 5 to the second. */
    *(volatile u32 *)page_a = 0x1111c3c3;
    *(volatile u32 *)page_b = 0x2222c3c3;
    key(P | W | U, 0);
    for (i = 0; i < 512; i++) {
        other_root[i] = boot_pml4[i];
        other_pdpt[i] = boot_pdpt[i];
    }
    other_root[0] = (word)other_pdpt | P | W | U;
    other_pdpt[1] = (word)other_directory | P | W | U;
    other_directory[0] = (word)other_table | P | W | U;
    set_other((word)page_b);
    check_value("PCID 0", first(), 0x1111c3c3);
    write_cr3((word)other_root | 5);
    check_value("PCID 5", first(), 0x2222c3c3);
    check_value("CR3 shows the PCID", read_cr3(), (word)other_root | 5);
    write_cr3(cr3 | 1ull << 63);
    check_value("PCID 0 again, kept", first(), 0x1111c3c3);
    write_cr3((word)other_root | 5 | 1ull << 63);
    check_value("PCID 5 again, kept", first(), 0x2222c3c3);
    set_other((word)page_a);
    write_cr3((word)other_root | 5);
    check_value("a load without bit 63 drops the PCID's translations", first(), 0x1111c3c3);
    if (invpcid) {
        struct { void (*code)(void); u64 pcid, linear; const char *name; } const kinds[] = {
            { invpcid_0, 5, TEST, "one address" }, { invpcid_1, 5, 0, "one PCID" }, { invpcid_2, 0, 0, "all, global too" }, { invpcid_3, 0, 0, "all but global" },
        };
        for (i = 0; i < 4; i++) {
            set_other(i & 1 ? (word)page_a : (word)page_b);
            descriptor.pcid = kinds[i].pcid;
            descriptor.linear = kinds[i].linear;
            run(kinds[i].code);
            check_prefix = "INVPCID: ";
            check_value(kinds[i].name, first(), i & 1 ? 0x1111c3c3 : 0x2222c3c3);
            check_prefix = "";
        }
        /* From another address space, for one that is entered again without being dropped. */
        write_cr3(cr3 | 1ull << 63);
        set_other((word)page_b);
        descriptor.pcid = 5;
        descriptor.linear = TEST;
        RUNS(invpcid_0);
        write_cr3((word)other_root | 5 | 1ull << 63);
        check_value("INVPCID of an address space that is not the current one", first(), 0x2222c3c3);
        descriptor.pcid = 0x1000;
        FAULTS(invpcid_0, GP, 0);
        FAULTS(invpcid_1, GP, 0);
        FAULTS(invpcid_2, GP, 0);
        descriptor.pcid = 5;
        FAULTS(invpcid_4, GP, 0);
        FAULTS(invpcid_wide, GP, 0);
        descriptor.linear = 1ull << 62;
        FAULTS(invpcid_0, GP, 0);
        RUNS(invpcid_1);
    }
    write_cr3(cr3);
    write_cr4(read_cr4() & ~(1ul << 17));
    check_value("CR4.PCIDE off", first(), 0x1111c3c3);
}

void check_main(void)
{
    boot_pdpt[1] = (word)directory | P | W | U;
    directory[0] = (word)table | P | W | U;
    *(volatile u8 *)page_a = 0xc3;
    keys_of_user_pages();
    keys_of_supervisor_pages();
    pcids();
    five_levels();
}
