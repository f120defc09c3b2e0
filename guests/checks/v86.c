/* Virtual-8086 mode without the VME extension: entry, exit, and what IOPL decides. SDM 3B chapter 20. */
#include "segments.h"

#define V86_CODE 0x10000u /* linear; segment 0x1000 */
#define V86_FLAGS (2 | FLAG_VM)

u32 v86_flags;
int run_v86(u32 ip);
__asm__(".text\n.globl run_v86\nrun_v86:\n"
        "mov 4(%esp), %eax; push %ebp; push %ebx; push %esi; push %edi; pushl recover_sp; mov %esp, recover_sp\n"
        "mov %esp, tss + 4; movl $0x10, tss + 8\n"
        "push $0x4444; push $0x3333; push $0x1000; push $0x2222\n" /* GS FS DS ES */
        "push $0x2000; push $0x1000; pushl v86_flags; push $0x1000; push %eax; iretl\n");

#define V86(name, code)                                                                                                   \
    __asm__(".text\n.globl v86_" #name ", v86_" #name "_end\n.code16\nv86_" #name ": " code "\nv86_" #name "_end: .code32\n"); \
    extern u8 v86_##name[], v86_##name##_end[];

/* Each ends with INT3, which needs no IOPL. */
V86(plain, "mov $0x1234, %ax; mov %ax, 0x100; mov %cs, %bx; mov %bx, 0x102; pushf; pop %cx; mov %cx, 0x104; int3")
V86(cli, "cli; int3")
V86(sti, "sti; cli; int3")
V86(pushf, "pushf; int3")
V86(pushfd, "pushfl; int3")
V86(popf, "push $2; popf; int3")
V86(iret, "push $2; push %cs; push $6; iret; nop; int3")
V86(int_n, "int $0x41; int3")
V86(hlt, "hlt; int3")
V86(in_80, "in $0x80, %al; int3")
V86(in_81, "in $0x81, %al; int3")
V86(limit, "mov 0xffff, %ax; int3")
V86(limit_byte, "mov 0xffff, %al; int3")
V86(stack, "mov $1, %sp; push %ax; int3")
V86(load, "mov $0xf000, %ax; mov %ax, %ds; mov %ax, %es; mov %ax, %fs; mov $0x1000, %ax; mov %ax, %ds; int3")
V86(lgdt, "lgdtl 0x100; int3")
V86(cr0, "mov %cr0, %eax; int3")
V86(smsw, "smsw %ax; int3")
V86(sldt, "sldt %ax; int3")
V86(lar, "lar %ax, %ax; int3")
V86(arpl, ".byte 0x63, 0xc0; int3")
V86(far, "ljmp $0x1001, $2f - v86_far - 16; nop; .org v86_far + 32; 2: mov %cs, %ax; mov %ax, 0x100; int3")
V86(div, "xor %cx, %cx; div %cx; int3")
V86(into, "mov $0x7f, %al; inc %al; into; int3")
V86(string32, "xor %si, %si; addr32 movb (%esi), %al; mov $0x10000, %esi; addr32 movb (%esi), %al; int3")

static u32 v86_segments[4], v86_handler_ds;
static bool v86_hook(struct frame *frame)
{
    v86_segments[0] = frame->v86_es;
    v86_segments[1] = frame->v86_ds;
    v86_segments[2] = frame->v86_fs;
    v86_segments[3] = frame->v86_gs;
    v86_handler_ds = (u16)(frame->ds | frame->es | frame->fs | frame->gs); /* PUSH of a segment register writes 16 bits only */
    return false;
}

static void v86_check(const char *name, const u8 *code, const u8 *end, u32 iopl, int vector, word error, u32 ip)
{
    u32 i;
    int got;
    for (i = 0; i < (u32)(end - code); i++)
        ((volatile u8 *)V86_CODE)[i] = code[i];
    v86_flags = V86_FLAGS | iopl << 12;
    trap_hook = v86_hook;
    got = run_v86(0);
    trap_hook = NULL;
    if (!check(name, got == vector && trap.error == error && trap.ip == ip && (trap.flags & FLAG_VM)))
        print("  vector %x, error %x, ip %x, flags %x, expected vector %u, error %x, ip %x\n", (u64)(u32)got, (u64)trap.error, (u64)trap.ip,
              (u64)trap.flags, (u32)vector, (u64)error, (u64)ip);
}

/* Runs to its last instruction, INT3. */
#define V86_RUNS(code, iopl) v86_check("V86: " #code ", IOPL " #iopl, v86_##code, v86_##code##_end, iopl, BP, NO_ERROR, v86_##code##_end - v86_##code)
#define V86_FAULTS(code, iopl, vector, error, ip) \
    v86_check("V86: " #code ", IOPL " #iopl, v86_##code, v86_##code##_end, iopl, vector, error, ip)

void virtual_8086(void)
{
    V86_RUNS(plain, 3);
    check_value("V86: store through DS", *(volatile u16 *)(V86_CODE + 0x100), 0x1234);
    check_value("V86: CS", *(volatile u16 *)(V86_CODE + 0x102), 0x1000);
    check("V86: trap pushes ES, DS, FS, GS", v86_segments[0] == 0x2222 && v86_segments[1] == 0x1000 && v86_segments[2] == 0x3333 && v86_segments[3] == 0x4444);
    check_value("V86: the handler finds null segment registers", v86_handler_ds, 0);
    check("V86: trap pushes CS, SS, ESP", trap.cs == 0x1000 && trap.ss == 0x2000 && trap.sp == 0x1000);

    V86_FAULTS(cli, 0, GP, 0, 0);
    V86_RUNS(cli, 3);
    V86_FAULTS(sti, 2, GP, 0, 0);
    V86_RUNS(sti, 3);
    V86_FAULTS(pushf, 0, GP, 0, 0);
    V86_RUNS(pushf, 3);
    V86_RUNS(pushfd, 3);
    check_value("V86: PUSHFD pushes VM as 0", *(volatile u32 *)(0x20000 + 0x1000 - 4) & FLAG_VM, 0);
    V86_FAULTS(popf, 0, GP, 0, 2);
    V86_RUNS(popf, 3);
    check_value("V86: POPF leaves IOPL", trap.flags >> 12 & 3, 3);
    V86_FAULTS(iret, 0, GP, 0, 5);
    V86_RUNS(iret, 3);
    V86_FAULTS(int_n, 0, GP, 0, 0);
    V86_FAULTS(int_n, 3, GP, 0x41 * 8 + 2, 0); /* allowed by IOPL, but not by the gate's DPL */
    gate(0x41, stub_of(0x41), SEL_CODE, GATE_INTERRUPT | GATE_USER, 0);
    V86_FAULTS(int_n, 3, 0x41, NO_ERROR, 2);
    gate_reset(0x41);
    V86_FAULTS(into, 0, OF, NO_ERROR, 5);
    V86_FAULTS(hlt, 3, GP, 0, 0);

    tss.io_map = 104;
    tss.bitmap[0x80 / 8] = 0xfe;
    V86_RUNS(in_80, 0);
    V86_FAULTS(in_81, 0, GP, 0, 0);
    V86_FAULTS(in_81, 3, GP, 0, 0); /* in this mode the map decides alone */
    tss.io_map = sizeof(tss);

    V86_RUNS(limit_byte, 0);
    V86_FAULTS(limit, 0, GP, 0, 0);
    V86_FAULTS(stack, 0, SS, 0, 3);
    V86_FAULTS(string32, 0, GP, 0, 11);
    V86_RUNS(load, 0);
    V86_FAULTS(far, 0, BP, NO_ERROR, 0x16); /* its INT3, counted from the new CS */
    check_value("V86: far jump", *(volatile u16 *)(V86_CODE + 0x100), 0x1001);
    V86_FAULTS(lgdt, 3, GP, 0, 0);
    V86_FAULTS(cr0, 3, GP, 0, 0);
    V86_RUNS(smsw, 0);
    V86_FAULTS(sldt, 3, UD, NO_ERROR, 0);
    V86_FAULTS(lar, 3, UD, NO_ERROR, 0);
    V86_FAULTS(arpl, 3, UD, NO_ERROR, 0);
    V86_FAULTS(div, 0, DE, NO_ERROR, 2);
}
