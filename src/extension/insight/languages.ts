// Languages of guests' sources: those that take breakpoints.
import type { DocumentSelector } from "vscode";

const names = [
  ...["c", "cpp", "rust", "zig", "go", "d", "nim", "ada", "pascal", "swift"],
  ...["asm", "asm-collection", "asm-intel-x86-generic", "gas", "nasm", "fasm", "masm", "x86asm"],
];

/** Files of these languages. */
export const guestSources: DocumentSelector = names.map((language) => ({ language }));
