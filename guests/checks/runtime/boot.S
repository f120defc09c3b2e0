/*
 * Boot headers (Multiboot 1 and 2 with address fields, PVH note) and the way to rt_main(): in 64-bit mode if
 * compiled for it, with the first 4 GiB mapped for supervisor and user alike; else in 32-bit mode without paging.
 */
        .cfi_sections .debug_frame
#define MB1_MAGIC 0x1BADB002
#define MB1_FLAGS 0x00010003
#define MB2_MAGIC 0xE85250D6

        .section .multiboot, "a"
        .balign 8
multiboot1_header:
        .long MB1_MAGIC, MB1_FLAGS, -(MB1_MAGIC + MB1_FLAGS)
        .long multiboot1_header, image_start, image_data_end, image_bss_end, _start
        .balign 8
multiboot2_header:
        .long MB2_MAGIC, 0, multiboot2_end - multiboot2_header, -(MB2_MAGIC + (multiboot2_end - multiboot2_header))
        .short 2, 0
        .long 24, multiboot2_header, image_start, image_data_end, image_bss_end
        .short 3, 0
        .long 12, _start
        .balign 8
        .short 0, 0
        .long 8
multiboot2_end:

        .section .note.pvh, "a", @note
        .balign 4
        .long 4, 8, 18
        .asciz "Xen"
        .long pvh_start, 0

        .text
        .code32
        .globl _start, pvh_start
pvh_start:
        movl $0x336EC578, %eax
_start:
        cli
        cld
        movl %eax, boot_magic
        movl %ebx, boot_information
        movl $boot_stack_top, %esp
        xorl %ebp, %ebp
        pushl $2
        popfl
#ifdef __x86_64__
        movl $boot_pdpt + 7, boot_pml4
        movl $boot_pd + 7, %eax
        xorl %ecx, %ecx
1:      movl %eax, boot_pdpt(,%ecx,8)
        addl $4096, %eax
        incl %ecx
        cmpl $4, %ecx
        jb 1b
        movl $0x87, %eax
        xorl %ecx, %ecx
2:      cmpl $1536, %ecx                /* from 3 GiB on: uncached */
        jne 3f
        orl $0x18, %eax
3:      movl %eax, boot_pd(,%ecx,8)
        addl $0x200000, %eax
        incl %ecx
        cmpl $2048, %ecx
        jb 2b
        movl $0x20, %eax
        movl %eax, %cr4
        movl $boot_pml4, %eax
        movl %eax, %cr3
        movl $0xC0000080, %ecx
        rdmsr
        orl $0x900, %eax                /* LME, NXE */
        wrmsr
        movl %cr0, %eax
        andl $0x9FFFFFF3, %eax          /* caches on, no FPU emulation, not "task switched" */
        orl $0x80010023, %eax
        movl %eax, %cr0
#else
        movl %cr0, %eax
        andl $0x1FFFFFF3, %eax
        orl $0x00000023, %eax
        movl %eax, %cr0
#endif
        lgdt gdt_pointer
        ljmp $0x08, $start
#ifdef __x86_64__
        .code64
#endif
start:
        movl $0x10, %eax
        movl %eax, %ds
        movl %eax, %es
        movl %eax, %ss
        xorl %eax, %eax
        movl %eax, %fs
        movl %eax, %gs
        call rt_main
4:      cli
        hlt
        jmp 4b

        .data
        .balign 8
        .globl boot_magic, boot_information, gdt, gdt_pointer
boot_magic:
        .long 0
boot_information:
        .long 0
        .short 0
gdt_pointer:
        .short 64 * 8 - 1
#ifdef __x86_64__
        .quad gdt
#else
        .long gdt
#endif
        .balign 16
gdt:
        .quad 0
#ifdef __x86_64__
        .quad 0x00AF9B000000FFFF        /* 0x08 code */
        .quad 0x00CF93000000FFFF        /* 0x10 data */
        .quad 0x00AFFB000000FFFF        /* 0x18 user code */
#else
        .quad 0x00CF9B000000FFFF
        .quad 0x00CF93000000FFFF
        .quad 0x00CFFB000000FFFF
#endif
        .quad 0x00CFF3000000FFFF        /* 0x20 user data */
        .quad 0, 0                      /* 0x28 task state segment */
        .quad 0x00CF9B000000FFFF        /* 0x38 32-bit code in either build */
        .fill 56, 8, 0

        .bss
        .balign 4096
        .globl boot_pml4, boot_pdpt, boot_pd
boot_pml4:
        .skip 4096
boot_pdpt:
        .skip 4096
boot_pd:
        .skip 4 * 4096
        .skip 16384
        .globl boot_stack_top
boot_stack_top:
        .section .note.GNU-stack, "", @progbits
