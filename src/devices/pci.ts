import { assert } from "../common/errors";
import type { State } from "../common/state";
import {
  PCI_ADDRESS_PORT,
  PCI_DATA_PORT,
  PCI_INTX_GSI,
  PCI_INTX_ISA_IRQ,
  PCI_IO_BASE,
  PCI_IO_LIMIT,
  PCI_MMIO_BASE,
  PCI_MMIO_LIMIT,
} from "./board";
import type { Device, DeviceContext, IrqLine, RegisterView } from "./device";
import { PCI_COMMAND, PciDevice } from "./pciDevice";
import { StateReader } from "./stateReader";

/**
 * Which of the bus's four interrupt wires (0 is INTA#) pin `pin` (0 is INTA#) of the device in `slot` is wired to. Each slot's pins are rotated by one more,
 * so that single-pin devices share less; slot 1 starts at INTA#, as on PIIX boards, which their firmware takes for granted.
 */
export const intxWire = (slot: number, pin: number): number => (slot + pin + 3) & 3;

/** First of the ISA bridge's four PIRQ route registers. */
const PIRQ_ROUTE = 0x60;

/** PAM registers of the host bridge: 0x59 holds 0xf0000 to 0xfffff in its upper half, those up to 0x5f two blocks of 16 KiB each from 0xc0000. */
const PAM_FIRST = 0x59;
const PAM_END = 0x60;
/** Pages of shadow RAM, 0xc0000 to 0xfffff. */
const SHADOW_PAGES = 64;
const PAM_ALL_RAM = 0x33;

const SMRAM_CONTROL = 0x72;
const SMRAM_OPEN = 0x40;
const SMRAM_LOCK = 0x10;
const SMRAM_ENABLE = 0x08;
/** C_BASE_SEG: SMRAM is at 0xa0000, the only place there is. */
const SMRAM_BASE = 0x02;

/** Firmware and guests recognize the virtual board by this subsystem. */
const BOARD_SUBSYSTEM = { subsystemVendor: 0x1af4, subsystem: 0x1100 } as const;

/** SMRAM is not enabled and RAM is there for everybody; or only in system-management mode; or open to all code. */
export type SmramMode = "off" | "closed" | "open";

/** What the host bridge tells memory. */
export interface HostBridgeOutputs {
  /** For each 4 KiB page from 0xc0000 to 0xfffff: bit 0 sends reads to RAM instead of ROM, bit 1 writes. */
  shadow(attributes: Uint8Array): void;
  smram(mode: SmramMode): void;
}

/** Intel 440FX host bridge, 00:00.0 (data sheet 290549): memory registers for shadow RAM (PAM) and SMRAM. */
export class HostBridge extends PciDevice {
  constructor(
    context: DeviceContext,
    private readonly outputs: HostBridgeOutputs = { shadow: () => undefined, smram: () => undefined },
  ) {
    super(context, "pci.host", { vendor: 0x8086, device: 0x1237, classCode: 0x060000, revision: 2, ...BOARD_SUBSYSTEM });
    this.writable.fill(0xff, 0x50, PAM_FIRST);
    this.writable.fill(0x33, PAM_FIRST, PAM_END);
    this.writable[PAM_FIRST] = 0x30;
    this.config[SMRAM_CONTROL] = SMRAM_BASE;
    this.updateSmram();
  }

  protected override configWritten(offset: number, size: number): void {
    if (offset < PAM_END && offset + size > PAM_FIRST) this.updateShadow();
    if (offset <= SMRAM_CONTROL && offset + size > SMRAM_CONTROL) this.updateSmram();
  }

  private updateShadow(): void {
    const attributes = new Uint8Array(SHADOW_PAGES);
    for (let page = 0; page < SHADOW_PAGES; page++) {
      const block = page >> 2;
      const register = block >= 12 ? this.config[PAM_FIRST] >> 4 : this.config[PAM_FIRST + 1 + (block >> 1)] >> (block & 1 ? 4 : 0);
      attributes[page] = register & 3;
    }
    this.outputs.shadow(attributes);
  }

  /** D_LCK closes SMRAM and makes the register read-only until reset. */
  private updateSmram(): void {
    const locked = (this.config[SMRAM_CONTROL] & SMRAM_LOCK) !== 0;
    if (locked) this.config[SMRAM_CONTROL] &= ~SMRAM_OPEN;
    this.writable[SMRAM_CONTROL] = locked ? 0 : 0x78;
    const control = this.config[SMRAM_CONTROL];
    this.outputs.smram(!(control & SMRAM_ENABLE) ? "off" : control & SMRAM_OPEN ? "open" : "closed");
  }

  /** What firmware does before it copies itself: RAM answers everywhere. */
  enableShadow(): void {
    this.writeConfig(PAM_FIRST, 1, PAM_ALL_RAM);
    for (let offset = PAM_FIRST + 1; offset < PAM_END; offset++) this.writeConfig(offset, 1, PAM_ALL_RAM);
  }

  override reset(): void {
    super.reset();
    this.updateShadow();
    this.updateSmram();
  }

  protected override restoreMore(): void {
    this.updateShadow();
    this.updateSmram();
  }
}

/** Intel PIIX3 ISA bridge, 00:01.0: routes INTA# to INTD# to ISA interrupts. */
export class IsaBridge extends PciDevice {
  /** Set by the bus: the routing changed. */
  onRoute: () => void = () => undefined;

  constructor(context: DeviceContext) {
    super(context, "pci.isa", { vendor: 0x8086, device: 0x7000, classCode: 0x060100, headerType: 0x80, ...BOARD_SUBSYSTEM });
    this.writable.fill(0x8f, PIRQ_ROUTE, PIRQ_ROUTE + 4);
    this.config.fill(0x80, PIRQ_ROUTE, PIRQ_ROUTE + 4);
  }

  /** ISA interrupt that wire `pin` (0 for INTA#) is routed to, or undefined. Bit 7 turns routing off; system interrupts cannot be chosen. */
  route(pin: number): number | undefined {
    const value = this.config[PIRQ_ROUTE + pin];
    const irq = value & 15;
    return value & 0x80 || irq < 3 || irq === 8 || irq === 13 ? undefined : irq;
  }

  protected override configWritten(offset: number, size: number): void {
    if (offset < PIRQ_ROUTE + 4 && offset + size > PIRQ_ROUTE) this.onRoute();
  }

  override reset(): void {
    super.reset();
    this.onRoute();
  }
}

/**
 * PCI bus 0 with configuration mechanism 1 (PCI Local Bus Specification 3.0, 3.2.2.3.2). INTx pins of the devices are swizzled
 * onto four wires; each goes to a GSI of its own (16 to 19) and, by the ISA bridge's routing, to an ISA interrupt.
 */
export class PciBus implements Device {
  readonly name = "pci";
  private readonly functions = new Map<number, PciDevice>();
  private readonly bridge: IsaBridge | undefined;
  private readonly gsi: readonly IrqLine[];
  private readonly isa: readonly (IrqLine | undefined)[];
  private address = 0;
  /** How many devices assert each of the four wires. */
  private readonly wires = [0, 0, 0, 0];

  /**
   * @param source makes a source of interrupt line n: `IrqFabric.source`
   * @param bridge the ISA bridge, whose routing counts; it still has to be plugged in
   */
  constructor(context: DeviceContext, source: (line: number) => IrqLine, bridge?: IsaBridge) {
    this.bridge = bridge;
    this.gsi = PCI_INTX_GSI.map((line) => source(line));
    this.isa = Array.from({ length: 16 }, (_, irq) => (irq < 3 || irq === 8 || irq === 13 ? undefined : source(irq)));
    if (bridge !== undefined) bridge.onRoute = () => this.routeIsa();
    context.mapPorts("pci.address", PCI_ADDRESS_PORT, 4, {
      read: (port, size) => {
        const value = this.address >>> ((port - PCI_ADDRESS_PORT) * 8);
        return size === 4 ? value : value & (size === 2 ? 0xffff : 0xff);
      },
      // Only a dword write reaches the register; narrower ones pass through to the ISA ports there.
      write: (_port, size, value) => {
        if (size === 4) this.address = (value & 0x80fffffc) >>> 0;
      },
    });
    context.mapPorts("pci.data", PCI_DATA_PORT, 4, {
      read: (port, size) => {
        const target = this.selected();
        if (target === undefined) return 0xffffffff >>> (32 - size * 8);
        return target.readConfig((this.address & 0xfc) | (port & 3), size);
      },
      write: (port, size, value) => this.selected()?.writeConfig((this.address & 0xfc) | (port & 3), size, value),
    });
  }

  private selected(): PciDevice | undefined {
    if (!(this.address & 0x80000000) || (this.address & 0xff0000) !== 0) return undefined;
    return this.functions.get((this.address >> 8) & 0xff);
  }

  /** Plugs a device into slot `slot` (0 to 31), function 0 to 7. */
  plug(slot: number, func: number, device: PciDevice): void {
    const key = (slot << 3) | func;
    assert(slot >= 0 && slot < 32 && func >= 0 && func < 8 && !this.functions.has(key), `PCI slot ${slot}.${func} for ${device.name}`);
    this.functions.set(key, device);
    device.connectIntx((level) => {
      const wire = intxWire(slot, device.interruptPin - 1);
      this.wires[wire] += level ? 1 : -1;
      if (this.wires[wire] === (level ? 1 : 0)) {
        this.gsi[wire](level);
        this.routeIsa();
      }
    });
  }

  private routeIsa(): void {
    for (let irq = 0; irq < 16; irq++) {
      const line = this.isa[irq];
      if (line === undefined) continue;
      line(this.wires.some((count, wire) => count > 0 && this.bridge?.route(wire) === irq));
    }
  }

  /** The plugged functions by slot and function. */
  list(): readonly { readonly slot: number; readonly func: number; readonly device: PciDevice }[] {
    return [...this.functions].sort(([a], [b]) => a - b).map(([key, device]) => ({ slot: key >> 3, func: key & 7, device }));
  }

  /**
   * What firmware does before it boots a system: places every BAR, largest first, turns decoding and bus mastering on, routes INTx
   * and writes the interrupt lines. Called after reset by boots that have no firmware.
   */
  assignResources(): void {
    let memory = PCI_MMIO_BASE;
    let io = PCI_IO_BASE;
    const align = (value: number, size: number): number => Math.ceil(value / size) * size;
    const bars = this.list().flatMap(({ device }) => device.barList.map((bar) => ({ device, bar })));
    bars.sort((a, b) => b.bar.size - a.bar.size);
    for (const { device, bar } of bars) {
      const offset = 0x10 + bar.index * 4;
      if (bar.kind === "io") {
        io = align(io, bar.size);
        if (io + bar.size - 1 > PCI_IO_LIMIT) continue;
        device.writeConfig(offset, 4, io);
        io += bar.size;
      } else {
        memory = align(memory, bar.size);
        if (memory + bar.size - 1 > PCI_MMIO_LIMIT) continue;
        device.writeConfig(offset, 4, memory);
        if (bar.kind === "memory64") device.writeConfig(offset + 4, 4, 0);
        memory += bar.size;
      }
    }
    for (let wire = 0; wire < 4; wire++) this.bridge?.writeConfig(PIRQ_ROUTE + wire, 1, PCI_INTX_ISA_IRQ[wire]);
    for (const { slot, device } of this.list()) {
      if (device.barList.length > 0) device.writeConfig(PCI_COMMAND, 2, 0x0007);
      if (device.interruptPin > 0) device.writeConfig(0x3c, 1, PCI_INTX_ISA_IRQ[intxWire(slot, device.interruptPin - 1)]);
    }
  }

  /** The devices reset themselves. */
  reset(): void {
    this.address = 0;
  }

  save(): State {
    return { address: this.address, wires: this.wires.slice() };
  }

  restore(state: State): void {
    const reader = new StateReader(state, this.name);
    this.address = reader.number("address");
    const wires = reader.numbers("wires");
    for (let wire = 0; wire < 4; wire++) this.wires[wire] = wires[wire] ?? 0;
  }

  registers(): readonly RegisterView[] {
    const hex = (value: number): string => value.toString(16).padStart(2, "0");
    const text = `${hex((this.address >> 16) & 0xff)}:${hex((this.address >> 11) & 31)}.${(this.address >> 8) & 7} register 0x${hex(this.address & 0xfc)}`;
    return [
      { name: "CONFIG_ADDRESS", value: BigInt(this.address), bits: 32, text },
      ...["INTA#", "INTB#", "INTC#", "INTD#"].map((name, wire) => ({ name, value: this.wires[wire] > 0 ? 1n : 0n, bits: 1 })),
    ];
  }
}
