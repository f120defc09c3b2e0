/** Jumps, calls, returns and loops, all near: RIP after tells whether they were taken. */
import type { Mode } from "../../expand.js";
import type { FormSpec } from "../cases.js";
import { bytesOf, type EncodeSpec, type Gen, type Width } from "../gen.js";
import { MODES } from "./common.js";
import { CONDITIONS } from "./moves.js";

const GROUP = "control";
const RSP = 4;

/**
 * Operand widths of near branches. In 64-bit mode 66h differs between makers, and in 32-bit mode it cuts EIP to 16 bits,
 * where there is no code, so both are left out.
 */
function branchWidths(mode: Mode): readonly Width[] {
  return mode === 16 ? [16, 32] : [mode];
}

/** Assembles a relative branch: the displacement follows from the length. */
function relative(gen: Gen, spec: EncodeSpec, size: 1 | 2 | 4): Uint8Array {
  gen.placeCode();
  const code = gen.encode({ ...spec, imm: bytesOf(0n, size) });
  let displacement: bigint;
  if (size === 1) {
    // Not into the instruction itself: it would run forever, or run half of itself.
    const draw = gen.random.below(240);
    displacement = BigInt(draw < 112 ? draw - 128 : draw - 112);
  } else {
    displacement = gen.target() - gen.rip() - BigInt(code.length);
  }
  code.set(bytesOf(displacement, size), code.length - size);
  return code;
}

function pushes(gen: Gen, width: number): void {
  gen.window(gen.stack() - width / 8, width / 8);
}

function relativeForms(mode: Mode): FormSpec[] {
  return branchWidths(mode).flatMap((width) => {
    const wideSize = width === 16 ? 2 : 4;
    const widthSpec = { width, default64: true };
    const near = `rel${wideSize * 8}`;
    const short = width === mode ? [{ size: 1 as const, text: "rel8" }] : [];
    const jumps = CONDITIONS.flatMap((condition, number): FormSpec[] => [
      ...short.map((): FormSpec => ({
        group: GROUP,
        mode,
        id: `J${condition} rel8`,
        share: 0.5,
        build: (gen) => ({ code: relative(gen, { opcode: [0x70 + number], ...widthSpec }, 1) }),
      })),
      {
        group: GROUP,
        mode,
        id: `J${condition} ${near}`,
        share: 0.5,
        build: (gen) => ({ code: relative(gen, { opcode: [0x0f, 0x80 + number], ...widthSpec }, wideSize) }),
      },
    ]);
    const others: FormSpec[] = [
      ...short.map((): FormSpec => ({
        group: GROUP,
        mode,
        id: "JMP rel8",
        share: 0.5,
        groupSize: 1,
        build: (gen) => ({ code: relative(gen, { opcode: [0xeb], ...widthSpec }, 1) }),
      })),
      {
        group: GROUP,
        mode,
        id: `JMP ${near}`,
        share: 0.5,
        groupSize: 1,
        build: (gen) => ({ code: relative(gen, { opcode: [0xe9], ...widthSpec }, wideSize) }),
      },
      {
        group: GROUP,
        mode,
        id: `CALL ${near}`,
        share: 0.5,
        groupSize: 1,
        build(gen) {
          pushes(gen, width);
          return { code: relative(gen, { opcode: [0xe8], ...widthSpec }, wideSize) };
        },
      },
    ];
    return [...jumps, ...others];
  });
}

function indirectForms(mode: Mode): FormSpec[] {
  return branchWidths(mode).flatMap((width) =>
    ([["CALL", 2], ["JMP", 4]] as const).flatMap(([name, ext]) =>
      (["reg", "mem"] as const).map((kind): FormSpec => ({
        group: GROUP,
        mode,
        id: `${name} r/m${width} [${kind}]`,
        groupSize: 2,
        build(gen) {
          gen.placeCode();
          if (name === "CALL") pushes(gen, width);
          if (kind === "reg") {
            const rm = gen.reg(width, [RSP]);
            gen.pinLow(rm.index, width, gen.target());
            return { code: gen.encode({ opcode: [0xff], width, default64: true, reg: ext, rm }) };
          }
          const rm = gen.mem(width / 8, { avoid: [RSP] });
          const code = gen.encode({ opcode: [0xff], width, default64: true, reg: ext, rm });
          const target = bytesOf(gen.target(), width / 8);
          return { code, vary: (item) => item.patch(rm.window, rm.offset, target) };
        },
      })),
    ),
  );
}

function returns(mode: Mode): FormSpec[] {
  return branchWidths(mode).flatMap((width) =>
    [false, true].map((release): FormSpec => ({
      group: GROUP,
      mode,
      id: release ? `RET imm16 (${width})` : `RET (${width})`,
      groupSize: 2,
      build(gen) {
        gen.placeCode();
        const window = gen.window(gen.stack(), width / 8);
        const imm = release ? bytesOf(gen.value(16), 2) : [];
        const target = bytesOf(gen.target(), width / 8);
        const code = gen.encode({ opcode: [release ? 0xc2 : 0xc3], width, default64: true, imm });
        return { code, vary: (item) => item.patch(window, 8, target) };
      },
    })),
  );
}

function loops(mode: Mode): FormSpec[] {
  return (["LOOPNE", "LOOPE", "LOOP", "JrCXZ"] as const).flatMap((name, number) =>
    [false, true].map((other): FormSpec => {
      const counter = mode === 16 ? (other ? 32 : 16) : mode === 32 ? (other ? 16 : 32) : other ? 32 : 64;
      return {
        group: GROUP,
        mode,
        id: `${name} rel8 (${counter}-bit count)`,
        build(gen) {
          const code = relative(gen, { opcode: [0xe0 + number], prefixes: other ? [0x67] : [] }, 1);
          const vary: NonNullable<ReturnType<FormSpec["build"]>["vary"]> = (item) => {
            if (item.random.chance(1, 2)) item.setLow(1, counter, BigInt(item.random.below(3)));
          };
          return { code, vary };
        },
      };
    }),
  );
}

export const controlForms: readonly FormSpec[] = MODES.flatMap((mode) => [
  ...relativeForms(mode),
  ...indirectForms(mode),
  ...returns(mode),
  ...loops(mode),
]);
