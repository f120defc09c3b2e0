/* INIT, SIPI and what depends on a second CPU: up to three are used, the rest is parked. SDM 3A 8.4, 11.6. */
#include "apic.h"

#define MAX_APS 3

struct ap {
    volatile u32 id;
    volatile u32 starts;
    volatile u32 heartbeat;
    volatile u32 count[256];
    volatile u32 tpr;            /* wanted task priority */
    volatile u32 tpr_set;
    volatile u32 registers[4];   /* TPR, SVR, LVT timer, LDR as found at start */
};
static struct ap aps[MAX_APS];
volatile u32 ap_ticket;
extern u8 ap_trampoline[], ap_trampoline_end[];
void ap_entry(u64 ticket);

/* Copied to 0x8000 and 0x9000: from real mode to ap_entry(), which takes a ticket. */
__asm__(".text\n.globl ap_trampoline, ap_trampoline_end\n.code16\nap_trampoline: cli; mov %cs, %ax; mov %ax, %ds; lock incl start_mark_here - ap_trampoline\n"
        "lgdtl ap_gdt - ap_trampoline; mov %cr0, %eax; or $1, %al; mov %eax, %cr0; ljmpl $0x38, $1f\n"
        ".code32\n1: mov $0x10, %eax; mov %eax, %ds; mov %eax, %ss; mov %eax, %es; mov $0x20, %eax; mov %eax, %cr4; mov $boot_pml4, %eax; mov %eax, %cr3\n"
        "mov $0xc0000080, %ecx; rdmsr; or $0x900, %eax; wrmsr; mov %cr0, %eax; and $0x9fffffff, %eax; or $0x80010021, %eax; mov %eax, %cr0; ljmp $0x08, $2f\n"
        ".code64\n2: mov $1, %edi; lock xadd %edi, ap_ticket; cmp $3, %edi; jb 3f; 4: cli; hlt; jmp 4b\n"
        "3: mov %edi, %eax; shl $12, %eax; lea ap_stacks + 4096(%rax), %rsp; xor %ebp, %ebp; call ap_entry; jmp 4b\n"
        ".balign 4; start_mark_here: .long 0; .short 0; ap_gdt: .short 0x1ff; .long gdt\nap_trampoline_end:\n"
        ".bss; .balign 4096; .globl ap_stacks; ap_stacks: .skip 4096 * 3; .text\n");
extern u8 ap_stacks[3][4096];
extern u8 start_mark_here[];

static struct ap *ap_of(word sp)
{
    word base = (word)ap_stacks;
    return sp >= base && sp < base + sizeof(aps) / sizeof(aps[0]) * 4096 ? &aps[(sp - base) / 4096] : NULL;
}

/* Traps on an application processor: only counted. */
bool ap_frame(struct frame *frame)
{
    struct ap *ap = ap_of((word)frame);
    if (!ap)
        return false;
    ap->count[frame->vector]++;
    if (frame->vector >= 32)
        apic_set(EOI, 0);
    return true;
}

void ap_entry(u64 ticket)
{
    struct ap *ap = &aps[ticket];
    load_idt((u16)(256 * 16 - 1));
    ap->registers[0] = apic_get(TPR);
    ap->registers[1] = apic_get(SVR);
    ap->registers[2] = apic_get(LVT_TIMER);
    ap->registers[3] = apic_get(LDR);
    apic_set(SVR, 0x1ff);
    apic_set(DFR, 0xffffffff);
    apic_set(LDR, 2u << (24 + ticket));
    ap->id = apic_get(ID) >> 24;
    ap->starts++;
    __asm__ volatile("sti");
    for (;;) {
        ap->heartbeat++;
        if (ap->tpr_set) {
            apic_set(TPR, ap->tpr);
            ap->tpr_set = 0;
        }
        __asm__ volatile("pause");
    }
}

/* Gives up only after both many tries and a time: neither a slow host nor a fast one is mistaken for a dead CPU. */
static bool reaches_within(volatile u32 *value, u32 wanted, u32 milliseconds)
{
    u64 start = rdtsc();
    u32 tries;
    for (tries = 0; *value < wanted; tries++) {
        if (tries > 200000 && rdtsc() - start > (u64)milliseconds * 10 * tsc_per_100us)
            return false;
        window();
        __asm__ volatile("pause");
    }
    return true;
}

static bool reaches(volatile u32 *value, u32 wanted) { return reaches_within(value, wanted, 200); }

static void copy_trampoline(u8 *to)
{
    u32 i;
    for (i = 0; i < (u32)(ap_trampoline_end - ap_trampoline); i++)
        to[i] = ap_trampoline[i];
}
static volatile u32 *mark(word page) { return (volatile u32 *)(page + (start_mark_here - ap_trampoline)); }

static void task_priority(struct ap *ap, u32 tpr)
{
    u32 tries;
    ap->tpr = tpr;
    ap->tpr_set = 1;
    for (tries = 0; tries < 100000000 && ap->tpr_set; tries++)
        __asm__ volatile("pause");
}

static void forget_all(void)
{
    u32 i, v;
    forget();
    for (i = 0; i < MAX_APS; i++)
        for (v = 0; v < 256; v++)
            aps[i].count[v] = 0;
}

static bool alive(struct ap *ap)
{
    u32 before = ap->heartbeat;
    settle(100);
    return ap->heartbeat != before || reaches(&ap->heartbeat, before + 1);
}

/* Not after a bounded wait, which a slow host could make wrong in one direction only: it may miss a running CPU. */
static bool silent(struct ap *ap)
{
    u32 before;
    settle(100);
    before = ap->heartbeat;
    settle(500);
    return ap->heartbeat == before;
}

static void lowest_priority(struct ap *ap)
{
    /* The CPU that does the least important work takes it (SDM 3A 11.6.2.4); here that is decided by the task priorities alone. */
    forget_all();
    set(TPR, 0x20);
    task_priority(ap, 0);
    ipi(3, LOGICAL | LOWEST | ASSERT | 0x51);
    reaches(&ap->count[0x51], 1);
    settle(50);
    check("lowest priority: the other CPU's task priority is lower", ap->count[0x51] == 1 && count[0x51] == 0);
    forget_all();
    set(TPR, 0);
    task_priority(ap, 0x20);
    ipi(3, LOGICAL | LOWEST | ASSERT | 0x51);
    settle(100);
    check("lowest priority: ours is lower", count[0x51] == 1 && ap->count[0x51] == 0);
    task_priority(ap, 0);
    forget_all();
}

void smp_checks(void)
{
    struct ap *ap = &aps[0];
    u32 i, id, total;

    restart_apic();
    copy_trampoline((u8 *)0x8000);
    copy_trampoline((u8 *)0x9000);
    ipi(0, TO_OTHERS | DELIVER_INIT | ASSERT);
    settle(200);
    ipi(0, TO_OTHERS | DELIVER_STARTUP | ASSERT | 8);
    if (option("single") || !reaches_within(&aps[0].starts, 1, 10)) {
        skip("a second CPU: none started");
        return;
    }
    do { /* until no more come */
        total = ap_ticket;
        settle(3000);
    } while (total != ap_ticket);
    for (i = 0; i < MAX_APS && i < total; i++)
        reaches(&aps[i].starts, 1);
    id = ap->id;
    check("started by INIT and one SIPI", ap->starts == 1);
    check_value("all of them once", *mark(0x8000), total);
    check("reset state: TPR, SVR, LVT, LDR", ap->registers[0] == 0 && ap->registers[1] == 0xff && ap->registers[2] == MASKED && ap->registers[3] == 0);
    ipi(id, DELIVER_STARTUP | ASSERT | 9);
    settle(100);
    check("SIPI to a running CPU is ignored", *mark(0x9000) == 0 && ap->starts == 1 && alive(ap));
    ipi(my_id, DELIVER_STARTUP | ASSERT | 9);
    settle(20);
    check_value("SIPI to ourselves is ignored", *mark(0x9000), 0);

    forget_all();
    ipi(id, ASSERT | 0x41);
    check("fixed, physical", reaches(&ap->count[0x41], 1));
    settle(20);
    check("... to that CPU only, once", ap->count[0x41] == 1 && count[0x41] == 0);
    ipi(2, LOGICAL | ASSERT | 0x42);
    check("fixed, flat logical", reaches(&ap->count[0x42], 1));
    ipi(3, LOGICAL | ASSERT | 0x43);
    check("fixed, flat logical, to both", reaches(&ap->count[0x43], 1) && arrives(0x43, 1));
    ipi(0, TO_OTHERS | ASSERT | 0x44);
    check("others: there", reaches(&ap->count[0x44], 1));
    settle(20);
    check_value("others: not here", count[0x44], 0);
    ipi(0, TO_ALL | ASSERT | 0x45);
    check("all: there and here", reaches(&ap->count[0x45], 1) && arrives(0x45, 1));
    ipi(0xff, ASSERT | 0x46);
    check("physical broadcast: there and here", reaches(&ap->count[0x46], 1) && arrives(0x46, 1));
    ipi(id, DELIVER_NMI | ASSERT);
    check("NMI", reaches(&ap->count[NMI], 1));
    if (total <= MAX_APS) { /* a parked CPU has no handler for it */
        ipi(0, TO_OTHERS | DELIVER_NMI | ASSERT);
        check("NMI to the others", reaches(&ap->count[NMI], 2));
        settle(20);
        check_value("... not to us", count[NMI], 0);
    }
    lowest_priority(ap);

    /* INIT stops it; an interrupt does not wake it; SIPI starts it again, at another page. */
    ap_ticket = 0;
    ipi(id, DELIVER_INIT | (1u << 15)); /* level, de-assert: no longer has a meaning */
    settle(50);
    check("INIT de-assert is ignored", alive(ap));
    ipi(id, DELIVER_INIT | ASSERT);
    check("INIT stops the CPU", silent(ap));
    forget_all();
    ipi(id, ASSERT | 0x41);
    ipi(id, DELIVER_INIT | ASSERT);
    settle(100);
    check("waiting for SIPI: no interrupt, a second INIT changes nothing", ap->count[0x41] == 0 && silent(ap));
    ipi(id, DELIVER_STARTUP | ASSERT | 9);
    check("SIPI starts it again", reaches(&ap->starts, 2));
    check_value("... at the page in the vector", *mark(0x9000), 1);
    check("... with the local APIC reset", ap->registers[0] == 0 && ap->registers[1] == 0xff && ap->registers[2] == MASKED && ap->registers[3] == 0);
    check_value("... and its id kept", ap->id, id);
    settle(50);
    check_value("what was sent while it waited is lost", ap->count[0x41], 0);
    ipi(0, TO_OTHERS | DELIVER_INIT | ASSERT);
    check("INIT to the others", silent(ap));
    restart_apic();
}
