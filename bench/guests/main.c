/* Finds the benchmark that the command line names and runs it: "bench=NAME work=N". */
#include "bench.h"

static const struct {
    const char *name;
    benchmark *run;
} benchmarks[] = {
    {"integer", bench_integer},
    {"memory", bench_memory},
    {"calls", bench_calls},
    {"wide-1000", bench_wide_1000},
    {"wide-4000", bench_wide_4000},
    {"x87", bench_x87},
    {"x87-double", bench_x87_double},
    {"sse-scalar-double", bench_sse_scalar_double},
    {"sse-packed-double", bench_sse_packed_double},
    {"sse-scalar-single", bench_sse_scalar_single},
    {"sse-packed-single", bench_sse_packed_single},
    {"sse-integer", bench_sse_integer},
    {"string", bench_string},
    {"string-scan", bench_string_scan},
    {"self-ipi", bench_self_ipi},
    {"ping-pong-spin", bench_ping_pong_spin},
    {"ping-pong-halt", bench_ping_pong_halt},
    {"latency", bench_latency},
    {"timer", bench_timer},
    {"address-spaces", bench_address_spaces},
    {"ring-interrupt", bench_ring_interrupt},
    {"ring-fast", bench_ring_fast},
    {"code-patch", bench_code_patch},
    {"code-generate", bench_code_generate},
};

extern uint32_t boot_information;

/* The value of `key` ("name=") in the command line, up to the next blank; empty if it is not there. */
static const char *option(const char *line, const char *key)
{
    for (const char *at = line; *at; at++) {
        if (at != line && at[-1] != ' ')
            continue;
        size_t n = 0;
        while (key[n] && at[n] == key[n])
            n++;
        if (!key[n])
            return at + n;
    }
    return "";
}

static int same_word(const char *text, const char *name)
{
    while (*name && *text == *name)
        text++, name++;
    return !*name && (!*text || *text == ' ');
}

void bench_main(void)
{
    const uint32_t *information = (const uint32_t *)(uintptr_t)boot_information;
    const char *line = information[0] & 4 ? (const char *)(uintptr_t)information[4] : "";
    const char *name = option(line, "bench=");
    uint32_t work = 0;
    for (const char *digit = option(line, "work="); *digit >= '0' && *digit <= '9'; digit++)
        work = work * 10 + (uint32_t)(*digit - '0');
    /* Firmware may have left the interrupt controllers open. */
    out8(0x21, 0xFF);
    out8(0xA1, 0xFF);
    if (same_word(name, "empty")) {
        put_text("begin\nend 0\n");
        leave(0);
    }
    for (size_t i = 0; i < sizeof benchmarks / sizeof *benchmarks; i++) {
        if (same_word(name, benchmarks[i].name)) {
            put_text("begin\n");
            uint64_t sum = benchmarks[i].run(work);
            put_text("end ");
            put_hex(sum);
            put_text("\n");
            leave(0);
        }
    }
    fail("no such benchmark");
}
