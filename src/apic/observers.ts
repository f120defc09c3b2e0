import type { InterruptEvent, InterruptObserver, InterruptStorm, Misuse } from "./events";
import { type RecordStore, type StageCode, stages } from "./recordStore";

/** Who hears of interrupts: each is told what it wants to hear, and nothing is made while nobody does. */
export class InterruptObservers {
  private readonly list: InterruptObserver[] = [];

  /** `store`: where the records are that stages are of. */
  constructor(private readonly store: RecordStore) {}

  /** Tells `observer` of everything from now on. Returns the function that ends it. */
  observe(observer: InterruptObserver): () => void {
    this.list.push(observer);
    return () => {
      const index = this.list.indexOf(observer);
      if (index >= 0) this.list.splice(index, 1);
    };
  }

  /** True while there is nobody. */
  get isEmpty(): boolean {
    return this.list.length === 0;
  }

  /** Whether somebody would hear of stages. */
  get wantStages(): boolean {
    const { list } = this;
    for (let index = 0; index < list.length; index++) if (list[index].wanted?.() ?? true) return true;
    return false;
  }

  /** Whether somebody would hear of misuse. */
  get wantMisuse(): boolean {
    const { list } = this;
    for (let index = 0; index < list.length; index++) {
      const observer = list[index];
      if (observer.misuse !== undefined && (observer.wantsMisuse?.() ?? true)) return true;
    }
    return false;
  }

  /** The record at `slot` has come to a stage, which concerns `cpu`. */
  stage(slot: number, stage: StageCode, cpu: number): void {
    const { list } = this;
    let event: InterruptEvent | undefined;
    // An observer may take itself off the list while it is told.
    for (const observer of list.length > 1 ? [...list] : list) {
      if (observer.wanted?.() === false || observer.stage?.(slot, stage, cpu) === false) continue;
      event ??= { stage: stages[stage], record: this.store.record(slot, stage), cpu };
      observer.interruptEvent(event);
    }
  }

  storm(storm: InterruptStorm): void {
    for (const observer of [...this.list]) observer.interruptStorm?.(storm);
  }

  misuse(misuse: Misuse): void {
    if (!this.wantMisuse) return;
    for (const observer of [...this.list]) observer.misuse?.(misuse);
  }
}
