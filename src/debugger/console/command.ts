import { UserError } from "../../machine/errors";
import type { DataPlace } from "../dataPlaces";
import type { Debugger } from "../debugger";
import type { DebugCpu } from "../target";

/** What a command of the console may use. */
export interface CommandContext {
  readonly session: Debugger;
  /** The CPU in focus. */
  readonly cpu: DebugCpu;
  /** Evaluates an expression to a number, as seen from the frame in focus. Throws a UserError. */
  number(text: string): bigint;
  /** Writes a text file of the host, piece by piece. Throws a UserError when it cannot. Undefined where there are no files. */
  readonly writeFile?: ((file: string, pieces: () => Iterable<string>) => void) | undefined;
  /** The place that an expression names (see `findPlace`). Throws a UserError. */
  place(text: string, bytes?: number): DataPlace;
}

export interface CommandResult {
  /** For people, lines of text. */
  readonly text: string;
  /** The same for programs; plain data, numbers above 2^53 as bigint. */
  readonly data?: unknown;
  /** The machine's state was changed: what depends on it is to be read anew. */
  readonly changed?: boolean;
}

/** A command of the console: `name arguments`. */
export interface Command {
  readonly name: string;
  /** Arguments as the help shows them: "VECTOR [cpuN]". */
  readonly usage: string;
  /** One line. */
  readonly summary: string;
  /** More, for `help NAME`. */
  readonly details?: string;
  /** Its first argument is a file, whose path may begin with a slash. */
  readonly takesFile?: boolean;
  /** Words that may come as the last of `words`. */
  complete?(words: readonly string[], context: CommandContext): readonly string[];
  run(args: CommandArguments, context: CommandContext): CommandResult;
}

/** Splits a command's arguments at blanks; what stands in brackets, parentheses or quotes stays together. */
export function splitWords(text: string): string[] {
  const words: string[] = [];
  let word = "";
  let depth = 0;
  let quote = "";
  for (const character of text) {
    if (quote !== "") {
      if (character === quote) quote = "";
    } else if (character === '"' || character === "'") quote = character;
    else if (character === "(" || character === "[") depth++;
    else if (character === ")" || character === "]") depth--;
    else if (depth <= 0 && /\s/.test(character)) {
      if (word !== "") words.push(word);
      word = "";
      continue;
    }
    word += character;
  }
  if (word !== "") words.push(word);
  return words;
}

/** The arguments of one call, taken one after the other. */
export class CommandArguments {
  private next = 0;

  constructor(
    private readonly command: Pick<Command, "name" | "usage">,
    private readonly words: readonly string[],
    private readonly context: CommandContext,
  ) {}

  /** The next word, left where it is; undefined at the end. */
  peek(): string | undefined {
    return this.words[this.next];
  }

  /** The next word. Throws a UserError with the usage when there is none. */
  word(what: string): string {
    const word = this.words[this.next++] as string | undefined;
    if (word === undefined) throw this.mistake(`${what} is missing`);
    return word;
  }

  /** Takes the next word when it is this one (whatever its case). */
  accept(word: string): boolean {
    if (this.peek()?.toLowerCase() !== word) return false;
    this.next++;
    return true;
  }

  /** The next word as an expression for a number from `low` to `high`. */
  number(what: string, low: bigint, high: bigint): bigint {
    const text = this.word(what);
    const value = this.context.number(text);
    if (value < low || value > high) throw this.mistake(`${what} goes from ${low} to ${high}, not ${text}`);
    return value;
  }

  vector(what = "the vector"): number {
    return Number(this.number(what, 0n, 255n));
  }

  /** Takes `cpuN` when it comes next; else undefined. */
  optionalCpu(): DebugCpu | undefined {
    const match = /^cpu(\d{1,2})$/i.exec(this.peek() ?? "");
    if (match === null) return undefined;
    this.next++;
    return this.context.session.cpu(Number(match[1]));
  }

  /** All the words that are left, with blanks between them. */
  rest(): string {
    const words = this.words.slice(this.next);
    this.next = this.words.length;
    return words.join(" ");
  }

  /** Throws a UserError when words are left. */
  end(): void {
    const rest = this.peek();
    if (rest !== undefined) throw this.mistake(`"${rest}" is one word too many`);
  }

  mistake(message: string): UserError {
    return new UserError(`${message}: ${this.command.name} ${this.command.usage}`, this.command.name);
  }
}
