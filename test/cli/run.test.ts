import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { cli, elf as elfImage, OpenCli, scratchFolder } from "./harness";

const folder = scratchFolder();
const smp = "guests/smp/smp.elf";
const elf = (name: string, code: readonly number[]): string => elfImage(folder, name, code);

describe("apicscope run", () => {
  test("runs the bundled guest on four CPUs: serial on standard output, status from isa-debug-exit", async () => {
    const { status, out, err } = await cli("run", smp, "--cpus", "4", "--device", "msi-test");
    assert.match(out, /CPU 3 \(APIC id 3\) up/);
    assert.match(out, /PASS\r\n$/);
    assert.doesNotMatch(out, /FAIL/);
    assert.equal(status, 1);
    assert.equal(err, "");
  });

  test("--stats tells the figures on standard error, and the same run gives the same hash", async () => {
    const hashes = new Set<string>();
    for (let i = 0; i < 2; i++) {
      const { err } = await cli("run", smp, "--cpus", "2", "--stats");
      assert.match(err, /instructions \d+ in [\d.]+ s: [\d.]+ million a second/);
      hashes.add(/state hash ([0-9a-f]{16})/.exec(err)?.[1] ?? "no hash");
    }
    assert.equal(hashes.size, 1);
    assert.ok(!hashes.has("no hash"));
  });

  test("--trace writes every stage of every interrupt as JSON lines", async () => {
    const file = join(folder, "trace.jsonl");
    await cli("run", smp, "--cpus", "2", "--trace", file);
    const events = readFileSync(file, "utf8")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { id: number; stage: string; vector: number; src: number; dst: number; rip: string });
    const ipi = events.find((event) => event.stage === "deliver" && event.vector === 0xf0 && event.dst === 1);
    assert.ok(ipi !== undefined, "no delivered IPI 0xf0 at CPU 1");
    assert.deepEqual(
      events.filter((event) => event.id === ipi.id).map((event) => event.stage),
      ["send", "accept", "request", "deliver", "eoi", "return"],
    );
  });

  test("--max-instructions ends with 124 after exactly so many", async () => {
    const { status, err } = await cli("run", smp, "--max-instructions", "12345", "--stats");
    assert.equal(status, 124);
    assert.match(err, /instructions 12345 in/);
  });

  test("--timeout ends with 124", async () => {
    const { status } = await cli("run", elf("spin", [0xeb, 0xfe]), "--timeout", "0.5");
    assert.equal(status, 124);
  });

  test("power-off is status 0", async () => {
    // mov dx, 0x604; mov ax, 0x2000; out dx, ax; jmp $
    const code = [0x66, 0xba, 0x04, 0x06, 0x66, 0xb8, 0x00, 0x20, 0x66, 0xef, 0xeb, 0xfe];
    assert.equal((await cli("run", elf("off", code))).status, 0);
  });

  test("a triple fault is status 3 with the last exceptions", async () => {
    // lidt with limit 0, then ud2
    const code = [0x0f, 0x01, 0x1d, 0x0a, 0x00, 0x20, 0x00, 0x0f, 0x0b, 0x90, 0, 0, 0, 0, 0, 0];
    const { status, err } = await cli("run", elf("triple", code));
    assert.equal(status, 3);
    assert.match(err, /CPU 0 shut down by a triple fault/);
    assert.match(err, /vector 6 \(exception\) at RIP 0x200007/);
    assert.match(err, /vector 8 \(exception\)/);
    const again = await cli("run", "--triple-fault", "reset", "--max-instructions", "1000", elf("triple", code));
    assert.equal(again.status, 124, "the machine is reset, and the guest begins again");
    const once = await cli("run", "--triple-fault", "reset", "--no-reboot", elf("triple", code));
    assert.equal(once.status, 0);
    assert.match(once.err, /the guest reset the machine/);
    assert.equal((await cli("run", "--triple-fault", "explode", elf("triple", code))).status, 2);
  });

  test("what a guest writes is seen while it goes on, also without the end of a line", async () => {
    // mov edx, 0x3f8; mov al, '$'; out dx, al; jmp $
    const run = new OpenCli("run", elf("prompt", [0xba, 0xf8, 0x03, 0, 0, 0xb0, 0x24, 0xee, 0xeb, 0xfe]));
    await run.said("$");
    run.kill();
    await run.ended;
    assert.equal(run.out, "$");
  });

  test("a guest that halts for ever is status 3, not silence", async () => {
    const { status, err } = await cli("run", elf("halt", [0xfa, 0xf4]));
    assert.equal(status, 3);
    assert.match(err, /every CPU waits for ever/);
  });

  const bad: [string, string[], RegExp][] = [
    ["no image", ["run"], /Name the image to run/],
    ["a missing file", ["run", "no-such.elf"], /no-such\.elf: there is no such file\./],
    ["a folder", ["run", "guests"], /guests: it is a folder\./],
    ["a file that is no image", ["run", "package.json"], /package\.json is not a bootable image/],
    ["too many CPUs", ["run", smp, "--cpus", "65"], /--cpus 65: give a whole number from 1 to 64\./],
    ["no number", ["run", smp, "--memory", "lots"], /--memory lots: give a whole number/],
    ["too little memory", ["run", smp, "--memory", "1"], /memory/],
    ["an unknown option", ["run", smp, "--frobnicate"], /--frobnicate/],
    ["an unknown engine", ["run", smp, "--engine", "warp"], /--engine warp: choose auto, jit or interpreter\./],
    ["an unknown device", ["run", smp, "--device", "toaster"], /toaster/],
    ["a disk that is not there", ["run", smp, "--disk", "/nowhere.img,ahci"], /\/nowhere\.img cannot be opened: there is no such file\./],
    ["an unknown disk option", ["run", smp, "--disk", "/nowhere.img,scsi"], /"scsi" is no disk option: choose from ide, ahci, virtio/],
    ["two interfaces", ["run", smp, "--disk", "x.img,ide,ahci"], /two values for its interface/],
    ["a firmware beside an image", ["run", smp, "--firmware", "seabios"], /leave out the image/],
    ["a firmware that is none", ["run", "--firmware", smp], /is not a PC firmware image/],
    ["an unknown command", ["fly"], /there is no command "fly"/],
  ];
  for (const [what, args, message] of bad) {
    test(`${what}: status 2 and one sentence`, async () => {
      const { status, out, err } = await cli(...args);
      assert.equal(status, 2);
      assert.equal(out, "");
      assert.match(err, message);
      assert.doesNotMatch(err, /\n\s+at /);
    });
  }

  test("a truncated ELF is refused by name", async () => {
    const file = join(folder, "cut.elf");
    writeFileSync(file, readFileSync(smp).subarray(0, 3000));
    const { status, err } = await cli("run", file);
    assert.equal(status, 2);
    assert.match(err, /cut\.elf/);
  });
});
