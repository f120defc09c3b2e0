/** What a machine can have at most. */
export const MAX_CPUS = 64;
/** RAM, in MiB: with code and CPU state beside it, what a WebAssembly memory holds. */
export const MAX_MEMORY = 3584;
