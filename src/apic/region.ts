import type { DeviceContext, MmioHandler, MmioRegion } from "../devices/device";
import type { InterruptBus } from "./bus";
import { isMsiAddress } from "./fields";
import type { LocalApic } from "./localApic";

const pageSize = 0x1000;
const windowBase = 0xfee00000;
const windowSize = 0x100000;
/** Over RAM and all devices. */
const pagePriority = 100;
const windowPriority = 90;

/** One mapped page of local APIC registers. */
class Page {
  constructor(
    readonly region: MmioRegion,
    readonly handler: { base: number },
  ) {}
}

/**
 * The memory side of the local APICs. One page of registers serves all CPUs: the accessing CPU selects its own APIC. A guest may move
 * a CPU's page: each base address in use has its page here, and a CPU that meets another CPU's page sees what lies beneath.
 *
 * Stores of 32 bits into 0xfee00000 to 0xfeefffff that are not for the CPU's own registers are messages: from a device (`cpu` -1) and, as on
 * the best-known emulator, from a CPU too. Reads there give ones.
 */
export class ApicRegion {
  private readonly pages: Page[] = [];

  constructor(
    private readonly context: DeviceContext,
    private readonly bus: InterruptBus,
  ) {
    context.mapMmio("msi", windowBase, windowSize, this.window(), windowPriority);
    bus.onBaseChanged(() => this.update());
    this.update();
  }

  /** Base addresses that have a page now, ascending. */
  get bases(): readonly number[] {
    return [...this.wanted()].sort((a, b) => a - b);
  }

  /** Maps a page at each base address in use; pages of addresses that are no more so are moved or switched off. */
  private update(): void {
    const wanted = this.wanted();
    const idle: Page[] = [];
    for (const page of this.pages) if (!wanted.delete(page.handler.base)) idle.push(page);
    for (const base of wanted) {
      const page = idle.pop();
      if (page === undefined) {
        this.map(base);
        continue;
      }
      page.handler.base = base;
      page.region.move(base);
      page.region.setEnabled(true);
    }
    for (const page of idle) {
      page.handler.base = -1;
      page.region.setEnabled(false);
    }
  }

  private wanted(): Set<number> {
    return new Set(this.bus.apics.filter((apic) => apic.enabled && !apic.x2apicMode).map((apic) => apic.baseAddress));
  }

  private map(base: number): void {
    const where = { base };
    const own = (cpu: number): LocalApic | undefined => {
      const apic = cpu >= 0 ? this.bus.apics.at(cpu) : undefined;
      return apic?.enabled === true && !apic.x2apicMode && apic.baseAddress === where.base ? apic : undefined;
    };
    const beneath = (cpu: number): void => {
      const apic = cpu >= 0 ? this.bus.apics.at(cpu) : undefined;
      if (apic?.enabled === false) this.bus.ledger.misused({ kind: "lapic-disabled", cpu, vector: -1 });
    };
    const handler: MmioHandler = {
      read: (offset, size, cpu) => {
        const apic = own(cpu);
        if (apic !== undefined) return apic.readMmio(offset, size);
        beneath(cpu);
        return this.readBeneath(where.base + offset, size);
      },
      write: (offset, size, value, cpu) => {
        const apic = own(cpu);
        if (apic !== undefined) return apic.writeMmio(offset, size, value);
        beneath(cpu);
        this.writeBeneath(where.base + offset, size, value);
      },
    };
    this.pages.push(new Page(this.context.mapMmio("lapic", base, pageSize, handler, pagePriority), where));
  }

  private window(): MmioHandler {
    // The first page is where the registers of a local APIC would be that is switched off.
    const registers = (offset: number, cpu: number): void => {
      if (offset < pageSize && cpu >= 0 && this.bus.apics.at(cpu)?.enabled === false)
        this.bus.ledger.misused({ kind: "lapic-disabled", cpu, vector: -1 });
    };
    return {
      read: (offset, size, cpu) => {
        registers(offset, cpu);
        return this.readBeneath(windowBase + offset, size);
      },
      write: (offset, size, value, cpu) => {
        registers(offset, cpu);
        this.writeBeneath(windowBase + offset, size, value);
      },
    };
  }

  private readBeneath(address: number, size: 1 | 2 | 4 | 8): bigint {
    if (isMsiAddress(address)) return (1n << BigInt(size * 8)) - 1n;
    const bytes = this.context.memory.read(address, size);
    let value = 0n;
    for (let index = size - 1; index >= 0; index--) value = (value << 8n) | BigInt(bytes[index]);
    return value;
  }

  private writeBeneath(address: number, size: 1 | 2 | 4 | 8, value: bigint): void {
    if (isMsiAddress(address)) {
      if (size === 4) this.bus.msi(address, Number(BigInt.asUintN(32, value)));
      return;
    }
    const bytes = new Uint8Array(size);
    for (let index = 0; index < size; index++) bytes[index] = Number((value >> BigInt(index * 8)) & 0xffn);
    this.context.memory.write(address, bytes);
  }
}
