import type { ApicCpu } from "../apic/events";
import type { LocalApic } from "../apic/localApic";
import { joinHalves } from "../common/halves";
import type { Mmu } from "../cpu/mmu";
import { MODE_16, MODE_32, MODE_SIZE_MASK } from "../cpu/mode";
import type { Processor } from "../cpu/processor";
import { CS } from "../cpu/segmentRegisters";
import type { Activity, CpuState } from "../cpu/state";
import type { CpuSystem } from "../cpu/system/system";
import { ApicPage } from "./apicPage";
import type { PhysicalMemory } from "./physicalMemory";

/** What a vCPU asks of its machine. */
export interface VcpuHost {
  /** An event waits at this CPU: it should run soon. */
  kicked(vcpu: Vcpu): void;
  /** The CPU left wait-for-SIPI. */
  started(vcpu: Vcpu): void;
}

interface Parts {
  readonly processor: Processor;
  readonly system: CpuSystem;
  readonly apic: LocalApic;
  readonly apicPage: ApicPage;
}

/** One virtual CPU with its local APIC, as the machine schedules it and a debugger looks at it. */
export class Vcpu implements ApicCpu {
  /** Frozen by the debugger: not scheduled. */
  held = false;
  private attached: Parts | undefined;

  constructor(
    readonly state: CpuState,
    readonly mmu: Mmu,
    private readonly memory: PhysicalMemory,
    private readonly host: VcpuHost,
  ) {}

  /** Completes construction: these refer back to the vCPU. */
  attach(parts: Omit<Parts, "apicPage">): void {
    this.attached = { ...parts, apicPage: new ApicPage(this.state, this.mmu, parts.apic) };
  }

  private get parts(): Parts {
    if (this.attached === undefined) throw new Error("vCPU used before it was attached");
    return this.attached;
  }

  get processor(): Processor {
    return this.parts.processor;
  }

  get system(): CpuSystem {
    return this.parts.system;
  }

  get apic(): LocalApic {
    return this.parts.apic;
  }

  get apicPage(): ApicPage {
    return this.parts.apicPage;
  }

  get index(): number {
    return this.state.index;
  }

  get bootstrap(): boolean {
    return this.state.bootstrap;
  }

  get apicId(): number {
    return this.apic.apicId;
  }

  get activity(): Activity {
    return this.state.activity;
  }

  /** The next instruction is in the shadow of STI or of a load of SS. */
  get inShadow(): boolean {
    return this.processor.inShadow;
  }

  /** Instructions retired by this CPU. */
  get retired(): number {
    return this.processor.retired;
  }

  /** Instructions tried and events taken since power-on: what a position in this CPU's own course is counted by. */
  get steps(): number {
    return this.processor.attempted + this.processor.taken;
  }

  setInterruptRequest(pending: boolean): void {
    this.state.intrPending = pending;
    if (pending) this.kick();
  }

  raiseNmi(): void {
    this.state.nmiPending = true;
    this.kick();
  }

  raiseSmi(): void {
    this.state.smiPending = true;
    this.kick();
  }

  raiseInit(): void {
    this.state.initPending = true;
    this.kick();
  }

  startup(page: number): boolean {
    // An INIT that this CPU has not had a turn to take comes first.
    if (this.state.initPending) {
      this.state.initPending = false;
      this.system.init();
    }
    if (!this.system.startup(page)) return false;
    this.changed();
    this.host.started(this);
    this.host.kicked(this);
    return true;
  }

  get waitingForSipi(): boolean {
    return this.state.activity === "wait-for-SIPI";
  }

  private kick(): void {
    this.processor.request();
    this.host.kicked(this);
  }

  /** State was changed from outside: cached positions and modes are dropped. */
  changed(): void {
    this.processor.invalidateResume();
    this.mmu.tlb.selectIndex();
    this.mmu.jumps.forget();
  }

  /** Width of the code that runs now. */
  codeBits(): 16 | 32 | 64 {
    const size = this.system.computeMode() & MODE_SIZE_MASK;
    return size === MODE_16 ? 16 : size === MODE_32 ? 32 : 64;
  }

  /** Linear address of the next instruction (of the current one inside a hook). */
  linearRip(): bigint {
    const rip = this.processor.currentRip;
    return this.state.code64 ? rip : (this.state.segBase(CS) + rip) & 0xffff_ffffn;
  }

  setRip(value: bigint): void {
    this.state.rip = BigInt.asUintN(64, value);
    this.state.midString = false;
    this.changed();
  }

  /** Up to `length` bytes at linear address `linear` without side effects, fewer when a page is not mapped to memory; undefined when the first is not. */
  readMemory(linear: bigint, length: number): Uint8Array | undefined {
    const bytes = new Uint8Array(length);
    let done = 0;
    while (done < length) {
      const at = BigInt.asUintN(64, linear + BigInt(done));
      const chunk = Math.min(length - done, 4096 - Number(at & 0xfffn));
      const physical = this.mmu.inspect(at);
      if (physical < 0 || this.memory.hostPage(Math.floor(physical / 4096), false, this.index) < 0) break;
      this.memory.peekInto(physical, bytes, done, chunk);
      done += chunk;
    }
    return done === 0 && length > 0 ? undefined : bytes.subarray(0, done);
  }

  /** Copies what {@link readMemory} would give from linear (high:low) on into `bytes` from `at` on. Returns how many bytes that were. */
  copyMemory(low: number, high: number, bytes: Uint8Array, at: number, length: number): number {
    // Where the TLB has the page, as it mostly does of a stack's top, nothing is allocated.
    const first = Math.min(length, 4096 - (low & 0xfff));
    const host = this.mmu.readable(low, high);
    let done = 0;
    if (host >= 0) {
      bytes.set(this.state.memory.u8.subarray(host, host + first), at);
      if (first === length) return length;
      done = first;
    }
    const rest = this.readMemory(BigInt.asUintN(64, joinHalves(high, low) + BigInt(done)), length - done);
    if (rest !== undefined) bytes.set(rest, at + done);
    return done + (rest?.length ?? 0);
  }

  /** `length` bytes of plain memory at a physical address, which must not cross a page; undefined where there is none. */
  readPhysical(physical: number, length: number): Uint8Array | undefined {
    if (this.memory.hostPage(Math.floor(physical / 4096), false, this.index) < 0) return undefined;
    return this.memory.peek(physical, length);
  }

  /** Writes bytes at a physical address; returns how many, fewer where there is no plain memory. */
  writePhysical(physical: number, bytes: Uint8Array): number {
    let done = 0;
    while (done < bytes.length) {
      const chunk = Math.min(bytes.length - done, 4096 - ((physical + done) % 4096));
      if (this.memory.hostPage(Math.floor((physical + done) / 4096), true, this.index) < 0) break;
      this.memory.write(physical + done, bytes.subarray(done, done + chunk));
      done += chunk;
    }
    if (done > 0) this.processor.invalidateResume();
    return done;
  }

  /** Writes bytes at linear address `linear` whatever the page's rights; returns how many, fewer when a page is not mapped to memory. */
  writeMemory(linear: bigint, bytes: Uint8Array): number {
    let done = 0;
    while (done < bytes.length) {
      const at = BigInt.asUintN(64, linear + BigInt(done));
      const chunk = Math.min(bytes.length - done, 4096 - Number(at & 0xfffn));
      const physical = this.mmu.inspect(at);
      if (physical < 0 || this.memory.hostPage(Math.floor(physical / 4096), true, this.index) < 0) break;
      this.memory.write(physical, bytes.subarray(done, done + chunk));
      done += chunk;
    }
    if (done > 0) this.processor.invalidateResume();
    return done;
  }
}
