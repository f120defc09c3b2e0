import { ByteReader, hex } from "../symbols/bytes";
import type { ElfFile } from "../symbols/elf";
import type { Interval } from "../symbols/intervals";
import { IntervalIndex } from "../symbols/intervals";

/** How a register of the caller is found (DWARF 5, 6.4.1). */
export type RegisterRule =
  | { readonly kind: "undefined" }
  | { readonly kind: "same" }
  /** Saved at CFA + offset. */
  | { readonly kind: "offset"; readonly offset: bigint }
  /** Is CFA + offset. */
  | { readonly kind: "valueOffset"; readonly offset: bigint }
  | { readonly kind: "register"; readonly register: number }
  /** Saved at the address that the expression gives. */
  | { readonly kind: "expression"; readonly expression: Uint8Array }
  | { readonly kind: "valueExpression"; readonly expression: Uint8Array };

export type CfaRule =
  | { readonly kind: "register"; readonly register: number; readonly offset: bigint }
  | { readonly kind: "expression"; readonly expression: Uint8Array };

/** The row of the unwind table for one address. */
export interface UnwindRow {
  readonly cfa: CfaRule;
  readonly registers: ReadonlyMap<number, RegisterRule>;
  readonly returnAddress: number;
  /** The frame is that of a signal or interrupt handler's entry: the caller's pc is the next instruction to run, not one after a call. */
  readonly isSignal: boolean;
}

interface CommonEntry {
  readonly codeAlign: bigint;
  readonly dataAlign: bigint;
  readonly returnAddress: number;
  readonly instructions: Uint8Array;
  /** DW_EH_PE encoding of addresses in .eh_frame; 0 (absolute) in .debug_frame. */
  readonly pointerEncoding: number;
  readonly hasAugmentationData: boolean;
  readonly isSignal: boolean;
  readonly addressSize: number;
}

interface FrameEntry {
  readonly common: CommonEntry;
  readonly low: bigint;
  readonly instructions: Uint8Array;
}

/** Nested DW_CFA_remember_state and rows are bounded by this; compilers nest one or two. */
const maximumRemembered = 64;

/** Call frame information of one file: `.debug_frame` and `.eh_frame`. Addresses are as linked. */
export class CallFrameTable {
  private readonly index: IntervalIndex<FrameEntry>;

  /** Reads all entries; throws a UserError when a section is damaged. `addressSize` is that of the code, in bytes. */
  constructor(
    private readonly elf: ElfFile,
    private readonly addressSize: number = elf.bits / 8,
  ) {
    this.index = new IntervalIndex([...this.readSection("debug_frame"), ...this.readSection("eh_frame")]);
  }

  get size(): number {
    return this.index.size;
  }

  /** The rules that hold just before the instruction at `address` is run; undefined where the file says nothing. */
  rowAt(address: bigint): UnwindRow | undefined {
    const found = this.index.find(address);
    return found === undefined ? undefined : new RowBuilder(this.elf, found.value).run(address);
  }

  private readSection(name: "debug_frame" | "eh_frame"): Interval<FrameEntry>[] {
    const data = this.elf.debugSection(name);
    if (data === undefined) return [];
    const isEh = name === "eh_frame";
    const base = this.elf.section(`.${name}`)?.address ?? 0n;
    const reader = new ByteReader(data, this.elf.name, `.${name}`);
    const commons = new Map<number, CommonEntry>();
    const entries: Interval<FrameEntry>[] = [];
    while (reader.end - reader.pos >= 4) {
      let length = reader.u32();
      let offsetSize = 4;
      if (length === 0xffff_ffff) {
        length = reader.offset(8);
        offsetSize = 8;
      }
      // A terminator; linkers join sections of several objects behind one another.
      if (length === 0) continue;
      const idAt = reader.pos;
      const end = idAt + length;
      if (end > reader.end) reader.damaged(`the entry at ${hex(idAt)} reaches past the section's end`);
      const id = reader.unsigned(offsetSize);
      const isCommon = isEh ? id === 0n : id === (offsetSize === 8 ? 0xffff_ffff_ffff_ffffn : 0xffff_ffffn);
      if (!isCommon) {
        const commonAt = isEh ? idAt - Number(id) : Number(id);
        const entry = this.readEntry(reader.at(reader.pos, end), this.common(commons, reader, commonAt, isEh, base), base);
        if (entry !== undefined) entries.push(entry);
      }
      reader.pos = end;
    }
    return entries;
  }

  private common(known: Map<number, CommonEntry>, section: ByteReader, at: number, isEh: boolean, base: bigint): CommonEntry {
    let common = known.get(at);
    if (common === undefined) {
      if (at < 0) section.damaged("an entry refers to what stands before the section");
      common = this.readCommon(section.at(at), isEh, base);
      known.set(at, common);
    }
    return common;
  }

  private readCommon(section: ByteReader, isEh: boolean, base: bigint): CommonEntry {
    let length = section.u32();
    const wide = length === 0xffff_ffff;
    if (wide) length = section.offset(8);
    const reader = section.at(section.pos, section.pos + length);
    reader.skip(wide ? 8 : 4);
    const version = reader.u8();
    if (version !== 1 && version !== 3 && version !== 4) reader.damaged(`call frame information of version ${version}`);
    const augmentation = reader.cstring();
    let { addressSize } = this;
    if (version === 4) {
      addressSize = reader.u8();
      if ((addressSize !== 4 && addressSize !== 8) || reader.u8() !== 0) reader.damaged("a common entry has odd addresses");
    }
    const codeAlign = reader.ulebBig();
    const dataAlign = reader.slebBig();
    const returnAddress = version === 1 ? reader.u8() : reader.uleb();
    let pointerEncoding = 0;
    let isSignal = false;
    const hasAugmentationData = augmentation.startsWith("z");
    if (hasAugmentationData) {
      const size = reader.uleb();
      const end = reader.pos + size;
      for (const letter of augmentation.slice(1)) {
        if (letter === "R") pointerEncoding = reader.u8();
        else if (letter === "L") reader.skip(1);
        else if (letter === "P") this.readPointer(reader, reader.u8(), addressSize, base);
        else if (letter === "S") isSignal = true;
        else if (letter !== "B") break;
      }
      if (end > reader.end) reader.damaged("augmentation data reach past their entry");
      reader.pos = end;
    } else if (isEh && augmentation !== "") reader.damaged(`unknown augmentation "${augmentation.slice(0, 16)}"`);
    const instructions = reader.block(reader.end - reader.pos);
    return { codeAlign, dataAlign, returnAddress, instructions, pointerEncoding, hasAugmentationData, isSignal, addressSize };
  }

  private readEntry(reader: ByteReader, common: CommonEntry, base: bigint): Interval<FrameEntry> | undefined {
    const low = this.readPointer(reader, common.pointerEncoding, common.addressSize, base);
    const size = this.readPointer(reader, common.pointerEncoding & 0x0f, common.addressSize, base);
    if (common.hasAugmentationData) reader.skip(reader.uleb());
    const instructions = reader.block(reader.end - reader.pos);
    // The linker leaves entries of discarded functions behind, at address 0 or so.
    return this.elf.isCode(low) ? { low, high: low + size, value: { common, low, instructions } } : undefined;
  }

  /** An address in one of the encodings of the LSB's exception frames (DW_EH_PE); pc-relative ones count from where they stand. */
  private readPointer(reader: ByteReader, encoding: number, addressSize: number, base: bigint): bigint {
    if (encoding === 0xff) return 0n;
    const at = base + BigInt(reader.pos);
    let value: bigint;
    switch (encoding & 0x0f) {
      case 0x00:
        value = reader.unsigned(addressSize);
        break;
      case 0x01:
        value = reader.ulebBig();
        break;
      case 0x02:
        value = BigInt(reader.u16());
        break;
      case 0x03:
        value = BigInt(reader.u32());
        break;
      case 0x04:
      case 0x0c:
        value = reader.u64();
        break;
      case 0x09:
        value = reader.slebBig();
        break;
      case 0x0a:
        value = BigInt.asIntN(16, BigInt(reader.u16()));
        break;
      case 0x0b:
        value = BigInt.asIntN(32, BigInt(reader.u32()));
        break;
      default:
        return reader.damaged(`unknown pointer encoding ${hex(encoding)}`);
    }
    if ((encoding & 0x70) === 0x10) value += at;
    return BigInt.asUintN(addressSize * 8, value);
  }
}

/** Runs call frame instructions (DWARF 5, 6.4.2) up to an address. */
class RowBuilder {
  private cfa: CfaRule = { kind: "register", register: 0, offset: 0n };
  private rules = new Map<number, RegisterRule>();
  private initial: ReadonlyMap<number, RegisterRule> = new Map();
  private readonly remembered: { cfa: CfaRule; rules: Map<number, RegisterRule> }[] = [];
  private at: bigint;

  constructor(
    private readonly elf: ElfFile,
    private readonly entry: FrameEntry,
  ) {
    this.at = entry.low;
  }

  run(address: bigint): UnwindRow {
    const { common } = this.entry;
    this.execute(common.instructions, undefined);
    this.initial = new Map(this.rules);
    this.execute(this.entry.instructions, address);
    return { cfa: this.cfa, registers: this.rules, returnAddress: common.returnAddress, isSignal: common.isSignal };
  }

  /** Runs instructions until they pass `limit`. */
  private execute(instructions: Uint8Array, limit: bigint | undefined): void {
    const reader = new ByteReader(instructions, this.elf.name, "call frame instructions");
    while (!reader.atEnd) {
      const opcode = reader.u8();
      const advance = this.advance(opcode, reader);
      if (advance === undefined) this.instruction(opcode, reader);
      else {
        if (limit !== undefined && advance > limit) return;
        this.at = advance;
      }
    }
  }

  /** The new location when the instruction moves on, else undefined (and nothing read). */
  private advance(opcode: number, reader: ByteReader): bigint | undefined {
    const { codeAlign, addressSize } = this.entry.common;
    if (opcode >> 6 === 1) return this.at + BigInt(opcode & 0x3f) * codeAlign;
    switch (opcode) {
      case 0x01:
        return reader.unsigned(addressSize);
      case 0x02:
        return this.at + BigInt(reader.u8()) * codeAlign;
      case 0x03:
        return this.at + BigInt(reader.u16()) * codeAlign;
      case 0x04:
        return this.at + BigInt(reader.u32()) * codeAlign;
      default:
        return undefined;
    }
  }

  private restore(register: number): void {
    const rule = this.initial.get(register);
    if (rule === undefined) this.rules.delete(register);
    else this.rules.set(register, rule);
  }

  private instruction(opcode: number, reader: ByteReader): void {
    const { dataAlign } = this.entry.common;
    const set = (register: number, rule: RegisterRule): void => void this.rules.set(register, rule);
    if (opcode >> 6 === 2) return set(opcode & 0x3f, { kind: "offset", offset: reader.ulebBig() * dataAlign });
    if (opcode >> 6 === 3) return this.restore(opcode & 0x3f);
    switch (opcode) {
      case 0x00: // nop
        return;
      case 0x05: // offset_extended
        return set(reader.uleb(), { kind: "offset", offset: reader.ulebBig() * dataAlign });
      case 0x06: // restore_extended
        return this.restore(reader.uleb());
      case 0x07:
        return set(reader.uleb(), { kind: "undefined" });
      case 0x08:
        return set(reader.uleb(), { kind: "same" });
      case 0x09:
        return set(reader.uleb(), { kind: "register", register: reader.uleb() });
      case 0x0a: // remember_state
        if (this.remembered.length >= maximumRemembered) reader.damaged("they remember too much");
        this.remembered.push({ cfa: this.cfa, rules: new Map(this.rules) });
        return;
      case 0x0b: {
        // restore_state
        const state = this.remembered.pop() ?? reader.damaged("they restore what was never remembered");
        this.cfa = state.cfa;
        this.rules = state.rules;
        return;
      }
      case 0x0c: // def_cfa
        this.cfa = { kind: "register", register: reader.uleb(), offset: reader.ulebBig() };
        return;
      case 0x0d: // def_cfa_register
        this.cfa = { kind: "register", register: reader.uleb(), offset: this.cfa.kind === "register" ? this.cfa.offset : 0n };
        return;
      case 0x0e: // def_cfa_offset
        this.cfa = { kind: "register", register: this.cfaRegister(reader), offset: reader.ulebBig() };
        return;
      case 0x0f: // def_cfa_expression
        this.cfa = { kind: "expression", expression: reader.block(reader.uleb()) };
        return;
      case 0x10:
        return set(reader.uleb(), { kind: "expression", expression: reader.block(reader.uleb()) });
      case 0x11: // offset_extended_sf
        return set(reader.uleb(), { kind: "offset", offset: reader.slebBig() * dataAlign });
      case 0x12: // def_cfa_sf
        this.cfa = { kind: "register", register: reader.uleb(), offset: reader.slebBig() * dataAlign };
        return;
      case 0x13: // def_cfa_offset_sf
        this.cfa = { kind: "register", register: this.cfaRegister(reader), offset: reader.slebBig() * dataAlign };
        return;
      case 0x14:
        return set(reader.uleb(), { kind: "valueOffset", offset: reader.ulebBig() * dataAlign });
      case 0x15:
        return set(reader.uleb(), { kind: "valueOffset", offset: reader.slebBig() * dataAlign });
      case 0x16:
        return set(reader.uleb(), { kind: "valueExpression", expression: reader.block(reader.uleb()) });
      case 0x2e: // GNU_args_size
        return reader.skipLeb();
      case 0x2f: // GNU_negative_offset_extended
        return set(reader.uleb(), { kind: "offset", offset: -reader.ulebBig() * dataAlign });
      default:
        reader.damaged(`unknown instruction ${hex(opcode)}`);
    }
  }

  private cfaRegister(reader: ByteReader): number {
    return this.cfa.kind === "register" ? this.cfa.register : reader.damaged("an offset is given to a frame address without register");
  }
}
