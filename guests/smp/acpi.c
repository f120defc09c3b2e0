/*
 * What firmware says of the board: ACPI's MADT, or where there is none the older MP table.
 * Layouts: ACPI specification 5.2.12 and MultiProcessor Specification 1.4, chapter 4.
 * Tables are read byte by byte, as nothing in them need be aligned.
 */
#include "apic.h"

struct board board;

static u8 byte_at(u64 address) { return *(volatile u8 *)address; }
static u16 word_at(u64 address) { return byte_at(address) | byte_at(address + 1) << 8; }
static u32 dword_at(u64 address) { return word_at(address) | (u32)word_at(address + 2) << 16; }
static u64 qword_at(u64 address) { return dword_at(address) | (u64)dword_at(address + 4) << 32; }

static bool signature_at(u64 address, const char *text)
{
    u32 i;
    for (i = 0; text[i]; i++)
        if (byte_at(address + i) != (u8)text[i])
            return false;
    return true;
}

static bool checksum_ok(u64 address, u32 length)
{
    u8 sum = 0;
    u32 i;
    for (i = 0; i < length; i++)
        sum += byte_at(address + i);
    return sum == 0;
}

/* Looks for a signature on 16-byte boundaries; 0 if there is none with a good checksum. */
static u64 scan(u64 from, u64 to, const char *signature, u32 length)
{
    u64 at;
    for (at = from; at < to; at += 16)
        if (signature_at(at, signature) && checksum_ok(at, length))
            return at;
    return 0;
}

/* Both kinds of table may also be in the first KiB of the extended BIOS data area, whose segment is at 0x40E. */
static u64 scan_bios(const char *signature, u32 length)
{
    u64 ebda = (u64)word_at(0x40e) << 4;
    u64 found = 0;
    if (ebda >= 0x80000 && ebda < 0xa0000)
        found = scan(ebda, ebda + 1024, signature, length);
    return found ? found : scan(0xe0000, 0x100000, signature, length);
}

static void add_cpu(u32 id, bool enabled)
{
    if (!enabled || cpu_count == MAX_CPUS)
        return;
    cpus[cpu_count].index = cpu_count;
    cpus[cpu_count].apic_id = id;
    cpu_count++;
}

static void add_io_apic(u64 address, u32 gsi)
{
    if (board.io_apic && board.io_apic_gsi <= gsi)
        return;
    board.io_apic = address;
    board.io_apic_gsi = gsi;
}

static void parse_madt(u64 madt)
{
    u64 end = madt + dword_at(madt + 4);
    u64 at;

    board.local_apic = dword_at(madt + 36);
    for (at = madt + 44; at + 2 <= end && byte_at(at + 1) >= 2; at += byte_at(at + 1)) {
        switch (byte_at(at)) {
        case 0: /* processor local APIC */
            add_cpu(byte_at(at + 3), dword_at(at + 4) & 1);
            break;
        case 1: /* I/O APIC */
            add_io_apic(dword_at(at + 4), dword_at(at + 8));
            break;
        case 2: /* interrupt source override */
            if (byte_at(at + 3) < 16) {
                board.isa[byte_at(at + 3)].gsi = dword_at(at + 4);
                board.isa[byte_at(at + 3)].flags = word_at(at + 8);
            }
            break;
        case 5: /* local APIC address override */
            board.local_apic = qword_at(at + 4);
            break;
        case 9: /* processor local x2APIC */
            add_cpu(dword_at(at + 4), dword_at(at + 8) & 1);
            break;
        }
    }
}

/* Walks the RSDT or, from revision 2 on, the XSDT, to the MADT ("APIC"). */
static bool acpi_find_cpus(void)
{
    u64 rsdp = bootinfo_rsdp;
    u64 root, at;
    u32 width, length;

    if (!rsdp || !signature_at(rsdp, "RSD PTR "))
        rsdp = scan_bios("RSD PTR ", 20);
    if (!rsdp)
        return false;
    width = byte_at(rsdp + 15) >= 2 && qword_at(rsdp + 24) ? 8 : 4;
    root = width == 8 ? qword_at(rsdp + 24) : dword_at(rsdp + 16);
    length = dword_at(root + 4);
    if (length < 36 || length > 65536 || !checksum_ok(root, length))
        return false;
    for (at = root + 36; at + width <= root + length; at += width) {
        u64 table = width == 8 ? qword_at(at) : dword_at(at);
        if (signature_at(table, "APIC") && checksum_ok(table, dword_at(table + 4))) {
            board.source = width == 8 ? "ACPI (XSDT)" : "ACPI (RSDT)";
            parse_madt(table);
            return cpu_count > 0;
        }
    }
    return false;
}

static bool mp_find_cpus(void)
{
    u64 pointer = scan_bios("_MP_", 16);
    u64 table, at;
    u32 entries;
    u8 isa_bus = 0xff;

    if (!pointer)
        return false;
    table = dword_at(pointer + 4);
    if (!table || !signature_at(table, "PCMP") || !checksum_ok(table, word_at(table + 4)))
        return false;
    board.source = "MP table";
    board.local_apic = dword_at(table + 36);
    entries = word_at(table + 34);
    for (at = table + 44; entries > 0; entries--) {
        switch (byte_at(at)) {
        case 0: /* processor */
            add_cpu(byte_at(at + 1), byte_at(at + 3) & 1);
            at += 20;
            break;
        case 1: /* bus */
            if (signature_at(at + 2, "ISA"))
                isa_bus = byte_at(at + 1);
            at += 8;
            break;
        case 2: /* I/O APIC */
            if (byte_at(at + 3) & 1)
                add_io_apic(dword_at(at + 4), 0);
            at += 8;
            break;
        case 3: /* I/O interrupt assignment: only ISA, vectored */
            if (byte_at(at + 1) == 0 && byte_at(at + 4) == isa_bus && byte_at(at + 5) < 16) {
                board.isa[byte_at(at + 5)].gsi = byte_at(at + 7);
                board.isa[byte_at(at + 5)].flags = word_at(at + 2);
            }
            at += 8;
            break;
        default:
            at += 8;
            break;
        }
    }
    return cpu_count > 0;
}

/* Fills in cpus[] and board; CPU 0 becomes the one that runs this. */
void find_cpus(void)
{
    u32 regs[4];
    u32 i, me;

    for (i = 0; i < 16; i++)
        board.isa[i].gsi = i;
    if (option("mptable") || !acpi_find_cpus()) {
        cpu_count = 0;
        board.io_apic = 0;
        for (i = 0; i < 16; i++)
            board.isa[i].gsi = i;
        if (!mp_find_cpus()) {
            board.source = "CPUID (no tables)";
            board.local_apic = 0xfee00000;
        }
    }

    cpuid(1, regs);
    me = regs[1] >> 24;
    if (cpu_count == 0)
        add_cpu(me, true);
    for (i = 0; i < cpu_count; i++)
        if (cpus[i].apic_id == me) {
            cpus[i].apic_id = cpus[0].apic_id;
            cpus[0].apic_id = me;
        }

    info("board: %u CPUs by %s, local APIC at %x", cpu_count, board.source, board.local_apic);
    if (board.io_apic)
        info(", I/O APIC at %x from line %u", board.io_apic, board.io_apic_gsi);
    info("\n");
    for (i = 0; i < cpu_count; i++)
        info("board: CPU %u has APIC id %u\n", i, cpus[i].apic_id);
    for (i = 0; i < 16; i++)
        if (board.isa[i].gsi != i)
            info("board: ISA IRQ %u arrives at line %u\n", i, board.isa[i].gsi);
}
