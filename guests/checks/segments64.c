/*
 * Segmentation and privilege in IA-32e mode: SYSCALL, SYSENTER, compatibility mode, 64-bit call gates, FS and GS bases,
 * and where limits still count. SDM 3A 5.8.3, 5.8.7, 5.8.8.
 */
#include "rt.h"

/* SYSCALL wants kernel code and data at CS, CS + 8; SYSRET user 32-bit code, data, 64-bit code at its base, + 8, + 16. */
#define SEL_STAR_KERNEL 0x60
#define SEL_STAR_USER 0x70
#define SEL_USER_CODE32 0x43
#define SEL_GATE 0x90
#define SEL_ENTER 0xa0 /* kernel code, data, user 32-bit code, data, user 64-bit code, data */
#define SEL_SMALL32 0xd0

#define MSR_EFER 0xc0000080
#define MSR_STAR 0xc0000081
#define MSR_LSTAR 0xc0000082
#define MSR_CSTAR 0xc0000083
#define MSR_FMASK 0xc0000084
#define MSR_FS_BASE 0xc0000100
#define MSR_GS_BASE 0xc0000101
#define MSR_KERNEL_GS_BASE 0xc0000102

u64 seen[12];
u64 fs_area[4] = { 0x1111, 0x2222, 0x3333, 0x4444 };
static bool amd;

/* ---- SYSCALL and SYSRET ---- */
CODE(do_syscall, "mov $0x11, %ecx; mov $0x22, %r11d; mov %rsp, seen + 64", "syscall; mov %cs, %eax; mov %rax, seen + 40; mov %ss, %eax; mov %rax, seen + 48;"
     "pushfq; pop seen + 56; sub %rsp, seen + 64")
__asm__(".text\n.globl syscall_target\nsyscall_target: mov %rcx, seen; mov %r11, seen + 8; mov %cs, %eax; mov %rax, seen + 16\n"
        "mov %ss, %eax; mov %rax, seen + 24; pushfq; pop seen + 32; sysretq\n"
        ".globl syscall_target32\nsyscall_target32: mov $sysret32_landing, %ecx; sysretl\n"
        ".code32; sysret32_landing: mov %cs, %eax; mov %eax, seen; mov %ss, %eax; mov %eax, seen + 8; mov $-1, %eax; inc %eax\n"
        "mov %eax, seen + 16; .byte 0x40; mov %eax, seen + 24; int $0x80; .code64\n" /* 0x40: INC EAX here, a prefix in 64-bit code */
        ".globl sysret_bad\nsysret_bad: mov %rsp, %rdx; mov $0x800000000000, %rcx; sysret_bad_at: sysretq\n");
extern char syscall_target[], syscall_target32[], sysret_bad[], sysret_bad_at[], sysret32_landing[];

static void syscalls(void)
{
    USER_FAULTS(do_syscall, UD, NO_ERROR); /* EFER.SCE is clear */
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) | 1);
    wrmsr(MSR_STAR, (u64)(SEL_STAR_USER | 3) << 48 | (u64)SEL_STAR_KERNEL << 32);
    wrmsr(MSR_LSTAR, (word)syscall_target);
    wrmsr(MSR_FMASK, FLAG_DF | FLAG_ZF);
    user_flags = 2 | FLAG_DF | FLAG_CF | FLAG_ZF;
    check_value("SYSCALL and SYSRET", (u32)run_user(do_syscall), (u32)NOTHING);
    user_flags = 2;
    check_value("SYSCALL: RCX is the return address", seen[0], (word)do_syscall_at + 2);
    check_value("SYSCALL: R11 is RFLAGS", seen[1], 2 | FLAG_DF | FLAG_CF | FLAG_ZF);
    check_value("SYSCALL: CS", seen[2], SEL_STAR_KERNEL);
    check_value("SYSCALL: SS", seen[3], SEL_STAR_KERNEL + 8);
    check_value("SYSCALL: FMASK clears flags", seen[4], 2 | FLAG_CF);
    check_value("SYSRET: CS", seen[5], (SEL_STAR_USER + 16) | 3);
    check_value("SYSRET: SS", seen[6], (SEL_STAR_USER + 8) | 3);
    check_value("SYSRET: RFLAGS", seen[7], 2 | FLAG_DF | FLAG_CF | FLAG_ZF);
    check_value("SYSCALL does not touch RSP", seen[8], 0);

    wrmsr(MSR_LSTAR, (word)syscall_target32);
    seen[0] = seen[2] = seen[3] = 0;
    check_value("SYSRET to compatibility mode", (u32)run_user(do_syscall), (u32)NOTHING);
    check_value("SYSRET to compatibility mode: CS", seen[0], SEL_STAR_USER | 3);
    check_value("SYSRET to compatibility mode: SS", (u32)seen[1], (SEL_STAR_USER + 8) | 3);
    check("SYSRET to compatibility mode: 32-bit code runs", (u32)seen[2] == 0 && (u32)seen[3] == 1);
    if (!amd) {
        /* Intel checks RCX before it changes anything; others fault with the new privilege. */
        wrmsr(MSR_LSTAR, (word)sysret_bad);
        expect("SYSRET to a non-canonical address", true, do_syscall, GP, 0, sysret_bad_at);
        check_value("... faults at CPL 0", trap.cs & 3, 0);
    }
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) & ~1ul);
}

/* ---- compatibility mode ---- */
CODE(enter_compatibility, "push %rbx; mov %rsp, %rbx", "ljmp *compatibility_pointer; back64: mov %rbx, %rsp; pop %rbx")
__asm__(".data; compatibility_pointer: .long compatibility_code; .short 0x38; .text\n"
        ".code32\ncompatibility_code: mov $0x7fffffff, %eax; .byte 0x40; mov %eax, seen; mov %cs, %eax; mov %eax, seen + 8\n"
        "mov %esp, %ecx; push %eax; sub %esp, %ecx; mov %ecx, seen + 16; pop %eax\n"
        "mov $1, %al; daa; mov $0xffff0000, %esi; lea 0x10000(%esi), %edx; mov %edx, seen + 24\n"
        "ljmp $0x08, $back64\n.code64\n");

/* At CPL 3: an interrupt from compatibility mode pushes a 64-bit frame. */
CODE(user_compatibility, "mov %rsp, seen + 64", "push $0x43; push $user_code32; lretq")
__asm__(".text\n.code32\nuser_code32: mov $0x23, %eax; mov %eax, %ds; mov %eax, %es; mov $0x12345678, %eax\n"
        ".globl user_code32_int\nuser_code32_int: int $0x41; mov %eax, seen + 72; call 1f; 1: pop %eax; sub $1b, %eax; mov %eax, seen + 80; int $0x80\n.code64\n");
extern char user_code32_int[];
CODE(user_bad32, "nop", "push $0x43; push $1f; lretq; .code32; 1: mov $0xd3, %eax; mov %eax, %fs; user_bad32_fault: movb %fs:0x100, %al; int $0x80; .code64")
CODE(user_small_ok, "nop", "push $0x43; push $1f; lretq; .code32; 1: mov $0xd3, %eax; mov %eax, %fs; movb %fs:0xff, %al; int $0x80; .code64")
CODE(limit_ignored64, "mov $0xd3, %eax; mov %eax, %fs", "movb %fs:0x100, %al")
CODE(into32, "nop", "push $0x43; push $1f; lretq; .code32; 1: mov $0x7f, %al; inc %al; into; into32_after: nop; .code64")
CODE(bound32, "nop", "push $0x43; push $1f; lretq; .code32; 1: mov $9, %eax; bound32_fault: bound %eax, fs_area; .code64")
CODE(syscall32, "nop", "push $0x43; push $1f; lretq; .code32; 1: syscall32_fault: syscall; .code64")
CODE(high_wrap32, "nop", "push $0x43; push $1f; lretq; .code32; 1: mov $0xfffffff0, %esi; movb (fs_area + 0x10)(%esi), %al; mov %eax, seen; int $0x80; .code64")
extern char user_bad32_fault[], into32_after[], bound32_fault[], syscall32_fault[];

static bool compatibility_hook(struct frame *frame)
{
    if (frame->vector != 0x41)
        return false;
    seen[0] = frame->cs;
    seen[1] = frame->ip;
    seen[2] = frame->sp;
    seen[3] = frame->ss;
    frame->ax = 0x123456789abcdef0;
    return true;
}

static void compatibility(void)
{
    RUNS(enter_compatibility);
    check("compatibility mode: 0x40 is INC EAX", (u32)seen[0] == 0x80000000);
    check_value("compatibility mode: CS", (u32)seen[1], SEL_CODE32);
    check_value("compatibility mode: PUSH is 32-bit", (u32)seen[2], 4);
    check_value("compatibility mode: addresses wrap at 4 GiB", (u32)seen[3], 0);

    gate(0x41, stub_of(0x41), SEL_CODE, GATE_INTERRUPT | GATE_USER, 0);
    trap_hook = compatibility_hook;
    check_value("user compatibility mode", (u32)run_user(user_compatibility), (u32)NOTHING);
    trap_hook = NULL;
    gate_reset(0x41);
    check_value("interrupt from compatibility mode: CS", seen[0], SEL_USER_CODE32);
    check_value("... RIP", seen[1], (word)user_code32_int + 2);
    check_value("... SS", seen[3], SEL_USER_DATA);
    check_value("... RSP", seen[2], seen[8]);
    check_value("... IRETQ goes on in compatibility mode", (u32)seen[9], 0x9abcdef0);
    check_value("... near CALL pushes 32 bits", (u32)seen[10], 0);

    expect("segment limits count in compatibility mode", true, user_bad32, GP, 0, user_bad32_fault);
    USER_RUNS(user_small_ok);
    USER_RUNS(limit_ignored64);
    expect("INTO in compatibility mode", true, into32, OF, NO_ERROR, into32_after);
    expect("BOUND in compatibility mode", true, bound32, BR, NO_ERROR, bound32_fault);
    fs_area[0] = 0xab;
    USER_RUNS(high_wrap32);
    check_value("address wraps at 4 GiB in a user access", seen[0] & 0xff, 0xab);
    fs_area[0] = 0x1111;
    if (!amd)
        expect("SYSCALL in compatibility mode", true, syscall32, UD, NO_ERROR, syscall32_fault);
}

/* ---- call gates of 16 bytes ---- */
CODE(gate_call, "mov %rsp, seen + 64", "lcall *gate_pointer; mov %rsp, seen + 72")
CODE(gate_jump, "nop", "ljmp *gate_pointer")
CODE(far_call, "nop", "lcall *far_pointer")
CODE(far_jump_data, "nop", "ljmp *far_pointer_data")
CODE(retf_outer, "mov %rsp, %rax; push $0x23; push %rax; push $0x1b; push $user_exit", "lretq")
__asm__(".data; gate_pointer: .long 0; .short 0x93; .balign 8; far_pointer: .long gate_far_target; .short 0x08; .balign 8\n"
        "far_pointer_32: .long gate_far_target; .short 0x38; .balign 8; far_pointer_data: .long gate_far_target; .short 0x10; .text\n"
        ".globl gate_target\ngate_target: mov %cs, %eax; mov %rax, seen; mov %ss, %eax; mov %rax, seen + 8; mov %rsp, seen + 16\n"
        "mov (%rsp), %rax; mov %rax, seen + 24; mov 8(%rsp), %rax; mov %rax, seen + 32; mov 16(%rsp), %rax; mov %rax, seen + 40\n"
        "mov 24(%rsp), %rax; mov %rax, seen + 48; lretq\n"
        "gate_far_target: mov %cs, %eax; mov %rax, seen; lretl\n");
extern char gate_target[];

static void set_gate(word offset, u16 selector, u32 access)
{
    gdt[SEL_GATE / 8] = (offset & 0xffff) | (u64)selector << 16 | (u64)access << 40 | (offset >> 16 & 0xffff) << 48;
    gdt[SEL_GATE / 8 + 1] = offset >> 32;
}

static void call_gates(void)
{
    set_gate((word)gate_target, SEL_CODE, 0xec);
    check_value("call gate from CPL 3", (u32)run_user(gate_call), (u32)NOTHING);
    check_value("call gate: CS", seen[0], SEL_CODE);
    check_value("call gate: SS is null", seen[1] & ~3ul, 0);
    check_value("call gate: return CS", seen[4], SEL_USER_CODE);
    check_value("call gate: caller's RSP", seen[5], seen[8]);
    check_value("call gate: caller's SS", seen[6], SEL_USER_DATA);
    check_value("far return restores RSP", seen[9], seen[8]);
    USER_FAULTS(gate_jump, GP, SEL_CODE);
    set_gate((word)gate_target, SEL_CODE, 0x8c);
    USER_FAULTS(gate_call, GP, SEL_GATE);
    set_gate((word)gate_target, SEL_CODE, 0x6c);
    USER_FAULTS(gate_call, NP, SEL_GATE);
    set_gate((word)gate_target, SEL_CODE32, 0xec);
    USER_FAULTS(gate_call, GP, SEL_CODE32);
    set_gate(0x800000000000, SEL_CODE, 0xec);
    expect("call gate to a non-canonical address (user)", true, gate_call, GP, 0, NULL);
    set_gate((word)gate_target, SEL_CODE, 0xec);
    gdt[SEL_GATE / 8 + 1] |= 1ull << 40; /* a type in the upper half must be 0 */
    USER_FAULTS(gate_call, GP, SEL_GATE);
    set_gate((word)gate_target, SEL_CODE, 0x84); /* a 16-bit call gate */
    USER_FAULTS(gate_call, GP, SEL_GATE);
    RUNS(far_call);
    check_value("far call: CS", seen[0], SEL_CODE);
    FAULTS(far_jump_data, GP, SEL_DATA);
    RUNS(retf_outer);
}

/* ---- FS, GS and their bases ---- */
CODE(read_fs, "nop", "mov %fs:8, %rax; mov %rax, seen")
CODE(read_gs, "nop", "mov %gs:8, %rax; mov %rax, seen")
CODE(do_swapgs, "nop", "swapgs")
CODE(load_fs_selector, "mov $0x10, %eax", "mov %eax, %fs; mov %fs:fs_area, %rax; mov %rax, seen")
CODE(es_base_ignored, "mov $0xc8, %eax; mov %eax, %es", "mov %es:fs_area, %rax; mov %rax, seen")
CODE(fs_noncanonical, "nop", "mov %fs:0, %al")
CODE(rdfsbase, "nop", ".byte 0xf3, 0x48, 0x0f, 0xae, 0xc0; mov %rax, seen")

static void bases(void)
{
    u32 regs[4];
    wrmsr(MSR_FS_BASE, (word)fs_area);
    wrmsr(MSR_GS_BASE, (word)fs_area + 8);
    wrmsr(MSR_KERNEL_GS_BASE, (word)fs_area + 16);
    RUNS(read_fs);
    check_value("FS base", seen[0], 0x2222);
    RUNS(read_gs);
    check_value("GS base", seen[0], 0x3333);
    RUNS(do_swapgs);
    RUNS(read_gs);
    check_value("SWAPGS", seen[0], 0x4444);
    check_value("SWAPGS saves the old base", rdmsr(MSR_KERNEL_GS_BASE), (word)fs_area + 8);
    wrmsr(MSR_FS_BASE, 0x100000000000);
    check_value("64-bit base", rdmsr(MSR_FS_BASE), 0x100000000000);
    expect("64-bit base is used", false, fs_noncanonical, PF, 0, NULL);
    check_value("... in the address", trap.cr2, 0x100000000000);
    RUNS(load_fs_selector);
    check_value("loading FS loads a 32-bit base from the descriptor", seen[0], 0x1111);
    check_value("... also as the MSR shows it", rdmsr(MSR_FS_BASE), 0);
    gdt[0xc8 / 8] = segment(0x12345678, 0xfffff, 0x92, 0xc);
    RUNS(es_base_ignored);
    check_value("the base of ES is ignored", seen[0], 0x1111);
    cpuid(0, regs);
    cpuid(regs[0] >= 7 ? 7 : 0, regs);
    if (regs[1] & 1) {
        FAULTS(rdfsbase, UD, NO_ERROR);
        write_cr4(read_cr4() | 1 << 16);
        wrmsr(MSR_FS_BASE, 0x123456789000);
        RUNS(rdfsbase);
        check_value("RDFSBASE", seen[0], 0x123456789000);
        write_cr4(read_cr4() & ~(1ul << 16));
    } else
        skip("FSGSBASE");
    wrmsr(MSR_GS_BASE, 0);
    wrmsr(MSR_FS_BASE, 0);
}

/* ---- SYSENTER from 64-bit code ---- */
u8 enter_stack[256] __attribute__((aligned(16)));
CODE(do_sysenter, "mov %rsp, %rbp", "sysenter")
__asm__(".text\n.globl sysenter_target\nsysenter_target: mov %cs, %eax; mov %rax, seen; mov %ss, %eax; mov %rax, seen + 8; mov %rsp, seen + 16\n"
        "mov $1f, %edx; mov %rbp, %rcx; sysexitq\n"
        "1: mov %cs, %eax; mov %rax, seen + 24; mov %ss, %eax; mov %rax, seen + 32; mov %rsp, seen + 40; int $0x80\n");
extern char sysenter_target[];

static void sysenter(void)
{
    u32 i;
    if (amd) {
        USER_FAULTS(do_sysenter, UD, NO_ERROR);
        return;
    }
    for (i = 0; i < 6; i++)
        gdt[SEL_ENTER / 8 + i] = 0;
    gdt[SEL_ENTER / 8] = gdt[SEL_CODE / 8];
    gdt[SEL_ENTER / 8 + 1] = gdt[SEL_DATA / 8];
    gdt[SEL_ENTER / 8 + 2] = segment(0, 0xfffff, 0xfb, 0xc);
    gdt[SEL_ENTER / 8 + 3] = gdt[SEL_USER_DATA / 8];
    gdt[SEL_ENTER / 8 + 4] = gdt[SEL_USER_CODE / 8];
    gdt[SEL_ENTER / 8 + 5] = gdt[SEL_USER_DATA / 8];
    wrmsr(0x174, 0);
    USER_FAULTS(do_sysenter, GP, 0);
    wrmsr(0x174, SEL_ENTER);
    wrmsr(0x175, (word)enter_stack + sizeof(enter_stack));
    wrmsr(0x176, (word)sysenter_target);
    check_value("SYSENTER and SYSEXIT", (u32)run_user(do_sysenter), (u32)NOTHING);
    check_value("SYSENTER: CS", seen[0], SEL_ENTER);
    check_value("SYSENTER: SS", seen[1], SEL_ENTER + 8);
    check_value("SYSENTER: RSP", seen[2], (word)enter_stack + sizeof(enter_stack));
    check_value("SYSEXIT: CS", seen[3], (SEL_ENTER + 32) | 3);
    check_value("SYSEXIT: SS", seen[4], (SEL_ENTER + 40) | 3);
    wrmsr(0x174, 0);
}

/* ---- interrupts with a change of privilege ---- */
CODE(user_int, "nop", "int $0x41")
static bool null_ss_hook(struct frame *frame)
{
    u32 ss;
    if (frame->vector != 0x41)
        return false;
    __asm__("mov %%ss, %0" : "=r"(ss));
    seen[0] = ss;
    return true;
}

static void interrupts(void)
{
    gate(0x41, stub_of(0x41), SEL_CODE, GATE_INTERRUPT | GATE_USER, 0);
    trap_hook = null_ss_hook;
    seen[0] = 0xff;
    USER_RUNS(user_int);
    check_value("interrupt from CPL 3 loads a null SS", seen[0], 0);
    gate(0x41, stub_of(0x41), SEL_CODE, GATE_INTERRUPT | GATE_USER, 1);
    USER_RUNS(user_int);
    RUNS(user_int);
    check("IST is used without a change of privilege too", trap.sp != trap.handler_sp);
    trap_hook = NULL;
    gate_reset(0x41);
}

void check_main(void)
{
    u32 regs[4];
    cpuid(0, regs);
    amd = regs[1] == 0x68747541;
    gdt[(SEL_USER_CODE32 & ~3) / 8] = segment(0, 0xfffff, 0xfb, 0xc);
    gdt[SEL_STAR_KERNEL / 8] = gdt[SEL_CODE / 8];
    gdt[SEL_STAR_KERNEL / 8 + 1] = gdt[SEL_DATA / 8];
    gdt[SEL_STAR_USER / 8] = segment(0, 0xfffff, 0xfb, 0xc);
    gdt[SEL_STAR_USER / 8 + 1] = gdt[SEL_USER_DATA / 8];
    gdt[SEL_STAR_USER / 8 + 2] = gdt[SEL_USER_CODE / 8];
    gdt[SEL_SMALL32 / 8] = segment((u32)(word)fs_area, 0xff, 0xf2, 4);
    syscalls();
    compatibility();
    call_gates();
    bases();
    sysenter();
    interrupts();
}
