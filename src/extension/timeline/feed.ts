// Brings a session's interrupts, page after page, to whoever shows them. Bounded: the next page is asked for only when the last has
// been taken, and while the guest runs there is a pause between two readings.
import { timelineRequest, type TimelineArguments, type TimelinePage, type TimelinePoint } from "../../adapter/timelineProtocol";

/** Between two readings while the guest runs. */
const liveMilliseconds = 400;
/** Pages of one reading while the guest runs: one that makes interrupts faster than they can be shown is caught up with when it stops. */
const livePages = 4;

export interface FeedHost {
  /** Asks the adapter; rejects when the session is gone. */
  request(command: string, args: TimelineArguments): PromiseLike<unknown>;
  page(page: TimelinePage): void;
  /** Whether anybody looks at what a running guest does. */
  isWatched(): boolean;
}

export class TimelineFeed {
  private point: TimelinePoint | undefined;
  private busy = false;
  private again = false;
  private over = false;
  private timer: NodeJS.Timeout | undefined;

  constructor(private readonly host: FeedHost) {}

  /** Something has changed: reads what is new. */
  update(): void {
    if (this.over) return;
    if (this.busy) {
      this.again = true;
      return;
    }
    clearTimeout(this.timer);
    void this.read();
  }

  /** No more requests. */
  stop(): void {
    this.over = true;
    clearTimeout(this.timer);
  }

  private async read(): Promise<void> {
    this.busy = true;
    let running = false;
    try {
      for (let pages = 0; !this.over; pages++) {
        const args = this.point === undefined ? {} : { since: this.point };
        const first = this.point === undefined;
        const page = (await this.host.request(timelineRequest, args)) as TimelinePage;
        if (this.over) return;
        this.point = page.point;
        running = page.running;
        // Whoever shows it begins anew with the first page.
        this.host.page(first ? { ...page, restarted: true } : page);
        if (!page.more || (running && pages >= livePages - 1)) break;
      }
    } catch {
      // The session is about to end, or refuses: the next change asks again.
    } finally {
      this.busy = false;
    }
    if (this.again) {
      this.again = false;
      this.update();
    } else if (running && !this.over && this.host.isWatched()) {
      this.timer = setTimeout(() => this.update(), liveMilliseconds);
    }
  }
}
