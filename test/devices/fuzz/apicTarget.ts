import { InterruptBus } from "../../../src/apic/bus";
import { IoApic } from "../../../src/apic/ioApic";
import { LocalApic } from "../../../src/apic/localApic";
import { InterruptLedger } from "../../../src/apic/ledger";
import { ApicRegion } from "../../../src/apic/region";
import type { Moment } from "../../../src/common/moment";
import type { State } from "../../../src/common/state";
import type { Device } from "../../../src/devices/device";
import { FakeCpu } from "../../apic/harness";
import type { FuzzTarget } from "./fuzzer";

const CPUS = 2;
const msrs = [0x1b, 0x6e0, ...Array.from({ length: 0x48 }, (_, index) => 0x800 + index)];

/** Local APICs, I/O APIC and the bus between them, with CPUs that only note what they are told. */
export const apicTarget: FuzzTarget = {
  name: "local APICs and I/O APIC",
  pause: 2000,
  build: (bench) => {
    let retired = 0;
    let current = -1;
    const stamps = {
      instructions: () => retired,
      moment: (into: Moment): void => {
        into.instruction = retired;
        into.time = bench.time;
        into.cpu = current;
        into.ripLow = current < 0 ? 0 : 0x1000;
      },
    };
    const ledger = new InterruptLedger(stamps, { capacity: 64 });
    const bus = new InterruptBus(ledger);
    bus.connectPic(() => 0x20);
    const cpus = Array.from({ length: CPUS }, (_, index) => new FakeCpu(index, index === 0));
    const apics = cpus.map((cpu, apicId) => {
      return new LocalApic({ cpu, bus, clock: bench.clock, apicId, tsc: { read: () => BigInt(bench.time), ticksPerNanosecond: 1 } });
    });
    const ioApic = new IoApic(bench, bus);
    // The region's handler tells the CPUs' APICs apart.
    new ApicRegion(bench, bus);
    const lines = [3, 3, 4, 10, 16].map((pin) => ioApic.line(pin));
    const device: Device = {
      name: "apics",
      reset: () => {
        for (const apic of apics) apic.reset(false);
        bus.reset();
        ioApic.reset();
      },
      save: () => ({
        retired,
        ledger: ledger.save(),
        bus: bus.save(),
        apics: apics.map((apic) => apic.save()),
        ioApic: ioApic.save(),
        cpus: cpus.map((cpu) => cpu.save()),
      }),
      restore: (state) => {
        const saved = state as { [key: string]: State };
        retired = saved["retired"] as number;
        for (const [index, item] of (saved["cpus"] as State[]).entries()) {
          const [, nmis, smis, inits, page, waiting] = item as [boolean, number, number, number, number, boolean];
          Object.assign(cpus[index], { nmis, smis, inits, startPage: page < 0 ? undefined : page, waitingForSipi: waiting });
        }
        for (const [index, item] of (saved["apics"] as State[]).entries()) apics[index].restore(item);
        ioApic.restore(saved["ioApic"]);
        bus.restore(saved["bus"]);
        ledger.restore(saved["ledger"]);
      },
      registers: () => [...ioApic.registers(), ...apics.flatMap((apic) => apic.registers())],
    };
    return {
      devices: [device],
      act: (random) => {
        retired++;
        current = random(CPUS);
        const apic = apics[current];
        const value = (BigInt(random(0x10000)) << 16n) | BigInt(random(0x10000));
        switch (random(8)) {
          case 0:
            lines[random(lines.length)](random(2) === 1);
            break;
          case 1:
            apic.setLint(random(2) === 0 ? 0 : 1, random(2) === 1);
            break;
          case 2:
            bus.msi(0xfee00000 + random(0x100000), random(0x10000));
            break;
          case 3:
            apic.cr8 = random(16);
            break;
          case 4:
            if (cpus[current].intr) bench.note(apic.acknowledge());
            break;
          case 5:
            apic.eoi();
            break;
          case 6:
            bench.note(Number((apic.readMsr(msrs[random(msrs.length)]) ?? 1n) & 0xffffffffn));
            break;
          default: {
            const msr = msrs[random(msrs.length)];
            apic.writeMsr(msr, msr === 0x1b ? [0xfee00800n, 0xfee00c00n, 0xfee00000n, 0x300800n][random(4)] : value & 0x713ffn);
            break;
          }
        }
        current = -1;
      },
    };
  },
};
