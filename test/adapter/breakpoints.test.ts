// Breakpoints on code: functions, lines, instructions; conditions, hit counts, log messages; interrupt breakpoints with hits.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import type { DebugProtocol } from "@vscode/debugprotocol";
import type { InterruptBreakpointsChangedBody, SetInterruptBreakpointsResponse } from "../../src/adapter/protocol";
import { lineOf, smpGuest, smpSource, suiteServer, withClient } from "./harness";

type Status = DebugProtocol.Breakpoint;
const statuses = (response: DebugProtocol.Response): Status[] => (response.body as { breakpoints: Status[] }).breakpoints;

describe("code breakpoints", () => {
  const server = suiteServer();
  const tests = readFileSync(smpSource("tests.c"), "utf8");
  const source = { path: smpSource("tests.c") };
  const ipiLine = lineOf(tests, "send_fixed_ipi(&cpus[1], VEC_IPI);");

  test("by function and by line, also in pages that are not mapped yet; lines without code move", { timeout: 480_000 }, () =>
    withClient(async (client) => {
      // Right after launch the image's page tables do not exist.
      await client.launch({ program: smpGuest, cpus: 2 }, async () => {
        const functions = statuses(
          await client.request("setFunctionBreakpoints", { breakpoints: [{ name: "run_tests" }, { name: "no_such_function" }] }),
        );
        assert.equal(functions[0].verified, true);
        assert.equal(functions[0].source?.path, smpSource("tests.c"));
        assert.equal(functions[1].verified, false);
        assert.match(functions[1].message ?? "", /no function or label 'no_such_function'/);
        const moved = lineOf(tests, "static bool fixed_ipi_test(void)");
        const lines = statuses(
          await client.request("setBreakpoints", {
            source,
            breakpoints: [{ line: ipiLine }, { line: 100_000 }, { line: moved + 1, condition: "cpu == 5" }],
          }),
        );
        assert.deepEqual([lines[0].verified, lines[0].line], [true, ipiLine]);
        assert.match(lines[1].message ?? "", /no code on or after line 100000/);
        assert.equal(lines[2].verified, true);
        assert.ok((lines[2].line ?? 0) > moved);
        const other = statuses(await client.request("setBreakpoints", { source: { path: "/no/such/file.c" }, breakpoints: [{ line: 1 }] }));
        assert.match(other[0].message ?? "", /names no file \/no\/such\/file\.c/);
      });
      const first = await client.stop();
      assert.equal(first.reason, "function breakpoint");
      assert.equal((await client.stack(1))[0].name, "run_tests");
      const second = await client.continue(1);
      assert.equal(second.reason, "breakpoint");
      assert.equal(second.hitBreakpointIds?.length, 1);
      const [frame] = await client.stack(1);
      assert.deepEqual([frame.name, frame.line, frame.source?.path], ["fixed_ipi_test", ipiLine, source.path]);
      const places = await client.request<DebugProtocol.BreakpointLocationsResponse>("breakpointLocations", {
        source,
        line: ipiLine,
        endLine: ipiLine + 3,
      });
      assert.ok(places.body.breakpoints.some(({ line }) => line === ipiLine));
      // Lines that a person may go to.
      const targets = await client.request<DebugProtocol.GotoTargetsResponse>("gotoTargets", { source, line: ipiLine + 1 });
      assert.equal(targets.body.targets.length > 0, true);
      await client.request("goto", { threadId: 1, targetId: targets.body.targets[0].id });
      assert.equal((await client.stop()).reason, "goto");
      assert.equal((await client.stack(1))[0].line, ipiLine + 1);
    }, server.port),
  );

  test("conditions, hit counts and log messages; by instruction on one CPU", { timeout: 480_000 }, () =>
    withClient(async (client) => {
      await client.launch({ program: smpGuest, cpus: 4 }, async () => {
        await client.request("setFunctionBreakpoints", {
          breakpoints: [
            { name: "ap_main", hitCondition: "2" },
            { name: "send_startup", logMessage: "SIPI by CPU {cpu}, page {sil}" },
            { name: "handle_ipi", condition: "cpu == 2 && frame->vector == 0xf0" },
          ],
        });
      });
      // CPU 1 comes first; the second to come is CPU 2.
      assert.equal((await client.stop()).threadId, 3);
      assert.match(client.output("console"), /SIPI by CPU 0x0, page 0x8\n/);
      const handler = await client.continue(1);
      assert.deepEqual([handler.reason, handler.threadId], ["function breakpoint", 3]);
      assert.equal(await client.evaluate("frame->vector", 3), await client.evaluate("frame->vector,u", 3));
      const [, caller] = await client.stack(3);
      assert.equal(caller.name, "interrupt_dispatch");
      await client.request("setFunctionBreakpoints", { breakpoints: [] });
      await client.request("setInstructionBreakpoints", {
        breakpoints: [{ instructionReference: caller.instructionPointerReference, condition: "cpu == 2" }],
      });
      const back = await client.continue(3);
      assert.deepEqual([back.reason, back.threadId], ["instruction breakpoint", 3]);
      assert.equal(await client.pc(3), BigInt(caller.instructionPointerReference ?? ""));
      await client.request("setInstructionBreakpoints", { breakpoints: [] });
      await client.dap.continueRequest({ threadId: 1 });
      assert.deepEqual(await client.next("exited"), { exitCode: 1 });
    }, server.port),
  );

  test("interrupt breakpoints of the launch and of the client, with hit counts", { timeout: 480_000 }, () =>
    withClient(async (client) => {
      const launch = [{ filter: "interrupt.deliver", condition: "vector == 0x20 && count >= 3 && dst == 1" }];
      await client.launch({ program: smpGuest, cpus: 2, interruptBreakpoints: launch }, async () => {
        const { body } = (await client.request("apicscope/setInterruptBreakpoints", {
          breakpoints: [
            { id: "a", filter: "interrupt.send", condition: "vector == 0xf0", hitCondition: ">= 2" },
            { id: "b", filter: "sipi", enabled: false },
            { id: "c", filter: "interrupt.deliver", condition: "nonsense == 1" },
            { id: "d", filter: "no.filter" },
          ],
        })) as { body: SetInterruptBreakpointsResponse };
        assert.deepEqual(
          body.breakpoints.map(({ id, verified, hits }) => ({ id, verified, hits })),
          [
            { id: "a", verified: true, hits: 0 },
            { id: "b", verified: true, hits: 0 },
            { id: "c", verified: false, hits: 0 },
            { id: "d", verified: false, hits: 0 },
          ],
        );
        assert.match(body.breakpoints[2].message ?? "", /unknown name 'nonsense'/);
        assert.match(body.breakpoints[3].message ?? "", /no filter 'no\.filter'/);
      });
      const sent = await client.stop();
      assert.equal(sent.text, "IPI vector 0xf0, CPU 0 -> CPU 0, sent");
      const hits = (await client.next(
        "apicscope/interruptBreakpointsChanged",
        (body) => (body as InterruptBreakpointsChangedBody).breakpoints[0].hits === 2,
      )) as InterruptBreakpointsChangedBody;
      assert.deepEqual(hits.breakpoints, [{ id: "a", hits: 2 }]);
      // Unchanged breakpoints keep their hits, changed ones begin anew.
      const again = (await client.request("apicscope/setInterruptBreakpoints", {
        breakpoints: [{ id: "a", filter: "interrupt.send", condition: "vector == 0xf0", hitCondition: ">= 2", enabled: false }],
      })) as { body: SetInterruptBreakpointsResponse };
      assert.equal(again.body.breakpoints[0].hits, 2);
      const timer = await client.continue(1);
      assert.equal(timer.text, "APIC timer vector 0x20, to CPU 1, delivered");
      assert.equal(timer.threadId, 2);
      assert.match(
        (await client.dap.exceptionInfoRequest({ threadId: 2 })).body.details?.stackTrace ?? "",
        /^send .*by a device or timer$/m,
      );
    }, server.port),
  );

  test("several reasons of one instruction are one stop that lists them all, there and back", { timeout: 480_000 }, () =>
    withClient(async (client) => {
      const condition = "vector == 0xf0";
      await client.launch({ program: smpGuest, cpus: 2 }, () => client.breakOn({ filterId: "interrupt.send", condition }));
      await client.stop();
      const next = `0x${(await client.pc(1)).toString(16)}`;
      const onIcr = { breakpoints: [{ dataId: "apic:0:ICR", condition: "(value & 0xff) == 0xf0" }] };
      await client.request("setInstructionBreakpoints", {
        breakpoints: [{ instructionReference: next, condition: "cpu == 0 && (lapic.icr & 0xff) == 0xf0" }],
      });
      await client.request("setDataBreakpoints", onIcr);
      await client.request("restart", { arguments: { program: smpGuest, cpus: 2, stopOnEntry: true } });
      await client.stop();
      const set = await client.breakOn({ filterId: "interrupt.send", condition }, { filterId: "interrupt.send" }, { filterId: "nmi" });
      // Other interrupts leave first, some from the same place.
      let stop = await client.continue(1);
      for (let i = 0; i < 20 && !(stop.text ?? "").includes("0xf0"); i++) stop = await client.continue(1);
      const ids = stop.hitBreakpointIds ?? [];
      assert.equal(ids.length, 4, `${stop.text}: ${ids.join()}`);
      assert.ok(
        set.slice(0, 2).every(({ id }) => ids.includes(id ?? 0)),
        ids.join(),
      );
      assert.match(
        stop.text ?? "",
        /^IPI vector 0xf0, CPU 0 -> CPU \d, sent; CPU 0 wrote ICR .*; CPU 0 reached an instruction breakpoint$/,
      );
      assert.equal(stop.reason, "exception");
      assert.match((await client.dap.exceptionInfoRequest({ threadId: 1 })).body.details?.stackTrace ?? "", /^id \d+.*source ipi/);
      // The breakpoint there is not met again.
      await client.breakOn({ filterId: "interrupt.eoi", condition });
      await client.request("setDataBreakpoints", { breakpoints: [] });
      assert.match((await client.continue(1)).text ?? "", /, ended$/);
      await client.request("setDataBreakpoints", onIcr);
      await client.breakOn({ filterId: "interrupt.send", condition }, { filterId: "interrupt.accept", condition });
      await client.request("reverseContinue", { threadId: 1 });
      const back = await client.stop();
      assert.match(
        back.text ?? "",
        /^IPI vector 0xf0, CPU 0 -> CPU \d, sent; CPU 0 wrote ICR .*; IPI vector 0xf0, .*, accepted; CPU 0 reached an instruction breakpoint$/,
      );
      assert.equal(back.hitBreakpointIds?.length, 4);
    }, server.port),
  );

  test("the filters of NMI, INIT, SIPI, drop and exceptions", { timeout: 480_000 }, () =>
    withClient(async (client) => {
      await client.launch({ program: smpGuest, cpus: 2 }, () =>
        client.breakOn(
          { filterId: "init" },
          { filterId: "sipi" },
          // The 8254 ticks from the start, and the guest masks it: that is not asked for.
          { filterId: "interrupt.drop", condition: 'source == "ipi"' },
          { filterId: "nmi", condition: "cpu == 1" },
        ),
      );
      const texts = [(await client.stop()).text];
      for (let i = 0; i < 3; i++) texts.push((await client.continue(1)).text);
      assert.deepEqual(texts, [
        "IPI INIT, CPU 0 -> CPU 1, delivered",
        "IPI Start-up at 0x08000, CPU 0 -> CPU 1, delivered",
        "IPI Start-up at 0x08000, CPU 0 -> CPU 1, dropped: SIPI ignored: CPU 1 is not in wait-for-SIPI",
        "IPI NMI, CPU 0 -> CPU 1, delivered",
      ]);
      assert.equal((await client.dap.exceptionInfoRequest({ threadId: 2 })).body.exceptionId, "nmi");
    }, server.port),
  );
});
