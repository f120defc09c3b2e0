// The main job in the terminal.
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { describe, test } from "node:test";
import { cli } from "../adapter/harness";

describe("apicscope session", () => {
  test("shows the life of an IPI and both sides' local APICs", { timeout: 480_000 }, () => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [cli, "session", "--cpus", "2"], { encoding: "utf8" });
    assert.equal(stderr, "");
    assert.equal(status, 0);
    assert.match(stdout, /Stop 1: IPI vector 0xf0, CPU 0 -> CPU 1, delivered/);
    assert.match(stdout, /deliver +instruction +\d+ .* by CPU 1 at 0x[0-9a-f]{16} <cpu_idle/);
    assert.match(stdout, /CPU 0 · .* · sender\n.*\n +ICR +0x01000000000040f0/);
    assert.match(stdout, /CPU 1 · .* · target\n[^]*?ISR +\{0xf0\}/);
    assert.match(stdout, /Stop 2: CPU 1 stepped/);
    assert.match(stdout, /Stop 3: IPI vector 0xf0, CPU 0 -> CPU 1, ended ===\n[^]*eoi +instruction/);
  });

  for (const [what, args, message] of [
    ["an unknown option", ["--cpu", "2"], /no option "--cpu"/],
    ["a missing value", ["--cpus"], /--cpus needs a value/],
    ["a wrong number", ["--cpus", "two"], /--cpus takes a whole number/],
    ["too many CPUs", ["--cpus", "200"], /"cpus" must be a whole number from 1 to 64/],
    ["an image that is not there", ["/no/such/image"], /"program" names \/no\/such\/image, which does not exist/],
    ["a wrong condition", ["--break", "vektor == 1"], /unknown name 'vektor'/],
    ["an interrupt that never comes", ["--break", "vector == 0x99"], /ended before the interrupt came/],
  ] as const)
    test(`${what}: one sentence, status 2`, { timeout: 480_000 }, () => {
      const { status, stderr } = spawnSync(process.execPath, [cli, "session", ...args], { encoding: "utf8" });
      assert.match(stderr, message);
      assert.equal(status, 2);
    });
});

describe("apicscope dap", () => {
  for (const [args, message] of [
    [["--prot", "1"], /no option "--prot"/],
    [["--port"], /--port takes a port number/],
    [["--port", "99999"], /not "99999"/],
  ] as const)
    test(`${args.join(" ")} is refused`, () => {
      const { status, stderr } = spawnSync(process.execPath, [cli, "dap", ...args], { encoding: "utf8" });
      assert.match(stderr, message);
      assert.equal(status, 2);
    });

  test("ends with its client", { timeout: 240_000 }, async () => {
    const adapter = spawn(process.execPath, [cli, "dap"], { stdio: ["pipe", "pipe", "inherit"] });
    const send = (message: object): void => {
      const json = JSON.stringify(message);
      adapter.stdin.write(`Content-Length: ${json.length}\r\n\r\n${json}`);
    };
    send({ seq: 1, type: "request", command: "initialize", arguments: { adapterID: "apicscope" } });
    send({ seq: 2, type: "request", command: "launch", arguments: { program: "guests/smp/smp.elf", stopOnEntry: true } });
    await new Promise<void>((resolve) => adapter.stdout.on("data", (data: Buffer) => data.includes('"initialized"') && resolve()));
    const ended = new Promise((resolve) => adapter.on("exit", resolve));
    adapter.stdin.end();
    assert.equal(await ended, 0);
  });
});
