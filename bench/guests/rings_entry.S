/* User loops and the entries that they reach. In the loops EBX counts down and EBP is the value that each call changes. */
        .bss
        .balign 8
saved_stack:
        .skip 8
user_stack_save:
        .skip 8
        .skip 4096
user_stack:

        .text
        .globl run_in_user_mode, user_interrupt_loop, user_fast_loop, ring_interrupt_entry, ring_fast_entry, ring_exit_entry

#ifdef __x86_64__
/* run_in_user_mode(code, count, total) */
run_in_user_mode:
        pushq %rbx
        pushq %rbp
        pushq %r12
        pushq %rdx
        movq %rsp, saved_stack
        movl %esi, %ebx
        movl (%rdx), %ebp
        pushq $0x23
        pushq $user_stack
        pushq $0x2
        pushq $0x2B
        pushq %rdi
        iretq

user_interrupt_loop:
        movl %ebx, %edi
        movl %ebp, %esi
        int $0x80
        movl %eax, %ebp
        decl %ebx
        jnz user_interrupt_loop
        int $0x81

user_fast_loop:
        movl %ebx, %edi
        movl %ebp, %esi
        syscall
        movl %eax, %ebp
        decl %ebx
        jnz user_fast_loop
        int $0x81

ring_interrupt_entry:
        pushq %rcx
        pushq %rdx
        pushq %rsi
        pushq %rdi
        call system_call
        popq %rdi
        popq %rsi
        popq %rdx
        popq %rcx
        iretq

ring_fast_entry:
        movq %rsp, user_stack_save
        movq ring_stack_top, %rsp
        pushq %rcx
        pushq %r11
        call system_call
        popq %r11
        popq %rcx
        movq user_stack_save, %rsp
        sysretq

ring_exit_entry:
        movq saved_stack, %rsp
        popq %rdx
        movl %ebp, (%rdx)
        popq %r12
        popq %rbp
        popq %rbx
        ret
#else
run_in_user_mode:
        movl 4(%esp), %eax
        movl 8(%esp), %ecx
        movl 12(%esp), %edx
        pushl %ebx
        pushl %ebp
        pushl %esi
        pushl %edi
        pushl %edx
        movl %esp, saved_stack
        movl %ecx, %ebx
        movl (%edx), %ebp
        pushl $0x23
        pushl $user_stack
        pushl $0x2
        pushl $0x1B
        pushl %eax
        movl $0x23, %eax
        movl %eax, %ds
        movl %eax, %es
        iretl

user_interrupt_loop:
        movl %ebx, %edi
        movl %ebp, %esi
        int $0x80
        movl %eax, %ebp
        decl %ebx
        jnz user_interrupt_loop
        int $0x81

user_fast_loop:
        movl %ebx, %edi
        movl %ebp, %esi
        movl %esp, %ecx
        movl $1f, %edx
        sysenter
1:      movl %eax, %ebp
        decl %ebx
        jnz user_fast_loop
        int $0x81

ring_interrupt_entry:
        pushl %ecx
        pushl %edx
        pushl %esi
        pushl %edi
        call system_call
        popl %edi
        popl %esi
        popl %edx
        popl %ecx
        iretl

ring_fast_entry:
        pushl %ecx
        pushl %edx
        pushl %esi
        pushl %edi
        call system_call
        popl %edi
        popl %esi
        popl %edx
        popl %ecx
        sysexit

ring_exit_entry:
        movl saved_stack, %esp
        movl $0x10, %eax
        movl %eax, %ds
        movl %eax, %es
        popl %edx
        movl %ebp, (%edx)
        popl %edi
        popl %esi
        popl %ebp
        popl %ebx
        ret
#endif
        .section .note.GNU-stack, "", @progbits
