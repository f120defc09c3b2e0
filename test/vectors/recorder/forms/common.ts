/** What the form tables share: modes, widths, and forms with a ModRM byte in a register and a memory variant. */
import type { Mode } from "../../expand.js";
import type { CaseEditor, FormSpec } from "../cases.js";
import { bytesOf, type EncodeSpec, type Gen, type MemOptions, type Operand, type Width } from "../gen.js";

export const MODES: readonly Mode[] = [64, 32, 16];

/** Operand widths above 8 bits of a mode. */
export function wideWidths(mode: Mode): readonly Width[] {
  return mode === 64 ? [16, 32, 64] : [16, 32];
}

export function allWidths(mode: Mode): readonly Width[] {
  return [8, ...wideWidths(mode)];
}

/** Width of an immediate of an instruction: at most 32 bits. */
export function immWidth(width: Width): 8 | 16 | 32 {
  return width === 64 ? 32 : width;
}

/** A mixed immediate. */
export function immediate(gen: Gen, width: number): number[] {
  return bytesOf(gen.value(width), width / 8);
}

export interface Operands {
  readonly rm: Operand;
  readonly reg: Operand | number | undefined;
  readonly imm: readonly number[];
}

export interface RmForm {
  readonly group: string;
  readonly mode: Mode;
  readonly name: string;
  /** How the operands read, with "rm" for "r/m" of the form's width: "r/m32, r32". */
  readonly operands: string;
  readonly width: Width;
  readonly opcode: readonly number[];
  /** The reg field: an extension of the opcode, or a register of the given width. */
  readonly ext?: number;
  readonly regWidth?: Width;
  /** Width of the r/m operand where it differs from `width`. */
  readonly rmWidth?: Width;
  /** Width of a mixed immediate, or what makes one. */
  readonly imm?: number | ((gen: Gen) => number[]);
  readonly kinds?: readonly ("reg" | "mem" | "lock")[];
  readonly encode?: Partial<EncodeSpec>;
  readonly mem?: MemOptions;
  readonly avoidRegs?: readonly number[];
  readonly undefinedFlags?: number;
  readonly feature?: string;
  readonly share?: number;
  readonly traps?: readonly number[];
  readonly groupSize?: number;
  vary?(item: CaseEditor, operands: Operands): void;
}

/** The register, memory and LOCK variants of one opcode with a ModRM byte. */
export function rmForms(spec: RmForm): FormSpec[] {
  const { mode, width } = spec;
  const rmWidth = spec.rmWidth ?? width;
  return (spec.kinds ?? ["reg", "mem"]).map((kind) => ({
    group: spec.group,
    id: `${kind === "lock" ? "LOCK " : ""}${spec.name} ${spec.operands} [${kind === "reg" ? "reg" : "mem"}]`,
    mode,
    ...shared(spec),
    build(gen: Gen) {
      if (width === 64 || spec.regWidth === 64) gen.rex = true;
      const reg = spec.ext ?? (spec.regWidth ? gen.reg(spec.regWidth) : undefined);
      const rm = kind === "reg" ? gen.reg(rmWidth, spec.avoidRegs) : gen.mem(rmWidth / 8, spec.mem);
      const imm = typeof spec.imm === "function" ? spec.imm(gen) : spec.imm ? immediate(gen, spec.imm) : [];
      const operandWidth = width === 8 ? {} : { width };
      const code = gen.encode({
        opcode: spec.opcode,
        ...operandWidth,
        ...(reg !== undefined && { reg }),
        rm,
        imm,
        lock: kind === "lock",
        ...spec.encode,
      });
      return { code, vary: (item: CaseEditor) => spec.vary?.(item, { rm, reg, imm }) };
    },
  }));
}

/** The optional fields that a table's row hands on to its forms. */
export function shared(spec: Pick<FormSpec, "undefinedFlags" | "feature" | "share" | "traps" | "groupSize">): Partial<FormSpec> {
  return {
    ...(spec.undefinedFlags !== undefined && { undefinedFlags: spec.undefinedFlags }),
    ...(spec.feature !== undefined && { feature: spec.feature }),
    ...(spec.share !== undefined && { share: spec.share }),
    ...(spec.traps !== undefined && { traps: spec.traps }),
    ...(spec.groupSize !== undefined && { groupSize: spec.groupSize }),
  };
}

/** A form without operands in a ModRM byte. */
export function plainForm(
  group: string,
  mode: Mode,
  id: string,
  make: (gen: Gen) => { spec: EncodeSpec; vary?: (item: CaseEditor) => void },
  options: Partial<FormSpec> = {},
): FormSpec {
  return {
    group,
    id,
    mode,
    ...options,
    build(gen) {
      const { spec, vary } = make(gen);
      return { code: gen.encode(spec), ...(vary && { vary }) };
    },
  };
}
