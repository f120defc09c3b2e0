import type { DataPlace } from "../dataPlaces";

/** A value in a tree of variables. Children are made when asked for. */
export interface VariableNode {
  readonly name: string;
  readonly value: string;
  readonly type?: string | undefined;
  /** An expression that gives the same value. */
  readonly evaluateName?: string | undefined;
  /** Memory that belongs to the value. */
  readonly memory?: bigint | undefined;
  /** Where its accesses can be seen, if `evaluateName` does not tell. */
  readonly place?: DataPlace | undefined;
  /** Undefined: a leaf. */
  readonly children?: ((start?: number, count?: number) => readonly VariableNode[]) | undefined;
  /** {@link children} heeds what it is given; otherwise it gives all, which are few. */
  readonly inParts?: boolean | undefined;
  /** Number of children when they are numbered elements, which are then asked for in portions. */
  readonly indexed?: number | undefined;
  /** Changes the value; `text` is what the person typed. Throws a UserError when that cannot be. Undefined: read-only. */
  readonly set?: ((input: SetInput) => void) | undefined;
  /** Writes the value as the guest would, with all effects. Undefined where only {@link set} is offered. */
  readonly store?: ((input: SetInput) => void) | undefined;
}

/** What a person typed to change a value: the text itself, and the number that it evaluates to. */
export interface SetInput {
  readonly text: string;
  /** Throws a UserError when the text is no expression for a number. */
  readonly number: () => bigint;
  /** Written as `:= value`: a write as by the guest, with all effects, and not a poke. */
  readonly asGuest: boolean;
}
