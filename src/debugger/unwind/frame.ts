/** How the CPU runs the code: 64-bit, 32-bit (also compatibility mode), or 16-bit (real, virtual 8086 or 16-bit segments). */
export type CodeMode = "long" | "protected" | "real";

/** Guest memory at a linear address; undefined when it cannot be read. */
export type MemoryReader = (address: bigint, size: number) => Uint8Array | undefined;

/** The state of a frame while unwinding. */
export interface FrameState {
  readonly registers: Map<string, bigint>;
  readonly codeBase: bigint;
  readonly stackBase: bigint;
}

/** The caller's state, and how it was found. */
export interface Step {
  readonly state: FrameState;
  readonly cfa: bigint | undefined;
  readonly found: "tables" | "frame pointer" | "interrupt" | "code";
  /** The caller was interrupted rather than having called: its pc is exact. */
  readonly exact: boolean;
}

/** `offset` in a segment as a linear address: 16- and 32-bit addresses wrap. */
export function linear(mode: CodeMode, base: bigint, offset: bigint): bigint {
  switch (mode) {
    case "long":
      return BigInt.asUintN(64, base + offset);
    case "protected":
      return BigInt.asUintN(32, base + offset);
    case "real":
      return base + BigInt.asUintN(32, offset);
  }
}

/** The unsigned integer that `bytes` hold, lowest byte first. */
export function littleEndian(bytes: Uint8Array): bigint {
  let value = 0n;
  for (let i = bytes.length - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[i]);
  return value;
}
