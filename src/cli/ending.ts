import { UserError } from "../common/errors";

/** Bad arguments, or a file that cannot be used. */
export const STATUS_BAD_ARGUMENTS = 2;

/** Ends the process with the exit status that `command` comes to; a mistake of the user's is told in one sentence. */
export function endWith(command: Promise<number>): void {
  command.then(
    (status) => {
      process.exitCode = status;
      // Standard input keeps the process alive once it was read.
      process.stdin.unref?.();
    },
    (error: unknown) => {
      if (error instanceof UserError) {
        process.stderr.write(`apicscope: ${error.message}\n`);
        process.exitCode = STATUS_BAD_ARGUMENTS;
      } else {
        process.stderr.write(`apicscope: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
        process.exitCode = 70;
      }
      process.stdin.unref?.();
    },
  );
}
