import { WORD_BUDGET, WORD_REQUEST, WORD_SHADOW } from "../tcg/layout";
import type { InterruptController } from "./bus";
import type { CodePosition } from "./codePosition";
import { FLAG_IF } from "./registerBits";
import type { SliceBudget } from "./sliceBudget";
import type { CpuState } from "./state";
import type { CpuSystem } from "./system/system";

/** What was taken at a boundary: nothing, an NMI or interrupt that was delivered to its handler, or another event. */
export type TakenEvent = "none" | "delivered" | "other";

/**
 * Events at instruction boundaries: which are waiting, what holds them off, and which one is taken (SDM vol. 3, "Priority Among Concurrent Events"). How one enters its handler is the
 * system side's: system/delivery.ts.
 */
export class BoundaryEvents {
  private readonly words: Int32Array;
  /** The debugger keeps maskable interrupts from this CPU: they stay pending, whatever IF says. */
  interruptsHeld = false;

  constructor(
    private readonly state: CpuState,
    private readonly system: CpuSystem,
    private readonly controller: InterruptController,
    private readonly position: CodePosition,
    private readonly budget: SliceBudget,
  ) {
    this.words = state.words;
  }

  /** True when the CPU has something to execute or an event to take. */
  get runnable(): boolean {
    const { state } = this;
    if (state.activity === "running" || state.initPending) return true;
    if (state.activity === "shutdown" || state.activity === "wait-for-SIPI") return false;
    return (
      (state.intrPending &&
        !this.interruptsHeld &&
        ((state.systemFlags & FLAG_IF) !== 0 || (state.activity === "mwait" && state.mwaitBreaksOnMasked))) ||
      (state.nmiPending && !state.nmiBlocked) ||
      (state.smiPending && !state.inSmm) ||
      state.trapBits !== 0
    );
  }

  /** Stopped for good as far as timers and devices go: only INIT, SIPI, NMI or SMI could start it again. */
  get hopeless(): boolean {
    const { state } = this;
    if (state.activity === "wait-for-SIPI" || state.activity === "shutdown") return true;
    return state.activity === "halted" && (state.systemFlags & FLAG_IF) === 0 && !this.runnable;
  }

  /** In the one-instruction shadow of STI or a load of SS: interrupts wait. */
  get inShadow(): boolean {
    return this.words[WORD_SHADOW / 4] === this.words[WORD_BUDGET / 4];
  }

  /** In that of a load of SS: debug traps wait as well (SDM vol. 3, "Masking Exceptions and Interrupts When Switching Stacks"). */
  get inStackShadow(): boolean {
    return this.state.stackShadow && this.inShadow;
  }

  /**
   * Takes the most important event waiting at this boundary (SDM vol. 3, "Priority Among Concurrent Events"). Delivery may fault; that is delivered in its turn
   * inside `system`.
   */
  take(): TakenEvent {
    const { state, system } = this;
    if (state.initPending && !state.inSmm) {
      state.initPending = false;
      system.init();
      this.afterStateChange();
      return "other";
    }
    if (state.smiPending && !state.inSmm && state.activity !== "wait-for-SIPI") {
      state.smiPending = false;
      system.enterSmm();
      this.afterStateChange();
      return "other";
    }
    if (state.trapBits !== 0 && !this.inStackShadow) {
      const bits = state.trapBits;
      state.trapBits = 0;
      system.debugTrap(bits);
      this.afterStateChange();
      return "other";
    }
    if (state.freshDelivery || (this.inShadow && state.activity === "running")) return this.clearRequest();
    if (state.nmiPending && !state.nmiBlocked) {
      state.nmiPending = false;
      system.deliverNmi();
      this.delivered();
      return "delivered";
    }
    if (state.intrPending && (state.systemFlags & FLAG_IF) !== 0 && !this.interruptsHeld) {
      const vector = this.controller.acknowledge();
      // One beyond what has retired: the engine takes the running instruction off, which is none here.
      this.budget.setEnds(1);
      system.deliverExternal(vector);
      this.delivered();
      return "delivered";
    }
    if (state.intrPending && state.activity === "mwait" && state.mwaitBreaksOnMasked && !this.interruptsHeld) {
      state.activity = "running";
      return "other";
    }
    return this.clearRequest();
  }

  private clearRequest(): "none" {
    const { state } = this;
    const waiting = state.intrPending || state.nmiPending || state.smiPending || state.initPending;
    this.words[WORD_REQUEST / 4] = waiting ? 1 : 0;
    return "none";
  }

  private delivered(): void {
    this.state.freshDelivery = true;
    this.afterStateChange();
  }

  private afterStateChange(): void {
    this.state.activity = this.state.activity === "halted" || this.state.activity === "mwait" ? "running" : this.state.activity;
    this.state.midString = false;
    this.position.forgetResume();
    this.words[WORD_SHADOW / 4] = -1;
  }
}
