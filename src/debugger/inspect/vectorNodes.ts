/** XMM and YMM registers, MXCSR and XCR0 as variables: lanes as gdb names them, set one by one or whole. */
import { SLOT_XMM, VECTOR_UPPER } from "../../tcg/layout";
import { UserError } from "../../machine/errors";
import { fitting, hex } from "../numbers";
import type { DebugCpu } from "../target";
import type { SetInput, VariableNode } from "./node";

/** How lanes are read and written, by gdb's name of the element. */
interface Lane {
  readonly name: string;
  readonly bytes: 1 | 2 | 4 | 8 | 16;
  read(view: DataView, at: number): string;
  /** Throws a UserError for what does not fit in the lane, called `name`. */
  write(view: DataView, at: number, input: SetInput, name: string): void;
}

function integerLane(bytes: 1 | 2 | 4 | 8): Lane {
  const bits = bytes * 8;
  const name = `int${bits}`;
  return {
    name,
    bytes,
    read: (view, at) => {
      let value = 0n;
      for (let i = bytes - 1; i >= 0; i--) value = (value << 8n) | BigInt(view.getUint8(at + i));
      return hex(value, bytes * 2);
    },
    write: (view, at, input, lane) => {
      writeInteger(view, at, bytes, fitting(lane, input.number(), bits));
    },
  };
}

/** The largest finite numbers. */
const largest = { float: (2 - 2 ** -23) * 2 ** 127, double: Number.MAX_VALUE } as const;

function floatLane(name: "float" | "double"): Lane {
  return {
    name,
    bytes: name === "float" ? 4 : 8,
    read: (view, at) => String(name === "float" ? view.getFloat32(at, true) : view.getFloat64(at, true)),
    write: (view, at, input, lane) => {
      const text = input.text.trim();
      // A decimal number is the value itself; anything else an expression whose number is taken as one.
      const value = /^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i.test(text) ? Number(text) : Number(BigInt.asIntN(64, input.number()));
      if (!Number.isFinite(name === "float" ? Math.fround(value) : value))
        throw new UserError(`${text} does not fit in ${lane}, a ${name}, which takes -${largest[name]} to ${largest[name]}.`, lane);
      if (name === "float") view.setFloat32(at, value, true);
      else view.setFloat64(at, value, true);
    },
  };
}

const lanes: readonly Lane[] = [floatLane("float"), floatLane("double"), integerLane(1), integerLane(2), integerLane(4), integerLane(8)];

function writeInteger(view: DataView, at: number, bytes: number, value: bigint): void {
  for (let i = 0; i < bytes; i++) view.setUint8(at + i, Number((value >> BigInt(8 * i)) & 0xffn));
}

/** A register's bytes, in and out of the CPU's state. */
class VectorRegister {
  constructor(
    private readonly cpu: DebugCpu,
    private readonly index: number,
    readonly bytes: 16 | 32,
  ) {}

  private slot(quarter: number): number {
    return (SLOT_XMM + this.index * 16 + (quarter & 1) * 8 + (quarter & 2 ? VECTOR_UPPER : 0)) / 8;
  }

  load(): DataView {
    const view = new DataView(new ArrayBuffer(this.bytes));
    for (let i = 0; i < this.bytes / 8; i++) view.setBigUint64(i * 8, this.cpu.state.slots[this.slot(i)], true);
    return view;
  }

  store(view: DataView): void {
    for (let i = 0; i < this.bytes / 8; i++) this.cpu.state.slots[this.slot(i)] = view.getBigUint64(i * 8, true);
    this.cpu.changed();
  }
}

function registerNode(cpu: DebugCpu, index: number, bytes: 16 | 32): VariableNode {
  const register = new VectorRegister(cpu, index, bytes);
  const name = `${bytes === 32 ? "ymm" : "xmm"}${index}`;
  const view = register.load();
  const text = Array.from({ length: bytes / 8 }, (_, i) =>
    view
      .getBigUint64(bytes - 8 - i * 8, true)
      .toString(16)
      .padStart(16, "0"),
  ).join("");
  return {
    name,
    value: `0x${text}`,
    type: `v${bytes}`,
    set: (input) => {
      const changed = register.load();
      // More than 64 bits are no number of the expression language.
      const wide = /^0x[0-9a-f]+$/i.test(input.text.trim()) ? BigInt(input.text.trim()) : input.number();
      writeInteger(changed, 0, bytes, fitting(name, wide, bytes * 8));
      register.store(changed);
    },
    children: () => lanes.map((lane) => laneNode(register, lane)),
  };
}

function laneNode(register: VectorRegister, lane: Lane): VariableNode {
  const count = register.bytes / lane.bytes;
  const view = register.load();
  const values = Array.from({ length: count }, (_, i) => lane.read(view, i * lane.bytes));
  const name = `v${count}_${lane.name}`;
  return {
    name,
    value: `{${values.join(", ")}}`,
    children: () =>
      values.map((value, i) => ({
        name: `[${i}]`,
        value,
        set: (input) => {
          const changed = register.load();
          lane.write(changed, i * lane.bytes, input, `${name}[${i}]`);
          register.store(changed);
        },
      })),
  };
}

/** One node for all vector registers: 256 bits where XCR0 enables them, eight registers outside 64-bit code. */
export function vectorsNode(cpu: DebugCpu): VariableNode {
  const bytes = cpu.state.avxEnabled ? 32 : 16;
  const count = cpu.codeBits() === 64 ? 16 : 8;
  const used = Array.from({ length: count }, (_, i) => i).filter((index) => {
    const view = new VectorRegister(cpu, index, bytes).load();
    for (let i = 0; i < bytes; i++) if (view.getUint8(i) !== 0) return true;
    return false;
  });
  return {
    name: bytes === 32 ? "ymm" : "xmm",
    value: `${count} registers of ${bytes * 8} bits, ${used.length === 0 ? "all zero" : `${used.length} in use`}`,
    children: () => Array.from({ length: count }, (_, index) => registerNode(cpu, index, bytes)),
  };
}
