// Launches without a program: the machine starts as a PC does, with its firmware, from a disk or a CD-ROM.
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { after, describe, test } from "node:test";
import type { DebugProtocol } from "@vscode/debugprotocol";
import { codeBase, codeImage, temporaryFolder, withClient, type Client } from "./harness";

const absent = existsSync("/usr/share/seabios/bios-256k.bin") ? false : "seabios is not installed";

/** Real-mode code at 0:7c00: `text` to the first serial port, then 0x10 to isa-debug-exit. */
function bootCode(text: string): Uint8Array {
  const characters = [...text].map((character) => character.charCodeAt(0));
  // xor ax,ax; mov ds,ax; mov si,7c16; mov dx,3f8; mov cx,N; rep outsb; mov al,10; out f4,al; hlt; jmp hlt; the text
  const code = [0x31, 0xc0, 0x8e, 0xd8, 0xbe, 0x17, 0x7c, 0xba, 0xf8, 0x03, 0xb9, characters.length, 0x00, 0xfc, 0xf3, 0x6e];
  return Uint8Array.from([...code, 0xb0, 0x10, 0xe6, 0xf4, 0xf4, 0xeb, 0xfd, ...characters]);
}

function bootDisk(text: string): Uint8Array {
  const disk = new Uint8Array(1 << 20);
  disk.set(bootCode(text));
  disk.set([0x55, 0xaa], 510);
  return disk;
}

/** A CD-ROM that boots one sector without emulation (ISO 9660; "El Torito" Bootable CD-ROM Format Specification 1.0). */
function bootCd(text: string): Uint8Array {
  const sector = 2048;
  const image = new Uint8Array(64 * sector);
  const view = new DataView(image.buffer);
  const ascii = (at: number, value: string): void => image.set(new TextEncoder().encode(value), at);
  for (const [number, type] of [
    [16, 1],
    [17, 0],
    [18, 255],
  ]) {
    image[number * sector] = type;
    ascii(number * sector + 1, "CD001\x01");
  }
  view.setUint32(16 * sector + 80, 64, true);
  view.setUint16(16 * sector + 128, sector, true);
  ascii(17 * sector + 7, "EL TORITO SPECIFICATION");
  view.setUint32(17 * sector + 0x47, 19, true);
  const catalog = 19 * sector;
  // Validation entry: its words sum to zero.
  image.set([1, 0], catalog);
  image.set([0x55, 0xaa], catalog + 30);
  view.setUint16(catalog + 28, -(1 + 0xaa55) & 0xffff, true);
  image.set([0x88, 0, 0, 0, 0, 0, 4, 0], catalog + 32);
  view.setUint32(catalog + 40, 20, true);
  image.set(bootCode(text), 20 * sector);
  return image;
}

describe("a launch without a program", { timeout: 720_000, skip: absent }, () => {
  const files = temporaryFolder();
  after(() => files.remove());

  const runsToItsEnd = async (client: Client, text: string, attributes: object): Promise<void> => {
    await client.launch({ cpus: 1, memory: 64, ...attributes }, async () => {
      await client.request("setInstructionBreakpoints", { breakpoints: [{ instructionReference: "0x7c00" }] });
    });
    const stop = await client.stop();
    assert.equal(stop.reason, "instruction breakpoint");
    assert.equal(await client.pc(1), 0x7c00n);
    assert.equal(await client.evaluate("cs", 1), "0x0");
    await client.request("continue", { threadId: 1 });
    const { exitCode } = (await client.next("exited")) as { exitCode: number };
    assert.equal(exitCode, 0x21);
    assert.ok(client.output("stdout").includes(text), client.output("stdout"));
  };

  test("boots from a disk", () =>
    withClient((client) => runsToItsEnd(client, "from the disk", { disks: [files.write("disk.img", bootDisk("from the disk"))] })));

  test("boots from a CD-ROM", () =>
    withClient((client) =>
      runsToItsEnd(client, "from the CD", { cdrom: files.write("cd.iso", bootCd("from the CD")), firmware: "seabios", disks: [] }),
    ));

  test("data breakpoints see what devices read of memory", () =>
    withClient(async (client) => {
      await client.launch({ cpus: 1, memory: 64, disks: [files.write("dma.img", bootDisk("dma"))], stopOnEntry: true });
      await client.stop();
      const { breakpoints } = (await client.ask("setDataBreakpoints", {
        breakpoints: [{ dataId: "physical:0x0:1048576", accessType: "readWrite", condition: 'cpu == -1 && access == "read"' }],
      })) as DebugProtocol.SetDataBreakpointsResponse["body"];
      // The firmware asks for its configuration by DMA: the device reads the request.
      const stop = await client.continue(1);
      assert.deepEqual(stop.hitBreakpointIds, [breakpoints[0].id]);
      assert.match(stop.text ?? "", /^A device read 1048576 bytes at physical 0x00000000 \(\d+ bytes at 0x[0-9a-f]+\): 0x[0-9a-f]+$/);
    }));

  test("is refused where there is nothing to boot from", () =>
    withClient(async (client) => {
      assert.match(await client.refused("launch", { cpus: 1, disks: [] }), /"program" is missing.*"disks".*"cdrom"/);
      assert.match(await client.refused("launch", { cdrom: files.path("none.iso") }), /"cdrom" names .*none\.iso, which does not exist/);
    }));
});

describe("the launch attribute tripleFault", { timeout: 480_000 }, () => {
  const files = temporaryFolder();
  after(() => files.remove());
  // lidt [0x100800], which is empty; ud2
  const program = (): string => files.write("fault.elf", codeImage(0x0f, 0x01, 0x1c, 0x25, 0x00, 0x08, 0x10, 0x00, 0x0f, 0x0b));

  test("stop ends the guest", () =>
    withClient(async (client) => {
      await client.launch({ program: program(), cpus: 1, tripleFault: "stop" });
      assert.deepEqual(await client.next("exited"), { exitCode: 3 });
    }));

  test("reset starts it anew, as often as it happens", () =>
    withClient(async (client) => {
      await client.launch({ program: program(), cpus: 1, tripleFault: "reset" }, async () => {
        await client.breakOn({ filterId: "cpu.tripleFault" });
      });
      for (let round = 0; round < 3; round++) {
        const stop = round === 0 ? await client.stop() : await client.continue(1);
        assert.match(stop.text ?? "", /triple fault/);
        assert.equal(await client.pc(1), codeBase + 8n);
      }
      assert.match(client.output("console"), /The guest reset the machine/);
      await client.request("reverseContinue", { threadId: 1 });
      assert.match((await client.stop()).text ?? "", /triple fault/);
      assert.equal(await client.pc(1), codeBase + 8n);
    }));

  test("anything else is refused by name", () =>
    withClient(async (client) => {
      assert.match(
        await client.refused("launch", { program: program(), tripleFault: "ignore" }),
        /"tripleFault" must be one of stop, reset, not "ignore"/,
      );
    }));
});
