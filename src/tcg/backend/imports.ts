import type { EngineHost, RunFunction } from "../interpreter/interpreter";
import { CodeBuilder } from "../wasm/code";
import { ModuleBuilder } from "../wasm/module";
import { type X87Part, x87PartNames } from "../x87/operation";

/** (cpu, address, rip, operation): 1 when the x87 instruction is done (x87/function.ts). */
type X87Imports = { readonly [part in X87Part]: (cpu: number, address: bigint, rip: bigint, operation: number) => number };

/** Functions of the interpreter that generated code calls. */
interface InterpreterImports extends X87Imports {
  readonly run: RunFunction;
  /** (cpu, address, kind): the TLB entry filled for an access that missed, or 0 (interpreter/walk.ts). */
  readonly walk: (cpu: number, address: bigint, kind: number) => number;
  /** (cpu, operation): iterations of a string instruction (interpreter/strings.ts). */
  readonly bulkString: (cpu: number, operation: number) => number;
  /** (cpu, jump-cache entry): first op of the block at SLOT_RIP that the entry is not (interpreter/jumps.ts), or 0. */
  readonly findJump: (cpu: number, entry: number) => number;
  /** (cpu, FAST_CALL or another FAST_, operand, budget): 1 when the transfer is done (interpreter/fastCalls.ts). */
  readonly fastCall: (cpu: number, what: number, operand: number, budget: number) => number;
  readonly getFlags: (cpu: number) => bigint;
  readonly setFlags: (cpu: number, flags: bigint) => void;
}

/** Functions of the host that generated code calls, of 32-bit integers throughout. */
interface HostImports extends Pick<EngineHost, "helper"> {
  /** Address of a plain access that missed the TLB, or 0. */
  readonly hostAddress: (kind: number, lo: number, hi: number) => number;
}

/** What generated code calls besides its own: the interpreter's functions, and the host. */
export interface GeneratedImports extends InterpreterImports, HostImports {}

const interpreterNames = ["run", "walk", "bulkString", "findJump", "fastCall", "getFlags", "setFlags", ...x87PartNames] as const;

/** Those that the interpreter's module exports. */
export const interpreterImports = (exports: WebAssembly.Instance["exports"]): InterpreterImports =>
  Object.fromEntries(interpreterNames.map((name) => [name, exports[name]])) as unknown as InterpreterImports;

/** What each module of generated code imports, the table of functions apart. `entered` is the interpreter's. */
export function moduleImports(
  memory: WebAssembly.Memory,
  entered: WebAssembly.Table,
  imports: GeneratedImports,
): WebAssembly.ModuleImports {
  return { memory, ...imports, ...bridge(memory, entered, imports) };
}

/**
 * The same functions as exports of a WebAssembly module. Each module that imports a function of JavaScript has V8 optimise a wrapper for it, while the CPU's thread waits; a module's own functions
 * it just calls.
 */
function bridge(memory: WebAssembly.Memory, table: WebAssembly.Table, { helper, hostAddress }: HostImports): HostImports {
  const module = new ModuleBuilder();
  const parameters = { helper: 5, hostAddress: 3 } as const;
  const names = ["helper", "hostAddress"] as const;
  const types = (name: keyof HostImports): "i32"[] => Array<"i32">(parameters[name]).fill("i32");
  const imported = names.map((name) => module.import(name, types(name), ["i32"]));
  names.forEach((name, index) => {
    const code = new CodeBuilder(types(name), ["i32"]);
    for (let i = 0; i < parameters[name]; i++) code.get(code.parameter(i));
    module.add(code.call(imported[index]), name);
  });
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(module.bytes(0)), { env: { memory, table, helper, hostAddress } });
  return { helper: exports["helper"] as HostImports["helper"], hostAddress: exports["hostAddress"] as HostImports["hostAddress"] };
}
