import type { InterruptRecord } from "../../apic/events";
import { UserError } from "../../machine/errors";
import type { Debugger } from "../debugger";
import type { CommandArguments } from "./command";

/** The interrupt whose number is a command's next argument. Throws a {@link UserError} when it is not kept; `subject`: the command. */
export function recordArgument(args: CommandArguments, { machine }: Debugger, subject: string): InterruptRecord {
  const id = Number(args.number("the record's id", 1n, 1n << 53n));
  const found = machine.ledger.record(id);
  if (found === undefined) throw new UserError(`There is no interrupt ${id}, or it was forgotten: only the newest are kept.`, subject);
  return found;
}
