import { UserError } from "../../machine/errors";
import { CommandArguments, splitWords, type Command, type CommandContext, type CommandResult } from "./command";
import { commands } from "./commands";

const byName: ReadonlyMap<string, Command> = new Map(commands.map((command) => [command.name, command]));

const expressionHelp = `Expressions, with C's operators:
  rax  eax  $rip  cpu1.rip  lapic.tpr     registers, also of other CPUs and of the local APIC
  counter  list->next.value  table[3]     variables of the program with their types
  u32[0x1000]  *(u32 *)0x1000             memory at a linear address: u8 to u64, s8 to s64; also mem8(...) to mem64(...)
  phys32(0xb8000)                         physical memory, read only
  (struct node *)rdi  (u8)rax             casts to pointers to types of the program, and to integers
  start_kernel  &counter                  addresses of symbols
  rax,d  flags,b  byte,c  text,s          a format behind a comma: x d u o b c s
Assignments: rax = 5, u32[0x1000] = 1, lapic.tpr = 0x20 (a poke, without side effects); lapic.eoi := 0 (a write as by the guest, with all effects).
"> text" sends a line to the guest's serial port.`;

/** What the console knows, or one command of it. Throws a UserError for a name that there is not. */
export function helpText(name?: string): string {
  if (name !== undefined && name !== "") {
    const command = byName.get(name);
    if (command === undefined) throw new UserError(`There is no command "${name}"; "help" lists them.`, "help");
    const details = command.details === undefined ? "" : `\n${command.details}`;
    return `${command.name} ${command.usage}\n${command.summary}${details}`;
  }
  const width = Math.max(...commands.map((command) => command.name.length)) + 2;
  const lines = commands.map((command) => `  ${command.name.padEnd(width)}${command.summary}`);
  return [expressionHelp, 'Commands ("help COMMAND" tells the arguments):', ...lines].join("\n");
}

/** The command that `line` calls; undefined when it is an expression. A name followed by an operator is a variable of the guest. */
function commandOf(line: string): { command: Command | "help"; rest: string } | undefined {
  const match = /^\s*([a-z]+)(?:\s+(.*))?$/s.exec(line);
  if (match === null) return undefined;
  const rest = (match[2] as string | undefined) ?? "";
  const named = byName.get(match[1]);
  if (named?.takesFile === true && /^\S+\/|^\/\S/.test(rest)) return { command: named, rest };
  if (/^([-+*/%&|^<>=!?.,]|\[)/.test(rest) && !/^-?\w/.test(rest)) return undefined;
  if (match[1] === "help") return { command: "help", rest };
  const command = byName.get(match[1]);
  return command === undefined ? undefined : { command, rest };
}

export function isCommand(line: string): boolean {
  return commandOf(line) !== undefined;
}

/** Carries out a line that {@link isCommand}. Throws a UserError for what is wrong with it. */
export function runCommandLine(line: string, context: CommandContext): CommandResult {
  const found = commandOf(line);
  if (found === undefined) throw new UserError(`"${line.trim()}" is no command; "help" lists them.`);
  const { command, rest } = found;
  if (command === "help") return { text: helpText(rest.trim()) };
  const args = new CommandArguments(command, splitWords(rest), context);
  const result = command.run(args, context);
  args.end();
  return result;
}

/** Evaluates a line that is no command. Throws a {@link UserError}, which points to the commands where a word was typed that no name is: one may have been meant. */
export function evaluateLine<T>(line: string, evaluate: () => T): T {
  try {
    return evaluate();
  } catch (error) {
    if (!(error instanceof UserError) || !/^\s*[a-z]+(?:\s|$)/i.test(line) || !/^un(?:known name|expected) '/.test(error.message))
      throw error;
    throw new UserError(`${error.message}; "help" lists the commands`, error.subject);
  }
}

/** What may follow `before`, the line up to the cursor, where it calls or begins a command. */
export function completeCommand(before: string, context: CommandContext): string[] {
  const words = splitWords(before.trimStart());
  if (/\s$/.test(before) || words.length === 0) words.push("");
  const last = words[words.length - 1];
  if (words.length === 1) return ["help", ...byName.keys()].filter((name) => name.startsWith(last) && name !== last);
  if (words[0] === "help") return [...byName.keys()].filter((name) => name.startsWith(last));
  const command = byName.get(words[0]);
  return [...(command?.complete?.(words.slice(1), context) ?? [])].filter((word) => word.startsWith(last) && word !== last);
}

export type { CommandContext, CommandResult } from "./command";
