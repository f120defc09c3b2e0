// Runs a command as the leader of a group of processes, for as long as whoever started this script lives: when its standard input closes, which happens however that
// process ended, or on SIGTERM, the whole group ends, politely at first.
//   node scripts/vscode-guard.mjs COMMAND [ARGUMENT...]
import { spawn } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";

/** How long a group may take to end by itself. */
const patienceMilliseconds = 10_000;

const [command, ...args] = process.argv.slice(2);
const child = spawn(command, args, { stdio: ["ignore", "inherit", "inherit"], detached: true });
const group = -(child.pid ?? NaN);

child.on("error", (error) => {
  process.stderr.write(`${command}: ${error.message}\n`);
  process.exit(1);
});

/** Sends a signal to the group. Returns whether there is such a group. */
function signal(name) {
  try {
    process.kill(group, name);
    return true;
  } catch {
    return false;
  }
}

let ending = false;
async function end() {
  if (ending) return;
  ending = true;
  signal("SIGTERM");
  for (let waited = 0; waited < patienceMilliseconds && signal(0); waited += 50) await sleep(50);
  signal("SIGKILL");
  process.exit(0);
}

// What the command leaves behind ends with it.
child.on("exit", () => void end());
process.stdin.on("end", () => void end());
process.stdin.on("error", () => void end());
process.stdin.resume();
for (const name of ["SIGTERM", "SIGINT", "SIGHUP"]) process.on(name, () => void end());
