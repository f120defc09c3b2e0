// Long work of the engine, told to the client while it goes on.
import { Cancelled, type WorkWatch } from "../common/work";
import type { EngineEvent } from "./rpc";

/** Work is shown once it has taken so long, and then told about so often. */
const shownAfterMilliseconds = 250;
const toldEveryMilliseconds = 100;

/** Tells of work that takes long, and ends it when the request it belongs to is cancelled. */
export class WorkProgress implements WorkWatch {
  private request = 0;
  private title: string | undefined;
  private shown: string | undefined;
  private began = 0;
  private told = 0;

  /** `isCancelled` says whether a request was taken back. */
  constructor(
    private readonly tell: (event: EngineEvent) => void,
    private readonly isCancelled: (request: number) => boolean,
    private readonly shownAfter = shownAfterMilliseconds,
    /** The work is the guest's run itself, on behalf of no request. */
    private readonly isRun = false,
  ) {}

  /** What follows belongs to this request. */
  begin(request: number): void {
    this.end();
    this.request = request;
  }

  /** Returns whether this is the moment from which on the work is shown. */
  step(title: string, done: number, total: number): boolean {
    if (this.request !== 0 && this.isCancelled(this.request)) throw new Cancelled();
    const now = performance.now();
    if (this.title === undefined) this.began = now;
    this.title = title;
    if (now - this.began < this.shownAfter) return false;
    const percentage = total <= 0 ? 0 : Math.min(100, Math.floor((done * 100) / total));
    if (this.shown !== title) {
      this.finish();
      this.shown = title;
      this.told = now;
      this.say("start", title, percentage);
      return true;
    } else if (now - this.told >= toldEveryMilliseconds) {
      this.told = now;
      this.say("update", title, percentage);
    }
    return false;
  }

  /** The request is over, and all its work. */
  end(): void {
    this.finish();
    this.request = 0;
    this.title = undefined;
  }

  private finish(): void {
    if (this.shown !== undefined) this.say("end", this.shown, 100);
    this.shown = undefined;
  }

  private say(phase: "start" | "update" | "end", title: string, percentage: number): void {
    this.tell({ kind: "progress", phase, request: this.isRun ? "run" : this.request, title, percentage });
  }
}
