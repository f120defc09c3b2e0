/** What the front end and the helpers share of the XSAVE instructions. */

/** The instructions: numbers of the helper `xsave`. */
export const xsaveKinds = ["xsave", "xrstor", "xsaveopt", "xsavec", "xsaves", "xrstors"] as const;
export type XsaveKind = (typeof xsaveKinds)[number];

/** Those of CPL 0, which manage supervisor state too. */
export const isSupervisorKind = (kind: XsaveKind): boolean => kind === "xsaves" || kind === "xrstors";

/** The area (SDM vol. 1, "XSAVE Area"): the legacy region, the header, the extended region. */
export const LEGACY_BYTES = 512;
export const HEADER_BYTES = 64;
export const EXTENDED_OFFSET = LEGACY_BYTES + HEADER_BYTES;
