/*
 * Segmentation and privilege in 32-bit protected mode: limits, expand-down, gates, conforming code, descriptor queries,
 * 16-bit segments, I/O permissions, SYSENTER. Tasks and virtual-8086 mode are in tasks.c and v86.c. SDM 3A chapters 3, 5.
 */
#include "segments.h"

u8 area[0x3000] __attribute__((aligned(4096)));
u32 seen[8];

/* ---- limits ---- */
#define FS(selector) "mov $" #selector ", %eax; mov %eax, %fs"
CODE(limit_byte_last, FS(0x40), "movb %fs:0xff, %al")
CODE(limit_byte_beyond, FS(0x40), "movb %fs:0x100, %al")
CODE(limit_dword_last, FS(0x40), "movl %eax, %fs:0xfc")
CODE(limit_dword_beyond, FS(0x40), "movl %eax, %fs:0xfd")
CODE(limit_word_wrap, FS(0x40), "movw %fs:0xffffffff, %ax")
CODE(limit_rmw_beyond, FS(0x40), "incl %fs:0xfe")
CODE(limit_page_last, FS(0xc8), "movb %fs:0x1fff, %al")
CODE(limit_page_beyond, FS(0xc8), "movb %fs:0x2000, %al")
CODE(limit_string, "mov $0x40, %eax; mov %eax, %es; mov $0xf0, %edi; mov $8, %ecx; xor %eax, %eax", "rep stosl")
CODE(read_only_write, FS(0x48), "movl %eax, %fs:area")
CODE(read_only_read, FS(0x48), "movl %fs:area, %eax")
CODE(down32_above, FS(0x50), "movb %fs:0x100, %al")
CODE(down32_far_above, FS(0x50), "movb %fs:0x2000, %al")
CODE(down32_below, FS(0x50), "movb %fs:0xff, %al")
CODE(down32_straddle, FS(0x50), "movl %fs:0xfe, %eax")
CODE(down16_above, FS(0x58), "movb %fs:0x100, %al")
CODE(down16_top, FS(0x58), "movb %fs:0xffff, %al")
CODE(down16_beyond, FS(0x58), "movb %fs:0x10000, %al")
CODE(down16_straddle, FS(0x58), "movw %fs:0xffff, %ax")
CODE(code_only_read, FS(0x60), "movl %fs:area, %eax")
CODE(code_read, FS(0x68), "movl %fs:area, %eax")
CODE(code_write, FS(0x68), "movl %eax, %fs:area")
CODE(stack_limit_push, "mov $0xb0, %eax; mov %esp, %edx; mov %eax, %ss; mov $0x104, %esp",
     "push %eax; mov $0x10, %ecx; mov %ecx, %ss; mov %edx, %esp")
CODE(stack_limit_ebp, "mov $0xb0, %eax; mov %esp, %edx; mov %eax, %ss; mov %ebp, %ecx; mov $0xfe, %ebp",
     "movl (%ebp), %eax; mov $0x10, %eax; mov %eax, %ss; mov %edx, %esp; mov %ecx, %ebp")
CODE(stack_wrap_pop, "mov $0xb0, %eax; mov %esp, %edx; mov %eax, %ss; mov $0xfe, %esp",
     "pop %eax; mov $0x10, %ecx; mov %ecx, %ss; mov %edx, %esp")
CODE(code_limit, "movl $0x90909090, area; movl $0x90909090, area + 4; movl $0x90909090, area + 8; movl $0x90909090, area + 12;"
     "movb $0xcb, area + 16", "lcall $0x70, $12")
CODE(code_inside, "movw $0xcb90, area + 14", "lcall $0x70, $14")
CODE(jump_beyond_limit, "nop", "ljmp $0x70, $0x10")

static void limits(void)
{
    RUNS(limit_byte_last);
    FAULTS(limit_byte_beyond, GP, 0);
    RUNS(limit_dword_last);
    FAULTS(limit_dword_beyond, GP, 0);
    FAULTS(limit_word_wrap, GP, 0);
    FAULTS(limit_rmw_beyond, GP, 0);
    RUNS(limit_page_last);
    FAULTS(limit_page_beyond, GP, 0);
    area[0xfc] = 1;
    area[0x100] = 1;
    FAULTS(limit_string, GP, 0);
    check("REP STOS wrote up to the limit", area[0xfc] == 0 && area[0x100] == 1);
    FAULTS(read_only_write, GP, 0);
    RUNS(read_only_read);
    RUNS(down32_above);
    RUNS(down32_far_above);
    FAULTS(down32_below, GP, 0);
    FAULTS(down32_straddle, GP, 0);
    RUNS(down16_above);
    RUNS(down16_top);
    FAULTS(down16_beyond, GP, 0);
    FAULTS(down16_straddle, GP, 0);
    expect("execute-only code as data segment", false, code_only_read, GP, 0x60, NULL);
    RUNS(code_read);
    FAULTS(code_write, GP, 0);
    /* The handler needs a good stack: check_task_fault() gives it one by a task gate. */
    check_task_fault("stack segment limit: PUSH", stack_limit_push, SS, 0, (word)stack_limit_push_at);
    check_task_fault("stack segment limit: EBP", stack_limit_ebp, SS, 0, (word)stack_limit_ebp_at);
    check_task_fault("stack segment limit: POP", stack_wrap_pop, SS, 0, (word)stack_wrap_pop_at);
    gdt[0x70 / 8] = segment((word)area, 0xf, 0x9a, 4);
    RUNS(code_inside);
    expect("running past the code segment's limit", false, code_limit, GP, 0, (void *)0x10);
    check_value("... with that segment's CS", trap.cs, 0x70);
    FAULTS(jump_beyond_limit, GP, 0);
    check("loading a segment sets its accessed bit", (gdt[0x40 / 8] >> 40 & 1) && (gdt[0x50 / 8] >> 40 & 1));
}

/* ---- far transfers and call gates ---- */
CODE(far_call, "nop", "lcall $0x08, $far_target")
CODE(far_call_conforming, "nop", "lcall $0x68, $far_target")
CODE(far_call_data, "nop", "lcall $0x10, $far_target")
CODE(far_call_not_present, "nop", "lcall $0xe0, $far_target")
CODE(far_call_null, "nop", "lcall $0, $far_target")
CODE(far_call_beyond, "nop", "lcall $0x1f8, $far_target")
CODE(far_call_kernel, "nop", "lcall $0x08, $far_target")
CODE(far_call_user, "nop", "lcall $0x1b, $far_target")
CODE(far_call_rpl, "nop", "lcall $0x0b, $far_target")
CODE(gate_call, "nop", "lcall $0x80, $0xdeadbeef")
CODE(gate_jump, "nop", "ljmp $0x110, $0")
CODE(gate_call_user, "mov %esp, seen + 16; push $0x1111; push $0x2222", "lcall $0x8b, $0; mov %esp, %es:seen + 20")
CODE(gate_call_dpl0, "nop", "lcall $0x83, $0")
CODE(gate_call_not_present, "nop", "lcall $0x93, $0")
CODE(gate_jump_inner, "nop", "ljmp $0x8b, $0")
CODE(retf_inner, "push $0x08; push $retf_inner_next", "lret")
CODE(retf_null, "push $0; push $retf_null_next", "lret")
CODE(iret_outer_bad_ss, "push $0x10; push %esp; pushf; push $0x1b; push $user_exit", "iret")
__asm__(".text\nfar_target: mov %cs, %eax; mov %eax, seen; lret\n"
        "gate_target: mov %cs, %eax; mov %eax, seen; lret\n"
        "gate_jumped: mov %cs, %eax; mov %eax, seen; ret\n"
        /* From CPL 3: a new stack with SS, ESP, two parameters, CS, EIP. */
        "gate_user_target: mov %cs, %eax; mov %eax, seen; mov 8(%esp), %eax; mov %eax, seen + 4; mov 12(%esp), %eax; mov %eax, seen + 8\n"
        "mov 16(%esp), %eax; mov %eax, seen + 12; mov 20(%esp), %eax; mov %eax, seen + 24\n"
        "mov $0x10, %eax; mov %eax, %ds; mov %eax, %fs; mov $0x23, %eax; mov %eax, %es; lret $8\n");
extern char gate_target[], gate_user_target[], gate_jumped[];
CODE(user_segments_after, "push $0; push $0; lcall $0x8b, $0", "mov %ds, %eax; mov %es, %ecx; mov %fs, %edx; mov $0x23, %ebx; mov %ebx, %ds;"
     "mov %eax, seen; mov %ecx, seen + 4; mov %edx, seen + 8")

static u64 call_gate(word offset, u16 selector, u32 access, u32 parameters)
{
    return (offset & 0xffff) | (u64)selector << 16 | (u64)parameters << 32 | (u64)access << 40 | (u64)(offset >> 16) << 48;
}

static void far_transfers(void)
{
    gdt[0x80 / 8] = call_gate((word)gate_target, SEL_CODE, 0x8c, 0);
    gdt[0x88 / 8] = call_gate((word)gate_user_target, SEL_CODE, 0xec, 2);
    gdt[0x90 / 8] = call_gate((word)gate_target, SEL_CODE, 0x6c, 0);
    gdt[0x110 / 8] = call_gate((word)gate_jumped, SEL_CODE, 0x8c, 0);

    RUNS(far_call);
    check_value("far call: CS", seen[0], SEL_CODE);
    RUNS(far_call_conforming);
    check_value("far call to conforming code: CS", seen[0], 0x68);
    FAULTS(far_call_data, GP, SEL_DATA);
    FAULTS(far_call_not_present, NP, 0xe0);
    FAULTS(far_call_null, GP, 0);
    FAULTS(far_call_beyond, GP, 0x1f8);
    FAULTS(far_call_user, GP, 0x18);
    FAULTS(far_call_rpl, GP, SEL_CODE);
    USER_FAULTS(far_call_kernel, GP, SEL_CODE);
    USER_RUNS(far_call_conforming);
    check_value("conforming code from CPL 3 runs at CPL 3", seen[0], 0x6b);
    USER_FAULTS(retf_inner, GP, SEL_CODE);
    FAULTS(retf_null, GP, 0);
    FAULTS(iret_outer_bad_ss, GP, SEL_DATA);

    seen[0] = 0;
    RUNS(gate_call);
    check_value("call gate: CS", seen[0], SEL_CODE);
    seen[0] = 0;
    RUNS(gate_jump);
    check_value("jump through a gate: CS", seen[0], SEL_CODE);
    USER_FAULTS(gate_call_dpl0, GP, 0x80);
    USER_FAULTS(gate_call_not_present, NP, 0x90);
    USER_FAULTS(gate_jump_inner, GP, SEL_CODE);
    USER_RUNS(gate_call_user);
    check_value("call gate from CPL 3: CS", seen[0], SEL_CODE);
    check("parameters copied", seen[1] == 0x2222 && seen[2] == 0x1111);
    check_value("caller's ESP pushed", seen[3], seen[4] - 8);
    check_value("caller's SS pushed", seen[6], SEL_USER_DATA);
    check_value("far return releases the parameters on the outer stack", seen[5], seen[4]);
    USER_RUNS(user_segments_after);
    check("far return to CPL 3 clears segment registers it may not keep", seen[0] == 0 && seen[1] == SEL_USER_DATA && seen[2] == 0);
}

/* ---- LAR, LSL, VERR, VERW, ARPL ---- */
static bool lar(u16 selector, u32 *out)
{
    bool ok;
    __asm__ volatile("lar %2, %0; setz %1" : "=r"(*out), "=q"(ok) : "r"((u32)selector) : "cc");
    return ok;
}
static bool lsl(u16 selector, u32 *out)
{
    bool ok;
    __asm__ volatile("lsl %2, %0; setz %1" : "=r"(*out), "=q"(ok) : "r"((u32)selector) : "cc");
    return ok;
}
static bool verr(u16 selector)
{
    bool ok;
    __asm__ volatile("verr %1; setz %0" : "=q"(ok) : "r"(selector) : "cc");
    return ok;
}
static bool verw(u16 selector)
{
    bool ok;
    __asm__ volatile("verw %1; setz %0" : "=q"(ok) : "r"(selector) : "cc");
    return ok;
}
static bool arpl(u16 *destination, u16 source)
{
    bool changed;
    __asm__ volatile("arpl %2, %0; setz %1" : "+r"(*destination), "=q"(changed) : "r"(source) : "cc");
    return changed;
}

static void query_as_user(void)
{
    u32 v;
    seen[0] = lar(SEL_DATA, &v) | lsl(SEL_DATA, &v) << 1 | verr(SEL_DATA) << 2 | verw(SEL_DATA) << 3 | lar(0x68, &v) << 4 |
              verr(0x68) << 5 | lar(SEL_USER_DATA, &v) << 6 | verw(SEL_USER_DATA) << 7 | lar(0x88, &v) << 8 | lar(0x80, &v) << 9;
}

static void queries(void)
{
    u32 v;
    u16 selector;
    check("LAR of data", lar(SEL_DATA, &v) && (v & 0xf0ff00) == 0xc09300);
    check("LAR of code", lar(SEL_CODE, &v) && (v & 0xf0ff00) == 0xc09b00);
    check("LAR of a busy TSS", lar(SEL_TSS, &v) && (v & 0xff00) == 0x8b00);
    check("LAR of a call gate", lar(0x80, &v) && (v & 0xff00) == 0x8c00);
    check("LAR of a segment not present", lar(0xe0, &v) && (v & 0xff00) == 0x1a00);
    check("LAR of an interrupt gate's type", !lar(0x118, &v));
    check("LAR of null", !lar(0, &v));
    check("LAR beyond the GDT", !lar(0x1f8, &v));
    check("LAR with an RPL above the DPL", !lar(SEL_DATA | 3, &v));
    check("LSL of data, page-granular", lsl(SEL_DATA, &v) && v == 0xffffffff);
    check("LSL of data, byte-granular", lsl(0x40, &v) && v == 0xff);
    check("LSL of data, two pages", lsl(0xc8, &v) && v == 0x1fff);
    check("LSL of a TSS", lsl(SEL_TSS, &v) && v == sizeof(struct tss) - 1);
    check("LSL of a call gate", !lsl(0x80, &v));
    check("VERR: data, code, execute-only", verr(SEL_DATA) && verr(SEL_CODE) && !verr(0x60));
    check("VERR: TSS, null, beyond", !verr(SEL_TSS) && !verr(0) && !verr(0x1f8));
    check("VERW: data, read-only, code", verw(SEL_DATA) && !verw(0x48) && !verw(SEL_CODE));
    run_user(query_as_user);
    check_value("the same from CPL 3: only what it may see", seen[0], 0x1f0);
    selector = 0x10;
    check("ARPL raises", arpl(&selector, 3) && selector == 0x13);
    check("ARPL leaves a higher RPL", !arpl(&selector, 1) && selector == 0x13);
}

/* ---- LDT ---- */
static u64 ldt[4] __attribute__((aligned(8)));
CODE(ldt_data, "mov $0x0f, %eax", "mov %eax, %fs; movb %fs:0, %al")
CODE(ldt_beyond, "mov $0x24, %eax", "mov %eax, %fs")
CODE(ldt_entry_0, "mov $0x04, %eax", "mov %eax, %fs")
CODE(ldt_selector_in_ldt, "mov $0x0c, %eax", "lldt %ax")

static void local_table(void)
{
    u16 selector;
    ldt[0] = gdt[SEL_DATA / 8];
    ldt[1] = gdt[SEL_USER_DATA / 8];
    gdt[0xb8 / 8] = segment((word)ldt, sizeof(ldt) - 1, 0x82, 0);
    __asm__ volatile("lldt %0" : : "r"((u16)0xb8));
    __asm__ volatile("sldt %0" : "=r"(selector));
    check_value("SLDT", selector, 0xb8);
    RUNS(ldt_data);
    USER_RUNS(ldt_data);
    FAULTS(ldt_beyond, GP, 0x24);
    RUNS(ldt_entry_0);
    FAULTS(ldt_selector_in_ldt, GP, 0x0c);
    __asm__ volatile("lldt %0" : : "r"((u16)0));
}

/* ---- 16-bit segments ---- */
CODE(code16, "mov $0x12345678, %ebx", "lcall $0x78, $0")
__asm__(".text\n.globl code16_target\ncode16_target: .code16; mov $0x1111, %ax; mov %ax, %bx; push %ax; pop %cx; lea (%bx), %dx;"
        "addr32 mov %ebx, seen; addr32 mov %ecx, seen + 4; jmp 1f; .org code16_target + 0x80; 1: lretl; .code32");
extern char code16_target[];
CODE(stack16, "mov %esp, %edx; mov $0xd0, %eax; mov %eax, %ss; mov $0xabcd0000, %esp; push $0x11112222; mov %esp, seen; popl %ecx; mov %esp, seen + 4",
     "mov $0x10, %eax; mov %eax, %ss; mov %edx, %esp; mov %ecx, seen + 8")
CODE(gate16_int, "mov %esp, seen + 8", "int $0x42")
/* IRETW could only return below 64 KiB: so the handler takes the frame off and returns far. */
__asm__(".text\n.globl gate16_handler\ngate16_handler: mov (%esp), %eax; mov %eax, seen; mov %esp, %eax; add $6, %esp; mov %esp, seen + 4\n"
        "push $8; push $gate16_int_next; lret\n");
extern char gate16_handler[];

static void sixteen_bit(void)
{
    gdt[0x78 / 8] = segment((word)code16_target, 0xffff, 0x9a, 0);
    gdt[0xd0 / 8] = segment(0x20000, 0xffff, 0x92, 0);
    RUNS(code16);
    check_value("16-bit code: operands are 16 bits", seen[0], 0x12341111);
    check_value("16-bit code: PUSH, POP of 16 bits", (u16)seen[1], 0x1111);
    RUNS(stack16);
    check_value("16-bit stack: SP wraps, the rest of ESP stays", seen[0], 0xabcdfffc);
    check_value("16-bit stack: POP wraps back", seen[1], 0xabcd0000);
    check_value("16-bit stack: value", seen[2], 0x11112222);
    idt[0x42] = call_gate((word)gate16_handler & 0xffff, 0x120, 0x86, 0);
    gdt[0x120 / 8] = segment((word)gate16_handler & 0xffff0000, 0xfffff, 0x9a, 4);
    /* A 16-bit interrupt gate pushes 16-bit FLAGS, CS, IP. */
    RUNS(gate16_int);
    check_value("16-bit gate: IP and CS", seen[0], ((word)gate16_int_next & 0xffff) | SEL_CODE << 16);
    check_value("16-bit gate: six bytes", seen[1], seen[2]);
    gate_reset(0x42);
}

/* ---- I/O permission ---- */
CODE(in_80, "nop", "inb $0x80, %al")
CODE(in_81, "nop", "inb $0x81, %al")
CODE(in_80_word, "nop", "inw $0x80, %ax")
CODE(in_82_dword, "nop", "inl $0x84, %eax")
CODE(in_last, "mov $0xffff, %dx", "inb %dx, %al")
CODE(in_beyond_limit, "mov $0x3ff, %dx", "inb %dx, %al")
CODE(out_string, "mov $0x81, %dx; mov $area, %esi", "outsb")

static void io_permission(void)
{
    u32 i;
    for (i = 0; i < sizeof(tss.bitmap); i++)
        tss.bitmap[i] = 0xff;
    tss.bitmap[0x80 / 8] &= ~1;   /* port 0x80 */
    tss.bitmap[0x84 / 8] &= 0x0f; /* ports 0x84 to 0x87 */
    tss.io_map = 104;
    USER_RUNS(in_80);
    USER_FAULTS(in_81, GP, 0);
    USER_FAULTS(in_80_word, GP, 0);
    USER_RUNS(in_82_dword);
    USER_FAULTS(out_string, GP, 0);
    tss.bitmap[0xffff / 8] = 0x7f;
    USER_RUNS(in_last);
    RUNS(in_81);
    user_flags = 2 | 3 << 12;
    USER_RUNS(in_81);
    user_flags = 2;
    /* The bitmap ends with the segment. */
    tss.bitmap[0x3ff / 8] = 0;
    USER_RUNS(in_beyond_limit);
    gdt[SEL_TSS / 8] = segment((word)&tss, 104 + 0x3ff / 8, 0x89, 0);
    __asm__ volatile("ltr %0" : : "r"((u16)SEL_TSS));
    USER_FAULTS(in_beyond_limit, GP, 0); /* two bytes of the map are read: the second is outside */
    tss.io_map = 0xdfff;
    USER_FAULTS(in_80, GP, 0);
    tss.io_map = sizeof(tss);
    tss_reload();
    USER_FAULTS(in_80, GP, 0);
}

/* ---- SYSENTER, SYSEXIT ---- */
u8 sysenter_stack[256] __attribute__((aligned(16)));
CODE(do_sysenter, "nop", "mov %esp, %ebp; sysenter")
CODE(sysexit_user, "nop", "sysexit")
CODE(sysexit_no_cs, "nop", "sysexit")
__asm__(".text\n.globl sysenter_target\nsysenter_target: mov %cs, %eax; mov %eax, seen; mov %ss, %eax; mov %eax, seen + 4; mov %esp, seen + 8\n"
        "pushf; pop %eax; mov %eax, seen + 12; mov $1f, %edx; mov %ebp, %ecx; sysexit\n"
        "1: mov %cs, %eax; mov %eax, seen + 16; mov %ss, %eax; mov %eax, seen + 20; mov %esp, seen + 24; int $0x80\n");
extern char sysenter_target[];

static void fast_calls(void)
{
    u32 regs[4];
    cpuid(1, regs);
    if (!(regs[3] >> 11 & 1)) {
        skip("SYSENTER");
        return;
    }
    wrmsr(0x174, 0);
    expect("SYSENTER without a code segment (user)", true, do_sysenter, GP, 0, NULL);
    FAULTS(sysexit_no_cs, GP, 0);
    gdt[0xe8 / 8] = gdt[SEL_CODE / 8];
    gdt[0xf0 / 8] = gdt[SEL_DATA / 8];
    gdt[0xf8 / 8] = gdt[(SEL_USER_CODE & ~3) / 8];
    gdt[0x100 / 8] = gdt[(SEL_USER_DATA & ~3) / 8];
    wrmsr(0x174, 0xe8);
    wrmsr(0x175, (word)sysenter_stack + sizeof(sysenter_stack));
    wrmsr(0x176, (word)sysenter_target);
    USER_FAULTS(sysexit_user, GP, 0);
    user_flags = 2 | FLAG_IF;
    check_value("SYSENTER and SYSEXIT", (u32)run_user(do_sysenter), (u32)NOTHING);
    user_flags = 2;
    check("SYSENTER: CS, SS", seen[0] == 0xe8 && seen[1] == 0xf0);
    check_value("SYSENTER: ESP", seen[2], (word)sysenter_stack + sizeof(sysenter_stack));
    check("SYSENTER clears IF", !(seen[3] & FLAG_IF));
    check("SYSEXIT: CS, SS", seen[4] == 0xfb && seen[5] == 0x103);
    check_value("SYSEXIT: ESP", seen[6], (word)user_stack + 4096 - 16);
    wrmsr(0x174, 0);
}

/* ---- interrupts between privilege levels ---- */
CODE(user_int, "mov $0x11223344, %eax; mov %esp, seen", "int $0x41; mov %eax, seen + 4")
static bool frame_hook(struct frame *frame)
{
    if (frame->vector != 0x41)
        return false;
    seen[2] = frame->sp;
    seen[3] = frame->ss;
    seen[4] = (u16)frame->ds; /* PUSH of a segment register writes 16 bits only */
    frame->ax = 0x55667788;
    return true;
}

static void privilege(void)
{
    gate(0x41, stub_of(0x41), SEL_CODE, GATE_INTERRUPT | GATE_USER, 0);
    trap_hook = frame_hook;
    USER_RUNS(user_int);
    trap_hook = NULL;
    check_value("interrupt from CPL 3: ESP", seen[2], seen[0]);
    check("interrupt from CPL 3: SS, DS", seen[3] == SEL_USER_DATA && seen[4] == SEL_USER_DATA);
    check_value("IRET to CPL 3 goes on", seen[1], 0x55667788);
    gate_reset(0x41);
}

void check_main(void)
{
    gdt[0x40 / 8] = segment((word)area, 0xff, 0x92, 4);
    gdt[0x48 / 8] = segment(0, 0xfffff, 0x90, 0xc);
    gdt[0x50 / 8] = segment((word)area, 0xff, 0x96, 4);
    gdt[0x58 / 8] = segment((word)area, 0xff, 0x96, 0);
    gdt[0x60 / 8] = segment(0, 0xfffff, 0x98, 0xc);
    gdt[0x68 / 8] = segment(0, 0xfffff, 0x9e, 0xc);
    gdt[0xb0 / 8] = segment((word)area, 0xff, 0x92, 4);
    gdt[0xc8 / 8] = segment((word)area, 1, 0x92, 0xc);
    gdt[0xe0 / 8] = segment(0, 0xfffff, 0x1a, 0xc);
    gdt[0x118 / 8] = call_gate(0, SEL_CODE, 0x8e, 0);
    gdt_set_limit(0x1f7);
    prepare_tasks();

    limits();
    far_transfers();
    queries();
    local_table();
    sixteen_bit();
    io_permission();
    fast_calls();
    privilege();
    tasks();
    virtual_8086();
}
