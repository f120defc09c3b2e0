import type { MomentSource } from "../common/moment";

/** Delivery modes of the ICR, LVTs, redirection entries and MSI (SDM vol. 3, "Interrupt Command Register"), by their public names. */
export type DeliveryMode = "fixed" | "lowpri" | "smi" | "nmi" | "init" | "sipi" | "extint";

/** Where an interrupt came from. */
export type InterruptSource =
  "ipi" | "ioapic" | "msi" | "timer" | "lint0" | "lint1" | "error" | "thermal" | "pmc" | "cmci" | "pic" | "debugger";

export type TriggerMode = "edge" | "level";

export type Shorthand = "none" | "self" | "all" | "others";

/**
 * A stage of an interrupt's life. `send`: left its source (ICR write, pin, MSI, LVT). `accept`: in a target's IRR, or latched as NMI, SMI, INIT, SIPI.
 * `request`: the target CPU was asked to take it. `deliver`: the CPU starts its handler. `eoi`: ended. `drop`: lost, with a reason. `return`: the handler's IRET.
 */
export type Stage = "send" | "accept" | "request" | "deliver" | "eoi" | "drop" | "return";

/** When and where a stage happened. */
export interface StageStamp {
  readonly stage: Stage;
  /** Instructions retired by the whole machine when it happened. */
  readonly instruction: number;
  /** Nanoseconds of virtual time. */
  readonly time: number;
  /** Index of the CPU whose instruction caused it, or -1 for a device or timer. */
  readonly cpu: number;
  /** RIP of that CPU's current instruction, 0n when `cpu` is -1. */
  readonly rip: bigint;
}

/** The whole life of one interrupt at one target. A broadcast makes one record per target, with the same `sendId`. */
export interface InterruptRecord {
  /** Unique in the machine, ascending from 1. */
  readonly id: number;
  /** Id shared by all the records of one send. */
  readonly sendId: number;
  readonly source: InterruptSource;
  readonly mode: DeliveryMode;
  /** 0 to 255; for SIPI the start page; 0 where the mode has none. */
  readonly vector: number;
  readonly trigger: TriggerMode;
  readonly shorthand: Shorthand;
  /** APIC id of the sender; -1 for a source that is no CPU. */
  readonly src: number;
  /** APIC id of the target; -1 while unknown (send) or when nobody matched. */
  readonly dst: number;
  /** Why it was dropped, if it was. */
  readonly dropReason?: string;
  /** Arrived while the same vector was already pending: it shares the delivery of record `coalescedInto`. */
  readonly coalescedInto?: number;
  /** Instructions that the debugger held it back between `send` and its target. */
  readonly delay?: number;
  readonly stages: readonly StageStamp[];
}

/** One event on the machine's event bus: `record` as of this stage. */
export interface InterruptEvent {
  readonly stage: Stage;
  readonly record: InterruptRecord;
  /** Index of the CPU it concerns: the sender for `send`, else the target; -1 for none. */
  readonly cpu: number;
}

/** One source interrupts a CPU so often that hardly any instruction retires in between. Told once as it starts. */
export interface InterruptStorm {
  /** Index of the CPU that suffers it. */
  readonly cpu: number;
  /** The source, mode and vector of most of its deliveries. */
  readonly source: InterruptSource;
  readonly mode: DeliveryMode;
  readonly vector: number;
  /** APIC id of the sender, -1 for a source that is no CPU. */
  readonly src: number;
  /** Deliveries seen in the window, and the instructions retired during it. */
  readonly deliveries: number;
  readonly instructions: number;
  /** The delivery that made it a storm. */
  readonly record: InterruptRecord;
}

/** What a guest does with its interrupt controllers that has no effect or not the one it wants. */
export type MisuseKind =
  /** EOI written with no vector in service. */
  | "eoi-nothing-in-service"
  /** ICR written again in xAPIC mode without having looked at its delivery status since the last send. */
  | "icr-not-polled"
  /** The register page was accessed while IA32_APIC_BASE disables the local APIC. */
  | "lapic-disabled"
  /** EOI written to an 8259 with nothing in service there. */
  | "pic-eoi-nothing-in-service"
  /** A vector arrived edge- and level-triggered while it was pending: its TMR bit changed under way. */
  | "trigger-mismatch";

export interface Misuse {
  readonly kind: MisuseKind;
  /** Index of the CPU concerned. */
  readonly cpu: number;
  /** The vector concerned, -1 for none. */
  readonly vector: number;
}

/** Hears of every stage of every interrupt, in order, as it happens. Must not change guest state. */
export interface InterruptObserver {
  interruptEvent(event: InterruptEvent): void;
  interruptStorm?(storm: InterruptStorm): void;
  misuse?(misuse: Misuse): void;
  /** False while nobody would hear of misuse. True where left out. */
  wantsMisuse?(): boolean;
  /** False while nobody would hear of events: they are then not made. True where left out. */
  wanted?(): boolean;
  /**
   * An interrupt has come to a stage ({@link StageCode}), which concerns `cpu`, -1 for none; its record is at `slot` of the store. For who keeps numbers only: allocates nothing. False: this event need not be made for
   * `interruptEvent`.
   */
  stage?(slot: number, stage: number, cpu: number): boolean;
}

/** The vCPU as its local APIC sees it. Implemented by `cpu/`; the APIC never imports it. */
export interface ApicCpu {
  /** Index in the machine, 0 to 63. */
  readonly index: number;
  /** Level of INTR: true while the local APIC (or ExtINT through it) has a deliverable vector. */
  setInterruptRequest(pending: boolean): void;
  raiseNmi(): void;
  raiseSmi(): void;
  /** INIT: reset to wait-for-SIPI (BSP: to its reset vector). The APIC resets itself. Latched at the next boundary. */
  raiseInit(): void;
  /**
   * Start-up IPI: begins execution at `page` * 4096 if waiting for it, or if an INIT is latched that will make it wait.
   * Returns false when ignored.
   */
  startup(page: number): boolean;
  /** True when in wait-for-SIPI. */
  readonly waitingForSipi: boolean;
  /** True for the bootstrap processor. */
  readonly bootstrap: boolean;
}

/** Moments for stamps, and counts of instructions. Implemented by `machine/`. */
export interface StampSource extends MomentSource {
  /** Instructions retired by the whole machine, exact inside an instruction. */
  instructions(): number;
  /** Instructions retired by one CPU, where they are counted apart; storms are then judged by them. */
  instructionsOf?(cpu: number): number;
}
