import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { SymbolStore } from "../../../src/debugger/symbols/table";
import { inflate } from "../../fixtures/dwarf/fixture";

const source = join(import.meta.dirname, "../../fixtures/dwarf/src");
const missing = ["gcc", "addr2line", "nm"].filter((tool) => spawnSync(tool, ["--version"]).status !== 0);
const directory = mkdtempSync(join(tmpdir(), "apicscope-symbols-"));
after(() => rmSync(directory, { recursive: true }));

const text = readFileSync(join(source, "shapes.c"), "utf8").split("\n");

/** The line of shapes.c that declares a function; undefined for those of other files. */
function readFunctionLine(name: string): number | undefined {
  const line = text.findIndex((candidate) => candidate.includes(` ${name}(`) && !candidate.endsWith(";") && !candidate.startsWith(" "));
  return line < 0 ? undefined : line + 1;
}

/** The compiler of the machine that the tests run on, whichever it is: the committed fixtures come from one compiler only. */
describe("binaries of this machine's compiler", { skip: missing.length > 0 ? `${missing.join(", ")} not installed` : false }, () => {
  for (const flags of [
    "-O0 -gdwarf-4",
    "-O2 -gdwarf-5",
    "-O1 -g -fno-omit-frame-pointer",
    "-Os -g3 -gz=zlib",
    "-O2 -gdwarf-3 -gno-strict-dwarf",
    "-O2 -gdwarf64 -gdwarf-5",
  ])
    test(flags, () => {
      const file = join(directory, `${flags.replaceAll(/[^\w]/g, "")}.elf`);
      execFileSync(
        "gcc",
        [
          "-ffreestanding",
          "-fno-stack-protector",
          "-nostdlib",
          "-static",
          "-no-pie",
          ...flags.split(" "),
          "-o",
          file,
          join(source, "shapes.c"),
          join(source, "start.S"),
        ],
        { stdio: "pipe" },
      );
      const store = new SymbolStore({ inflate });
      store.add(file, new Uint8Array(readFileSync(file)));
      const functions = execFileSync("nm", ["-S", file], { encoding: "utf8" })
        .split("\n")
        .map((line) => /^([0-9a-f]+) ([0-9a-f]+) [tT] (\w+)$/.exec(line))
        .filter((match) => match !== null);
      assert.ok(functions.length >= 5);
      for (const [, start, size, name] of functions) {
        const low = BigInt(`0x${start}`);
        assert.deepEqual(store.addressesOf(name), [low]);
        const addresses = Array.from({ length: Number(`0x${size}`) }, (_, i) => low + BigInt(i));
        const lines = execFileSync("addr2line", ["-f", "-e", file, ...addresses.map((address) => address.toString(16))], {
          encoding: "utf8",
          stdio: ["ignore", "pipe", "ignore"],
        })
          .trim()
          .split("\n");
        for (const [i, address] of addresses.entries()) {
          const found = store.lookup(address);
          assert.equal(found?.symbol, name, `${name}+${i}`);
          assert.equal(found?.offset, BigInt(i));
          // Between instructions of several lines addr2line and debuggers choose differently (see lines.test.ts): most must agree.
          assert.ok(found?.line !== undefined || lines[2 * i + 1].includes("?"), `${name}+${i}`);
        }
        const declared = readFunctionLine(name);
        // The opening brace stands on the next line; optimised functions may begin with code of a line further down.
        if (declared !== undefined)
          assert.ok(
            Math.abs((store.lookup(low)?.line ?? 0) - declared) <= 4,
            `${name}: ${store.lookup(low)?.line}, declared on ${declared}`,
          );
        // GNU addr2line 2.40 cannot read the line tables of 64-bit DWARF.
        if (flags.includes("dwarf64")) continue;
        const agreeing = addresses.filter((address, i) => lines[2 * i + 1].includes(`:${store.lookup(address)?.line ?? "?"}`)).length;
        assert.ok(agreeing >= addresses.length * 0.6, `${name}: ${agreeing} of ${addresses.length} lines agree`);
      }
      assert.deepEqual(store.warnings, []);
    });
});
