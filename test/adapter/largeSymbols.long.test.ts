// A file with hundreds of megabytes of debug information: the first breakpoint in it, memory, progress, and work that is cancelled.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import type { DebugProtocol } from "@vscode/debugprotocol";
import { unitAddress, unitName, writeLargeFile } from "../debugger/symbols/largeFile";
import { smpGuest, temporaryFolder, withClient, type Client } from "./harness";

/** Highest resident memory of the adapter's process so far, and its processor time, in bytes and seconds; undefined where there is no /proc. */
function usage(client: Client): { memory: number; seconds: number } | undefined {
  const { pid } = (client.dap as unknown as { _adapterProcess: { pid: number } })._adapterProcess;
  try {
    const memory = Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) * 1024;
    const fields = readFileSync(`/proc/${pid}/stat`, "latin1")
      .replace(/^.*\) /, "")
      .split(" ");
    return { memory, seconds: (Number(fields[11]) + Number(fields[12])) / 100 };
  } catch {
    return undefined;
  }
}

const mebibytes = 2 ** 20;

describe("a very large file of symbols", { timeout: 560_000 }, () => {
  const folder = temporaryFolder();
  test.after(() => folder.remove());

  for (const [name, units, filling, compressed] of [
    ["plain", 2400, 160_000, false],
    ["compressed", 2400, 30_000, true],
  ] as const)
    test(`${name}: the first breakpoint is bound within 10 s of processor time and 1 GB`, () =>
      withClient(async (client) => {
        const file = folder.path(`${name}.elf`);
        const size = writeLargeFile(file, { units, filling, compressed });
        if (!compressed) assert.ok(size > 350 * mebibytes, `${size} bytes`);
        await client.dap.initializeRequest({
          adapterID: "apicscope",
          supportsProgressReporting: true,
          linesStartAt1: true,
          columnsStartAt1: true,
          pathFormat: "path",
        });
        const offset = "0x1000000";
        await client.dap.launchRequest({
          program: smpGuest,
          stopOnEntry: true,
          symbols: [{ file, offset }],
        } as DebugProtocol.LaunchRequestArguments);
        await client.next("initialized");
        const { body } = await client.dap.setBreakpointsRequest({
          source: { path: `/src/${unitName(1777)}.c` },
          breakpoints: [{ line: 2 }],
        });
        assert.equal(BigInt(body.breakpoints[0].instructionReference ?? 0), unitAddress(1777) + 4n + BigInt(offset));
        assert.equal(body.breakpoints[0].line, 2);
        const used = usage(client);
        if (used !== undefined) {
          assert.ok(used.seconds < 10, `${used.seconds} s`);
          assert.ok(used.memory < 1e9, `${used.memory} bytes`);
        }
        await client.dap.configurationDoneRequest();
        await client.stop();
        if (compressed) return;
        // A name that no symbol has is looked for in all of it: shown, and ended at will.
        const frameId = (await client.stack(1))[0].id;
        const search = client.dap.evaluateRequest({ expression: "no_such_name_anywhere", frameId, context: "repl" }).then(
          () => "found",
          (error: unknown) => (error as Error).message,
        );
        const started = (await client.next("progressStart", (event) =>
          /names/.test((event as { title: string }).title),
        )) as DebugProtocol.ProgressStartEvent["body"];
        assert.match(started.title, /Reading the names of .*plain\.elf/);
        assert.equal(started.cancellable, true);
        await client.request("cancel", { progressId: started.progressId });
        assert.equal(await search, "cancelled");
        await client.next("progressEnd", (event) => (event as { progressId: string }).progressId === started.progressId);
        // Nothing is broken by it: what was not found out is looked for anew.
        const whole = await client.dap.evaluateRequest({ expression: "no_such_name_anywhere", frameId, context: "repl" }).then(
          () => "found",
          (error: unknown) => (error as Error).message,
        );
        assert.match(whole, /no_such_name_anywhere/);
        assert.ok(client.events.some((event) => event.event === "progressUpdate"));
        const after = usage(client);
        if (after !== undefined) assert.ok(after.memory < 1.2e9, `${after.memory} bytes`);
      }));
});
