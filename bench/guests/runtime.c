/* Console, exit, interrupt table, local APIC and page tables. */
#include "bench.h"

#define SERIAL 0x3F8
#define EXIT_PORT 0xF4

static void put_byte(char byte)
{
    while (!(in8(SERIAL + 5) & 0x20))
        ;
    out8(SERIAL, (uint8_t)byte);
}

void put_text(const char *text)
{
    while (*text)
        put_byte(*text++);
}

void put_hex(uint64_t value)
{
    for (int shift = 60; shift >= 0; shift -= 4)
        put_byte("0123456789abcdef"[value >> shift & 15]);
}

void leave(uint32_t status)
{
    __asm__ volatile("outl %0, %1" : : "a"(status), "Nd"((uint16_t)EXIT_PORT));
    for (;;)
        __asm__ volatile("cli; hlt");
}

void fail(const char *why)
{
    put_text("FAIL: ");
    put_text(why);
    put_text("\n");
    leave(1);
}

extern uint32_t idt[];

void set_vector(unsigned vector, const void *handler, unsigned privilege)
{
    uintptr_t address = (uintptr_t)handler;
    uint32_t *gate = idt + vector * (sizeof(uintptr_t) / 2);
    gate[0] = 0x80000u | (address & 0xFFFF);
    gate[1] = (address & 0xFFFF0000u) | 0x8E00u | privilege << 13;
#ifdef __x86_64__
    gate[2] = (uint32_t)(address >> 32);
    gate[3] = 0;
#endif
}

struct frame;
__attribute__((interrupt)) static void spurious(struct frame *frame) { (void)frame; }

void apic_enable(void)
{
    set_vector(0xFF, spurious, 0);
    *apic_register(APIC_SVR) = 0x1FF;
}

extern uintptr_t boot_root[];
#ifdef __x86_64__
extern uint64_t boot_pdpt[];
#endif

static uintptr_t *new_table(uintptr_t *tables)
{
    uintptr_t *table = (uintptr_t *)*tables;
    *tables += 4096;
    for (unsigned i = 0; i < 4096 / sizeof *table; i++)
        table[i] = 0;
    return table;
}

uintptr_t new_address_space(uintptr_t *tables)
{
    uintptr_t *root = new_table(tables);
#ifdef __x86_64__
    uintptr_t *pdpt = new_table(tables);
    root[0] = (uintptr_t)pdpt | 7;
    for (unsigned i = 0; i < 4; i++)
        pdpt[i] = boot_pdpt[i];
    pdpt[WINDOW >> 30] = (uintptr_t)new_table(tables) | 7;
#else
    for (unsigned i = 0; i < 1024; i++)
        root[i] = i >= WINDOW >> 22 && i < (WINDOW >> 22) + 256 ? 0 : boot_root[i];
#endif
    return (uintptr_t)root;
}

void map_page(uintptr_t root, uintptr_t linear, uintptr_t physical, uintptr_t *tables)
{
#ifdef __x86_64__
    uintptr_t *pdpt = (uintptr_t *)(((uintptr_t *)root)[0] & ~0xFFFul);
    uintptr_t *directory = (uintptr_t *)(pdpt[linear >> 30] & ~0xFFFul);
    unsigned index = linear >> 21 & 511, page = linear >> 12 & 511;
#else
    uintptr_t *directory = (uintptr_t *)root;
    unsigned index = linear >> 22, page = linear >> 12 & 1023;
#endif
    if (!directory[index])
        directory[index] = (uintptr_t)new_table(tables) | 7;
    ((uintptr_t *)(directory[index] & ~(uintptr_t)0xFFF))[page] = physical | 7;
}
