/** Whatever comes from outside is in the log, and a replay of the log is the same run to the instruction. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { InputLogWriter, readInputLog } from "../../src/machine/inputLog";
import { comparePositions } from "../../src/machine/inputs";
import type { Machine } from "../../src/machine/machine";
import type { MachineConfiguration } from "../../src/machine/types";
import { generator } from "./determinism";
import { bootGuest, MIB } from "./runGuest";

const MEMORY = 16 * MIB;

/** Runs with a person and a debugger meddling at random, stops by hooks right after deliveries among them. Returns the log. */
function meddle(machine: Machine, seed: number, rounds: number): string {
  let text = "";
  const log = new InputLogWriter((part) => void (text += part), machine.make);
  machine.inputs.recorder = { count: 0, input: (placed) => log.input(placed), forgetAfter: () => undefined };
  const random = generator(seed);
  const { hooks } = machine;
  let stopAt = -1;
  machine.hooks = {
    ...hooks,
    interrupt: (event) => {
      if (event.stage === "deliver" && --stopAt === 0) machine.requestStop();
    },
  };
  const cpu = (): number => random() % machine.cpus.length;
  const acts: (() => void)[] = [
    () => machine.serialInput(Uint8Array.of(random() & 0xff, random() & 0xff)),
    () => machine.memory.write(0x70_0000 + (random() % 4096), Uint8Array.of(random() & 0xff)),
    () => {
      machine.cpus[cpu()].state.setGpr(15, BigInt(random()));
      machine.edited();
    },
    () => {
      machine.cpus[cpu()].apic.writeRegister(0x30, 0x40000 | 0x31);
      machine.edited();
    },
    () => machine.setHeld(cpu(), random() % 2 === 0),
    () => void machine.runCpu(cpu(), 1 + (random() % 3_000)),
    () => machine.shieldFromInterrupts(cpu(), random() % 2 === 0),
    () => machine.setSchedule({ quantum: 1 + (random() % 300), seed: random() % 3 }),
    () => machine.setDelays([{ id: 1, instructions: 1 + (random() % 3_000) }]),
    () => (stopAt = 1 + (random() % 3)),
    () => machine.reset(),
  ];
  for (let round = 0; round < rounds; round++) {
    const end = machine.run(1 + (random() % 20_000));
    if (end.kind === "dead") {
      for (const { index } of machine.cpus) {
        machine.setHeld(index, false);
        machine.shieldFromInterrupts(index, false);
      }
    }
    // Resets are rare, so that the guest gets somewhere.
    const act = random() % (8 * acts.length);
    (acts[act] ?? acts[act % (acts.length - 1)])();
  }
  machine.hooks = hooks;
  for (const { index } of machine.cpus) {
    machine.setHeld(index, false);
    machine.shieldFromInterrupts(index, false);
  }
  machine.run(10_000);
  machine.inputs.recorder = undefined;
  log.end({ at: machine.position(), how: "limit", instructions: machine.instructions(), hash: machine.stateHash() });
  return text;
}

/** Replays in slices of random lengths to the end of the log. */
function replay(machine: Machine, text: string, seed: number): void {
  const { inputs, end, make } = readInputLog(text, "the log");
  assert.ok(end !== undefined);
  assert.deepEqual(machine.make, make);
  machine.inputs.replay(inputs);
  const random = generator(seed);
  let idle = 0;
  while (comparePositions(machine.position(), end.at) < 0 || machine.inputs.upcoming !== undefined) {
    const left = end.at.tried - machine.position().tried;
    const before = machine.position();
    const { upcoming } = machine.inputs;
    const result = machine.run(Math.max(1, Math.min(left, 1 + (random() % 50_000))), left > 0 ? Infinity : end.at.time);
    const moved = comparePositions(before, machine.position()) !== 0 || upcoming !== machine.inputs.upcoming;
    idle = moved ? 0 : idle + 1;
    assert.ok(
      idle < 5,
      `the replay stands still: ${result.kind}, ${left} steps before the end, next input at ${JSON.stringify(machine.inputs.upcoming)}, now at ${JSON.stringify(before)}`,
    );
  }
  assert.equal(machine.inputs.upcoming, undefined);
  assert.equal(machine.instructions(), end.instructions);
  assert.equal(machine.stateHash(), end.hash);
}

function same(image: string, configuration: Partial<MachineConfiguration>, seed: number, rounds: number): void {
  const recorded = bootGuest(image, { memory: MEMORY, ...configuration });
  const text = meddle(recorded.machine, seed, rounds);
  const again = bootGuest(image, { memory: MEMORY, ...configuration });
  replay(again.machine, text, seed + 1);
  assert.equal(again.output(), recorded.output());
}

describe("a replay is the run that was recorded", () => {
  for (const cpus of [1, 2, 4]) {
    for (const seed of [1, 2, 3]) test(`on ${cpus} CPUs, seed ${seed}`, () => same("guests/smp/smp.elf", { cpus }, seed * 77, 120));
  }
  test("on another engine", () => {
    const text = meddle(bootGuest("guests/smp/smp.elf", { memory: MEMORY, cpus: 2 }).machine, 9, 60);
    replay(bootGuest("guests/smp/smp.elf", { memory: MEMORY, cpus: 2, engine: "reference" }).machine, text, 10);
  });
  test("where a guest faults more than it retires", () => same("guests/checks/exceptions.elf", { cpus: 1 }, 5, 100));
});

test("a replay that misses the point of an input says so", () => {
  const { machine } = bootGuest("guests/smp/smp.elf", { memory: MEMORY, cpus: 2 });
  machine.inputs.replay([{ at: { tried: 100_000, taken: 0, time: 1 }, input: { kind: "reset" } }]);
  machine.run(99_999);
  assert.throws(() => machine.run(10), /has left the recording's course: an input of instruction 100000/);
});

test("inputs from outside are left out in a replay", () => {
  const { machine } = bootGuest("guests/smp/smp.elf", { memory: MEMORY, cpus: 1 });
  machine.inputs.replay([]);
  machine.run(1000);
  const hash = machine.stateHash();
  machine.serialInput(Uint8Array.of(1, 2, 3));
  assert.equal(machine.stateHash(), hash);
});
