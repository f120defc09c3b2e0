/*
 * Multiboot 1 entry and the way to bench_main(): in 64-bit mode if compiled for it, else in 32-bit mode; paging on in both, the
 * first 4 GiB mapped one to one with large pages, for user code as well. The application processor takes the same way from its
 * start-up IPI.
 */
#define MB1_MAGIC 0x1BADB002
#define MB1_FLAGS 0x00000003
#define STACK_BYTES 32768
#define TRAMPOLINE 0x8000

        .section .multiboot, "a"
        .balign 4
        .long MB1_MAGIC, MB1_FLAGS, -(MB1_MAGIC + MB1_FLAGS)

        .text
        .code32
        .globl _start
_start:
        cli
        cld
        movl %ebx, boot_information
        movl $stacks + STACK_BYTES, %esp
        pushl $2
        popfl
        /* Page tables: filled once, by the boot processor. */
#ifdef __x86_64__
        movl $boot_pdpt + 7, boot_root
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
#else
        movl $0x87, %eax
        xorl %ecx, %ecx
2:      cmpl $768, %ecx
        jne 3f
        orl $0x18, %eax
3:      movl %eax, boot_root(,%ecx,4)
        addl $0x400000, %eax
        incl %ecx
        cmpl $1024, %ecx
        jb 2b
#endif
        movl $bench_main, %edi
        movl $stacks + STACK_BYTES, %esi

/* EDI: where to go on, ESI: top of the stack. */
enter_paging:
#ifdef __x86_64__
        movl $0x620, %eax               /* PAE, OSFXSR, OSXMMEXCPT */
#else
        movl $0x610, %eax               /* PSE, OSFXSR, OSXMMEXCPT */
#endif
        movl %eax, %cr4
        movl $boot_root, %eax
        movl %eax, %cr3
#ifdef __x86_64__
        movl $0xC0000080, %ecx
        rdmsr
        orl $0x101, %eax                /* LME, SCE */
        wrmsr
#endif
        movl %cr0, %eax
        andl $0x9FFFFFF3, %eax          /* caches on, no FPU emulation, not "task switched" */
        orl $0x80010023, %eax           /* PG, WP, NE, MP, PE */
        movl %eax, %cr0
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
        movl %esi, %esp
        fninit
#ifdef __x86_64__
        lidt idt_pointer
        call *%rdi
#else
        lidt idt_pointer
        call *%edi
#endif
4:      cli
        hlt
        jmp 4b

/* Copied to TRAMPOLINE, where a start-up IPI with vector 8 begins. */
        .code16
        .globl trampoline, trampoline_end
trampoline:
        cli
        movw %cs, %ax
        movw %ax, %ds
        lgdtl trampoline_gdt_pointer - trampoline
        movl %cr0, %eax
        orl $1, %eax
        movl %eax, %cr0
        ljmpl $0x38, $ap_start
        .balign 4
        .short 0
trampoline_gdt_pointer:
        .short gdt_end - gdt - 1
        .long gdt
trampoline_end:
        .code32
ap_start:
        movl $0x10, %eax
        movl %eax, %ds
        movl %eax, %es
        movl %eax, %ss
        movl $ap_main, %edi
        movl $stacks + 2 * STACK_BYTES, %esi
        jmp enter_paging

        .data
        .balign 8
        .globl boot_information, gdt, gdt_pointer, idt, idt_pointer
boot_information:
        .long 0
        .balign 8
gdt:
        .quad 0
#ifdef __x86_64__
        .quad 0x00AF9B000000FFFF        /* 0x08 code */
#else
        .quad 0x00CF9B000000FFFF
#endif
        .quad 0x00CF93000000FFFF        /* 0x10 data */
        .quad 0x00CFFB000000FFFF        /* 0x18 user code, 32 bits */
        .quad 0x00CFF3000000FFFF        /* 0x20 user data */
        .quad 0x00AFFB000000FFFF        /* 0x28 user code, 64 bits */
        .quad 0x00CF9B000000FFFF        /* 0x30 unused */
        .quad 0x00CF9B000000FFFF        /* 0x38 code, 32 bits */
        .quad 0, 0                      /* 0x40 task state segment */
gdt_end:
        .short 0, 0, 0
gdt_pointer:
        .short gdt_end - gdt - 1
        .long gdt, 0
        .short 0, 0, 0
idt_pointer:
#ifdef __x86_64__
        .short 256 * 16 - 1
#else
        .short 256 * 8 - 1
#endif
        .long idt, 0

        .bss
        .balign 4096
        .globl boot_root
boot_root:
        .skip 4096
#ifdef __x86_64__
        .globl boot_pdpt
boot_pdpt:
        .skip 4096
boot_pd:
        .skip 4 * 4096
#endif
idt:
        .skip 4096
stacks:
        .skip 2 * STACK_BYTES
        .section .note.GNU-stack, "", @progbits
