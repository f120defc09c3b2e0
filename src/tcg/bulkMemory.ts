import { CodeBuilder } from "./wasm/code";
import { ModuleBuilder } from "./wasm/module";

/** Fills and copies within one memory, at the speed of the host. Addresses and lengths in bytes. */
export interface BulkMemory {
  /** Sets `length` bytes from `to` to `value`, 0 to 255. */
  fill(to: number, value: number, length: number): void;
  /** Copies `length` bytes; the ranges may overlap. */
  copy(to: number, from: number, length: number): void;
}

/**
 * WebAssembly's bulk instructions as functions. Typed arrays take theirs apart where threads share the memory: a fill goes element by element, a copy between places that are aligned
 * differently byte by byte, 6 to 20 times as long.
 */
export function bulkMemory(memory: WebAssembly.Memory): BulkMemory {
  const module = new ModuleBuilder();
  const pushed = (): CodeBuilder => {
    const code = new CodeBuilder(["i32", "i32", "i32"], []);
    for (let i = 0; i < 3; i++) code.get(code.parameter(i));
    return code;
  };
  module.add(pushed().memoryFill(), "fill");
  module.add(pushed().memoryCopy(), "copy");
  const table = new WebAssembly.Table({ element: "anyfunc", initial: 0 });
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(module.bytes(0)), { env: { memory, table } });
  return { fill: exports["fill"] as BulkMemory["fill"], copy: exports["copy"] as BulkMemory["copy"] };
}
