/*
 * Runs single VEX-coded vector instructions on the host's CPU: cases on standard input, results on standard output, in the structures of ../vexCases.ts.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#define MEMORY 128
#define EDGE 80
#define PAGE 4096

struct state {
  uint8_t memory[MEMORY];
  uint8_t ymm[5][32];
  uint64_t rax, rcx, rdx;
  uint32_t mxcsr;
  uint16_t flags;
  uint8_t trap;
  uint8_t length;
};

struct input {
  struct state state;
  uint8_t code[16];
};

static struct state current;
static uint8_t *code;

static void fault(int number, siginfo_t *info, void *context) {
  ucontext_t *uc = context;
  (void)info;
  (void)number;
  current.trap = uc->uc_mcontext.gregs[REG_TRAPNO];
  uc->uc_mcontext.gregs[REG_RIP] += current.length & 15;
}

static void run(struct state *s, uint8_t *memory) {
  static uint32_t defaults = 0x1f80;
  uint64_t flags = 0x8d5;
  uint64_t rax = s->rax, rcx = s->rcx, rdx = s->rdx;
  __asm__ volatile(
      "vmovdqu 0(%[y]), %%ymm0\n\tvmovdqu 32(%[y]), %%ymm1\n\tvmovdqu 64(%[y]), %%ymm2\n\t"
      "vmovdqu 96(%[y]), %%ymm3\n\tvmovdqu 128(%[y]), %%ymm4\n\tldmxcsr %[m]\n\t"
      "push %[f]\n\tpopfq\n\tcall *%[code]\n\tpushfq\n\tpop %[f]\n\t"
      "vmovdqu %%ymm0, 0(%[y])\n\tvmovdqu %%ymm1, 32(%[y])\n\tvmovdqu %%ymm2, 64(%[y])\n\t"
      "vmovdqu %%ymm3, 96(%[y])\n\tvmovdqu %%ymm4, 128(%[y])\n\tstmxcsr %[m]\n\tldmxcsr %[d]\n\tvzeroupper\n\tcld"
      : [f] "+r"(flags), [m] "+m"(s->mxcsr), "+a"(rax), "+c"(rcx), "+d"(rdx)
      : [y] "r"(s->ymm), [code] "r"(code), [d] "m"(defaults), "S"(memory), "D"(memory + 64)
      : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15",
        "memory", "cc");
  s->rax = rax;
  s->rcx = rcx;
  s->rdx = rdx;
  s->flags = flags & 0x8d5;
}

int main(void) {
  struct sigaction action = {.sa_sigaction = fault, .sa_flags = SA_SIGINFO | SA_NODEFER};
  struct input input;
  uint8_t *pages = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  code = mmap(NULL, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  mprotect(pages + PAGE, PAGE, PROT_NONE);
  sigaction(SIGFPE, &action, NULL);
  sigaction(SIGILL, &action, NULL);
  sigaction(SIGSEGV, &action, NULL);
  sigaction(SIGBUS, &action, NULL);
  while (fread(&input, sizeof input, 1, stdin) == 1) {
    int edge = input.state.length & 0x80;
    size_t accessible = edge ? EDGE : MEMORY;
    uint8_t *memory = edge ? pages + PAGE - EDGE : pages + 1024;
    current = input.state;
    memcpy(code, input.code, current.length & 15);
    code[current.length & 15] = 0xc3;
    memcpy(memory, current.memory, accessible);
    run(&current, memory);
    memcpy(current.memory, memory, accessible);
    fwrite(&current, sizeof current, 1, stdout);
  }
  return 0;
}
