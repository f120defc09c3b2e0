/** Instructions recorded on a real processor, replayed through the front end and the op interpreter. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { AREA, readVectorFile, SEGMENT_BASES, type VectorCase } from "../../vectors/format";
import { describeCase, replay, type VectorTarget } from "../../vectors/replay";
import { FlatMachine, userMode } from "./flatMachine";

const DATA = "test/vectors/data";

/** The CPU of a case, at CPL 3. */
class MachineTarget implements VectorTarget {
  private readonly machine: FlatMachine;
  private dirty: { address: number; length: number }[] = [];

  constructor(engine: "emitted" | "reference") {
    this.machine = new FlatMachine({ engine });
    this.machine.ram.fill(0xcc, AREA.codeStart, AREA.dataStart);
  }

  load(item: VectorCase): void {
    const { machine } = this;
    for (const { address, length } of this.dirty) machine.ram.fill(address < AREA.dataStart ? 0xcc : 0, address, address + length);
    machine.mode = userMode(item.mode);
    const bases = SEGMENT_BASES[item.mode];
    const order = ["es", "cs", "ss", "ds", "fs", "gs"] as const;
    order.forEach((name, index) => machine.setSegment(index, bases[name], item.mode === 16 ? 0x10000n : 0x1_0000_0000n));
    machine.slots.set(item.before.regs);
    machine.rip = item.before.rip;
    machine.rflags = item.before.rflags;
    const code = bases.cs + Number(item.before.rip);
    this.dirty = [{ address: code, length: item.code.length }];
    for (const { address, bytes } of item.before.memory) {
      machine.ram.set(bytes, address);
      this.dirty.push({ address, length: bytes.length });
    }
    machine.ram.set(item.code, code);
  }

  step(): void {
    this.machine.execute(1);
  }

  readRegister(index: number): bigint {
    return this.machine.slots[index];
  }

  readFlags(): bigint {
    return this.machine.rflags;
  }

  readRip(): bigint {
    return this.machine.rip;
  }

  readMemory(address: number, length: number): Uint8Array {
    return this.machine.ram.slice(address, address + length);
  }

  readTrap(): { vector: number; error: number } | null {
    return this.machine.trap;
  }
}

/** APICSCOPE_LONG=1 replays every form; else one in `stride`. */
function replayAll(engine: "emitted" | "reference", stride: number): void {
  const target = new MachineTarget(engine);
  const every = process.env["APICSCOPE_LONG"] === "1" ? 1 : stride;
  for (const name of readdirSync(DATA).filter((file) => file.endsWith(".gz"))) {
    test(name, () => {
      let form = 0;
      const report = replay(readVectorFile(readFileSync(`${DATA}/${name}`)), target, { select: () => form++ % every === 0 });
      const texts = report.failures.map(({ item, differences }) => `${describeCase(item)}: ${differences.join("; ")}`);
      const forms = [...report.failedForms].map(([id, count]) => `${id}: ${count}`);
      assert.equal(
        report.failed,
        0,
        `${report.failed} of ${report.cases} cases differ\n${forms.join("\n")}\n${texts.slice(0, 40).join("\n")}`,
      );
      assert.ok(report.cases > 0);
    });
  }
}

describe("recorded instructions on the emitted interpreter", () => replayAll("emitted", 4));
describe("recorded instructions on the reference interpreter", () => replayAll("reference", 60));
