import {
  FETCH_ENTRIES,
  FETCH_ENTRY_BYTES,
  FETCH_HIGH,
  FETCH_PAGE,
  FETCH_TLB,
  JUMP_ENTRY_BYTES,
  JUMP_GENERATION,
  JUMP_MODE,
  JUMP_OP,
  JUMP_PAGE,
  JUMP_RIP,
  SLOT_RIP,
  WORD_FETCH,
  WORD_JUMP_CACHE,
  WORD_JUMP_GENERATION,
  WORD_MODE,
} from "../layout";
import { CodeBuilder } from "../wasm/code";

const PAGE_MASK = ~0xfff;

/**
 * Function (cpu, entry): address of the first op of the block at SLOT_RIP, where the jump-cache entry at its index does not tell; 0 where the host has to look. It is the
 * pair's other entry, which takes the first one's place, or one from before mappings changed whose code is where it was, as the fetch TLB has it.
 */
export function findJumpFunction(): CodeBuilder {
  const code = new CodeBuilder(["i32", "i32"], ["i32"]);
  const cpu = code.parameter(0);
  const entry = code.parameter(1);
  const at = code.local("i32");
  const rip = code.local("i64");
  const rights = code.local("i32");
  const fetch = code.local("i32");
  const swapped = code.local("i64");
  const found = code.local("i32");
  const state32 = (offset: number): CodeBuilder => code.get(cpu).mem("i32.load", offset);
  const field = (offset: number): CodeBuilder => code.get(at).mem("i32.load", offset);

  code.get(cpu).mem("i64.load", SLOT_RIP).set(rip);
  code.get(entry).set(at);
  code.block("none").block("found").loop("entries");
  code.get(at).mem("i64.load", JUMP_RIP).get(rip).op("i64.eq");
  field(JUMP_MODE);
  state32(WORD_MODE).op("i32.eq", "i32.and").brIf("found");
  code.get(at).get(entry).op("i32.eq").if();
  code.get(entry).i32(JUMP_ENTRY_BYTES).op("i32.xor").set(at).br("entries").end();
  code.br("none").end().end();

  field(JUMP_GENERATION);
  state32(WORD_JUMP_GENERATION).op("i32.ne").if();
  state32(WORD_FETCH).tee(rights).i32(0).op("i32.lt_s").brIf("none");
  code.get(rip).op("i32.wrap").i32(12).op("i32.shr_u").i32(1).op("i32.shl").get(rights).op("i32.or");
  code
    .i32(FETCH_ENTRIES - 1)
    .op("i32.and")
    .i32(FETCH_ENTRY_BYTES)
    .op("i32.mul");
  state32(WORD_JUMP_CACHE).op("i32.add").i32(FETCH_TLB).op("i32.add").tee(fetch).mem("i32.load");
  code.get(rip).op("i32.wrap").i32(PAGE_MASK).op("i32.and").get(rights).op("i32.or", "i32.ne");
  code.get(fetch).mem("i32.load", FETCH_HIGH).get(rip).i64(32n).op("i64.shr_u", "i32.wrap", "i32.ne", "i32.or");
  code.get(fetch).mem("i32.load", FETCH_PAGE);
  field(JUMP_PAGE).op("i32.ne", "i32.or").brIf("none");
  code.get(at);
  state32(WORD_JUMP_GENERATION).mem("i32.store", JUMP_GENERATION).end();

  code.get(at).get(entry).op("i32.ne").if();
  for (let offset = 0; offset < JUMP_ENTRY_BYTES; offset += 8) {
    code.get(at).mem("i64.load", offset).set(swapped);
    code.get(at).get(entry).mem("i64.load", offset).mem("i64.store", offset);
    code.get(entry).get(swapped).mem("i64.store", offset);
  }
  code.end();
  code.get(entry).mem("i32.load", JUMP_OP).set(found).end();
  code.get(found);
  return code;
}
