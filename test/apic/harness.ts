import { InterruptBus } from "../../src/apic/bus";
import type { ApicCpu, InterruptEvent, InterruptStorm, StampSource } from "../../src/apic/events";
import { IoApic, type IoApicOptions } from "../../src/apic/ioApic";
import { LocalApic } from "../../src/apic/localApic";
import { InterruptLedger, type LedgerOptions } from "../../src/apic/ledger";
import { Reg, type ApicModel } from "../../src/apic/registerMap";
import { ApicRegion } from "../../src/apic/region";
import type { Moment } from "../../src/common/moment";
import type { State } from "../../src/common/state";
import type { Clock, DeviceContext, MmioHandler, MmioRegion, PortRegion, Timer } from "../../src/devices/device";

class FakeTimer implements Timer {
  deadline: number | undefined;
  constructor(readonly callback: () => void) {}
  arm(deadline: number): void {
    this.deadline = deadline;
  }
  disarm(): void {
    this.deadline = undefined;
  }
}

/** Virtual time under the test's control. */
export class FakeClock implements Clock {
  time = 0;
  readonly timers: FakeTimer[] = [];

  now(): number {
    return this.time;
  }

  createTimer(_name: string, callback: () => void): Timer {
    const timer = new FakeTimer(callback);
    this.timers.push(timer);
    return timer;
  }

  /** Moves on by `nanoseconds`, stopping at each deadline to run its timers. */
  advance(nanoseconds: number): void {
    const end = this.time + nanoseconds;
    for (;;) {
      const due = this.timers.filter((timer) => timer.deadline !== undefined && timer.deadline <= end);
      if (due.length === 0) break;
      due.sort((a, b) => (a.deadline ?? 0) - (b.deadline ?? 0));
      const first = due[0];
      this.time = Math.max(this.time, first.deadline ?? 0);
      first.deadline = undefined;
      first.callback();
    }
    this.time = end;
  }

  /** Lets time jump past deadlines, as one long instruction does; then the boundary comes. */
  jump(nanoseconds: number): void {
    this.time += nanoseconds;
    this.advance(0);
  }
}

export class FakeCpu implements ApicCpu {
  intr = false;
  nmis = 0;
  smis = 0;
  inits = 0;
  startPage: number | undefined;
  waitingForSipi: boolean;

  constructor(
    readonly index: number,
    readonly bootstrap: boolean,
  ) {
    this.waitingForSipi = !bootstrap;
  }

  setInterruptRequest(pending: boolean): void {
    this.intr = pending;
  }

  raiseNmi(): void {
    this.nmis++;
  }

  raiseSmi(): void {
    this.smis++;
  }

  raiseInit(): void {
    this.inits++;
    this.waitingForSipi = !this.bootstrap;
  }

  startup(page: number): boolean {
    if (!this.waitingForSipi) return false;
    this.waitingForSipi = false;
    this.startPage = page;
    return true;
  }

  save(): State {
    return [this.intr, this.nmis, this.smis, this.inits, this.startPage ?? -1, this.waitingForSipi];
  }
}

export class FakeStamps implements StampSource {
  retired = 0;
  cpu = -1;
  rip = 0x1000n;
  constructor(private readonly clock: FakeClock) {}
  instructions(): number {
    return this.retired;
  }
  moment(into: Moment): void {
    into.instruction = this.retired;
    into.time = this.clock.time;
    into.cpu = this.cpu;
    into.ripLow = this.cpu < 0 ? 0 : Number(this.rip & 0xffff_ffffn) | 0;
    into.ripHigh = this.cpu < 0 ? 0 : Number(this.rip >> 32n) | 0;
  }
}

interface Mapping {
  name: string;
  base: number;
  size: number;
  handler: MmioHandler;
  priority: number;
  enabled: boolean;
}

/** A board with RAM below 16 MiB and whatever is mapped. */
export class FakeContext implements DeviceContext {
  readonly mappings: Mapping[] = [];
  readonly ram = new Uint8Array(0x1000000);

  constructor(readonly clock: FakeClock) {}

  readonly memory = {
    read: (address: number, length: number): Uint8Array => {
      const bytes = new Uint8Array(length).fill(0xff);
      bytes.set(this.ram.subarray(address, address + length));
      return bytes;
    },
    write: (address: number, bytes: Uint8Array): void => {
      for (const [index, byte] of bytes.entries()) if (address + index < this.ram.length) this.ram[address + index] = byte;
    },
    write32: (address: number, value: number): void => this.write(address, 4, BigInt(value), -1),
  };

  mapPorts(): PortRegion {
    throw new Error("there are no ports here");
  }

  mapMmio(name: string, base: number, size: number, handler: MmioHandler, priority = 0): MmioRegion {
    const mapping: Mapping = { name, base, size, handler, priority, enabled: true };
    this.mappings.push(mapping);
    return {
      move: (to) => {
        mapping.base = to;
      },
      setEnabled: (enabled) => {
        mapping.enabled = enabled;
      },
    };
  }

  find(address: number): Mapping | undefined {
    return this.mappings
      .filter((item) => item.enabled && address >= item.base && address < item.base + item.size)
      .sort((a, b) => b.priority - a.priority)[0];
  }

  read(address: number, size: 1 | 2 | 4 | 8, cpu: number): bigint {
    const mapping = this.find(address);
    if (mapping !== undefined) return mapping.handler.read(address - mapping.base, size, cpu);
    return this.memory.read(address, size).reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n);
  }

  write(address: number, size: 1 | 2 | 4 | 8, value: bigint, cpu: number): void {
    const mapping = this.find(address);
    if (mapping !== undefined) mapping.handler.write(address - mapping.base, size, value, cpu);
    else
      this.memory.write(
        address,
        Uint8Array.from({ length: size }, (_, index) => Number((value >> BigInt(index * 8)) & 0xffn)),
      );
  }
}

export interface BoardOptions {
  readonly cpus?: number;
  /** APIC ids by CPU; the index if left out. */
  readonly ids?: readonly number[];
  readonly model?: ApicModel;
  readonly ioApic?: IoApicOptions;
  readonly ledger?: LedgerOptions;
  /** Leave the APICs software-disabled, as after power-up. */
  readonly raw?: boolean;
}

/** CPUs, local APICs, an I/O APIC and their surroundings, all fake but the subject. */
export class Board {
  readonly clock = new FakeClock();
  readonly stamps = new FakeStamps(this.clock);
  readonly context = new FakeContext(this.clock);
  readonly ledger: InterruptLedger;
  readonly bus: InterruptBus;
  readonly cpus: FakeCpu[] = [];
  readonly apics: LocalApic[] = [];
  readonly ioApic: IoApic;
  readonly region: ApicRegion;
  readonly events: InterruptEvent[] = [];
  readonly storms: InterruptStorm[] = [];
  /** What guests added to their TSC. */
  tscOffset = 0n;

  constructor(options: BoardOptions = {}) {
    this.ledger = new InterruptLedger(this.stamps, { capacity: 4096, ...options.ledger });
    this.ledger.observe({ interruptEvent: (event) => this.events.push(event), interruptStorm: (storm) => this.storms.push(storm) });
    this.bus = new InterruptBus(this.ledger);
    for (let index = 0; index < (options.cpus ?? 2); index++) {
      const cpu = new FakeCpu(index, index === 0);
      this.cpus.push(cpu);
      const tsc = { read: (): bigint => BigInt(this.clock.time) + this.tscOffset, ticksPerNanosecond: 1 };
      const apicId = options.ids?.[index] ?? index;
      this.apics.push(new LocalApic({ cpu, bus: this.bus, clock: this.clock, apicId, tsc, model: options.model ?? {} }));
    }
    this.ioApic = new IoApic(this.context, this.bus, options.ioApic);
    this.region = new ApicRegion(this.context, this.bus);
    if (options.raw !== true) for (const apic of this.apics) apic.writeRegister(Reg.svr, 0x1ff);
    this.events.length = 0;
  }

  /** Guest write of an xAPIC register by CPU `cpu`, through memory. */
  write(cpu: number, register: number, value: number): void {
    this.as(cpu, () => this.context.write(this.apics[cpu].baseAddress + register * 16, 4, BigInt(value >>> 0), cpu));
  }

  read(cpu: number, register: number): number {
    return Number(this.context.read(this.apics[cpu].baseAddress + register * 16, 4, cpu));
  }

  /** Writes both halves of the ICR of CPU `cpu`; `destination` is the 8-bit id. */
  icr(cpu: number, low: number, destination = 0): void {
    this.write(cpu, Reg.icrHigh, destination << 24);
    this.write(cpu, Reg.icrLow, low);
  }

  /** Does `action` as if it were an instruction of CPU `cpu`. */
  as<T>(cpu: number, action: () => T): T {
    this.stamps.cpu = cpu;
    const result = action();
    this.stamps.cpu = -1;
    this.stamps.retired++;
    return result;
  }

  x2apic(cpu: number): void {
    const apic = this.apics[cpu];
    if (!apic.writeMsr(0x1b, apic.baseMsr | 0x400n)) throw new Error("x2APIC mode was refused");
  }

  /** The stages seen since the last call, as "stage cpu vector" lines, and forgets them. */
  seen(): string[] {
    return this.events.splice(0).map(({ stage, cpu, record }) => `${stage} ${cpu} ${record.vector.toString(16)}`);
  }

  /** Reasons of the drops since the last call. */
  drops(): string[] {
    return this.events
      .splice(0)
      .filter((event) => event.stage === "drop")
      .map((event) => event.record.dropReason ?? "?");
  }

  /** Acknowledges and ends whatever CPU `cpu` has pending; the vectors in their order. */
  drain(cpu: number): number[] {
    const vectors: number[] = [];
    while (this.cpus[cpu].intr && vectors.length < 300) {
      vectors.push(this.as(cpu, () => this.apics[cpu].acknowledge()));
      this.as(cpu, () => this.apics[cpu].eoi());
    }
    return vectors;
  }

  save(): State {
    return {
      time: this.clock.time,
      retired: this.stamps.retired,
      ledger: this.ledger.save(),
      bus: this.bus.save(),
      apics: this.apics.map((apic) => apic.save()),
      ioApic: this.ioApic.save(),
      cpus: this.cpus.map((cpu) => cpu.save()),
    };
  }

  restore(state: State): void {
    const saved = state as { [key: string]: State };
    this.clock.time = saved["time"] as number;
    this.stamps.retired = saved["retired"] as number;
    for (const [index, item] of (saved["cpus"] as State[]).entries()) {
      const cpu = this.cpus[index];
      const [, nmis, smis, inits, page, waiting] = item as [boolean, number, number, number, number, boolean];
      Object.assign(cpu, { nmis, smis, inits, startPage: page < 0 ? undefined : page, waitingForSipi: waiting });
    }
    for (const [index, item] of (saved["apics"] as State[]).entries()) this.apics[index].restore(item);
    this.ioApic.restore(saved["ioApic"]);
    this.bus.restore(saved["bus"]);
    this.ledger.restore(saved["ledger"]);
  }
}

export { Reg };

/** A small deterministic generator of 32-bit numbers (xorshift). */
export function generator(seed: number): () => number {
  let state = seed >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state;
  };
}
