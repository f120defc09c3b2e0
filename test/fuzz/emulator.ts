/** Runs blocks on the emulator: a machine with one CPU in user code of 32 or 64 bits, whose first exception ends the block. */
import { CS, DS, ES, SS, TR } from "../../src/cpu/segmentRegisters";
import { Machine } from "../../src/machine/machine";
import type { MachineConfiguration } from "../../src/machine/types";
import { SLOT_XMM, VECTOR_UPPER } from "../../src/tcg/layout";
import { AT, type Block, CODE, codeOf, DATA, DATA_BYTES, hashData, STATE_BYTES, WINDOW, WINDOW_BYTES } from "./block";

/** Tables of the machine by their physical address; their linear one is in the upper half, so that user code finds nothing around its own pages. */
const KERNEL = 0xffff_8000_0000_0000n;
const PML4 = 0x1000;
const PDPT = 0x2000;
const PD = 0x3000;
const PT = 0x4000;
const GDT = 0x5000;
const IDT = 0x6000;
const TSS = 0x7000;
const HANDLER = 0x8000;
const STACK = 0xa000;
const KERNEL_PDPT = 0xb000;
const KERNEL_PD = 0xc000;
const KERNEL_PT = 0xd000;
const ERROR_CODES = new Set([8, 10, 11, 12, 13, 14, 17]);
/** PE MP ET NE WP AM PG; PAE OSFXSR OSXMMEXCPT OSXSAVE; LME LMA NXE. */
const CR0 = 0x8005_0033;
const CR4 = 0x4_0620;
const EFER = 0xd01;
/** Iterations of string instructions count as instructions. */
const LIMIT = 100_000;

export class FuzzMachine {
  readonly machine: Machine;
  private vector = -1;

  constructor(engine: MachineConfiguration["engine"] = "interpreter") {
    this.machine = Machine.create({ cpus: 1, memory: 1 << 20, engine, cpuModel: "max,+avx2,+fma,+f16c,+vaes,+vpclmulqdq" });
    this.machine.hooks = {
      exception: (_cpu, { vector }) => {
        if (this.vector < 0) this.vector = vector;
        this.machine.requestStop();
      },
    };
    this.writeTables();
  }

  private writeTables(): void {
    const put = (address: number, ...values: readonly bigint[]): void =>
      this.machine.memory.write(address, new Uint8Array(BigUint64Array.from(values).buffer));
    put(PML4, BigInt(PDPT) | 7n);
    put(PDPT, BigInt(PD) | 7n);
    put(PD, BigInt(PT) | 7n);
    put(PML4 + 256 * 8, BigInt(KERNEL_PDPT) | 3n);
    put(KERNEL_PDPT, BigInt(KERNEL_PD) | 3n);
    put(KERNEL_PD, BigInt(KERNEL_PT) | 3n);
    for (let page = 0; page < 16; page++) put(KERNEL_PT + page * 8, BigInt(page * 4096) | 0x63n);
    for (const [first, bytes] of [
      [CODE, 4096],
      [DATA, DATA_BYTES],
    ])
      for (let address = first; address < first + bytes; address += 4096) put(PT + (address >> 12) * 8, BigInt(address) | 0x67n);
    // Null, kernel code, kernel data, user data, user code of 64 and of 32 bits, TSS.
    put(GDT, 0n, 0x00af9b000000ffffn, 0x00cf93000000ffffn, 0x00cff3000000ffffn, 0x00affb000000ffffn, 0x00cffb000000ffffn);
    put(GDT + 48, 0x00008b0000000067n | (BigInt(TSS) << 16n), KERNEL >> 32n);
    for (let vector = 0; vector < 32; vector++) put(IDT + vector * 16, BigInt(HANDLER) | (8n << 16n) | (0xee00n << 32n), KERNEL >> 32n);
    const tss = new Uint8Array(104);
    new DataView(tss.buffer).setBigUint64(4, KERNEL + BigInt(STACK), true);
    this.machine.memory.write(TSS, tss);
    this.machine.memory.write(HANDLER, Uint8Array.of(0xf4));
  }

  /** Instructions retired so far. */
  get instructions(): number {
    return this.machine.instructions();
  }

  /** The state after a block, in native.c's structure. */
  run(block: Block): Uint8Array {
    const { machine } = this;
    const [vcpu] = machine.cpus;
    const { state } = vcpu;
    const before = new DataView(block.state.buffer, block.state.byteOffset);
    const data = new Uint8Array(DATA_BYTES);
    data.set(block.state.subarray(AT.window, AT.window + WINDOW_BYTES), WINDOW - DATA);
    machine.memory.write(DATA, data);
    machine.memory.write(CODE, codeOf(block));
    state.cr0 = CR0;
    state.cr3 = PML4;
    state.cr4 = CR4;
    state.efer = EFER;
    state.xcr0 = 7;
    const code64 = block.bits === 64;
    state.setSegment(CS, code64 ? 0x23 : 0x2b, 0n, 0xffffffff, code64 ? 0xa0fb : 0xc0fb);
    for (const segment of [SS, DS, ES]) state.setSegment(segment, 0x1b, 0n, 0xffffffff, 0xc0f3);
    state.setSegment(TR, 0x30, KERNEL + BigInt(TSS), 0x67, 0x8b);
    state.gdtrBase = KERNEL + BigInt(GDT);
    state.gdtrLimit = 0x3f;
    state.idtrBase = KERNEL + BigInt(IDT);
    state.idtrLimit = 0x1ff;
    state.cpl = 3;
    for (let i = 0; i < 16; i++) state.setGpr(i, code64 || i < 8 ? before.getBigUint64(AT.regs + i * 8, true) : 0n);
    for (let i = 0; i < 16; i++)
      for (let quarter = 0; quarter < 4; quarter++) {
        const slot = SLOT_XMM / 8 + i * 2 + (quarter & 1) + (quarter >> 1) * (VECTOR_UPPER / 8);
        state.slots[slot] = before.getBigUint64(AT.ymm + i * 32 + quarter * 8, true);
      }
    state.mxcsr = before.getUint32(AT.mxcsr, true);
    state.rflags = Number(before.getBigUint64(AT.rflags, true)) | 0x202;
    state.rip = BigInt(CODE);
    state.activity = "running";
    state.cr2 = 0n;
    vcpu.mmu.tlb.flush();
    vcpu.changed();
    this.vector = -1;
    machine.run(LIMIT);
    return this.observe(block);
  }

  private observe(block: Block): Uint8Array {
    const { memory } = this.machine;
    const { state } = this.machine.cpus[0];
    const after = new Uint8Array(STATE_BYTES);
    const view = new DataView(after.buffer);
    const { vector } = this;
    const hasError = ERROR_CODES.has(vector);
    const frame = new DataView(memory.read(Number(state.gpr(4) - KERNEL), 48).buffer);
    const at = hasError ? 8 : 0;
    view.setBigUint64(AT.rip, frame.getBigUint64(at, true), true);
    view.setBigUint64(AT.rflags, frame.getBigUint64(at + 16, true), true);
    for (let i = 0; i < 16; i++) view.setBigUint64(AT.regs + i * 8, i === 4 ? frame.getBigUint64(at + 24, true) : state.gpr(i), true);
    view.setUint32(AT.mxcsr, state.mxcsr, true);
    view.setUint8(AT.trap, vector & 0xff);
    view.setUint8(AT.mode, block.bits);
    view.setUint32(AT.error, hasError ? frame.getUint32(0, true) : 0, true);
    view.setBigUint64(AT.cr2, vector === 14 ? state.cr2 : 0n, true);
    for (let i = 0; i < 16; i++)
      for (let quarter = 0; quarter < 4; quarter++) {
        const slot = SLOT_XMM / 8 + i * 2 + (quarter & 1) + (quarter >> 1) * (VECTOR_UPPER / 8);
        view.setBigUint64(AT.ymm + i * 32 + quarter * 8, state.slots[slot], true);
      }
    const data = memory.read(DATA, DATA_BYTES);
    after.set(data.subarray(WINDOW - DATA, WINDOW - DATA + WINDOW_BYTES), AT.window);
    view.setUint32(AT.hash, hashData(data), true);
    return after;
  }
}
