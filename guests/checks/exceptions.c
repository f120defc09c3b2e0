/*
 * Exceptions and traps: vectors, error codes, the saved instruction pointer, single-step, debug registers, the interrupt
 * shadow, and faults while a fault is being delivered. One source for both builds: exceptions.elf runs in
 * 64-bit mode, exceptions32.elf in 32-bit protected mode without paging. SDM 3A chapter 6, 3B chapter 17.
 */
#include "rt.h"

#define SEL_NOT_PRESENT_DATA 0x40
#define SEL_NOT_PRESENT_CODE 0x48
#define SEL_LDT 0x50
#define SEL_BEYOND 0x1f8 /* made to lie outside by a lower limit */

u32 variable[8] __attribute__((aligned(64)));
u8 target_bytes[64] __attribute__((aligned(64)));
u16 data_selector = SEL_DATA;

/* ---- divide error ---- */
CODE(de_div_by_zero, "xor %ecx, %ecx; xor %edx, %edx; mov $1, %eax", "div %ecx")
CODE(de_div_overflow, "mov $2, %ecx; mov $2, %edx; xor %eax, %eax", "div %ecx")
CODE(de_idiv_minimum, "mov $-1, %ecx; mov $-1, %edx; mov $0x80000000, %eax", "idiv %ecx")
CODE(de_div8_overflow, "mov $1, %cl; mov $0x100, %ax", "div %cl")
CODE(de_idiv8_overflow, "mov $1, %cl; mov $0x80, %ax", "idiv %cl")
CODE(de_div16_overflow, "mov $1, %cx; mov $1, %dx; xor %ax, %ax", "div %cx")
CODE(de_idiv8_minimum_fits, "mov $1, %cl; mov $0xff80, %ax", "idiv %cl")

static void divide_errors(void)
{
    FAULTS(de_div_by_zero, DE, NO_ERROR);
    FAULTS(de_div_overflow, DE, NO_ERROR);
    FAULTS(de_idiv_minimum, DE, NO_ERROR);
    FAULTS(de_div8_overflow, DE, NO_ERROR);
    FAULTS(de_idiv8_overflow, DE, NO_ERROR);
    FAULTS(de_div16_overflow, DE, NO_ERROR);
    RUNS(de_idiv8_minimum_fits);
    USER_FAULTS(de_div_by_zero, DE, NO_ERROR);
}

/* ---- software interrupts ---- */
CODE(bp_int3, "nop", "int3")
CODE(bp_cd03, "nop", ".byte 0xcd, 3")
CODE(int_41, "nop", "int $0x41")
CODE(int_ff, "nop", "int $0xff")
#ifndef __x86_64__
CODE(of_into, "mov $0x7fffffff, %eax; inc %eax", "into")
CODE(of_into_clear, "xor %eax, %eax", "into")
u32 bounds[2] = { 2, 5 };
u16 bounds16[2] = { 0xfffe, 5 }; /* -2 to 5 */
CODE(br_below, "mov $1, %eax", "bound %eax, bounds")
CODE(br_above, "mov $6, %eax", "bound %eax, bounds")
CODE(br_inside_lower, "mov $2, %eax", "bound %eax, bounds")
CODE(br_inside_upper, "mov $5, %eax", "bound %eax, bounds")
CODE(br_negative16, "mov $-3, %ax", "bound %ax, bounds16")
CODE(br_inside16, "mov $-2, %ax", "bound %ax, bounds16")
CODE(br_register, "nop", ".byte 0x62, 0xc1")
CODE(de_aam_0, "mov $1, %al", ".byte 0xd4, 0")
#endif

static void software_interrupts(void)
{
    TRAPS(bp_int3, BP);
    USER_TRAPS(bp_int3, BP);
    TRAPS(bp_cd03, BP);
    TRAPS(int_41, 0x41);
    TRAPS(int_ff, 0xff);
    /* From CPL 3 the gate's DPL counts: error code is the vector, IDT bit set, and EXT clear as software asked for it. */
    expect("INT from user to a DPL 0 gate", true, int_41, GP, 0x41 * 8 + 2, int_41_at);
    gate(0x41, stub_of(0x41), SEL_CODE, GATE_INTERRUPT | GATE_USER, 0);
    USER_TRAPS(int_41, 0x41);
    gate_reset(0x41);
    gate(BP, stub_of(BP), SEL_CODE, GATE_INTERRUPT, 0);
    USER_FAULTS(bp_int3, GP, BP * 8 + 2);
    gate_reset(BP);

    gate(0x41, stub_of(0x41), SEL_CODE, 0x0e, 0); /* not present */
    expect("INT to a gate not present", false, int_41, NP, 0x41 * 8 + 2, int_41_at);
    gate(0x41, stub_of(0x41), SEL_CODE, 0x82, 0); /* not a gate: an LDT descriptor's type */
    expect("INT to no gate", false, int_41, GP, 0x41 * 8 + 2, int_41_at);
    gate(0x41, stub_of(0x41), 0, GATE_INTERRUPT, 0); /* null code selector */
    expect("INT to a null code selector", false, int_41, GP, 0, int_41_at);
    gate(0x41, stub_of(0x41), SEL_DATA, GATE_INTERRUPT, 0);
    expect("INT to a data segment", false, int_41, GP, SEL_DATA, int_41_at);
    gate(0x41, stub_of(0x41), SEL_NOT_PRESENT_CODE, GATE_INTERRUPT, 0);
    expect("INT to code not present", false, int_41, NP, SEL_NOT_PRESENT_CODE, int_41_at);
    gate(0x41, stub_of(0x41), SEL_BEYOND, GATE_INTERRUPT, 0);
    expect("INT to code beyond the GDT", false, int_41, GP, SEL_BEYOND, int_41_at);
    gate(0x41, stub_of(0x41), 4, GATE_INTERRUPT, 0); /* in an LDT that is not there */
    expect("INT to code in a missing LDT", false, int_41, GP, 4, int_41_at);
    gate(0x41, stub_of(0x41), SEL_USER_CODE & ~3, GATE_INTERRUPT, 0); /* less privileged code */
    expect("INT to less privileged code", false, int_41, GP, SEL_USER_CODE & ~3, int_41_at);
#ifdef __x86_64__
    gate(0x41, 0x800000000000, SEL_CODE, GATE_INTERRUPT, 0); /* not canonical */
    expect("INT to a non-canonical handler", false, int_41, GP, 0, int_41_at);
    gate(0x41, stub_of(0x41), SEL_CODE32, GATE_INTERRUPT, 0); /* not 64-bit code */
    expect("INT to 32-bit code", false, int_41, GP, SEL_CODE32, int_41_at);
    gate(0x41, stub_of(0x41), SEL_CODE, 0x86, 0); /* a 16-bit gate */
    expect("INT to a 16-bit gate", false, int_41, GP, 0x41 * 8 + 2, int_41_at);
#endif
    gate_reset(0x41);

    load_idt(0x40 * 2 * sizeof(word) - 1);
    expect("INT beyond the IDT limit", false, int_41, GP, 0x41 * 8 + 2, int_41_at);
    load_idt(256 * 2 * sizeof(word) - 1);

#ifndef __x86_64__
    TRAPS(of_into, OF);
    RUNS(of_into_clear);
    USER_TRAPS(of_into, OF);
    FAULTS(br_below, BR, NO_ERROR);
    FAULTS(br_above, BR, NO_ERROR);
    RUNS(br_inside_lower);
    RUNS(br_inside_upper);
    FAULTS(br_negative16, BR, NO_ERROR);
    RUNS(br_inside16);
    FAULTS(br_register, UD, NO_ERROR);
    FAULTS(de_aam_0, DE, NO_ERROR);
#endif
}

/* ---- flags and stack at the handler's entry ---- */
static word hook_flags, hook_sp;
static bool flags_hook(struct frame *frame)
{
    if (frame->vector != 0x41)
        return false;
    hook_flags = trap.handler_flags;
    hook_sp = (word)&frame->ip + (sizeof(word) == 8 ? 5 : 3) * sizeof(word);
    return true;
}

word saved_sp;
CODE(flags_through_gate, "mov %" R "sp, saved_sp; pushf; or" WORD " $0x4600, (%" R "sp); popf", "int $0x41")
CODE(flags_cleared, "pushf; and" WORD " $~0x4600, (%" R "sp); popf", "nop")

static void entry_state(void)
{
    trap_hook = flags_hook;
    RUNS(flags_through_gate);
    check("interrupt gate clears IF, NT, TF; keeps DF", (hook_flags & (FLAG_IF | FLAG_NT | FLAG_TF)) == 0);
    check("pushed flags keep IF, NT, DF", (trap.flags & 0x4600) == 0x4600);
#ifdef __x86_64__
    /* In 64-bit mode the CPU aligns the stack to 16 before it pushes. */
    check_value("stack aligned, SS:RSP pushed without change of privilege", hook_sp, saved_sp & ~15ul);
    check_value("pushed RSP", trap.sp, saved_sp);
    check_value("pushed SS", trap.ss, SEL_DATA);
#else
    check_value("no SS:ESP pushed without change of privilege", hook_sp, saved_sp);
#endif
    check_value("pushed CS", trap.cs, SEL_CODE);
    gate(0x41, stub_of(0x41), SEL_CODE, GATE_TRAP, 0);
    RUNS(flags_through_gate);
    check("trap gate keeps IF, clears NT", (hook_flags & (FLAG_IF | FLAG_NT)) == FLAG_IF);
    RUNS(flags_cleared);
    gate_reset(0x41);
    trap_hook = NULL;
}

/* ---- invalid opcode ---- */
CODE(ud_ud2, "nop", "ud2")
CODE(ud_ud1, "nop", ".byte 0x0f, 0xb9, 0xc0")
CODE(ud_lock_register, "nop", ".byte 0xf0, 0x01, 0xc0")
CODE(ud_lock_mov, "mov $variable, %ecx", ".byte 0xf0, 0x89, 0x01")
CODE(ud_lock_nop, "nop", ".byte 0xf0, 0x90")
CODE(ud_lock_cmp, "mov $variable, %ecx", ".byte 0xf0, 0x39, 0x01")
CODE(ud_lea_register, "nop", ".byte 0x8d, 0xc0")
CODE(ud_mov_to_cs, "nop", ".byte 0x8e, 0xc8")
CODE(ud_mov_segment_6, "nop", ".byte 0x8c, 0xf0")
CODE(ud_mov_cr1, "nop", ".byte 0x0f, 0x20, 0xc8")
CODE(ud_mov_cr5, "nop", ".byte 0x0f, 0x22, 0xe8")
CODE(ud_cmpxchg8b_register, "nop", ".byte 0x0f, 0xc7, 0xc8")
CODE(ud_ff_7, "nop", ".byte 0xff, 0xf8")
CODE(ud_far_jump_register, "nop", ".byte 0xff, 0xe8")
CODE(ud_fe_2, "nop", ".byte 0xfe, 0xd0")
CODE(ud_8f_1, "push %" R "ax", ".byte 0x8f, 0xc8")
CODE(ud_c6_1, "nop", ".byte 0xc6, 0xc8, 0")
CODE(ud_0f_04, "nop", ".byte 0x0f, 0x04")
CODE(ud_0f_ba_0, "nop", ".byte 0x0f, 0xba, 0xc0, 1")
#ifdef __x86_64__
CODE(ud64_push_es, "nop", ".byte 0x06")
CODE(ud64_pop_ds, "nop", ".byte 0x1f")
CODE(ud64_daa, "nop", ".byte 0x27")
CODE(ud64_aaa, "nop", ".byte 0x37")
CODE(ud64_pusha, "nop", ".byte 0x60")
CODE(ud64_82, "nop", ".byte 0x82, 0xc0, 1")
CODE(ud64_far_call, "nop", ".byte 0x9a, 0, 0, 0, 0, 8, 0")
CODE(ud64_into, "nop", ".byte 0xce")
CODE(ud64_aam, "nop", ".byte 0xd4, 10")
CODE(ud64_salc, "nop", ".byte 0xd6")
CODE(ud64_far_jmp, "nop", ".byte 0xea, 0, 0, 0, 0, 8, 0")
#else
CODE(ud32_swapgs_is_invlpg_form, "nop", ".byte 0x0f, 0x01, 0xf8")
#endif

static void invalid_opcodes(void)
{
    FAULTS(ud_ud2, UD, NO_ERROR);
    check("a fault pushes RF", (trap.flags & FLAG_RF) != 0);
    USER_FAULTS(ud_ud2, UD, NO_ERROR);
    FAULTS(ud_ud1, UD, NO_ERROR);
    FAULTS(ud_lock_register, UD, NO_ERROR);
    FAULTS(ud_lock_mov, UD, NO_ERROR);
    FAULTS(ud_lock_nop, UD, NO_ERROR);
    FAULTS(ud_lock_cmp, UD, NO_ERROR);
    FAULTS(ud_lea_register, UD, NO_ERROR);
    FAULTS(ud_mov_to_cs, UD, NO_ERROR);
    FAULTS(ud_mov_segment_6, UD, NO_ERROR);
    FAULTS(ud_mov_cr1, UD, NO_ERROR);
    FAULTS(ud_mov_cr5, UD, NO_ERROR);
    FAULTS(ud_cmpxchg8b_register, UD, NO_ERROR);
    FAULTS(ud_ff_7, UD, NO_ERROR);
    FAULTS(ud_far_jump_register, UD, NO_ERROR);
    FAULTS(ud_fe_2, UD, NO_ERROR);
    FAULTS(ud_8f_1, UD, NO_ERROR);
    FAULTS(ud_c6_1, UD, NO_ERROR);
    FAULTS(ud_0f_04, UD, NO_ERROR);
    FAULTS(ud_0f_ba_0, UD, NO_ERROR);
#ifdef __x86_64__
    FAULTS(ud64_push_es, UD, NO_ERROR);
    FAULTS(ud64_pop_ds, UD, NO_ERROR);
    FAULTS(ud64_daa, UD, NO_ERROR);
    FAULTS(ud64_aaa, UD, NO_ERROR);
    FAULTS(ud64_pusha, UD, NO_ERROR);
    FAULTS(ud64_82, UD, NO_ERROR);
    FAULTS(ud64_far_call, UD, NO_ERROR);
    FAULTS(ud64_into, UD, NO_ERROR);
    FAULTS(ud64_aam, UD, NO_ERROR);
    FAULTS(ud64_salc, UD, NO_ERROR);
    FAULTS(ud64_far_jmp, UD, NO_ERROR);
#else
    FAULTS(ud32_swapgs_is_invlpg_form, UD, NO_ERROR);
#endif
}

/* ---- device not available ---- */
CODE(nm_fninit, "nop", "fninit")
CODE(nm_wait, "nop", "fwait")

static void device_not_available(void)
{
    word cr0 = read_cr0();
    u32 regs[4];
    write_cr0((cr0 & ~4ul) | 8); /* TS */
    FAULTS(nm_fninit, NM, NO_ERROR);
    USER_FAULTS(nm_fninit, NM, NO_ERROR);
    write_cr0((cr0 & ~6ul) | 8); /* TS without MP: WAIT does not care */
    RUNS(nm_wait);
    write_cr0((cr0 & ~4ul) | 8 | 2);
    FAULTS(nm_wait, NM, NO_ERROR);
    write_cr0((cr0 & ~8ul) | 4); /* EM */
    FAULTS(nm_fninit, NM, NO_ERROR);
    RUNS(nm_wait);
    write_cr0(cr0 | 8);
    __asm__ volatile("clts");
    check("CLTS clears TS", !(read_cr0() & 8));
    write_cr0(cr0);
    cpuid(1, regs);
    if (regs[3] & 1)
        RUNS(nm_fninit);
}

/* ---- segment register loads: #NP, #SS, #GP with the selector as error code ---- */
CODE(load_ds_not_present, "mov $0x40, %eax", "mov %eax, %ds")
CODE(load_ss_not_present, "mov $0x40, %eax", "mov %eax, %ss")
CODE(load_ds_beyond, "mov $0x1f8, %eax", "mov %eax, %ds")
CODE(load_ds_code_readable, "mov $0x38, %eax; mov %eax, %ds", "mov $0x10, %eax; mov %eax, %ds")
CODE(load_ds_tss, "mov $0x28, %eax", "mov %eax, %ds")
CODE(load_ds_ldt_missing, "mov $4, %eax", "mov %eax, %ds")
CODE(load_ds_null, "xor %eax, %eax; mov %eax, %ds", "mov $0x10, %eax; mov %eax, %ds")
CODE(load_ss_code, "mov $0x08, %eax", "mov %eax, %ss")
CODE(load_ss_rpl_3, "mov $0x13, %eax", "mov %eax, %ss")
CODE(load_ss_user, "mov $0x23, %eax", "mov %eax, %ss")
CODE(load_ds_kernel_from_user, "mov $0x10, %eax", "mov %eax, %ds")
CODE(load_ss_kernel_from_user, "mov $0x10, %eax", "mov %eax, %ss")
CODE(load_ss_null, "xor %eax, %eax", "mov %eax, %ss")
CODE(load_ss_null_rpl_3, "mov $3, %eax", "mov %eax, %ss")
CODE(ltr_busy, "mov $0x28, %eax", "ltr %ax")
CODE(ltr_null, "xor %eax, %eax", "ltr %ax")
CODE(ltr_data, "mov $0x10, %eax", "ltr %ax")
CODE(lldt_tss, "mov $0x28, %eax", "lldt %ax")
CODE(lldt_null, "xor %eax, %eax", "lldt %ax")
CODE(lldt_not_present, "mov $0x50, %eax", "lldt %ax")

static void segment_loads(void)
{
    FAULTS(load_ds_not_present, NP, SEL_NOT_PRESENT_DATA);
    FAULTS(load_ss_not_present, SS, SEL_NOT_PRESENT_DATA);
    FAULTS(load_ds_beyond, GP, SEL_BEYOND);
    RUNS(load_ds_code_readable);
    FAULTS(load_ds_tss, GP, SEL_TSS);
    RUNS(lldt_null);
    FAULTS(load_ds_ldt_missing, GP, 4);
    RUNS(load_ds_null);
    FAULTS(load_ss_code, GP, SEL_CODE);
    FAULTS(load_ss_rpl_3, GP, SEL_DATA);
    FAULTS(load_ss_user, GP, SEL_USER_DATA & ~3);
    USER_FAULTS(load_ds_kernel_from_user, GP, SEL_DATA);
    USER_FAULTS(load_ss_kernel_from_user, GP, SEL_DATA);
#ifdef __x86_64__
    RUNS(load_ss_null); /* 64-bit mode allows it below CPL 3 */
#else
    FAULTS(load_ss_null, GP, 0);
#endif
    FAULTS(load_ss_null_rpl_3, GP, 0);
    FAULTS(ltr_busy, GP, SEL_TSS);
    FAULTS(ltr_null, GP, 0);
    FAULTS(ltr_data, GP, SEL_DATA);
    tss_reload(); /* for a CPU that did load one of these */
    FAULTS(lldt_tss, GP, SEL_TSS);
    FAULTS(lldt_not_present, NP, SEL_LDT);
}

/* ---- general protection by privilege and by reserved bits ---- */
CODE(gp_hlt, "nop", "hlt")
CODE(gp_cli, "nop", "cli")
CODE(gp_sti, "nop", "sti")
CODE(gp_in, "nop", "inb $0x80, %al")
CODE(gp_out, "nop", "outb %al, $0x80")
CODE(gp_mov_cr0, "nop", "mov %cr0, %" R "ax")
CODE(gp_mov_cr8_or_3, "nop", "mov %cr3, %" R "ax")
CODE(gp_mov_dr, "nop", "mov %dr7, %" R "ax")
CODE(gp_lgdt, "nop", "lgdt variable")
CODE(gp_lidt, "nop", "lidt variable")
CODE(gp_ltr, "mov $0x28, %eax", "ltr %ax")
CODE(gp_lmsw, "xor %eax, %eax", "lmsw %ax")
CODE(gp_clts, "nop", "clts")
CODE(gp_rdmsr, "mov $0x10, %ecx", "rdmsr")
CODE(gp_wrmsr, "mov $0x10, %ecx", "wrmsr")
CODE(gp_invd, "nop", "wbinvd")
CODE(gp_invlpg, "nop", "invlpg variable")
CODE(gp_msr_unknown, "mov $0x12345678, %ecx", "rdmsr")
CODE(gp_cr0_pg_without_pe, "mov %cr0, %" R "ax; and $~1, %eax; or $0x80000000, %eax", "mov %" R "ax, %cr0")
CODE(gp_cr0_nw_without_cd, "mov %cr0, %" R "ax; and $~0x40000000, %eax; or $0x20000000, %eax", "mov %" R "ax, %cr0")
CODE(gp_cr4_reserved, "mov %cr4, %" R "ax; or $0x80000000, %eax", "mov %" R "ax, %cr4")
CODE(gp_15_bytes, "nop", ".fill 14, 1, 0x66; nop")
CODE(gp_16_bytes, "nop", ".fill 15, 1, 0x66; nop")
CODE(gp_popf_iopl, "pushf", "or" WORD " $0x3200, (%" R "sp); popf")
CODE(smsw_user, "nop", "smsw %eax")
CODE(sgdt_user, "nop", "sgdt variable")
CODE(rdtsc_user, "nop", "rdtsc")
CODE(rdpmc_unknown, "mov $0x7fff, %ecx", "rdpmc")
#ifdef __x86_64__
CODE(gp_read_noncanonical, "mov $0x800000000000, %rdi", "movb (%rdi), %al")
CODE(gp_write_noncanonical, "mov $0xffff7fffffffffff, %rdi", "movw %ax, (%rdi)")
CODE(gp_jump_noncanonical, "mov $0x800000000000, %rdi", "jmp *%rdi")
CODE(ss_push_noncanonical, "mov %rsp, %rdx; mov $0x800000000010, %rsp", "push %rax")
CODE(ss_rbp_noncanonical, "push %rbp; mov $0x800000000000, %rbp", "movb (%rbp), %al; pop %rbp")
CODE(gp_swapgs, "nop", "swapgs")
CODE(gp_sysret, "nop", "sysretl")
CODE(gp_fsbase_noncanonical, "mov $0xc0000100, %ecx; mov $0x1000000, %edx; xor %eax, %eax", "wrmsr")
CODE(gp_lstar_noncanonical, "mov $0xc0000082, %ecx; mov $0x1000000, %edx; xor %eax, %eax", "wrmsr")
CODE(gp_efer_reserved, "mov $0xc0000080, %ecx; rdmsr; or $2, %eax", "wrmsr")
CODE(gp_efer_lme_off, "mov $0xc0000080, %ecx; rdmsr; and $~0x100, %eax", "wrmsr")
CODE(gp_pae_off, "mov %cr4, %rax; and $~0x20, %eax", "mov %rax, %cr4")
CODE(gp_cr0_high, "mov %cr0, %rax; bts $32, %rax", "mov %rax, %cr0")
CODE(gp_cr3_high, "mov %cr3, %rax; bts $62, %rax", "mov %rax, %cr3")
CODE(gp_cr8_reserved, "mov $0x10, %eax", "mov %rax, %cr8")
CODE(gp_dr7_high, "mov %dr7, %rax; bts $32, %rax", "mov %rax, %dr7")
CODE(gp_dr6_high, "mov %dr6, %rax; bts $32, %rax", "mov %rax, %dr6")
CODE(gp_iret_nt, "pushf; orl $0x4000, (%rsp); popf", "iretq")
CODE(gp_iret_noncanonical, "mov %rsp, %rdx; push $0x10; push %rdx; push $2; push $8; mov $0x800000000000, %rax; push %rax", "iretq")
CODE(gp_iret_cs_null, "mov %rsp, %rdx; push $0x10; push %rdx; push $2; push $0; push $gp_iret_cs_null_next", "iretq")
CODE(gp_cmpxchg16b_unaligned, "xor %eax, %eax; xor %edx, %edx; xor %ecx, %ecx; mov $variable + 8, %edi", "cmpxchg16b (%rdi)")
#else
CODE(gp_iret_cs_null, "pushf; push $0; push $gp_iret_cs_null_next", "iret")
CODE(gp_iret_cs_data, "pushf; push $0x10; push $gp_iret_cs_data_next", "iret")
CODE(gp_iret_cs_more_privileged, "pushf; push $8; push $gp_iret_cs_more_privileged_next", "iret")
CODE(gp_write_code_segment, "nop", "movl %eax, %cs:variable")
CODE(gp_null_ds, "xor %eax, %eax; mov %eax, %ds", "movl variable, %eax")
CODE(gp_null_es_string, "xor %eax, %eax; mov %eax, %es; mov $variable, %edi", "stosl")
#endif

static void general_protection(void)
{
    word cr0 = read_cr0(), cr4 = read_cr4();
    u32 regs[4];

    USER_FAULTS(gp_hlt, GP, 0);
    USER_FAULTS(gp_cli, GP, 0);
    USER_FAULTS(gp_sti, GP, 0);
    USER_FAULTS(gp_in, GP, 0);
    USER_FAULTS(gp_out, GP, 0);
    USER_FAULTS(gp_mov_cr0, GP, 0);
    USER_FAULTS(gp_mov_cr8_or_3, GP, 0);
    USER_FAULTS(gp_mov_dr, GP, 0);
    USER_FAULTS(gp_lgdt, GP, 0);
    USER_FAULTS(gp_lidt, GP, 0);
    USER_FAULTS(gp_ltr, GP, 0);
    USER_FAULTS(gp_lmsw, GP, 0);
    USER_FAULTS(gp_clts, GP, 0);
    USER_FAULTS(gp_rdmsr, GP, 0);
    USER_FAULTS(gp_wrmsr, GP, 0);
    USER_FAULTS(gp_invd, GP, 0);
    USER_FAULTS(gp_invlpg, GP, 0);
    FAULTS(gp_msr_unknown, GP, 0);
    FAULTS(gp_cr0_nw_without_cd, GP, 0);
    if (!option("gentle")) { /* see README: these wreck an emulator that lets them pass */
        FAULTS(gp_cr0_pg_without_pe, GP, 0);
        FAULTS(gp_cr4_reserved, GP, 0);
    }
    write_cr0(cr0);
    write_cr4(cr4);
    RUNS(gp_15_bytes);
    FAULTS(gp_16_bytes, GP, 0);
    /* With IOPL 0, POPF at CPL 3 changes neither IF nor IOPL, and does not fault. */
    USER_RUNS(gp_popf_iopl);
    check("POPF at CPL 3 left IF and IOPL alone", (trap.flags & 0x3200) == 0);
    user_flags = 2 | 3 << 12;
    USER_RUNS(gp_in);
    USER_RUNS(gp_cli);
    USER_FAULTS(gp_hlt, GP, 0);
    user_flags = 2;
    USER_RUNS(smsw_user);
    USER_RUNS(sgdt_user);
    USER_RUNS(rdtsc_user);
    write_cr4(read_cr4() | 4); /* TSD */
    USER_FAULTS(rdtsc_user, GP, 0);
    RUNS(rdtsc_user);
    write_cr4(read_cr4() & ~4ul);
    cpuid(0, regs);
    cpuid(regs[0] >= 7 ? 7 : 0, regs);
    if (regs[0] && (regs[2] & 4)) {
        write_cr4(read_cr4() | 1 << 11); /* UMIP */
        USER_FAULTS(smsw_user, GP, 0);
        USER_FAULTS(sgdt_user, GP, 0);
        RUNS(sgdt_user);
        write_cr4(read_cr4() & ~(1ul << 11));
    }
    FAULTS(gp_iret_cs_null, GP, 0);
#ifdef __x86_64__
    FAULTS(gp_read_noncanonical, GP, 0);
    FAULTS(gp_write_noncanonical, GP, 0);
    expect("gp_jump_noncanonical", false, gp_jump_noncanonical, GP, 0, NULL);
    USER_FAULTS(ss_push_noncanonical, SS, 0);
    /* Below CPL 3 the handler would use the same bad stack: #SS again, hence a double fault, on its IST stack. */
    FAULTS(ss_push_noncanonical, DF, 0);
    FAULTS(ss_rbp_noncanonical, SS, 0);
    USER_FAULTS(gp_swapgs, GP, 0);
    wrmsr(0xc0000080, rdmsr(0xc0000080) | 1); /* SCE: otherwise SYSRET is an invalid opcode */
    USER_FAULTS(gp_sysret, GP, 0);
    wrmsr(0xc0000080, rdmsr(0xc0000080) & ~1ul);
    USER_FAULTS(gp_sysret, UD, NO_ERROR);
    FAULTS(gp_fsbase_noncanonical, GP, 0);
    FAULTS(gp_lstar_noncanonical, GP, 0);
    FAULTS(gp_efer_reserved, GP, 0);
    if (!option("gentle")) {
        FAULTS(gp_efer_lme_off, GP, 0);
        FAULTS(gp_pae_off, GP, 0);
        FAULTS(gp_cr3_high, GP, 0);
    }
    FAULTS(gp_cr0_high, GP, 0);
    FAULTS(gp_cr8_reserved, GP, 0);
    FAULTS(gp_dr7_high, GP, 0);
    FAULTS(gp_dr6_high, GP, 0);
    FAULTS(gp_iret_nt, GP, 0);
    FAULTS(gp_iret_noncanonical, GP, 0);
    cpuid(1, regs);
    if (regs[2] & 1 << 13)
        FAULTS(gp_cmpxchg16b_unaligned, GP, 0);
#else
    FAULTS(gp_iret_cs_data, GP, SEL_DATA);
    USER_FAULTS(gp_iret_cs_more_privileged, GP, SEL_CODE);
    FAULTS(gp_write_code_segment, GP, 0);
    FAULTS(gp_null_ds, GP, 0);
    FAULTS(gp_null_es_string, GP, 0);
#endif
}

/* ---- faults during delivery (SDM 3A 6.15, table 6-5) ---- */
static void nested_faults(void)
{
    /* #UD is benign: a fault on its delivery is just that fault, with EXT set as no instruction asked for it. */
    gate(UD, stub_of(UD), SEL_CODE, 0x0e, 0);
    expect("#UD to a gate not present", false, ud_ud2, NP, UD * 8 + 3, ud_ud2_at);
    gate(UD, stub_of(UD), SEL_NOT_PRESENT_CODE, GATE_INTERRUPT, 0);
    expect("#UD to code not present", false, ud_ud2, NP, SEL_NOT_PRESENT_CODE + 1, ud_ud2_at);
    gate(UD, stub_of(UD), 0, GATE_INTERRUPT, 0);
    expect("#UD to a null code selector", false, ud_ud2, GP, 1, ud_ud2_at);
    gate_reset(UD);

    /* Two contributory exceptions: a double fault, error code 0. */
    gate(DE, stub_of(DE), SEL_CODE, 0x0e, 0);
    expect("divide error, then #NP: double fault", false, de_div_by_zero, DF, 0, NULL);
    check_value("double fault saves the first fault's address", trap.ip, (word)de_div_by_zero_at);
#ifdef __x86_64__
    check("double fault ran on its IST stack", trap.handler_sp != trap.sp);
#endif
    gate_reset(DE);
    gate(GP, stub_of(GP), SEL_CODE, 0x0e, 0);
    expect("#GP, then #NP: double fault", false, gp_msr_unknown, DF, 0, NULL);
    expect("#GP, then #NP: double fault (user)", true, gp_hlt, DF, 0, NULL);
    gate_reset(GP);
}

/* ---- page faults and alignment checks, 64-bit build (paging has a guest of its own) ---- */
CODE(ac_read4, "nop", "movl variable + 1, %eax")
CODE(ac_write2, "nop", "movw %ax, variable + 1")
CODE(ac_aligned, "nop", "movl variable + 4, %eax")
CODE(ac_byte, "nop", "movb variable + 1, %al")
CODE(ac_push, "mov %" R "sp, %" R "dx; add $-3, %" R "sp", "push %" R "ax; mov %" R "dx, %" R "sp")
#ifdef __x86_64__
CODE(pf_read, "mov $0x4000000000, %rdi", "movl (%rdi), %eax")
CODE(pf_write, "mov $0x4000000123, %rdi", "movl %eax, (%rdi)")
CODE(pf_fetch, "mov $0x4000000000, %rdi", "jmp *%rdi")
#endif

static void memory_faults(void)
{
    word cr0 = read_cr0();
#ifdef __x86_64__
    FAULTS(pf_read, PF, 0);
    check_value("CR2 of a read", trap.cr2, 0x4000000000);
    FAULTS(pf_write, PF, 2);
    check_value("CR2 of a write", trap.cr2, 0x4000000123);
    USER_FAULTS(pf_read, PF, 4);
    USER_FAULTS(pf_write, PF, 6);
    expect("pf_fetch", false, pf_fetch, PF, 0x10, (void *)0x4000000000);
    expect("pf_fetch (user)", true, pf_fetch, PF, 0x14, (void *)0x4000000000);
#endif
    /* CR0.AM and EFLAGS.AC, at CPL 3 only. */
    USER_RUNS(ac_read4);
    write_cr0(cr0 | 1 << 18);
    USER_RUNS(ac_read4);
    user_flags = 2 | FLAG_AC;
    USER_FAULTS(ac_read4, AC, 0);
    USER_FAULTS(ac_write2, AC, 0);
    USER_FAULTS(ac_push, AC, 0);
    USER_RUNS(ac_aligned);
    USER_RUNS(ac_byte);
    RUNS(ac_read4);
    write_cr0(cr0);
    USER_RUNS(ac_read4);
    user_flags = 2;
}

/* ---- single step and debug registers ---- */
#define DR6_CLEAR 0xffff0ff0u
#define DR6_BS 0x4000u
#define DR6_BD 0x2000u

static struct {
    word ip, dr6, flags;
} steps[32];
static u32 step_count;

/* Logs #DB and resumes, with RF so that an instruction breakpoint is passed. */
static bool debug_hook(struct frame *frame)
{
    if (frame->vector == 0x41)
        return true;
    if (frame->vector != DB)
        return false;
    if (step_count < 32) {
        steps[step_count].ip = frame->ip;
        steps[step_count].dr6 = read_dr6();
        steps[step_count].flags = frame->flags;
    }
    if (step_count > 100)
        return false;
    step_count++;
    write_dr6(DR6_CLEAR);
    frame->flags |= FLAG_RF;
    return true;
}

static int run_debug(void (*code)(void))
{
    int result;
    step_count = 0;
    write_dr6(DR6_CLEAR);
    trap_hook = debug_hook;
    result = run(code);
    trap_hook = NULL;
    write_dr7(0x400);
    return result;
}

static bool stepped(const char *name, void (*code)(void), const char *const *at, u32 count)
{
    u32 i;
    int result = run_debug(code);
    bool good = result == NOTHING && step_count == count;
    for (i = 0; good && i < count; i++)
        good = steps[i].ip == (word)at[i] && (steps[i].dr6 & 0xf00f) == DR6_BS;
    if (!check(name, good)) {
        print("  result %x, %u steps:", (u64)(u32)result, step_count);
        for (i = 0; i < step_count && i < 32; i++)
            print(" %x (%x)", (u64)steps[i].ip, (u64)steps[i].dr6);
        print("\n  expected:");
        for (i = 0; i < count; i++)
            print(" %x", (u64)(word)at[i]);
        print("\n");
    }
    return good;
}

#define TF_ON "pushf; or" WORD " $0x100, (%" R "sp); popf;"
/* Ends a trace: three steps more, at a, b and (POPF itself still traps) c. */
#define TF_OFF(n) "pushf; " n "_a: and" WORD " $~0x100, (%" R "sp); " n "_b: popf; " n "_c: "
#define ENDS(n) extern char n##_a[], n##_b[], n##_c[];

CODE(tf_simple, TF_ON, "nop; tf_simple_1: nop; tf_simple_2: " TF_OFF("tf_simple"))
CODE(tf_rep, "mov $target_bytes, %edi; mov $3, %ecx; xor %eax, %eax;" TF_ON, "rep stosb; tf_rep_1: " TF_OFF("tf_rep"))
CODE(tf_mov_ss, "mov $0x10, %eax;" TF_ON, "mov %eax, %ss; nop; tf_mov_ss_1: " TF_OFF("tf_mov_ss"))
CODE(tf_int, TF_ON, "nop; tf_int_1: int $0x41; tf_int_2: nop; tf_int_3: " TF_OFF("tf_int"))
CODE(tf_branch, TF_ON, "jmp 1f; nop; 1: tf_branch_1: " TF_OFF("tf_branch"))
CODE(tf_cpuid, "push %" R "bx; xor %eax, %eax;" TF_ON, "cpuid; tf_cpuid_1: pop %" R "bx; tf_cpuid_2: " TF_OFF("tf_cpuid"))
CODE(db_icebp, "nop", ".byte 0xf1")
extern char tf_simple_1[], tf_simple_2[], tf_rep_1[], tf_mov_ss_1[], tf_int_1[], tf_int_3[], tf_branch_1[], tf_cpuid_1[], tf_cpuid_2[];
ENDS(tf_simple)
ENDS(tf_rep)
ENDS(tf_mov_ss)
ENDS(tf_int)
ENDS(tf_branch)
ENDS(tf_cpuid)

#define STEPPED(code, ...)                                                                    \
    do {                                                                                      \
        static const char *const at[] = { __VA_ARGS__, code##_a, code##_b, code##_c };        \
        stepped(#code, code, at, sizeof(at) / sizeof(at[0]));                                 \
    } while (0)

static void single_step(void)
{
    STEPPED(tf_simple, tf_simple_1, tf_simple_2);
    STEPPED(tf_rep, tf_rep_at, tf_rep_at, tf_rep_1);
    check("a trap between iterations pushes RF, one after the last does not",
          (steps[0].flags & FLAG_RF) && (steps[1].flags & FLAG_RF) && !(steps[2].flags & FLAG_RF));
    STEPPED(tf_mov_ss, tf_mov_ss_1);
    STEPPED(tf_int, tf_int_1, tf_int_3);
    STEPPED(tf_branch, tf_branch_1);
    STEPPED(tf_cpuid, tf_cpuid_1, tf_cpuid_2);
    TRAPS(db_icebp, DB);
}

CODE(dr_exec, "nop", "nop; dr_exec_1: nop")
CODE(dr_write, "nop", "movl $1, variable")
CODE(dr_write_byte, "nop", "movb $1, variable + 3")
CODE(dr_write_before, "nop", "movb $1, variable - 1")
CODE(dr_write_straddle, "nop", "movw %ax, variable - 1")
CODE(dr_read, "nop", "movl variable, %eax")
CODE(dr_rmw, "nop", "addl $1, variable")
CODE(dr_push, "mov %" R "sp, %" R "dx; mov $variable + 8, %esp; push %" R "ax", "mov %" R "dx, %" R "sp")
CODE(dr_rep_stos, "mov $variable - 8, %edi; mov $6, %ecx; xor %eax, %eax", "rep stosl")
CODE(dr_fault_not_watch, "xor %ecx, %ecx; xor %edx, %edx", "divl %ecx")
CODE(dr_two, "nop", "movl $1, variable")
CODE(dr_and_tf, TF_ON, "movl $1, variable; dr_and_tf_1: " TF_OFF("dr_and_tf"))
CODE(dr_mov_ss, "nop", "mov data_selector, %ss; nop; dr_mov_ss_1: nop")
CODE(dr_out, "nop", "outb %al, $0x80")
CODE(gd_read, "nop", "mov %dr0, %" R "ax")
CODE(dr4_alias, "nop", ".byte 0x0f, 0x21, 0xe0") /* mov %dr4, eax */
extern char dr_and_tf_1[], dr_mov_ss_1[];
ENDS(dr_and_tf)

/* Watches one address with DR0; rw: 0 execute, 1 write, 2 I/O, 3 read or write; len: 0 to 3 for 1, 2, 8, 4 bytes. */
static void watch(word address, u32 rw, u32 len)
{
    write_dr0(address);
    write_dr7(0x400 | 1 | rw << 16 | len << 18);
}

/* Runs with one watch; it must trap once, at an address, with B0 alone. */
static void watched(const char *name, void (*code)(void), word address, u32 rw, u32 len, const void *at)
{
    bool good;
    int result;
    watch(address, rw, len);
    result = run_debug(code);
    good = result == NOTHING && step_count == (at ? 1 : 0);
    if (good && at)
        good = steps[0].ip == (word)at && (steps[0].dr6 & 0xe00f) == 1;
    if (!check(name, good))
        print("  result %x, %u traps, first at %x with DR6 %x, expected at %x\n", (u64)(u32)result, step_count, (u64)steps[0].ip, (u64)steps[0].dr6,
              (u64)(word)at);
}

static void debug_registers(void)
{
    word cr4 = read_cr4();

    watched("DR0 execute", dr_exec, (word)dr_exec_at, 0, 0, dr_exec_at);
    check("instruction breakpoint pushes RF as it was", step_count == 1 && !(steps[0].flags & FLAG_RF)); /* SDM 3B 17.3.1.1 */
    watched("DR0 execute, other address", dr_exec, (word)dr_exec_at + 0x1000, 0, 0, NULL);
    watched("DR0 write 4", dr_write, (word)variable, 1, 3, dr_write_next);
    check("data breakpoint pushes no RF", step_count == 1 && !(steps[0].flags & FLAG_RF));
    watched("DR0 write 4, last byte", dr_write_byte, (word)variable, 1, 3, dr_write_byte_next);
    watched("DR0 write 1, other byte", dr_write_byte, (word)variable, 1, 0, NULL);
    watched("DR0 write 4, byte below", dr_write_before, (word)variable, 1, 3, NULL);
    watched("DR0 write 1, straddling access", dr_write_straddle, (word)variable, 1, 0, dr_write_straddle_next);
    watched("DR0 write 2 ignores low address bits", dr_write, (word)variable + 1, 1, 1, dr_write_next);
    watched("DR0 write, read access", dr_read, (word)variable, 1, 3, NULL);
    watched("DR0 read/write, read access", dr_read, (word)variable, 3, 3, dr_read_next);
    watched("DR0 read/write, write access", dr_write, (word)variable, 3, 3, dr_write_next);
    watched("DR0 write, read-modify-write", dr_rmw, (word)variable, 1, 3, dr_rmw_next);
    watched("DR0 write, push", dr_push, (word)variable + 4, 1, 3, dr_push_at);
    watched("DR0 write, within REP STOS", dr_rep_stos, (word)variable, 1, 3, dr_rep_stos_at);
#ifdef __x86_64__
    watched("DR0 write 8", dr_write_byte, (word)variable, 1, 2, dr_write_byte_next);
#endif
    watch((word)variable, 1, 3);
    write_dr7(0x400 | 2 | 1 << 16 | 3 << 18); /* G0 in place of L0 */
    run_debug(dr_write);
    check("global enable", step_count == 1);
    write_dr7(0x400 | 1 << 16 | 3 << 18);
    run_debug(dr_write);
    check("no enable", step_count == 0);

    write_dr0((word)variable);
    write_dr1((word)variable + 64);
    write_dr2((word)variable + 2);
    write_dr3((word)dr_two_at);
    write_dr7(0x400 | 0x55 | 1 << 16 | 3 << 18 | 3 << 20 | 3 << 24 | 1 << 26); /* 0: write 4; 1: any 1; 2: any 2; 3: execute */
    run_debug(dr_two);
    check("DR3 execute, then DR0 and DR2 together", step_count == 2 && steps[0].ip == (word)dr_two_at && (steps[0].dr6 & 15) == 8 &&
                                                          steps[1].ip == (word)dr_two_next && (steps[1].dr6 & 15) == 5);

    watch((word)variable, 1, 3);
    run_debug(dr_and_tf);
    check("watch and single step in one trap", step_count == 4 && steps[0].ip == (word)dr_and_tf_1 && (steps[0].dr6 & 0xe00f) == (DR6_BS | 1) &&
                                                   (steps[1].dr6 & 0xe00f) == DR6_BS);
    watch((word)dr_fault_not_watch_at, 0, 0);
    check_value("RF is clear again after the instruction: its fault follows", (u32)run_debug(dr_fault_not_watch), DE);

    /* A debug trap caused by MOV SS waits until after the next instruction (SDM 3B 17.3.1.1 and 3A 6.8.3). */
    watched("watch hit by MOV SS is delayed by one instruction", dr_mov_ss, (word)&data_selector, 3, 1, dr_mov_ss_1);

    write_cr4(cr4 | 8); /* DE */
    watched("I/O breakpoint", dr_out, 0x80, 2, 0, dr_out_next);
    watched("I/O breakpoint, other port", dr_out, 0x81, 2, 0, NULL);
    FAULTS(dr4_alias, UD, NO_ERROR);
    write_cr4(cr4 & ~8ul);
    RUNS(dr4_alias);

    write_dr7(0x400 | 1 << 13); /* GD */
    FAULTS(gd_read, DB, NO_ERROR);
    check("general detect sets BD", (trap.dr6 & 0xe00f) == DR6_BD);
    check("general detect clears GD on entry", !(read_dr7() & 1 << 13));
    write_dr6(DR6_CLEAR);

    write_dr7(0);
    check_value("DR7 reads bit 10 as 1", read_dr7(), 0x400);
    write_dr6(0);
    check_value("DR6 reads its reserved bits as 1", read_dr6(), DR6_CLEAR);
    write_dr7(0x400);
}

/* ---- the interrupt shadow ---- */
static word interrupt_ip;
static u32 interrupt_count;
static bool interrupt_hook(struct frame *frame)
{
    if (frame->vector != 0x61)
        return false;
    interrupt_ip = frame->ip;
    interrupt_count++;
    apic_set(0xb0, 0);
    return true;
}

/* Self IPI, vector 0x61, and time for it to arrive. */
#define PEND "cli; mov $0xfee00300, %ecx; movl $0x44061, (%" R "cx); mov $100, %ecx; 1: pause; dec %ecx; jnz 1b;"
CODE(shadow_sti, PEND, "sti; shadow_sti_1: nop; shadow_sti_2: nop; cli")
CODE(shadow_sti_cli, PEND, "sti; cli; nop")
CODE(shadow_sti_sti, PEND, "sti; sti; shadow_sti_sti_1: nop; nop; cli")
CODE(shadow_popf, PEND "pushf; or" WORD " $0x200, (%" R "sp)", "popf; shadow_popf_1: nop; nop; cli")
CODE(shadow_sti_hlt, PEND, "sti; hlt; shadow_sti_hlt_1: cli")
#ifndef __x86_64__
CODE(shadow_pop_ss, PEND "pushf; or" WORD " $0x200, (%" R "sp); push %ss", "nop; pop %ss; popf; shadow_pop_ss_1: nop; nop; cli")
extern char shadow_pop_ss_1[];
#endif
CODE(shadow_iret, PEND
#ifdef __x86_64__
     "mov %rsp, %rdx; push $0x10; push %rdx; push $0x202; push $8; push $shadow_iret_1",
     "iretq; shadow_iret_1: nop; nop; cli"
#else
     "push $0x202; push $8; push $shadow_iret_1",
     "iret; shadow_iret_1: nop; nop; cli"
#endif
)
extern char shadow_sti_2[], shadow_sti_sti_1[], shadow_popf_1[], shadow_sti_hlt_1[], shadow_iret_1[];

static void interrupted(const char *name, void (*code)(void), const void *at)
{
    int result;
    interrupt_count = 0;
    interrupt_ip = 0;
    trap_hook = interrupt_hook;
    result = run(code);
    if (interrupt_count == 0 && !at)
        run(shadow_sti); /* lets the pending one through */
    else if (!check(name, result == NOTHING && interrupt_count == 1 && interrupt_ip == (word)at))
        print("  result %x, %u interrupts, at %x, expected at %x\n", (u64)(u32)result, interrupt_count, (u64)interrupt_ip, (u64)(word)at);
    if (!at)
        check(name, result == NOTHING && interrupt_count == 1 && interrupt_ip == (word)shadow_sti_2);
    trap_hook = NULL;
}

static void interrupt_shadow(void)
{
    apic_set(0xf0, 0x1ff);
    interrupted("STI holds off interrupts for one instruction", shadow_sti, shadow_sti_2);
    interrupted("STI, CLI lets none through", shadow_sti_cli, NULL);
    interrupted("a second STI does not prolong the shadow", shadow_sti_sti, shadow_sti_sti_1);
    interrupted("POPF has no shadow", shadow_popf, shadow_popf_1);
    interrupted("IRET has no shadow", shadow_iret, shadow_iret_1);
    interrupted("STI, HLT wakes", shadow_sti_hlt, shadow_sti_hlt_1);
#ifndef __x86_64__
    interrupted("POPF after POP SS", shadow_pop_ss, shadow_pop_ss_1);
#endif
}

void check_main(void)
{
    gdt[SEL_NOT_PRESENT_DATA / 8] = segment(0, 0xfffff, 0x12, 0xc);
#ifdef __x86_64__
    gdt[SEL_NOT_PRESENT_CODE / 8] = segment(0, 0xfffff, 0x1a, 0xa);
#else
    gdt[SEL_NOT_PRESENT_CODE / 8] = segment(0, 0xfffff, 0x1a, 0xc);
#endif
    gdt[SEL_LDT / 8] = segment(0, 0xff, 0x02, 0);
    gdt[SEL_LDT / 8 + 1] = 0;
    gdt_set_limit(0x1f7);

    divide_errors();
    software_interrupts();
    entry_state();
    invalid_opcodes();
    device_not_available();
    segment_loads();
    general_protection();
    nested_faults();
    memory_faults();
    single_step();
    debug_registers();
    interrupt_shadow();
}
