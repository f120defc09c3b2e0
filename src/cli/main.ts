import { endWith, STATUS_BAD_ARGUMENTS } from "./ending";
import { runCommand } from "./run";
import { runUsage } from "./runOptions";

const usage = `APICScope: an x86 machine with a local APIC per CPU, and a debugger for its interrupts.

  apicscope run IMAGE [options]      run a guest with its serial port on standard output ("apicscope run --help")
  apicscope dap [--port N]           the debug adapter on standard input and output, or on a TCP port
  apicscope session [IMAGE]          a debug session in the terminal: stops on an inter-processor interrupt and shows both sides
`;

async function main(args: readonly string[]): Promise<number> {
  const [command, ...rest] = args;
  const wantsHelp = rest.includes("--help") || rest.includes("-h");
  switch (command) {
    case "run":
      if (wantsHelp) {
        process.stdout.write(runUsage);
        return 0;
      }
      return runCommand(rest);
    case "session":
      return (await import("./session")).sessionCommand(rest);
    case "--help":
    case "-h":
    case "help":
      process.stdout.write(usage);
      return 0;
    case "--version":
      process.stdout.write(`${VERSION}\n`);
      return 0;
    case undefined:
      process.stderr.write(usage);
      return STATUS_BAD_ARGUMENTS;
    default:
      process.stderr.write(`apicscope: there is no command "${command}".\n\n${usage}`);
      return STATUS_BAD_ARGUMENTS;
  }
}

/** Set by the bundler from package.json. */
declare const VERSION: string;

endWith(main(process.argv.slice(2)));
