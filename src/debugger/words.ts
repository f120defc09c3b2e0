import type { InterruptEvent, InterruptRecord, InterruptStorm } from "../apic/events";
import { describeEvent, describeRecord } from "../apic/text";
import { FLAG_IF } from "../cpu/registerBits";
import type { Activity } from "../cpu/state";
import { hex } from "./numbers";
import type { DebugCpu } from "./target";

const exceptionNames: Readonly<Record<number, string>> = {
  0: "#DE divide error",
  1: "#DB debug",
  2: "NMI",
  3: "#BP breakpoint",
  4: "#OF overflow",
  5: "#BR bound range exceeded",
  6: "#UD invalid opcode",
  7: "#NM device not available",
  8: "#DF double fault",
  10: "#TS invalid TSS",
  11: "#NP segment not present",
  12: "#SS stack fault",
  13: "#GP general protection",
  14: "#PF page fault",
  16: "#MF x87 floating point",
  17: "#AC alignment check",
  18: "#MC machine check",
  19: "#XM SIMD floating point",
};

/** The exception with this vector: "#PF page fault". */
export function exceptionName(vector: number): string {
  return exceptionNames[vector] ?? `vector ${hex(vector, 2)}`;
}

/** Names CPUs by APIC id, as people know them: "CPU 1". An id that no CPU has stays an APIC id. */
export class CpuNames {
  private readonly byApicId: ReadonlyMap<number, number>;

  constructor(cpus: readonly { readonly index: number; readonly apicId: number }[]) {
    this.byApicId = new Map(cpus.map((cpu) => [cpu.apicId, cpu.index]));
  }

  private readonly name = (apicId: number): string => {
    const index = this.byApicId.get(apicId);
    return index === undefined ? `APIC ${apicId}` : `CPU ${index}`;
  };

  /** "IPI vector 0xf0, CPU 0 -> CPU 1". */
  record(record: InterruptRecord): string {
    return describeRecord(record, this.name);
  }

  /** "IPI vector 0xf0, CPU 0 -> CPU 1, delivered". */
  event(event: Pick<InterruptEvent, "stage" | "record">): string {
    return describeEvent(event, this.name);
  }

  /** "Interrupt storm at CPU 1: 1000 deliveries within 2100 instructions, most of them IPI vector 0xf0, CPU 0 -> CPU 1". */
  storm(storm: InterruptStorm): string {
    return `Interrupt storm at CPU ${storm.cpu}: ${storm.deliveries} deliveries within ${storm.instructions} instructions, most of them ${this.record(storm.record)}`;
  }
}

/** A CPU's state in a few words, as thread names show it: "halted, IF=1", "running, IF=0, serving 0xf0". */
export function cpuStateText({ activity, state, apic }: Pick<DebugCpu, "activity" | "state" | "apic">): string {
  if (activity === "wait-for-SIPI" || activity === "shutdown") return activity;
  const serving = apic.inServiceVectors.map((vector) => hex(vector, 2)).reverse();
  const flag = (state.systemFlags & FLAG_IF) === 0 ? "IF=0" : "IF=1";
  return [activityText(activity), flag, ...(serving.length === 0 ? [] : [`serving ${serving.join(", ")}`])].join(", ");
}

/** A CPU's activity as texts show it. */
export function activityText(activity: Activity): string {
  return activity === "mwait" ? "halted (mwait)" : activity;
}
