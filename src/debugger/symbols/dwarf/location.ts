import { ByteReader } from "../bytes";
import { withoutCopy } from "../perCpu";
import { Op } from "./constants";
import type { Unit } from "./unit";

/** What a location expression may ask of the frame it is evaluated in. */
export interface LocationContext {
  readonly file: string;
  readonly addressSize: number;
  /** The run-time address of one in the file; undefined where each CPU has its own and this CPU's is not found. */
  place(linked: bigint): bigint | undefined;
  /** For expressions that index .debug_addr. */
  readonly unit?: Unit | undefined;
  /** A register of the frame by its DWARF number; undefined when its value is not known there. */
  register(number: number): bigint | undefined;
  /** Guest memory; undefined when it cannot be read. */
  readMemory(address: bigint, size: number): Uint8Array | undefined;
  /** The canonical frame address (DWARF 5, 6.4): the stack pointer before the call. */
  readonly cfa?: bigint | undefined;
  /** The address that DW_AT_frame_base gives. */
  frameBase?(): bigint | undefined;
}

/** Where a value is, or why that is not known. */
export type Location =
  | { readonly kind: "memory"; readonly address: bigint }
  | { readonly kind: "register"; readonly number: number }
  /** The value itself, that exists nowhere. */
  | { readonly kind: "value"; readonly value: bigint }
  | { readonly kind: "bytes"; readonly bytes: Uint8Array }
  /** Parts of the value, lowest first; sizes and offsets in bits. */
  | { readonly kind: "pieces"; readonly pieces: readonly Piece[] }
  | { readonly kind: "missing"; readonly reason: string };

export interface Piece {
  readonly location: Location;
  readonly bits: number;
  /** Where in the location the piece begins. */
  readonly bitOffset: number;
}

export const optimisedOut: Location = { kind: "missing", reason: "optimised out" };

/** Loops in an expression end here: real expressions have some dozens of operations. */
const maximumSteps = 10_000;
const maximumStack = 256;

/** Ends an evaluation whose result cannot be known. */
class Unknown extends Error {
  constructor(readonly reason: string) {
    super(reason);
  }
}

/** Evaluates a location expression (DWARF 5, 2.5 and 2.6). `initial` values are pushed first, as CFI expressions need. */
export function evaluateLocation(expression: Uint8Array, context: LocationContext, initial: readonly bigint[] = []): Location {
  if (expression.length === 0) return optimisedOut;
  try {
    return new Machine(expression, context, initial).run();
  } catch (error) {
    if (error instanceof Unknown) return { kind: "missing", reason: error.reason };
    throw error;
  }
}

class Machine {
  private readonly reader: ByteReader;
  private readonly bits: number;
  private readonly stack: bigint[];
  private readonly pieces: Piece[] = [];
  /** Set by operations that end a location description. */
  private result: Location | undefined;

  constructor(
    expression: Uint8Array,
    private readonly context: LocationContext,
    initial: readonly bigint[],
  ) {
    this.reader = new ByteReader(expression, context.file, "a location expression");
    this.bits = context.addressSize * 8;
    this.stack = [...initial];
  }

  run(): Location {
    for (let steps = 0; !this.reader.atEnd; steps++) {
      if (steps > maximumSteps) this.reader.damaged("it does not end");
      this.step();
    }
    if (this.pieces.length > 0) return { kind: "pieces", pieces: this.pieces };
    return this.take();
  }

  /** The simple location described so far; an empty stack stands for a part that was optimised out. */
  private take(): Location {
    const { result } = this;
    this.result = undefined;
    if (result !== undefined) return result;
    const address = this.stack.pop();
    return address === undefined ? optimisedOut : { kind: "memory", address };
  }

  private push(value: bigint): void {
    if (this.stack.length >= maximumStack) this.reader.damaged("its stack overflows");
    this.stack.push(BigInt.asUintN(this.bits, value));
  }

  private pop(): bigint {
    return this.stack.pop() ?? this.reader.damaged("its stack is empty");
  }

  private popSigned(): bigint {
    return BigInt.asIntN(this.bits, this.pop());
  }

  private register(number: number): bigint {
    const value = this.context.register(number);
    if (value === undefined) throw new Unknown("in a register that is not saved");
    return value;
  }

  private place(linked: bigint): bigint {
    const address = this.context.place(linked);
    if (address === undefined) throw new Unknown(withoutCopy);
    return address;
  }

  private peek(depth: number): bigint {
    const at = this.stack.length - 1 - depth;
    return at >= 0 ? this.stack[at] : this.reader.damaged("its stack is empty");
  }

  private dereference(size: number): void {
    const address = this.pop();
    if (![1, 2, 4, 8].includes(size)) this.reader.damaged(`it reads ${size} bytes`);
    const bytes = this.context.readMemory(address, size);
    if (bytes === undefined || bytes.length < size) throw new Unknown(`at memory that cannot be read (0x${address.toString(16)})`);
    this.push(new ByteReader(bytes, this.context.file, "memory").unsigned(size));
  }

  private indexed(): bigint {
    const { unit } = this.context;
    const index = this.reader.uleb();
    return unit === undefined ? this.reader.damaged("it refers to an address table") : unit.indexedAddress(index);
  }

  private compare(holds: (a: bigint, b: bigint) => boolean): void {
    const b = this.popSigned();
    const a = this.popSigned();
    this.push(holds(a, b) ? 1n : 0n);
  }

  private binary(operate: (a: bigint, b: bigint) => bigint): void {
    const b = this.pop();
    const a = this.pop();
    this.push(operate(a, b));
  }

  private branch(taken: boolean): void {
    const distance = (this.reader.u16() << 16) >> 16;
    if (!taken) return;
    const target = this.reader.pos + distance;
    if (target < 0 || target > this.reader.end) this.reader.damaged("it jumps outside itself");
    this.reader.pos = target;
  }

  private step(): void {
    const { reader } = this;
    const op = reader.u8();
    if (op >= Op.lit0 && op < Op.reg0) return this.push(BigInt(op - Op.lit0));
    if (op >= Op.reg0 && op < Op.breg0) {
      this.result = { kind: "register", number: op - Op.reg0 };
      return;
    }
    if (op >= Op.breg0 && op < Op.regx) return this.push(this.register(op - Op.breg0) + reader.slebBig());
    switch (op) {
      case Op.addr:
        return this.push(this.place(reader.unsigned(this.context.addressSize)));
      case Op.addrx:
      case Op.gnu_addr_index:
        return this.push(this.place(this.indexed()));
      case Op.constx:
      case Op.gnu_const_index:
        return this.push(this.indexed());
      case Op.const1u:
        return this.push(BigInt(reader.u8()));
      case Op.const1s:
        return this.push(BigInt(reader.s8()));
      case Op.const2u:
        return this.push(BigInt(reader.u16()));
      case Op.const2s:
        return this.push(BigInt.asIntN(16, BigInt(reader.u16())));
      case Op.const4u:
        return this.push(BigInt(reader.u32()));
      case Op.const4s:
        return this.push(BigInt.asIntN(32, BigInt(reader.u32())));
      case Op.const8u:
      case Op.const8s:
        return this.push(reader.u64());
      case Op.constu:
        return this.push(reader.ulebBig());
      case Op.consts:
        return this.push(reader.slebBig());
      case Op.regx:
        this.result = { kind: "register", number: reader.uleb() };
        return;
      case Op.bregx:
        return this.push(this.register(reader.uleb()) + reader.slebBig());
      case Op.fbreg: {
        const base = this.context.frameBase?.();
        const distance = reader.slebBig();
        if (base === undefined) throw new Unknown("in a frame whose base is not known");
        return this.push(base + distance);
      }
      case Op.call_frame_cfa:
        if (this.context.cfa === undefined) throw new Unknown("in a frame whose base is not known");
        return this.push(this.context.cfa);
      case Op.deref:
        return this.dereference(this.context.addressSize);
      case Op.deref_size:
        return this.dereference(reader.u8());
      case Op.deref_type:
      case Op.gnu_deref_type: {
        const size = reader.u8();
        reader.skipLeb();
        return this.dereference(size);
      }
      case Op.regval_type:
      case Op.gnu_regval_type: {
        const value = this.register(reader.uleb());
        reader.skipLeb();
        return this.push(value);
      }
      case Op.const_type:
      case Op.gnu_const_type: {
        reader.skipLeb();
        const size = reader.u8();
        const bytes = reader.block(size);
        if (![1, 2, 4, 8].includes(size)) throw new Unknown("given in a way that is not supported");
        return this.push(new ByteReader(bytes, this.context.file, "a constant").unsigned(size));
      }
      case Op.convert:
      case Op.reinterpret:
      case Op.gnu_convert:
      case Op.gnu_reinterpret:
        // Integers of other widths; the value is cut to its type when it is shown.
        return reader.skipLeb();
      case Op.stack_value:
        this.result = { kind: "value", value: this.pop() };
        return;
      case Op.implicit_value:
        this.result = { kind: "bytes", bytes: reader.block(reader.uleb()) };
        return;
      case Op.piece:
        return this.piece(reader.uleb() * 8, 0);
      case Op.bit_piece:
        return this.piece(reader.uleb(), reader.uleb());
      case Op.entry_value:
      case Op.gnu_entry_value:
      case Op.gnu_parameter_ref:
      case Op.implicit_pointer:
      case Op.gnu_implicit_pointer:
      case Op.gnu_variable_value:
        throw new Unknown("optimised out");
      case Op.form_tls_address:
      case Op.gnu_push_tls_address:
        throw new Unknown("in thread-local storage");
      default:
        return this.arithmetic(op);
    }
  }

  private piece(bits: number, bitOffset: number): void {
    if (this.pieces.length >= maximumStack) this.reader.damaged("it has too many pieces");
    this.pieces.push({ location: this.take(), bits, bitOffset });
  }

  private arithmetic(op: number): void {
    switch (op) {
      case Op.nop:
        return;
      case Op.dup:
        return this.push(this.peek(0));
      case Op.drop:
        this.pop();
        return;
      case Op.over:
        return this.push(this.peek(1));
      case Op.pick:
        return this.push(this.peek(this.reader.u8()));
      case Op.swap: {
        const b = this.pop();
        const a = this.pop();
        this.push(b);
        return this.push(a);
      }
      case Op.rot: {
        const c = this.pop();
        const b = this.pop();
        const a = this.pop();
        this.push(c);
        this.push(a);
        return this.push(b);
      }
      case Op.abs: {
        const value = this.popSigned();
        return this.push(value < 0n ? -value : value);
      }
      case Op.neg:
        return this.push(-this.popSigned());
      case Op.not:
        return this.push(~this.pop());
      case Op.and:
        return this.binary((a, b) => a & b);
      case Op.or:
        return this.binary((a, b) => a | b);
      case Op.xor:
        return this.binary((a, b) => a ^ b);
      case Op.plus:
        return this.binary((a, b) => a + b);
      case Op.minus:
        return this.binary((a, b) => a - b);
      case Op.mul:
        return this.binary((a, b) => a * b);
      case Op.div: {
        const divisor = this.popSigned();
        const value = this.popSigned();
        if (divisor === 0n) throw new Unknown("given by a division by zero");
        return this.push(value / divisor);
      }
      case Op.mod: {
        const divisor = this.pop();
        const value = this.pop();
        if (divisor === 0n) throw new Unknown("given by a division by zero");
        return this.push(value % divisor);
      }
      case Op.plus_uconst:
        return this.push(this.pop() + this.reader.ulebBig());
      case Op.shl:
        return this.binary((a, b) => (b >= 64n ? 0n : a << b));
      case Op.shr:
        return this.binary((a, b) => (b >= 64n ? 0n : a >> b));
      case Op.shra: {
        const count = this.pop();
        const value = this.popSigned();
        return this.push(value >> (count > 64n ? 64n : count));
      }
      case Op.eq:
        return this.compare((a, b) => a === b);
      case Op.ne:
        return this.compare((a, b) => a !== b);
      case Op.lt:
        return this.compare((a, b) => a < b);
      case Op.le:
        return this.compare((a, b) => a <= b);
      case Op.gt:
        return this.compare((a, b) => a > b);
      case Op.ge:
        return this.compare((a, b) => a >= b);
      case Op.bra:
        return this.branch(this.pop() !== 0n);
      case Op.skip:
        return this.branch(true);
      default:
        // Vendors' own and rare operations (calls of other entries, address spaces).
        throw new Unknown("given in a way that is not supported");
    }
  }
}
