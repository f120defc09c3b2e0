/**
 * A mistake of the user (a wrong attribute, a missing or damaged file): one sentence that says what to do.
 * `subject` names the launch attribute, option or file it is about. Never thrown for anything the guest does.
 */
export class UserError extends Error {
  constructor(
    message: string,
    readonly subject?: string,
  ) {
    super(message);
    this.name = "UserError";
  }
}

/** A bug of ours: an invariant did not hold. Carries context for the report; users see it as an internal error. */
export class AssertionError extends Error {
  constructor(message: string) {
    super(`Internal error: ${message}`);
    this.name = "AssertionError";
  }
}

/** Throws {@link AssertionError} when `condition` does not hold. `message` says what was expected, with values. */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new AssertionError(message);
}

/** For the default branch of exhaustive switches: the type checker refuses a call that can be reached. */
export function unreachable(value: never): never {
  throw new AssertionError(`unexpected value ${String(value)}`);
}
