// Requests behind hovers, the Problems panel and 'Go to Address'. Types and names only, shared by the adapter and its clients.
import type { TimelinePlace } from "./timelineProtocol";

/** Request `apicscope/decode`: what a value means in a register of the interrupt controllers. */
export const decodeRequest = "apicscope/decode";

/** Registers that can be decoded; those named LVT by the entry's name, as the manual has them. */
export const decodableRegisters = [
  ...["ICR", "SVR", "Redirection Entry", "MSI Data"],
  ...["LVT CMCI", "LVT Timer", "LVT Thermal", "LVT PMC", "LVT LINT0", "LVT LINT1", "LVT Error"],
] as const;

export interface DecodeArguments {
  /** One of {@link decodableRegisters}. */
  register: string;
  /** Hexadecimal with 0x, or decimal. */
  value: string;
}

export interface DecodeResponse {
  /** In words: "Fixed, vector 0xf0, to physical 0x01". */
  text: string;
  /** By bits, in the manual's order. */
  fields: { name: string; bits: string; value: string; text?: string }[];
}

/** Request `apicscope/lints`, without arguments: what the guest did wrong so far, each place once. */
export const lintsRequest = "apicscope/lints";

export interface LintView {
  kind: string;
  severity: "warning" | "note";
  /** -1: none. */
  cpu: number;
  vector: number;
  text: string;
  advice: string;
  count: number;
  /** Id of the interrupt's record, 0 for none. */
  record: number;
  /** The instruction that did it; left out when none did. */
  place?: TimelinePlace;
}

export interface LintsResponse {
  lints: LintView[];
}

/** Request `apicscope/resolveAddress`: what a person typed, as an address. */
export const resolveAddressRequest = "apicscope/resolveAddress";

export interface ResolveAddressArguments {
  /** A symbol, an expression or a linear address; after `physical:` or `p:` a physical one. */
  text: string;
  frameId?: number;
}

export interface ResolveAddressResponse {
  space: "linear" | "physical";
  /** Hexadecimal with 0x. */
  address: string;
  /** For `readMemory`, `writeMemory` and `disassemble`. */
  memoryReference: string;
  /** Symbol and offset, for linear addresses. */
  symbol?: string;
}

/** Before a physical address in a memory reference. */
export const physicalPrefix = "physical:";
