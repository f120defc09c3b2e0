// What sources and stages of interrupts are called, for everyone who writes about them: the debugger's texts and the pages in webviews.
import type { InterruptSource, Stage } from "./events";

/** A source in words: "APIC timer". */
export const sourceTexts: Readonly<Record<InterruptSource, string>> = {
  ipi: "IPI",
  ioapic: "I/O APIC",
  msi: "MSI",
  timer: "APIC timer",
  lint0: "LINT0",
  lint1: "LINT1",
  error: "APIC error",
  thermal: "Thermal",
  pmc: "Performance counter",
  cmci: "CMCI",
  pic: "8259",
  debugger: "Debugger",
};

/** What has happened to an interrupt at a stage: "delivered". */
export const stageTexts: Readonly<Record<Stage, string>> = {
  send: "sent",
  accept: "accepted",
  request: "requested",
  deliver: "delivered",
  eoi: "ended",
  drop: "dropped",
  return: "returned from",
};
