/*
 * Runs single SSE and MMX instructions on the host's CPU: cases on standard input, results on standard output, in the structures of ../cases.ts. Operands are
 * XMM1 and XMM2, MM1 and MM2, RCX and RDX, and 16 bytes of memory at RAX (and RDI).
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

struct state {
  uint64_t xmm1[2], xmm2[2];
  uint64_t memory[2] __attribute__((aligned(16)));
  uint64_t rcx, rdx, mm1, mm2;
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
  current.trap = number == SIGFPE ? 19 : number == SIGILL ? 6 : 13;
  uc->uc_mcontext.gregs[REG_RIP] += current.length;
}

static void run(struct state *s) {
  static uint32_t defaults = 0x1f80;
  uint64_t flags = 0x8d5;
  __asm__ volatile(
      "movdqu 0(%[s]), %%xmm1\n\tmovdqu 16(%[s]), %%xmm2\n\t"
      "movq 64(%[s]), %%mm1\n\tmovq 72(%[s]), %%mm2\n\t"
      "mov 48(%[s]), %%rcx\n\tmov 56(%[s]), %%rdx\n\t"
      "lea 32(%[s]), %%rax\n\tmov %%rax, %%rdi\n\tldmxcsr 80(%[s])\n\t"
      "push %[f]\n\tpopfq\n\tcall *%[code]\n\tpushfq\n\tpop %[f]\n\t"
      "movdqu %%xmm1, 0(%[s])\n\tmovdqu %%xmm2, 16(%[s])\n\t"
      "mov %%rcx, 48(%[s])\n\tmov %%rdx, 56(%[s])\n\t"
      "movq %%mm1, 64(%[s])\n\tmovq %%mm2, 72(%[s])\n\tstmxcsr 80(%[s])\n\tldmxcsr %[d]\n\temms\n\tcld"
      : [f] "+r"(flags)
      : [s] "r"(s), [code] "r"(code), [d] "m"(defaults)
      : "rax", "rcx", "rdx", "rdi", "xmm0", "xmm1", "xmm2", "mm1", "mm2", "memory", "cc");
  s->flags = flags & 0x8d5;
}

int main(void) {
  struct sigaction action = {.sa_sigaction = fault, .sa_flags = SA_SIGINFO | SA_NODEFER};
  struct input input;
  code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  sigaction(SIGFPE, &action, NULL);
  sigaction(SIGILL, &action, NULL);
  sigaction(SIGSEGV, &action, NULL);
  while (fread(&input, sizeof input, 1, stdin) == 1) {
    current = input.state;
    memcpy(code, input.code, current.length);
    code[current.length] = 0xc3;
    run(&current);
    fwrite(&current, sizeof current, 1, stdout);
  }
  return 0;
}
