/** Limits of a memory that threads share, with a minimum and a maximum (WebAssembly, binary format of limits, proposal "threads"). */
export const SHARED_MEMORY = 0x03;

/** Pages of 64 KiB: as many as 32-bit addresses reach. A module may import any memory that is no larger. */
export const MAX_MEMORY_PAGES = 65536;
