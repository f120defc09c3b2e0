/** Bit tests and scans, counts, BSWAP, and the BMI, ADX, MOVBE and CRC32 extensions. */
import { Flag, type Mode } from "../../expand.js";
import { type FormSpec, STATUS } from "../cases.js";
import type { EncodeSpec, Width } from "../gen.js";
import { MODES, plainForm, rmForms, wideWidths } from "./common.js";

const GROUP = "bits";
const TESTS = ["BT", "BTS", "BTR", "BTC"] as const;
const TEST_UNDEFINED = Flag.OF | Flag.SF | Flag.AF | Flag.PF;

/** BT and its kin with a bit offset in a register and a bit string in memory that starts far from the bit. */
function bitString(mode: Mode, width: Width, name: string, opcode: number, lock: boolean): FormSpec {
  return {
    group: GROUP,
    mode,
    id: `${lock ? "LOCK " : ""}${name} r/m${width}, r${width} [mem]`,
    undefinedFlags: TEST_UNDEFINED,
    groupSize: 4,
    build(gen) {
      if (width === 64) gen.rex = true;
      const reg = gen.reg(width);
      // The bit offset is signed. A 64-bit one is kept small enough that every addressing form can make up for it.
      let bit = BigInt.asIntN(width, gen.value(width));
      if (width === 64) bit = BigInt.asIntN(33, bit);
      gen.pinLow(reg.index, width, bit);
      const operandBits = BigInt(width);
      const operandNumber = (bit - BigInt.asUintN(Math.log2(width), bit)) / operandBits;
      const rm = gen.mem(width / 8, { avoid: [reg.index], delta: operandNumber * (operandBits / 8n) });
      const code = gen.encode({ opcode: [0x0f, opcode], width, reg, rm, lock });
      return { code, vary: (item) => item.setLow(reg.index, Math.log2(width), BigInt(item.random.below(width))) };
    },
  };
}

function bitTests(mode: Mode): FormSpec[] {
  return TESTS.flatMap((name, number) =>
    wideWidths(mode).flatMap((width) => {
      const opcode = 0xa3 + number * 8;
      const common = { group: GROUP, mode, name, width, undefinedFlags: TEST_UNDEFINED };
      const kinds = name === "BT" ? (["reg", "mem"] as const) : (["reg", "mem", "lock"] as const);
      return [
        ...rmForms({ ...common, operands: `r/m${width}, r${width}`, opcode: [0x0f, opcode], regWidth: width, kinds: ["reg"] }),
        bitString(mode, width, name, opcode, false),
        ...(name === "BT" ? [] : [bitString(mode, width, name, opcode, true)]),
        ...rmForms({ ...common, operands: `r/m${width}, imm8`, opcode: [0x0f, 0xba], ext: 4 + number, imm: 8, kinds, groupSize: 2 }),
      ];
    }),
  );
}

function scans(mode: Mode): FormSpec[] {
  const rows = [
    ["BSF", 0xbc, undefined, "base", STATUS & ~Flag.ZF],
    ["BSR", 0xbd, undefined, "base", STATUS & ~Flag.ZF],
    ["POPCNT", 0xb8, 0xf3, "popcnt", 0],
    ["TZCNT", 0xbc, 0xf3, "bmi1", STATUS & ~(Flag.ZF | Flag.CF)],
    ["LZCNT", 0xbd, 0xf3, "lzcnt", STATUS & ~(Flag.ZF | Flag.CF)],
  ] as const;
  return rows.flatMap(([name, opcode, mandatory, feature, undefinedFlags]) =>
    wideWidths(mode).flatMap((width) =>
      rmForms({
        group: GROUP,
        mode,
        name,
        width,
        operands: `r${width}, r/m${width}`,
        opcode: [0x0f, opcode],
        regWidth: width,
        feature,
        undefinedFlags,
        encode: mandatory === undefined ? {} : { mandatory },
        vary(item, { rm, reg }) {
          if (item.random.chance(1, 8)) item.write(rm, width, 0n);
          // A scan of zero leaves its destination undefined.
          const scan = mandatory === undefined && item.read(rm, width) === 0n;
          if (scan && typeof reg === "object" && reg.kind === "reg") item.undefinedRegisters = 1 << reg.index;
        },
      }),
    ),
  );
}

const VEX_LOGIC = Flag.AF | Flag.PF;

interface VexRow {
  readonly name: string;
  readonly opcode: number;
  readonly map: 2 | 3;
  readonly pp: 0 | 1 | 2 | 3;
  /** Which operands there are, in the order they are written: r (ModRM.reg), v (VEX.vvvv), m (ModRM.rm), i (imm8). */
  readonly operands: "rvm" | "rmv" | "vm" | "rmi";
  readonly ext?: number;
  readonly undefinedFlags?: number;
  readonly feature: "bmi1" | "bmi2";
}

const VEX_ROWS: readonly VexRow[] = [
  { name: "ANDN", opcode: 0xf2, map: 2, pp: 0, operands: "rvm", undefinedFlags: VEX_LOGIC, feature: "bmi1" },
  { name: "BEXTR", opcode: 0xf7, map: 2, pp: 0, operands: "rmv", undefinedFlags: VEX_LOGIC | Flag.SF, feature: "bmi1" },
  { name: "BLSR", opcode: 0xf3, map: 2, pp: 0, operands: "vm", ext: 1, undefinedFlags: VEX_LOGIC, feature: "bmi1" },
  { name: "BLSMSK", opcode: 0xf3, map: 2, pp: 0, operands: "vm", ext: 2, undefinedFlags: VEX_LOGIC, feature: "bmi1" },
  { name: "BLSI", opcode: 0xf3, map: 2, pp: 0, operands: "vm", ext: 3, undefinedFlags: VEX_LOGIC, feature: "bmi1" },
  { name: "BZHI", opcode: 0xf5, map: 2, pp: 0, operands: "rmv", undefinedFlags: VEX_LOGIC, feature: "bmi2" },
  { name: "MULX", opcode: 0xf6, map: 2, pp: 3, operands: "rvm", feature: "bmi2" },
  { name: "PDEP", opcode: 0xf5, map: 2, pp: 3, operands: "rvm", feature: "bmi2" },
  { name: "PEXT", opcode: 0xf5, map: 2, pp: 2, operands: "rvm", feature: "bmi2" },
  { name: "RORX", opcode: 0xf0, map: 3, pp: 3, operands: "rmi", feature: "bmi2" },
  { name: "SARX", opcode: 0xf7, map: 2, pp: 2, operands: "rmv", feature: "bmi2" },
  { name: "SHLX", opcode: 0xf7, map: 2, pp: 1, operands: "rmv", feature: "bmi2" },
  { name: "SHRX", opcode: 0xf7, map: 2, pp: 3, operands: "rmv", feature: "bmi2" },
];

/** VEX forms exist in protected and long mode only; 16-bit code is left out, as it may be replayed in real mode. */
function vexForms(mode: 32 | 64): FormSpec[] {
  const widths: readonly Width[] = mode === 64 ? [32, 64] : [32];
  return VEX_ROWS.flatMap((row) =>
    widths.flatMap((width) => {
      const texts: Record<string, string> = { r: `r${width}`, v: `r${width}`, m: `r/m${width}`, i: "imm8" };
      return (["reg", "mem"] as const).map((kind): FormSpec => ({
        group: GROUP,
        mode,
        id: `${row.name} ${[...row.operands].map((each) => texts[each]).join(", ")} [${kind}]`,
        feature: row.feature,
        undefinedFlags: row.undefinedFlags ?? 0,
        build(gen) {
          gen.rex = mode === 64;
          const reg = row.ext ?? gen.reg(width);
          const v = row.operands.includes("v") ? gen.reg(width) : undefined;
          const rm = kind === "reg" ? gen.reg(width) : gen.mem(width / 8, { avoid: v ? [v.index] : [] });
          const imm = row.operands.includes("i") ? [gen.random.below(256)] : [];
          const vex = { map: row.map, pp: row.pp, ...(v && { v }) };
          const code = gen.encode({ opcode: [row.opcode], ...(width === 64 && { width }), reg, rm, imm, vex });
          // The control operand counts in its low bits: keep it in range for most cases.
          const control = row.operands === "rmv" ? v : undefined;
          return {
            code,
            vary(item) {
              if (!control || item.random.chance(1, 3)) return;
              const length = row.name === "BEXTR" ? item.random.below(66) << 8 : 0;
              item.setLow(control.index, 16, BigInt(length | item.random.below(66)));
            },
          };
        },
      }));
    }),
  );
}

function extensions(mode: Mode): FormSpec[] {
  const adx = (["ADCX", "ADOX"] as const).flatMap((name, number) =>
    wideWidths(mode)
      .filter((width) => width !== 16)
      .flatMap((width) => {
        const mandatory = number === 0 ? 0x66 : 0xf3;
        const operands = { operands: `r${width}, r/m${width}`, opcode: [0x0f, 0x38, 0xf6], regWidth: width };
        // 66h belongs to the opcode of ADCX, so the operand size comes from REX.W alone.
        const encode: Partial<EncodeSpec> = { mandatory, width: width === 64 ? 64 : mode === 16 ? 16 : 32 };
        return rmForms({ group: GROUP, mode, name, width, ...operands, feature: "adx", encode });
      }),
  );
  const movbe = wideWidths(mode).flatMap((width) => {
    const common = { group: GROUP, mode, name: "MOVBE", width, regWidth: width, feature: "movbe", kinds: ["mem"] as const };
    return [
      ...rmForms({ ...common, operands: `r${width}, m${width}`, opcode: [0x0f, 0x38, 0xf0] }),
      ...rmForms({ ...common, operands: `m${width}, r${width}`, opcode: [0x0f, 0x38, 0xf1] }),
    ];
  });
  const crc = ([8, ...wideWidths(mode)] as readonly Width[]).flatMap((width) => {
    const regWidth: Width = width === 64 ? 64 : 32;
    return rmForms({
      group: GROUP,
      mode,
      name: "CRC32",
      width,
      regWidth: width === 8 ? 8 : regWidth,
      operands: `r${regWidth}, r/m${width}`,
      opcode: [0x0f, 0x38, width === 8 ? 0xf0 : 0xf1],
      feature: "sse4.2",
      encode: { mandatory: 0xf2 },
    });
  });
  return [...adx, ...movbe, ...crc];
}

function swaps(mode: Mode): FormSpec[] {
  return wideWidths(mode)
    .filter((width) => width !== 16)
    .map((width) => plainForm(GROUP, mode, `BSWAP r${width}`, (gen) => ({ spec: { opcode: [0x0f, 0xc8], width, plus: gen.reg(width) } })));
}

export const bitForms: readonly FormSpec[] = [
  ...MODES.flatMap((mode) => [...bitTests(mode), ...scans(mode), ...extensions(mode), ...swaps(mode)]),
  ...vexForms(64),
  ...vexForms(32),
];
