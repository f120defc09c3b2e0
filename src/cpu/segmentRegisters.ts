/** The segment registers: how they are numbered, and what the access rights in their hidden parts mean (SDM vol. 3, "Segment Registers", "Segment Descriptors"). */

/** Segment numbers as x86 encodes them; LDTR and TR follow. */
export const ES = 0;
export const CS = 1;
export const SS = 2;
export const DS = 3;
export const FS = 4;
export const GS = 5;
export const LDTR = 6;
export const TR = 7;

/** Access rights of a segment: descriptor bits 40-47 in bits 0-7, descriptor bits 52-55 in bits 12-15, bit 16: unusable (null selector). */
export const AR_TYPE = 0xf;
export const AR_ACCESSED = 1;
export const AR_WRITABLE = 2; // data; readable for code
export const AR_CONFORMING = 4; // code; expand-down for data
export const AR_CODE = 8;
export const AR_S = 1 << 4;
export const AR_DPL_SHIFT = 5;
export const AR_PRESENT = 1 << 7;
export const AR_L = 1 << 13;
export const AR_DB = 1 << 14;
export const AR_G = 1 << 15;
export const AR_UNUSABLE = 1 << 16;
