import { decodeIcr, EsrBit } from "./fields";
import type { InterruptMessage } from "./message";
import type { ApicModel } from "./registerMap";
import { hex } from "./registerViews";

/** The APIC that sends. */
export interface Sender {
  readonly apicId: number;
  readonly cpuIndex: number;
  readonly x2apic: boolean;
  readonly model: ApicModel;
}

/** What a write of the ICR or of SELF IPI asks for. */
export type Send =
  | { readonly kind: "message"; readonly message: InterruptMessage }
  /** Nothing goes out; `errors` are ESR bits. */
  | { readonly kind: "refused"; readonly message: InterruptMessage; readonly reason: string; readonly errors: number }
  /** P6's remote read of register `register` of the APIC with physical id `destination`. */
  | { readonly kind: "remote-read"; readonly register: number; readonly destination: number };

/** What the ICR asks for (SDM vol. 3, "Interrupt Command Register (ICR)" and its tables of valid combinations). */
export function sendByIcr(low: number, high: number, { apicId, cpuIndex, x2apic, model }: Sender): Send {
  const icr = decodeIcr(low, high, x2apic);
  const message: InterruptMessage = {
    source: "ipi",
    mode: icr.mode === "reserved" ? (icr.modeCode === 7 ? "extint" : "fixed") : icr.mode,
    vector: icr.mode === "nmi" || icr.mode === "smi" || icr.mode === "init" ? 0 : icr.vector,
    trigger: "edge",
    shorthand: icr.shorthand,
    destinationMode: icr.destinationMode,
    destination: icr.destination,
    wide: x2apic,
    src: apicId,
    senderCpu: cpuIndex,
  };
  const refused = (reason: string, errors = 0): Send => ({ kind: "refused", message, reason, errors });
  if (icr.mode === "lowpri" && model.lowestPriorityIpi === false)
    return refused("IPIs of lowest priority are not supported", EsrBit.redirectableIpi);
  if ((icr.mode === "fixed" || icr.mode === "lowpri") && icr.vector < 16) {
    const received = icr.shorthand === "self" ? EsrBit.receiveIllegalVector : 0;
    return refused(`vector ${hex(icr.vector)} below 16`, EsrBit.sendIllegalVector | received);
  }
  if (icr.mode === "reserved") {
    if (icr.modeCode === 3 && model.remoteRead === true)
      return { kind: "remote-read", register: icr.vector & 0x3f, destination: icr.destination };
    return refused(`delivery mode ${icr.modeCode} is reserved in ICR`);
  }
  if (icr.mode === "init" && !icr.assert && icr.trigger === "level") return refused("INIT level de-assert: nothing is sent");
  if ((icr.shorthand === "self" || icr.shorthand === "all") && icr.mode !== "fixed")
    return refused(`delivery mode ${icr.mode} is not valid with shorthand ${icr.shorthand}`);
  return { kind: "message", message };
}

/** What x2APIC's SELF IPI register asks for: a fixed, edge-triggered interrupt to the sender. */
export function sendSelf(vector: number, { apicId, cpuIndex }: Sender): Send {
  const message: InterruptMessage = {
    source: "ipi",
    mode: "fixed",
    vector,
    trigger: "edge",
    shorthand: "self",
    destinationMode: "physical",
    destination: apicId,
    wide: true,
    src: apicId,
    senderCpu: cpuIndex,
  };
  if (vector >= 16) return { kind: "message", message };
  return {
    kind: "refused",
    message,
    reason: `vector ${hex(vector)} below 16`,
    errors: EsrBit.sendIllegalVector | EsrBit.receiveIllegalVector,
  };
}
