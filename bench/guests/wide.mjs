// Writes wide.c to standard output: 4,000 small functions of different shapes, and loops that call 1,000 or all of them in random order.
const COUNT = 4000;
let state = 0x2545f491;
const random = (limit) => {
  state ^= state << 13;
  state ^= state >>> 17;
  state ^= state << 5;
  return (state >>> 0) % limit;
};

const statements = [
  () => `x += ${random(1 << 20)}u;`,
  () => `x ^= x >> ${1 + random(15)};`,
  () => `x *= ${random(1 << 16) * 2 + 1}u;`,
  () => `x = x << ${1 + random(7)} | x >> ${25 + random(7)};`,
  () => `if (x & ${1 << random(16)}u) x += ${random(1000)}u; else x -= ${random(1000)}u;`,
  () => `x += table[x & 255];`,
  () => `table[x & 255] = x;`,
  () => `if ((x >> ${random(20)} & 63) == ${random(64)}) x = ~x;`,
  () => `for (int i = 0; i < ${2 + random(3)}; i++) x += x >> ${3 + random(9)};`,
];

const lines = ['#include "bench.h"', "static uint32_t table[256];", "typedef uint32_t wide(uint32_t x);"];
for (let i = 0; i < COUNT; i++) {
  const body = Array.from({ length: 3 + random(4) }, () => statements[random(statements.length)]());
  // Some go on into a function that stands before them.
  const tail = i > 10 && random(4) === 0 ? `return f${i - 1 - random(Math.min(i - 1, 500))}(x);` : "return x;";
  const kind = tail.includes("(") && random(2) === 0 ? tail.replace("return ", "return 1 + ") : tail;
  lines.push(`__attribute__((noinline, noclone)) static uint32_t f${i}(uint32_t x) { ${body.join(" ")} ${kind} }`);
}
lines.push("static wide *const functions[] = {");
for (let i = 0; i < COUNT; i += 20) lines.push(`  ${Array.from({ length: 20 }, (_, j) => `f${i + j}`).join(", ")},`);
lines.push("};");
lines.push(`static uint64_t run(uint32_t work, uint32_t count, uint64_t sum)
{
    uint32_t x = 1, seed = 1234567;
    for (uint32_t round = 0; round < work; round++) {
        for (int i = 0; i < 5000; i++)
            x = functions[next_random(&seed) % count](x);
        sum = mix(sum, x);
    }
    return sum;
}
uint64_t bench_wide_1000(uint32_t work) { return run(work, 1000, 23); }
uint64_t bench_wide_4000(uint32_t work) { return run(work, ${COUNT}, 24); }`);
process.stdout.write(`${lines.join("\n")}\n`);
