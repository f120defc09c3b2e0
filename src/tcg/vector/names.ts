/**
 * Vector operations that engines carry out in line. Op `v_NAME` has the fields of the op `helper` and the meaning of the helper `simd` with operation NAME on XMM registers
 * (cpu/simd): d helper id, a destination and first operand, b second operand, imm operation and flags. An engine may always call the helper instead, and must where the
 * operands are not ordinary: whatever would raise a flag of MXCSR that is not set yet, or whose result depends on MXCSR beyond the defaults.
 */
const floating = ["add", "sub", "mul", "div", "sqrt", "min", "max", "cmp"] as const;
const formats = ["ps", "pd", "ss", "sd"] as const;

export const plainVectorNames = [
  ...(["paddb", "paddw", "paddd", "paddq", "psubb", "psubw", "psubd", "psubq"] as const),
  ...(["paddsb", "paddsw", "paddusb", "paddusw", "psubsb", "psubsw", "psubusb", "psubusw"] as const),
  ...(["pcmpeqb", "pcmpeqw", "pcmpeqd", "pcmpeqq", "pcmpgtb", "pcmpgtw", "pcmpgtd", "pcmpgtq"] as const),
  ...(["pminub", "pmaxub", "pminsw", "pmaxsw", "pminsb", "pmaxsb", "pminsd", "pmaxsd", "pminuw", "pmaxuw", "pminud", "pmaxud"] as const),
  ...(["pavgb", "pavgw", "pmullw", "pmulld", "pmaddwd", "packsswb", "packuswb", "packssdw", "packusdw"] as const),
] as const;
export const unaryVectorNames = [
  ...(["pabsb", "pabsw", "pabsd", "pmovsxbw", "pmovsxbd", "pmovsxbq", "pmovsxwd", "pmovsxwq", "pmovsxdq"] as const),
  ...(["pmovzxbw", "pmovzxbd", "pmovzxbq", "pmovzxwd", "pmovzxwq", "pmovzxdq"] as const),
] as const;
export const pickingVectorNames = [
  ...(["punpcklbw", "punpcklwd", "punpckldq", "punpcklqdq", "punpckhbw", "punpckhwd", "punpckhdq", "punpckhqdq"] as const),
  ...(["unpcklps", "unpckhps", "unpcklpd", "unpckhpd", "movsldup", "movshdup", "movddup"] as const),
] as const;
export const shuffleVectorNames = ["pshufd", "pshuflw", "pshufhw", "shufps", "shufpd"] as const;
export const shiftVectorNames = ["psllw", "pslld", "psllq", "psrlw", "psrld", "psrlq", "psraw", "psrad", "pslldq", "psrldq"] as const;
export const otherVectorNames = [
  ...(["pmuludq", "pmuldq", "pmulhw", "pmulhuw", "pshufb", "pmovmskb", "movmskps", "movmskpd"] as const),
  ...(["comiss", "comisd", "ucomiss", "ucomisd"] as const),
  ...(["cvtsi2ss", "cvtsi2sd", "cvttss2si", "cvttsd2si", "cvtss2si", "cvtsd2si", "cvtss2sd", "cvtsd2ss"] as const),
  ...(["cvtdq2ps", "cvtdq2pd", "cvttps2dq", "cvtps2dq", "cvtps2pd"] as const),
] as const;

export type FloatingName = `${(typeof floating)[number]}${(typeof formats)[number]}`;
export const floatingVectorNames: readonly FloatingName[] = floating.flatMap((name) =>
  formats.map((format): FloatingName => `${name}${format}`),
);

export const vectorNames = [
  ...plainVectorNames,
  ...unaryVectorNames,
  ...pickingVectorNames,
  ...shuffleVectorNames,
  ...shiftVectorNames,
  ...otherVectorNames,
  ...floatingVectorNames,
] as const;
export type VectorName = (typeof vectorNames)[number];

export type VectorOp = `v_${VectorName}`;
export const vectorOps: readonly VectorOp[] = vectorNames.map((name): VectorOp => `v_${name}`);
