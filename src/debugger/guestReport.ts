import { FLAG_IF } from "../cpu/registerBits";
import type { ExceptionLog } from "./exceptionLog";
import { describeException } from "./exceptionLog";
import { hex64 } from "./numbers";
import type { DebugCpu } from "./target";
import { activityText } from "./words";

/** Loops of one or two instructions that do nothing: `jmp .`, `pause; jmp`, `hlt; jmp` from either instruction. */
const idleLoops: readonly { readonly back: number; readonly bytes: readonly number[] }[] = [
  { back: 0, bytes: [0xeb, 0xfe] },
  { back: 0, bytes: [0xf3, 0x90, 0xeb, 0xfc] },
  { back: 2, bytes: [0xf3, 0x90, 0xeb, 0xfc] },
];

function interruptsOff(cpu: DebugCpu): boolean {
  return (cpu.state.systemFlags & FLAG_IF) === 0;
}

/** True for a CPU that will never do anything again by itself: halted, shut down or in an empty loop, with interrupts off. */
export function spinsForEver(cpu: DebugCpu): boolean {
  const { state } = cpu;
  if (state.nmiPending || state.initPending || state.smiPending) return false;
  switch (cpu.activity) {
    case "shutdown":
    case "wait-for-SIPI":
      return true;
    case "halted":
      return interruptsOff(cpu);
    case "mwait":
      return false;
    case "running":
      return interruptsOff(cpu) && idleLoops.some(({ back, bytes }) => loopsAt(cpu, cpu.linearRip() - BigInt(back), bytes));
  }
}

function loopsAt(cpu: DebugCpu, address: bigint, bytes: readonly number[]): boolean {
  const found = cpu.readMemory(BigInt.asUintN(64, address), bytes.length);
  return found !== undefined && found.length === bytes.length && bytes.every((byte, i) => found[i] === byte);
}

/** Where each CPU is and in what state, with its last exceptions: what a person needs to see when a guest dies. */
export function guestReport(cpus: readonly DebugCpu[], log: ExceptionLog, symbolOf: (address: bigint) => string | undefined): string {
  const lines: string[] = [];
  for (const cpu of cpus) {
    const exceptions = log.of(cpu.index);
    if (cpu.activity === "wait-for-SIPI" && exceptions.length === 0) {
      lines.push(`CPU ${cpu.index}: wait-for-SIPI`);
      continue;
    }
    const pc = cpu.linearRip();
    const symbol = symbolOf(pc);
    const state = cpu.activity === "running" && spinsForEver(cpu) ? "in an empty loop" : activityText(cpu.activity);
    lines.push(
      `CPU ${cpu.index}: ${state}, interrupts ${interruptsOff(cpu) ? "off" : "on"}, at ${hex64(pc)}${symbol === undefined ? "" : ` <${symbol}>`}`,
    );
    if (exceptions.length === 0) lines.push("  no exceptions so far");
    else lines.push(`  last exceptions, oldest first:`);
    for (const { event, instruction } of exceptions) lines.push(`    instruction ${instruction}: ${describeException(event, symbolOf)}`);
  }
  return lines.join("\n");
}
