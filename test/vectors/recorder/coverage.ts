/** The list of recorded forms, in words. */
import type { VectorForm } from "../format.js";

/** Renders COVERAGE.md from the forms of each file. */
export function coverageList(files: readonly (readonly [string, readonly VectorForm[]])[]): string {
  const all = files.flatMap(([, forms]) => forms);
  const total = (forms: readonly VectorForm[]): number => forms.reduce((sum, form) => sum + form.cases, 0);
  const modes = [64, 32, 16] as const;
  const lines = [
    "# Recorded instruction forms",
    "",
    "Written by `record.sh --coverage`; a number is that of the cases in a mode. README.md says how they are run.",
    "",
    `${all.length} forms (an opcode form counts once a mode), ${total(all)} cases:`,
    ...modes.map((mode) => {
      const forms = all.filter((form) => form.mode === mode);
      return `- ${mode}-bit: ${forms.length} forms, ${total(forms)} cases`;
    }),
    "",
    "Left out: instructions that touch selectors (far CALL, JMP and RET, IRET, LDS and its kin, MOV and PUSH of segment registers),",
    "those that need privilege or I/O rights, CPUID, RDTSC and random numbers, x87 and vector instructions, and near branches",
    "with 66h in 32 and 64-bit mode.",
  ];
  for (const [name, forms] of files) {
    lines.push("", `## ${name}`, "", "| form | feature | 64-bit | 32-bit | 16-bit |", "| --- | --- | --: | --: | --: |");
    const rows = new Map<string, VectorForm[]>();
    for (const form of forms) rows.set(form.id, [...(rows.get(form.id) ?? []), form]);
    for (const [id, variants] of rows) {
      const counts = modes.map((mode) => variants.find((form) => form.mode === mode)?.cases ?? "");
      lines.push(`| ${id.replaceAll("|", "\\|")} | ${variants[0].feature} | ${counts.join(" | ")} |`);
    }
  }
  return `${lines.join("\n")}\n`;
}
