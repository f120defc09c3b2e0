import { parseAddress } from "../debugger/numbers";
import { UserError } from "../machine/errors";

/** What a whole number has to be that `value` is not. */
function wholeText(value: unknown, least: number, most: number): string {
  const isUnlimited = most === Number.MAX_SAFE_INTEGER && !(typeof value === "number" && value > most);
  return isUnlimited ? `a whole number of at least ${least}` : `a whole number from ${least} to ${most}`;
}

/** The arguments of a request, read one by one: what is missing or of the wrong kind becomes an error that names it. */
export class Args {
  private readonly values: Readonly<Record<string, unknown>>;

  constructor(
    private readonly request: string,
    given: unknown,
    /** How many threads there are, where that is known. */
    private readonly threads?: number,
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
      throw this.wrong(name, wholeText(value, least, most));
    return value;
  }

  optionalWhole(name: string, least = 0, most = Number.MAX_SAFE_INTEGER): number | undefined {
    return this.has(name) ? this.whole(name, least, most) : undefined;
  }

  /** Bytes in base64. */
  bytes(name: string): Uint8Array {
    const text = this.text(name);
    const digits = text.replace(/={0,2}$/, "");
    if (!/^[A-Za-z0-9+/]*$/.test(digits) || digits.length % 4 === 1 || (digits !== text && text.length % 4 !== 0))
      throw this.wrong(name, "base64");
    return new Uint8Array(Buffer.from(text, "base64"));
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
    const value = this.values[name];
    if (typeof value === "number" ? !Number.isSafeInteger(value) : typeof value !== "string" || !/^\s*-?(0x[0-9a-f]+|\d+)\s*$/i.test(value))
      throw this.wrong(name, 'a number, or text such as "0x1f"');
    return this.address(name);
  }

  /** Index of the CPU that a thread id stands for. */
  cpu(name = "threadId"): number {
    const thread = this.whole(name, 1);
    if (!this.isThread(thread)) throw this.wrong(name, this.threadText);
    return thread - 1;
  }

  /** Indexes of the CPUs that the thread ids of a list stand for. */
  cpus(name: string): number[] {
    const threads = this.wholes(name, 1);
    if (!threads.every((thread) => this.isThread(thread))) throw this.wrong(name, `a list, each ${this.threadText}`);
    return threads.map((thread) => thread - 1);
  }

  private isThread(thread: number): boolean {
    return this.threads === undefined || thread <= this.threads;
  }

  private get threadText(): string {
    const { threads = 1 } = this;
    return `a thread's id from 1 to ${threads} (CPU 0 to CPU ${threads - 1})`;
  }

  object(name: string): Args {
    const value = this.values[name];
    if (typeof value !== "object" || value === null || Array.isArray(value)) throw this.wrong(name, "an object");
    return new Args(`${this.request}.${name}`, value);
  }

  /** The entries of a list of objects. */
  list(name: string): Args[] {
    return this.items(name).map((entry, index) => {
      if (typeof entry !== "object" || entry === null) throw this.wrong(name, "a list of objects");
      return new Args(`${this.request}.${name}[${index}]`, entry);
    });
  }

  /**
   * The entries of a list, each read apart: in the place of one that is wrong stands what is wrong with it. `wrap` makes an object of an entry that is
   * none. Throws for what is no list, and where it is missing unless `optional`.
   */
  each<T>(
    name: string,
    read: (entry: Args, index: number) => T,
    optional = false,
    wrap = (entry: unknown): unknown => entry,
  ): (T | UserError)[] {
    if (optional && !this.has(name)) return [];
    return this.items(name).map((item, index) => {
      const entry = wrap(item);
      try {
        if (typeof entry !== "object" || entry === null || Array.isArray(entry))
          throw new UserError(
            `Entry ${index + 1} of the argument "${name}" of "${this.request}" must be an object, not ${JSON.stringify(entry)}.`,
            name,
          );
        return read(new Args(`${this.request}.${name}[${index}]`, entry), index);
      } catch (error) {
        if (!(error instanceof UserError)) throw error;
        return error;
      }
    });
  }

  private items(name: string): unknown[] {
    const value = this.values[name];
    if (!Array.isArray(value)) throw this.wrong(name, "a list");
    return value;
  }

  /** A list of whole numbers of at least `least`. */
  wholes(name: string, least = 0): number[] {
    const value = this.values[name];
    if (!Array.isArray(value) || !value.every((entry): entry is number => Number.isSafeInteger(entry) && entry >= least))
      throw this.wrong(name, `a list of whole numbers of at least ${least}`);
    return value;
  }
}
