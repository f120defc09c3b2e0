// Virtual time as guests read it and wait for it: RDTSC, RDTSCP and PAUSE.
import {
  JOURNAL_COUNT,
  JOURNAL_IDLE,
  PAUSE_NANOSECONDS,
  SLOT_INSTRUCTION_END,
  SLOT_RETIRED_END,
  SLOT_TSC_AUX,
  SLOT_TSC_OFFSET,
  slotOfGpr,
  WORD_BUDGET,
  WORD_CPL,
  WORD_CR4,
  WORD_JOURNAL,
  WORD_SPARE,
} from "../layout";
import { CodeBuilder } from "../wasm/code";

const RAX = slotOfGpr(0);
const RCX = slotOfGpr(1);
const RDX = slotOfGpr(2);
/** Number of a bit of CR4. */
const TSD = 2;

/** Function (cpu, aux, budget): RDTSC, or RDTSCP where `aux` is not 0, the last instruction of a block after which `budget` is left. Returns 1; or 0, with nothing done, where it faults. */
export function readTscFunction(): CodeBuilder {
  const code = new CodeBuilder(["i32", "i32", "i32"], ["i32"]);
  const [cpu, aux, budget] = [0, 1, 2].map((index) => code.parameter(index));
  const tsc = code.local("i64");
  code.get(cpu).mem("i32.load", WORD_CPL).i32(0).op("i32.ne");
  code.get(cpu).mem("i32.load", WORD_CR4).i32(TSD).op("i32.shr_u", "i32.and").ifRare().i32(0).op("return").end();
  // What has retired before it, and what went by beside that.
  code.get(cpu).mem("i64.load", SLOT_INSTRUCTION_END).get(budget).op("i64.extend_u", "i64.sub").i64(1n).op("i64.sub");
  code.get(cpu).mem("i32.load", WORD_JOURNAL).mem("i64.load", JOURNAL_IDLE).op("i64.add");
  code.get(cpu).mem("i64.load", SLOT_TSC_OFFSET).op("i64.add").set(tsc);
  code.get(cpu).get(tsc).i64(0xffff_ffffn).op("i64.and").mem("i64.store", RAX);
  code.get(cpu).get(tsc).i64(32n).op("i64.shr_u").mem("i64.store", RDX);
  code.get(aux).if().get(cpu).get(cpu).mem("i64.load", SLOT_TSC_AUX).mem("i64.store", RCX).end();
  return code.i32(1);
}

/**
 * Function (cpu, budget): PAUSE of the only CPU that can run, the last instruction of a block after which `budget` is left: virtual time goes by (Scheduler.linger, in the engine). WORD_BUDGET is cut where a timer
 * would be late otherwise. Returns 1; or 0, with nothing done, where the host has to.
 */
export function pauseFunction(): CodeBuilder {
  const code = new CodeBuilder(["i32", "i32"], ["i32"]);
  const [cpu, budget] = [0, 1].map((index) => code.parameter(index));
  const spare = code.local("i32");
  const cut = code.local("i32");
  const journal = code.local("i32");
  code.block("no");
  code.get(cpu).mem("i32.load", WORD_SPARE).tee(spare).op("i32.eqz").brIfRare("no");
  code.get(spare).i32(1).op("i32.sub").set(spare);
  // What is in the journal happened before this time goes by.
  code.get(cpu).mem("i32.load", WORD_JOURNAL).tee(journal).mem("i32.load", JOURNAL_COUNT).brIfRare("no");
  code.get(spare).i32(PAUSE_NANOSECONDS).op("i32.lt_u").if();
  code.i32(PAUSE_NANOSECONDS).get(spare).op("i32.sub").tee(cut).get(budget).op("i32.ge_u").brIfRare("no");
  code.get(cpu).get(budget).get(cut).op("i32.sub").mem("i32.store", WORD_BUDGET);
  for (const end of [SLOT_RETIRED_END, SLOT_INSTRUCTION_END])
    code.get(cpu).get(cpu).mem("i64.load", end).get(cut).op("i64.extend_u", "i64.sub").mem("i64.store", end);
  code.get(cpu).i32(1).mem("i32.store", WORD_SPARE);
  code.else();
  code
    .get(cpu)
    .get(spare)
    .i32(PAUSE_NANOSECONDS - 1)
    .op("i32.sub")
    .mem("i32.store", WORD_SPARE)
    .end();
  code.get(journal).get(journal).mem("i64.load", JOURNAL_IDLE).i64(BigInt(PAUSE_NANOSECONDS)).op("i64.add").mem("i64.store", JOURNAL_IDLE);
  code.i32(1).op("return").end();
  return code.i32(0);
}
