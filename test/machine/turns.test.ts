/** Whose turn it is, apart from any machine. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Turns } from "../../src/machine/turns";

const all = (): boolean => true;

describe("turns", () => {
  test("go round in order, a quantum each", () => {
    const turns = new Turns(3, 10);
    const order: number[] = [];
    for (let i = 0; i < 7; i++) {
      const cpu = turns.pick(all);
      assert.equal(turns.budget, 10);
      order.push(cpu);
      turns.settle(cpu, 10, true);
    }
    assert.deepEqual(order, [0, 1, 2, 0, 1, 2, 0]);
  });

  test("skip CPUs that cannot run, and tell when none can", () => {
    const turns = new Turns(3, 10);
    assert.equal(
      turns.pick((cpu) => cpu === 2),
      2,
    );
    assert.equal(
      turns.pick(() => false),
      -1,
    );
  });

  test("are the same however slices are cut", () => {
    const whole = new Turns(2, 10);
    whole.settle(whole.pick(all), 10, true);
    const cut = new Turns(2, 10);
    for (let i = 0; i < 10; i++) cut.settle(cut.pick(all), 1, true);
    assert.deepEqual(cut.save(), whole.save());
  });

  test("of a CPU that runs alone may run into each other", () => {
    const alone = (cpu: number): boolean => cpu === 1;
    for (const steps of [9, 10, 11, 19, 20, 25, 30, 137]) {
      for (const called of [false, true]) {
        const whole = new Turns(3, 10);
        whole.settle(whole.pick(alone), 3, true);
        const cut = new Turns(3, 10);
        cut.settle(cut.pick(alone), 3, true);
        assert.ok(whole.pick(alone) === 1 && whole.extends);
        if (called) whole.call(2, true);
        whole.settle(1, steps, true);
        for (let i = 0; i < steps; i++) {
          if (called && i === steps - 1) cut.call(2, true);
          cut.settle(cut.pick(alone), 1, true);
        }
        assert.deepEqual(whole.save(), cut.save(), `${steps} instructions`);
      }
    }
  });

  test("a called CPU visits, and the turn's owner goes on with what it had left", () => {
    const turns = new Turns(3, 100);
    turns.call(2, true);
    turns.settle(turns.pick(all), 30, true);
    assert.equal(turns.pick(all), 2);
    assert.equal(turns.budget, 25);
    turns.settle(2, 25, true);
    assert.equal(turns.pick(all), 0);
    assert.equal(turns.budget, 70);
  });

  test("visits in one turn are bounded", () => {
    const turns = new Turns(3, 100);
    turns.pick(all);
    let visited = 0;
    turns.call(1, false);
    for (;;) {
      const cpu = turns.pick(all);
      if (cpu === 0) break;
      turns.call(3 - cpu, true);
      turns.settle(cpu, 5, true);
      visited += 5;
    }
    assert.equal(visited, 25);
    turns.call(1, false);
    assert.equal(turns.pick(all), 0);
  });

  test("a spinning CPU passes its turn on", () => {
    const turns = new Turns(2, 100);
    turns.pass();
    turns.settle(turns.pick(all), 3, true);
    assert.equal(turns.pick(all), 1);
  });

  test("instruction by instruction, with a quantum of 1", () => {
    const turns = new Turns(3, 100);
    turns.setSchedule({ quantum: 1, seed: 0 });
    const order: number[] = [];
    for (let i = 0; i < 6; i++) {
      const cpu = turns.pick(all);
      assert.equal(turns.budget, 1);
      order.push(cpu);
      turns.settle(cpu, 1, true);
    }
    assert.deepEqual(order, [0, 1, 2, 0, 1, 2]);
  });

  test("a seed gives random turns of up to twice the quantum, the same each time, and every CPU its share", () => {
    const run = (seed: number, steps = 3000): { order: string; share: number[] } => {
      const turns = new Turns(3, 100);
      turns.setSchedule({ quantum: 10, seed });
      const share = [0, 0, 0];
      let order = "";
      for (let i = 0; i < steps; i++) {
        const cpu = turns.pick(all);
        const budget = turns.budget;
        assert.ok(budget >= 1 && budget <= 19, `${budget}`);
        order += `${cpu}:${budget} `;
        share[cpu] += budget;
        turns.settle(cpu, budget, true);
      }
      return { order, share };
    };
    assert.equal(run(7).order, run(7).order);
    assert.notEqual(run(7).order, run(8).order);
    for (const cpu of run(7).share) assert.ok(Math.abs(cpu - 10_000) < 1500, `${cpu}`);
  });

  test("a saved random sequence goes on", () => {
    const turns = new Turns(2, 100);
    turns.setSchedule({ quantum: 10, seed: 3 });
    turns.settle(turns.pick(all), turns.budget, true);
    const other = new Turns(2, 100);
    other.restore(turns.save(), turns.schedule);
    for (let i = 0; i < 50; i++) {
      assert.equal(other.pick(all), turns.pick(all));
      assert.equal(other.budget, turns.budget);
      for (const each of [turns, other]) each.settle(each.pick(all), each.budget, true);
    }
  });

  test("what is saved is taken over", () => {
    const turns = new Turns(3, 100);
    turns.call(2, true);
    turns.settle(turns.pick(all), 30, true);
    const other = new Turns(3, 100);
    other.restore(turns.save());
    assert.deepEqual(other.save(), turns.save());
    assert.equal(other.pick(all), 2);
  });
});
