import { assert } from "../../common/errors";
import type { Block } from "../codeCache";
import {
  BLOCK_FUNCTION,
  BLOCK_TARGET,
  CPU_JUMP_CACHE,
  FUNCTION_ENTRY_BITS,
  JUMP_ENTRY_BYTES,
  JUMP_FUNCTION,
  JUMP_GENERATION,
  jumpIndex,
  SLOT_RIP,
  WORD_JUMP_GENERATION,
} from "../layout";
import type { EngineMemory } from "../memory";
import { type FunctionBody, FunctionWriter, insert, M, W } from "../wasm/writer";
import { COMMON_FUNCTIONS } from "./callees";
import type { JumpCaches } from "./jumpCaches";
import type { RegionPlan, RegionPlanner } from "./region";
import { BUDGET, CPU, halves } from "./values";

/** A place where a function leaves for another one: a mark of its body. */
export interface LinkSite {
  /** The block that ends there. */
  readonly from: Block;
  /** Where it goes to; undefined: to whatever SLOT_RIP names. */
  readonly rip: bigint | undefined;
  /** BLOCK_TARGET when the jump was looked at last, and whether it was the same the time before. */
  seen: number;
  steady: boolean;
  /** What it was linked to when its function was put into a module last: the target, and what BLOCK_FUNCTION of that was. */
  link: { readonly block: Block; readonly word: number } | undefined;
}

/** A function that may be linked to others, and they to it. */
export interface Linkable {
  readonly slot: number;
  /** What is linked is there already. */
  readonly code: FunctionBody | RegionPlan;
  /** By mark of the body. */
  readonly sites: readonly LinkSite[];
}

/** The sites of a function of these blocks. */
export const sitesOf = ({ marks }: FunctionBody, blocks: readonly Block[]): LinkSite[] =>
  marks.map(({ member, rip }) => ({ from: blocks[member], rip, seen: 0, steady: false, link: undefined }));

/** Modules of all functions that there are, which replace all others once they are installed. */
export interface Renewal {
  /** Slots that links in them name. */
  readonly linked: Set<number>;
  /** Slots that only links in the others name, of functions that are no more. */
  readonly free: readonly number[];
}

/** Where a site goes to, as far as is known now. */
interface Target {
  readonly block: Block;
  /** Its BLOCK_FUNCTION. */
  readonly word: number;
  /** In the same page as the jump, linear and physical: mapped if that is. */
  readonly near: boolean;
}

/**
 * Links functions of one module: a jump from one to another becomes a direct tail call. What it goes by otherwise, the jump cache, the table of functions and jumps of the host's processor that it cannot foretell, takes
 * several times as long.
 *
 * A link holds while BLOCK_FUNCTION of its target is what it was: that word names the function as long as its slot is not given to another one, which whoever gives slots sees to. For a target in another page,
 * the CPU's jump cache must have the target's function, found since mappings changed. What is not so goes the usual way, by the code behind the link.
 */
export class Linker {
  /** Slots that links name. */
  private linked = new Set<number>();
  /** Those of functions that are no more: they must not be given to others while modules are in use that have the links. */
  private held: number[] = [];
  /** Links made. */
  made = 0;

  constructor(
    private readonly memory: EngineMemory,
    private readonly planner: RegionPlanner,
    private readonly jumpCaches: JumpCaches,
  ) {}

  /** Looks where the indirect jumps of `functions` went last: those that go to one place only are worth a link. */
  observe(functions: Iterable<Linkable>): void {
    for (const { sites } of functions) {
      for (const site of sites) {
        if (site.rip !== undefined) continue;
        const last = this.lastTarget(site.from);
        site.steady = last === site.seen;
        site.seen = last;
      }
    }
  }

  private lastTarget(block: Block): number {
    return this.memory.i32[(block.header + BLOCK_TARGET) >>> 2];
  }

  /** `functions` in an order in which what follows another one is near it, as far as links go. */
  order<F extends Linkable>(functions: readonly F[]): F[] {
    const bySlot = new Map(functions.map((f) => [f.slot, f]));
    const ordered: F[] = [];
    for (const first of functions) {
      const work = [first];
      for (let next = work.pop(); next !== undefined; next = work.pop()) {
        if (!bySlot.delete(next.slot)) continue;
        ordered.push(next);
        for (let i = next.sites.length - 1; i >= 0; i--) {
          const target = this.targetOf(next.sites[i]);
          const to = target === undefined ? undefined : bySlot.get(target.word >>> FUNCTION_ENTRY_BITS);
          if (to !== undefined) work.push(to);
        }
      }
    }
    return ordered;
  }

  /** The bodies of `functions`, which become one module in this order, linked with each other. */
  link(functions: readonly Linkable[], renewal?: Renewal): FunctionBody[] {
    const indexes = new Map(functions.map(({ slot }, i) => [slot, COMMON_FUNCTIONS + i]));
    return functions.map(({ code, sites }) => {
      assert("bytes" in code, "a function is linked before it is there");
      return insert(
        code,
        sites.map((site) => {
          site.link = undefined;
          const target = this.targetOf(site);
          if (target === undefined) return undefined;
          const slot = target.word >>> FUNCTION_ENTRY_BITS;
          const index = indexes.get(slot);
          if (index === undefined) return undefined;
          site.link = target;
          this.made++;
          this.linked.add(slot);
          renewal?.linked.add(slot);
          return linkTo(target, site.rip === undefined, index);
        }),
      );
    });
  }

  /** The function in `slot` is no more. True: links name it, so that no other may have it yet. */
  hold(slot: number): boolean {
    if (!this.linked.has(slot)) return false;
    this.held.push(slot);
    return true;
  }

  /** All functions that there are go into new modules. */
  renew(): Renewal {
    const free = this.held;
    this.held = [];
    return { linked: new Set(), free };
  }

  /** The modules are there, and what was before is not entered any more: the slots that are free now. */
  renewed({ linked, free }: Renewal): readonly number[] {
    this.linked = linked;
    return free;
  }

  private targetOf(site: LinkSite): Target | undefined {
    const { from, rip } = site;
    if (!from.alive) return undefined;
    const low = rip === undefined ? this.steadyTarget(site) : halves(rip)[0];
    if (low === undefined) return undefined;
    const near = this.planner.nearBlock(from, rip ?? from.rip + BigInt((low >>> 0) - (from.ripLow >>> 0)));
    const block = near ?? this.jumpCaches.anyBlock(from.mode, low);
    if (block === undefined || (rip !== undefined && block.rip !== rip)) return undefined;
    const word = this.jumpCaches.functionOf(block);
    return word === 0 ? undefined : { block, word, near: near !== undefined };
  }

  /** Lower half of the RIP that the indirect jump at a site goes to, as far as has been seen; 0: it has not gone anywhere. */
  private steadyTarget({ from, seen, steady }: LinkSite): number | undefined {
    return steady && seen !== 0 && seen === this.lastTarget(from) ? seen : undefined;
  }
}

/** Goes to `target`, function `index` of the module, if SLOT_RIP (of an `indirect` jump) says so, and it is still there. */
function linkTo({ block, word, near }: Target, indirect: boolean, index: number): FunctionWriter {
  const w = new FunctionWriter(3, 64);
  if (indirect) {
    w.get(CPU)
      .mem(M.i64Load, SLOT_RIP)
      .i64Halves(...halves(block.rip))
      .op(W.i64Eq);
  }
  if (near) w.i32(0).mem(M.i32Load, block.header + BLOCK_FUNCTION);
  else {
    const entry = CPU_JUMP_CACHE + jumpIndex(block.ripLow) * JUMP_ENTRY_BYTES;
    w.get(CPU).mem(M.i32Load, entry + JUMP_GENERATION);
    w.get(CPU).mem(M.i32Load, WORD_JUMP_GENERATION).op(W.i32Eq);
    if (indirect) w.op(W.i32And);
    w.get(CPU).mem(M.i32Load, entry + JUMP_FUNCTION);
  }
  w.i32(word).op(W.i32Eq);
  if (indirect || !near) w.op(W.i32And);
  w.ifUsual();
  w.get(CPU)
    .i32(word & ((1 << FUNCTION_ENTRY_BITS) - 1))
    .get(BUDGET)
    .returnCall(index);
  return w.end();
}
