/** Flag instructions, decimal adjustment, BOUND, software traps, NOPs, and encodings that must raise #UD. */
import { Flag, type Mode } from "../../expand.js";
import { type CaseEditor, type FormSpec, STATUS } from "../cases.js";
import { bytesOf, type EncodeSpec } from "../gen.js";
import { immediate, MODES, plainForm, rmForms, wideWidths } from "./common.js";

const GROUP = "misc";
const UD = 6;

function flagForms(mode: Mode): FormSpec[] {
  const rows: readonly (readonly [string, number])[] = [
    ["CLC", 0xf8],
    ["STC", 0xf9],
    ["CMC", 0xf5],
    ["CLD", 0xfc],
    ["STD", 0xfd],
    ["LAHF", 0x9f],
    ["SAHF", 0x9e],
  ];
  const vary = (item: CaseEditor): void => {
    if (item.random.chance(1, 2)) item.setFlags(Flag.DF, 0);
  };
  return rows.map(([name, opcode]) => plainForm(GROUP, mode, name, () => ({ spec: { opcode: [opcode] }, vary }), { share: 0.5 }));
}

/** Decimal adjustment; the accumulator gets digits that matter in half of the cases. */
function decimalForms(mode: 16 | 32): FormSpec[] {
  const vary = (item: CaseEditor): void => {
    if (item.random.chance(1, 2)) item.setLow(0, 16, BigInt(item.random.below(0x10000)));
  };
  const adjust = (name: string, opcode: number, undefinedFlags: number): FormSpec =>
    plainForm(GROUP, mode, name, () => ({ spec: { opcode: [opcode] }, vary }), { undefinedFlags, share: 2 });
  const based = (name: string, opcode: number, traps: readonly number[]): FormSpec =>
    plainForm(
      GROUP,
      mode,
      `${name} imm8`,
      (gen) => ({ spec: { opcode: [opcode], imm: gen.random.chance(1, 2) ? [10] : immediate(gen, 8) }, vary }),
      { undefinedFlags: Flag.OF | Flag.AF | Flag.CF, traps, groupSize: 4 },
    );
  return [
    adjust("DAA", 0x27, Flag.OF),
    adjust("DAS", 0x2f, Flag.OF),
    adjust("AAA", 0x37, Flag.OF | Flag.SF | Flag.ZF | Flag.PF),
    adjust("AAS", 0x3f, Flag.OF | Flag.SF | Flag.ZF | Flag.PF),
    // AAM by zero raises #DE, with flags as undefined as after DIV.
    { ...based("AAM", 0xd4, [0]), undefinedFlags: STATUS & ~(Flag.SF | Flag.ZF | Flag.PF) },
    based("AAD", 0xd5, []),
    plainForm(GROUP, mode, "SALC", () => ({ spec: { opcode: [0xd6] } }), { share: 0.5 }),
  ];
}

function bounds(mode: 16 | 32): FormSpec[] {
  return ([16, 32] as const).flatMap((width) =>
    rmForms({
      group: GROUP,
      mode,
      name: "BOUND",
      operands: `r${width}, m${width}&${width}`,
      width,
      rmWidth: width === 16 ? 32 : 64,
      regWidth: width,
      opcode: [0x62],
      kinds: ["mem"],
      traps: [5],
      vary(item, { rm, reg }) {
        if (item.random.chance(1, 4) || rm.kind !== "mem" || typeof reg !== "object") return;
        // Limits near the index, so that each comparison decides some cases.
        const index = item.read(reg, width);
        const near = (): number[] => bytesOf(BigInt.asUintN(width, index + BigInt(item.random.below(5) - 2)), width / 8);
        const half = width / 8;
        if (item.random.chance(1, 2)) item.patch(rm.window, rm.offset, near());
        else item.patch(rm.window, rm.offset, bytesOf(1n << BigInt(width - 1), half));
        if (item.random.chance(1, 2)) item.patch(rm.window, rm.offset + half, near());
        else item.patch(rm.window, rm.offset + half, bytesOf((1n << BigInt(width - 1)) - 1n, half));
      },
    }),
  );
}

function trapForms(mode: Mode): FormSpec[] {
  const forms = [
    plainForm(GROUP, mode, "INT3", () => ({ spec: { opcode: [0xcc] } }), { traps: [3], share: 0.25 }),
    plainForm(GROUP, mode, "INT 3 (CD 03)", () => ({ spec: { opcode: [0xcd], imm: [3] } }), { traps: [3], share: 0.25 }),
  ];
  if (mode !== 64) forms.push(plainForm(GROUP, mode, "INTO", () => ({ spec: { opcode: [0xce] } }), { traps: [4] }));
  return forms;
}

function nops(mode: Mode): FormSpec[] {
  const row = (id: string, spec: EncodeSpec): FormSpec => plainForm(GROUP, mode, id, () => ({ spec }), { share: 0.25 });
  return [
    row("PAUSE", { opcode: [0x90], mandatory: 0xf3 }),
    row("ENDBR64", { opcode: [0x0f, 0x1e, 0xfa], mandatory: 0xf3 }),
    row("ENDBR32", { opcode: [0x0f, 0x1e, 0xfb], mandatory: 0xf3 }),
    row("LFENCE", { opcode: [0x0f, 0xae, 0xe8] }),
    row("MFENCE", { opcode: [0x0f, 0xae, 0xf0] }),
    row("SFENCE", { opcode: [0x0f, 0xae, 0xf8] }),
    ...wideWidths(mode).flatMap((width) => {
      const common = { group: GROUP, mode, width, regWidth: width, share: 0.25 };
      return [
        ...rmForms({ ...common, name: "NOP", operands: `r/m${width}`, opcode: [0x0f, 0x1f] }),
        ...rmForms({ ...common, name: "NOP(0F19)", operands: `r/m${width}`, opcode: [0x0f, 0x19], kinds: ["mem"] }),
      ];
    }),
    ...rmForms({ group: GROUP, mode, name: "PREFETCHh", operands: "m8", width: 8, ext: 1, opcode: [0x0f, 0x18], kinds: ["mem"], share: 0.25 }),
    ...rmForms({ group: GROUP, mode, name: "PREFETCHW", operands: "m8", width: 8, ext: 1, opcode: [0x0f, 0x0d], kinds: ["mem"], share: 0.25, feature: "prefetchw" }),
  ];
}

/** Opcodes that 64-bit mode gave up. C4, C5 and 62 are prefixes there and left out. */
const REMOVED = [0x06, 0x07, 0x0e, 0x16, 0x17, 0x1e, 0x1f, 0x27, 0x2f, 0x37, 0x3f, 0x60, 0x61, 0x82, 0x9a, 0xce, 0xd4, 0xd5, 0xd6, 0xea];

function invalidForms(mode: Mode): FormSpec[] {
  const invalid = (id: string, make: (spec: { imm: number[] }) => EncodeSpec): FormSpec =>
    plainForm(GROUP, mode, `#UD ${id}`, (gen) => ({ spec: make({ imm: immediate(gen, 32) }) }), { traps: [UD], share: 0.125 });
  const hex = (value: number): string => value.toString(16).toUpperCase().padStart(2, "0");
  const extensions: readonly (readonly [readonly number[], number])[] = [
    ...[2, 3, 4, 5, 6, 7].map((ext) => [[0xfe], ext] as const),
    [[0xff], 7],
    ...[0, 1, 2, 3].map((ext) => [[0x0f, 0xba], ext] as const),
    ...[1, 2, 3, 4, 5, 6].map((ext) => [[0xc6], ext] as const),
    ...[1, 2, 3, 4, 5, 6].map((ext) => [[0xc7], ext] as const),
  ];
  const registerOnly: readonly (readonly [string, readonly number[], number])[] = [
    ["LEA r, r", [0x8d], 1],
    ["CMPXCHG8B r", [0x0f, 0xc7], 1],
    ["CALL m16:32 with a register", [0xff], 3],
    ["JMP m16:32 with a register", [0xff], 5],
    ["MOVNTI r, r", [0x0f, 0xc3], 1],
    ["MOVBE r, r", [0x0f, 0x38, 0xf0], 1],
  ];
  const lockOnMemory: readonly (readonly [string, readonly number[], number, number])[] = [
    ["LOCK CMP m, r", [0x39], 0, 0],
    ["LOCK CMP m, imm8", [0x83], 7, 1],
    ["LOCK MOV m, r", [0x89], 0, 0],
    ["LOCK ADD r, m", [0x03], 0, 0],
    ["LOCK TEST m, r", [0x85], 0, 0],
    ["LOCK SHL m, 1", [0xd1], 4, 0],
    ["LOCK MUL m", [0xf7], 4, 0],
    ["LOCK BT m, imm8", [0x0f, 0xba], 4, 1],
    ["LOCK MOVZX r, m", [0x0f, 0xb6], 0, 0],
    ["LOCK LEA r, m", [0x8d], 0, 0],
  ];
  const lockOnRegister: readonly (readonly [string, readonly number[], number, number])[] = [
    ["LOCK ADD r, r", [0x01], 0, 0],
    ["LOCK ADD r, imm8", [0x83], 0, 1],
    ["LOCK XCHG r, r", [0x87], 0, 0],
    ["LOCK INC r", [0xff], 0, 0],
    ["LOCK NEG r", [0xf7], 3, 0],
    ["LOCK BTS r, imm8", [0x0f, 0xba], 5, 1],
    ["LOCK XADD r, r", [0x0f, 0xc1], 0, 0],
    ["LOCK CMPXCHG r, r", [0x0f, 0xb1], 0, 0],
  ];
  const lockAlone: readonly (readonly [string, readonly number[]])[] = [
    ["LOCK NOP", [0x90]],
    ["LOCK CLC", [0xf8]],
    ["LOCK MOVSB", [0xa4]],
    ["LOCK CWDE", [0x98]],
    ["LOCK ADD AL, imm8", [0x04]],
  ];
  const withRegister = (id: string, opcode: readonly number[], ext: number, imm: number, lock: boolean): FormSpec =>
    plainForm(GROUP, mode, `#UD ${id}`, (gen) => ({ spec: { opcode, reg: ext, rm: gen.reg(16), imm: immediate(gen, imm * 8), lock } }), {
      traps: [UD],
      share: 0.125,
    });
  return [
    invalid("UD2", () => ({ opcode: [0x0f, 0x0b] })),
    withRegister("UD1", [0x0f, 0xb9], 0, 0, false),
    withRegister("UD0", [0x0f, 0xff], 0, 0, false),
    ...(mode === 64 ? REMOVED.map((opcode) => invalid(`${hex(opcode)} in 64-bit mode`, ({ imm }) => ({ opcode: [opcode], imm }))) : []),
    ...extensions.map(([opcode, ext]) => withRegister(`${opcode.map(hex).join(" ")} /${ext}`, opcode, ext, 4, false)),
    ...registerOnly.map(([id, opcode, ext]) => withRegister(id, opcode, ext, 0, false)),
    ...lockOnRegister.map(([id, opcode, ext, imm]) => withRegister(id, opcode, ext, imm, true)),
    ...lockAlone.map(([id, opcode]) => invalid(id, ({ imm }) => ({ opcode, imm, lock: true }))),
    ...lockOnMemory.map(([id, opcode, ext, imm]) =>
      plainForm(GROUP, mode, `#UD ${id}`, (gen) => ({ spec: { opcode, reg: ext, rm: gen.mem(8), imm: immediate(gen, imm * 8), lock: true } }), {
        traps: [UD],
        share: 0.125,
      }),
    ),
  ];
}

function legacyForms(mode: Mode): FormSpec[] {
  return mode === 64 ? [] : [...decimalForms(mode), ...bounds(mode)];
}

export const miscForms: readonly FormSpec[] = MODES.flatMap((mode) => [
  ...flagForms(mode),
  ...legacyForms(mode),
  ...trapForms(mode),
  ...nops(mode),
  ...invalidForms(mode),
]);
