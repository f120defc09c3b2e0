#ifndef CHECKS_PROTECTION_H
#define CHECKS_PROTECTION_H

#include "paging_common.h"

#define E_PK 0x20u

extern u64 directory[512], table[512];
void five_levels(void);

#endif
