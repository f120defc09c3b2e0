/* The interrupt descriptor table and what each vector means to us. */
#include "apic.h"

struct gate {
    u16 offset_low, selector;
    u8 ist, type;
    u16 offset_middle;
    u32 offset_high, reserved;
};

static struct gate idt[256] __attribute__((aligned(16)));
extern const u8 vector_stubs[]; /* 16 bytes each */

volatile bool level_line_stuck_once;
volatile u32 level_line_remote_irr;
void (*volatile timer_hook)(void);

/* SDM 3A 6.14.1: all are interrupt gates, so a handler starts with interrupts off. */
void idt_init(void)
{
    u32 i;
    for (i = 0; i < 256; i++) {
        u64 stub = (u64)vector_stubs + 16 * i;
        idt[i].offset_low = (u16)stub;
        idt[i].offset_middle = (u16)(stub >> 16);
        idt[i].offset_high = (u32)(stub >> 32);
        idt[i].selector = SEL_CODE64;
        idt[i].type = 0x8e;
    }
    idt[VEC_NMI].ist = IST_NMI;
    idt[8].ist = IST_DOUBLE_FAULT;
    idt_load();
}

void idt_load(void)
{
    struct {
        u16 limit;
        u64 base;
    } __attribute__((packed)) pointer = { sizeof(idt) - 1, (u64)idt };
    __asm__ volatile("lidt %0" : : "m"(pointer));
}

/* Only the first problem of a CPU is kept: what follows is mostly its consequence. */
void report_problem(const char *what, u32 vector)
{
    struct cpu *cpu = this_cpu();
    if (cpu->problem)
        return;
    cpu->problem_vector = vector;
    cpu->problem = what;
}

/* True of every interrupt that a local APIC delivers with a vector of its own. */
static void check_delivery(struct frame *frame)
{
    struct cpu *cpu = this_cpu();
    u32 vector = (u32)frame->vector;
    u64 flags;

    cpu->count[vector]++;
    __asm__ volatile("pushfq; popq %0" : "=r"(flags));
    if (apic_id() != cpu->apic_id)
        report_problem("delivered on the wrong CPU", vector);
    if (!apic_test_bit(APIC_ISR, vector))
        report_problem("no bit in ISR", vector);
    if (apic_read(APIC_PPR) >> 4 != vector >> 4)
        report_problem("processor priority is not the vector's class", vector);
    if (flags & 0x200)
        report_problem("interrupts on in an interrupt gate", vector);
    if (!(frame->rflags & 0x200))
        report_problem("delivered with interrupts off", vector);
}

void handle_ipi(struct frame *frame)
{
    check_delivery(frame);
    eoi();
}

void handle_timer(struct frame *frame)
{
    check_delivery(frame);
    eoi();
    if (timer_hook)
        timer_hook();
}

/* Edge-triggered: the trigger mode register must not have its bit. */
void handle_line(struct frame *frame)
{
    check_delivery(frame);
    if (apic_test_bit(APIC_TMR, frame->vector))
        report_problem("an edge-triggered interrupt with its TMR bit set", frame->vector);
    eoi();
}

/*
 * Level-triggered: TMR has its bit, the I/O APIC's entry its remote IRR until the EOI. The device must let go of the line
 * before the EOI, or the interrupt comes again; level_line_stuck_once tries just that.
 */
void handle_level_line(struct frame *frame)
{
    check_delivery(frame);
    if (!apic_test_bit(APIC_TMR, frame->vector))
        report_problem("a level-triggered interrupt without its TMR bit", frame->vector);
    level_line_remote_irr = ioapic_entry(board.isa[0].gsi) & IOAPIC_REMOTE_IRR;
    if (level_line_stuck_once)
        level_line_stuck_once = false;
    else {
        pit_channel0_stop();
        outb(0x2000 + 14, 0); /* the test device's line, where there is one */
    }
    eoi();
}

void handle_msi(struct frame *frame)
{
    check_delivery(frame);
    eoi();
}

/* From the 8259 through LINT0: the local APIC keeps no record of it, so ISR has no bit and no EOI goes there (SDM 3A 11.8.5). */
void handle_pic(struct frame *frame)
{
    this_cpu()->count[frame->vector]++;
    if (apic_test_bit(APIC_ISR, frame->vector))
        report_problem("an ExtINT with a bit in ISR", frame->vector);
    pic_eoi(frame->vector - VEC_PIC);
}

/* No EOI: an NMI is not in ISR. Further NMIs are held until the IRET of this one (SDM 3A 6.7.1). */
void handle_nmi(struct frame *frame)
{
    struct cpu *cpu = this_cpu();
    cpu->nmi_stack = (u64)frame;
    cpu->count[VEC_NMI]++;
}

/* A step of the nesting test: note the order. */
static void nest_note(struct frame *frame)
{
    struct cpu *cpu = this_cpu();
    check_delivery(frame);
    cpu->nest_trace = cpu->nest_trace << 8 | (u32)frame->vector;
}

/*
 * With interrupts on, a handler is interrupted by a higher priority class only: of the two that
 * it sends, VEC_NEST_HIGH arrives at once and VEC_NEST_LOW waits in IRR until our EOI.
 */
void handle_nest(struct frame *frame)
{
    nest_note(frame);
    self_ipi(VEC_NEST_LOW);
    self_ipi(VEC_NEST_HIGH);
    interrupts_on();
    delay_us(5);
    interrupts_off();
    if (!apic_test_bit(APIC_IRR, VEC_NEST_LOW))
        report_problem("a lower class did not wait in IRR", VEC_NEST_LOW);
    this_cpu()->nest_trace = this_cpu()->nest_trace << 8 | 0xee; /* end of interrupt comes here */
    eoi();
}

void handle_nested(struct frame *frame)
{
    nest_note(frame);
    eoi();
}

void handle_apic_error(struct frame *frame)
{
    this_cpu()->count[frame->vector]++;
    apic_write(APIC_ESR, 0); /* a write latches what has happened since the last (SDM 3A 11.5.3) */
    report_problem("the APIC reports an error", apic_read(APIC_ESR));
    eoi();
}

/* Not in ISR, so without EOI (SDM 3A 11.9). */
void handle_spurious(struct frame *frame)
{
    this_cpu()->count[frame->vector]++;
}

void handle_exception(struct frame *frame)
{
    u64 cr2;
    __asm__ volatile("movq %%cr2, %0" : "=r"(cr2));
    fatal("exception %u on CPU %u: error %x, rip %x, rsp %x, cr2 %x, rflags %x", (u32)frame->vector, this_cpu()->index, frame->error,
          frame->rip, frame->rsp, cr2, frame->rflags);
}

void interrupt_dispatch(struct frame *frame)
{
    switch (frame->vector) {
    case VEC_NMI:
        handle_nmi(frame);
        break;
    case VEC_TIMER:
        handle_timer(frame);
        break;
    case VEC_LINE:
        handle_line(frame);
        break;
    case VEC_LEVEL:
        handle_level_line(frame);
        break;
    case VEC_MSI:
        handle_msi(frame);
        break;
    case VEC_NEST:
        handle_nest(frame);
        break;
    case VEC_NEST_LOW:
    case VEC_NEST_HIGH:
        handle_nested(frame);
        break;
    case VEC_LOWEST:
    case VEC_IPI:
    case VEC_BROADCAST:
    case VEC_SELF:
    case VEC_WAKE:
    case VEC_LOGICAL:
        handle_ipi(frame);
        break;
    case VEC_ERROR:
        handle_apic_error(frame);
        break;
    case VEC_SPURIOUS:
        handle_spurious(frame);
        break;
    default:
        if (frame->vector < 32)
            handle_exception(frame);
        if (frame->vector >= VEC_PIC && frame->vector < VEC_PIC + 16) {
            handle_pic(frame);
            break;
        }
        check_delivery(frame);
        report_problem("a vector that nobody sends", frame->vector);
        eoi();
    }
}
