import { lazyRows } from "./rows";
import { fmaKinds } from "./vexMnemonics";

/**
 * AVX, AVX2, F16C and FMA (SDM volume 2, appendix A). Beyond simdRows.ts: operand H is the vector register VEX.vvvv, L the one that bits 4-7 of an immediate name;
 * x is 128 bits, or 256 with VEX.L; dq 128 bits always; h, f, e a half, a quarter, an eighth of x. Scalar instructions take either VEX.L.
 */
export const vexSimd0FRows = lazyRows(`
  10 vmovups Vx,Wx np avx
  10 vmovupd Vx,Wx 66 avx
  10:mem vmovss Vd,Wd f3 avx
  10:reg vmovss Vdq,Hdq,Wdq f3 avx
  10:mem vmovsd Vq,Wq f2 avx
  10:reg vmovsd Vdq,Hdq,Wdq f2 avx
  11 vmovups Wx,Vx np avx
  11 vmovupd Wx,Vx 66 avx
  11:mem vmovss Wd,Vd f3 avx
  11:reg vmovss Wdq,Hdq,Vdq f3 avx
  11:mem vmovsd Wq,Vq f2 avx
  11:reg vmovsd Wdq,Hdq,Vdq f2 avx
  12:mem vmovlps Vdq,Hdq,Wq np l0 avx
  12:reg vmovhlps Vdq,Hdq,Wdq np l0 avx
  12:mem vmovlpd Vdq,Hdq,Wq 66 l0 avx
  12 vmovsldup Vx,Wx f3 avx
  12 vmovddup Vx,Wq f2 l0 avx
  12 vmovddup Vx,Wx f2 l1 avx
  13:mem vmovlps Wq,Vq np l0 avx
  13:mem vmovlpd Wq,Vq 66 l0 avx
  14 vunpcklps Vx,Hx,Wx np avx
  14 vunpcklpd Vx,Hx,Wx 66 avx
  15 vunpckhps Vx,Hx,Wx np avx
  15 vunpckhpd Vx,Hx,Wx 66 avx
  16:mem vmovhps Vdq,Hdq,Wq np l0 avx
  16:reg vmovlhps Vdq,Hdq,Wdq np l0 avx
  16:mem vmovhpd Vdq,Hdq,Wq 66 l0 avx
  16 vmovshdup Vx,Wx f3 avx
  17:mem vmovhps Wq,Vq np l0 avx
  17:mem vmovhpd Wq,Vq 66 l0 avx
  28 vmovaps Vx,Wx np avx
  28 vmovapd Vx,Wx 66 avx
  29 vmovaps Wx,Vx np avx
  29 vmovapd Wx,Vx 66 avx
  2A vcvtsi2ss Vdq,Hdq,Ey f3 avx
  2A vcvtsi2sd Vdq,Hdq,Ey f2 avx
  2B:mem vmovntps Wx,Vx np avx
  2B:mem vmovntpd Wx,Vx 66 avx
  2C vcvttss2si Gy,Wd f3 avx
  2C vcvttsd2si Gy,Wq f2 avx
  2D vcvtss2si Gy,Wd f3 avx
  2D vcvtsd2si Gy,Wq f2 avx
  2E vucomiss Vd,Wd np avx
  2E vucomisd Vq,Wq 66 avx
  2F vcomiss Vd,Wd np avx
  2F vcomisd Vq,Wq 66 avx
  50:reg vmovmskps Gd,Wx np avx
  50:reg vmovmskpd Gd,Wx 66 avx
  51 vsqrtps Vx,Wx np avx
  51 vsqrtpd Vx,Wx 66 avx
  51 vsqrtss Vdq,Hdq,Wd f3 avx
  51 vsqrtsd Vdq,Hdq,Wq f2 avx
  52 vrsqrtps Vx,Wx np avx
  52 vrsqrtss Vdq,Hdq,Wd f3 avx
  53 vrcpps Vx,Wx np avx
  53 vrcpss Vdq,Hdq,Wd f3 avx
${arithmetic("54 and 55 andn 56 or 57 xor", false)}
${arithmetic("58 add 59 mul 5C sub 5D min 5E div 5F max", true)}
  5A vcvtps2pd Vx,Wh np avx
  5A vcvtpd2ps Vdq,Wx 66 avx
  5A vcvtss2sd Vdq,Hdq,Wd f3 avx
  5A vcvtsd2ss Vdq,Hdq,Wq f2 avx
  5B vcvtdq2ps Vx,Wx np avx
  5B vcvtps2dq Vx,Wx 66 avx
  5B vcvttps2dq Vx,Wx f3 avx
  6E vmovq Vq,Ey 66 l0 w1 o64 avx
  6E vmovd Vd,Ey 66 l0 avx
  6F vmovdqa Vx,Wx 66 avx
  6F vmovdqu Vx,Wx f3 avx
${integer("70 vpshufd", "Vx,Wx,Ib 66")}
${integer("70 vpshufhw", "Vx,Wx,Ib f3")}
${integer("70 vpshuflw", "Vx,Wx,Ib f2")}
${integer("71/2:reg vpsrlw 71/4:reg vpsraw 71/6:reg vpsllw 72/2:reg vpsrld 72/4:reg vpsrad 72/6:reg vpslld", "Hx,Wx,Ib 66")}
${integer("73/2:reg vpsrlq 73/3:reg vpsrldq 73/6:reg vpsllq 73/7:reg vpslldq", "Hx,Wx,Ib 66")}
  77 vzeroupper - np l0 avx
  77 vzeroall - np l1 avx
  7C vhaddpd Vx,Hx,Wx 66 avx
  7C vhaddps Vx,Hx,Wx f2 avx
  7D vhsubpd Vx,Hx,Wx 66 avx
  7D vhsubps Vx,Hx,Wx f2 avx
  7E vmovq Ey,Vq 66 l0 w1 o64 avx
  7E vmovd Ey,Vd 66 l0 avx
  7E vmovq Vq,Wq f3 l0 avx
  7F vmovdqa Wx,Vx 66 avx
  7F vmovdqu Wx,Vx f3 avx
  AE/2:mem vldmxcsr Md np l0 avx
  AE/3:mem vstmxcsr Md np l0 avx
  C2 vcmpps Vx,Hx,Wx,Ib np avx
  C2 vcmppd Vx,Hx,Wx,Ib 66 avx
  C2 vcmpss Vdq,Hdq,Wd,Ib f3 avx
  C2 vcmpsd Vdq,Hdq,Wq,Ib f2 avx
  C4:reg vpinsrw Vdq,Hdq,Ed,Ib 66 l0 avx
  C4:mem vpinsrw Vdq,Hdq,Ew,Ib 66 l0 avx
  C5:reg vpextrw Gd,Wdq,Ib 66 l0 avx
  C6 vshufps Vx,Hx,Wx,Ib np avx
  C6 vshufpd Vx,Hx,Wx,Ib 66 avx
  D0 vaddsubpd Vx,Hx,Wx 66 avx
  D0 vaddsubps Vx,Hx,Wx f2 avx
${integer("D1 vpsrlw D2 vpsrld D3 vpsrlq E1 vpsraw E2 vpsrad F1 vpsllw F2 vpslld F3 vpsllq", "Vx,Hx,Wdq 66")}
  D6 vmovq Wq,Vq 66 l0 avx
${integer("D7:reg vpmovmskb", "Gd,Wx 66")}
  E6 vcvttpd2dq Vdq,Wx 66 avx
  E6 vcvtdq2pd Vx,Wh f3 avx
  E6 vcvtpd2dq Vdq,Wx f2 avx
  E7:mem vmovntdq Wx,Vx 66 avx
  F0:mem vlddqu Vx,Wx f2 avx
  F7:reg vmaskmovdqu Vdq,Wdq 66 l0 avx
${integer(
  `60 vpunpcklbw 61 vpunpcklwd 62 vpunpckldq 63 vpacksswb 64 vpcmpgtb 65 vpcmpgtw 66 vpcmpgtd 67 vpackuswb 68 vpunpckhbw 69 vpunpckhwd
  6A vpunpckhdq 6B vpackssdw 6C vpunpcklqdq 6D vpunpckhqdq 74 vpcmpeqb 75 vpcmpeqw 76 vpcmpeqd D4 vpaddq D5 vpmullw D8 vpsubusb D9 vpsubusw
  DA vpminub DB vpand DC vpaddusb DD vpaddusw DE vpmaxub DF vpandn E0 vpavgb E3 vpavgw E4 vpmulhuw E5 vpmulhw E8 vpsubsb E9 vpsubsw EA vpminsw
  EB vpor EC vpaddsb ED vpaddsw EE vpmaxsw EF vpxor F4 vpmuludq F5 vpmaddwd F6 vpsadbw F8 vpsubb F9 vpsubw FA vpsubd FB vpsubq FC vpaddb
  FD vpaddw FE vpaddd`,
  "Vx,Hx,Wx 66",
)}`);

/** 0F 38. */
export const vexSimd38Rows = lazyRows(`
${integer(
  `00 vpshufb 01 vphaddw 02 vphaddd 03 vphaddsw 04 vpmaddubsw 05 vphsubw 06 vphsubd 07 vphsubsw 08 vpsignb 09 vpsignw 0A vpsignd 0B vpmulhrsw
  28 vpmuldq 29 vpcmpeqq 2B vpackusdw 37 vpcmpgtq 38 vpminsb 39 vpminsd 3A vpminuw 3B vpminud 3C vpmaxsb 3D vpmaxsd 3E vpmaxuw 3F vpmaxud
  40 vpmulld`,
  "Vx,Hx,Wx 66",
)}
${integer("1C vpabsb 1D vpabsw 1E vpabsd 2A:mem vmovntdqa", "Vx,Wx 66")}
${integer("20 vpmovsxbw 23 vpmovsxwd 25 vpmovsxdq 30 vpmovzxbw 33 vpmovzxwd 35 vpmovzxdq", "Vx,Wh 66")}
${integer("21 vpmovsxbd 24 vpmovsxwq 31 vpmovzxbd 34 vpmovzxwq", "Vx,Wf 66")}
${integer("22 vpmovsxbq 32 vpmovzxbq", "Vx,We 66")}
  0C vpermilps Vx,Hx,Wx 66 w0 avx
  0D vpermilpd Vx,Hx,Wx 66 w0 avx
  0E vtestps Vx,Wx 66 w0 avx
  0F vtestpd Vx,Wx 66 w0 avx
  13 vcvtph2ps Vx,Wh 66 w0 f16c
  16 vpermps Vx,Hx,Wx 66 l1 w0 avx2
  17 vptest Vx,Wx 66 avx
  18:mem vbroadcastss Vx,Wd 66 w0 avx
  18:reg vbroadcastss Vx,Wd 66 w0 avx2
  19:mem vbroadcastsd Vx,Wq 66 l1 w0 avx
  19:reg vbroadcastsd Vx,Wq 66 l1 w0 avx2
  1A:mem vbroadcastf128 Vx,Wdq 66 l1 w0 avx
  2C:mem vmaskmovps Vx,Hx,Mx 66 w0 avx
  2D:mem vmaskmovpd Vx,Hx,Mx 66 w0 avx
  2E:mem vmaskmovps Mx,Hx,Vx 66 w0 avx
  2F:mem vmaskmovpd Mx,Hx,Vx 66 w0 avx
  36 vpermd Vx,Hx,Wx 66 l1 w0 avx2
  41 vphminposuw Vdq,Wdq 66 l0 avx
  45 vpsrlvd Vx,Hx,Wx 66 w0 avx2
  45 vpsrlvq Vx,Hx,Wx 66 w1 avx2
  46 vpsravd Vx,Hx,Wx 66 w0 avx2
  47 vpsllvd Vx,Hx,Wx 66 w0 avx2
  47 vpsllvq Vx,Hx,Wx 66 w1 avx2
  58 vpbroadcastd Vx,Wd 66 w0 avx2
  59 vpbroadcastq Vx,Wq 66 w0 avx2
  5A:mem vbroadcasti128 Vx,Wdq 66 l1 w0 avx2
  78 vpbroadcastb Vx,Wb 66 w0 avx2
  79 vpbroadcastw Vx,Ww 66 w0 avx2
  8C:mem vpmaskmovd Vx,Hx,Mx 66 w0 avx2
  8C:mem vpmaskmovq Vx,Hx,Mx 66 w1 avx2
  8E:mem vpmaskmovd Mx,Hx,Vx 66 w0 avx2
  8E:mem vpmaskmovq Mx,Hx,Vx 66 w1 avx2
  90:mem vpgatherdd Vx,Mx,Hx 66 w0 vsib avx2
  90:mem vpgatherdq Vx,Mx,Hx 66 w1 vsib avx2
  91:mem vpgatherqd Vdq,Mx,Hdq 66 w0 vsib avx2
  91:mem vpgatherqq Vx,Mx,Hx 66 w1 vsib avx2
  92:mem vgatherdps Vx,Mx,Hx 66 w0 vsib avx2
  92:mem vgatherdpd Vx,Mx,Hx 66 w1 vsib avx2
  93:mem vgatherqps Vdq,Mx,Hdq 66 w0 vsib avx2
  93:mem vgatherqpd Vx,Mx,Hx 66 w1 vsib avx2
${multiplyAdd(0x90, "132")}
${multiplyAdd(0xa0, "213")}
${multiplyAdd(0xb0, "231")}`);

/** 0F 3A. */
export const vexSimd3ARows = lazyRows(`
  00 vpermq Vx,Wx,Ib 66 l1 w1 avx2
  01 vpermpd Vx,Wx,Ib 66 l1 w1 avx2
  02 vpblendd Vx,Hx,Wx,Ib 66 w0 avx2
  04 vpermilps Vx,Wx,Ib 66 w0 avx
  05 vpermilpd Vx,Wx,Ib 66 w0 avx
  06 vperm2f128 Vx,Hx,Wx,Ib 66 l1 w0 avx
  08 vroundps Vx,Wx,Ib 66 avx
  09 vroundpd Vx,Wx,Ib 66 avx
  0A vroundss Vdq,Hdq,Wd,Ib 66 avx
  0B vroundsd Vdq,Hdq,Wq,Ib 66 avx
  0C vblendps Vx,Hx,Wx,Ib 66 avx
  0D vblendpd Vx,Hx,Wx,Ib 66 avx
${integer("0E vpblendw 0F vpalignr 42 vmpsadbw", "Vx,Hx,Wx,Ib 66")}
  14:reg vpextrb Ed,Vdq,Ib 66 l0 avx
  14:mem vpextrb Eb,Vdq,Ib 66 l0 avx
  15:reg vpextrw Ed,Vdq,Ib 66 l0 avx
  15:mem vpextrw Ew,Vdq,Ib 66 l0 avx
  16 vpextrq Ey,Vdq,Ib 66 l0 w1 o64 avx
  16 vpextrd Ey,Vdq,Ib 66 l0 avx
  17 vextractps Ed,Vdq,Ib 66 l0 avx
  18 vinsertf128 Vx,Hx,Wdq,Ib 66 l1 w0 avx
  19 vextractf128 Wdq,Vx,Ib 66 l1 w0 avx
  1D vcvtps2ph Wh,Vx,Ib 66 w0 f16c
  20:reg vpinsrb Vdq,Hdq,Ed,Ib 66 l0 avx
  20:mem vpinsrb Vdq,Hdq,Eb,Ib 66 l0 avx
  21:reg vinsertps Vdq,Hdq,Wdq,Ib 66 l0 avx
  21:mem vinsertps Vdq,Hdq,Wd,Ib 66 l0 avx
  22 vpinsrq Vdq,Hdq,Ey,Ib 66 l0 w1 o64 avx
  22 vpinsrd Vdq,Hdq,Ey,Ib 66 l0 avx
  38 vinserti128 Vx,Hx,Wdq,Ib 66 l1 w0 avx2
  39 vextracti128 Wdq,Vx,Ib 66 l1 w0 avx2
  40 vdpps Vx,Hx,Wx,Ib 66 avx
  41 vdppd Vdq,Hdq,Wdq,Ib 66 l0 avx
  46 vperm2i128 Vx,Hx,Wx,Ib 66 l1 w0 avx2
  4A vblendvps Vx,Hx,Wx,Lx 66 w0 avx
  4B vblendvpd Vx,Hx,Wx,Lx 66 w0 avx
${integer("4C vpblendvb", "Vx,Hx,Wx,Lx 66 w0")}
  60 vpcmpestrm Vdq,Wdq,Ib 66 l0 avx
  61 vpcmpestri Vdq,Wdq,Ib 66 l0 avx
  62 vpcmpistrm Vdq,Wdq,Ib 66 l0 avx
  63 vpcmpistri Vdq,Wdq,Ib 66 l0 avx`);

/** `opcode mnemonic` pairs of packed integer instructions: AVX with 128 bits, AVX2 with 256. */
function integer(text: string, rest: string): string {
  const words = text.trim().split(/\s+/);
  const rows: string[] = [];
  for (let i = 0; i < words.length; i += 2)
    rows.push(`${words[i]} ${words[i + 1]} ${rest} l0 avx`, `${words[i]} ${words[i + 1]} ${rest} l1 avx2`);
  return rows.join("\n");
}

/** Operations in packed single and double precision, and scalar in both. */
function arithmetic(text: string, scalar: boolean): string {
  const words = text.split(" ");
  const rows: string[] = [];
  for (let i = 0; i < words.length; i += 2) {
    const [opcode, name] = [words[i], words[i + 1]];
    rows.push(`${opcode} v${name}ps Vx,Hx,Wx np avx`, `${opcode} v${name}pd Vx,Hx,Wx 66 avx`);
    if (scalar) rows.push(`${opcode} v${name}ss Vdq,Hdq,Wd f3 avx`, `${opcode} v${name}sd Vdq,Hdq,Wq f2 avx`);
  }
  return rows.join("\n");
}

/** FMA: the kinds lie alike in three rows of sixteen opcodes, single precision with W 0, double with W 1. */
function multiplyAdd(row: number, order: string): string {
  const opcodes = { maddsub: 6, msubadd: 7, madd: 8, msub: 10, nmadd: 12, nmsub: 14 } as const;
  const opcode = (column: number): string => (row + column).toString(16).toUpperCase();
  return fmaKinds
    .map((kind) => {
      const column = opcodes[kind];
      const packed = `
        ${opcode(column)} vf${kind}${order}ps Vx,Hx,Wx 66 w0 fma
        ${opcode(column)} vf${kind}${order}pd Vx,Hx,Wx 66 w1 fma`;
      if (column < 8) return packed;
      return `${packed}
        ${opcode(column + 1)} vf${kind}${order}ss Vdq,Hdq,Wd 66 w0 fma
        ${opcode(column + 1)} vf${kind}${order}sd Vdq,Hdq,Wq 66 w1 fma`;
    })
    .join("\n");
}
