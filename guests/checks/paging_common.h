/*
 * What holds in every paging mode, tried on two pages and a large page at TEST. A mode says how its entries
 * are reached; see paging.c (4-level) and paging32.c (32-bit and PAE). SDM 3A chapter 4.
 */
#ifndef CHECKS_PAGING_COMMON_H
#define CHECKS_PAGING_COMMON_H

#include "rt.h"

#define TEST 0x40000000ul
#define LARGE_PHYSICAL 0x800000u /* 8 MiB: RAM that nothing else uses */

#define P 1u
#define W 2u
#define U 4u
#define A 0x20u
#define D 0x40u
#define PS 0x80u
#define G 0x100u
#define NX (1ull << 63)

/* Page-fault error code (SDM 3A 4.7). */
#define E_P 1u
#define E_W 2u
#define E_U 4u
#define E_RSVD 8u
#define E_I 0x10u

struct mode {
    bool wide;            /* 64-bit entries */
    bool nx;              /* execute-disable is enabled */
    u64 table_physical;   /* of the page table under TEST */
    void (*set_pte)(u32 index, u64 entry);
    u64 (*get_pte)(u32 index);
    void (*set_pde)(u64 entry);
    u64 (*get_pde)(void);
    void (*identity_user)(bool user); /* may CPL 3 use everything else? */
};

extern u8 page_a[4096], page_b[4096];
void common_checks(const struct mode *mode);
void supervisor_checks(const struct mode *mode);
void flush(void);
void pf(const char *name, bool user, void (*code)(void), word error, word cr2);
void okay(const char *name, bool user, void (*code)(void));
bool has_feature7(u32 bit);

void rd(void);
void wr(void);
void ex(void);
extern word value_read;

#endif
