import type { DelayLine } from "../apic/delayLine";
import type { InterruptLedger } from "../apic/ledger";
import { type FollowedFlag, MaskCause } from "../cpu/maskCause";
import type { X86Translator } from "../cpu/frontend/translator";
import type { CodeCache } from "../tcg/codeCache";
import { APIC_HOST, APIC_REGISTERS, HOST_WATCHED, OBSERVED_ALL, OBSERVED_HANDLERS, OBSERVED_MASK, WORD_OBSERVED } from "../tcg/layout";
import type { PhysicalMemory } from "./physicalMemory";
import type { Scheduler } from "./scheduler";
import type { MachineHooks } from "./types";
import type { Vcpu } from "./vcpu";
import { type Watch, Watches } from "./watches";

/** What is observed. */
export interface Observed {
  readonly cpus: readonly Vcpu[];
  readonly ledger: InterruptLedger;
  readonly delayLine: DelayLine;
  readonly memory: PhysicalMemory;
  readonly code: CodeCache;
  readonly translator: X86Translator;
  readonly scheduler: Scheduler;
}

/**
 * Who hears of what the guest does: hooks, and watches of the debugger and of the guest's debug registers. The engine does by itself what nobody hears of; what somebody does is said in its memory, so that
 * nothing is asked where nothing is observed.
 */
export class Observers {
  private hooksNow: MachineHooks = {};
  private readonly watches: Watches;

  constructor(private readonly observed: Observed) {
    const { memory, ledger } = observed;
    this.watches = new Watches(memory, (hit) => this.hooks.watch?.(hit));
    ledger.observe({
      interruptEvent: (event) => this.hooks.interrupt?.(event),
      interruptStorm: (storm) => this.hooks.storm?.(storm),
      misuse: (misuse) => this.hooks.misuse?.(misuse),
      wanted: () => this.hooks.interrupt !== undefined,
      stage: (slot, stage, cpu) => this.hooks.stage?.(slot, stage, cpu) !== false,
      wantsMisuse: () => this.hooks.misuse !== undefined,
    });
  }

  /** The hooks of the moment: exchanged as a whole. */
  get hooks(): MachineHooks {
    return this.hooksNow;
  }

  set hooks(hooks: MachineHooks) {
    this.hooksNow = hooks;
    this.changed();
  }

  /** Says in the engine's memory what somebody hears of that the engine would do by itself, or has a hand in: to be called when hooks want something else than before. */
  changed(): void {
    const { hooks } = this;
    const { ledger, translator, cpus, delayLine } = this.observed;
    const handlers = hooks.exception !== undefined || hooks.handlerEntered !== undefined || hooks.handlerReturned !== undefined;
    const all = translator.interruptFlag === "told" || (handlers && hooks.handlersOnly !== true);
    const observed =
      (all ? OBSERVED_ALL : 0) | (handlers ? OBSERVED_HANDLERS : 0) | (translator.interruptFlag === "unseen" ? 0 : OBSERVED_MASK);
    const told = ledger.observed || hooks.storm !== undefined || ledger.wantsMisuse || delayLine.holds;
    for (const { state, mmu, apic } of cpus) {
      state.words[WORD_OBSERVED / 4] = observed;
      const host = (APIC_REGISTERS + APIC_HOST * 4) / 4;
      if (told || mmu.tlb.watch !== undefined || apic.accessed !== undefined) state.words[host] |= HOST_WATCHED;
      else state.words[host] &= ~HOST_WATCHED;
    }
  }

  /**
   * Whether what clears IF is remembered (`CpuState.interruptsMaskedBy`), and whether each change of it is told as well (`hooks.interruptFlag`), which costs a call out for each of them.
   */
  followInterruptFlag(followed: FollowedFlag): void {
    const { translator, cpus, scheduler, code } = this.observed;
    if (translator.interruptFlag === followed) return;
    translator.interruptFlag = followed;
    for (const vcpu of cpus) {
      const { state, index } = vcpu;
      state.interruptsMaskedBy =
        followed === "unseen" ? undefined : (state.interruptsMaskedBy ?? new MaskCause(state.words, index, scheduler, () => vcpu.retired));
    }
    this.changed();
    code.flush();
  }

  /** Places whose accesses are reported through `hooks.watch`; they replace the former ones. */
  setWatches(watches: readonly Watch[]): void {
    this.watches.set(watches);
    for (const vcpu of this.observed.cpus) {
      this.watchChanged(vcpu);
      vcpu.system.registerWatch = this.watches.registersFor(vcpu.index);
      vcpu.apic.accessed = this.watches.apicFor(vcpu.index);
    }
  }

  /** Watches of the debugger, or of the guest's debug registers on `vcpu`, changed. Translations stay: what is cached of page tables depends on the guest alone. */
  watchChanged(vcpu: Vcpu): void {
    vcpu.mmu.tlb.watch = this.watches.dataFor(vcpu);
    vcpu.mmu.tlb.distrustAll();
    this.changed();
  }

  /** A run begins: from now on it is the guest's devices that access memory, till it ends. */
  runBegins(): void {
    this.observed.memory.deviceWatch = this.watches.forDevices;
    this.changed();
  }

  runEnds(): void {
    this.observed.memory.deviceWatch = undefined;
  }
}
