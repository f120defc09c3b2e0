/* String instructions with REP on plain memory. */
#include "bench.h"

#define BYTES 65536u

static inline void move_bytes(void *to, const void *from, uintptr_t count) { __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(count) : : "memory"); }
static inline void move_dwords(void *to, const void *from, uintptr_t count) { __asm__ volatile("rep movsl" : "+D"(to), "+S"(from), "+c"(count) : : "memory"); }
static inline void store_bytes(void *to, uint8_t value, uintptr_t count) { __asm__ volatile("rep stosb" : "+D"(to), "+c"(count) : "a"(value) : "memory"); }
static inline void store_dwords(void *to, uint32_t value, uintptr_t count) { __asm__ volatile("rep stosl" : "+D"(to), "+c"(count) : "a"(value) : "memory"); }

uint64_t bench_string(uint32_t work)
{
    uint8_t *first = (uint8_t *)(uintptr_t)ARENA, *second = first + 4 * BYTES;
    uint64_t sum = 12;
    store_dwords(first, 0x01020304, BYTES);
    for (uint32_t round = 0; round < work; round++) {
        store_bytes(first + (round & 4095), (uint8_t)round, BYTES);
        move_bytes(second + 3, first, BYTES * 2);
        store_dwords(first + BYTES, round * 0x9E3779B1u, BYTES / 4);
        move_dwords(first + 2 * BYTES, second, BYTES / 2);
        sum = mix(sum, *(uint32_t *)(first + 2 * BYTES + (round & 0xFFFC)));
    }
    return sum;
}

uint64_t bench_string_scan(uint32_t work)
{
    uint8_t *first = (uint8_t *)(uintptr_t)ARENA, *second = first + 2 * BYTES;
    uint64_t sum = 13;
    store_bytes(first, 7, BYTES);
    store_bytes(second, 7, BYTES);
    for (uint32_t round = 0; round < work; round++) {
        uint32_t at = (round * 4099u) % BYTES;
        second[at] = 9;
        const uint8_t *a = first, *b = second;
        uintptr_t left = BYTES;
        __asm__ volatile("repe cmpsb" : "+S"(a), "+D"(b), "+c"(left) : : "memory", "cc");
        sum = mix(sum, left);
        left = BYTES;
        b = second;
        __asm__ volatile("repne scasb" : "+D"(b), "+c"(left) : "a"((uint8_t)9) : "memory", "cc");
        sum = mix(sum, left);
        second[at] = 7;
    }
    return sum;
}
