/** Precise faults: whichever access of an instruction faults, registers, flags and memory are as they were before it. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { readVectorFile } from "../../vectors/format";
import { describeCase } from "../../vectors/replay";
import { MachineTarget } from "./machineTarget";

const DATA = "test/vectors/data";
/** APICSCOPE_LONG=1 tries every form; else one in three. */
const stride = process.env["APICSCOPE_LONG"] === "1" ? 1 : 3;
/** Instructions with at most so many accesses are tried to the end. */
const MAX_ACCESSES = 64;

/** Frames are pushed bottom first and may be left half written: restarting writes them again. Registers and flags must be untouched all the same. */
const mayHaveWritten = /^(ENTER|PUSHA)/;
/** Repeated string instructions run in a helper of the machine. */
const helperRun = /REP|CMPXCHG16B|BOUND/;

describe("faults are precise", () => {
  const target = new MachineTarget("emitted");
  const { machine } = target;
  machine.unmapAll();
  for (const name of readdirSync(DATA).filter((file) => file.endsWith(".gz"))) {
    test(name, () => {
      let last: unknown;
      let faults = 0;
      let form = 0;
      // One case a form: its accesses do not depend on the values.
      for (const item of readVectorFile(readFileSync(`${DATA}/${name}`)).cases(() => form++ % stride === 0)) {
        if (item.form === last || item.trap !== null || helperRun.test(item.form.id)) continue;
        last = item.form;
        for (let failing = 0; failing <= MAX_ACCESSES; failing++) {
          target.load(item);
          const registers = machine.slots.slice(0, 16).join();
          const flags = machine.rflags;
          machine.refuseAccess = (access) => access === failing;
          machine.execute(1);
          machine.refuseAccess = () => false;
          if (machine.trap === null) break;
          faults++;
          const text = `access ${failing} of ${describeCase(item)}`;
          assert.equal(machine.trap.vector, 14, text);
          assert.equal(machine.slots.slice(0, 16).join(), registers, `${text}: registers`);
          assert.equal(machine.rflags, flags, `${text}: flags`);
          assert.equal(machine.rip, item.before.rip, `${text}: rip`);
          if (mayHaveWritten.test(item.form.id)) continue;
          for (const { address, bytes } of item.before.memory) {
            assert.deepEqual([...target.readMemory(address, bytes.length)], [...bytes], `${text}: memory`);
          }
        }
      }
      assert.ok(faults > 0 || /misc|control/.test(name), "no access of any instruction faulted");
    });
  }
});
