import { arithmeticEmitters } from "./arithmetic";
import { controlEmitters } from "./control";
import { type OpEmitter, RegionFunction } from "./function";
import { memoryEmitters } from "./memory";
import { assembleModule } from "./module";
import { moveEmitters } from "./moves";
import type { RegionPlan } from "./region";
import { shiftEmitters } from "./shifts";
import { vectorEmitters } from "./vectors";
import { opNames } from "../ops";
import type { FunctionBody } from "../wasm/writer";

/** What a module is made of. Plain data, which may be sent to another thread. */
export interface ModuleOrder {
  /** Its functions: a plan is generated, a body is there already. */
  readonly functions: readonly (RegionPlan | FunctionBody)[];
  /** Where each function goes in the table. */
  readonly slots: readonly number[];
  /** Size of the engine's memory in 64 KiB pages. */
  readonly pages: number;
}

export interface CompiledModule {
  readonly module: WebAssembly.Module;
  readonly bodies: readonly FunctionBody[];
  /** Milliseconds that generating and compiling took. */
  readonly generateMilliseconds: number;
  readonly compileMilliseconds: number;
}

/** Another thread that generates and compiles while the guest goes on. It needs nothing but its orders. What it is sent it does in order. */
export interface CompileThread {
  /**
   * Sends an order. False: it is not there, as long as it starts or when it has ended; the caller does it itself, and may ask again with the next one.
   */
  send(order: ModuleOrder): boolean;
  /** The outcome of the oldest order that has not been taken: undefined while it is not there, a text where it went wrong. */
  take(): CompiledModule | string | undefined;
}

/** Each op's emitter, by opcode. A new op without one is found by the unit tests. */
export function opEmitters(): readonly (OpEmitter | undefined)[] {
  const byName = new Map([
    ...controlEmitters(),
    ...moveEmitters(),
    ...arithmeticEmitters(),
    ...shiftEmitters(),
    ...memoryEmitters(),
    ...vectorEmitters(),
  ]);
  return opNames.map((name) => byName.get(name));
}

/** Generates functions and compiles modules. */
export class Compiler {
  /** Made with the first function. */
  private emitters: ReturnType<typeof opEmitters> | undefined;

  /** @param clock milliseconds, for the figures only */
  constructor(private readonly clock: () => number) {}

  generate(plan: RegionPlan): FunctionBody {
    return new RegionFunction(plan, (this.emitters ??= opEmitters())).build();
  }

  compile({ functions, slots, pages }: ModuleOrder): CompiledModule {
    const begun = this.clock();
    const bodies = functions.map((wanted) => ("members" in wanted ? this.generate(wanted) : wanted));
    const generated = this.clock();
    const module = new WebAssembly.Module(assembleModule(bodies, slots, pages));
    return { module, bodies, generateMilliseconds: generated - begun, compileMilliseconds: this.clock() - generated };
  }
}
