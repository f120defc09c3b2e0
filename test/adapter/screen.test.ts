// A guest's screen, keyboard and serial terminal by requests.
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { describe, test } from "node:test";
import { inflateRawSync } from "node:zlib";
import type { DebugProtocol } from "@vscode/debugprotocol";
import {
  keyInputRequest,
  screenRequest,
  serialOutputEvent,
  type ScreenResponse,
  type SerialOutputBody,
} from "../../src/adapter/screenProtocol";
import { codeImage, smpGuest, temporaryFolder, withClient, type Client } from "./harness";

async function screen(client: Client, since?: number): Promise<ScreenResponse> {
  const response = await client.request<DebugProtocol.Response>(screenRequest, since === undefined ? {} : { since });
  return response.body as ScreenResponse;
}

describe("screen, keyboard and serial terminal", () => {
  test("a text screen as rows of pixels and as lines; later only what changed", { timeout: 480_000 }, () =>
    withClient(async (client) => {
      await client.launch({ program: smpGuest, cpus: 1, stopOnEntry: true });
      await client.stop();
      const whole = await screen(client);
      assert.ok(whole.width >= 640 && whole.height >= 350);
      assert.deepEqual([whole.first, whole.rows, whole.running], [0, whole.height, false]);
      assert.equal(inflateRawSync(Buffer.from(whole.data, "base64")).length, whole.width * whole.height * 4);
      assert.equal(whole.text?.length, 25);
      const same = await screen(client, whole.picture);
      assert.deepEqual([same.rows, same.data, same.picture], [0, "", whole.picture]);
      // "Hi" in the fourth row, white on blue, as a guest would write it.
      const cell = 0xb8000 + 3 * 160;
      const data = Buffer.from([0x48, 0x1f, 0x69, 0x1f]).toString("base64");
      await client.request("writeMemory", { memoryReference: `physical:0x${cell.toString(16)}`, data });
      const changed = await screen(client, whole.picture);
      const height = whole.height / 25;
      assert.ok(
        changed.rows > 0 && changed.rows <= height && changed.first >= 3 * height && changed.first < 4 * height,
        JSON.stringify({ ...changed, data: "" }),
      );
      assert.equal(changed.text?.[3].trimEnd(), "Hi");
      // A client that has lost its place gets everything.
      assert.equal((await screen(client, whole.picture)).rows, whole.height);
    }),
  );

  test("keys by the W3C's names; others are refused by name", { timeout: 480_000 }, () =>
    withClient(async (client) => {
      await client.launch({ program: smpGuest, cpus: 1, stopOnEntry: true });
      await client.stop();
      await client.request(keyInputRequest, {
        keys: [
          { code: "KeyA", down: true },
          { code: "KeyA", down: false },
        ],
      });
      assert.match(await client.refused(keyInputRequest, { keys: [{ code: "BrowserZoom", down: true }] }), /"BrowserZoom" is no key/);
      assert.match(await client.refused(keyInputRequest, {}), /"keys"/);
      assert.match(await client.refused(keyInputRequest, { keys: [{ down: true }] }), /"code"/);
    }),
  );

  test("a key reaches the guest, through the log of inputs", { timeout: 480_000 }, async () => {
    const files = temporaryFolder();
    try {
      // Waits for a byte of the keyboard controller and ends with it: in al, 0x64; test al, 1; jz; in al, 0x60; mov dx, 0xf4; out dx, al.
      const program = files.write(
        "keys.elf",
        codeImage(0xe4, 0x64, 0xa8, 0x01, 0x74, 0xfa, 0xe4, 0x60, 0x66, 0xba, 0xf4, 0x00, 0xee, 0xeb, 0xfe),
      );
      const record = files.path("keys.log");
      await withClient(async (client) => {
        await client.launch({ program, cpus: 1, record });
        await client.request(keyInputRequest, { keys: [{ code: "Enter", down: true }] });
        const { exitCode } = (await client.next("exited")) as { exitCode: number };
        // Enter is 0x1c; the exit device makes (v << 1) | 1 of it.
        assert.equal(exitCode, (0x1c << 1) | 1);
      });
      assert.ok(existsSync(record));
    } finally {
      files.remove();
    }
  });

  test("serial output as bytes for a terminal", { timeout: 480_000 }, () =>
    withClient(async (client) => {
      await client.launch({ program: smpGuest, cpus: 2, serial: "terminal" }, () =>
        client.breakOn({ filterId: "interrupt.deliver", condition: "vector == 0xf0" }),
      );
      await client.stop();
      const text = client.events
        .filter(({ event }) => event === serialOutputEvent)
        .map(({ body }) => Buffer.from((body as SerialOutputBody).data, "base64").toString("latin1"))
        .join("");
      assert.match(text, /board: 2 CPUs/);
      assert.equal(client.output("stdout"), "");
      assert.ok(!existsSync("terminal"));
    }),
  );
});
