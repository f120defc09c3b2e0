import { CodeBuilder } from "../wasm/code";
import { ModuleBuilder } from "../wasm/module";

/** Functions of the host that generated code calls, of 32-bit integers throughout. */
interface HostFunctions {
  readonly helper: (id: number, a: number, b: number, lo: number, hi: number) => number;
  readonly hostAddress: (kind: number, lo: number, hi: number) => number;
}

/**
 * The same functions as exports of a WebAssembly module. Each module that imports a function of JavaScript has V8 optimise a wrapper for it, while the CPU's thread waits; a module's own functions
 * it just calls.
 */
export function bridge(memory: WebAssembly.Memory, table: WebAssembly.Table, { helper, hostAddress }: HostFunctions): HostFunctions {
  const module = new ModuleBuilder();
  const parameters = { helper: 5, hostAddress: 3 } as const;
  const names = ["helper", "hostAddress"] as const;
  const types = (name: keyof HostFunctions): "i32"[] => Array<"i32">(parameters[name]).fill("i32");
  const imported = names.map((name) => module.import(name, types(name), ["i32"]));
  names.forEach((name, index) => {
    const code = new CodeBuilder(types(name), ["i32"]);
    for (let i = 0; i < parameters[name]; i++) code.get(code.parameter(i));
    module.add(code.call(imported[index]), name);
  });
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(module.bytes(0)), { env: { memory, table, helper, hostAddress } });
  return { helper: exports["helper"] as HostFunctions["helper"], hostAddress: exports["hostAddress"] as HostFunctions["hostAddress"] };
}
