import type { CpuFeatures } from "../features";
import { crypto38Rows, crypto3ARows, vexCrypto38Rows, vexCrypto3ARows } from "./cryptoRows";
import { oneByteRows } from "./oneByte";
import type { OpcodeRow } from "./rows";
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

/** The opcode maps, as a CPU with given features decodes them: 256 cells each. */
export interface OpcodeMaps {
  readonly oneByte: readonly OpcodeCell[];
  readonly twoByte: readonly OpcodeCell[];
  readonly map38: readonly OpcodeCell[];
  readonly map3A: readonly OpcodeCell[];
  readonly vex0F: readonly OpcodeCell[];
  readonly vex38: readonly OpcodeCell[];
  readonly vex3A: readonly OpcodeCell[];
}

function cells(rows: readonly OpcodeRow[], features: CpuFeatures): OpcodeCell[] {
  const all = Array.from({ length: 256 }, () => ({ modrm: false, rows: [] as OpcodeRow[] }));
  for (const row of rows) {
    const offered = row.features.every((name) => features[name]);
    for (let opcode = row.opcode; opcode < row.opcode + row.span; opcode++) {
      const cell = all[opcode];
      cell.modrm ||= row.modrm;
      if (offered) cell.rows.push(row);
    }
  }
  return all;
}

/** The table without the rows of features that a CPU lacks. Each map is made when it is first asked for. */
export function opcodeMaps(features: CpuFeatures): OpcodeMaps {
  return new LazyMaps(features);
}

class LazyMaps implements OpcodeMaps {
  readonly oneByte: readonly OpcodeCell[];
  private readonly others = new Map<string, readonly OpcodeCell[]>();

  constructor(private readonly features: CpuFeatures) {
    this.oneByte = cells(oneByteRows(), features);
  }

  private map(name: string, rows: () => readonly OpcodeRow[]): readonly OpcodeCell[] {
    let map = this.others.get(name);
    if (map === undefined) {
      map = cells(rows(), this.features);
      this.others.set(name, map);
    }
    return map;
  }

  get twoByte(): readonly OpcodeCell[] {
    return this.map("0F", () => [...simd0FRows(), ...twoByteRows()]);
  }

  get map38(): readonly OpcodeCell[] {
    return this.map("38", () => [...simd38Rows(), ...crypto38Rows(), ...map38Rows()]);
  }

  get map3A(): readonly OpcodeCell[] {
    return this.map("3A", () => [...simd3ARows(), ...crypto3ARows(), ...map3ARows()]);
  }

  get vex0F(): readonly OpcodeCell[] {
    return this.map("VEX 0F", vexSimd0FRows);
  }

  get vex38(): readonly OpcodeCell[] {
    return this.map("VEX 38", () => [...vexSimd38Rows(), ...vexCrypto38Rows(), ...vex38Rows()]);
  }

  get vex3A(): readonly OpcodeCell[] {
    return this.map("VEX 3A", () => [...vexSimd3ARows(), ...vexCrypto3ARows(), ...vex3ARows()]);
  }
}
