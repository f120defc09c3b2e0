// Which register of the interrupt controllers a word of source code is about. Knows nothing of VS Code.

const byName: readonly (readonly [RegExp, string])[] = [
  [/(?<![a-z])icr(?![a-z])/, "ICR"],
  [/(lvt|apic)_?(timer|lvtt)\b|lvtt\b|lvt_?timer/, "LVT Timer"],
  [/lint_?0/, "LVT LINT0"],
  [/lint_?1/, "LVT LINT1"],
  [/lvt_?err|lvterr/, "LVT Error"],
  [/lvt_?pc|lvtpc|lvt_?perf|lvt_?pmc/, "LVT PMC"],
  [/lvt_?thmr|lvt_?therm|lvtthmr/, "LVT Thermal"],
  [/cmci/, "LVT CMCI"],
  [/lvt/, "LVT Timer"],
  [/redir|redtbl|ioredtbl|\brte\b|_rte|rte_|io_?apic/, "Redirection Entry"],
  [/\bsvr\b|spiv|_svr|svr_/, "SVR"],
  [/msi.*data|msi_?msg/, "MSI Data"],
];

/** The register that a text (an identifier, a line) names; undefined when it names none. */
export function registerOf(text: string): string | undefined {
  const lower = text.replace(/([a-z0-9])([A-Z])/g, "$1_$2").toLowerCase();
  return byName.find(([pattern]) => pattern.test(lower))?.[1];
}

/** A number as C, Rust, Zig or an assembler writes it; undefined when it is none, or of more than 64 bits. */
export function numberOf(text: string): bigint | undefined {
  const plain = text.replace(/['_]/g, "").replace(/^\$/, "");
  const match = /^(0x[0-9a-f]+|0b[01]+|\d+)(?:u?l{0,2}|l{1,2}u|[ui](?:8|16|32|64))$/i.exec(plain);
  const assembler = /^([0-9][0-9a-f]*)h$/i.exec(plain);
  const value = match !== null ? BigInt(match[1]) : assembler !== null ? BigInt(`0x${assembler[1]}`) : undefined;
  return value === undefined || value >= 1n << 64n ? undefined : value;
}
