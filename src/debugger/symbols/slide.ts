import { readGate } from "../inspect/gates";
import type { DebugCpu } from "../target";
import type { SymbolModule } from "./module";

/** Names of Linux's entry points for exceptions, by vector: of today's kernels, then of those before 5.8. */
const exceptionEntries: Readonly<Record<number, readonly string[]>> = {
  0: ["asm_exc_divide_error", "divide_error"],
  1: ["asm_exc_debug", "debug"],
  3: ["asm_exc_int3", "int3"],
  4: ["asm_exc_overflow", "overflow"],
  5: ["asm_exc_bounds", "bounds"],
  6: ["asm_exc_invalid_op", "invalid_op"],
  7: ["asm_exc_device_not_available", "device_not_available"],
  8: ["asm_exc_double_fault", "double_fault"],
  10: ["asm_exc_invalid_tss", "invalid_TSS"],
  11: ["asm_exc_segment_not_present", "segment_not_present"],
  12: ["asm_exc_stack_segment", "stack_segment"],
  13: ["asm_exc_general_protection", "general_protection"],
  14: ["asm_exc_page_fault", "page_fault", "async_page_fault"],
  16: ["asm_exc_coprocessor_error", "coprocessor_error"],
};
/** While it boots, all exceptions go to a table of stubs of one of these sizes. */
const earlyEntries = "early_idt_handler_array";
const earlyEntryBytes = [9n, 13n];
const pageMask = 0xfffn;

/**
 * How far a kernel lies from where its symbols say (Linux's KASLR): the distance that the IDT, its handlers and the entry of SYSCALL agree on, of a CPU in long mode. Undefined
 * while there are no two that agree, or when the file is not of that kernel.
 */
export function findSlide(module: SymbolModule, cpu: DebugCpu): bigint | undefined {
  const { state } = cpu;
  if (!state.longMode) return undefined;
  const votes = new Map<bigint, number>();
  const vote = (actual: bigint, linked: bigint | undefined): void => {
    if (linked === undefined) return;
    const distance = BigInt.asIntN(64, actual - linked);
    if ((distance & pageMask) === 0n) votes.set(distance, (votes.get(distance) ?? 0) + 1);
  };
  const linked = (name: string): bigint | undefined => module.symbols.named(name).at(0)?.address;
  vote(state.idtrBase, linked("idt_table"));
  vote(state.lstar, linked("entry_SYSCALL_64"));
  const early = linked(earlyEntries);
  for (const [text, names] of Object.entries(exceptionEntries)) {
    const vector = Number(text);
    const gate = readGate(cpu, vector);
    if (gate === "outside" || gate === "unreadable" || !gate.present) continue;
    for (const name of names) vote(gate.offset, linked(name));
    if (early !== undefined) for (const size of earlyEntryBytes) vote(gate.offset, early + BigInt(vector) * size);
  }
  let best: bigint | undefined;
  for (const [distance, count] of votes) if (count >= 2 && count > (best === undefined ? 0 : (votes.get(best) ?? 0))) best = distance;
  return best;
}
