import { UserError } from "../../machine/errors";

/** Numbers that stand for objects until the machine runs again. */
export class Handles<T> {
  private readonly objects = new Map<number, T>();
  private next: number;

  /** Numbers start at `first` and are never used twice, so that an outdated one is noticed. */
  constructor(
    private readonly what: string,
    first = 1,
  ) {
    this.next = first;
  }

  add(object: T): number {
    const handle = this.next++;
    this.objects.set(handle, object);
    return handle;
  }

  /** Throws a {@link UserError} for a number that stands for nothing (any more). */
  get(handle: number): T {
    const object = this.objects.get(handle);
    if (object === undefined) throw new UserError(`There is no ${this.what} ${handle}; it may belong to an earlier stop.`);
    return object;
  }

  clear(): void {
    this.objects.clear();
  }
}
