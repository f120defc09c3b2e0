/** Events of the machine that a session can stop on. */
export const filterNames = [
  "interrupt.send",
  "interrupt.accept",
  "interrupt.deliver",
  "interrupt.eoi",
  "interrupt.drop",
  "interrupt.storm",
  "interrupt.lint",
  "budget.latency",
  "budget.handler",
  "budget.masked",
  "budget.nesting",
  "nmi",
  "smi",
  "init",
  "sipi",
  "cpu.exception",
  "cpu.tripleFault",
  "guest.stuck",
  "guest.end",
] as const;
export type FilterName = (typeof filterNames)[number];
