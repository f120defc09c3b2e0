/** Images above this size, in bytes, are not kept as a whole: hundreds of megabytes are debug information. */
export const WHOLE_IMAGE = 64 << 20;
