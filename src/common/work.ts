/** Long work was taken back while it went on. */
export class Cancelled extends Error {
  constructor() {
    super("cancelled");
    this.name = "Cancelled";
  }
}

/** Follows long work, that it can be shown and ended. */
export interface WorkWatch {
  /** `done` of `total` steps of the work that `title` names are over. Throws {@link Cancelled} when it is to end. */
  step(title: string, done: number, total: number): void;
}
