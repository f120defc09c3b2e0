/* Reporting, descriptor tables and the trap dispatcher of the self-checking guests. */
#include "rt.h"

#define COM1 0x3f8

volatile struct trap trap;
bool (*trap_hook)(struct frame *frame);
word user_flags = 2;
u8 user_stack[4096] __attribute__((aligned(4096)));
u64 idt[512] __attribute__((aligned(4096)));
struct tss tss __attribute__((aligned(4096)));

extern u32 boot_magic, boot_information;
extern word recover_sp;
extern char vector_stubs[];
void run_return(int vector) __attribute__((noreturn));
void rt_main(void);
void trap_dispatch(struct frame *frame);

const char *check_prefix = "";
static const char *command_line = "";
static u32 failures, checks;
static bool quiet;
static u8 double_fault_stack[4096] __attribute__((aligned(16)));
static u8 kernel_stack[8192] __attribute__((aligned(16)));

static void put(char c)
{
    u32 tries;
    for (tries = 0; tries < 100000 && !(inb(COM1 + 5) & 0x20); tries++)
        ;
    outb(COM1, c);
}

static void put_hex(u64 value)
{
    int shift = 60;
    put('0');
    put('x');
    while (shift > 0 && !(value >> shift & 15))
        shift -= 4;
    for (; shift >= 0; shift -= 4)
        put("0123456789abcdef"[value >> shift & 15]);
}

static void put_decimal(u32 value)
{
    if (value >= 10)
        put_decimal(value / 10);
    put('0' + value % 10);
}

/* %s text, %u a decimal u32, %x a hexadecimal u64. */
static void vprint(const char *format, __builtin_va_list args)
{
    for (; *format; format++) {
        if (*format == '\n')
            put('\r');
        if (*format != '%') {
            put(*format);
            continue;
        }
        switch (*++format) {
        case 's': {
            const char *text = __builtin_va_arg(args, const char *);
            while (*text)
                put(*text++);
            break;
        }
        case 'u':
            put_decimal(__builtin_va_arg(args, u32));
            break;
        case 'x':
            put_hex(__builtin_va_arg(args, u64));
            break;
        }
    }
}

void print(const char *format, ...)
{
    __builtin_va_list args;
    __builtin_va_start(args, format);
    vprint(format, args);
    __builtin_va_end(args);
}

/* The verdict of one check, already made. */
static bool verdict(const char *name, bool good)
{
    checks++;
    if (!good) {
        failures++;
        print("FAIL: %s%s", check_prefix, name);
    } else if (!quiet)
        print("ok: %s%s\n", check_prefix, name);
    return good;
}

bool check(const char *name, bool good)
{
    if (!verdict(name, good))
        print("\n");
    return good;
}

bool check_value(const char *name, u64 got, u64 want)
{
    if (!verdict(name, got == want))
        print(": %x, expected %x\n", got, want);
    return got == want;
}

bool expect(const char *name, bool user, void (*code)(void), int vector, word error, const void *at)
{
    int got = user ? run_user(code) : run(code);
    bool good = got == vector;

    if (good && vector != NOTHING)
        good = trap.error == error && (at == NULL || trap.ip == (word)at);
    if (!verdict(name, good)) {
        if (got == NOTHING)
            print(": no trap, expected vector %u\n", (u32)vector);
        else
            print(": vector %u error %x ip %x, expected vector %x error %x ip %x\n", (u32)got, (u64)trap.error, (u64)trap.ip,
                  (u64)(u32)vector, (u64)error, (u64)(word)at);
    }
    return good;
}

/* isa-debug-exit: the emulator ends with status (value << 1) | 1. Without that device, stop for good. */
void finish(void)
{
    if (failures)
        print("FAIL %u\n", failures);
    else
        print("PASS\n");
    outl(0xf4, failures ? 1 : 0);
    for (;;)
        __asm__ volatile("cli; hlt");
}

void trap_dispatch(struct frame *frame)
{
    trap.handler_flags = read_flags();
    trap.vector = frame->vector;
    trap.error = frame->error;
    trap.ip = frame->ip;
    trap.cs = frame->cs;
    trap.flags = frame->flags;
    trap.handler_sp = (word)&frame->ip + 5 * sizeof(word);
#ifdef __x86_64__
    trap.sp = frame->sp;
    trap.ss = frame->ss;
#else
    /* A 32-bit trap pushes SS:ESP only if the privilege level changes. */
    if ((frame->cs & 3) || (frame->flags & FLAG_VM)) {
        trap.sp = frame->sp;
        trap.ss = frame->ss;
    } else {
        trap.sp = (word)&frame->sp;
        trap.ss = 0;
    }
#endif
    trap.cr2 = read_cr2();
    trap.dr6 = read_dr6();
    trap.count++;

    if (trap_hook && trap_hook(frame))
        return;
    if (recover_sp)
        run_return(frame->vector == USER_EXIT ? NOTHING : (int)frame->vector);
    print("FAIL: unexpected trap %u, error %x, ip %x, sp %x, cr2 %x\n", (u32)frame->vector, (u64)frame->error, (u64)frame->ip, (u64)trap.sp,
          (u64)trap.cr2);
    failures++;
    finish();
}

word stub_of(u32 vector) { return (word)vector_stubs + 16 * vector; }

/* type: GATE_INTERRUPT or GATE_TRAP, with GATE_USER for DPL 3; or any other byte to see it refused. */
void gate(u32 vector, word offset, u16 selector, u32 type, u32 ist)
{
#ifdef __x86_64__
    idt[2 * vector] = (offset & 0xffff) | (u64)selector << 16 | (u64)ist << 32 | (u64)type << 40 | (offset >> 16 & 0xffff) << 48;
    idt[2 * vector + 1] = offset >> 32;
#else
    (void)ist;
    idt[vector] = (offset & 0xffff) | (u64)selector << 16 | (u64)type << 40 | (u64)(offset >> 16) << 48;
#endif
}

void gate_reset(u32 vector)
{
    bool user = vector == BP || vector == OF || vector == USER_EXIT;
    gate(vector, stub_of(vector), SEL_CODE, GATE_INTERRUPT | (user ? GATE_USER : 0), vector == DF ? 1 : 0);
}

static void load_table(bool is_idt, word base, u16 limit)
{
    struct {
        u16 limit;
        word base;
    } __attribute__((packed)) pointer = { limit, base };
    if (is_idt)
        __asm__ volatile("lidt %0" : : "m"(pointer));
    else
        __asm__ volatile("lgdt %0" : : "m"(pointer));
}

void load_idt(u16 limit) { load_table(true, (word)idt, limit); }
void gdt_set_limit(u16 limit) { load_table(false, (word)gdt, limit); }

/* A descriptor; access is its byte 5, flags its G, D/B, L and AVL bits (SDM 3A 3.4.5). */
u64 segment(u32 base, u32 limit, u32 access, u32 flags)
{
    return (limit & 0xffff) | (u64)(base & 0xffffff) << 16 | (u64)access << 40 | (u64)(limit >> 16 & 15) << 48 | (u64)(flags & 15) << 52 |
           (u64)(base >> 24) << 56;
}

/* Makes the task register's descriptor available again and loads it. */
void tss_reload(void)
{
    gdt[SEL_TSS / 8] = segment((u32)(word)&tss, sizeof(tss) - 1, 0x89, 0);
    gdt[SEL_TSS / 8 + 1] = 0;
    __asm__ volatile("ltr %0" : : "r"((u16)SEL_TSS));
}

static void find_command_line(void)
{
    volatile u32 *information = (volatile u32 *)(word)boot_information;
    word tag, end;

    if (boot_magic == 0x2badb002 && (information[0] & 4))
        command_line = (const char *)(word)information[4];
    if (boot_magic == 0x336ec578 && information[6])
        command_line = (const char *)(word)information[6];
    if (boot_magic == 0x36d76289) {
        end = boot_information + information[0];
        for (tag = boot_information + 8; tag + 8 <= end; tag += (((u32 *)tag)[1] + 7) & ~7u) {
            if (((u32 *)tag)[0] == 0 || ((u32 *)tag)[1] < 8)
                break;
            if (((u32 *)tag)[0] == 1)
                command_line = (const char *)(tag + 8);
        }
    }
}

void skip(const char *what)
{
    if (!quiet)
        print("skip: %s%s\n", check_prefix, what);
}

/* Is this word on the command line? */
bool option(const char *wanted)
{
    const char *at = command_line;
    while (*at) {
        const char *w = wanted;
        while (*at == ' ')
            at++;
        while (*w && *at == *w) {
            at++;
            w++;
        }
        if (!*w && (*at == ' ' || !*at))
            return true;
        while (*at && *at != ' ')
            at++;
    }
    return false;
}

void rt_main(void)
{
    u32 i;

    outb(COM1 + 3, 0x80);
    outb(COM1 + 0, 1);
    outb(COM1 + 1, 0);
    outb(COM1 + 3, 3);
    outb(COM1 + 2, 7);
    outb(COM1 + 4, 3);
    find_command_line();
    quiet = option("quiet");
    outb(0x21, 0xff); /* no 8259 interrupts */
    outb(0xa1, 0xff);

#ifdef __x86_64__
    tss.rsp[0] = (word)kernel_stack + sizeof(kernel_stack);
    tss.ist[0] = (word)double_fault_stack + sizeof(double_fault_stack);
    tss.io_map = sizeof(tss);
#else
    (void)double_fault_stack;
    tss.esp0 = (word)kernel_stack + sizeof(kernel_stack);
    tss.ss0 = SEL_DATA;
    tss.io_map = sizeof(tss);
#endif
    tss_reload();
    for (i = 0; i < 256; i++)
        gate_reset(i);
    load_idt((u16)(256 * 2 * sizeof(word) - 1));
    check_main();
    finish();
}
