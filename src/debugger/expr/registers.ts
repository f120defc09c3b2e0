/** A register or a part of one: `bits` bits from bit `shift`. */
export interface RegisterPart {
  readonly whole: string;
  readonly shift: bigint;
  readonly bits: number;
}

function build(): ReadonlyMap<string, RegisterPart> {
  const parts = new Map<string, RegisterPart>();
  const add = (name: string, whole: string, bits: number, shift = 0n): void => void parts.set(name, { whole, bits, shift });
  for (const letter of ["a", "b", "c", "d"]) {
    add(`r${letter}x`, `r${letter}x`, 64);
    add(`e${letter}x`, `r${letter}x`, 32);
    add(`${letter}x`, `r${letter}x`, 16);
    add(`${letter}l`, `r${letter}x`, 8);
    add(`${letter}h`, `r${letter}x`, 8, 8n);
  }
  for (const name of ["si", "di", "bp", "sp"]) {
    add(`r${name}`, `r${name}`, 64);
    add(`e${name}`, `r${name}`, 32);
    add(name, `r${name}`, 16);
    add(`${name}l`, `r${name}`, 8);
  }
  for (let number = 8; number < 16; number++) {
    add(`r${number}`, `r${number}`, 64);
    add(`r${number}d`, `r${number}`, 32);
    add(`r${number}w`, `r${number}`, 16);
    add(`r${number}b`, `r${number}`, 8);
  }
  for (const [name, whole] of [
    ["ip", "rip"],
    ["flags", "rflags"],
  ] as const) {
    add(`r${name}`, whole, 64);
    add(`e${name}`, whole, 32);
    add(name, whole, 16);
  }
  add("pc", "rip", 64);
  for (const name of ["cs", "ds", "es", "fs", "gs", "ss"]) add(name, name, 16);
  for (let number = 0; number < 16; number++) add(`xmm${number}`, `xmm${number}`, 128);
  add("mxcsr", "mxcsr", 32);
  for (const number of [0, 2, 3, 4, 8]) add(`cr${number}`, `cr${number}`, 64);
  for (const number of [0, 1, 2, 3, 6, 7]) add(`dr${number}`, `dr${number}`, 64);
  return parts;
}

const parts = build();

/** The register that `name` (lower case) is or is a part of; undefined for names that are no registers. */
export function registerPart(name: string): RegisterPart | undefined {
  return parts.get(name);
}

/** Names of whole registers, for completion and checks. */
export function wholeRegisters(): string[] {
  return [...parts].filter(([name, part]) => part.whole === name).map(([name]) => name);
}
