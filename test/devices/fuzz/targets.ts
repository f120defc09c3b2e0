import { AcpiPm } from "../../../src/devices/acpiPm";
import { DebugConsole, DebugExit, PostCode } from "../../../src/devices/debugPorts";
import type { Device, DeviceContext } from "../../../src/devices/device";
import { FwCfg } from "../../../src/devices/fwCfg";
import { Hpet } from "../../../src/devices/hpet";
import { IrqFabric } from "../../../src/devices/irqFabric";
import { KeyboardController } from "../../../src/devices/keyboardController";
import { MsiTestDevice } from "../../../src/devices/msiTestDevice";
import { HostBridge, IsaBridge, PciBus } from "../../../src/devices/pci";
import { OPTIONAL_DEVICES, PcBoard } from "../../../src/devices/pcBoard";
import { PciDevice } from "../../../src/devices/pciDevice";
import { Pic } from "../../../src/devices/pic";
import { Pit } from "../../../src/devices/pit";
import { ResetControl } from "../../../src/devices/reset";
import { Rtc } from "../../../src/devices/rtc";
import { TestDevice } from "../../../src/devices/testdev";
import { Uart } from "../../../src/devices/uart";
import { DisplayAdapter } from "../../../src/devices/vga/displayAdapter";
import { ScreenRenderer } from "../../../src/devices/vga/screen";
import { Vga } from "../../../src/devices/vga/vga";
import { apicTarget } from "./apicTarget";
import { ataTargets } from "./ataTargets";
import type { FuzzTarget } from "./fuzzer";
import { virtioTargets } from "./virtioTargets";

/** A function with every kind of BAR, INTx and maskable messages. */
class SampleFunction extends PciDevice {
  constructor(context: DeviceContext) {
    super(context, "sample", { vendor: 0x1af4, device: 0x1000, classCode: 0x020000 });
    this.addIoBar(0, 0x40, { read: () => 0x11, write: (_port, _size, value) => this.setIntx((value & 1) !== 0) });
    this.addMemoryBar(1, 0x2000, { read: () => 0x22n, write: (_offset, _size, value) => void this.raiseMsi(Number(value & 31n)) });
    this.addMemoryBar(2, 0x100000, { read: () => 0x33n, write: () => undefined }, { wide: true, prefetchable: true });
    this.addMsi(0x60, 8, true);
    this.setInterruptPin(1);
  }
}

const uart = (timing: "fast" | "exact"): FuzzTarget => ({
  name: `uart, ${timing}`,
  build: (bench) => {
    const device = new Uart(bench, { name: "uart0", port: 0x3f8, irq: bench.line(1), output: (byte) => bench.note(byte), timing });
    const act = (random: (below: number) => number): void => {
      // A full queue would only make the state long.
      const bytes = Uint8Array.from({ length: random(40) }, () => random(256));
      if (device.inputSpace > 0x10000 - 500) bench.note(device.receive(bytes));
    };
    return { devices: [device], act };
  },
});

/** One target a device. */
export const targets: readonly FuzzTarget[] = [
  {
    name: "pic",
    build: (bench) => {
      const pic = new Pic(bench, { intr: bench.line(1) });
      const act = (random: (below: number) => number): void => {
        if (random(3) === 0) bench.note(pic.acknowledge());
        else pic.setIrq(random(16), random(2) === 1);
      };
      return { devices: [pic], act };
    },
  },
  { name: "pit", build: (bench) => ({ devices: [new Pit(bench, bench.line(1))] }), pause: 200_000 },
  {
    name: "hpet",
    build: (bench) => {
      const hpet = new Hpet(bench, { source: (line) => bench.line(line) });
      return { devices: [hpet], act: (random) => (random(2) === 0 ? hpet.pitLine : hpet.rtcLine)(random(2) === 0) };
    },
    pause: 2000,
  },
  {
    name: "rtc",
    build: (bench) => ({
      devices: [new Rtc(bench, { irq: bench.line(1), memoryBelow4G: 1 << 26, onNmiMask: bench.line(2) })],
    }),
    pause: 50_000_000,
  },
  uart("fast"),
  uart("exact"),
  {
    name: "acpi",
    build: (bench) => {
      const acpi = new AcpiPm(bench, { sci: bench.line(1), powerOff: () => bench.note(2) });
      return { devices: [acpi], act: (random) => (random(2) === 0 ? acpi.pressPowerButton() : acpi.raiseGpe(random(16))) };
    },
    pause: 500_000_000,
  },
  { name: "reset", build: (bench) => ({ devices: [new ResetControl(bench, () => bench.note(1), bench.line(2))] }) },
  {
    name: "keyboard controller",
    build: (bench) => {
      const reset = new ResetControl(bench, () => bench.note(3), bench.line(2));
      const device = new KeyboardController(bench, {
        irq: bench.line(1),
        mouseIrq: bench.line(12),
        a20: reset.a20,
        requestReset: () => bench.note(4),
      });
      const act = (random: (below: number) => number): void => {
        if (random(2) === 0) device.keyboard.type(Uint8Array.from({ length: random(8) }, () => random(256)));
        else device.mouse.move(random(600) - 300, random(600) - 300, random(20) - 10, random(256));
      };
      return { devices: [reset, device], act };
    },
  },
  {
    name: "fw_cfg",
    build: (bench) => {
      const device = new FwCfg(bench);
      device.addFile(
        "opt/sample",
        Uint8Array.from({ length: 5000 }, (_, index) => index & 0xff),
      );
      return { devices: [device] };
    },
  },
  { name: "vga", build: (bench) => ({ devices: [new Vga(bench)] }), pause: 5_000_000 },
  {
    name: "display adapter",
    build: (bench) => {
      const bytes = new Uint8Array(0x10000);
      const vga = new Vga(bench);
      const display = new DisplayAdapter(bench, { bytes, touch: () => undefined }, vga);
      const renderer = new ScreenRenderer();
      const memory: Device = {
        name: "video memory",
        reset: () => undefined,
        save: () => bytes.slice(),
        restore: (state) => bytes.set(state as Uint8Array),
        registers: () => [],
      };
      const draw = (random: (below: number) => number): void => {
        // Seldom: an image takes long.
        if (random(2000) !== 0) return;
        const image = renderer.draw(display.screen);
        bench.note(image.width * image.height);
      };
      return { devices: [vga, display, memory], pci: [display], act: draw };
    },
    pause: 5_000_000,
  },
  { name: "debug exit", build: (bench) => ({ devices: [new DebugExit(bench, (status) => bench.note(status))] }) },
  { name: "debug console", build: (bench) => ({ devices: [new DebugConsole(bench, (byte) => bench.note(byte))] }) },
  { name: "POST code", build: (bench) => ({ devices: [new PostCode(bench)] }) },
  {
    name: "testdev",
    build: (bench) => ({
      devices: [
        new TestDevice(
          bench,
          Array.from({ length: 24 }, (_, line) => bench.line(line)),
        ),
      ],
    }),
  },
  {
    name: "msi-test",
    build: (bench) => {
      const device = new MsiTestDevice(bench);
      return { devices: [device], pci: [device] };
    },
  },
  {
    name: "PCI bus and bridges",
    build: (bench) => {
      const fabric = new IrqFabric(24, (line, level) => bench.note(line * 2 + (level ? 1 : 0)));
      const isa = new IsaBridge(bench);
      const bus = new PciBus(bench, (line) => fabric.source(line), isa);
      const host = new HostBridge(bench);
      const sample = new SampleFunction(bench);
      const functions = [host, isa, sample];
      functions.forEach((device, slot) => bus.plug(slot, 0, device));
      return { devices: [fabric, bus, ...functions], pci: functions, act: () => bus.assignResources() };
    },
  },
  ...virtioTargets,
  ...ataTargets,
  apicTarget,
  {
    name: "the whole board",
    build: (bench) => {
      const outputs = {
        intr: bench.line(1),
        ioApicPin: (pin: number, level: boolean) => bench.note(pin * 2 + (level ? 1 : 0)),
        serial: (port: number, byte: number) => bench.note(port * 256 + byte),
        console: (bytes: Uint8Array) => bench.note(bytes.length),
        debugConsole: (byte: number) => bench.note(byte),
        exit: (status: number) => bench.note(status),
        powerOff: () => bench.note(3),
        reset: () => bench.note(4),
        a20: bench.line(5),
        nmiMask: bench.line(6),
      };
      const options = { cpus: 2, memoryBelow4G: 1 << 26, memoryAbove4G: 0, devices: OPTIONAL_DEVICES.filter((name) => name !== "vga") };
      const board = new PcBoard(bench, options, outputs);
      return {
        devices: board.devices,
        pci: board.pci.list().map(({ device }) => device),
        act: () => board.initializeAsFirmware(bench.ports),
      };
    },
    stateLimit: 4 << 20,
  },
];
