import { ApicBase, WrittenRegister } from "../../apic/fields";
import type { Cause } from "../../common/lastWrites";
import { FLAG_IF } from "../../cpu/registerBits";
import { hex } from "../numbers";
import type { DebugCpu } from "../target";
import type { DiagnosisContext } from "./why";

/** Something that keeps interrupts from a CPU as it stands, whatever is pending. */
export interface InterruptMask {
  /** "IF", "TPR", "ISR", "SVR", "IA32_APIC_BASE", "NMI", "Shadow", "Activity", "Debugger". */
  readonly name: string;
  /** What it keeps away, in words. */
  readonly text: string;
  /** Who last set it. */
  readonly cause?: Cause | undefined;
}

/** Everything that masks interrupts at `cpu` now, what masks most first. */
export function interruptMasks(context: Pick<DiagnosisContext, "machine" | "isHeld">, cpu: DebugCpu): InterruptMask[] {
  const { state, apic } = cpu;
  const masks: InterruptMask[] = [];
  if (context.isHeld(cpu.index)) masks.push({ name: "Debugger", text: "frozen: the CPU does not run" });
  if (cpu.activity === "wait-for-SIPI") return [...masks, { name: "Activity", text: "waits for a start-up IPI and takes nothing else" }];
  if (cpu.activity === "shutdown") return [...masks, { name: "Activity", text: "shut down after a triple fault" }];
  if ((apic.baseMsr & ApicBase.enable) === 0n)
    masks.push({ name: "IA32_APIC_BASE", text: "the local APIC is disabled", cause: apic.writes.of(WrittenRegister.base) });
  else if (!apic.softwareEnabled)
    masks.push({
      name: "SVR",
      text: "the local APIC is software-disabled: it accepts no vector",
      cause: apic.writes.of(WrittenRegister.svr),
    });
  if ((state.systemFlags & FLAG_IF) === 0)
    masks.push({ name: "IF", text: "all maskable interrupts: IF is clear", cause: state.interruptsMaskedBy?.cause });
  const priority = priorityMask(context, cpu);
  if (priority !== undefined) masks.push(priority);
  if (cpu.inShadow) masks.push({ name: "Shadow", text: "until after the next instruction: shadow of STI or of a load of SS" });
  if (state.nmiBlocked) masks.push({ name: "NMI", text: "NMIs: until the IRET of the NMI handler" });
  return masks;
}

/** The processor priority, by what makes it: the task priority or a vector in service (SDM vol. 3, "Task and Processor Priorities"). */
function priorityMask(context: Pick<DiagnosisContext, "machine">, { apic, index }: DebugCpu): InterruptMask | undefined {
  const { ppr, taskPriority } = apic;
  if (ppr >> 4 === 0) return undefined;
  const text = `vectors up to ${hex((ppr & 0xf0) | 15, 2)}`;
  const serving = apic.inServiceVectors.at(-1) ?? 0;
  if (serving >> 4 < taskPriority >> 4)
    return { name: "TPR", text: `${text}: TPR is ${hex(taskPriority, 2)}`, cause: apic.writes.of(WrittenRegister.tpr) };
  const record = context.machine.ledger.inService(index).find(({ vector }) => vector === serving);
  const stamp = record?.stages.find(({ stage }) => stage === "deliver");
  const cause = stamp === undefined ? undefined : { instruction: stamp.instruction, cpu: stamp.cpu, rip: stamp.rip };
  return { name: "ISR", text: `${text}: ${hex(serving, 2)} is in service`, cause };
}
