import { parseAddress } from "../debugger/numbers";
import { UserError } from "../machine/errors";

/** The arguments of a request, read one by one: what is missing or of the wrong kind becomes an error that names it. */
export class Args {
  private readonly values: Readonly<Record<string, unknown>>;

  constructor(
    private readonly request: string,
    given: unknown,
  ) {
    if (given !== undefined && given !== null && (typeof given !== "object" || Array.isArray(given)))
      throw new UserError(`The arguments of "${request}" must be an object.`);
    this.values = (given ?? {}) as Readonly<Record<string, unknown>>;
  }

  private wrong(name: string, kind: string): UserError {
    const value = this.values[name];
    const found = value === undefined ? "it is missing" : `not ${JSON.stringify(value)}`;
    return new UserError(`The argument "${name}" of "${this.request}" must be ${kind}, ${found}.`, name);
  }

  /** All of them, unchecked. */
  get all(): unknown {
    return this.values;
  }

  has(name: string): boolean {
    return this.values[name] !== undefined && this.values[name] !== null;
  }

  raw(name: string): unknown {
    return this.values[name];
  }

  text(name: string): string {
    const value = this.values[name];
    if (typeof value !== "string") throw this.wrong(name, "text");
    return value;
  }

  optionalText(name: string): string | undefined {
    return this.has(name) ? this.text(name) : undefined;
  }

  /** A whole number from `least` to `most`. */
  whole(name: string, least = 0, most = Number.MAX_SAFE_INTEGER): number {
    const value = this.values[name];
    if (typeof value !== "number" || !Number.isInteger(value) || value < least || value > most)
      throw this.wrong(
        name,
        most === Number.MAX_SAFE_INTEGER ? `a whole number of at least ${least}` : `a whole number from ${least} to ${most}`,
      );
    return value;
  }

  optionalWhole(name: string, least = 0, most = Number.MAX_SAFE_INTEGER): number | undefined {
    return this.has(name) ? this.whole(name, least, most) : undefined;
  }

  flag(name: string): boolean {
    if (!this.has(name)) return false;
    const value = this.values[name];
    if (typeof value !== "boolean") throw this.wrong(name, "true or false");
    return value;
  }

  /** An address: text, never a number that could have lost its low bits. */
  address(name: string): bigint {
    if (!this.has(name)) throw this.wrong(name, 'an address such as "0xffffffff81000000"');
    return parseAddress(this.values[name], `The argument "${name}" of "${this.request}"`);
  }

  /** A value of any size: text, or a number that is exact. */
  integer(name: string): bigint {
    return this.address(name);
  }

  /** Index of the CPU that a thread id stands for. */
  cpu(name = "threadId"): number {
    return this.whole(name, 1) - 1;
  }

  object(name: string): Args {
    const value = this.values[name];
    if (typeof value !== "object" || value === null || Array.isArray(value)) throw this.wrong(name, "an object");
    return new Args(`${this.request}.${name}`, value);
  }

  /** The entries of a list of objects; a list that is left out is empty when `optional`. */
  list(name: string, optional = true): Args[] {
    if (optional && !this.has(name)) return [];
    const value = this.values[name];
    if (!Array.isArray(value)) throw this.wrong(name, "a list");
    return (value as unknown[]).map((entry, index) => {
      if (typeof entry !== "object" || entry === null) throw this.wrong(name, "a list of objects");
      return new Args(`${this.request}.${name}[${index}]`, entry);
    });
  }

  /** A list of whole numbers of at least `least`. */
  wholes(name: string, least = 0): number[] {
    const value = this.values[name];
    if (!Array.isArray(value) || !value.every((entry): entry is number => Number.isSafeInteger(entry) && entry >= least))
      throw this.wrong(name, `a list of whole numbers of at least ${least}`);
    return value;
  }

  texts(name: string): string[] {
    if (!this.has(name)) return [];
    const value = this.values[name];
    if (!Array.isArray(value) || !value.every((entry): entry is string => typeof entry === "string"))
      throw this.wrong(name, "a list of texts");
    return value;
  }
}
