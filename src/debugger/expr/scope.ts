/** What an expression is evaluated in: one stopped CPU, an interrupt event, a frame. */
export interface Scope {
  /**
   * A register (in lower case: `rax`, `cpu1.rax`), field or symbol address by name. Parts of registers (`eax`, `al`) need not be
   * answered: they are cut out of `rax`. Undefined when there is no such name.
   */
  lookup(name: string): bigint | string | undefined;
  /** Guest memory at a virtual address; undefined when any of it cannot be read. */
  readMemory(address: bigint, size: number): Uint8Array | undefined;
  /** Physical memory, where there is any; undefined when any of it cannot be read. */
  readPhysical?(address: bigint, size: number): Uint8Array | undefined;
  /** A variable or constant of the program, when its type is known. Asked before {@link lookup}, except for names written `$name`. */
  variable?(name: string): TypedValue | undefined;
  /** `(type *...)address`: a pointer value to a type of the program; undefined when there is no such type. */
  pointerTo?(type: string, stars: number, address: bigint): TypedValue | undefined;
}

/** A value with a type of the program (from DWARF), seen without knowing where types come from. */
export interface TypedValue {
  /** The type as written in source: `struct node *`. */
  readonly type: string;
  /** Where it lies in memory, when it does. */
  readonly address: bigint | undefined;
  /** Its bytes there, where the type tells. */
  readonly size?: number | undefined;
  /** The number it stands for: undefined for structures, arrays and floating point. Throws a UserError when it cannot be read. */
  integer(): { readonly value: bigint; readonly bits: number; readonly signed: boolean } | undefined;
  /** The member called `name`, also in anonymous members; undefined when the type has none. */
  member(name: string): TypedValue | undefined;
  /** What a pointer or reference points at, or an array's first element; undefined for other types. */
  target(): TypedValue | undefined;
  /** Element `index` of an array or from a pointer; undefined for other types. */
  element(index: bigint): TypedValue | undefined;
  /** The value in words, as a debugger shows it. */
  show(): string;
}
