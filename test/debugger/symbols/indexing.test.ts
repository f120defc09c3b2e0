// A kernel of a few megabytes is indexed in no time: processor time of what a first breakpoint and a first stack need of it.
import assert from "node:assert/strict";
import { statSync } from "node:fs";
import { after, describe, test } from "node:test";
import { openSymbolFile } from "../../../src/adapter/symbolFiles";
import { SymbolStore } from "../../../src/debugger/symbols/table";
import { temporaryFolder } from "../../adapter/harness";
import { inflate } from "../../fixtures/dwarf/fixture";
import { unitAddress, unitName, writeLargeFile } from "./largeFile";

const units = 200;

describe("a kernel of a few megabytes", () => {
  const folder = temporaryFolder();
  after(() => folder.remove());

  for (const [name, filling, compressed] of [
    ["plain", 30_000, false],
    ["compressed", 30_000, true],
  ] as const)
    test(`${name}: opened, a breakpoint by line and by function bound, an address told, an unknown name looked for, all within 1 s`, () => {
      const file = folder.path(`${name}.elf`);
      writeLargeFile(file, { units, filling, compressed });
      if (!compressed) assert.ok(statSync(file).size > 5_000_000);
      const before = process.cpuUsage();
      const { source, close } = openSymbolFile(file);
      const store = new SymbolStore({ inflate });
      store.add(file, source);
      assert.deepEqual(store.lineBreakpoints(`/src/${unitName(77)}.c`, 2)?.addresses, [unitAddress(77) + 4n]);
      const line = process.cpuUsage(before);
      assert.equal(store.describe(unitAddress(150) + 5n), `function_${unitName(150)}+0x5`);
      assert.equal(store.functionBreakpoints(`function_${unitName(33)}`).length, 1);
      assert.deepEqual(store.addressesOf("no_such_name_anywhere"), []);
      const all = process.cpuUsage(before);
      close();
      const seconds = ({ user, system }: NodeJS.CpuUsage): number => (user + system) / 1e6;
      assert.ok(seconds(all) < 1, `${seconds(line)} s to the first breakpoint, ${seconds(all)} s in all`);
    });
});
