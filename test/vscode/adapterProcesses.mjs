// The debug adapters that run, as processes of this machine; others' checkouts of the project may have some too.
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";

/** Process ids of the adapters of the extension in this folder, where the system tells: Linux. */
export function adapterProcesses(root) {
  if (process.platform !== "linux") return [];
  const wanted = join(root, "dist", "cli.js");
  return readdirSync("/proc")
    .filter((entry) => /^\d+$/.test(entry))
    .filter((pid) => {
      try {
        const [, program, command] = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
        return command === "dap" && program === wanted;
      } catch {
        // It has just ended.
        return false;
      }
    })
    .map(Number);
}

/** Milliseconds of processor time that a process has taken so far, in all its threads, to some ten; undefined where the system does not tell. */
export function processorTime(pid) {
  if (process.platform !== "linux") return undefined;
  // After the name, which is in parentheses and may have any characters: user and system time are the 12th and 13th.
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10;
}
