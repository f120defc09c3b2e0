/*
 * Runs single instructions on the host's own CPU: reads a batch of cases from standard input, executes each natively
 * in 16, 32 or 64-bit mode at CPL 3 and writes the state after it to standard output.
 *
 * A case is entered by returning from a signal handler into a prepared context and left by INT3 (the code area is
 * filled with it, so any branch inside the area ends there) or by a fault, which brings us back into the handler.
 * The handler sees every register, the trap number and the error code, so no single-stepping is needed: TF never
 * shows in PUSHF, and a REP instruction runs to its end.
 *
 * Both ends are little-endian and use the same structures; see native.ts.
 */
#define _GNU_SOURCE
#include <asm/ldt.h>
#include <asm/prctl.h>
#include <errno.h>
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

/* 64-bit code is entered by way of two instructions that load RSP and jump: a return from a handler may refuse a stack that is not canonical. */
#define ENTRY 0x10000u
#define CODE_BASE 0x20000u
#define DATA_BASE 0x30000u
#define AREA_END 0x80000u
#define FS_BASE 0x60000u
#define GS_BASE 0x70000u

enum { MODE_16, MODE_32, MODE_64 };
enum { SLOT_CS = 1, SLOT_DS, SLOT_ES, SLOT_SS, SLOT_FS, SLOT_GS };
#define SELECTOR(slot) ((uint16_t)((slot) << 3 | 7))
#define USER32_CS 0x23
#define USER_CS 0x33
#define USER_DS 0x2b
#define INT3 0xcc
#define NO_TRAP 0xff

struct window {
  uint32_t address;
  uint32_t length;
};

struct request {
  uint8_t mode, code_length, windows, reserved[5];
  uint64_t rip, rflags, regs[16]; /* in the order of the encoding: RAX RCX RDX RBX RSP RBP RSI RDI R8.. */
  uint8_t code[16];
  struct window window[]; /* then their bytes, each padded to 8 */
};

struct response {
  uint8_t trap, reserved[3];
  uint32_t error;
  uint64_t rip, rflags, regs[16]; /* then the windows' bytes, each padded to 8 */
};

static const int greg_of[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};

static uint8_t *input, *input_end, *output, *output_end, *cursor;
static struct request *current;
static uint64_t case_number;
static volatile uint64_t last_tick = ~0ull;
static int loaded_mode = -1;
static unsigned long host_fs;
static gregset_t host_context;

static long raw_syscall(long number, long a, long b, long c) {
  long result;
  __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
  return result;
}

static void die(const char *message) {
  static char text[160];
  uint64_t number = case_number;
  size_t length = strlen(message), digits = 0;
  char reversed[24];
  raw_syscall(SYS_arch_prctl, ARCH_SET_FS, (long)host_fs, 0);
  memcpy(text, message, length);
  memcpy(text + length, " at case ", 9);
  length += 9;
  do reversed[digits++] = (char)('0' + number % 10);
  while ((number /= 10) != 0);
  while (digits) text[length++] = reversed[--digits];
  text[length++] = '\n';
  raw_syscall(SYS_write, 2, (long)text, (long)length);
  raw_syscall(SYS_exit_group, 3, 0, 0);
}

static uint32_t padded(uint32_t length) { return (length + 7) & ~7u; }

/* The data selectors survive the return from the handler: the kernel saves only CS and SS. */
static void load_segments(int mode) {
  uint16_t data = mode == MODE_16 ? SELECTOR(SLOT_DS) : USER_DS, extra = mode == MODE_16 ? SELECTOR(SLOT_ES) : USER_DS;
  if (mode == loaded_mode) return;
  loaded_mode = mode;
  __asm__ volatile("movw %0, %%ds; movw %1, %%es" ::"r"(data), "r"(extra));
  if (mode == MODE_64) {
    raw_syscall(SYS_arch_prctl, ARCH_SET_FS, FS_BASE, 0);
    raw_syscall(SYS_arch_prctl, ARCH_SET_GS, GS_BASE, 0);
  } else {
    __asm__ volatile("movw %0, %%fs; movw %1, %%gs" ::"r"(SELECTOR(SLOT_FS)), "r"(SELECTOR(SLOT_GS)));
  }
}

static void *code_address(const struct request *request) {
  return (void *)(request->mode == MODE_16 ? CODE_BASE + (uintptr_t)request->rip : (uintptr_t)request->rip);
}

/* Has the handler return to where the registers say by way of ENTRY. */
static void by_entry(greg_t *gregs) {
  uint64_t *entry = (uint64_t *)(uintptr_t)(ENTRY + 16);
  entry[0] = (uint64_t)gregs[REG_RSP];
  entry[1] = (uint64_t)gregs[REG_RIP];
  gregs[REG_RSP] = DATA_BASE;
  gregs[REG_RIP] = ENTRY;
}

static void enter(greg_t *gregs) {
  struct request *request = (struct request *)cursor;
  uint8_t *bytes = (uint8_t *)&request->window[request->windows];
  uint64_t cs = USER_CS, ss = USER_DS;
  current = request;
  for (int i = 0; i < request->windows; i++) {
    const struct window *window = &request->window[i];
    if (window->address < CODE_BASE || window->address + window->length > AREA_END) die("A window is outside the areas");
    memcpy((void *)(uintptr_t)window->address, bytes, window->length);
    bytes += padded(window->length);
  }
  cursor = bytes;
  memcpy(code_address(request), request->code, request->code_length);
  for (int i = 0; i < 16; i++) gregs[greg_of[i]] = (greg_t)request->regs[i];
  gregs[REG_RIP] = (greg_t)request->rip;
  if (request->mode == MODE_64) by_entry(gregs);
  gregs[REG_EFL] = (greg_t)request->rflags;
  if (request->mode == MODE_32) cs = USER32_CS;
  if (request->mode == MODE_16) cs = SELECTOR(SLOT_CS), ss = SELECTOR(SLOT_SS);
  gregs[REG_CSGSFS] = (greg_t)(cs | ss << 48);
  load_segments(request->mode);
}

static void leave(const greg_t *gregs) {
  struct response *response = (struct response *)output_end;
  const struct request *request = current;
  uint64_t rip = (uint64_t)gregs[REG_RIP], mask = request->mode == MODE_64 ? ~0ull : 0xffffffffull;
  response->trap = (uint8_t)gregs[REG_TRAPNO];
  response->error = (uint32_t)gregs[REG_ERR];
  if (response->trap == 3) {
    /* Our own INT3 behind the instruction or at a branch target, unless it is a byte of the instruction itself. */
    uint64_t at = rip - 1;
    if (at - request->rip >= request->code_length) {
      response->trap = NO_TRAP;
      rip = at;
    }
  }
  if (response->trap == NO_TRAP) response->error = 0;
  response->rip = rip & mask;
  response->rflags = (uint64_t)gregs[REG_EFL] & ~0x10000ull; /* RF is set in the image of a fault */
  for (int i = 0; i < 16; i++) {
    response->regs[i] = request->mode != MODE_64 && i >= 8 ? 0 : (uint64_t)gregs[greg_of[i]] & mask;
  }
  uint8_t *bytes = (uint8_t *)(response + 1);
  for (int i = 0; i < request->windows; i++) {
    const struct window *window = &request->window[i];
    memcpy(bytes, (void *)(uintptr_t)window->address, window->length);
    bytes += padded(window->length);
  }
  for (int i = 0; i < request->windows; i++) {
    const struct window *window = &request->window[i];
    memset((void *)(uintptr_t)window->address, window->address < DATA_BASE ? INT3 : 0, window->length);
  }
  memset(code_address(request), INT3, request->code_length);
  output_end = bytes;
  case_number++;
}

__attribute__((used)) static void dispatch(int number, siginfo_t *info, ucontext_t *context) {
  greg_t *gregs = context->uc_mcontext.gregs;
  (void)info;
  if (number == SIGALRM) {
    if (last_tick == case_number) die("The instruction does not end");
    last_tick = case_number;
    if (current) {
      /* From its beginning: the return from a handler brings not every flag back, NT for one, and may refuse a stack that is not canonical. */
      cursor = (uint8_t *)current;
      enter(gregs);
    }
    return;
  }
  if (current) leave(gregs);
  else memcpy(host_context, gregs, sizeof host_context);
  if (cursor < input_end) {
    enter(gregs);
  } else {
    current = NULL;
    memcpy(gregs, host_context, sizeof host_context);
    load_segments(MODE_64);
    raw_syscall(SYS_arch_prctl, ARCH_SET_FS, (long)host_fs, 0);
  }
}

/* A case may leave AC, NT or DF set: start and end the handler with clean flags. */
void on_signal(int number, siginfo_t *info, void *context);
__asm__(".text\n.globl on_signal\n.type on_signal, @function\non_signal:\n"
        "  pushq $2\n  popfq\n  subq $8, %rsp\n  call dispatch\n  addq $8, %rsp\n"
        "  pushq $2\n  popfq\n  ret\n");

static void set_segment(int slot, uint32_t base, int code) {
  struct user_desc descriptor = {.entry_number = (unsigned)slot, .base_addr = base, .limit = 0xffff, .contents = code ? 2 : 0};
  if (syscall(SYS_modify_ldt, 1, &descriptor, sizeof descriptor) != 0) {
    perror("The kernel refuses 16-bit segments (modify_ldt)");
    exit(2);
  }
}

static void map_area(uint32_t from, uint32_t to, int protection, int fill) {
  void *area = mmap((void *)(uintptr_t)from, to - from, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  if (area != (void *)(uintptr_t)from) {
    perror("Low memory cannot be mapped");
    exit(2);
  }
  memset(area, fill, to - from);
}

static int area_is(uint32_t from, uint32_t to, int fill) {
  for (uint32_t at = from; at < to; at++) {
    if (*(uint8_t *)(uintptr_t)at != fill) {
      fprintf(stderr, "A case wrote outside its windows: 0x%x\n", at);
      return 0;
    }
  }
  return 1;
}

static void read_input(void) {
  size_t size = 1 << 20, used = 0;
  ssize_t got;
  input = malloc(size);
  while ((got = read(0, input + used, size - used)) > 0) {
    used += (size_t)got;
    if (used == size) input = realloc(input, size *= 2);
    if (!input) exit(2);
  }
  input_end = input + used;
  cursor = input;
  /* A response is never larger than its request (both hold the windows; a request also holds the code). */
  output = output_end = malloc(used + 4096);
  if (!output) exit(2);
}

int main(void) {
  static uint8_t stack[256 * 1024];
  stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
  struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK};
  struct itimerval ticks = {.it_interval = {.tv_sec = 2}, .it_value = {.tv_sec = 2}};
  /* mov rsp, [ENTRY + 16]; jmp [ENTRY + 24] */
  static const uint8_t entry[] = {0x48, 0x8b, 0x25, 9, 0, 0, 0, 0xff, 0x25, 11, 0, 0, 0};
  const int signals[] = {SIGTRAP, SIGSEGV, SIGFPE, SIGILL, SIGBUS, SIGALRM};

  read_input();
  map_area(ENTRY, ENTRY + 4096, PROT_READ | PROT_WRITE | PROT_EXEC, INT3);
  memcpy((void *)(uintptr_t)ENTRY, entry, sizeof entry);
  map_area(CODE_BASE, DATA_BASE, PROT_READ | PROT_WRITE | PROT_EXEC, INT3);
  map_area(DATA_BASE, AREA_END, PROT_READ | PROT_WRITE, 0);
  set_segment(SLOT_CS, CODE_BASE, 1);
  set_segment(SLOT_DS, 0x30000, 0);
  set_segment(SLOT_ES, 0x40000, 0);
  set_segment(SLOT_SS, 0x50000, 0);
  set_segment(SLOT_FS, FS_BASE, 0);
  set_segment(SLOT_GS, GS_BASE, 0);
  syscall(SYS_arch_prctl, ARCH_GET_FS, &host_fs);
  sigaltstack(&alternate, NULL);
  sigfillset(&action.sa_mask);
  for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) sigaction(signals[i], &action, NULL);
  setitimer(ITIMER_REAL, &ticks, NULL);
  __asm__ volatile("int3" ::: "memory");
  ticks.it_value.tv_sec = 0;
  setitimer(ITIMER_REAL, &ticks, NULL);
  if (!area_is(CODE_BASE, DATA_BASE, INT3) || !area_is(DATA_BASE, AREA_END, 0)) return 4;
  for (uint8_t *at = output; at < output_end;) {
    ssize_t written = write(1, at, (size_t)(output_end - at));
    if (written < 0) return 2;
    at += written;
  }
  return 0;
}
