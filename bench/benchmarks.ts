/** The benchmarks: what `bench/guests` and a Linux boot offer, and how much of it a comparison runs. */

export type Bits = 32 | 64;

export interface Benchmark {
  readonly name: string;
  /** What it exercises, for the table's reader. */
  readonly about: string;
  readonly cpus: number;
  /** `work` of the command line for a comparison: one to three seconds on QEMU's TCG where code is generated, about one elsewhere. */
  readonly work: number;
  /** Checksum for `work=1`, the same in 32 and 64-bit mode: what processors and the three emulators agree on. */
  readonly checksum: string;
  /** Largest ratio to QEMU's time (`qemu`) and to v86's (`v86`) that is aimed at. */
  readonly target: { readonly qemu?: number; readonly v86?: number };
}

const one = (
  name: string,
  about: string,
  work: number,
  checksum: string,
  target: Benchmark["target"] = {},
  cpus: number = 1,
): Benchmark => ({ name, about, work, checksum, target, cpus });

export const benchmarks: readonly Benchmark[] = [
  one("integer", "CRC, division, sieve, sorting", 10000, "7df5c46d710d055a", { qemu: 1, v86: 0.5 }),
  one("calls", "recursion, calls through a table", 12000, "1c17e5bdc604fb53", { qemu: 1, v86: 0.5 }),
  one("wide-1000", "1,000 functions in random order", 3000, "a6b483203ab6c9f8", { qemu: 1.2, v86: 0.5 }),
  one("wide-4000", "4,000 functions in random order", 1200, "d722b38d00b7a76f", { qemu: 1.2, v86: 0.5 }),
  one("memory", "8,192 pages: random, page-wise, in order", 200, "18913998623c5a45", { qemu: 1, v86: 1 }),
  one("address-spaces", "CR3 written, 16 pages touched", 1000, "316c800dc307414a", { qemu: 1, v86: 1 }),
  one("sse-scalar-double", "Mandelbrot set, division, square root", 14000, "3d0895f575d8aa40", { qemu: 0.7 }),
  one("sse-packed-double", "matrix product, bounded", 40000, "fdeeacc6a66a1dcd", { qemu: 0.7 }),
  one("sse-scalar-single", "a recurrence with division", 12000, "cd55ebbc3a827cd7", { qemu: 0.7 }),
  one("sse-packed-single", "matrix product, bounded, masks", 80000, "1d970643343e8c18", { qemu: 0.7 }),
  one("sse-integer", "packed integers, shuffles", 120000, "51d72e739236675c", { qemu: 0.7 }),
  one("x87", "n bodies in extended precision", 1600, "f8b0ad5a45957ea9", { qemu: 1, v86: 1 }),
  one("x87-double", "n bodies at 53 bits", 2000, "8366d3b4f07293fa", { qemu: 1, v86: 1 }),
  one("string", "REP MOVS and STOS on plain memory", 3600, "6a99b4b1f77dd0fc", { qemu: 0.02, v86: 2 }),
  one("string-scan", "REPE CMPS and REPNE SCAS", 12500, "f514ca537cbc1a54"),
  one("self-ipi", "interrupts sent to oneself", 6400, "b9a698a599394182", { qemu: 1 }),
  one("latency", "interrupts sent while disabled, then enabled", 6000, "55974ac8ed512cb7"),
  one("timer", "one-shot timer, waited for in HLT", 500, "035e2aa2e7e47aca"),
  one("ping-pong-spin", "IPIs between CPUs that spin on PAUSE", 3000, "d7d42d5e9edebd4f", { qemu: 1 }, 2),
  one("ping-pong-halt", "IPIs between CPUs that halt", 350, "377e1e56dca32493", { qemu: 1 }, 2),
  one("ring-interrupt", "user to supervisor by INT, back by IRET", 5100, "dcce3948cba0f851"),
  one("ring-fast", "the same by SYSCALL or SYSENTER", 28000, "0227cc1c4dc18412"),
  one("code-patch", "a function patched between calls", 1500, "5c55827df1d1b1a4"),
  one("code-generate", "functions written, called 200 times, overwritten", 2400, "9b92c1576e48d0a6"),
];

export const guestImage = (bits: Bits): string => `bench/guests/bench${bits}.elf`;
/** MiB of RAM for the guests of bench/guests. */
export const GUEST_MEMORY = 128;
