/** The self-checking guests, each of which says PASS and leaves through the debug-exit port when all that it checked was as the manual has it. */
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { describe, test } from "node:test";
import type { MachineConfiguration } from "../../src/machine/types";
import { runGuest } from "./runGuest";

/** isa-debug-exit value 0. */
const PASSED = 1;

function passes(image: string, configuration: Partial<MachineConfiguration> = {}, cmdline = ""): void {
  const { end, output } = runGuest(image, configuration, cmdline);
  const failures = output
    .split(/\r?\n/)
    .filter((line, index, lines) => /^FAIL/i.test(line) || (line.startsWith("  ") && /^FAIL/i.test(lines[index - 1])))
    .join("\n");
  assert.equal(failures, "");
  assert.match(output, /^PASS\r?$/m, `the guest ended with ${JSON.stringify(end)} after:\n${output.slice(-2000)}`);
  assert.deepEqual(end, { kind: "exit", status: PASSED });
}

describe("guests of one processor that check themselves against the manual", () => {
  for (const file of readdirSync("guests/checks").filter((name) => name.endsWith(".elf") && !name.startsWith("apic"))) {
    test(file, () => passes(`guests/checks/${file}`));
  }
});

test("the CPU has all that the checks of protection know", () => {
  const { output } = runGuest("guests/checks/protection.elf");
  assert.doesNotMatch(output, /^skip/m);
});

describe("APIC checks", () => {
  for (const cpus of [1, 2, 4]) test(`${cpus} CPUs`, () => passes("guests/checks/apic.elf", { cpus }));
});

describe("the bundled guest", () => {
  const devices = ["testdev", "msi-test"];
  for (const cpus of [1, 2, 4]) {
    test(`${cpus} CPUs`, () => passes("guests/smp/smp.elf", { cpus }));
    test(`${cpus} CPUs in x2APIC mode, with the test devices`, () => passes("guests/smp/smp.elf", { cpus, devices }, "x2apic testdev"));
  }
  test("a quantum of 100 instructions", () => passes("guests/smp/smp.elf", { cpus: 3, quantum: 100 }));
});
