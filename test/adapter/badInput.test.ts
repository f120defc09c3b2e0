// What a person can get wrong: one sentence that names the attribute or file, a failed launch, and a session that can go on or end.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, describe, test } from "node:test";
import { codeImage, smpGuest, temporaryFolder, withClient, suiteServer, type Client } from "./harness";

describe("a launch that fails", () => {
  const server = suiteServer();
  const files = temporaryFolder();
  after(files.remove);

  const good = readFileSync(smpGuest);
  const image = files.write("halt.elf", codeImage(0xfa, 0xf4));
  const cases: [what: string, attributes: object, message: RegExp][] = [
    ["program is missing", {}, /^The launch attribute "program" is missing/],
    ["program is no text", { program: 5 }, /"program" must be the path of a file/],
    ["program does not exist", { program: files.path("nothing.elf") }, /"program" names .*nothing\.elf, which does not exist/],
    ["program is a directory", { program: files.path("") }, /"program" names .*, which is not a file/],
    [
      "program is no image",
      { program: files.write("text.txt", "This is no image.") },
      /"program" is wrong: .*text\.txt is not a bootable image/,
    ],
    ["program is empty", { program: files.write("empty", "") }, /empty is empty/],
    [
      "program is cut short",
      { program: files.write("short.elf", good.subarray(0, 6000)) },
      /short\.elf.*(cut short|truncated|ends|past the end)/i,
    ],
    ["too little memory for the image", { program: smpGuest, memory: 1 }, /memory/],
    ["memory of no size", { program: image, memory: 0 }, /"memory" must be a whole number from 1 to 3584 \(MiB\), not 0/],
    ["more memory than fits", { program: image, memory: 3585 }, /"memory" must be a whole number from 1 to 3584 \(MiB\), not 3585/],
    ["memory that is no number", { program: image, memory: "much" }, /"memory" must be a whole number/],
    ["no CPUs", { program: image, cpus: 0 }, /"cpus" must be a whole number from 1 to 64/],
    ["too many CPUs", { program: image, cpus: 65 }, /"cpus" must be a whole number from 1 to 64/],
    ["unknown engine", { program: image, engine: "warp" }, /"engine" must be one of auto, jit, interpreter, not "warp"/],
    ["initrd does not exist", { program: image, initrd: files.path("no.img") }, /"initrd" names .*no\.img, which does not exist/],
    ["disks", { program: image, disks: ["/nowhere.img,ahci"] }, /"disks" has an entry 1 that names \/nowhere\.img, which does not exist/],
    ["disks", { program: image, disks: ["/nowhere.img,scsi"] }, /"disks" has an entry 1 that is wrong: .*"scsi" is no disk option/],
    ["firmware", { program: image, firmware: image }, /"firmware" is wrong: .* is not a PC firmware image/],
    ["symbols that are no list", { program: image, symbols: image }, /"symbols" must be a list/],
    ["symbols that do not exist", { program: image, symbols: [files.path("no.sym")] }, /"symbols" has an entry 1 that names .*no\.sym/],
    ["symbols of another image", { program: image, symbols: [smpGuest] }, /smp\.elf does not match .*halt\.elf/],
    [
      "symbols that are none",
      { program: image, symbols: [files.write("sym.txt", "nothing here")] },
      /sym\.txt is neither an ELF file nor a System\.map/,
    ],
    [
      "a wrong offset of symbols",
      { program: image, symbols: [{ file: smpGuest, offset: "far" }] },
      /"symbols" has an entry 1 that must have an offset/,
    ],
    ["a source map of numbers", { program: image, sourceMap: { "/src": 1 } }, /"sourceMap" must map path prefixes/],
    [
      "a serial file that cannot be written",
      { program: image, serial: files.path("no/such/folder") },
      /"serial" names .*, which cannot be written/,
    ],
    [
      "a recording that cannot be written",
      { program: image, record: files.path("no/such/folder") },
      /"record" names .*, which cannot be written/,
    ],
    [
      "an unknown filter",
      { program: image, interruptBreakpoints: [{ filter: "interrupt.lost" }] },
      /"interruptBreakpoints" is wrong: There is no filter 'interrupt\.lost'; the filters are interrupt\.send,/,
    ],
    [
      "an unknown field",
      { program: image, interruptBreakpoints: [{ filter: "interrupt.send", condition: "vectr == 1" }] },
      /unknown name 'vectr'.*did you mean 'vector'.*valid names are vector, mode/,
    ],
    [
      "a wrong hit condition",
      { program: image, interruptBreakpoints: [{ filter: "nmi", hitCondition: "often" }] },
      /hit condition "often"/,
    ],
    ["a quantum of nothing", { program: image, quantum: 0 }, /"quantum" must be a whole number/],
  ];

  /** Sends a launch and gives the whole response, which must be a failure. */
  async function failure(client: Client, attributes: object): Promise<{ message: string; format: string; showUser: boolean }> {
    const raw = client.dap as unknown as { doSend: (command: string, args: object, clb: (response: unknown) => void) => void };
    const response = await new Promise((resolve) => raw.doSend("launch", attributes, resolve));
    const { success, message, body } = response as {
      success: boolean;
      message: string;
      body: { error: { format: string; showUser: boolean } };
    };
    assert.equal(success, false);
    return { message, ...body.error };
  }

  test("says in one sentence what is wrong, and a right one works afterwards", { timeout: 480_000 }, () =>
    withClient(async (client) => {
      for (const [what, attributes, expected] of cases) {
        const { message, format, showUser } = await failure(client, attributes);
        assert.match(format, expected, what);
        assert.equal(message, format);
        assert.equal(showUser, true, what);
        assert.ok(!format.includes("\n") && !format.includes("Internal error"), `${what}: ${format}`);
      }
      await client.launch({ program: image, stopOnEntry: true, cpus: 1 });
      assert.equal((await client.stop()).reason, "entry");
      assert.equal(
        client.events.some((event) => event.event === "terminated"),
        false,
      );
    }, server.port),
  );

  test("what nobody knows in the console points to the commands; another CPU, a register or a number that there is not is named", () =>
    withClient(async (client) => {
      await client.launch({ program: image, stopOnEntry: true, cpus: 2 });
      await client.stop();
      const frameId = (await client.stack(1))[0].id;
      const say = (expression: string): Promise<string> => client.refused("evaluate", { expression, frameId, context: "repl" });
      assert.equal(await say("bogus"), `unknown name 'bogus' at column 1; "help" lists the commands`);
      assert.equal(await say("cpu2.rax"), "There is no CPU 2; the machine has 2.");
      assert.equal(await say("cpu1.lapic.bogus"), "unknown name 'cpu1.lapic.bogus' at column 1");
      assert.equal(await say("9".repeat(4000)), "the number 99999999999999999999... has more than 64 bits at column 1");
      const watch = client.refused("evaluate", { expression: "bogus", frameId, context: "watch" });
      assert.equal(await watch, "unknown name 'bogus' at column 1");
    }, server.port));

  test("over standard input and output: the session can end", { timeout: 240_000 }, () =>
    withClient(async (client) => {
      assert.match(await client.refused("launch", { program: "" }), /"program" is missing/);
      await client.disconnect();
    }),
  );
});
