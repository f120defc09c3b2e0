import { readFileSync } from "node:fs";
import { IcedDisassembler } from "../../src/adapter/icedDisassembler";
import { Debugger } from "../../src/debugger/debugger";
import type { DebuggerSink } from "../../src/debugger/sink";
import type { GuestEnd, Stop } from "../../src/debugger/stops";
import { SymbolStore } from "../../src/debugger/symbols/table";
import { Machine } from "../../src/machine/machine";

const image = readFileSync("guests/faults/faults.elf");

/** A session over the guest that makes one mistake, named on its command line; none for "". */
export interface FaultBench {
  readonly machine: Machine;
  readonly session: Debugger;
  readonly output: string[];
  /** Runs to a stop or the guest's end. */
  run(): Stop | GuestEnd;
}

export function faultBench(fault: string, cpus = 1): FaultBench {
  const machine = Machine.create({ cpus, memory: 32 << 20 });
  machine.boot({ image, imageName: "faults.elf", cmdline: fault });
  const symbols = new SymbolStore();
  symbols.add("faults.elf", image);
  const output: string[] = [];
  const sink: DebuggerSink = {
    output: (text) => void output.push(text),
    serial: () => undefined,
    cpuStarted: () => undefined,
    cpuReset: () => undefined,
  };
  const session = new Debugger({ machine, symbols, disassembler: new IcedDisassembler(), sink });
  const run = (): Stop | GuestEnd => {
    session.resume();
    for (let portion = 0; portion < 50_000; portion++) {
      const result = session.advance(10_000);
      if (result !== undefined) return result;
    }
    throw new Error("neither a stop nor an end");
  };
  return { machine, session, output, run };
}
