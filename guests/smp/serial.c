/* The first serial port, a small print(), and the ways to end. */
#include "cpu.h"

#define COM1 0x3f8

bool quiet;
static volatile u32 print_lock;

void serial_init(void)
{
    outb(COM1 + 1, 0);    /* no interrupts */
    outb(COM1 + 3, 0x80); /* divisor latch */
    outb(COM1 + 0, 1);    /* 115200 */
    outb(COM1 + 1, 0);
    outb(COM1 + 3, 3);    /* 8N1 */
    outb(COM1 + 2, 7);    /* FIFO on and empty */
    outb(COM1 + 4, 3);    /* DTR, RTS */
}

static void put(char c)
{
    u32 tries;
    for (tries = 0; tries < 100000 && !(inb(COM1 + 5) & 0x20); tries++)
        pause();
    outb(COM1, c);
}

static void put_number(u64 value, u32 base)
{
    char digits[20];
    u32 n = 0;
    if (base == 16) {
        put('0');
        put('x');
    }
    do {
        digits[n++] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value);
    while (n)
        put(digits[--n]);
}

/* %s string, %u unsigned decimal, %x hexadecimal; every number is passed as u32 or, for %x, u64. */
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
            put_number(__builtin_va_arg(args, u32), 10);
            break;
        case 'x':
            put_number(__builtin_va_arg(args, u64), 16);
            break;
        default:
            put(*format);
        }
    }
}

/* Lines of several CPUs must not mix. The wait is bounded: an exception handler prints even if it interrupted a print. */
static u64 lock(void)
{
    u64 flags = interrupts_save();
    u32 tries;
    for (tries = 0; __atomic_exchange_n(&print_lock, 1, __ATOMIC_ACQUIRE) && tries < 10000000; tries++)
        pause();
    return flags;
}

static void unlock(u64 flags)
{
    __atomic_store_n(&print_lock, 0, __ATOMIC_RELEASE);
    interrupts_restore(flags);
}

void print(const char *format, ...)
{
    __builtin_va_list args;
    u64 flags = lock();
    __builtin_va_start(args, format);
    vprint(format, args);
    __builtin_va_end(args);
    unlock(flags);
}

/* Like print(), but silent with `quiet` on the command line. */
void info(const char *format, ...)
{
    __builtin_va_list args;
    u64 flags;
    if (quiet)
        return;
    flags = lock();
    __builtin_va_start(args, format);
    vprint(format, args);
    __builtin_va_end(args);
    unlock(flags);
}

/* isa-debug-exit: the emulator ends with status (value << 1) | 1. Without that device, stop for good. */
void machine_exit(u32 status)
{
    interrupts_off();
    outl(0xf4, status);
    for (;;)
        __asm__ volatile("hlt");
}

void fatal(const char *format, ...)
{
    __builtin_va_list args;
    lock();
    __builtin_va_start(args, format);
    vprint("FAIL: ", args);
    vprint(format, args);
    vprint("\nFAIL 1\n", args);
    __builtin_va_end(args);
    machine_exit(1);
}
