/** Small guests in 64-bit code: descriptor tables, page tables and CPU state made from outside, the program by the assembler. */
import assert from "node:assert/strict";
import { CS, DS, ES, SS } from "../../src/cpu/segmentRegisters";
import { Machine } from "../../src/machine/machine";
import type { MachineConfiguration, RunEnd } from "../../src/machine/types";
import { Assembler } from "./assembler";
import { eager, MIB } from "./runGuest";

export const IDT = 0x1000;
const GDT = 0x2000;
/** Page tables: 4 KiB pages for the first 2 MiB, 2 MiB pages up to 1 GiB, 1 GiB pages up to 4 GiB; all but the first GiB supervisor only. */
const PML4 = 0x3000;
const PDPT = 0x4000;
const PD = 0x5000;
export const PT = 0x6000;
export const DATA = 0x8000;
export const CODE = 0x10000;
export const STACKS = 0x7_0000;
export const APIC = 0xfee0_0000;

/** APIC registers. */
export const TPR = 0x80;
export const EOI = 0xb0;
export const SVR = 0xf0;
export const ICR_LOW = 0x300;
export const ICR_HIGH = 0x310;
export const LVT_TIMER = 0x320;
export const TMICT = 0x380;
export const TDCR = 0x3e0;

/** ICR: shorthand self. */
export const TO_SELF = 0x4_0000;
export const TO_OTHERS = 0xc_0000;
export const NMI = 0x400;
export const INIT = 0x4500;
export const SIPI = 0x4600;

/** An event as it entered its handler. */
export interface Delivery {
  readonly cpu: number;
  readonly vector: number;
  readonly rip: bigint;
  /** Instructions the machine had retired. */
  readonly instruction: number;
}

export interface TestGuest {
  readonly machine: Machine;
  readonly code: Assembler;
  /** Everything delivered so far, in order. */
  readonly deliveries: Delivery[];
  /** Runs to the program's end, which must be an exit with status 0. */
  finish(limit?: number): void;
  run(limit: number): RunEnd;
  read32(address: number): number;
}

/**
 * A guest whose CPUs start at the labels `cpu0`, `cpu1` ... (those without one wait for a SIPI) with RBX = the APIC's base, interrupts off and the APIC enabled. Vectors go
 * to the labels `vector<number>` or, from 32 on, to a handler that ends the interrupt; others end the run with status 99. `trapGates`: vectors that leave IF alone.
 */
export function testGuest(
  write: (code: Assembler) => void,
  configuration: Partial<MachineConfiguration> & { readonly trapGates?: readonly number[] } = {},
): TestGuest {
  const machine = Machine.create({ cpus: 1, memory: 4 * MIB, jit: eager, ...configuration });
  const code = new Assembler(CODE);
  write(code);
  code.label("unexpected").exit(99).hlt();
  code.label("ignore").apicWrite(EOI, 0).iretq();
  code.label("return").iretq();
  machine.memory.write(CODE, code.assemble());
  writeTables(machine, code, configuration.trapGates ?? []);
  for (const vcpu of machine.cpus) {
    vcpu.apic.writeRegister(SVR >> 4, 0x1ff);
    const label = `cpu${vcpu.index}`;
    if (!code.has(label)) continue;
    const { state } = vcpu;
    state.cr0 = 0x8001_0033;
    state.cr3 = PML4;
    state.cr4 = 0x6a0;
    state.efer = 0xd01;
    state.setSegment(CS, 8, 0n, 0xffffffff, 0xa09b);
    for (const segment of [SS, DS, ES]) state.setSegment(segment, 16, 0n, 0xffffffff, 0xc093);
    state.gdtrBase = BigInt(GDT);
    state.gdtrLimit = 0x1f;
    state.idtrBase = BigInt(IDT);
    state.idtrLimit = 0xfff;
    state.rflags = 2;
    state.setGpr(3, BigInt(APIC));
    state.setGpr(4, BigInt(STACKS + (vcpu.index + 1) * 0x1000));
    state.rip = code.at(label);
    state.activity = "running";
    vcpu.mmu.tlb.flush();
    vcpu.changed();
  }
  const deliveries: Delivery[] = [];
  machine.hooks = {
    exception: (cpu, { vector, rip }) => void deliveries.push({ cpu, vector, rip, instruction: machine.instructions() }),
  };
  return {
    machine,
    code,
    deliveries,
    run: (limit) => machine.run(limit),
    finish: (limit = 1_000_000) => {
      const end = machine.run(limit);
      assert.deepEqual(
        end,
        { kind: "exit", status: 1 },
        `deliveries: ${deliveries
          .slice(0, 20)
          .map((d) => `${d.vector} at ${d.rip.toString(16)}`)
          .join(", ")}`,
      );
    },
    read32: (address) => new DataView(machine.memory.read(address, 4).buffer).getUint32(0, true),
  };
}

/** Page-table entry of a 4 KiB page below 2 MiB. */
export const pageEntry = (page: number, flags = 3): number => page * 4096 + flags;

function writeTables(machine: Machine, code: Assembler, trapGates: readonly number[]): void {
  const put = (address: number, value: bigint): void => {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setBigUint64(0, value, true);
    machine.memory.write(address, bytes);
  };
  for (let vector = 0; vector < 256; vector++) {
    const own = `vector${vector}`;
    const target = code.at(code.has(own) ? own : vector === 2 ? "return" : vector < 32 ? "unexpected" : "ignore");
    const type = trapGates.includes(vector) ? 0x8f00n : 0x8e00n;
    put(IDT + vector * 16, (target & 0xffffn) | (8n << 16n) | (type << 32n) | ((target >> 16n) << 48n));
    put(IDT + vector * 16 + 8, target >> 32n);
  }
  put(GDT + 8, 0x00af9b000000ffffn);
  put(GDT + 16, 0x00cf93000000ffffn);
  put(PML4, BigInt(PDPT + 3));
  put(PDPT, BigInt(PD + 3));
  for (let i = 1; i < 4; i++) put(PDPT + i * 8, (BigInt(i) << 30n) | 0x83n);
  put(PD, BigInt(PT + 3));
  for (let i = 1; i < 512; i++) put(PD + i * 8, (BigInt(i) << 21n) | 0x83n);
  for (let i = 0; i < 512; i++) put(PT + i * 8, BigInt(pageEntry(i)));
}
