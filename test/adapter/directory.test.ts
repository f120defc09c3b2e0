// The launch attribute "cwd": paths that are not whole start there, those of a launch and those of debug information.
import assert from "node:assert/strict";
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { after, describe, test } from "node:test";
import { lineOf, smpGuest, smpSource, temporaryFolder, withClient } from "./harness";

describe("a launch's directory", { timeout: 120_000 }, () => {
  const files = temporaryFolder();
  after(() => files.remove());
  const cwd = files.path("");
  mkdirSync(files.path("build"));
  copyFileSync(smpGuest, files.path("build/kernel.elf"));

  /** Puts the guest's sources into a folder of their own. */
  function sourcesIn(folder: string): void {
    mkdirSync(files.path(folder), { recursive: true });
    for (const name of readdirSync(smpSource("")))
      if (/\.[chS]$/.test(name)) copyFileSync(smpSource(name), files.path(`${folder}/${name}`));
  }

  for (const [what, folder, sourceMap] of [
    ["as they stand in debug information", "guests/smp", {}],
    ["as the source map has them", "source", { "guests/smp": "source" }],
  ] as const)
    test(`sources are found under it ${what}, and the other paths of the launch`, () =>
      withClient(async (client) => {
        sourcesIn(folder);
        const path = files.path(`${folder}/tests.c`);
        const line = lineOf(readFileSync(path, "utf8"), "send_fixed_ipi(&cpus[1], VEC_IPI);");
        await client.launch({ cwd, program: "build/kernel.elf", serial: `${what.length}.txt`, sourceMap }, async () => {
          const { body } = await client.dap.setBreakpointsRequest({ source: { path }, breakpoints: [{ line }] });
          assert.equal(body.breakpoints[0].source?.path, path);
        });
        await client.stop();
        assert.equal((await client.stack(1))[0].source?.path, path);
        const { sources } = (await client.ask("loadedSources")) as { sources: { path: string }[] };
        assert.ok(
          sources.every((source) => source.path.startsWith(cwd)),
          JSON.stringify(sources),
        );
        const place = (await client.ask("apicscope/locate", { address: (await client.stack(1))[0].instructionPointerReference })) as {
          path?: string;
        };
        assert.equal(place.path, path);
        assert.ok(existsSync(files.path(`${what.length}.txt`)));
      }));

  test("it must be the whole path of a directory", () =>
    withClient(async (client) => {
      assert.match(await client.refused("launch", { program: smpGuest, cwd: "build" }), /"cwd" must be the whole path of a directory/);
      assert.match(await client.refused("launch", { program: smpGuest, cwd: smpGuest }), /"cwd" names .*smp\.elf, which is no directory/);
      assert.match(
        await client.refused("launch", { program: "nothing.elf", cwd }),
        /"program" names .*\/nothing\.elf, which does not exist/,
      );
    }));
});
