/* The 8259 pair, which an APIC kernel must move out of the way of the exceptions and then mask. */
#include "cpu.h"

void pic_init(void)
{
    outb(0x20, 0x11); /* ICW1: edge, cascade, ICW4 follows */
    outb(0xa0, 0x11);
    outb(0x21, VEC_PIC); /* ICW2: vector of input 0 */
    outb(0xa1, VEC_PIC + 8);
    outb(0x21, 4); /* ICW3: the second chip is on input 2 */
    outb(0xa1, 2);
    outb(0x21, 1); /* ICW4: 8086 mode */
    outb(0xa1, 1);
    pic_mask_all();
}

void pic_mask_all(void)
{
    outb(0x21, 0xff);
    outb(0xa1, 0xff);
}

/* Inputs of the first chip only. */
void pic_unmask(u8 irq)
{
    outb(0x21, inb(0x21) & ~(1 << irq));
}

/* Specific end of interrupt, first chip. */
void pic_eoi(u8 irq)
{
    outb(0x20, 0x60 | irq);
}
