/*
 * Where an application processor (AP) begins.
 *
 * A start-up IPI with vector V starts the AP in real mode at CS = V << 8, IP = 0, so the
 * code must lie on a page boundary below 1 MiB (SDM 3A 8.4). This section is linked to run at
 * TRAMPOLINE (0x8000) and is loaded elsewhere; start_aps() copies it there. As its
 * link addresses are its run addresses, breakpoints in it work and it may call the kernel.
 *
 * start_aps() starts one AP at a time and fills in ap_start_cpu and ap_start_stack before.
 */
        .cfi_sections .debug_frame
        .section .trampoline, "ax"
        .globl trampoline_begin, trampoline_end

        .code16
        .type trampoline_begin, @function
trampoline_begin:
        cli
        cld
        movw %cs, %ax                   /* CS base is 0x8000: data beside the code */
        movw %ax, %ds
        lgdtl trampoline_gdt_pointer - trampoline_begin
        movl %cr0, %eax
        orl $1, %eax
        movl %eax, %cr0                 /* protected mode from here; CS still has its real-mode base */
        ljmpl $0x18, $trampoline_32
        .size trampoline_begin, . - trampoline_begin

        .code32
        .type trampoline_32, @function
trampoline_32:
        movl $0x10, %eax
        movl %eax, %ds
        movl %eax, %es
        movl %eax, %ss
        movl $boot_stack_top, %esp
        call enter_long_mode            /* boot.S; its GDT is the one in use already */
        ljmp $0x08, $trampoline_64
        .size trampoline_32, . - trampoline_32

        .code64
        .type trampoline_64, @function
trampoline_64:
        .cfi_startproc
        .cfi_undefined rip
        movl $0x10, %eax
        movl %eax, %ds
        movl %eax, %es
        movl %eax, %ss
        xorl %eax, %eax
        movl %eax, %fs
        movl %eax, %gs
        movq ap_start_stack, %rsp
        movq ap_start_cpu, %rdi
        xorl %ebp, %ebp
        call ap_main
        .cfi_endproc
        .size trampoline_64, . - trampoline_64

        .balign 4
        .short 0
trampoline_gdt_pointer:
        .short 0x1F                     /* null, code64, data, code32 */
        .long gdt
trampoline_end:

        .section .note.GNU-stack, "", @progbits
