import { AREA, SEGMENT_BASES, type VectorCase } from "../../vectors/format";
import type { VectorTarget } from "../../vectors/replay";
import { type FlatEngine, FlatMachine, userMode } from "./flatMachine";

/** The CPU of a recorded case, at CPL 3 on flat memory. */
export class MachineTarget implements VectorTarget {
  readonly machine: FlatMachine;
  private dirty: { address: number; length: number }[] = [];

  constructor(engine: FlatEngine) {
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
