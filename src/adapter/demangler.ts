// Names as C++ and Rust compilers write them into symbol tables, as people wrote them: by cpp_demangle and rustc-demangle, as WebAssembly.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import * as bindings from "gecko-profiler-demangle/index_bg.js";
import type { Demangle } from "../debugger/symbols/names";

/** The bundles have the module beside them; without bundling it is in its package. */
function modulePath(): string {
  const beside = join(__dirname, "demangle_bg.wasm");
  return existsSync(beside) ? beside : join(__dirname, "../../node_modules/gecko-profiler-demangle/index_bg.wasm");
}

let isReady = false;

function start(): void {
  const imports = { __wbindgen_init_externref_table: bindings.__wbindgen_init_externref_table };
  const instance = new WebAssembly.Instance(new WebAssembly.Module(readFileSync(modulePath())), { "./index_bg.js": imports });
  bindings.__wbg_set_wasm(instance.exports);
  (instance.exports["__wbindgen_start"] as () => void)();
  isReady = true;
}

/**
 * The name that a mangled one stands for; undefined when it is none. The module is loaded with the first name. A name that makes it fail is none, and the module is loaded anew for
 * the next.
 */
export const demangle: Demangle = (name) => {
  if (!isReady) start();
  try {
    const found = bindings.demangle_any(name);
    return found === name ? undefined : found;
  } catch {
    isReady = false;
    return undefined;
  }
};
