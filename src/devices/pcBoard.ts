import type { State } from "../common/state";
import { assert, UserError } from "../common/errors";
import { AcpiPm } from "./acpiPm";
import { AHCI_PORTS, AhciController } from "./ata/ahciController";
import { IdeController } from "./ata/ideController";
import { placeIdeDrives } from "./ata/placement";
import type { Disk } from "./block/disk";
import type { DiskInterface } from "./block/image";
import * as board from "./board";
import { DebugConsole, DebugExit, PostCode } from "./debugPorts";
import type { Device, DeviceContext } from "./device";
import { initializeAsFirmware, type PortWriter } from "./firmwareInit";
import { Hpet } from "./hpet";
import { FW_CFG_CPU_COUNT, FW_CFG_MAX_CPUS, FW_CFG_RAM_SIZE, FwCfg } from "./fwCfg";
import { IrqFabric } from "./irqFabric";
import { KeyboardController } from "./keyboardController";
import { MsiTestDevice } from "./msiTestDevice";
import { HostBridge, IsaBridge, PciBus, type SmramMode } from "./pci";
import { Pic } from "./pic";
import { Piix4Pm } from "./piix4Pm";
import { Pit } from "./pit";
import { ResetControl } from "./reset";
import { Rtc } from "./rtc";
import { StateReader } from "./stateReader";
import { TestDevice } from "./testdev";
import { Uart } from "./uart";
import { DisplayAdapter, type VideoMemory } from "./vga/displayAdapter";
import type { Screen } from "./vga/screen";
import { Vga } from "./vga/vga";
import { VirtioBlock } from "./virtio/block";
import { VirtioConsole } from "./virtio/console";
import { VirtioRng } from "./virtio/rng";
import type { VirtioDevice } from "./virtio/virtioDevice";

/** Devices that are only there when asked for. */
export const OPTIONAL_DEVICES: readonly string[] = ["testdev", "msi-test", "virtio-rng", "virtio-console", "vga"];
/** First PCI slot of the virtio devices, which are plugged in by the order in which they were asked for. */
const VIRTIO_SLOT = 8;

export interface PcBoardOptions {
  readonly cpus: number;
  /** Bytes of RAM below the PCI hole and from 4 GiB up. */
  readonly memoryBelow4G: number;
  readonly memoryAbove4G: number;
  /** Seconds since 1970-01-01 UTC at power-on; a fixed date by default. */
  readonly epochSeconds?: number;
  /** Names out of {@link OPTIONAL_DEVICES}. */
  readonly devices?: readonly string[];
  readonly disks?: readonly AttachedDisk[];
  /** Video memory of the display adapter; there must be some where "vga" is asked for. */
  readonly video?: VideoMemory;
  /** Seed of what is random; default 0. */
  readonly seed?: number;
  /** The CD in the CD-ROM drive; without one there is no drive. */
  readonly cdrom?: Disk;
}

/** A disk and the kind of controller that it is attached to. */
export interface AttachedDisk {
  readonly disk: Disk;
  readonly interface: DiskInterface;
}

/** What the board tells the machine. All are called from within an instruction or a timer; the machine acts at the next boundary. */
export interface PcBoardOutputs {
  /** INTR of the 8259 pair: LINT0 of the local APICs. `PcBoard.pic.acknowledge` gives the vector. */
  intr(level: boolean): void;
  /** An EOI was written to an 8259 that has nothing in service. */
  idlePicEoi?(): void;
  /** Pin `pin` of the I/O APIC, with the override of IRQ 0 to pin 2 applied. */
  ioApicPin(pin: number, level: boolean): void;
  /** A byte of serial port 0 or 1. */
  serial(port: 0 | 1, byte: number): void;
  /** A byte of the debug console. */
  debugConsole(byte: number): void;
  /** Bytes of the virtio console. */
  console(bytes: Uint8Array): void;
  /** isa-debug-exit: (value << 1) | 1. */
  exit(status: number): void;
  powerOff(): void;
  /** ACPI S3 begins, and ends. */
  readonly sleep?: () => void;
  readonly wake?: () => void;
  reset(): void;
  a20(enabled: boolean): void;
  nmiMask(masked: boolean): void;
  /** A system-management interrupt for the bootstrap processor. */
  smi?(): void;
  /** Routing of shadow RAM and SMRAM: see `HostBridgeOutputs`. */
  shadow?(attributes: Uint8Array): void;
  smram?(mode: SmramMode): void;
}

/** All devices of the board but the APICs, wired together. The interrupt lines are GSI numbers: 0 to 15 are the ISA interrupts. */
export class PcBoard {
  readonly fabric: IrqFabric;
  readonly pic: Pic;
  readonly pit: Pit;
  readonly rtc: Rtc;
  readonly hpet: Hpet;
  readonly uarts: readonly [Uart, Uart];
  readonly acpi: AcpiPm;
  readonly resetControl: ResetControl;
  readonly keyboard: KeyboardController;
  readonly fwCfg: FwCfg;
  readonly postCode: PostCode;
  readonly vga: Vga;
  /** Where they were asked for. */
  readonly display: DisplayAdapter | undefined;
  readonly console: VirtioConsole | undefined;
  readonly pci: PciBus;
  readonly hostBridge: HostBridge;
  readonly powerManagement: Piix4Pm;
  readonly ide: IdeController;
  readonly disks: readonly AttachedDisk[];
  readonly cdrom: Disk | undefined;
  /** Every device, in the order in which they are reset, saved and restored. Names are unique. */
  readonly devices: readonly Device[];

  /** @throws UserError for an unknown name in `options.devices`. */
  constructor(context: DeviceContext, options: PcBoardOptions, outputs: PcBoardOutputs) {
    const wanted = options.devices ?? [];
    this.disks = options.disks ?? [];
    this.cdrom = options.cdrom;
    for (const name of wanted) {
      if (OPTIONAL_DEVICES.includes(name)) continue;
      throw new UserError(`There is no device "${name}": choose from ${OPTIONAL_DEVICES.join(" and ")}.`, "devices");
    }
    this.fabric = new IrqFabric(board.IOAPIC_PINS, (line, level) => {
      if (line < 16) this.pic.setIrq(line, level);
      // IRQ 0 and line 2 share pin 2; pin 0 is left to the machine.
      if (line === board.PIT_IRQ || line === board.PIT_GSI) {
        outputs.ioApicPin(board.PIT_GSI, this.fabric.level(board.PIT_IRQ) || this.fabric.level(board.PIT_GSI));
      } else {
        outputs.ioApicPin(line, level);
      }
    });
    const source = (line: number): ((level: boolean) => void) => this.fabric.source(line);
    const requestReset = (): void => outputs.reset();

    this.pic = new Pic(context, { intr: (level) => outputs.intr(level), idleEoi: () => outputs.idlePicEoi?.() });
    this.hpet = new Hpet(context, { source });
    this.pit = new Pit(context, this.hpet.pitLine);
    this.rtc = new Rtc(context, {
      irq: this.hpet.rtcLine,
      memoryBelow4G: options.memoryBelow4G,
      memoryAbove4G: options.memoryAbove4G,
      cpus: options.cpus,
      ...(options.epochSeconds === undefined ? {} : { epochSeconds: options.epochSeconds }),
      onNmiMask: (masked) => outputs.nmiMask(masked),
      onAlarm: () => this.acpi.rtcAlarm(),
    });
    this.uarts = [
      new Uart(context, { name: "uart0", port: board.UART1_PORT, irq: source(board.UART1_IRQ), output: (byte) => outputs.serial(0, byte) }),
      new Uart(context, { name: "uart1", port: board.UART2_PORT, irq: source(board.UART2_IRQ), output: (byte) => outputs.serial(1, byte) }),
    ];
    this.acpi = new AcpiPm(context, {
      sci: source(board.SCI_IRQ),
      powerOff: () => outputs.powerOff(),
      smi: () => outputs.smi?.(),
      ...(outputs.sleep === undefined ? {} : { sleep: () => outputs.sleep?.(), wake: () => outputs.wake?.() }),
    });
    const isa = new IsaBridge(context);
    this.pci = new PciBus(context, source, isa);
    // After the PCI bus: its reset port lies inside the configuration address register.
    this.resetControl = new ResetControl(context, requestReset, (enabled) => outputs.a20(enabled));
    this.keyboard = new KeyboardController(context, {
      irq: source(board.KEYBOARD_IRQ),
      mouseIrq: source(board.MOUSE_IRQ),
      a20: this.resetControl.a20,
      requestReset,
    });
    this.fwCfg = new FwCfg(context);
    this.fwCfg.addNumber(FW_CFG_RAM_SIZE, options.memoryBelow4G + options.memoryAbove4G, 8);
    this.fwCfg.addNumber(FW_CFG_CPU_COUNT, options.cpus, 2);
    this.fwCfg.addNumber(FW_CFG_MAX_CPUS, options.cpus, 2);
    this.postCode = new PostCode(context);
    this.vga = new Vga(context);
    this.hostBridge = new HostBridge(context, {
      shadow: (attributes) => outputs.shadow?.(attributes),
      smram: (mode) => outputs.smram?.(mode),
    });
    this.powerManagement = new Piix4Pm(context, this.acpi);
    this.pci.plug(0, 0, this.hostBridge);
    this.pci.plug(1, 0, isa);
    this.pci.plug(1, 3, this.powerManagement);
    this.ide = new IdeController(context, placeIdeDrives(this.disks, this.cdrom), [
      source(board.IDE_PRIMARY_IRQ),
      source(board.IDE_SECONDARY_IRQ),
    ]);
    this.pci.plug(1, 1, this.ide);
    const extra: Device[] = [];
    const ahciDisks = this.disks.filter((disk) => disk.interface === "ahci");
    if (ahciDisks.length > AHCI_PORTS) {
      throw new UserError(`${ahciDisks.length} AHCI disks are too many: the controller has ${AHCI_PORTS} ports.`, "disks");
    }
    if (ahciDisks.length > 0) {
      const ahci = new AhciController(
        context,
        ahciDisks.map(({ disk }) => ({ disk, cdrom: false })),
      );
      this.pci.plug(board.AHCI_SLOT, 0, ahci);
      extra.push(ahci);
    }
    if (wanted.includes("testdev")) {
      extra.push(
        new TestDevice(
          context,
          Array.from({ length: board.IOAPIC_PINS }, (_, line) => source(line)),
        ),
      );
    }
    // After the test device, whose latches lie around the console's port.
    const debugConsole = new DebugConsole(context, (byte) => outputs.debugConsole(byte));
    const exit = new DebugExit(context, (status) => outputs.exit(status));
    if (wanted.includes("msi-test")) {
      const device = new MsiTestDevice(context);
      this.pci.plug(3, 0, device);
      extra.push(device);
    }
    if (wanted.includes("vga")) {
      assert(options.video !== undefined, "a display adapter needs video memory");
      this.display = new DisplayAdapter(context, options.video, this.vga);
      this.pci.plug(2, 0, this.display);
      extra.push(this.display);
    }
    const virtio: VirtioDevice[] = this.disks
      .filter((disk) => disk.interface === "virtio")
      .map(({ disk }, index) => new VirtioBlock(context, `virtio-blk${index}`, disk));
    if (wanted.includes("virtio-rng")) virtio.push(new VirtioRng(context, "virtio-rng", options.seed ?? 0));
    if (wanted.includes("virtio-console")) {
      this.console = new VirtioConsole(context, "virtio-console", (bytes) => outputs.console(bytes));
      virtio.push(this.console);
    }
    if (virtio.length > 32 - VIRTIO_SLOT) {
      throw new UserError(`${virtio.length} virtio devices are too many: at most ${32 - VIRTIO_SLOT} have a slot.`, "disks");
    }
    virtio.forEach((device, index) => this.pci.plug(VIRTIO_SLOT + index, 0, device));
    this.devices = [
      this.fabric,
      this.pic,
      this.hpet,
      this.pit,
      this.rtc,
      ...this.uarts,
      this.acpi,
      this.resetControl,
      this.keyboard,
      this.fwCfg,
      this.postCode,
      this.vga,
      this.pci,
      this.hostBridge,
      isa,
      this.powerManagement,
      debugConsole,
      this.ide,
      exit,
      ...extra,
      ...virtio,
      ...this.disks.map(({ disk }) => disk),
      ...(this.cdrom === undefined ? [] : [this.cdrom]),
    ];
  }

  /** What the screen shows now. `read` gives guest memory, where text is. */
  screen(read: (address: number, length: number) => Uint8Array): Screen {
    return this.display?.screen ?? this.vga.textScreen(read(board.VGA_TEXT_BASE, 0x8000));
  }

  /** Power-on or system reset of every device. */
  reset(): void {
    for (const device of this.devices) device.reset();
  }

  /** The end of ACPI S3: everything as after a reset but the clock, and ACPI's events that woke the board. */
  wakeUp(): void {
    for (const device of this.devices) {
      if (device === this.acpi) this.acpi.wakeUp();
      else if (device !== this.rtc) device.reset();
    }
  }

  /** For boots without firmware, after `reset`: chips and PCI as firmware hands them over. */
  initializeAsFirmware(ports: PortWriter): void {
    initializeAsFirmware(ports);
    this.hostBridge.enableShadow();
    this.powerManagement.enable();
    this.ide.enable();
    this.display?.initializeAsFirmware();
    this.pci.assignResources();
  }

  /** State of every device by name. */
  save(): State {
    return Object.fromEntries(this.devices.map((device) => [device.name, device.save()]));
  }

  /** @throws UserError when the state is damaged or of another board. */
  restore(state: State): void {
    const reader = new StateReader(state, "board");
    for (const device of this.devices) device.restore(reader.raw(device.name));
  }
}
