import { type SimdMnemonic, simdMnemonics } from "./simdMnemonics";

/** Legacy instructions on MMX registers or on operands that VEX has no form for. */
const legacyOnly = [
  "blendvpd",
  "blendvps",
  "cvtpd2pi",
  "cvtpi2pd",
  "cvtpi2ps",
  "cvtps2pi",
  "cvttpd2pi",
  "cvttps2pi",
  "emms",
  "maskmovq",
  "movdq2q",
  "movntq",
  "movq2dq",
  "pblendvb",
  "pshufw",
  "sha1msg1",
  "sha1msg2",
  "sha1nexte",
  "sha1rnds4",
  "sha256msg1",
  "sha256msg2",
  "sha256rnds2",
] as const;

/** What VEX alone has, or has with other operands. */
const vexOnly = [
  "vblendvpd",
  "vblendvps",
  "vbroadcastf128",
  "vbroadcasti128",
  "vbroadcastsd",
  "vbroadcastss",
  "vcvtph2ps",
  "vcvtps2ph",
  "vextractf128",
  "vextracti128",
  "vgatherdpd",
  "vgatherdps",
  "vgatherqpd",
  "vgatherqps",
  "vinsertf128",
  "vinserti128",
  "vmaskmovpd",
  "vmaskmovps",
  "vpblendd",
  "vpblendvb",
  "vpbroadcastb",
  "vpbroadcastd",
  "vpbroadcastq",
  "vpbroadcastw",
  "vperm2f128",
  "vperm2i128",
  "vpermd",
  "vpermilpd",
  "vpermilps",
  "vpermpd",
  "vpermps",
  "vpermq",
  "vpgatherdd",
  "vpgatherdq",
  "vpgatherqd",
  "vpgatherqq",
  "vpmaskmovd",
  "vpmaskmovq",
  "vpsllvd",
  "vpsllvq",
  "vpsravd",
  "vpsrlvd",
  "vpsrlvq",
  "vtestpd",
  "vtestps",
  "vzeroall",
  "vzeroupper",
] as const;

export const fmaKinds = ["madd", "msub", "nmadd", "nmsub", "maddsub", "msubadd"] as const;
export type FmaKind = (typeof fmaKinds)[number];
export const fmaOrders = ["132", "213", "231"] as const;
export type FmaOrder = (typeof fmaOrders)[number];
type Alternating = "maddsub" | "msubadd";

export type FmaMnemonic = `vf${FmaKind}${FmaOrder}${"ps" | "pd"}` | `vf${Exclude<FmaKind, Alternating>}${FmaOrder}${"ss" | "sd"}`;
export type VexMnemonic = `v${Exclude<SimdMnemonic, (typeof legacyOnly)[number]>}` | (typeof vexOnly)[number] | FmaMnemonic;

const withoutVex: ReadonlySet<string> = new Set(legacyOnly);

export const fmaMnemonics: readonly FmaMnemonic[] = fmaOrders.flatMap((order) =>
  fmaKinds.flatMap((kind): FmaMnemonic[] => {
    const packed = [`vf${kind}${order}ps`, `vf${kind}${order}pd`] as const;
    return kind === "maddsub" || kind === "msubadd" ? [...packed] : [...packed, `vf${kind}${order}ss`, `vf${kind}${order}sd`];
  }),
);

/** Mnemonics of vexRows.ts, as the manual spells them. */
export const vexMnemonics: readonly VexMnemonic[] = [
  ...simdMnemonics.filter((name) => !withoutVex.has(name)).map((name) => `v${name}` as VexMnemonic),
  ...vexOnly,
  ...fmaMnemonics,
];
