import { UserError } from "../../../machine/errors";
import type { ByteReader } from "../bytes";
import { hex } from "../bytes";
import { readForm } from "./forms";
import type { Unit } from "./unit";

/** The file table of a line program. `files[n]` is the full path of file number n, undefined where n names no file. */
export interface LineHeader {
  readonly version: number;
  readonly files: readonly (string | undefined)[];
  /** Where the program itself begins and ends in .debug_line. */
  readonly programStart: number;
  readonly programEnd: number;
  readonly minimumInstruction: number;
  readonly maximumOperations: number;
  readonly defaultIsStatement: boolean;
  readonly lineBase: number;
  readonly lineRange: number;
  readonly opcodeLengths: readonly number[];
}

export const RowFlag = { Statement: 1, PrologueEnd: 2, EndSequence: 4 } as const;

/**
 * Rows of a line program, sorted by address, as columns. Row i covers [addresses[i], addresses[i+1]) unless it is marked EndSequence;
 * of rows with one address the last counts, as the others cover nothing.
 */
export interface LineRows {
  readonly addresses: BigUint64Array;
  readonly files: Uint32Array;
  readonly lines: Uint32Array;
  readonly columns: Uint32Array;
  readonly flags: Uint8Array;
}

/** Joins path parts; an absolute later part replaces what stands before it. */
export function joinPath(directory: string, name: string): string {
  if (directory === "" || name.startsWith("/") || /^[A-Za-z]:[\\/]/.test(name)) return name;
  return directory.endsWith("/") ? directory + name : `${directory}/${name}`;
}

/** Reads the header of the line program at `offset` of .debug_line (DWARF 5, 6.2.4), for `unit`'s directory and address size. */
export function readLineHeader(unit: Unit, offset: number): LineHeader {
  const reader = unit.context.reader("debug_line", offset);
  let length = reader.u32();
  let offsetSize = 4;
  if (length === 0xffff_ffff) {
    length = reader.offset(8);
    offsetSize = 8;
  }
  const programEnd = reader.pos + length;
  if (programEnd > reader.end) reader.damaged(`the line table at ${hex(offset)} reaches past the section's end`);
  const version = reader.u16();
  if (version < 2 || version > 5)
    throw new UserError(
      `${unit.context.file} has a line table of version ${version}, which is not read; rebuild with -gdwarf-5 or -gdwarf-4.`,
      unit.context.file,
    );
  if (version >= 5) reader.skip(2); // address and segment selector sizes: the unit's hold
  const headerLength = reader.offset(offsetSize);
  const programStart = reader.pos + headerLength;
  if (programStart > programEnd) reader.damaged(`the line table header at ${hex(offset)} is longer than its table`);
  const minimumInstruction = reader.u8();
  const maximumOperations = version >= 4 ? Math.max(reader.u8(), 1) : 1;
  const defaultIsStatement = reader.u8() !== 0;
  const lineBase = reader.s8();
  const lineRange = reader.u8();
  if (lineRange === 0) reader.damaged(`the line table at ${hex(offset)} has a line range of zero`);
  const opcodeBase = reader.u8();
  const opcodeLengths = [0];
  for (let i = 1; i < opcodeBase; i++) opcodeLengths.push(reader.u8());
  const tables = reader.at(reader.pos, programStart);
  const { directory, name } = unit.root;
  const files = version >= 5 ? readFiles5(tables, unit, offsetSize, directory) : readFiles4(tables, directory, name);
  return {
    version,
    files,
    programStart,
    programEnd,
    minimumInstruction,
    maximumOperations,
    defaultIsStatement,
    lineBase,
    lineRange,
    opcodeLengths,
  };
}

/** File table of versions 2 to 4; file 0 is the unit's primary source. */
function readFiles4(reader: ByteReader, unitDirectory: string, unitName: string): (string | undefined)[] {
  const directories = [unitDirectory];
  for (let text = reader.cstring(); text !== ""; text = reader.cstring()) directories.push(joinPath(unitDirectory, text));
  const files: (string | undefined)[] = [unitName === "" ? undefined : joinPath(unitDirectory, unitName)];
  for (let text = reader.cstring(); text !== ""; text = reader.cstring()) {
    const directory = reader.uleb();
    reader.skipLeb();
    reader.skipLeb();
    files.push(joinPath(directories[directory] ?? unitDirectory, text));
  }
  return files;
}

/** File table of version 5: self-describing entries (6.2.4.1). */
function readFiles5(reader: ByteReader, unit: Unit, offsetSize: number, unitDirectory: string): string[] {
  const sizes = { version: 5, addressSize: unit.addressSize, offsetSize };
  const readTable = (): { path: string; directory: number }[] => {
    const formats = Array.from({ length: reader.u8() }, () => ({ content: reader.uleb(), form: reader.uleb() }));
    const count = reader.uleb();
    const entries: { path: string; directory: number }[] = [];
    for (let i = 0; i < count; i++) {
      const before = reader.pos;
      let path = "";
      let directory = 0;
      for (const { content, form } of formats) {
        const raw = readForm(reader, form, 0n, sizes);
        if (content === 1) path = unit.string(raw) ?? "";
        else if (content === 2 && raw.kind === "constant") directory = Number(raw.value);
      }
      // Every entry takes room, so that a damaged count ends with the table.
      if (reader.pos === before) reader.damaged("entries of a file table are empty");
      entries.push({ path, directory });
    }
    return entries;
  };
  const directories = readTable().map((entry) => entry.path);
  // Directory 0 is the unit's own, which may be relative itself.
  const base = directories.length > 0 && directories[0] !== unitDirectory ? joinPath(unitDirectory, directories[0]) : unitDirectory;
  const full = directories.map((directory, index) => (index === 0 ? base : joinPath(base, directory)));
  return readTable().map((entry) => joinPath(full[entry.directory] ?? base, entry.path));
}

interface Row {
  address: bigint;
  file: number;
  line: number;
  column: number;
  flags: number;
}

/**
 * Runs the line program (DWARF 5, 6.2.5). Sequences that begin outside code (`isCode`: discarded by the linker) are left out.
 * Each row takes at least one byte of program, which bounds time and memory.
 */
export function runLineProgram(unit: Unit, header: LineHeader, isCode: (address: bigint) => boolean): LineRows {
  const reader = unit.context.reader("debug_line", header.programStart).at(header.programStart, header.programEnd);
  const mask = unit.addressSize * 8;
  const sequences: Row[][] = [];
  let rows: Row[] = [];
  let address = 0n;
  let operation = 0;
  let file = 1;
  let line = 1;
  let column = 0;
  let isStatement = header.defaultIsStatement;
  let prologueEnd = false;
  const reset = (): void => {
    address = 0n;
    operation = 0;
    file = 1;
    line = 1;
    column = 0;
    isStatement = header.defaultIsStatement;
    prologueEnd = false;
  };
  const emit = (end: boolean): void => {
    const flags = (isStatement ? RowFlag.Statement : 0) | (prologueEnd ? RowFlag.PrologueEnd : 0) | (end ? RowFlag.EndSequence : 0);
    rows.push({ address, file, line: line >>> 0, column, flags });
    prologueEnd = false;
  };
  const advance = (operations: number): void => {
    const total = operation + operations;
    const instructions = Math.floor(total / header.maximumOperations);
    operation = total % header.maximumOperations;
    address = BigInt.asUintN(mask, address + BigInt(instructions * header.minimumInstruction));
  };
  const opcodeBase = header.opcodeLengths.length;
  while (!reader.atEnd) {
    const opcode = reader.u8();
    if (opcode >= opcodeBase) {
      const adjusted = opcode - opcodeBase;
      advance(Math.floor(adjusted / header.lineRange));
      line += header.lineBase + (adjusted % header.lineRange);
      emit(false);
      continue;
    }
    switch (opcode) {
      case 0: {
        const size = reader.uleb();
        const end = reader.pos + size;
        if (size === 0) break;
        const extended = reader.u8();
        if (extended === 1) {
          emit(true);
          if (rows[0].address < address && isCode(rows[0].address)) sequences.push(rows);
          rows = [];
          reset();
        } else if (extended === 2) {
          const width = size - 1;
          address = width === 4 || width === 8 ? reader.unsigned(width) : reader.damaged(`an address of ${width} bytes in a line table`);
          operation = 0;
        }
        // define_file, set_discriminator and vendors' own say nothing that is used here.
        if (end > reader.end) reader.damaged("an opcode of a line table reaches past its end");
        reader.pos = end;
        break;
      }
      case 1:
        emit(false);
        break;
      case 2:
        advance(reader.uleb());
        break;
      case 3:
        line = (line + reader.sleb()) | 0;
        break;
      case 4:
        file = reader.uleb();
        break;
      case 5:
        column = reader.uleb();
        break;
      case 6:
        isStatement = !isStatement;
        break;
      case 7: // basic block
        break;
      case 8:
        advance(Math.floor((255 - opcodeBase) / header.lineRange));
        break;
      case 9:
        address = BigInt.asUintN(mask, address + BigInt(reader.u16()));
        operation = 0;
        break;
      case 10:
        prologueEnd = true;
        break;
      case 11: // epilogue begin
        break;
      case 12:
        reader.skipLeb();
        break;
      default:
        for (let i = 0; i < header.opcodeLengths[opcode]; i++) reader.skipLeb();
    }
  }
  return toColumns(sequences);
}

function toColumns(sequences: Row[][]): LineRows {
  for (const rows of sequences) {
    const ordered = rows.every((row, i) => i === 0 || rows[i - 1].address <= row.address);
    if (!ordered) rows.sort((a, b) => (a.address < b.address ? -1 : a.address > b.address ? 1 : 0));
  }
  sequences.sort((a, b) => (a[0].address < b[0].address ? -1 : a[0].address > b[0].address ? 1 : 0));
  const count = sequences.reduce((total, rows) => total + rows.length, 0);
  const columns: LineRows = {
    addresses: new BigUint64Array(count),
    files: new Uint32Array(count),
    lines: new Uint32Array(count),
    columns: new Uint32Array(count),
    flags: new Uint8Array(count),
  };
  let at = 0;
  for (const rows of sequences)
    for (const row of rows) {
      columns.addresses[at] = row.address;
      columns.files[at] = row.file;
      columns.lines[at] = row.line;
      columns.columns[at] = row.column;
      columns.flags[at++] = row.flags;
    }
  return columns;
}

/** Index of the row that covers `address`, or -1. */
export function findRow(rows: LineRows, address: bigint): number {
  let low = 0;
  let high = rows.addresses.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (rows.addresses[middle] <= address) low = middle + 1;
    else high = middle;
  }
  // Where sequences touch, the first row of the next stands after the end mark of the one before, so an end mark here covers nothing.
  return low === 0 || (rows.flags[low - 1] & RowFlag.EndSequence) !== 0 ? -1 : low - 1;
}
