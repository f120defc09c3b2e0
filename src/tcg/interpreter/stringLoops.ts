/**
 * Loops of the bulk string instructions (strings.ts), each a small function of its own: V8's optimiser has code for them after a few calls. Addresses are the engine's
 * memory's, lengths in bytes.
 */
import { TLB_ADDEND, WORD_TLB } from "../layout";
import { S, simd, vectorAccess } from "../vector/wasm";
import { CodeBuilder, type Local } from "../wasm/code";
import { toTlbOffset } from "./tlbEntry";

const PAGE = 4096;
const ANY_TRUE = 0x53;
/** i8x16.eq, i16x8.eq, i32x4.eq, i64x2.eq. */
const EQUAL = [0x23, 0x2d, 0x37, 0xd6] as const;
/** Bytes of a pattern that are stored one vector after the other; of longer ones, that much at most is copied at a time: it stays in the first-level cache. */
const HEAD = 512;
const PART = 16_384;

/**
 * Function (cpu, linear, tag, step, wanted, mask): bytes beyond the page of `linear` that follow it in memory as they do in linear addresses, upwards or (step -4096) downwards, up to
 * the first multiple of a page that is no less than `wanted`. Only pages whose entries in the TLB have the fast tag at `tag` count, as that of `linear` must have: accesses to them change nothing there.
 * `mask`: that of the address size.
 */
export function runFunction(): CodeBuilder {
  const code = new CodeBuilder(["i32", "i64", "i32", "i32", "i32", "i64"], ["i32"]);
  const [cpu, linear, tag, step, wanted, mask] = [0, 1, 2, 3, 4, 5].map((index) => code.parameter(index));
  const tlb = code.local("i32");
  const entry = code.local("i32");
  const addend = code.local("i32");
  const beyond = code.local("i32");
  const toEntry = (): void => {
    toTlbOffset(code.get(linear).op("i32.wrap")).get(tlb).op("i32.add").set(entry);
  };
  const isFast = (): CodeBuilder => code.get(entry).get(tag).op("i32.add").mem("i64.load").get(linear).op("i64.eq");
  code.get(linear).i64(-4096n).op("i64.and").set(linear);
  code.get(cpu).mem("i32.load", WORD_TLB).set(tlb);
  toEntry();
  code.get(entry).mem("i32.load", TLB_ADDEND).set(addend);
  code.block("end").loop("page");
  code.get(linear).get(step).op("i64.extend_s", "i64.add").tee(linear).get(mask).op("i64.and").get(linear).op("i64.ne").brIf("end");
  toEntry();
  isFast().get(entry).mem("i32.load", TLB_ADDEND).get(addend).op("i32.eq", "i32.and", "i32.eqz").brIf("end");
  code.get(beyond).i32(PAGE).op("i32.add").tee(beyond).get(wanted).op("i32.lt_u").brIf("page");
  code.end().end();
  code.get(beyond);
  return code;
}

/** Function (to, bytes, value, shift): an element of 1 << shift bytes again and again. */
export function fillFunction(): CodeBuilder {
  const code = new CodeBuilder(["i32", "i32", "i64", "i32"], []);
  const [to, bytes, value, shift] = [0, 1, 2, 3].map((index) => code.parameter(index));
  const at = code.local("i32");
  const end = code.local("i32");
  const done = code.local("i32");
  const length = code.local("i32");
  // value = the element in every place of 64 bits.
  const times = (size: number, factor: bigint): void => {
    code.get(shift).i32(size).op("i32.eq").if();
    code
      .get(value)
      .i64(factor - 1n)
      .op("i64.and");
    code
      .i64(0xffff_ffff_ffff_ffffn / (factor - 1n))
      .op("i64.mul")
      .set(value)
      .end();
  };
  times(0, 1n << 8n);
  times(1, 1n << 16n);
  times(2, 1n << 32n);
  // The same byte everywhere: zeros, mostly.
  code.get(value).get(value).i64(8n).op("i64.rotl", "i64.eq").if();
  code.get(to).get(value).op("i32.wrap").get(bytes).memoryFill().op("return").end();
  code.get(to).get(bytes).i32(HEAD).get(bytes).i32(HEAD).op("i32.lt_u", "select").tee(done).op("i32.add").set(end);
  code.get(to).set(at);
  code.loop("words").block("rest");
  code.get(at).i32(8).op("i32.add").get(end).op("i32.gt_u").brIf("rest");
  code.get(at).get(value).mem("i64.store");
  code.get(at).i32(8).op("i32.add").set(at).br("words").end().end();
  // The rest of a short one: its elements are the first of the pattern.
  code.loop("element").block("whole");
  code.get(at).get(end).op("i32.ge_u").brIf("whole");
  code.get(shift).i32(1).op("i32.eq").if();
  code.get(at).get(value).mem("i64.store16");
  code.else();
  code.get(at).get(value).mem("i64.store32").end();
  code.get(at).i32(1).get(shift).op("i32.shl", "i32.add").set(at).br("element").end().end();
  code.loop("part").block("filled");
  code.get(bytes).get(done).op("i32.sub").tee(length).op("i32.eqz").brIf("filled");
  for (const most of [() => code.get(done), () => code.i32(PART)]) {
    code.get(length);
    most();
    code.get(length);
    most();
    code.op("i32.lt_u", "select").set(length);
  }
  code.get(to).get(done).op("i32.add").get(to).get(length).memoryCopy();
  code.get(done).get(length).op("i32.add").set(done).br("part").end().end();
  return code;
}

/**
 * Function (to, from, bytes): a copy upwards to a place inside the source's range, element by element that is: what was written is read again. `to` - `from` is at least an element.
 */
export function repeatFunction(): CodeBuilder {
  const code = new CodeBuilder(["i32", "i32", "i32"], []);
  const [to, from, bytes] = [0, 1, 2].map((index) => code.parameter(index));
  const length = code.local("i32");
  code.loop("part").block("done");
  code.get(bytes).op("i32.eqz").brIf("done");
  // From `from` up to `to`, memory repeats the distance that they had: that much, then twice that much, and so on, has its source complete.
  code.get(to).get(from).op("i32.sub").tee(length).get(bytes).get(length).get(bytes).op("i32.lt_u", "select").set(length);
  code.get(to).get(from).get(length).memoryCopy();
  code.get(to).get(length).op("i32.add").set(to);
  code.get(bytes).get(length).op("i32.sub").set(bytes).br("part").end().end();
  return code;
}

/**
 * Function (to, from, bytes, pattern): how many bytes, in sixteens, one can be certain that a comparison goes on for. `compares`: of memory with memory, else with the
 * pattern. `unequalBy`: while no elements of 1 << unequalBy bytes are equal; undefined: while all bytes are.
 */
export function alikeFunction(compares: boolean, unequalBy: number | undefined): CodeBuilder {
  const code = new CodeBuilder(["i32", "i32", "i32", "v128"], ["i32"]);
  const [to, from, bytes, pattern] = [0, 1, 2, 3].map((index) => code.parameter(index));
  const start = code.local("i32");
  const end = code.local("i32");
  const unlike = (offset: number): void => {
    code.get(to).raw(vectorAccess(S.load, offset));
    if (compares) code.get(from).raw(vectorAccess(S.load, offset));
    else code.get(pattern);
    code.raw(simd(unequalBy === undefined ? S.xor : EQUAL[unequalBy]));
  };
  const advance = (local: Local, by: number): CodeBuilder => code.get(local).i32(by).op("i32.add").set(local);
  code.get(to).tee(start).get(bytes).op("i32.add").set(end);
  for (const length of [64, 16]) {
    code.loop("more").block("end");
    code.get(to).i32(length).op("i32.add").get(end).op("i32.gt_u").brIf("end");
    for (let offset = 0; offset < length; offset += 16) {
      unlike(offset);
      if (offset > 0) code.raw(simd(S.or));
    }
    code.raw(simd(ANY_TRUE)).brIf("end");
    advance(to, length);
    if (compares) advance(from, length);
    code.br("more").end().end();
  }
  code.get(to).get(start).op("i32.sub");
  return code;
}
