/*
 * 256 entry stubs and the path they share. Each stub makes the stack look the same,
 * whether or not the CPU pushed an error code (SDM 3A 6.13), and adds its vector; see
 * struct frame in cpu.h. The call frame information lets a debugger unwind through an interrupt.
 */
        .cfi_sections .debug_frame
        .text
        .code64
        .balign 16
        .globl vector_stubs
        .type vector_stubs, @function
vector_stubs:
        .set vector, 0
        .rept 256
        .balign 16
        .cfi_startproc simple
        .cfi_signal_frame
        /* Pushed by the CPU with an error code: vectors 8, 10-14, 17, 21, 29, 30. */
        .if vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21 || vector == 29 || vector == 30
        .cfi_def_cfa rsp, 48
        .cfi_offset rip, -40
        .cfi_offset rsp, -16
        .else
        .cfi_def_cfa rsp, 40
        .cfi_offset rip, -40
        .cfi_offset rsp, -16
        pushq $0
        .cfi_adjust_cfa_offset 8
        .endif
        pushq $vector
        .cfi_adjust_cfa_offset 8
        jmp interrupt_entry
        .cfi_endproc
        .set vector, vector + 1
        .endr
        .size vector_stubs, . - vector_stubs

        .type interrupt_entry, @function
interrupt_entry:
        .cfi_startproc simple
        .cfi_signal_frame
        .cfi_def_cfa rsp, 56
        .cfi_offset rip, -40
        .cfi_offset rsp, -16
        .macro save register
        pushq %\register
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset \register, 0
        .endm
        .macro restore register
        popq %\register
        .cfi_adjust_cfa_offset -8
        .cfi_restore \register
        .endm
        save rax
        save rbx
        save rcx
        save rdx
        save rsi
        save rdi
        save rbp
        save r8
        save r9
        save r10
        save r11
        save r12
        save r13
        save r14
        save r15
        movq %rsp, %rdi
        cld
        call interrupt_dispatch
        restore r15
        restore r14
        restore r13
        restore r12
        restore r11
        restore r10
        restore r9
        restore r8
        restore rbp
        restore rdi
        restore rsi
        restore rdx
        restore rcx
        restore rbx
        restore rax
        addq $16, %rsp
        .cfi_adjust_cfa_offset -16
        iretq
        .cfi_endproc
        .size interrupt_entry, . - interrupt_entry

        .section .note.GNU-stack, "", @progbits
