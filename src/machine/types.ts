import type { DeliveryMode, InterruptEvent, InterruptStorm, Misuse } from "../apic/events";
import type { DeliveredEvent, EventKind } from "../cpu/system/context";
import type { CompileThread } from "../tcg/backend/compilation";
import type { JitOptions } from "../tcg/backend/jit";
import type { ProvideMemory } from "../tcg/memory";
import type { HandlerFrame } from "./handlerFrames";
import type { WatchHit } from "./watches";
import type { DiskConfiguration, ImageFile, Inflate } from "../devices/block/image";

/** How a machine is made. */
export interface MachineConfiguration {
  /** 1 to 64. */
  readonly cpus: number;
  /** RAM in bytes, a multiple of 4096. */
  readonly memory: number;
  /** Instructions a CPU runs before the next CPU's turn; default 10,000. */
  readonly quantum?: number;
  /** Seed of everything random; default 0. */
  readonly seed?: number;
  /** CPU model (docs/cpu-models.md); default "max". */
  readonly cpuModel?: string;
  /**
   * "auto" (default) translates hot code, "jit" whatever runs a few times, "interpreter" nothing; "reference" is the plain op interpreter, for tests. All give
   * the same run.
   */
  readonly engine?: "auto" | "jit" | "interpreter" | "reference";
  /** Records of interrupts kept, at least 64; default 65,536. About 300 bytes each. */
  readonly interruptRecords?: number;
  /** When the translator acts; for tests. */
  readonly jit?: Partial<JitOptions>;
  /** Wall-clock time at power-on, in milliseconds since 1970; default a fixed date. */
  readonly startTime?: number;
  /** Optional devices by name: "testdev", "msi-test", "virtio-rng", "virtio-console", "vga". */
  readonly devices?: readonly string[];
  /** Disks in the order in which they are found; each interface numbers its own. */
  readonly disks?: readonly DiskConfiguration[];
  /** Image of the CD in the CD-ROM drive; the drive is there only with one. */
  readonly cdrom?: ImageFile;
  /** The firmware that the machine starts with at the reset vector. Without it, `Machine.boot` loads an image directly. */
  readonly firmware?: FirmwareConfiguration;
  /** What a triple fault does: "stop" (default) ends the run, "reset" resets the machine, as the chips of a PC do that see a processor shut down. */
  readonly tripleFault?: "stop" | "reset";
  /** The host's way to provide memory ahead of its use, in a thread of its own; without one it comes page by page. */
  readonly provider?: (memory: WebAssembly.Memory) => ProvideMemory;
  /** The host's way to have generated code made in a thread of its own; without one the CPUs wait for it. */
  readonly compiler?: () => CompileThread;
  /** The host's decompressor, which compressed disk images need. */
  readonly inflate?: Inflate;
}

/** An interrupt that a debugger sends. */
export type MachineInjection =
  /** To one CPU, by index. `vector` is the start page of a SIPI, and 0 for modes without one. */
  | { readonly kind: "message"; readonly mode: DeliveryMode; readonly vector: number; readonly cpu: number }
  /** A 32-bit store to 0xfee00000-0xfeefffff from the bus side. */
  | { readonly kind: "msi"; readonly address: number; readonly data: number }
  /** The debugger's line to a pin of the I/O APIC. */
  | { readonly kind: "pin"; readonly pin: number; readonly level: "high" | "low" | "pulse" }
  /** INTR rises, and nothing is there when the CPU answers. */
  | { readonly kind: "spurious"; readonly cpu: number };

/** A PC firmware image and what it is told. */
export interface FirmwareConfiguration {
  /** The ROM's content, which ends at 4 GiB: a multiple of 4096 bytes. */
  readonly image: Uint8Array;
  /** As the user named it, for messages. */
  readonly name: string;
  /** A VGA BIOS for it to load, for a board without a display adapter and for one with it. */
  readonly vgaBios?: Uint8Array;
  readonly displayBios?: Uint8Array;
  /** Have the firmware show its text screen on the first serial port and take keys from there. */
  readonly serialConsole?: boolean;
}

/** Why `Machine.run` returned. */
export type RunEnd =
  | { readonly kind: "limit" } // the instruction limit given to run
  | { readonly kind: "stop" } // requestStop was called (by a hook, in which case the instruction that caused it has completed)
  | { readonly kind: "breakpoint"; readonly cpu: number } // before the instruction at a code breakpoint
  | { readonly kind: "power-off" }
  | { readonly kind: "exit"; readonly status: number } // isa-debug-exit: status is (value << 1) | 1
  | { readonly kind: "reset" } // the guest asked for a system reset and reset stops runs
  | { readonly kind: "triple-fault"; readonly cpu: number }
  | { readonly kind: "dead" }; // no CPU can ever run again: all halted with no timer armed, or with interrupts off

/** What a debugger may hear; each hook may call `Machine.requestStop`. Hooks must not change guest state. */
export interface MachineHooks {
  interrupt?(event: InterruptEvent): void;
  /** Before `interrupt`: see {@link InterruptObserver.stage}. */
  stage?(slot: number, stage: number, cpu: number): boolean;
  storm?(storm: InterruptStorm): void;
  /** An exception, trap or software interrupt is about to enter its handler (external interrupts and NMIs come as interrupt events as well). */
  exception?(cpu: number, event: DeliveredEvent): void;
  /** Before `handlerEntered`: a handler starts. False: its frame need not be made for that. */
  handlerStarts?(cpu: number, vector: number, kind: EventKind, record: number): boolean;
  /** A handler starts: the frame that its delivery pushed. */
  handlerEntered?(cpu: number, frame: HandlerFrame): void;
  /** A handler ended by IRET on CPU `cpu`. */
  handlerReturned?(cpu: number, frame: HandlerFrame): void;
  /**
   * True: `exception` need not hear of external interrupts, nor `handlerReturned` of anything, so that the engine may carry out ordinary deliveries and IRET. Whoever changes his mind says so by
   * `Machine.hooksChanged`.
   */
  readonly handlersOnly?: boolean;
  /** LIDT loaded another IDT. */
  idtLoaded?(cpu: number): void;
  /** IF of a CPU changed. */
  interruptFlag?(cpu: number, enabled: boolean): void;
  /** A guest did with its interrupt controllers what it should not have. */
  misuse?(misuse: Misuse): void;
  tripleFault?(cpu: number): void;
  /** Bytes the guest sent to the debug console (ports 0xe9 and 0x402). With no hook they go to `serial`. */
  debugConsole?(bytes: Uint8Array): void;
  /** Bytes the guest sent through its first serial port. */
  serial?(bytes: Uint8Array): void;
  /** Bytes the guest sent through its virtio console. */
  console?(bytes: Uint8Array): void;
  /** A CPU left wait-for-SIPI. */
  cpuStarted?(cpu: number): void;
  /** A watched place was accessed (see Machine.setWatches). */
  watch?(hit: WatchHit): void;
}
