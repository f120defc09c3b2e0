import type { CpuFeatures } from "../features";
import { crypto38Rows, crypto3ARows, vexCrypto38Rows, vexCrypto3ARows } from "./cryptoRows";
import { oneByteRows } from "./oneByte";
import type { LazyRows, OpcodeRow } from "./rows";
import { simd0FRows, simd38Rows, simd3ARows } from "./simdRows";
import { map38Rows, map3ARows, vex38Rows, vex3ARows } from "./threeByte";
import { twoByteRows } from "./twoByte";
import { vexSimd0FRows, vexSimd38Rows, vexSimd3ARows } from "./vexRows";

/** One opcode byte of a map. */
export interface OpcodeCell {
  readonly modrm: boolean;
  /** In order of preference. */
  readonly rows: readonly OpcodeRow[];
}

/** One opcode map: its cells are made when they are first asked for. */
export class OpcodeMap {
  private readonly cells: (OpcodeCell | undefined)[] = Array.from({ length: 256 }, () => undefined);

  constructor(
    private readonly tables: readonly LazyRows[],
    private readonly features: CpuFeatures,
  ) {}

  /** What is at `opcode`, 0 to 255. */
  at(opcode: number): OpcodeCell {
    return (this.cells[opcode] ??= this.make(opcode));
  }

  /** The cell without the rows of features that the CPU lacks. */
  private make(opcode: number): OpcodeCell {
    const rows = this.tables.flatMap((table) => table.at(opcode));
    return { modrm: rows.some(({ modrm }) => modrm), rows: rows.filter((row) => row.features.every((name) => this.features[name])) };
  }
}

/** The opcode maps, as a CPU with given features decodes them. */
export interface OpcodeMaps {
  readonly oneByte: OpcodeMap;
  readonly twoByte: OpcodeMap;
  readonly map38: OpcodeMap;
  readonly map3A: OpcodeMap;
  readonly vex0F: OpcodeMap;
  readonly vex38: OpcodeMap;
  readonly vex3A: OpcodeMap;
}

export function opcodeMaps(features: CpuFeatures): OpcodeMaps {
  const map = (...tables: readonly LazyRows[]): OpcodeMap => new OpcodeMap(tables, features);
  return {
    oneByte: map(oneByteRows),
    twoByte: map(simd0FRows, twoByteRows),
    map38: map(simd38Rows, crypto38Rows, map38Rows),
    map3A: map(simd3ARows, crypto3ARows, map3ARows),
    vex0F: map(vexSimd0FRows),
    vex38: map(vexSimd38Rows, vexCrypto38Rows, vex38Rows),
    vex3A: map(vexSimd3ARows, vexCrypto3ARows, vex3ARows),
  };
}
