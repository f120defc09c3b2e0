import { UserError } from "../common/errors";
import type { State } from "../common/state";
import type { Timer } from "./device";

/**
 * Reads a saved record back, field by field. A field that is missing or of another kind means a damaged or foreign
 * snapshot: a `UserError` that names the owner and the field.
 */
export class StateReader {
  private readonly record: { readonly [key: string]: State };

  constructor(
    state: State,
    private readonly owner: string,
  ) {
    if (state === null || typeof state !== "object" || Array.isArray(state) || state instanceof Uint8Array) {
      throw new UserError(`The saved state of ${owner} is damaged: it is not a record.`, "state");
    }
    this.record = state as { readonly [key: string]: State };
  }

  private fail(key: string, kind: string): never {
    throw new UserError(`The saved state of ${this.owner} is damaged: ${key} is not ${kind}.`, "state");
  }

  number(key: string): number {
    const value = this.record[key];
    return typeof value === "number" ? value : this.fail(key, "a number");
  }

  /** A number, or undefined where null was saved: how timers' deadlines are kept. */
  optionalNumber(key: string): number | undefined {
    const value = this.record[key];
    if (value === null) return undefined;
    return typeof value === "number" ? value : this.fail(key, "a number or null");
  }

  /** Arms `timer` for the saved deadline, or disarms it where null was saved. */
  timer(key: string, timer: Timer): void {
    const deadline = this.optionalNumber(key);
    if (deadline === undefined) timer.disarm();
    else timer.arm(deadline);
  }

  bigint(key: string): bigint {
    const value = this.record[key];
    return typeof value === "bigint" ? value : this.fail(key, "a big integer");
  }

  boolean(key: string): boolean {
    const value = this.record[key];
    return typeof value === "boolean" ? value : this.fail(key, "a boolean");
  }

  /** A copy of saved bytes; `length`, where given, must match. */
  bytes(key: string, length?: number): Uint8Array {
    const value = this.record[key];
    if (!(value instanceof Uint8Array)) return this.fail(key, "bytes");
    if (length !== undefined && value.length !== length) return this.fail(key, `${length} bytes`);
    return value.slice();
  }

  list(key: string): readonly State[] {
    const value = this.record[key];
    return Array.isArray(value) ? (value as readonly State[]) : this.fail(key, "a list");
  }

  /** A list of numbers. */
  numbers(key: string): number[] {
    return this.list(key).map((item) => (typeof item === "number" ? item : this.fail(key, "a list of numbers")));
  }

  /** Whatever was saved under `key`, for an owner that reads it by itself. */
  raw(key: string): State {
    return this.record[key] ?? null;
  }

  child(key: string): StateReader {
    return new StateReader(this.record[key] ?? null, `${this.owner}.${key}`);
  }
}
