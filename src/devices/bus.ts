import type { Clock, DeviceContext, DmaMemory, MmioHandler, MmioRegion, PortHandler, PortRegion } from "./device";
import type { MmioSpace } from "./mmio";
import type { PortSpace } from "./ports";

/** What the board hands to its devices: its port space, MMIO space, clock and memory behind one `DeviceContext`. */
export class DeviceBus implements DeviceContext {
  constructor(
    readonly clock: Clock,
    readonly ports: PortSpace,
    readonly mmio: MmioSpace,
    readonly memory: DmaMemory,
  ) {}

  mapPorts(name: string, first: number, count: number, handler: PortHandler): PortRegion {
    return this.ports.map(name, first, count, handler);
  }

  mapMmio(name: string, base: number, size: number, handler: MmioHandler, priority = 0, video = false): MmioRegion {
    return this.mmio.map(name, base, size, handler, priority, video);
  }
}
