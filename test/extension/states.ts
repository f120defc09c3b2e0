// States of a machine as the adapter tells them, for tests: idle unless changed.
import type { CpuInterruptState, InterruptState } from "../../src/adapter/protocol";

/** A running CPU without interrupts. */
export function cpuState(index: number, changes: Partial<CpuInterruptState> = {}): CpuInterruptState {
  const idle: CpuInterruptState = {
    index,
    apicId: index,
    state: "running",
    stateText: "running, IF=1",
    threadId: index + 1,
    frozen: false,
    rip: "0x0000000000100000",
    irr: [],
    isr: [],
    tmr: [],
    ppr: 0,
    tpr: 0,
    masks: [],
    pending: [],
    serving: [],
    lvts: [{ name: "LVT Timer", raw: 0x10000, text: "masked" }],
    lastEvents: [],
  };
  return { ...idle, ...changes };
}

/** A machine with one masked I/O APIC pin and one interrupt table. */
export function machineState(stopSequence: number, cpus: CpuInterruptState[]): InterruptState {
  const pin = { pin: 2, raw: "0x10000", text: "masked", masked: true, remoteIrr: false, asserted: false, by: [] };
  return {
    cpus,
    ioapics: [{ index: 0, pins: [{ ...pin, vector: 0, mode: "fixed", trigger: "edge", cpus: [0] }] }],
    messages: [],
    tables: [{ base: "0x0000000000010000", limit: 0xfff, kind: "64-bit", cpus: cpus.map(({ index }) => index), hits: 0 }],
    instruction: String(stopSequence * 1000),
    time: String(stopSequence * 1000),
    stopSequence,
  };
}
