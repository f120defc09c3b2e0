// The debugger over a machine, without the adapter: what it promises whoever owns it.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { IcedDisassembler } from "../../src/adapter/icedDisassembler";
import { Debugger } from "../../src/debugger/debugger";
import type { DebuggerSink } from "../../src/debugger/sink";
import { DisassemblyReader } from "../../src/debugger/inspect/disassembly";
import { Inspector } from "../../src/debugger/inspect/inspector";
import { reasonsOf, type GuestEnd, type Stop } from "../../src/debugger/stops";
import { SymbolStore } from "../../src/debugger/symbols/table";
import { Machine } from "../../src/machine/machine";
import { codeBase, codeImage } from "../adapter/harness";

interface Bench {
  readonly machine: Machine;
  readonly debugger: Debugger;
  readonly output: string[];
  /** Runs until a stop or the guest's end. */
  readonly run: () => Stop | GuestEnd;
}

function bench(image: Uint8Array, cpus = 1, name = "image"): Bench {
  const machine = Machine.create({ cpus, memory: 32 << 20 });
  machine.boot({ image, imageName: name });
  const symbols = new SymbolStore();
  if (name !== "image") symbols.add(name, image);
  const output: string[] = [];
  const sink: DebuggerSink = {
    output: (text) => void output.push(text),
    serial: () => undefined,
    cpuStarted: () => undefined,
    cpuReset: () => undefined,
  };
  const session = new Debugger({ machine, symbols, disassembler: new IcedDisassembler(), sink });
  const run = (): Stop | GuestEnd => {
    for (let i = 0; i < 20_000; i++) {
      const result = session.advance(10_000);
      if (result !== undefined) return result;
    }
    throw new Error("no stop");
  };
  return { machine, debugger: session, output, run };
}

const smp = readFileSync("guests/smp/smp.elf");

describe("a debugger over a machine", () => {
  test("stops and goes on without changing what the guest does", () => {
    const plain = bench(smp, 2, "smp.elf");
    plain.debugger.resume();
    const end = plain.run();
    assert.deepEqual("exitCode" in end && end.exitCode, 1);

    const watched = bench(smp, 2, "smp.elf");
    watched.debugger.filters.replace("client", [
      { id: "1", filter: "interrupt.deliver", condition: "vector == 0xf0" },
      { id: "2", filter: "interrupt.eoi" },
      { id: "3", filter: "nmi" },
      { id: "4", filter: "cpu.exception" },
    ]);
    watched.debugger.breakpoints.setFunctions([{ name: "handle_timer", hitCondition: "% 3" }]);
    let stops = 0;
    for (;;) {
      watched.debugger.resume();
      const result = watched.run();
      if ("exitCode" in result) break;
      stops++;
    }
    assert.ok(stops > 20, `${stops} stops`);
    assert.equal(watched.machine.instructions(), plain.machine.instructions());
    assert.equal(watched.machine.stateHash(), plain.machine.stateHash());
  });

  test("events of one instruction are told for one CPU after the other, none lost", () => {
    const { debugger: session, run, machine } = bench(smp, 2, "smp.elf");
    const condition = "vector == 0xf0 && dst == 1";
    session.filters.replace("client", [
      { id: "send", filter: "interrupt.send", condition },
      { id: "accept", filter: "interrupt.accept", condition },
      { id: "deliver", filter: "interrupt.deliver", condition },
    ]);
    const told: string[] = [];
    let instructions = 0;
    for (let i = 0; i < 3; i++) {
      session.resume();
      const stop = run();
      assert.ok("kind" in stop && stop.kind === "event");
      told.push(stop.filter, String(stop.cpu));
      if (i === 1) assert.equal(machine.instructions(), instructions);
      instructions = machine.instructions();
    }
    assert.deepEqual(told, ["interrupt.send", "0", "interrupt.accept", "1", "interrupt.deliver", "1"]);
  });

  test("a breakpoint is told once, and only passed when the CPU goes on", () => {
    // nop; nop; jmp to the second
    const { debugger: session, run } = bench(codeImage(0xfa, 0x90, 0x90, 0xeb, 0xfd));
    session.breakpoints.setInstructions([{ address: codeBase + 2n }]);
    for (let i = 0; i < 4; i++) {
      session.resume();
      const stop = run();
      assert.ok("kind" in stop && stop.kind === "breakpoint");
      assert.equal(session.cpu(0).linearRip(), codeBase + 2n);
    }
    const before = session.cpu(0).retired;
    session.step({ cpu: 0, kind: "in", unit: "instruction", others: true, interrupts: "auto" });
    assert.equal((run() as Stop).kind, "step");
    assert.equal(session.cpu(0).retired, before + 1);
    session.resume();
    assert.equal((run() as Stop).kind, "breakpoint");
  });

  test("an exception stops with its fields before its handler begins", () => {
    const { debugger: session, run } = bench(codeImage(0x0f, 0x0b));
    session.filters.replace("client", [
      { id: "1", filter: "cpu.exception", condition: "vector == 6 && rip == 0x100000 && errorCode == -1" },
      { id: "2", filter: "cpu.tripleFault" },
    ]);
    session.resume();
    const stop = run();
    assert.ok("kind" in stop && stop.kind === "event");
    // Without an IDT the same instruction ends in the triple fault.
    assert.deepEqual(
      reasonsOf(stop).map((reason) => reason.kind === "event" && reason.filter),
      ["cpu.exception", "cpu.tripleFault"],
    );
    assert.match(stop.text, /#UD invalid opcode at 0x0000000000100000.*; CPU 0 shut down by a triple fault/);
  });

  test("held CPUs do not run", () => {
    const { debugger: session, run, machine } = bench(smp, 2, "smp.elf");
    session.filters.replace("client", [{ id: "1", filter: "sipi" }]);
    session.resume();
    run();
    session.filters.replace("client", []);
    session.runControl.setFrozen([1], true);
    const before = machine.cpus[1].retired;
    session.resume();
    for (let i = 0; i < 20; i++) session.advance(10_000);
    assert.equal(machine.cpus[1].retired, before);
    session.runControl.setFrozen([1], false);
    for (let i = 0; i < 20; i++) session.advance(10_000);
    assert.ok(machine.cpus[1].retired > before);
  });

  test("disassembly before an address comes out at it, with and without symbols", () => {
    for (const name of ["smp.elf", "image"]) {
      const { debugger: session, run } = bench(smp, 1, name);
      session.breakpoints.setInstructions([{ address: session.symbols.addressesOf("run_tests")[0] ?? 0n }]);
      if (name === "smp.elf") {
        session.resume();
        run();
      }
      const cpu = session.cpu(0);
      const reader = new DisassemblyReader(cpu, session.disassembler, session.symbols);
      const lines = reader.read(cpu.linearRip(), -8, 12);
      assert.equal(lines.length, 12);
      assert.equal(lines[8].address, cpu.linearRip());
    }
  });

  test("expressions see registers of all CPUs, the local APIC, symbols and memory", () => {
    const { debugger: session } = bench(smp, 2, "smp.elf");
    session.stopHere("entry", 0, "entry");
    const inspector = new Inspector(session);
    const value = (text: string): string => inspector.evaluate(text, undefined, true).value;
    assert.equal(value("rbx = 0x1234"), "0x1234");
    assert.equal(value("bx + cpu0.rbx"), "0x2468");
    assert.equal(value("cpu1.rbx = 7"), "0x7");
    assert.equal(value("lapic.svr & 0x100"), "0x100");
    assert.match(value("&main"), /<main>$/);
    assert.match(value("u8[0x100000] != 0 || 1"), /^1$/);
    assert.throws(() => value("cpu9.rax"), /There is no CPU 9; the machine has \d+\./);
    value("xmm3 = 0x112233445566778");
    assert.equal(value("cpu0.xmm3"), "0x112233445566778");
    assert.equal(value("mxcsr"), "0x1f80");
    value("mxcsr = 0x3f80");
    assert.equal(value("mxcsr"), "0x3f80");
    assert.throws(() => value("mxcsr = 0x10000"), /65536 \(0x10000\) does not fit in mxcsr, which takes 0 to 65535/);
    assert.throws(() => value("&rax"), /rax is a register and has no address/);
    assert.throws(() => value("cpu1.nothing"), /unknown name 'cpu1\.nothing' at column 1/);
    assert.throws(() => value("lapic.nothing"), /unknown name 'lapic\.nothing' at column 1/);
    assert.throws(() => value("1 + cpu1.lapic.nothing"), /unknown name 'cpu1\.lapic\.nothing' at column 5/);
    assert.throws(() => value("cpu9.rax = 1"), /no cpu9/);
    assert.throws(() => value("lapic.ppr = 1"), /PPR is read-only/);
    assert.throws(() => value("lapic.nothing = 1"), /no register 'nothing'/);
    assert.throws(() => value("tr = 1"), /cannot be set/);
    assert.throws(() => value("al = 0x100"), /does not fit/);
  });
});
