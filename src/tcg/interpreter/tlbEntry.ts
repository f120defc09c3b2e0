import { TLB_ENTRIES, TLB_ENTRY_BYTES } from "../layout";
import type { CodeBuilder } from "../wasm/code";

const SHIFT = Math.log2(4096 / TLB_ENTRY_BYTES);

/** The lower half of a linear address is on the stack: puts the offset of its entry in the TLB in its place. */
export function toTlbOffset(code: CodeBuilder): CodeBuilder {
  return code
    .i32(SHIFT)
    .op("i32.shr_u")
    .i32((TLB_ENTRIES - 1) * TLB_ENTRY_BYTES)
    .op("i32.and");
}
