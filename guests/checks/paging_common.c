#include "paging_common.h"

/* Both pages begin with RET, so that they can be called; the rest tells them apart. */
u8 page_a[4096] __attribute__((aligned(4096)));
u8 page_b[4096] __attribute__((aligned(4096)));
word value_read;

CODE(rd, "nop", "movl 0x40000000, %eax; mov %" R "ax, value_read")
CODE(wr, "mov $0x909090c3, %eax", "movl %eax, 0x40000000")
CODE(wr_123, "nop", "movb %al, 0x40000123")
CODE(rmw, "nop", "orl $0, 0x40000000")
CODE(cmpxchg_unequal, "mov $0x12345678, %eax; mov $1, %ecx", "cmpxchgl %ecx, 0x40000000")
CODE(ex, "mov $0x40000000, %ecx", "call *%" R "cx")
CODE(wr_cross, "mov $0x55555555, %eax", "movl %eax, 0x40000ffe")
CODE(rd_cross, "nop", "movl 0x40000ffe, %eax")
CODE(rd_second, "nop", "movl 0x40001000, %eax; mov %" R "ax, value_read")
CODE(rep_stos, "mov $0x40000ff0, %edi; mov $8, %ecx; xor %eax, %eax", "rep stosl")
CODE(rd_ac, ".byte 0x0f, 0x01, 0xcb", "movl 0x40000000, %eax; .byte 0x0f, 0x01, 0xca")
CODE(wr_ac, ".byte 0x0f, 0x01, 0xcb; mov $0x909090c3, %eax", "movl %eax, 0x40000000; .byte 0x0f, 0x01, 0xca")
CODE(load_segment_ac, "mov $0x1e0, %eax; lldt %ax; .byte 0x0f, 0x01, 0xcb; mov $0x0c, %eax", "mov %eax, %es; .byte 0x0f, 0x01, 0xca")
CODE(no_ldt, "xor %eax, %eax", "lldt %ax")
CODE(rd_large, "nop", "movl 0x40345678, %eax; mov %" R "ax, value_read")
CODE(wr_large, "mov $0x909090c3, %eax", "movl %eax, 0x40000000")

void flush(void) { write_cr3(read_cr3()); }

bool has_feature7(u32 bit)
{
    u32 regs[4];
    cpuid(0, regs);
    if (regs[0] < 7)
        return false;
    cpuid(7, regs);
    return regs[1] >> bit & 1;
}

/* Must fault with #PF, this error code and this address in CR2. */
void pf(const char *name, bool user, void (*code)(void), word error, word cr2)
{
    int got;
    flush();
    got = user ? run_user(code) : run(code);
    if (!check(name, got == PF && trap.error == error && trap.cr2 == cr2)) {
        if (got == NOTHING)
            print("  no trap, expected error %x\n", (u64)error);
        else
            print("  vector %u, error %x, CR2 %x, expected error %x, CR2 %x\n", (u32)got, (u64)trap.error, (u64)trap.cr2, (u64)error, (u64)cr2);
    }
}

void okay(const char *name, bool user, void (*code)(void))
{
    flush();
    expect(name, user, code, NOTHING, 0, NULL);
}

static u32 first(const u8 *page) { return *(const volatile u32 *)page; }

static void fill(void)
{
    u32 i;
    for (i = 0; i < 4096; i++) {
        page_a[i] = i % 4 ? 0xaa : 0xc3;
        page_b[i] = i % 4 ? 0xbb : 0xc3;
    }
}

static void permissions(const struct mode *m)
{
    u64 a = (word)page_a;
    u64 table = m->table_physical;
    word fetch = m->nx ? E_I : 0;
    word cr0 = read_cr0();

    fill();
    m->set_pde(table | P | W | U);
    m->set_pte(0, a); /* not present */
    pf("read, not present", false, rd, 0, TEST);
    pf("write, not present", false, wr, E_W, TEST);
    pf("write with an offset, not present", false, wr_123, E_W, TEST + 0x123);
    pf("fetch, not present", false, ex, fetch, TEST);
    pf("user read, not present", true, rd, E_U, TEST);
    pf("user write, not present", true, wr, E_U | E_W, TEST);
    pf("user fetch, not present", true, ex, E_U | fetch, TEST);
    m->set_pte(0, 0xfffff000 & ~0xfffull);
    pf("nothing in a not-present entry counts", false, rd, 0, TEST);

    m->set_pte(0, a | P | U);
    write_cr0(cr0 & ~(1ul << 16));
    okay("read-only page: supervisor write without WP", false, wr);
    pf("read-only page: user write without WP", true, wr, E_P | E_W | E_U, TEST);
    write_cr0(cr0 | 1 << 16);
    pf("read-only page: supervisor write with WP", false, wr, E_P | E_W, TEST);
    pf("read-only page: user write", true, wr, E_P | E_W | E_U, TEST);
    pf("read-only page: read-modify-write", false, rmw, E_P | E_W, TEST);
    pf("read-only page: CMPXCHG that does not match", false, cmpxchg_unequal, E_P | E_W, TEST);
    okay("read-only page: read", false, rd);
    okay("read-only page: user read", true, rd);
    okay("read-only page: fetch", false, ex);
    okay("read-only page: user fetch", true, ex);

    m->set_pte(0, a | P | W);
    okay("supervisor page: write", false, wr);
    pf("supervisor page: user read", true, rd, E_P | E_U, TEST);
    pf("supervisor page: user write", true, wr, E_P | E_U | E_W, TEST);
    pf("supervisor page: user fetch", true, ex, E_P | E_U | fetch, TEST);

    /* The directory restricts what the table allows. */
    m->set_pte(0, a | P | W | U);
    okay("user page: user write", true, wr);
    m->set_pde(table | P | U);
    pf("read-only directory entry: write", false, wr, E_P | E_W, TEST);
    okay("read-only directory entry: user read", true, rd);
    m->set_pde(table | P | W);
    pf("supervisor directory entry: user read", true, rd, E_P | E_U, TEST);
    okay("supervisor directory entry: write", false, wr);
    m->set_pde(table | W | U);
    pf("directory entry not present", true, rd, E_U, TEST);
    m->set_pde(table | P | W | U);
    write_cr0(cr0);
}

static void accessed_and_dirty(const struct mode *m)
{
    u64 a = (word)page_a;
    m->set_pde(m->table_physical | P | W | U);
    m->set_pte(0, a | P | W | U);
    okay("A/D: read", false, rd);
    check_value("read sets A, not D", m->get_pte(0) & (A | D), A);
    check_value("read sets A in the directory entry", m->get_pde() & A, A);
    okay("A/D: write after read", false, wr);
    check_value("write sets D", m->get_pte(0) & (A | D), A | D);
    m->set_pte(0, a | P | W | U);
    okay("A/D: first access is a write", false, wr);
    check_value("write sets A and D", m->get_pte(0) & (A | D), A | D);
    m->set_pte(0, a | P | W | U);
    okay("A/D: fetch", true, ex);
    check_value("fetch sets A, not D", m->get_pte(0) & (A | D), A);
    m->set_pte(0, a | P | U);
    pf("A/D: write fault", true, wr, E_P | E_W | E_U, TEST);
    check_value("a write that faults does not set D", m->get_pte(0) & D, 0);
    m->set_pte(0, a | P | W | U | A);
    okay("A/D: write, A set before", false, wr);
    /* D was clear in the TLB's copy: a second write after the first read must still set it. */
    m->set_pte(0, a | P | W | U);
    flush();
    run(rd);
    run(wr);
    check_value("write after a cached read sets D", m->get_pte(0) & D, D);
}

static bool rep_hook(struct frame *frame)
{
    value_read = frame->cx << 16 | (frame->di & 0xffff);
    return false;
}

static void crossing(const struct mode *m)
{
    u64 a = (word)page_a, b = (word)page_b;
    fill();
    m->set_pte(0, a | P | W | U);
    m->set_pte(1, b | W | U);
    pf("write across into a page not present", false, wr_cross, E_W, TEST + 0x1000);
    check_value("... writes nothing", first(page_a + 0xffc), 0xaaaaaac3);
    pf("read across into a page not present", false, rd_cross, 0, TEST + 0x1000);
    m->set_pte(0, a | W | U);
    m->set_pte(1, b | P | W | U);
    pf("write across from a page not present", false, wr_cross, E_W, TEST + 0xffe);
    check_value("... writes nothing", first(page_b), 0xbbbbbbc3);
    m->set_pte(0, a | P | W | U);
    okay("write across", false, wr_cross);
    check_value("... reaches both pages", first(page_a + 0xffc) >> 16 == 0x5555 && (first(page_b) & 0xffff) == 0x5555, 1);
    m->set_pte(0, b | P | W | U);
    m->set_pte(1, a | P | W | U);
    fill();
    okay("write across pages whose frames are swapped", false, wr_cross);
    check_value("... reaches both pages", first(page_b + 0xffc) >> 16 == 0x5555 && (first(page_a) & 0xffff) == 0x5555, 1);

    fill();
    m->set_pte(0, a | P | W | U);
    m->set_pte(1, b | W | U);
    trap_hook = rep_hook;
    pf("REP STOS into a page not present", false, rep_stos, E_W, TEST + 0x1000);
    trap_hook = NULL;
    check_value("... stops with ECX and EDI at the faulting iteration", value_read, 4u << 16 | 0x1000);
    check_value("... after writing what came before", first(page_a + 0xffc), 0);
    fill();
    m->set_pte(1, 0);
}

static void translation_cache(const struct mode *m)
{
    u64 a = (word)page_a, b = (word)page_b;
    word cr4 = read_cr4();

    fill();
    m->set_pte(0, a | P | W | U);
    flush();
    run(rd);
    check_value("reads the first frame", (u32)value_read, first(page_a));
    m->set_pte(0, b | P | W | U);
    __asm__ volatile("invlpg 0x40000000" : : : "memory");
    run(rd);
    check_value("INVLPG: reads the second frame", (u32)value_read, first(page_b));
    m->set_pte(0, a | P | W | U);
    flush();
    run(rd);
    check_value("MOV CR3: reads the first frame", (u32)value_read, first(page_a));

    write_cr4(cr4 | 1 << 7); /* PGE */
    m->set_pte(0, a | P | W | U | G);
    flush();
    run(rd);
    m->set_pte(0, b | P | W | U | G);
    __asm__ volatile("invlpg 0x40000abc" : : : "memory");
    run(rd);
    check_value("INVLPG drops a global page too, by any address in it", (u32)value_read, first(page_b));
    m->set_pte(0, a | P | W | U | G);
    write_cr4(cr4);
    run(rd);
    check_value("clearing CR4.PGE drops global pages", (u32)value_read, first(page_a));
    write_cr4(cr4 | 1 << 7);
    run(rd);
    m->set_pte(0, b | P | W | U | G);
    write_cr4(cr4);
    write_cr4(cr4 | 1 << 7);
    run(rd);
    check_value("toggling CR4.PGE drops global pages", (u32)value_read, first(page_b));
    write_cr4(cr4);

    /* An entry that becomes present needs no invalidation (SDM 3A 4.10.4.3). */
    m->set_pte(1, b | W | U);
    flush();
    run(rd_second);
    m->set_pte(1, b | P | W | U);
    check_value("a page made present is seen at once", (u32)run(rd_second), (u32)NOTHING);
    check_value("... with its frame", (u32)value_read, first(page_b));
    m->set_pte(1, 0);
}

static void reserved_bits(const struct mode *m)
{
    u64 a = (word)page_a;
    u32 regs[4], width;
    if (!m->wide)
        return;
    cpuid(0x80000008, regs);
    width = regs[0] & 0xff;
    if (width < 52) {
        m->set_pte(0, a | P | W | U | 1ull << 51);
        pf("address bit beyond MAXPHYADDR is reserved", false, rd, E_P | E_RSVD, TEST);
        pf("reserved bit, user write", true, wr, E_P | E_RSVD | E_U | E_W, TEST);
        m->set_pte(0, a | W | U | 1ull << 51);
        pf("reserved bit in an entry not present", false, rd, 0, TEST);
        m->set_pte(0, a | P | W | U);
        m->set_pde(m->table_physical | P | W | U | 1ull << 51);
        pf("reserved bit in the directory entry", false, rd, E_P | E_RSVD, TEST);
    } else
        skip("reserved address bits (52 physical address bits)");
    m->set_pde(LARGE_PHYSICAL | P | W | U | PS | 1u << 13);
    pf("large page with a reserved low bit", false, rd, E_P | E_RSVD, TEST);
    m->set_pde(m->table_physical | P | W | U);
    m->set_pte(0, a | P | W | U | NX);
    if (m->nx) {
        pf("no-execute page: fetch", false, ex, E_P | E_I, TEST);
        pf("no-execute page: user fetch", true, ex, E_P | E_I | E_U, TEST);
        okay("no-execute page: read", true, rd);
        okay("no-execute page: write", true, wr);
        m->set_pte(0, a | P | W | U);
        m->set_pde(m->table_physical | P | W | U | NX);
        pf("no-execute directory entry: fetch", false, ex, E_P | E_I, TEST);
        okay("no-execute directory entry: read", false, rd);
    } else
        pf("no-execute bit without EFER.NXE is reserved", false, rd, E_P | E_RSVD, TEST);
    m->set_pde(m->table_physical | P | W | U);
    m->set_pte(0, a | P | W | U);
}

static void large_page(const struct mode *m)
{
    volatile u32 *frame = (volatile u32 *)LARGE_PHYSICAL;
    frame[0] = 0x111111c3;
    frame[0x145678 / 4] = 0x2222;
    frame[0x345678 / 4] = 0x4444;
    m->set_pde(LARGE_PHYSICAL | P | W | U | PS);
    okay("large page: read", false, rd);
    check_value("large page: frame", (u32)value_read, 0x111111c3);
    check_value("large page: read sets A, not D", m->get_pde() & (A | D), A);
    okay("large page: fetch", true, ex);
    okay("large page: write", true, wr_large);
    check_value("large page: write sets D", m->get_pde() & (A | D), A | D);
    check_value("large page: written", frame[0], 0x909090c3);
    if (!m->wide) {
        okay("4 MiB page: read near the end", false, rd_large);
        check_value("4 MiB page: offset", (u32)value_read, 0x4444);
    }
    m->set_pde(LARGE_PHYSICAL | P | U | PS);
    pf("large read-only page: user write", true, wr, E_P | E_W | E_U, TEST);
    m->set_pde(LARGE_PHYSICAL | P | W | PS);
    pf("large supervisor page: user read", true, rd, E_P | E_U, TEST);
    m->set_pde(m->table_physical | P | W | U);
    okay("back to small pages", false, rd);
}

void common_checks(const struct mode *m)
{
    permissions(m);
    accessed_and_dirty(m);
    crossing(m);
    translation_cache(m);
    reserved_bits(m);
    large_page(m);
}

/* SMEP and SMAP keep the supervisor off user pages; so all but TEST becomes supervisor's for a while. */
void supervisor_checks(const struct mode *m)
{
    u64 a = (word)page_a;
    u64 table = m->table_physical;
    word cr4 = read_cr4();

    fill();
    write_cr0(read_cr0() | 1 << 16);
    m->set_pde(table | P | W | U);
    m->identity_user(false);
    m->set_pte(0, a | P | W | U);
    flush();
    if (has_feature7(7)) {
        write_cr4(cr4 | 1 << 20);
        pf("SMEP: fetch from a user page", false, ex, E_P | E_I, TEST);
        okay("SMEP: read of a user page", false, rd);
        m->set_pte(0, a | P | W);
        okay("SMEP: fetch from a supervisor page", false, ex);
        m->set_pte(0, 0);
        pf("SMEP: fetch, not present, reports the fetch", false, ex, E_I, TEST);
        m->set_pte(0, a | P | W | U);
        m->set_pde(table | P | W);
        okay("SMEP: user bit in the table only", false, ex);
        m->set_pde(table | P | W | U);
        write_cr4(cr4);
        okay("SMEP off", false, ex);
    } else
        skip("SMEP");
    if (has_feature7(20)) {
        write_cr4(cr4 | 1 << 21);
        pf("SMAP: read", false, rd, E_P, TEST);
        pf("SMAP: write", false, wr, E_P | E_W, TEST);
        okay("SMAP: fetch is not its business", false, ex);
        okay("SMAP: read with AC", false, rd_ac);
        okay("SMAP: write with AC", false, wr_ac);
        m->set_pte(0, a | P | W);
        okay("SMAP: supervisor page", false, rd);
        m->set_pte(0, a | P | U);
        pf("SMAP: read-only page, write with AC", false, wr_ac, E_P | E_W, TEST);
        m->set_pte(0, a | P | W | U);
        /* The CPU's own accesses to descriptor tables do not look at AC: an LDT may not be in a user page. */
        gdt[60] = segment(TEST, 0xff, 0x82, 0);
        gdt[61] = 0;
        *(volatile u64 *)(page_a + 8) = gdt[SEL_DATA / 8];
        pf("SMAP: implicit access with AC", false, load_segment_ac, E_P, TEST + 8);
        write_cr4(cr4);
        okay("SMAP off: implicit access", false, load_segment_ac);
        okay("SMAP off: LLDT", false, no_ldt);
        fill();
        okay("SMAP off", false, rd);
    } else
        skip("SMAP");
    m->identity_user(true);
    flush();
}
