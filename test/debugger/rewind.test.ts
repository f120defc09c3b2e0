// Going back: a step back lands on the very instruction, a reverse continue on the stop before, and the machine is then what it was.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { IcedDisassembler } from "../../src/adapter/icedDisassembler";
import { Debugger } from "../../src/debugger/debugger";
import type { DebuggerSink } from "../../src/debugger/sink";
import type { FilterSpec } from "../../src/debugger/eventFilters";
import type { GuestEnd, Stop } from "../../src/debugger/stops";
import { SymbolStore } from "../../src/debugger/symbols/table";
import { Machine } from "../../src/machine/machine";
import type { MachineConfiguration } from "../../src/machine/types";

const smp = readFileSync("guests/smp/smp.elf");

interface Bench {
  readonly machine: Machine;
  readonly session: Debugger;
  readonly output: string[];
  readonly run: () => Stop | GuestEnd;
  readonly stop: () => Stop;
}

function bench(
  configuration: Partial<MachineConfiguration> = {},
  image: Uint8Array = smp,
  cmdline = "",
  momentInterval?: number,
  clock?: () => number,
): Bench {
  const machine = Machine.create({ cpus: 2, memory: 16 << 20, ...configuration });
  machine.boot({ image, imageName: "guest.elf", cmdline });
  const symbols = new SymbolStore();
  symbols.add("guest.elf", image);
  const output: string[] = [];
  const sink: DebuggerSink = {
    output: (text) => void output.push(text),
    serial: (bytes) => void output.push(new TextDecoder("latin1").decode(bytes)),
    cpuStarted: () => undefined,
    cpuReset: () => undefined,
  };
  const session = new Debugger({
    machine,
    symbols,
    disassembler: new IcedDisassembler(),
    sink,
    ...(momentInterval === undefined ? {} : { momentInterval }),
    ...(clock === undefined ? {} : { clock }),
  });
  const run = (): Stop | GuestEnd => {
    for (let i = 0; i < 20_000; i++) {
      const result = session.advance(100_000);
      if (result !== undefined) return result;
    }
    throw new Error("no stop");
  };
  const stop = (): Stop => {
    const result = run();
    if ("exitCode" in result) throw new Error(result.text);
    return result;
  };
  return { machine, session, output, run, stop };
}

const sent = { id: "1", filter: "interrupt.deliver", condition: "vector == 0xf0" };

describe("going back", () => {
  test("the longer a run lasts, the further apart are the moments that it keeps; a stop begins anew", () => {
    const { machine, session, stop, run } = bench({}, smp, "", 1000);
    const gap = (): number => {
      const [before, newest] = machine.snapshots.list.slice(-2);
      return newest.instructions - before.instructions;
    };
    session.filters.replace("client", [sent]);
    session.resume();
    stop();
    session.filters.replace("client", []);
    session.resume();
    const from = machine.instructions();
    run();
    const [before] = machine.snapshots.list.slice(-2);
    assert.ok(before.instructions > from + 2e6, "the run is long enough to tell");
    assert.ok(gap() >= (before.instructions - from) / 16, `${gap()} after ${before.instructions - from}`);
    assert.ok(gap() < (before.instructions - from) / 4, `${gap()} after ${before.instructions - from}`);
  });

  test("moments take a small part of the time, by the clock, and a step back from the end of a long run is exact", () => {
    let time = 0;
    let spent = 0;
    const { machine, session } = bench({}, smp, "", 1000, () => time);
    const spend = (milliseconds: number): void => {
      time += milliseconds;
      spent += milliseconds;
    };
    // A moment costs 5 ms, and 0.1 ms for each page that is copied after it.
    const { snapshots } = machine;
    const take = snapshots.take.bind(snapshots);
    let taken = 0;
    snapshots.take = () => {
      taken++;
      spend(5);
      return take();
    };
    let kept = snapshots.bytes;
    session.resume();
    for (let portion = 0; portion < 3000; portion++) {
      assert.equal(session.advance(500), undefined);
      time += 1;
      const { bytes } = snapshots;
      spend(Math.max(0, bytes - kept) / 40960);
      kept = bytes;
    }
    assert.ok(taken >= 3, `${taken} moments`);
    assert.ok(spent < 0.01 * time, `moments took ${spent} ms of ${time}`);

    session.pause(0);
    assert.ok(session.advance(500) !== undefined);
    const hash = machine.stateHash();
    const position = machine.position();
    const { steps } = machine.cpus[0];
    session.goBack({ kind: "step", cpu: 0, unit: "instruction" });
    while (session.isRunning) session.advance(100_000);
    assert.equal(machine.cpus[0].steps, steps - 1);
    machine.runTowards({ position }, 1_000_000);
    assert.deepEqual(machine.position(), position);
    assert.equal(machine.stateHash(), hash);
  });

  test("a long way back leaves a moment near its end, from which the next one is short and comes to the same place", () => {
    const length = 1_500_000;
    /** Steps back twice at the end of a run that begins at its only moment, with changes from outside all along; where it stood each time. */
    const twice = (interval: number): { hashes: string[]; moments: number[]; end: string } => {
      const { machine, session } = bench({}, smp, "", interval);
      session.resume();
      session.advance(1);
      for (let quantum = 500; machine.instructions() < length; quantum += 10) {
        session.advance(5_000);
        session.runControl.setSchedule({ quantum });
      }
      session.advance(20_000);
      session.pause(0);
      session.advance(1);
      const position = machine.position();
      const end = machine.stateHash();
      const hashes: string[] = [];
      const moments: number[] = [];
      for (const back of [1, 2]) {
        const { steps } = machine.cpus[0];
        session.goBack({ kind: "step", cpu: 0, unit: "instruction" });
        while (session.isRunning) session.advance(100_000);
        assert.equal(machine.cpus[0].steps, steps - 1, `step ${back}`);
        hashes.push(machine.stateHash());
        moments.push(machine.snapshots.list.length);
      }
      machine.runTowards({ position }, 1_000_000);
      assert.equal(machine.stateHash(), end);
      return { hashes, moments, end };
    };
    const near = twice(length / 2);
    const far = twice(1e12);
    assert.deepEqual(near.moments, [3, 3]);
    assert.deepEqual(far.moments, [1, 1]);
    assert.deepEqual({ ...near, moments: [] }, { ...far, moments: [] });
  });

  for (const engine of ["interpreter", "jit"] as const) {
    test(`step by step, through a delivery, to the very instruction (${engine})`, () => {
      const { session, stop, machine } = bench({ engine });
      session.filters.replace("client", [{ id: "1", filter: "interrupt.accept", condition: "vector == 0xf0 && dst == 1" }]);
      session.resume();
      stop();
      session.filters.replace("client", []);
      const trail: { hash: string; rip: bigint; steps: number }[] = [];
      const here = (): (typeof trail)[0] => ({
        hash: machine.stateHash(),
        rip: machine.cpus[1].linearRip(),
        steps: machine.cpus[1].steps,
      });
      for (let i = 0; i < 12; i++) {
        trail.push(here());
        session.step({ cpu: 1, kind: "in", unit: "instruction", others: false, interrupts: "auto" });
        stop();
      }
      for (let i = 11; i >= 0; i--) {
        session.goBack({ kind: "step", cpu: 1, unit: "instruction" });
        const back = stop();
        assert.equal(back.text, "CPU 1 stepped back");
        // A step forward may have been two of the CPU's: an interrupt and the handler's first instruction.
        if (machine.cpus[1].steps > trail[i].steps) {
          session.goBack({ kind: "step", cpu: 1, unit: "instruction" });
          stop();
        }
        assert.deepEqual(here(), trail[i], `step ${i}`);
      }
    });
  }

  test("from stop to stop, backwards, with the hits of then, and forwards again to the same end", () => {
    const { session, run, stop, machine, output } = bench();
    session.filters.replace("client", [sent]);
    session.breakpoints.setFunctions([{ name: "handle_timer", hitCondition: "% 2" }]);
    const trail: { text: string; instructions: number; hash: string }[] = [];
    const here = (text: string): (typeof trail)[0] => ({ text, instructions: machine.instructions(), hash: machine.stateHash() });
    let end: Stop | GuestEnd;
    for (;;) {
      session.resume();
      end = run();
      if ("exitCode" in end) break;
      trail.push(here(end.text));
      if (trail.length === 9) break;
    }
    assert.ok(trail.length >= 5, `${trail.length} stops`);
    const told = output.length;
    for (let i = trail.length - 2; i >= 0; i--) {
      session.goBack({ kind: "continue", cpu: 0 });
      assert.deepEqual(here(stop().text), trail[i], `stop ${i}`);
    }
    session.goBack({ kind: "continue", cpu: 0 });
    assert.equal(stop().text, "At the beginning of what can be gone back to");
    assert.equal(machine.instructions(), 0);
    assert.throws(() => session.goBack({ kind: "continue", cpu: 0 }), /nothing to go back to/);
    assert.equal(output.length, told, "nothing is said on the way back");
    for (const expected of trail) {
      session.resume();
      assert.deepEqual(here(stop().text), expected);
    }
  });

  test("past what the person did, which happens again on the way", () => {
    const { session, stop, machine } = bench();
    session.filters.replace("client", [sent]);
    session.resume();
    stop();
    machine.cpus[0].writeMemory(0x70_0000n, Uint8Array.of(1, 2, 3));
    machine.cpus[1].state.setGpr(15, 77n);
    machine.edited();
    machine.serialInput(Uint8Array.of(65));
    const hash = machine.stateHash();
    const instructions = machine.instructions();
    session.resume();
    stop();
    session.goBack({ kind: "continue", cpu: 0 });
    stop();
    assert.equal(machine.instructions(), instructions);
    assert.equal(machine.stateHash(), hash);
    assert.equal(machine.cpus[1].state.gpr(15), 77n);
  });

  test("to the last write of a place", () => {
    const { session, stop, machine } = bench();
    session.filters.replace("client", [sent]);
    session.resume();
    stop();
    session.filters.replace("client", []);
    session.data.replace("client", [{ dataId: "apic:0:ICR", access: "write" }]);
    session.goBack({ kind: "continue", cpu: 0 });
    const back = stop();
    assert.match(back.text, /^CPU 0 wrote ICR of the local APIC of CPU 0: .* at icr_write|apic_write/);
    assert.ok(machine.ledger.records({ vector: 0xf0, stage: "deliver" }).length === 0);
  });

  test("by line: to the beginning of the line before, over calls", () => {
    const { session, stop, machine } = bench();
    session.breakpoints.setFunctions([{ name: "fixed_ipi_test" }]);
    session.resume();
    stop();
    const lines: string[] = [];
    const place = (): string => {
      const line = session.symbols.lineAt(machine.cpus[0].linearRip());
      return `${line?.file.split("/").at(-1) ?? ""}:${line?.line ?? 0}`;
    };
    session.breakpoints.setFunctions([]);
    for (let i = 0; i < 3; i++) {
      lines.push(place());
      session.step({ cpu: 0, kind: "over", unit: "line", others: true, interrupts: "auto" });
      stop();
    }
    session.goBack({ kind: "step", cpu: 0, unit: "line" });
    stop();
    assert.equal(place(), lines[2]);
    session.goBack({ kind: "step", cpu: 0, unit: "line" });
    stop();
    assert.equal(place(), lines[1]);
  });

  test("from a triple fault, to the instruction that began it", () => {
    const { session, stop, machine } = bench({ cpus: 1 }, readFileSync("guests/faults/faults.elf"), "triple-fault");
    session.filters.replace("client", [{ id: "1", filter: "cpu.tripleFault" }]);
    session.resume();
    const fault = stop();
    assert.match(fault.text, /triple fault/);
    assert.equal(machine.cpus[0].activity, "shutdown");
    const [cpu] = machine.cpus;
    session.goBack({ kind: "step", cpu: 0, unit: "instruction" });
    stop();
    assert.equal(cpu.activity, "running");
    const rip = cpu.state.rip;
    assert.deepEqual([...(cpu.readMemory(cpu.linearRip(), 2) ?? [])], [0x0f, 0x0b], "UD2 stands there");
    session.resume();
    assert.equal(stop().text, fault.text);
    session.goBack({ kind: "continue", cpu: 0 });
    assert.equal(stop().text, "At the beginning of what can be gone back to");
    session.resume();
    stop();
    session.goBack({ kind: "step", cpu: 0, unit: "instruction" });
    stop();
    assert.equal(cpu.state.rip, rip);
  });

  const faults = readFileSync("guests/faults/faults.elf");
  const kinds: readonly {
    readonly what: string;
    readonly image?: Uint8Array;
    readonly cmdline: string;
    readonly spec: FilterSpec;
    readonly text: RegExp;
  }[] = [
    {
      what: "a lint",
      cmdline: "missing-eoi",
      spec: { id: "1", filter: "interrupt.lint", condition: 'kind == "missing-eoi"' },
      text: /without EOI/,
    },
    {
      what: "a handler that is too slow",
      cmdline: "slow",
      spec: { id: "1", filter: "budget.handler", condition: "duration > 10000" },
      text: /has run for \d+ instructions/,
    },
    {
      what: "interrupts off for too long",
      cmdline: "masked",
      spec: { id: "1", filter: "budget.masked", condition: "duration > 500" },
      text: /have been off/,
    },
    {
      what: "handlers nested too deep",
      cmdline: "nested",
      spec: { id: "1", filter: "budget.nesting", condition: "depth > 1" },
      text: /nest 2 deep/,
    },
    {
      what: "a slow delivery",
      cmdline: "late",
      spec: { id: "1", filter: "budget.latency", condition: "latency > 1000" },
      text: /took \d+ instructions/,
    },
    {
      what: "an exception",
      cmdline: "quiet",
      image: readFileSync("guests/checks/exceptions.elf"),
      spec: { id: "1", filter: "cpu.exception", condition: "vector == 0 && count == 1" },
      text: /#DE/,
    },
  ];
  for (const { what, cmdline, spec, text, image = faults } of kinds)
    test(`to ${what}, which is told again on the way forward`, () => {
      const { session, stop, run, machine, output } = bench({ cpus: 1 }, image, cmdline);
      session.filters.replace("client", [spec]);
      session.resume();
      const there = stop();
      assert.match(there.text, text);
      const here = (): object => ({
        instructions: machine.instructions(),
        hash: machine.stateHash(),
        lints: session.lints.all.map((lint) => ({ ...lint })),
      });
      const then = here();
      session.filters.replace("launch", [{ id: "2", filter: "guest.end" }]);
      let last: Stop;
      do {
        session.resume();
        last = stop();
      } while (last.kind !== "event" || last.filter !== "guest.end");
      const said = output.length;
      const seen: string[] = [];
      let back: Stop;
      do {
        session.goBack({ kind: "continue", cpu: 0 });
        back = stop();
        seen.push(back.text);
      } while (back.text !== there.text && seen.length < 100);
      assert.equal(back.text, there.text, seen.join("\n"));
      assert.deepEqual(here(), then);
      assert.equal(output.length, said, "nothing is said on the way back");
      let again: Stop;
      do {
        session.resume();
        again = stop();
      } while (again.text !== last.text);
      session.resume();
      assert.ok("exitCode" in run());
    });

  test("from the guest's end, where it stops when asked to, and which is its end still", () => {
    const { session, stop, run, machine } = bench({ cpus: 1 }, faults, "");
    session.filters.replace("client", [{ id: "1", filter: "guest.end" }]);
    session.breakpoints.setFunctions([{ name: "main" }]);
    session.resume();
    const main = { text: stop().text, instructions: machine.instructions() };
    session.resume();
    const last = stop();
    assert.equal(last.text, "The guest ended with exit status 1.");
    const instructions = machine.instructions();
    session.goBack({ kind: "step", cpu: 0, unit: "instruction" });
    stop();
    assert.equal(machine.instructions(), instructions - 1);
    session.goBack({ kind: "continue", cpu: 0 });
    assert.deepEqual({ text: stop().text, instructions: machine.instructions() }, main);
    session.resume();
    assert.deepEqual([stop().text, machine.instructions()], [last.text, instructions]);
    session.resume();
    const end = run();
    assert.ok("exitCode" in end && end.exitCode === 1);
  });

  test("to a triple fault that reset the guest", () => {
    const { session, stop, machine } = bench({ cpus: 1, tripleFault: "reset" }, faults, "triple-fault");
    session.filters.replace("client", [{ id: "1", filter: "cpu.tripleFault" }]);
    const stops: { text: string; instructions: number; hash: string }[] = [];
    for (let i = 0; i < 3; i++) {
      session.resume();
      stops.push({ text: stop().text, instructions: machine.instructions(), hash: machine.stateHash() });
    }
    for (let i = 1; i >= 0; i--) {
      session.goBack({ kind: "continue", cpu: 0 });
      assert.deepEqual({ text: stop().text, instructions: machine.instructions(), hash: machine.stateHash() }, stops[i]);
    }
  });

  test("to stops where moments are, and with hit counts that go on from there", () => {
    const { session, stop, machine } = bench({}, smp, "loop quiet", 5_000);
    session.filters.replace("client", [{ ...sent, hitCondition: "% 40" }]);
    session.breakpoints.setFunctions([{ name: "handle_timer", hitCondition: "% 30" }]);
    const trail: { text: string; instructions: number; hash: string }[] = [];
    const here = (text: string): (typeof trail)[0] => ({ text, instructions: machine.instructions(), hash: machine.stateHash() });
    for (let i = 0; i < 6; i++) {
      session.resume();
      trail.push(here(stop().text));
    }
    assert.ok(
      trail[5].instructions > trail[1].instructions + 15_000,
      `${trail[5].instructions - trail[1].instructions} instructions: moments were taken on the way`,
    );
    for (let i = 4; i >= 1; i--) {
      session.goBack({ kind: "continue", cpu: 0 });
      assert.deepEqual(here(stop().text), trail[i], `stop ${i}`);
    }
    for (let i = 2; i < 6; i++) {
      session.resume();
      assert.deepEqual(here(stop().text), trail[i], `stop ${i} again`);
    }
  });

  test("can be paused", () => {
    const { session, stop, machine } = bench();
    session.filters.replace("client", [{ ...sent, hitCondition: "3" }]);
    session.resume();
    stop();
    const before = machine.instructions();
    session.goBack({ kind: "continue", cpu: 1 });
    session.pause(1);
    const paused = session.advance(1_000);
    assert.ok(paused !== undefined && "kind" in paused && paused.kind === "pause");
    assert.ok(machine.instructions() < before);
    session.resume();
    stop();
    assert.equal(machine.instructions(), before);
  });
});
