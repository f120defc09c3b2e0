/*
 * Executes x87 instructions on this processor. Standard input: records of a FSAVE image in the 32-bit protected format (108 bytes), a memory operand (16 bytes),
 * RFLAGS (8 bytes) and code (a length byte and 7 bytes). Standard output, for each: the FSAVE image afterwards, the memory operand, RFLAGS and RAX.
 * The code addresses its operand by RSI. FNSAVE takes the state before any unmasked exception could be reported.
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

struct input {
  uint8_t image[108];
  uint8_t memory[16];
  uint64_t rflags;
  uint8_t length;
  uint8_t code[7];
} __attribute__((packed));

struct output {
  uint8_t image[108];
  uint8_t memory[16];
  uint64_t rflags;
  uint64_t rax;
} __attribute__((packed));

/* Called with RDI: image to load, RSI: memory, RDX: output, RCX: RFLAGS. */
static const uint8_t before[] = {0xdd, 0x27, 0x31, 0xc0, 0x51, 0x9d};
/* pushfq; pop rcx; fnsave [rdx]; mov [rdx+124], rcx; mov [rdx+132], rax; ret */
static const uint8_t after[] = {0x9c, 0x59, 0xdd, 0x32, 0x48, 0x89, 0x4a, 0x7c, 0x48, 0x89, 0x82, 0x84, 0, 0, 0, 0xc3};

int main(void) {
  uint8_t *code = mmap(0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (code == MAP_FAILED) return 1;
  static struct input in;
  static struct output out;
  while (fread(&in, sizeof in, 1, stdin) == 1) {
    uint8_t *p = code;
    memcpy(p, before, sizeof before);
    p += sizeof before;
    memcpy(p, in.code, in.length);
    p += in.length;
    memcpy(p, after, sizeof after);
    memcpy(out.memory, in.memory, sizeof out.memory);
    ((void (*)(void *, void *, void *, uint64_t))code)(in.image, out.memory, &out, in.rflags);
    if (fwrite(&out, sizeof out, 1, stdout) != 1) return 1;
  }
  return 0;
}
