/*
 * Runs blocks of user code on the host's own CPU: blocks on standard input, the state after each on standard output, in the structures of block.ts. A block is entered by
 * returning from a signal handler into its registers, vectors among them, and left by the INT3 behind it or by a fault.
 */
#define _GNU_SOURCE
#include <asm/ldt.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>

#define CODE 0x20000u
#define CODE_BYTES 4096u
#define DATA 0x30000u
#define DATA_BYTES 8192u
#define WINDOW 0x30f00u
#define WINDOW_BYTES 512u
/* Entry 0 of the LDT: kernels without 32-bit programs have no such segment in their GDT. */
#define USER32_CS 7
#define USER_CS 0x33
#define USER_DS 0x2b
#define INT3 0xcc
#define XSTATE_BV 512
#define YMM_UPPER 576

struct state {
  uint64_t rip, rflags, regs[16];
  uint32_t mxcsr;
  uint8_t trap, mode;
  uint16_t code_length;
  uint32_t error, hash;
  uint64_t cr2;
  uint8_t ymm[16][32];
  uint8_t window[WINDOW_BYTES];
};

struct block {
  struct state state;
  uint8_t code[256];
};

static const int greg_of[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};

static struct block *blocks;
static size_t count, number;
static int running;
static struct state *results;
static volatile size_t last_tick = ~0ul;
static mcontext_t host;

static void enter(ucontext_t *context) {
  greg_t *gregs = context->uc_mcontext.gregs;
  uint8_t *area = (uint8_t *)context->uc_mcontext.fpregs;
  const struct block *block = &blocks[number];
  const struct state *state = &block->state;
  uint64_t features;
  memset((void *)(uintptr_t)DATA, 0, DATA_BYTES);
  memcpy((void *)(uintptr_t)WINDOW, state->window, WINDOW_BYTES);
  memcpy((void *)(uintptr_t)CODE, block->code, state->code_length);
  for (int i = 0; i < 16; i++) gregs[greg_of[i]] = (greg_t)state->regs[i];
  gregs[REG_RIP] = CODE;
  gregs[REG_EFL] = (greg_t)state->rflags;
  gregs[REG_CSGSFS] = (greg_t)((state->mode == 32 ? USER32_CS : USER_CS) | (uint64_t)USER_DS << 48);
  memcpy(&features, area + XSTATE_BV, 8);
  features |= 7;
  memcpy(area + XSTATE_BV, &features, 8);
  memcpy(area + 24, &state->mxcsr, 4);
  for (int i = 0; i < 16; i++) {
    memcpy(area + 160 + i * 16, state->ymm[i], 16);
    memcpy(area + YMM_UPPER + i * 16, state->ymm[i] + 16, 16);
  }
  running = 1;
}

static void leave(const ucontext_t *context) {
  const greg_t *gregs = context->uc_mcontext.gregs;
  const uint8_t *area = (const uint8_t *)context->uc_mcontext.fpregs;
  struct state *result = &results[number];
  uint64_t features;
  uint32_t hash = 0;
  *result = blocks[number].state;
  result->trap = (uint8_t)gregs[REG_TRAPNO];
  result->error = (uint32_t)gregs[REG_ERR];
  result->cr2 = result->trap == 14 ? (uint64_t)gregs[REG_CR2] : 0;
  result->rip = (uint64_t)gregs[REG_RIP];
  result->rflags = (uint64_t)gregs[REG_EFL];
  for (int i = 0; i < 16; i++) result->regs[i] = (uint64_t)gregs[greg_of[i]];
  memcpy(&features, area + XSTATE_BV, 8);
  memcpy(&result->mxcsr, area + 24, 4);
  for (int i = 0; i < 16; i++) {
    memset(result->ymm[i], 0, 32);
    if (features & 2) memcpy(result->ymm[i], area + 160 + i * 16, 16);
    if (features & 4) memcpy(result->ymm[i] + 16, area + YMM_UPPER + i * 16, 16);
  }
  memcpy(result->window, (void *)(uintptr_t)WINDOW, WINDOW_BYTES);
  for (uint32_t at = 0; at < DATA_BYTES; at += 4) hash = (hash ^ *(uint32_t *)(uintptr_t)(DATA + at)) * 16777619u;
  result->hash = hash;
  memset((void *)(uintptr_t)CODE, INT3, sizeof blocks->code);
  running = 0;
  number++;
}

__attribute__((used)) static void dispatch(int signal, siginfo_t *info, ucontext_t *context) {
  (void)info;
  if (signal == SIGALRM) {
    static const char message[] = "A block does not end\n";
    if (last_tick == number && write(2, message, sizeof message - 1)) _exit(3);
    last_tick = number;
    return;
  }
  if (running) leave(context);
  else memcpy(host.gregs, context->uc_mcontext.gregs, sizeof host.gregs);
  if (number < count) enter(context);
  else {
    static const uint32_t defaults = 0x1f80;
    memcpy(context->uc_mcontext.gregs, host.gregs, sizeof host.gregs);
    memcpy((uint8_t *)context->uc_mcontext.fpregs + 24, &defaults, 4);
  }
}

/* A block may leave DF or AC set: the handler begins and ends with clean flags. */
void on_signal(int signal, siginfo_t *info, void *context);
__asm__(".text\n.globl on_signal\n.type on_signal, @function\non_signal:\n"
        "  pushq $2\n  popfq\n  subq $8, %rsp\n  call dispatch\n  addq $8, %rsp\n"
        "  pushq $2\n  popfq\n  ret\n");

static void map(uint32_t from, uint32_t bytes, int protection) {
  void *area = mmap((void *)(uintptr_t)from, bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  if (area != (void *)(uintptr_t)from) {
    perror("Low memory cannot be mapped");
    exit(2);
  }
}

int main(void) {
  static uint8_t stack[256 * 1024];
  stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
  struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK};
  struct itimerval ticks = {.it_interval = {.tv_sec = 4}, .it_value = {.tv_sec = 4}};
  const int signals[] = {SIGTRAP, SIGSEGV, SIGFPE, SIGILL, SIGBUS, SIGALRM};
  struct user_desc code32 = {.entry_number = 0, .limit = 0xfffff, .seg_32bit = 1, .contents = 2, .limit_in_pages = 1};
  size_t room = 1 << 20, used = 0;
  ssize_t got;
  uint8_t *input = malloc(room);
  while (input && (got = read(0, input + used, room - used)) > 0) {
    used += (size_t)got;
    if (used == room) input = realloc(input, room *= 2);
  }
  if (!input) return 2;
  blocks = (struct block *)input;
  count = used / sizeof *blocks;
  results = malloc(count * sizeof *results + 1);
  if (!results) return 2;
  if (syscall(SYS_modify_ldt, 1, &code32, sizeof code32) != 0) {
    perror("The kernel refuses a 32-bit segment (modify_ldt)");
    return 2;
  }
  map(CODE, CODE_BYTES, PROT_READ | PROT_WRITE | PROT_EXEC);
  map(DATA, DATA_BYTES, PROT_READ | PROT_WRITE);
  memset((void *)(uintptr_t)CODE, INT3, CODE_BYTES);
  __asm__ volatile("movw %0, %%ds; movw %0, %%es" ::"r"((uint16_t)USER_DS));
  sigaltstack(&alternate, NULL);
  sigfillset(&action.sa_mask);
  for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) sigaction(signals[i], &action, NULL);
  setitimer(ITIMER_REAL, &ticks, NULL);
  __asm__ volatile("int3" ::: "memory");
  ticks.it_value.tv_sec = 0;
  setitimer(ITIMER_REAL, &ticks, NULL);
  for (uint8_t *at = (uint8_t *)results, *end = (uint8_t *)(results + count); at < end;) {
    ssize_t written = write(1, at, (size_t)(end - at));
    if (written < 0) return 2;
    at += written;
  }
  return 0;
}
