/*
 * Trap entry, and run()/run_user(): a call that comes back even if the called code traps. The trap handler
 * simply gives up the stack it is on and returns to the caller of run().
 */
        .cfi_sections .debug_frame
        .text
        .balign 16
        .globl vector_stubs
vector_stubs:
        .set vector, 0
        .rept 256
        .balign 16
        .if vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21 || vector == 29 || vector == 30
        .else
#ifdef __x86_64__
        pushq $-1                       /* stands for "no error code" */
#else
        pushl $-1
#endif
        .endif
#ifdef __x86_64__
        pushq $vector
#else
        pushl $vector
#endif
        jmp trap_entry
        .set vector, vector + 1
        .endr

#ifdef __x86_64__
trap_entry:
        pushq %rax
        pushq %rbx
        pushq %rcx
        pushq %rdx
        pushq %rsi
        pushq %rdi
        pushq %rbp
        pushq %r8
        pushq %r9
        pushq %r10
        pushq %r11
        pushq %r12
        pushq %r13
        pushq %r14
        pushq %r15
        movq %rsp, %rdi
        movq %rsp, %rbx
        andq $-16, %rsp
        cld
        call trap_dispatch
        movq %rbx, %rsp
        popq %r15
        popq %r14
        popq %r13
        popq %r12
        popq %r11
        popq %r10
        popq %r9
        popq %r8
        popq %rbp
        popq %rdi
        popq %rsi
        popq %rdx
        popq %rcx
        popq %rbx
        popq %rax
        addq $16, %rsp
        .globl trap_iret
trap_iret:
        iretq

        .macro save_callers_registers
        pushq %rbp
        pushq %rbx
        pushq %r12
        pushq %r13
        pushq %r14
        pushq %r15
        pushq recover_sp
        movq %rsp, recover_sp
        .endm

        .globl run, run_user, run_return, user_exit
run:
        save_callers_registers
        call *%rdi
        movl $-1, %eax
        jmp run_out

run_user:
        save_callers_registers
        movq %rsp, tss + 4              /* RSP0: traps push below what we saved */
        movq $user_exit, user_stack + 4096 - 16
        movl $0x23, %ecx
        movl %ecx, %ds
        movl %ecx, %es
        pushq $0x23
        pushq $user_stack + 4096 - 16
        pushq user_flags
        pushq $0x1b
        pushq %rdi
        iretq

run_return:
        movq recover_sp, %rsp
        movl %edi, %eax
run_out:
        movl $0x10, %ecx
        movl %ecx, %ss
        movl %ecx, %ds
        movl %ecx, %es
        pushq $2
        popfq
        popq recover_sp
        popq %r15
        popq %r14
        popq %r13
        popq %r12
        popq %rbx
        popq %rbp
        ret
#else
trap_entry:
        pushal
        pushl %ds
        pushl %es
        pushl %fs
        pushl %gs
        movl $0x10, %eax
        movl %eax, %ds
        movl %eax, %es
        movl %esp, %ebx
        andl $-16, %esp
        subl $12, %esp
        pushl %ebx
        cld
        call trap_dispatch
        movl %ebx, %esp
        popl %gs
        popl %fs
        popl %es
        popl %ds
        popal
        addl $8, %esp
        .globl trap_iret
trap_iret:
        iretl

        .macro save_callers_registers
        pushl %ebp
        pushl %ebx
        pushl %esi
        pushl %edi
        pushl recover_sp
        movl %esp, recover_sp
        .endm

        .globl run, run_user, run_return, user_exit
run:
        movl 4(%esp), %eax
        save_callers_registers
        call *%eax
        movl $-1, %eax
        jmp run_out

run_user:
        movl 4(%esp), %eax
        save_callers_registers
        movl %esp, tss + 4              /* ESP0, SS0 */
        movl inner_ss, %ecx
        movl %ecx, tss + 8
        movl $user_exit, user_stack + 4096 - 16
        movl $0x23, %ecx
        movl %ecx, %ds
        movl %ecx, %es
        pushl $0x23
        pushl $user_stack + 4096 - 16
        pushl %ss:user_flags
        pushl $0x1b
        pushl %eax
        iretl

run_return:
        movl 4(%esp), %eax
        movl recover_sp, %esp
run_out:
        movl $0x10, %ecx
        movl %ecx, %ss
        movl %ecx, %ds
        movl %ecx, %es
        xorl %ecx, %ecx
        movl %ecx, %fs
        movl %ecx, %gs
        pushl $2
        popfl
        popl recover_sp
        popl %edi
        popl %esi
        popl %ebx
        popl %ebp
        ret
#endif
user_exit:
        int $0x80

        .data
        .balign 8
        .globl recover_sp, inner_ss
recover_sp:
        .quad 0
inner_ss:
        .long 0x10, 0
        .section .note.GNU-stack, "", @progbits
