/* Code that changes: one function patched between calls, and functions that are written, called a few times and overwritten. */
#include "bench.h"

typedef uint32_t function(void);

static uint8_t *emit32(uint8_t *at, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        *at++ = (uint8_t)(value >> (8 * i));
    return at;
}

/* mov eax, VALUE; lea eax, [rax+rax*4+ADD]; ret. The second instruction reads the same in both modes. */
static uint8_t *emit_function(uint8_t *at, uint32_t value, uint32_t add, uint32_t fillers)
{
    *at++ = 0xB8;
    at = emit32(at, value);
    for (uint32_t i = 0; i < fillers; i++) {
        *at++ = 0x05; /* add eax, imm32 */
        at = emit32(at, add + i);
        *at++ = 0xD1; /* rol eax, 1 */
        *at++ = 0xC0;
    }
    *at++ = 0xC3;
    return at;
}

static uint32_t call(const uint8_t *code)
{
    /* The compiler must not move stores across: code is data here. */
    __asm__ volatile("" : : : "memory");
    return ((function *)(uintptr_t)code)();
}

uint64_t bench_code_patch(uint32_t work)
{
    uint8_t *code = (uint8_t *)(uintptr_t)ARENA;
    emit_function(code, 0, 3, 4);
    uint64_t sum = 21;
    uint32_t value = 1;
    for (uint32_t round = 0; round < work; round++) {
        for (int i = 0; i < 100; i++) {
            *(volatile uint32_t *)(code + 1) = value;
            value = call(code) + 1;
            value ^= call(code);
        }
        sum = mix(sum, value);
    }
    return sum;
}

uint64_t bench_code_generate(uint32_t work)
{
    uint8_t *const start = (uint8_t *)(uintptr_t)ARENA;
    uint8_t *at = start;
    uint64_t sum = 22;
    uint32_t seed = 5;
    for (uint32_t round = 0; round < work; round++) {
        for (int i = 0; i < 10; i++) {
            if (at > start + 0x10000)
                at = start;
            uint8_t *code = at;
            at = emit_function(at, next_random(&seed), seed >> 3, 1 + (seed & 15));
            at += 16 - ((uintptr_t)at & 15);
            uint32_t total = 0;
            for (int n = 0; n < 200; n++)
                total += call(code) ^ (uint32_t)n;
            sum = mix(sum, total);
        }
    }
    return sum;
}
