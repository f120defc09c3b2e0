import type { DeliveryMode, InterruptSource, Shorthand, TriggerMode } from "./events";
import type { DestinationMode } from "./fields";

/** An interrupt on its way: what travels on the system bus between its source and the local APICs. */
export interface InterruptMessage {
  readonly source: InterruptSource;
  readonly mode: DeliveryMode;
  /** 0 to 255; the start page of a SIPI; 0 where the mode has none. */
  readonly vector: number;
  readonly trigger: TriggerMode;
  readonly shorthand: Shorthand;
  readonly destinationMode: DestinationMode;
  /** APIC id or logical address: 32 bits when `wide`, else 8. */
  readonly destination: number;
  /** True for a destination of 32 bits, as x2APIC ICRs have. */
  readonly wide: boolean;
  /** APIC id of the sender, -1 for a source that is no CPU. */
  readonly src: number;
  /** Index of the sending CPU, -1 for none. Shorthands go by it, never by an id that the guest may change. */
  readonly senderCpu: number;
}

/** What the ledger keeps of a message. */
export type SendInfo = Pick<InterruptMessage, "source" | "mode" | "vector" | "trigger" | "shorthand" | "src" | "senderCpu">;

/** A request of the debugger to send an interrupt as if from a device. */
export interface Injection {
  readonly mode: DeliveryMode;
  /** 0 to 255; start page for SIPI. Ignored for NMI, SMI, INIT. */
  readonly vector?: number;
  readonly trigger?: TriggerMode;
  /** Index of the one CPU to send it to; wins over the destination. */
  readonly cpu?: number;
  /** "all" sends it to every CPU. */
  readonly shorthand?: "none" | "all";
  readonly destinationMode?: DestinationMode;
  /** APIC id or logical address, 32 bits. */
  readonly destination?: number;
}
