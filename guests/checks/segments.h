#ifndef CHECKS_SEGMENTS_H
#define CHECKS_SEGMENTS_H

#include "rt.h"

#define SEL_TASK 0x130        /* the second task */
#define SEL_STACK_TASK 0x138  /* handles faults that leave no stack to handle them on */
#define SEL_TASK_GATE 0x140
#define SEL_BAD_TASK 0x148
#define SEL_TASK_LDT 0x150

extern u8 area[0x3000];
extern u32 seen[8];

void prepare_tasks(void);
void check_task_fault(const char *name, void (*code)(void), int vector, word error, word at);
void tasks(void);
void virtual_8086(void);

#endif
