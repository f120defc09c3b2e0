// What the scripts that drive VS Code start must not outlive them, however they end.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

const guard = resolve("scripts/vscode-guard.mjs");
const patienceMilliseconds = 60_000;

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    // One that nobody has waited for yet is over all the same.
    return process.platform !== "linux" || !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}

async function until(what: string, done: () => boolean): Promise<void> {
  for (let waited = 0; !done(); waited += 50) {
    assert.ok(waited < patienceMilliseconds, what);
    await sleep(50);
  }
}

describe("a command under the guard", { skip: process.platform === "win32", timeout: 3 * patienceMilliseconds }, () => {
  const file = join(tmpdir(), `apicscope-guard-${process.pid}`);
  after(() => rmSync(file, { force: true }));

  for (const signal of ["SIGTERM", "SIGKILL"] as const)
    test(`ends, with what it started, when its owner gets ${signal}`, async () => {
      rmSync(file, { force: true });
      // The owner starts the guard as vscode-server.mjs does; the command starts another process and writes down both.
      const command = `sleep 600 & echo $$ $! > ${file}.new && mv ${file}.new ${file} && wait`;
      const options = '{ stdio: ["pipe", "inherit", "inherit"], detached: true }';
      const program = `require("child_process").spawn(process.execPath, ${JSON.stringify([guard, "sh", "-c", command])}, ${options}); setInterval(() => {}, 1000)`;
      const owner = spawn(process.execPath, ["-e", program], { stdio: ["ignore", "ignore", "inherit"] });
      let pids: number[] = [];
      const read = (): boolean => {
        try {
          pids = readFileSync(file, "utf8").trim().split(" ").map(Number);
        } catch {
          return false;
        }
        return pids.length === 2;
      };
      await until("the command starts", read);
      assert.ok(pids.every(isAlive));
      owner.kill(signal);
      await until("all of it ends", () => !pids.some(isAlive));
    });

  test("ends by itself with what it left behind, and so does the guard", async () => {
    rmSync(file, { force: true });
    const owner = spawn(process.execPath, [guard, "sh", "-c", `sleep 600 & echo $! > ${file}`], { stdio: ["pipe", "inherit", "inherit"] });
    const status = await new Promise((resolve) => owner.on("close", resolve));
    assert.equal(status, 0);
    assert.equal(isAlive(Number(readFileSync(file, "utf8"))), false);
  });
});
