import type { InterruptRecord } from "../apic/events";
import { sourceText } from "../apic/text";
import type { HandlerFrame } from "../machine/handlerFrames";
import { hex } from "./numbers";
import type { SymbolStore } from "./symbols/table";
import { exceptionName } from "./words";

/** What stands between a handler and what it interrupted, uppermost first: who sent the interrupt, and what it is. */
export function handlerLabels(handler: HandlerFrame, record: InterruptRecord | undefined, symbols: SymbolStore): string[] {
  const { kind, vector } = handler;
  switch (kind) {
    case "exception":
    case "trap":
      return [exceptionName(vector)];
    case "software":
      return [vector === 3 || vector === 4 ? exceptionName(vector) : `INT ${hex(vector, 2)}`];
    case "external":
    case "nmi": {
      const name = kind === "nmi" ? "NMI" : `vector ${hex(vector, 2)}`;
      if (record === undefined) return [kind === "nmi" ? name : `${name}, spurious`];
      const send = record.stages[0];
      const place = send.cpu < 0 ? undefined : (symbols.describe(send.rip) ?? hex(send.rip));
      const sender = record.source !== "ipi" || place === undefined ? [] : [`sent by CPU ${send.cpu} at ${place}`];
      return [...sender, `${name}, ${sourceText(record.source)}`];
    }
  }
}
