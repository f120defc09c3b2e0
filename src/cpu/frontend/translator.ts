import { OpBuilder } from "../../tcg/builder";
import { DECODE_FETCH_FAULT, DECODE_OK, DECODE_PAST_END, DECODE_TOO_LONG, DECODE_UNDEFINED, Decoder } from "../decode/decoder";
import type { FollowedFlag } from "../maskCause";
import { MODE_GUEST_BREAKPOINTS } from "../mode";
import type { CpuFeatures } from "../features";
import type { BlockLimits, CodeSource, TranslatedBlock, Translator } from "../translation";
import { unreachable } from "../../common/errors";
import { SLOT_ZERO } from "../../tcg/layout";
import { mnemonics } from "../decode/mnemonics";
import { Helper } from "../helperIds";
import { Emission } from "./emission";
import { emitterOf } from "./emitters";

/** By OpcodeRow.id. */
const emittersById: ((e: Emission) => void)[] = [];
/** Ops that no single instruction exceeds, with room for the end of the block. */
const RESERVED_OPS = 320;
/** An instruction at the start of a block may cross the page's end by this much. */
const MAX_INSTRUCTION_BYTES = 15;

/**
 * The front end: decodes guest code of 16, 32 and 64 bits and emits ops. A block ends at a control transfer, at an instruction that may change how code is
 * translated, at the page's end (an instruction across it is a block of its own), or at the limits given.
 */
export class X86Translator implements Translator {
  private readonly decoder: Decoder;
  private readonly emission: Emission;

  constructor(features: CpuFeatures) {
    this.decoder = new Decoder(features);
    this.emission = new Emission(this.decoder, new OpBuilder());
  }

  /** Who hears of changes of IF. Translations made before stay as they are: the owner drops them. */
  get interruptFlag(): FollowedFlag {
    return this.emission.interruptFlag;
  }

  set interruptFlag(followed: FollowedFlag) {
    this.emission.interruptFlag = followed;
  }

  translate(code: CodeSource, rip: bigint, mode: number, limits: BlockLimits, builder: OpBuilder): TranslatedBlock {
    const { emission, decoder } = this;
    emission.beginBlock(builder, rip, mode, limits);
    const { pageBytes } = limits;
    let instructions = 0;
    let offset = 0;
    let pastEnd = false;
    while (instructions < limits.maxInstructions && offset < pageBytes && builder.count < OpBuilder.MAX_OPS - RESERVED_OPS) {
      // Only the first instruction may look past the page: what lies there is another page's business.
      const end = instructions === 0 ? pageBytes + MAX_INSTRUCTION_BYTES : pageBytes;
      const status = decoder.decode(code, offset, mode, end);
      pastEnd = status === DECODE_PAST_END;
      if (pastEnd || status === DECODE_FETCH_FAULT) break;
      builder.instruction(offset);
      emission.beginInstruction(offset);
      if (limits.breakpointAt?.(emission.rip) === true) this.marker("debuggerBreakpoint");
      if ((mode & MODE_GUEST_BREAKPOINTS) !== 0) this.marker("checkBreakpoint");
      this.emitInstruction(status);
      instructions++;
      offset += decoder.length;
      if (emission.ended) return { instructions, bytes: offset };
    }
    if (instructions > 0) {
      // What comes next may lie in two pages.
      if (pastEnd) emission.gotoNextFar();
      else emission.gotoNext();
    }
    return { instructions, bytes: offset };
  }

  private marker(helper: "debuggerBreakpoint" | "checkBreakpoint"): void {
    this.emission.emit("helper", Helper[helper], SLOT_ZERO, SLOT_ZERO, this.emission.rip);
  }

  private emitInstruction(status: number): void {
    const { emission } = this;
    switch (status) {
      case DECODE_OK:
        (emittersById[this.decoder.row.id] ??= emitterOf(mnemonics[this.decoder.row.id]))(emission);
        return;
      case DECODE_UNDEFINED:
        emission.undefined();
        return;
      case DECODE_TOO_LONG:
        emission.protectionFault();
        return;
      default:
        unreachable(status as never);
    }
  }
}
