import {
  CPU_STATE_BYTES,
  MARK_FREE,
  MARK_PLAIN,
  MMU_SUPERVISOR_SMAP,
  MMU_USER,
  TLB_ADDEND,
  TLB_ENTRIES,
  TLB_ENTRY_BYTES,
  TLB_PHYSICAL_PAGE,
  TLB_READ,
  TLB_WRITE,
  WALK_32,
  WALK_GIGABYTE,
  WALK_LA57,
  WALK_LARGE,
  WALK_NX,
  WALK_PSE,
  WALK_WP,
  WORD_MARKS_BASE,
  WORD_RAM_BASE,
  WORD_RAM_PAGES,
  WORD_TLB,
  WORD_TLB_USED,
  WORD_WALK,
  WORD_WALK_KEYS,
  WORD_WALK_ROOT,
  WORD_WALKS,
} from "../layout";
import { CodeBuilder } from "../wasm/code";
import { KIND_PROBE_WRITE } from "./memory";
import { toTlbOffset } from "./tlbEntry";

const PRESENT_ACCESSED = 0x21n;
const WRITABLE = 2n;
const USER = 4n;
const DIRTY = 0x40n;
const LARGE = 0x80n;
/** Entries with any of these are left to the host: addresses beyond 4 GiB, reserved bits. Without NX, bit 63 as well. */
const BEYOND = 0x000f_ffff_0000_0000n;
const NX = 1n << 63n;
const TLB_BYTES = TLB_ENTRIES * TLB_ENTRY_BYTES;

/**
 * Function (cpu, address, kind): fills the TLB for an access that missed it, as Tlb.fill does, and returns the entry's address; or 0, with nothing done, wherever anything
 * is out of the ordinary: accessed or dirty bits to set, pages that are no plain RAM, stores to pages that must be seen of, entries that are there but slow, faults, accesses across pages. `kind`: size in bytes, KIND_PROBE_WRITE.
 * Tables and pages must have been marked by the host.
 */
export function walkFunction(): CodeBuilder {
  const code = new CodeBuilder(["i32", "i64", "i32"], ["i32"]);
  const cpu = code.parameter(0);
  const address = code.parameter(1);
  const kind = code.parameter(2);
  const mode = code.local("i32");
  const low = code.local("i32");
  const table = code.local("i32");
  const ram = code.local("i32");
  const page = code.local("i32");
  const entry = code.local("i32");
  const index = code.local("i32");
  const e = code.local("i64");
  const rights = code.local("i64");
  const linear = code.local("i64");

  const mask = (value: number): CodeBuilder => code.i32(value).op("i32.and");
  const requireMark = (mark: number): void => {
    code.get(page).get(cpu).mem("i32.load", WORD_RAM_PAGES).op("i32.ge_u").brIfRare("no");
    code.get(page).get(cpu).mem("i32.load", WORD_MARKS_BASE).op("i32.add").mem("i32.load8_u");
    mask(mark).op("i32.eqz").brIfRare("no");
  };
  /** Of the table at `table`, entry number `push` pushes: into `e`, its rights into `rights`. */
  const read = (bytes: 4 | 8, push: () => void): void => {
    code.get(table).i32(12).op("i32.shr_u").set(page);
    requireMark(MARK_PLAIN);
    push();
    code
      .i32(bytes === 8 ? 3 : 2)
      .op("i32.shl")
      .get(table)
      .op("i32.add")
      .get(ram)
      .op("i32.add")
      .mem(bytes === 8 ? "i64.load" : "i64.load32_u")
      .tee(e);
    code.i64(PRESENT_ACCESSED).op("i64.and").i64(PRESENT_ACCESSED).op("i64.ne").brIfRare("no");
    if (bytes === 8) {
      code
        .get(e)
        .i64(BEYOND)
        .i64(BEYOND | NX);
      code.get(mode);
      mask(WALK_NX).op("select", "i64.and").i64(0n).op("i64.ne").brIfRare("no");
    }
    code.get(rights).get(e).op("i64.and").set(rights);
  };
  /** A large page of 1 << `bits` bytes, where the mode has all bits of `allowed`: goes to "leaf". */
  const large = (bits: number, reserved: bigint, allowed = WALK_LARGE): void => {
    code.get(e).i64(LARGE).op("i64.and").i64(0n).op("i64.ne").if();
    code.get(mode);
    mask(allowed).i32(allowed).op("i32.ne").brIfRare("no");
    code.get(e).i64(reserved).op("i64.and").i64(0n).op("i64.ne").brIfRare("no");
    code
      .get(e)
      .op("i32.wrap")
      .i32(bits)
      .op("i32.shr_u")
      .i32(bits - 12)
      .op("i32.shl");
    code.get(low).i32(12).op("i32.shr_u");
    mask((1 << (bits - 12)) - 1)
      .op("i32.or")
      .set(page)
      .br("leaf")
      .end();
  };
  const next = (): void => {
    code.get(e).op("i32.wrap");
    mask(-4096).set(table);
  };

  code.block("no");
  code.get(cpu).mem("i32.load", WORD_WALK).tee(mode).op("i32.eqz").brIfRare("no");
  code.get(address).op("i32.wrap").tee(low);
  mask(4095).get(kind);
  mask(0xff).op("i32.add").i32(4096).op("i32.gt_u").brIfRare("no");
  toTlbOffset(code.get(cpu).mem("i32.load", WORD_TLB).get(low)).op("i32.add").set(entry);
  // What is there but slow is the host's: the guest may have changed its tables since, and still sees what was cached.
  code.get(entry).mem("i64.load", TLB_WRITE).get(entry).mem("i64.load", TLB_READ).get(kind);
  mask(KIND_PROBE_WRITE).op("select").i64(-2n).op("i64.and").get(address).i64(-4096n).op("i64.and", "i64.eq").brIfRare("no");
  code.get(cpu).mem("i32.load", WORD_WALK_ROOT).set(table);
  code.get(cpu).mem("i32.load", WORD_RAM_BASE).set(ram);
  code.i64(-1n).set(rights);
  code.block("leaf");
  code.get(mode);
  mask(WALK_32).if();
  code.get(address).i64(32n).op("i64.shr_u").i64(0n).op("i64.ne").brIfRare("no");
  read(4, () => code.get(low).i32(22).op("i32.shr_u"));
  code.get(mode);
  mask(WALK_PSE).if();
  // Bits 20:13 are address bits 39:32.
  large(22, 0x3f_e000n);
  code.end();
  next();
  read(4, () => {
    code.get(low).i32(12).op("i32.shr_u");
    mask(0x3ff);
  });
  code.else();
  const readLevel = (shift: number): void => {
    read(8, () => {
      code.get(address).i64(BigInt(shift)).op("i64.shr_u", "i32.wrap");
      mask(0x1ff);
    });
    if (shift >= 39) code.get(e).i64(LARGE).op("i64.and").i64(0n).op("i64.ne").brIfRare("no");
  };
  /** Bits above the lowest `bits` of the address must be copies of the topmost of those. */
  const requireCanonical = (bits: number): void => {
    const unused = BigInt(64 - bits);
    code.get(address).i64(unused).op("i64.shl").i64(unused).op("i64.shr_s").get(address).op("i64.ne").brIfRare("no");
  };
  code.get(mode);
  mask(WALK_LA57).if();
  requireCanonical(57);
  readLevel(48);
  next();
  code.else();
  requireCanonical(48);
  code.end();
  for (const shift of [39, 30, 21, 12]) {
    readLevel(shift);
    if (shift === 30) large(30, 0x3fff_e000n, WALK_LARGE | WALK_GIGABYTE);
    if (shift === 21) large(21, 0x1f_e000n);
    if (shift !== 12) next();
  }
  code.end();
  code.get(e).op("i32.wrap").i32(12).op("i32.shr_u").set(page);
  code.end(); // leaf

  code.get(cpu).mem("i32.load", WORD_TLB).get(cpu).op("i32.sub").i32(CPU_STATE_BYTES).op("i32.sub").set(index);
  const isUserPage = (): CodeBuilder => code.get(rights).i64(USER).op("i64.and").i64(0n).op("i64.ne");
  isUserPage()
    .op("i32.eqz")
    .get(index)
    .i32(MMU_USER * TLB_BYTES)
    .op("i32.eq", "i32.and")
    .brIfRare("no");
  isUserPage()
    .get(index)
    .i32(MMU_SUPERVISOR_SMAP * TLB_BYTES)
    .op("i32.eq", "i32.and")
    .brIfRare("no");
  // A protection key that takes rights away. Outside long mode there are none, and the leaf's upper bits are zeros.
  code.get(cpu).mem("i32.load", WORD_WALK_KEYS).get(e).i64(59n).op("i64.shr_u", "i32.wrap");
  mask(15);
  isUserPage().op("i32.eqz").i32(4).op("i32.shl", "i32.or", "i32.shr_u");
  mask(1).brIfRare("no");
  const isWritable = (): CodeBuilder => code.get(rights).i64(WRITABLE).op("i64.and").i64(0n).op("i64.ne");
  // A read-only page that the supervisor may write: the host remembers that there is one.
  isWritable()
    .op("i32.eqz")
    .get(index)
    .i32(MMU_USER * TLB_BYTES)
    .op("i32.ne")
    .get(mode);
  mask(WALK_WP).op("i32.eqz", "i32.and", "i32.and").brIfRare("no");
  // linear = the write tag: the page, or all ones where a store must not or has a dirty bit to set.
  code.get(address).i64(-4096n).op("i64.and").i64(-1n);
  isWritable();
  code.get(e).i64(DIRTY).op("i64.and").i64(0n).op("i64.ne", "i32.and", "select").set(linear);
  code.get(linear).i64(-1n).op("i64.eq").get(kind);
  mask(KIND_PROBE_WRITE).i32(0).op("i32.ne", "i32.and").brIfRare("no");
  requireMark(MARK_PLAIN);
  // A page that stores must be seen of: loads need no notice, so that their entries are made here with a write tag that is slow.
  code.get(page).get(cpu).mem("i32.load", WORD_MARKS_BASE).op("i32.add").mem("i32.load8_u");
  mask(MARK_FREE).op("i32.eqz").if();
  code.get(kind);
  mask(KIND_PROBE_WRITE).brIfRare("no");
  code.get(linear).i64(1n).op("i64.or").set(linear).end();
  code.get(entry).get(address).i64(-4096n).op("i64.and").mem("i64.store", TLB_READ);
  code.get(entry).get(linear).mem("i64.store", TLB_WRITE);
  code.get(entry).get(page).i32(12).op("i32.shl").get(ram).op("i32.add").get(low);
  mask(-4096).op("i32.sub").mem("i32.store", TLB_ADDEND);
  code.get(entry).get(page).mem("i32.store", TLB_PHYSICAL_PAGE);
  code.get(cpu).get(cpu).mem("i32.load", WORD_TLB_USED).i32(1).get(low).i32(17).op("i32.shr_u", "i32.shl", "i32.or");
  code.mem("i32.store", WORD_TLB_USED);
  code.get(cpu).get(cpu).mem("i32.load", WORD_WALKS).i32(1).op("i32.add").mem("i32.store", WORD_WALKS);
  code.get(entry).op("return").end();
  return code.i32(0);
}
