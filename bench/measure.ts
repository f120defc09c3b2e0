/** Runs an emulator as a child process and takes the time of the region that its guest marks on the serial port. */
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";

/** Certificates that Node is told of are read whenever it starts, 30 ms: that is neither emulator's time. */
export const environment: NodeJS.ProcessEnv = { ...process.env, NODE_EXTRA_CA_CERTS: undefined };

export interface Command {
  readonly file: string;
  readonly args: readonly string[];
}

export interface Sample {
  /** Milliseconds from the guest's line "begin" (or the process's start) to its line "end ...". */
  readonly region: number;
  /** Processor time of the emulator's process in the same span, milliseconds, in steps of 10. undefined where the host has no /proc. */
  readonly cpu: number | undefined;
  /** Milliseconds from the process's start to its line "end ...". */
  readonly whole: number;
  /** What the guest printed after "end ". */
  readonly checksum: string;
}

export type Outcome = { readonly ok: true; readonly sample: Sample } | { readonly ok: false; readonly why: string };

/** Milliseconds in a tick of /proc/PID/stat. */
const TICK = 10;

/** User and system time of a process with all its threads, in milliseconds. */
function processorTime(pid: number): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return (Number(fields[11]) + Number(fields[12])) * TICK;
  } catch {
    return undefined;
  }
}

/**
 * Runs `command` until its output has a line "end CHECKSUM", then ends it. The region begins with a line "begin"; where the guest prints none it is
 * everything since the process started.
 */
export function measure(command: Command, timeout: number): Promise<Outcome> {
  return new Promise((resolve) => {
    const started = performance.now();
    let begun = started;
    let cpuBegun: number | undefined = 0;
    const child = spawn(command.file, command.args, { stdio: ["ignore", "pipe", "pipe"], env: environment });
    let errors = "";
    let rest = "";
    let settled = false;
    const settle = (outcome: Outcome): void => {
      if (settled) return;
      settled = true;
      clearTimeout(timer);
      child.kill("SIGKILL");
      resolve(outcome);
    };
    const timer = setTimeout(() => settle({ ok: false, why: `not done after ${timeout / 1000} s` }), timeout);
    child.on("error", (error) => settle({ ok: false, why: error.message }));
    child.stderr.on("data", (bytes: Buffer) => {
      errors = (errors + bytes.toString("latin1")).slice(-2000);
    });
    child.stdout.on("data", (bytes: Buffer) => {
      const now = performance.now();
      const lines = (rest + bytes.toString("latin1")).split(/\r*\n/);
      rest = lines.pop() ?? "";
      for (const line of lines) {
        if (line === "begin") {
          begun = now;
          cpuBegun = child.pid === undefined ? undefined : processorTime(child.pid);
        } else if (line.startsWith("end ")) {
          const cpu = child.pid === undefined ? undefined : processorTime(child.pid);
          settle({
            ok: true,
            sample: {
              region: now - begun,
              cpu: cpu === undefined || cpuBegun === undefined ? undefined : cpu - cpuBegun,
              whole: now - started,
              checksum: line.slice(4),
            },
          });
        } else if (line.startsWith("FAIL")) settle({ ok: false, why: line });
      }
    });
    child.on("close", (code, signal) => {
      const last = errors.trim().split("\n").at(-1) ?? "";
      settle({ ok: false, why: `ended early (${signal ?? `status ${code}`})${last === "" ? "" : `: ${last}`}` });
    });
  });
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
