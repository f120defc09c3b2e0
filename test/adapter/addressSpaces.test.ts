// One linear address in two address spaces: breakpoints of every kind hold in both, and with a condition on CR3 in one.
import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import type { DebugProtocol } from "@vscode/debugprotocol";
import { codeBase, codeImage, smpGuest, smpSource, temporaryFolder, withClient, type Client } from "./harness";

/** Copies its top page table to 0x200000, and for ever calls `f`, which counts at 0x101000, under the one and the other in turn. */
const switching = codeImage(
  // cli; mov rsp, 0x180000; mov rbx, cr3; mov rsi, rbx
  ...[0xfa, 0x48, 0xc7, 0xc4, 0x00, 0x00, 0x18, 0x00, 0x0f, 0x20, 0xdb, 0x48, 0x89, 0xde],
  // mov rdi, 0x200000; mov rcx, 4096; cld; rep movsb; mov rbp, 0x200000
  ...[0x48, 0xc7, 0xc7, 0x00, 0x00, 0x20, 0x00, 0x48, 0xc7, 0xc1, 0x00, 0x10, 0x00, 0x00, 0xfc, 0xf3, 0xa4],
  ...[0x48, 0xc7, 0xc5, 0x00, 0x00, 0x20, 0x00],
  // 1: mov cr3, rbx; call f; mov cr3, rbp; call f; jmp 1b
  ...[0x0f, 0x22, 0xdb, 0xe8, 10, 0, 0, 0, 0x0f, 0x22, 0xdd, 0xe8, 2, 0, 0, 0, 0xeb, 0xee],
  // f: inc dword [0x101000]; ret
  ...[0xff, 0x04, 0x25, 0x00, 0x10, 0x10, 0x00, 0xc3],
);
const f = codeBase + 56n;
const own = "cr3 == 0x200000";

describe("breakpoints in all address spaces or in one", { timeout: 480_000 }, () => {
  const files = temporaryFolder();
  after(() => files.remove());

  /** Where CR3 points to at each of the next four stops, and what has been counted. */
  const stops = async (client: Client): Promise<{ spaces: boolean[]; counts: bigint[] }> => {
    const spaces: boolean[] = [];
    const counts: bigint[] = [];
    for (let i = 0; i < 4; i++) {
      await client.continue(1);
      spaces.push((await client.evaluate(own, 1)) === "1");
      counts.push(BigInt(await client.evaluate("u32[0x101000]", 1)));
    }
    return { spaces, counts };
  };
  const steps = (counts: readonly bigint[]): bigint[] => counts.slice(1).map((count, index) => count - counts[index]);
  const inBoth = async (client: Client, what: string): Promise<void> => {
    const { spaces, counts } = await stops(client);
    assert.ok(spaces.includes(true) && spaces.includes(false), `${what}: ${spaces.join()}`);
    assert.deepEqual(steps(counts), [1n, 1n, 1n], what);
  };
  const inOne = async (client: Client, what: string): Promise<void> => {
    const { spaces, counts } = await stops(client);
    assert.deepEqual(spaces, [true, true, true, true], what);
    assert.deepEqual(steps(counts), [2n, 2n, 2n], what);
  };

  test("on an instruction, a function and data", () =>
    withClient(async (client) => {
      const program = files.write("switching.elf", switching);
      const symbols = files.write("switching.map", `${f.toString(16).padStart(16, "0")} T f\n`);
      await client.launch({ program, cpus: 1, symbols: [symbols], stopOnEntry: true });
      await client.stop();
      const instruction = (condition?: string): Promise<unknown> =>
        client.request("setInstructionBreakpoints", {
          breakpoints: [{ instructionReference: `0x${f.toString(16)}`, ...(condition === undefined ? {} : { condition }) }],
        });
      await instruction();
      await inBoth(client, "an instruction");
      await instruction(own);
      await inOne(client, "an instruction");
      await instruction("(cr3 & ~0xfff) == 0x200000");
      await inOne(client, "an instruction, whatever the PCID");
      await client.request("setInstructionBreakpoints", { breakpoints: [] });

      await client.dap.setFunctionBreakpointsRequest({ breakpoints: [{ name: "f" }] });
      await inBoth(client, "a function");
      await client.dap.setFunctionBreakpointsRequest({ breakpoints: [{ name: "f", condition: own }] });
      await inOne(client, "a function");
      await client.dap.setFunctionBreakpointsRequest({ breakpoints: [] });

      const data = (condition?: string): Promise<unknown> =>
        client.ask("setDataBreakpoints", {
          breakpoints: [{ dataId: "linear:0x101000:4", accessType: "write", ...(condition === undefined ? {} : { condition }) }],
        });
      await data();
      await inBoth(client, "data");
      await data(own);
      await inOne(client, "data");
    }));

  test("on a line", () =>
    withClient(async (client) => {
      const path = smpSource("main.c");
      const set = async (condition: string): Promise<DebugProtocol.Breakpoint[]> => {
        const { body } = await client.dap.setBreakpointsRequest({
          source: { path },
          breakpoints: lines.map((line) => ({ line, condition })),
        });
        return body.breakpoints;
      };
      let lines: number[] = [];
      await client.launch({ program: smpGuest, cpus: 1, stopOnEntry: true });
      await client.stop();
      await client.dap.setFunctionBreakpointsRequest({ breakpoints: [{ name: "main" }] });
      await client.continue(1);
      const cr3 = (await client.evaluate("cr3", 1)).split(" ")[0];
      const { breakpoints } = (await client.ask("breakpointLocations", { source: { path }, line: 1, endLine: 1000 })) as {
        breakpoints: { line: number }[];
      };
      const here = (await client.stack(1))[0].line;
      lines = breakpoints.map(({ line }) => line).filter((line) => line > here);
      assert.ok(lines.length > 3);
      assert.ok((await set(`cr3 == ${cr3}`)).every(({ verified }) => verified));
      const stop = await client.continue(1);
      assert.equal(stop.reason, "breakpoint");
      const statuses = await set(`cr3 == ${cr3} + 0x1000`);
      assert.ok(statuses.every(({ verified }) => verified));
      await client.request("continue", { threadId: 1 });
      assert.deepEqual(await client.next("exited"), { exitCode: 1 });
    }));
});
