/** The package's inside, which its own entry point loads for bundlers that understand WebAssembly. */
declare module "gecko-profiler-demangle/index_bg.js" {
  export function __wbg_set_wasm(exports: WebAssembly.Exports): void;
  export function __wbindgen_init_externref_table(): void;
  /** Gives the name back when it is not mangled. */
  export function demangle_any(name: string): string;
}
