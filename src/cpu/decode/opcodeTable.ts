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
  return Array.from({ length: 256 }, (_, opcode) => {
    const own = rows.filter((row) => opcode >= row.opcode && opcode < row.opcode + row.span);
    return { modrm: own.some((row) => row.modrm), rows: own.filter((row) => row.features.every((name) => features[name])) };
  });
}

/** The table without the rows of features that a CPU lacks. */
export function opcodeMaps(features: CpuFeatures): OpcodeMaps {
  return {
    oneByte: cells(oneByteRows, features),
    twoByte: cells([...simd0FRows, ...twoByteRows], features),
    map38: cells([...simd38Rows, ...crypto38Rows, ...map38Rows], features),
    map3A: cells([...simd3ARows, ...crypto3ARows, ...map3ARows], features),
    vex0F: cells(vexSimd0FRows, features),
    vex38: cells([...vexSimd38Rows, ...vexCrypto38Rows, ...vex38Rows], features),
    vex3A: cells([...vexSimd3ARows, ...vexCrypto3ARows, ...vex3ARows], features),
  };
}
