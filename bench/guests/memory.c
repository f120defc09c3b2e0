/* Loads and stores over more pages than a translation buffer holds; address spaces that take turns. */
#include "bench.h"

#define PAGES 8192u /* 32 MiB in pages of 4 KiB */

uint64_t bench_memory(uint32_t work)
{
    uintptr_t tables = ARENA;
    uintptr_t root = new_address_space(&tables);
    /* Neighbours in the window are not neighbours in memory. */
    uintptr_t frames = ARENA + 0x800000;
    for (uint32_t page = 0; page < PAGES; page++)
        map_page(root, WINDOW + page * 4096, frames + (uintptr_t)(page * 2531u % PAGES) * 4096, &tables);
    uintptr_t before;
    __asm__ volatile("mov %%cr3, %0" : "=r"(before));
    write_cr3(root);
    uint32_t *words = (uint32_t *)(uintptr_t)WINDOW;
    uint32_t count = PAGES * 1024;
    uint64_t sum = 3;
    uint32_t seed = 99;
    for (uint32_t page = 0; page < PAGES; page++)
        words[page * 1024 + (page & 1023)] = page * 0x9E3779B1u;
    for (uint32_t round = 0; round < work; round++) {
        /* Random words. */
        uint32_t total = 0;
        for (int i = 0; i < 20000; i++) {
            uint32_t index = next_random(&seed) % count;
            words[index] += seed;
            total += words[index ^ 1];
        }
        /* One word of each page, in order. */
        for (uint32_t page = 0; page < PAGES; page++)
            total += words[page * 1024 + (page & 1023)];
        /* A stretch in order, copied to another. */
        uint32_t from = (next_random(&seed) % (PAGES - 64)) * 1024, to = (next_random(&seed) % (PAGES - 64)) * 1024;
        for (uint32_t i = 0; i < 16384; i++) {
            words[to + i] = words[from + i] ^ i;
            total += words[from + i];
        }
        sum = mix(sum, total);
    }
    write_cr3(before);
    return sum;
}

#define SPACES 8u
#define SPACE_PAGES 16u

uint64_t bench_address_spaces(uint32_t work)
{
    uintptr_t tables = ARENA, roots[SPACES], before;
    uintptr_t frames = ARENA + 0x800000;
    for (uint32_t space = 0; space < SPACES; space++) {
        roots[space] = new_address_space(&tables);
        for (uint32_t page = 0; page < SPACE_PAGES; page++, frames += 4096)
            map_page(roots[space], WINDOW + page * 4096, frames, &tables);
    }
    __asm__ volatile("mov %%cr3, %0" : "=r"(before));
    volatile uint32_t *words = (volatile uint32_t *)(uintptr_t)WINDOW;
    for (uint32_t space = 0; space < SPACES; space++) {
        write_cr3(roots[space]);
        for (uint32_t page = 0; page < SPACE_PAGES; page++)
            words[page * 1024] = space * 1000 + page;
    }
    uint64_t sum = 4;
    for (uint32_t round = 0; round < work; round++) {
        for (uint32_t turn = 0; turn < 400; turn++) {
            uint32_t space = turn * 5 % SPACES, total = 0;
            write_cr3(roots[space]);
            for (uint32_t page = 0; page < SPACE_PAGES; page++) {
                uint32_t value = words[page * 1024];
                words[page * 1024 + 1] = value + turn;
                total += value ^ round;
            }
            sum = mix(sum, total);
        }
    }
    write_cr3(before);
    return sum;
}
