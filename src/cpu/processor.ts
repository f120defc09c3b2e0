import { DECISION_EVENT, DECISION_STOP, type DecisionRing } from "./decisions";
import { assert } from "../common/errors";
import { countAt } from "../common/counts";
import type { Moment } from "../common/moment";
import { type Block, type CodeCache, instructionAddress } from "../tcg/codeCache";
import { ENTER_BLOCK, type RunFunction } from "../tcg/interpreter/interpreter";
import {
  OP_D,
  SLOT_FRESH,
  SLOT_RIP,
  APIC_HOST,
  APIC_REGISTERS,
  HOST_RUN,
  MOST_SPARE,
  WORD_BLOCK,
  WORD_BUDGET,
  WORD_MODE,
  WORD_OP,
  WORD_REQUEST,
  WORD_SHADOW,
  WORD_SPARE,
  WORD_TAKEN,
} from "../tcg/layout";
import { EXIT_BREAK, EXIT_BUDGET, EXIT_CHAIN, EXIT_FAULT, EXIT_HOT, EXIT_LEAVE, EXIT_LOOKUP } from "../tcg/ops";
import { BlockFinder, type CodeBreakpoints } from "./blockFinder";
import { BoundaryEvents } from "./boundaryEvents";
import type { InterruptController, PhysicalBus } from "./bus";
import { CodePosition } from "./codePosition";
import type { JumpCache } from "./jumpCache";
import type { Mmu } from "./mmu";
import { FLAG_RF, FLAG_TF } from "./registerBits";
import { SliceBudget } from "./sliceBudget";
import type { CpuState } from "./state";
import type { CpuSystem } from "./system/system";
import type { Translator } from "./translation";

/** Why a slice ended before its budget was used up. */
export type SliceEnd = "budget" | "idle" | "yield" | "debug";

/** Who may work on the local APIC's registers. */
const HOST = APIC_REGISTERS + APIC_HOST * 4;
/** DR6.BS: single step. */
const DR6_BS = 1 << 14;

/**
 * One vCPU: takes events at instruction boundaries and runs blocks on an instruction budget, so that interrupts, quanta, deadlines and breakpoints land on the
 * exact instruction. The engine behind it (`run`) is the emitted interpreter or, in tests, the reference one.
 */
export class Processor {
  private readonly words: Int32Array;
  private readonly finder: BlockFinder;
  private readonly jumps: JumpCache;
  private readonly position: CodePosition;
  private readonly budget: SliceBudget;
  private readonly boundary: BoundaryEvents;
  /** The loop's last decisions, kept while this is set. */
  decisions: DecisionRing | undefined;
  /** Instructions retired, and tried but faulted, since power-on: what a turn is measured by. */
  attempted = 0;
  /** Events taken at boundaries since power-on: interrupts, traps, INIT, SMI. */
  taken = 0;
  /** The next slice ends when it has taken an event. */
  stopAfterEvent = false;
  /** The run of instructions that ended last ended with a fault. */
  private faulted = false;
  private yieldRequested = false;
  private debugStop = false;
  /** RIP at which the debugger resumed: its breakpoint there does not stop again before an instruction retires. */
  private resumedFrom: bigint | undefined;

  constructor(
    readonly state: CpuState,
    readonly mmu: Mmu,
    readonly system: CpuSystem,
    private readonly code: CodeCache,
    bus: PhysicalBus,
    translator: Translator,
    controller: InterruptController,
    private readonly run: RunFunction,
    breakpoints: CodeBreakpoints,
    /** Told of blocks that have become hot. */
    private readonly hot: ((block: Block, cpu: number) => void) | undefined = undefined,
  ) {
    this.words = state.words;
    this.jumps = mmu.jumps;
    this.finder = new BlockFinder(state, mmu.tlb, mmu.jumps, code, bus, translator, breakpoints);
    this.position = new CodePosition(state, code);
    this.budget = new SliceBudget(state, this.position);
    this.boundary = new BoundaryEvents(state, system, controller, this.position, this.budget);
    mmu.onCodeWritten = () => this.leaveAfterInstruction();
  }

  /** Instructions this CPU has retired since power-on; exact inside an instruction (which does not count itself). */
  get retired(): number {
    return this.budget.retired;
  }

  /** What the whole machine had retired beside this CPU's own instructions as the slice begins. */
  set othersRetired(instructions: number) {
    this.budget.othersRetired = instructions;
  }

  /** Instructions by which slices were made shorter, since the CPU was made. */
  get shortened(): number {
    return this.budget.shortened;
  }

  /** Takes `instructions` off the running slice's budget; false where too little of it is left. */
  shorten(instructions: number): boolean {
    return this.budget.shorten(instructions);
  }

  /** Says how much time PAUSE may let go by in the engine (WORD_SPARE); less than 0: it is for the host. */
  set spare(nanoseconds: number) {
    this.words[WORD_SPARE / 4] = nanoseconds < 0 ? 0 : 1 + Math.min(nanoseconds, MOST_SPARE);
  }

  /** A timer moved ahead: there may be less to spare. */
  limitSpare(nanoseconds: number): void {
    if (nanoseconds < this.words[WORD_SPARE / 4] - 1) this.spare = nanoseconds;
  }

  /** RIP of the current instruction while executing, else of the next one. */
  get currentRip(): bigint {
    return this.position.rip;
  }

  /** Fills in the RIP of {@link currentRip}; returns {@link retired}. */
  moment(into: Moment): number {
    const { words, position } = this;
    if (!position.executing) {
      into.ripLow = words[SLOT_RIP / 4];
      into.ripHigh = words[SLOT_RIP / 4 + 1];
      return this.budget.retired;
    }
    const block = position.locate();
    position.fillRip(into, block, position.index);
    return this.budget.retiredAt(block, position.index);
  }

  /** Something changed that the CPU must look at: leave after the current instruction, or look before the next. */
  request(): void {
    this.words[WORD_REQUEST / 4] = 1;
    this.leaveAfterInstruction();
  }

  /** Ends the slice after the current instruction (another CPU or a timer wants to run). */
  yield(): void {
    this.yieldRequested = true;
    this.leaveAfterInstruction();
  }

  /** A debugger breakpoint helper asks: true to stop here. */
  reachedBreakpoint(rip: bigint): boolean {
    if (this.resumedFrom === rip) return false;
    this.debugStop = true;
    return true;
  }

  /** The debugger resumes at the current RIP: a breakpoint there is passed once. */
  resumeFromHere(): void {
    this.resumedFrom = this.state.rip;
  }

  /** Adds DR6 bits for the #DB trap after the current instruction (data breakpoints, task switch). */
  addTrap(bits: number): void {
    this.state.trapBits |= bits;
    this.leaveAfterInstruction();
  }

  private leaveAfterInstruction(): void {
    if (this.position.executing) this.budget.leaveAfterInstruction();
  }

  /** True when the CPU has something to execute or an event to take. */
  get runnable(): boolean {
    return this.boundary.runnable;
  }

  /** Stopped for good as far as timers and devices go: only INIT, SIPI, NMI or SMI could start it again. */
  get hopeless(): boolean {
    return this.boundary.hopeless;
  }

  /** In the one-instruction shadow of STI or a load of SS: interrupts wait. */
  get inShadow(): boolean {
    return this.boundary.inShadow;
  }

  /** The debugger keeps maskable interrupts from this CPU: they stay pending, whatever IF says. */
  get interruptsHeld(): boolean {
    return this.boundary.interruptsHeld;
  }

  set interruptsHeld(held: boolean) {
    this.boundary.interruptsHeld = held;
  }

  /**
   * Runs up to `instructions` (at least 1), and up to `reserve` more that are iterations of string instructions done in bulk. Returns why it stopped; `retired` tells how
   * many were retired. With "debug" the CPU stands before the instruction at a debugger's breakpoint.
   */
  slice(instructions: number, reserve = 0): SliceEnd {
    const { budget } = this;
    let left = instructions;
    let more = reserve;
    this.yieldRequested = false;
    while (left > 0) {
      if (!this.boundary.runnable) return "idle";
      if (this.takeEvents()) {
        this.taken++;
        if (this.stopAfterEvent) return "yield";
        // An observer of the delivery wants to look at the handler's first instruction.
        if (this.yieldRequested) return "yield";
        continue;
      }
      if (this.state.activity !== "running") return "idle";
      const trap = (this.state.systemFlags & FLAG_TF) !== 0;
      const resumed = (this.state.systemFlags & FLAG_RF) !== 0;
      const shadowed = this.boundary.inShadow;
      // A breakpoint that is passed once is passed by itself: the next time round it stops.
      // With nothing waiting, no event comes between the first instructions of a handler either.
      const fresh = this.state.freshDelivery && this.words[WORD_REQUEST / 4] !== 0;
      const single = trap || resumed || shadowed || fresh || this.resumedFrom !== undefined;
      this.system.trapSuppressed = false;
      this.system.resumeFlagLoaded = false;
      const before = budget.retired;
      const { shortened } = budget;
      this.execute(single ? 1 : left, single ? 0 : more, shadowed);
      const done = budget.retired - before;
      more -= budget.drawn;
      // A faulting instruction does not retire, but its delivery takes a turn: a guest that only faults cannot hold the host.
      const steps = done + (this.faulted ? 1 : 0);
      left -= steps - budget.drawn + budget.shortened - shortened;
      this.attempted += steps;
      this.taken += this.words[WORD_TAKEN / 4];
      this.resumedFrom = undefined;
      if (done > 0) {
        // RF covers one instruction (SDM vol. 3, "Instruction-Breakpoint Exception Condition").
        if (resumed && !this.faulted && !this.system.resumeFlagLoaded) this.state.systemFlags &= ~FLAG_RF;
        this.state.freshDelivery = countAt(this.words, SLOT_FRESH / 4) === budget.retired;
        if (trap && !this.faulted && !this.system.trapSuppressed && !this.boundary.inStackShadow) this.state.trapBits |= DR6_BS;
      }
      if (this.debugStop) {
        this.debugStop = false;
        return "debug";
      }
      if (this.yieldRequested) {
        this.yieldRequested = false;
        // What the instruction itself caused (a trap, its own interrupt) is taken when the CPU runs next.
        return "yield";
      }
    }
    return "budget";
  }

  /** Takes the most important event waiting at this boundary; true when one was taken. */
  private takeEvents(): boolean {
    const event = this.boundary.take();
    if (event === "delivered") this.decisions?.note(DECISION_EVENT, this.state.rip, this.budget.retired, 0, 0);
    return event !== "none";
  }

  /** Runs until `instructions` retired, and what was drawn from `reserve`, an event asks to be looked at, or the CPU stops. */
  private execute(instructions: number, reserve: number, shadowed: boolean): void {
    const { words, state, system, position, budget } = this;
    this.faulted = false;
    budget.begin(instructions, reserve);
    // Instruction breakpoints are masked by the shadow of a load of SS, in which exactly one instruction runs.
    system.debug.masked = shadowed && state.stackShadow;
    state.stackShadow = false;
    state.midString = false;
    words[WORD_SHADOW / 4] = -1;
    words[SLOT_FRESH / 4] = words[SLOT_FRESH / 4 + 1] = -1;
    words[WORD_TAKEN / 4] = 0;
    // What wants to see each event, or none, has the host take them.
    if (this.boundary.interruptsHeld || this.stopAfterEvent || this.decisions !== undefined) words[HOST / 4] |= HOST_RUN;
    else words[HOST / 4] &= ~HOST_RUN;
    words[WORD_MODE / 4] = system.computeMode();
    this.mmu.tlb.selectIndex();
    this.jumps.selectCode();
    if (shadowed) words[WORD_REQUEST / 4] = 0;
    let chainFrom = 0;
    /** What the next entry into generated code is found by. */
    let from: "cache" | "search" | "tail" = "cache";
    for (;;) {
      const left = words[WORD_BUDGET / 4];
      if (left <= 0) break;
      let block: Block;
      let index = 0;
      const resumed = position.takeResume();
      if (resumed !== undefined) {
        block = resumed;
        index = position.resumeIndex;
      } else if (from === "cache") {
        // Generated code looks RIP up itself, which spares the search below.
        from = "search";
        position.enter();
        const reason = this.run(state.base, this.code.lookupOp, this.code.lookupHeader, 0);
        position.executing = false;
        const onward = this.finish(reason);
        if (this.decisions !== undefined) this.decide(reason);
        if (!onward) break;
        if (reason === EXIT_CHAIN) chainFrom = words[WORD_OP / 4];
        if (reason === EXIT_BUDGET || reason === EXIT_HOT) from = "tail";
        if (reason === EXIT_LEAVE) from = "cache";
        continue;
      } else {
        const last = from === "tail" ? position.block() : undefined;
        const { flushes } = this.code;
        const found = last?.alive === true ? last : this.finder.findBlock();
        if (found === undefined) {
          // The fetch itself faulted: the instruction was attempted and did not retire.
          this.deliverFault();
          break;
        }
        block = found;
        // An emptied arena holds other ops where the branch was.
        if (chainFrom !== 0 && flushes === this.code.flushes && block.secondPage < 0 && !this.finder.volatile)
          this.code.chain(chainFrom, block);
      }
      chainFrom = 0;
      let charge = block.count - index;
      if (charge > left) {
        charge = left;
        budget.stopBefore(block, index + left);
      }
      position.enter();
      words[WORD_BLOCK / 4] = block.header;
      words[WORD_OP / 4] = instructionAddress(state.memory, block, index);
      // A whole block is entered as a jump to it would, so that it counts.
      const reason = this.run(state.base, words[WORD_OP / 4], block.header, charge === block.count ? ENTER_BLOCK : charge);
      position.executing = false;
      const goOn = this.finish(reason);
      if (this.decisions !== undefined) this.decide(reason);
      if (!goOn) break;
      if (reason === EXIT_CHAIN) chainFrom = words[WORD_OP / 4];
      from = reason === EXIT_BUDGET || reason === EXIT_HOT ? "tail" : reason === EXIT_LEAVE ? "cache" : "search";
    }
    budget.end();
  }

  /** Notes why translated code was left. */
  private decide(reason: number): void {
    const { words, state } = this;
    const op = words[WORD_OP / 4];
    const { u16 } = state.memory;
    const stopped = reason === EXIT_LEAVE && this.debugStop;
    this.decisions?.note(
      stopped ? DECISION_STOP : reason,
      state.rip,
      this.budget.retired,
      op === 0 ? 0 : u16[op >> 1],
      op === 0 ? 0 : u16[(op + OP_D) >> 1],
    );
  }

  /** Settles budget and RIP after generated code returned; true to go on in this slice. */
  private finish(reason: number): boolean {
    const { words, state, position } = this;
    const stopped = this.budget.unpatch();
    const left = this.budget.settleLeave();
    switch (reason) {
      case EXIT_HOT: {
        const block = position.block();
        this.hot?.(block, state.base);
        return left < 0;
      }
      case EXIT_BUDGET:
        // Generated code leaves SLOT_RIP alone on its way from block to block.
        position.setRip(position.block(), 0);
        return left < 0 && words[WORD_BUDGET / 4] > 0;
      case EXIT_LOOKUP:
      case EXIT_CHAIN:
        return left < 0;
      case EXIT_FAULT: {
        const block = position.block();
        const index = position.indexIn(block);
        const end = stopped >= 0 ? stopped : block.count;
        words[WORD_BUDGET / 4] += left >= 0 ? 1 : end - index;
        if (state.pending?.committed !== true) position.setRip(block, index);
        this.deliverFault();
        return false;
      }
      case EXIT_LEAVE:
        if (this.debugStop) {
          const block = position.block();
          const index = position.indexIn(block);
          words[WORD_BUDGET / 4] += (stopped >= 0 ? stopped : block.count) - index;
          position.setRip(block, index);
          return false;
        }
        words[WORD_MODE / 4] = this.system.computeMode();
        this.mmu.tlb.selectIndex();
        this.jumps.selectCode();
        // LSS makes no shadow.
        state.stackShadow &&= this.boundary.inShadow;
        return (
          left < 0 &&
          state.activity === "running" &&
          words[WORD_REQUEST / 4] === 0 &&
          (state.systemFlags & (FLAG_TF | FLAG_RF)) === 0 &&
          words[WORD_SHADOW / 4] !== words[WORD_BUDGET / 4]
        );
      case EXIT_BREAK: {
        const block = position.block();
        const index = position.indexIn(block);
        if (index !== stopped) assert(false, `stopped at instruction ${index} instead of ${stopped}`);
        position.stopAt(block, index);
        return false;
      }
      default:
        assert(false, `unknown exit ${reason}`);
    }
  }

  private deliverFault(): void {
    this.faulted = true;
    this.position.forgetResume();
    this.words[WORD_SHADOW / 4] = -1;
    // What a part of the instruction hit is hit again when it is restarted.
    this.state.trapBits = 0;
    this.system.deliverPending();
  }

  /** Takes over the counts of a saved state: retired, attempted, taken. */
  restoreCounts([retired, attempted, taken]: readonly number[]): void {
    // Where the debugger let it go on belongs to another course.
    this.resumedFrom = undefined;
    this.budget.restoreRetired(retired);
    this.attempted = attempted;
    this.taken = taken;
  }

  /** Forgets where it was inside a block: RIP, mode or code were changed from outside. */
  invalidateResume(): void {
    this.position.forgetResume();
  }
}
