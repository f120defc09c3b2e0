/** Forms and how their cases come about: groups that share code and pins, and a `vary` step a case. */
import { expandMemory, expandState, Flag, formSeed, type Mode, Random, RFLAGS } from "../expand.js";
import { Gen, type Operand, type Width } from "./gen.js";
import type { Draft, PreparedCase } from "./native.js";

/** All arithmetic flags. */
export const STATUS = Flag.CF | Flag.PF | Flag.AF | Flag.ZF | Flag.SF | Flag.OF;

/** What a form's builder returns: the code, and what to change case by case. */
export interface Built {
  readonly code: Uint8Array;
  readonly vary?: (item: CaseEditor) => void;
}

/** A form that the recorder knows how to make cases of. */
export interface FormSpec {
  /** The file the form is recorded to. */
  readonly group: string;
  readonly id: string;
  readonly mode: Mode;
  readonly feature?: string;
  readonly undefinedFlags?: number;
  /** Share of the usual number of inputs, 1 by default. */
  readonly share?: number;
  /** Exceptions that cases may raise; any other is a mistake of the generator. */
  readonly traps?: readonly number[];
  /** Cases that share code and pins, 8 by default. */
  readonly groupSize?: number;
  build(gen: Gen): Built;
}

/** Lets a form change one case before it is run; every change is recorded as such. */
export class CaseEditor {
  readonly overrides = new Map<number, bigint>();
  readonly patches: { window: number; offset: number; bytes: Uint8Array }[] = [];
  undefinedRegisters = 0;

  constructor(
    readonly mode: Mode,
    readonly random: Random,
    readonly index: number,
    readonly state: BigUint64Array,
    readonly memory: readonly Uint8Array[],
    public undefinedFlags: number,
  ) {}

  set(entry: number, value: bigint): void {
    const wrapped = BigInt.asUintN(this.mode === 64 ? 64 : 32, value);
    this.state[entry] = wrapped;
    this.overrides.set(entry, wrapped);
  }

  /** Replaces the low `width` bits of a register. */
  setLow(entry: number, width: number, value: bigint): void {
    const mask = (1n << BigInt(width)) - 1n;
    this.set(entry, (this.state[entry] & ~mask) | (value & mask));
  }

  setFlags(set: number, clear: number): void {
    this.set(RFLAGS, (this.state[RFLAGS] & ~BigInt(clear)) | BigInt(set));
  }

  patch(window: number, offset: number, bytes: ArrayLike<number>): void {
    this.memory[window].set(bytes, offset);
    this.patches.push({ window, offset, bytes: Uint8Array.from(bytes) });
  }

  /** The value of an operand before the instruction. */
  read(operand: Operand, width: Width): bigint {
    if (operand.kind === "reg") {
      return BigInt.asUintN(width, this.state[operand.index] >> (operand.high ? 8n : 0n));
    }
    let value = 0n;
    for (let i = 0; i < width / 8; i++) value |= BigInt(this.memory[operand.window][operand.offset + i]) << BigInt(8 * i);
    return value;
  }

  /** Changes an operand before the instruction. */
  write(operand: Operand, width: Width, value: bigint): void {
    if (operand.kind === "mem") {
      this.patch(operand.window, operand.offset, Array.from({ length: width / 8 }, (_, i) => Number((value >> BigInt(8 * i)) & 0xffn)));
    } else if (operand.high) {
      this.set(operand.index, (this.state[operand.index] & ~0xff00n) | ((value & 0xffn) << 8n));
    } else {
      this.setLow(operand.index, width, value);
    }
  }
}

/** Makes `count` cases of a form; the same file seed gives the same cases. */
export function prepareCases(fileSeed: number, form: FormSpec, count: number): PreparedCase[] {
  const seed = formSeed(fileSeed, form.mode, form.id);
  const groupSize = form.groupSize ?? 8;
  const undefinedFlags = form.undefinedFlags ?? 0;
  const cases: PreparedCase[] = [];
  let draft: Draft | undefined;
  let built: Built | undefined;
  for (let index = 0; index < count; index++) {
    if (index % groupSize === 0 || draft === undefined) {
      const gen = new Gen(form.mode, new Random(seed ^ 0x67656e, Math.floor(index / groupSize)));
      built = form.build(gen);
      draft = gen.draft(built.code);
    }
    const state = new BigUint64Array(18);
    expandState(seed, index, form.mode, state);
    for (const [entry, value] of draft.pins) state[entry] = value;
    const memory = draft.windows.map(({ length }, number) => {
      const bytes = new Uint8Array(length);
      expandMemory(seed, index, number, bytes);
      return bytes;
    });
    const editor = new CaseEditor(form.mode, new Random(seed ^ 0x76617279, index), index, state, memory, undefinedFlags);
    built?.vary?.(editor);
    cases.push({
      mode: form.mode,
      draft,
      state,
      memory,
      overrides: editor.overrides,
      patches: editor.patches,
      undefinedFlags: editor.undefinedFlags,
      undefinedRegisters: editor.undefinedRegisters,
    });
  }
  return cases;
}
