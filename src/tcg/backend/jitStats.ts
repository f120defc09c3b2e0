/** Figures of the translator. */
export interface JitStats {
  regions: number;
  regionsLive: number;
  modules: number;
  modulesLive: number;
  discarded: number;
  /** Regions that replaced one because a block they jump to had become hot. */
  grown: number;
  /** Times modules were packed. */
  packs: number;
  /** Jumps from one function to another that packing has linked. */
  links: number;
  bytes: number;
  bytesLive: number;
  blocks: number;
  /** Of the CPUs' thread. */
  generateMilliseconds: number;
  compileMilliseconds: number;
  /** Of the thread that compiles, and how many modules it made. */
  threadMilliseconds: number;
  threadModules: number;
}

/** Those of a translator that has done nothing yet. */
export const noJitStats = (): JitStats => ({
  regions: 0,
  regionsLive: 0,
  modules: 0,
  modulesLive: 0,
  discarded: 0,
  grown: 0,
  packs: 0,
  links: 0,
  bytes: 0,
  bytesLive: 0,
  blocks: 0,
  generateMilliseconds: 0,
  compileMilliseconds: 0,
  threadMilliseconds: 0,
  threadModules: 0,
});
