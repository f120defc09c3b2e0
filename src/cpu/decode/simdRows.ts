import { lazyRows } from "./rows";

/**
 * SSE to SSE4.2 and MMX (SDM volume 2, appendix A). Operands beyond those of rows.ts: V XMM register of the reg field, W XMM register or memory, P MMX
 * register of the reg field, Q MMX register or memory; x: 128 bits.
 */
export const simd0FRows = lazyRows(`
  10 movups Vx,Wx np
  10 movupd Vx,Wx 66
  10 movss Vd,Wd f3
  10 movsd Vq,Wq f2
  11 movups Wx,Vx np
  11 movupd Wx,Vx 66
  11 movss Wd,Vd f3
  11 movsd Wq,Vq f2
  12:mem movlps Vq,Wq np
  12:reg movhlps Vx,Wx np
  12:mem movlpd Vq,Wq 66
  12 movsldup Vx,Wx f3 sse3
  12 movddup Vx,Wq f2 sse3
  13:mem movlps Wq,Vq np
  13:mem movlpd Wq,Vq 66
  14 unpcklps Vx,Wx np
  14 unpcklpd Vx,Wx 66
  15 unpckhps Vx,Wx np
  15 unpckhpd Vx,Wx 66
  16:mem movhps Vq,Wq np
  16:reg movlhps Vx,Wx np
  16:mem movhpd Vq,Wq 66
  16 movshdup Vx,Wx f3 sse3
  17:mem movhps Wq,Vq np
  17:mem movhpd Wq,Vq 66
  28 movaps Vx,Wx np
  28 movapd Vx,Wx 66
  29 movaps Wx,Vx np
  29 movapd Wx,Vx 66
  2A cvtpi2ps Vx,Qq np
  2A cvtpi2pd Vx,Qq 66
  2A cvtsi2ss Vx,Ey f3
  2A cvtsi2sd Vx,Ey f2
  2B:mem movntps Wx,Vx np
  2B:mem movntpd Wx,Vx 66
  2C cvttps2pi Pq,Wq np
  2C cvttpd2pi Pq,Wx 66
  2C cvttss2si Gy,Wd f3
  2C cvttsd2si Gy,Wq f2
  2D cvtps2pi Pq,Wq np
  2D cvtpd2pi Pq,Wx 66
  2D cvtss2si Gy,Wd f3
  2D cvtsd2si Gy,Wq f2
  2E ucomiss Vx,Wd np
  2E ucomisd Vx,Wq 66
  2F comiss Vx,Wd np
  2F comisd Vx,Wq 66
  50:reg movmskps Gd,Wx np
  50:reg movmskpd Gd,Wx 66
  51 sqrtps Vx,Wx np
  51 sqrtpd Vx,Wx 66
  51 sqrtss Vx,Wd f3
  51 sqrtsd Vx,Wq f2
  52 rsqrtps Vx,Wx np
  52 rsqrtss Vx,Wd f3
  53 rcpps Vx,Wx np
  53 rcpss Vx,Wd f3
  54 andps Vx,Wx np
  54 andpd Vx,Wx 66
  55 andnps Vx,Wx np
  55 andnpd Vx,Wx 66
  56 orps Vx,Wx np
  56 orpd Vx,Wx 66
  57 xorps Vx,Wx np
  57 xorpd Vx,Wx 66
  58 addps Vx,Wx np
  58 addpd Vx,Wx 66
  58 addss Vx,Wd f3
  58 addsd Vx,Wq f2
  59 mulps Vx,Wx np
  59 mulpd Vx,Wx 66
  59 mulss Vx,Wd f3
  59 mulsd Vx,Wq f2
  5A cvtps2pd Vx,Wq np
  5A cvtpd2ps Vx,Wx 66
  5A cvtss2sd Vx,Wd f3
  5A cvtsd2ss Vx,Wq f2
  5B cvtdq2ps Vx,Wx np
  5B cvtps2dq Vx,Wx 66
  5B cvttps2dq Vx,Wx f3
  5C subps Vx,Wx np
  5C subpd Vx,Wx 66
  5C subss Vx,Wd f3
  5C subsd Vx,Wq f2
  5D minps Vx,Wx np
  5D minpd Vx,Wx 66
  5D minss Vx,Wd f3
  5D minsd Vx,Wq f2
  5E divps Vx,Wx np
  5E divpd Vx,Wx 66
  5E divss Vx,Wd f3
  5E divsd Vx,Wq f2
  5F maxps Vx,Wx np
  5F maxpd Vx,Wx 66
  5F maxss Vx,Wd f3
  5F maxsd Vx,Wq f2
  6C punpcklqdq Vx,Wx 66
  6D punpckhqdq Vx,Wx 66
  6E movq Vq,Ey 66 w1 o64
  6E movd Vd,Ey 66
  6E movq Pq,Ey np w1 o64
  6E movd Pq,Ey np
  6F movq Pq,Qq np
  6F movdqa Vx,Wx 66
  6F movdqu Vx,Wx f3
  70 pshufw Pq,Qq,Ib np
  70 pshufd Vx,Wx,Ib 66
  70 pshufhw Vx,Wx,Ib f3
  70 pshuflw Vx,Wx,Ib f2
  71/2:reg psrlw Wx,Ib 66
  71/4:reg psraw Wx,Ib 66
  71/6:reg psllw Wx,Ib 66
  72/2:reg psrld Wx,Ib 66
  72/4:reg psrad Wx,Ib 66
  72/6:reg pslld Wx,Ib 66
  73/2:reg psrlq Wx,Ib 66
  73/3:reg psrldq Wx,Ib 66
  73/6:reg psllq Wx,Ib 66
  73/7:reg pslldq Wx,Ib 66
  71/2:reg psrlw Qq,Ib np
  71/4:reg psraw Qq,Ib np
  71/6:reg psllw Qq,Ib np
  72/2:reg psrld Qq,Ib np
  72/4:reg psrad Qq,Ib np
  72/6:reg pslld Qq,Ib np
  73/2:reg psrlq Qq,Ib np
  73/6:reg psllq Qq,Ib np
  77 emms - np
  7C haddpd Vx,Wx 66 sse3
  7C haddps Vx,Wx f2 sse3
  7D hsubpd Vx,Wx 66 sse3
  7D hsubps Vx,Wx f2 sse3
  7E movq Ey,Vq 66 w1 o64
  7E movd Ey,Vd 66
  7E movq Ey,Pq np w1 o64
  7E movd Ey,Pq np
  7E movq Vq,Wq f3
  7F movq Qq,Pq np
  7F movdqa Wx,Vx 66
  7F movdqu Wx,Vx f3
  AE/2:mem ldmxcsr Md np
  AE/3:mem stmxcsr Md np
  C2 cmpps Vx,Wx,Ib np
  C2 cmppd Vx,Wx,Ib 66
  C2 cmpss Vx,Wd,Ib f3
  C2 cmpsd Vx,Wq,Ib f2
  C4:reg pinsrw Pq,Ed,Ib np
  C4:mem pinsrw Pq,Ew,Ib np
  C4:reg pinsrw Vx,Ed,Ib 66
  C4:mem pinsrw Vx,Ew,Ib 66
  C5:reg pextrw Gd,Qq,Ib np
  C5:reg pextrw Gd,Wx,Ib 66
  C6 shufps Vx,Wx,Ib np
  C6 shufpd Vx,Wx,Ib 66
  D0 addsubpd Vx,Wx 66 sse3
  D0 addsubps Vx,Wx f2 sse3
  D6 movq Wq,Vq 66
  D6:reg movq2dq Vx,Qq f3
  D6:reg movdq2q Pq,Wx f2
  D7:reg pmovmskb Gd,Qq np
  D7:reg pmovmskb Gd,Wx 66
  E6 cvttpd2dq Vx,Wx 66
  E6 cvtdq2pd Vx,Wq f3
  E6 cvtpd2dq Vx,Wx f2
  E7:mem movntq Qq,Pq np
  E7:mem movntdq Wx,Vx 66
  F0:mem lddqu Vx,Wx f2 sse3
  F7:reg maskmovq Pq,Qq np
  F7:reg maskmovdqu Vx,Wx 66
${both(`60 punpcklbw 61 punpcklwd 62 punpckldq 63 packsswb 64 pcmpgtb 65 pcmpgtw 66 pcmpgtd 67 packuswb 68 punpckhbw 69 punpckhwd
  6A punpckhdq 6B packssdw 74 pcmpeqb 75 pcmpeqw 76 pcmpeqd D1 psrlw D2 psrld D3 psrlq D4 paddq D5 pmullw D8 psubusb D9 psubusw DA pminub
  DB pand DC paddusb DD paddusw DE pmaxub DF pandn E0 pavgb E1 psraw E2 psrad E3 pavgw E4 pmulhuw E5 pmulhw E8 psubsb E9 psubsw EA pminsw
  EB por EC paddsb ED paddsw EE pmaxsw EF pxor F1 psllw F2 pslld F3 psllq F4 pmuludq F5 pmaddwd F6 psadbw F8 psubb F9 psubw FA psubd
  FB psubq FC paddb FD paddw FE paddd`)}`);

/** 0F 38. */
export const simd38Rows = lazyRows(`
${both(
  `00 pshufb 01 phaddw 02 phaddd 03 phaddsw 04 pmaddubsw 05 phsubw 06 phsubd 07 phsubsw 08 psignb 09 psignw 0A psignd 0B pmulhrsw
  1C pabsb 1D pabsw 1E pabsd`,
  "ssse3",
)}
  10 pblendvb Vx,Wx 66 sse4.1
  14 blendvps Vx,Wx 66 sse4.1
  15 blendvpd Vx,Wx 66 sse4.1
  17 ptest Vx,Wx 66 sse4.1
  20 pmovsxbw Vx,Wq 66 sse4.1
  21 pmovsxbd Vx,Wd 66 sse4.1
  22 pmovsxbq Vx,Ww 66 sse4.1
  23 pmovsxwd Vx,Wq 66 sse4.1
  24 pmovsxwq Vx,Wd 66 sse4.1
  25 pmovsxdq Vx,Wq 66 sse4.1
  28 pmuldq Vx,Wx 66 sse4.1
  29 pcmpeqq Vx,Wx 66 sse4.1
  2A:mem movntdqa Vx,Wx 66 sse4.1
  2B packusdw Vx,Wx 66 sse4.1
  30 pmovzxbw Vx,Wq 66 sse4.1
  31 pmovzxbd Vx,Wd 66 sse4.1
  32 pmovzxbq Vx,Ww 66 sse4.1
  33 pmovzxwd Vx,Wq 66 sse4.1
  34 pmovzxwq Vx,Wd 66 sse4.1
  35 pmovzxdq Vx,Wq 66 sse4.1
  37 pcmpgtq Vx,Wx 66 sse4.2
  38 pminsb Vx,Wx 66 sse4.1
  39 pminsd Vx,Wx 66 sse4.1
  3A pminuw Vx,Wx 66 sse4.1
  3B pminud Vx,Wx 66 sse4.1
  3C pmaxsb Vx,Wx 66 sse4.1
  3D pmaxsd Vx,Wx 66 sse4.1
  3E pmaxuw Vx,Wx 66 sse4.1
  3F pmaxud Vx,Wx 66 sse4.1
  40 pmulld Vx,Wx 66 sse4.1
  41 phminposuw Vx,Wx 66 sse4.1`);

/** 0F 3A. */
export const simd3ARows = lazyRows(`
  08 roundps Vx,Wx,Ib 66 sse4.1
  09 roundpd Vx,Wx,Ib 66 sse4.1
  0A roundss Vx,Wd,Ib 66 sse4.1
  0B roundsd Vx,Wq,Ib 66 sse4.1
  0C blendps Vx,Wx,Ib 66 sse4.1
  0D blendpd Vx,Wx,Ib 66 sse4.1
  0E pblendw Vx,Wx,Ib 66 sse4.1
  14:reg pextrb Ed,Vx,Ib 66 sse4.1
  14:mem pextrb Eb,Vx,Ib 66 sse4.1
  15:reg pextrw Ed,Vx,Ib 66 sse4.1
  15:mem pextrw Ew,Vx,Ib 66 sse4.1
  16 pextrq Ey,Vx,Ib 66 w1 o64 sse4.1
  16 pextrd Ey,Vx,Ib 66 sse4.1
  17 extractps Ed,Vx,Ib 66 sse4.1
  20:reg pinsrb Vx,Ed,Ib 66 sse4.1
  20:mem pinsrb Vx,Eb,Ib 66 sse4.1
  21:reg insertps Vx,Wx,Ib 66 sse4.1
  21:mem insertps Vx,Wd,Ib 66 sse4.1
  22 pinsrq Vx,Ey,Ib 66 w1 o64 sse4.1
  22 pinsrd Vx,Ey,Ib 66 sse4.1
  40 dpps Vx,Wx,Ib 66 sse4.1
  41 dppd Vx,Wx,Ib 66 sse4.1
  42 mpsadbw Vx,Wx,Ib 66 sse4.1
  60 pcmpestrm Vx,Wx,Ib 66 sse4.2
  61 pcmpestri Vx,Wx,Ib 66 sse4.2
  62 pcmpistrm Vx,Wx,Ib 66 sse4.2
  63 pcmpistri Vx,Wx,Ib 66 sse4.2
  0F palignr Pq,Qq,Ib np ssse3
  0F palignr Vx,Wx,Ib 66 ssse3`);

/** Packed integer instructions that exist for MMX registers without a prefix and for XMM registers with 66; `feature` if they need one. */
function both(text: string, feature = ""): string {
  const words = text.trim().split(/\s+/);
  const rows: string[] = [];
  for (let i = 0; i < words.length; i += 2) {
    rows.push(`${words[i]} ${words[i + 1]} Pq,Qq np ${feature}`, `${words[i]} ${words[i + 1]} Vx,Wx 66 ${feature}`);
  }
  return rows.join("\n");
}
