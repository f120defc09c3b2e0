/*
 * Boot headers and the way from 32-bit protected mode, where every boot protocol
 * leaves us, to 64-bit mode and main().
 *
 * One image, three doors:
 *   Multiboot 1   the "a.out kludge" addresses let a loader that only knows 32-bit ELF load this ELF64 file
 *   Multiboot 2   the same addresses as tags
 *   PVH           an ELF note with the 32-bit entry point
 */

        .cfi_sections .debug_frame

#define MB1_MAGIC 0x1BADB002
#define MB1_FLAGS 0x00010003            /* page-align modules, memory map, address fields are valid */
#define MB2_MAGIC 0xE85250D6
#define PVH_MAGIC 0x336EC578

        .section .multiboot, "a"
        .balign 8
multiboot1_header:
        .long MB1_MAGIC
        .long MB1_FLAGS
        .long -(MB1_MAGIC + MB1_FLAGS)
        .long multiboot1_header
        .long image_start
        .long image_data_end
        .long image_bss_end
        .long _start

        .balign 8
multiboot2_header:
        .long MB2_MAGIC
        .long 0                         /* i386 protected mode */
        .long multiboot2_end - multiboot2_header
        .long -(MB2_MAGIC + 0 + (multiboot2_end - multiboot2_header))
        .short 2, 0                     /* address tag */
        .long 24
        .long multiboot2_header
        .long image_start
        .long image_data_end
        .long image_bss_end
        .short 3, 0                     /* entry address tag */
        .long 12
        .long _start
        .balign 8
        .short 0, 0                     /* end tag */
        .long 8
multiboot2_end:

        .section .note.pvh, "a", @note
        .balign 4
        .long 4, 8, 18                  /* name size, descriptor size, XEN_ELFNOTE_PHYS32_ENTRY */
        .asciz "Xen"
        .quad pvh_start

        .text
        .code32
        .globl _start, pvh_start
        .type _start, @function
        .type pvh_start, @function

pvh_start:                              /* EBX: address of the start_info structure */
        movl $PVH_MAGIC, %eax
_start:                                 /* EAX: boot loader's magic, EBX: its information */
        cli
        cld
        movl %eax, boot_magic
        movl %ebx, boot_information

        /*
         * Page tables: 4 GiB identity-mapped by 2 MiB pages (SDM 3A 4.5).
         * The top GiB holds the APIC windows and PCI BARs, so it is uncached.
         */
        movl $boot_pdpt + 3, boot_pml4
        movl $boot_pd + 3, %eax
        xorl %ecx, %ecx
1:      movl %eax, boot_pdpt(,%ecx,8)
        addl $4096, %eax
        incl %ecx
        cmpl $4, %ecx
        jb 1b

        movl $0x83, %eax                /* present, writable, 2 MiB */
        xorl %ecx, %ecx
2:      cmpl $1536, %ecx
        jne 3f
        orl $0x18, %eax                 /* from 3 GiB on: PCD and PWT */
3:      movl %eax, boot_pd(,%ecx,8)
        addl $0x200000, %eax
        incl %ecx
        cmpl $2048, %ecx
        jb 2b

        movl $boot_stack_top, %esp
        call enter_long_mode
        ljmp $0x08, $start64
        .size _start, . - _start

/*
 * The steps of SDM 3A 9.8.5: PAE, CR3, EFER.LME, then paging. On return the CPU is in
 * compatibility mode; a far jump to a 64-bit code segment completes the switch.
 * Used by the boot CPU and, from the trampoline, by every other CPU. Clobbers EAX, ECX, EDX.
 */
        .globl enter_long_mode
        .type enter_long_mode, @function
enter_long_mode:
        movl $0x20, %eax                /* CR4.PAE */
        movl %eax, %cr4
        movl $boot_pml4, %eax
        movl %eax, %cr3
        movl $0xC0000080, %ecx          /* IA32_EFER */
        rdmsr
        orl $0x100, %eax                /* LME */
        wrmsr
        movl %cr0, %eax
        andl $0x9FFFFFFF, %eax          /* caches on: an AP comes out of INIT with CD and NW set */
        orl $0x80010023, %eax           /* PG, WP, NE, MP, PE */
        movl %eax, %cr0
        lgdt gdt_pointer
        ret
        .size enter_long_mode, . - enter_long_mode

        .code64
        .type start64, @function
start64:
        .cfi_startproc
        .cfi_undefined rip              /* nothing called us: a debugger's stack ends here */
        movl $0x10, %eax
        movl %eax, %ds
        movl %eax, %es
        movl %eax, %ss
        xorl %eax, %eax
        movl %eax, %fs
        movl %eax, %gs
        movl $cpu_stacks + 16384, %esp
        xorl %ebp, %ebp
        call main
4:      cli
        hlt
        jmp 4b
        .cfi_endproc
        .size start64, . - start64

        .data
        .balign 8
        .globl boot_magic, boot_information
boot_magic:
        .long 0
boot_information:
        .long 0

        .globl gdt_pointer
        .short 0                        /* aligns the base below */
gdt_pointer:
        .short gdt_end - gdt - 1
        .quad gdt

        .balign 16
        .globl gdt
gdt:
        .quad 0
        .quad 0x00AF9B000000FFFF        /* 0x08 code, 64-bit */
        .quad 0x00CF93000000FFFF        /* 0x10 data, flat */
        .quad 0x00CF9B000000FFFF        /* 0x18 code, 32-bit: a stop on the way of the trampoline */
        .fill 2 * 64, 8, 0              /* 0x20.. one TSS descriptor of 16 bytes a CPU, see percpu.c */
gdt_end:

        .bss
        .balign 4096
        .globl boot_pml4
boot_pml4:
        .skip 4096
boot_pdpt:
        .skip 4096
boot_pd:
        .skip 4 * 4096
boot_stack:                             /* only for the call of enter_long_mode by a CPU still at 32 bits */
        .skip 256
        .globl boot_stack_top
boot_stack_top:

        .section .note.GNU-stack, "", @progbits
