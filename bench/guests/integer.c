/* Integer work in registers and small tables: bitwise CRC, division, sorting, a sieve, and calls. */
#include "bench.h"

static uint32_t crc_of(uint32_t crc, uint32_t value)
{
    crc ^= value;
    for (int i = 0; i < 32; i++)
        crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320u : 0);
    return crc;
}

static uint32_t collatz_steps(uint32_t n)
{
    uint32_t steps = 0;
    while (n != 1 && steps < 500) {
        n = n & 1 ? 3 * n + 1 : n >> 1;
        steps++;
    }
    return steps;
}

static uint32_t gcd(uint32_t a, uint32_t b)
{
    while (b) {
        uint32_t r = a % b;
        a = b;
        b = r;
    }
    return a;
}

static uint32_t sieve(void)
{
    static uint8_t composite[4096];
    uint32_t count = 0;
    for (unsigned i = 0; i < sizeof composite; i++)
        composite[i] = 0;
    for (unsigned i = 2; i < sizeof composite; i++) {
        if (composite[i])
            continue;
        count++;
        for (unsigned j = i * 2; j < sizeof composite; j += i)
            composite[j] = 1;
    }
    return count;
}

static uint32_t sort(uint32_t *seed)
{
    static uint32_t values[256];
    for (int i = 0; i < 256; i++)
        values[i] = next_random(seed);
    for (int i = 1; i < 256; i++) {
        uint32_t value = values[i];
        int j = i;
        for (; j > 0 && values[j - 1] > value; j--)
            values[j] = values[j - 1];
        values[j] = value;
    }
    return values[17] ^ values[200];
}

uint64_t bench_integer(uint32_t work)
{
    uint64_t sum = 1;
    uint32_t seed = 0x12345678, crc = ~0u;
    for (uint32_t round = 0; round < work; round++) {
        for (int i = 0; i < 300; i++)
            crc = crc_of(crc, next_random(&seed));
        sum = mix(sum, crc);
        for (int i = 0; i < 100; i++)
            sum = mix(sum, collatz_steps((next_random(&seed) & 0xFFFF) + 1));
        for (int i = 0; i < 200; i++)
            sum = mix(sum, gcd(next_random(&seed), next_random(&seed) | 1));
        sum = mix(sum, sieve());
        sum = mix(sum, sort(&seed));
    }
    return sum;
}

__attribute__((noinline)) static uint32_t fibonacci(uint32_t n) { return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2); }

__attribute__((noinline)) static uint32_t ackermann(uint32_t m, uint32_t n)
{
    if (!m)
        return n + 1;
    if (!n)
        return ackermann(m - 1, 1);
    return ackermann(m - 1, ackermann(m, n - 1));
}

#define LEAF(name, expression) __attribute__((noinline)) static uint32_t name(uint32_t a, uint32_t b) { return expression; }
LEAF(leaf_add, a + b)
LEAF(leaf_sub, a - b)
LEAF(leaf_xor, a ^ b)
LEAF(leaf_mul, a *b)
LEAF(leaf_rotate, (a << 7 | a >> 25) - b)
LEAF(leaf_select, a > b ? a : b)
LEAF(leaf_and, (a & b) + 3)
LEAF(leaf_or, (a | b) * 5)

uint64_t bench_calls(uint32_t work)
{
    static uint32_t (*const leaves[])(uint32_t, uint32_t) = {leaf_add,    leaf_sub,    leaf_xor, leaf_mul,
                                                              leaf_rotate, leaf_select, leaf_and, leaf_or};
    uint64_t sum = 2;
    uint32_t seed = 77, value = 1;
    for (uint32_t round = 0; round < work; round++) {
        sum = mix(sum, fibonacci(18));
        sum = mix(sum, ackermann(2, 20));
        for (int i = 0; i < 4000; i++) {
            uint32_t random = next_random(&seed);
            value = leaves[random & 7](value, random);
        }
        sum = mix(sum, value);
    }
    return sum;
}
