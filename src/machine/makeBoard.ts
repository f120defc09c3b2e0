import type { InterruptBus } from "../apic/bus";
import type { IoApic } from "../apic/ioApic";
import { openCdrom, openDisk } from "../devices/block/openDisk";
import { IOAPIC_PINS, PCI_HOLE_BASE } from "../devices/board";
import type { DeviceBus } from "../devices/bus";
import { PcBoard } from "../devices/pcBoard";
import { provideFirmwareFiles } from "../firmware/romBoot";
import type { GuestOutput } from "./guestOutput";
import type { PhysicalMemory } from "./physicalMemory";
import type { MachineConfiguration, MachineHooks, RunEnd } from "./types";

/** What the board's outputs reach. */
export interface BoardSurroundings {
  readonly deviceBus: DeviceBus;
  readonly bus: InterruptBus;
  readonly ioApic: IoApic;
  readonly memory: PhysicalMemory;
  readonly output: GuestOutput;
  /** The hooks of the moment: a debugger may exchange them. */
  readonly hooks: () => MachineHooks;
  currentCpu(): number;
  /** An SMI for the bootstrap processor. */
  systemManagement(): void;
  /** RAM and ROM changed places. */
  memoryRouted(): void;
  finish(end: RunEnd): void;
  /** The guest enters S3, and leaves it. */
  sleep(): void;
  wake(): void;
  reset(): void;
}

/** The PC's board with the devices, disks and firmware files of a configuration, its lines wired to the interrupt controllers. */
export function makeBoard(configuration: MachineConfiguration, apicIds: readonly number[], surroundings: BoardSurroundings): PcBoard {
  const { bus, ioApic, memory, output, hooks } = surroundings;
  const { firmware } = configuration;
  const { video } = memory;
  const pins = Array.from({ length: IOAPIC_PINS }, (_, pin) => ioApic.line(pin, `gsi ${pin}`));
  const below = Math.min(configuration.memory, PCI_HOLE_BASE);
  const above = configuration.memory - below;
  const board = new PcBoard(
    surroundings.deviceBus,
    {
      cpus: configuration.cpus,
      memoryBelow4G: below,
      memoryAbove4G: above,
      ...(video === undefined ? {} : { video }),
      ...(configuration.startTime === undefined ? {} : { epochSeconds: Math.floor(configuration.startTime / 1000) }),
      devices: configuration.devices ?? [],
      seed: configuration.seed ?? 0,
      disks: (configuration.disks ?? []).map((disk, index) => ({
        disk: openDisk(`disk${index}`, disk, configuration.inflate),
        interface: disk.interface ?? "ide",
      })),
      ...(configuration.cdrom === undefined ? {} : { cdrom: openCdrom("cdrom", configuration.cdrom) }),
    },
    {
      intr: (level) => {
        for (const apic of bus.apics) apic.setLint(0, level);
        pins[0](level);
      },
      idlePicEoi: () => bus.ledger.misused({ kind: "pic-eoi-nothing-in-service", cpu: surroundings.currentCpu(), vector: -1 }),
      ioApicPin: (pin, level) => {
        if (pin !== 0) pins[pin](level);
      },
      serial: (port, byte) => {
        if (port === 0) output.serial(byte);
      },
      console: (bytes) => output.console(bytes),
      debugConsole: (byte) => {
        if (hooks().debugConsole === undefined) output.serial(byte);
        else output.debugConsole(byte);
      },
      smi: () => surroundings.systemManagement(),
      shadow: (attributes) => {
        if (memory.setShadow(attributes)) surroundings.memoryRouted();
      },
      smram: (mode) => {
        if (memory.setSmram(mode)) surroundings.memoryRouted();
      },
      exit: (status) => surroundings.finish({ kind: "exit", status }),
      powerOff: () => surroundings.finish({ kind: "power-off" }),
      // A firmware's way back from S3 is its own, and none here has one.
      ...(firmware === undefined ? { sleep: () => surroundings.sleep(), wake: () => surroundings.wake() } : {}),
      reset: () => surroundings.reset(),
      // A20 is always open, as on processors without the pin.
      a20: () => undefined,
      nmiMask: () => undefined,
    },
  );
  if (firmware !== undefined) {
    provideFirmwareFiles(board.fwCfg, {
      ...firmware,
      memoryBelow4G: below,
      memoryAbove4G: above,
      apicIds,
      pciPins: board.pci.list().flatMap(({ slot, device }) => (device.interruptPin > 0 ? [{ slot, pin: device.interruptPin - 1 }] : [])),
      display: board.display !== undefined,
    });
  }
  bus.connectPic(() => board.pic.acknowledge());
  return board;
}
