/*
 * Runs XRSTOR and what saves on the host's CPU: cases on standard input, on standard output the area saved to and the vector that XRSTOR was refused with, in the structures
 * of ../cases.ts.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <ucontext.h>

#define AREA 896

struct state {
  uint8_t first[AREA], second[AREA], target[AREA];
  uint64_t restore_mask, save_mask;
  uint8_t kind, wide, trap;
} __attribute__((aligned(64)));

static struct state current;

/* The instruction that may be refused has four bytes. */
static void fault(int number, siginfo_t *info, void *context) {
  ucontext_t *uc = context;
  (void)info;
  (void)number;
  current.trap = uc->uc_mcontext.gregs[REG_TRAPNO];
  uc->uc_mcontext.gregs[REG_RIP] += 4;
}

#define RUN(restore, save)                                                                                                                             \
  __asm__ volatile("mov $7, %%eax\n\txor %%edx, %%edx\n\txrstor64 (%[c])\n\tmov %[rm], %%eax\n\t" restore " (%[a])\n\tmov %[sm], %%eax\n\t" save       \
                   " (%[b])\n\tfninit\n\tldmxcsr %[d]\n\tvzeroall"                                                                                     \
                   :                                                                                                                                   \
                   : [c] "r"(current.first), [a] "r"(current.second), [b] "r"(current.target), [rm] "r"((uint32_t)current.restore_mask),               \
                     [sm] "r"((uint32_t)current.save_mask), [d] "m"(defaults)                                                                          \
                   : "rax", "rdx", "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", \
                     "xmm13", "xmm14", "xmm15")

/* .byte 0x40: a REX prefix that says nothing, for four bytes. */
#define XRSTOR ".byte 0x40; xrstor"

static void run(void) {
  static uint32_t defaults = 0x1f80;
  switch (current.kind * 4 + current.wide) {
    case 0: RUN(XRSTOR, "xsave"); break;
    case 1: RUN("xrstor64", "xsave"); break;
    case 2: RUN(XRSTOR, "xsave64"); break;
    case 3: RUN("xrstor64", "xsave64"); break;
    case 4: RUN(XRSTOR, "xsaveopt"); break;
    case 5: RUN("xrstor64", "xsaveopt"); break;
    case 6: RUN(XRSTOR, "xsaveopt64"); break;
    case 7: RUN("xrstor64", "xsaveopt64"); break;
    case 8: RUN(XRSTOR, "xsavec"); break;
    case 9: RUN("xrstor64", "xsavec"); break;
    case 10: RUN(XRSTOR, "xsavec64"); break;
    default: RUN("xrstor64", "xsavec64"); break;
  }
}

int main(void) {
  struct sigaction action = {.sa_sigaction = fault, .sa_flags = SA_SIGINFO | SA_NODEFER};
  sigaction(SIGSEGV, &action, NULL);
  while (fread(&current, sizeof current, 1, stdin) == 1) {
    run();
    fwrite(current.target, sizeof current.target, 1, stdout);
    fwrite(&current.trap, 1, 1, stdout);
  }
  return 0;
}
