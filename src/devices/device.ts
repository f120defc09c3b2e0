import type { State } from "../common/state";

/** One named register of a device, for inspection (tree views, DAP scopes). Reading has no side effects on the guest. */
export interface RegisterView {
  readonly name: string;
  /** Raw value, zero-extended. */
  readonly value: bigint;
  /** Width in bits, for display. */
  readonly bits: number;
  /** Decoded fields, in the order of the manual. */
  readonly fields?: readonly FieldView[];
  /** One-line meaning of the whole value, if it has one. */
  readonly text?: string;
}

/** A decoded field of a register: `bits` is its position as the manual writes it, such as "10:8". */
export interface FieldView {
  readonly name: string;
  readonly bits: string;
  readonly value: bigint;
  readonly text?: string;
}

/** An interrupt message that a device is set up to send: MSI, MSI-X, or an HPET timer's. */
export interface MessageView {
  /** Among the device's messages: "MSI-X 2". */
  readonly name: string;
  readonly address: number;
  readonly data: number;
  readonly masked: boolean;
  /** It waits to be unmasked. */
  readonly pending: boolean;
}

/**
 * A part of the board. Life: constructed with its `DeviceContext`, `reset` at power-on and on every system reset,
 * `save`/`restore` at any instruction boundary. After `restore(save())` it behaves identically to the instruction.
 */
export interface Device {
  /** Short name in the board, unique: "pit", "ioapic0", "uart0". */
  readonly name: string;
  reset(): void;
  save(): State;
  restore(state: State): void;
  /** Bytes arrive from outside, for a device that takes some. Returns how many were taken. */
  receive?(bytes: Uint8Array): number;
  /** True while bytes from outside would interrupt a CPU. */
  readonly awaitsInput?: boolean;
  /** The registers a debugger shows; empty where there is nothing to see. */
  registers(): readonly RegisterView[];
  /** The interrupt messages that the guest has set up; left out by devices that have none. */
  messages?(): readonly MessageView[];
}

/** A wire: true asserts it. Calling with the level it already has does nothing. */
export type IrqLine = (level: boolean) => void;

/**
 * One timer of the virtual clock. The callback runs at the instruction boundary at which `now()` first reaches the deadline,
 * between two instructions; timers due at once run in order of deadline, then of creation.
 */
export interface Timer {
  /** Arms, or re-arms, for `deadline` in nanoseconds of virtual time; a deadline in the past fires at the next boundary. */
  arm(deadline: number): void;
  disarm(): void;
  /** The armed deadline in nanoseconds of virtual time, or undefined. Device code saves and restores it with its state. */
  readonly deadline: number | undefined;
}

/** Virtual time: nanoseconds, one per guest instruction plus what idle CPUs skipped. Deterministic; exact inside an instruction. */
export interface Clock {
  /** Nanoseconds of virtual time since power-on; a safe integer. */
  now(): number;
  createTimer(name: string, callback: () => void): Timer;
}

/** Handler of a range of I/O ports. `port` is absolute; `size` is 1, 2 or 4 bytes; values are unsigned. */
export interface PortHandler {
  read(port: number, size: 1 | 2 | 4): number;
  write(port: number, size: 1 | 2 | 4, value: number): void;
  /**
   * For string instructions: gives as many whole elements of `size` bytes as the handler has at hand, no more than fit `target`, and returns their bytes. Only
   * what reads without any effect but on the position may be given: the element whose reading does something is left to `read`.
   */
  readBlock?(port: number, size: 2 | 4, target: Uint8Array): number;
  /** The same for writes: takes bytes from `source` as long as that does nothing but fill a buffer. */
  writeBlock?(port: number, size: 2 | 4, source: Uint8Array): number;
}

/** Handler of an MMIO region. `offset` is relative to the region; `size` 1, 2, 4 or 8 bytes; `cpu` is the index of the accessing CPU, -1 for a device. */
export interface MmioHandler {
  /** Guests read it again and again to let time go by: a read takes as long as one of a port. */
  readonly polled?: boolean;
  read(offset: number, size: 1 | 2 | 4 | 8, cpu: number): bigint;
  write(offset: number, size: 1 | 2 | 4 | 8, value: bigint, cpu: number): void;
}

/** What a device may reach of the board. */
export interface DeviceContext {
  readonly clock: Clock;
  /** Claims ports `first` to `first + count - 1`. An access wider than a claimed range is split by the bus. Where claims overlap, the later wins. Returns a handle to move or drop it. */
  mapPorts(name: string, first: number, count: number, handler: PortHandler): PortRegion;
  /**
   * Claims physical addresses; overlaps RAM. Higher `priority` wins where regions overlap (default 0). Returns a handle to move or drop it. With `video` the region is
   * the board's video memory from its start on: CPUs reach its pages as plain memory, and the handler serves the rest.
   */
  mapMmio(name: string, base: number, size: number, handler: MmioHandler, priority?: number, video?: boolean): MmioRegion;
  /** Guest-physical memory as a device's DMA sees it. Addresses past RAM read as ones and drop writes. */
  readonly memory: DmaMemory;
}

export interface PortRegion {
  /** Moves the range to start at port `first`. */
  move(first: number): void;
  setEnabled(enabled: boolean): void;
}

export interface MmioRegion {
  /** Moves the region to physical address `base`. */
  move(base: number): void;
  setEnabled(enabled: boolean): void;
}

export interface DmaMemory {
  read(address: number, length: number): Uint8Array;
  write(address: number, bytes: Uint8Array): void;
  /** A bus write of 4 bytes: into 0xFEExxxxx it is an MSI. */
  write32(address: number, value: number): void;
}
