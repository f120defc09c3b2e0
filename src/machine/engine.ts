import type { CodeCache } from "../tcg/codeCache";
import { type GeneratedImports, interpreterImports } from "../tcg/backend/imports";
import { defaultJitOptions, eagerJitOptions, Jit } from "../tcg/backend/jit";
import { assembledInterpreter } from "../tcg/interpreter/assembled";
import type { EngineHost, RunFunction } from "../tcg/interpreter/interpreter";
import type { EngineMemory } from "../tcg/memory";
import { STATUS_OK } from "../tcg/ops";
import { ReferenceInterpreter } from "../tcg/reference";
import { CallCounts } from "./callCounts";
import type { MachineConfiguration } from "./types";
import type { Vcpu } from "./vcpu";

/** Slots that the table of generated functions begins with. */
const FUNCTION_SLOTS = 1024;

/** What executes ops. */
export interface Engine {
  readonly run: RunFunction;
  /** The translator; undefined where everything is interpreted. */
  readonly jit: Jit | undefined;
  readonly calls: CallCounts;
  /** Delivers an interrupt in its ordinary case (interpreter/transfers.ts); undefined where only the host does. */
  readonly interrupt: DeliverFunction | undefined;
}

/** (cpu, vector, budget, kind, flags, record, its upper half): 1 when it is done. */
export type DeliverFunction = (
  cpu: number,
  vector: number,
  budget: number,
  kind: number,
  flags: number,
  record: number,
  recordHigh: number,
) => number;

/** Instantiates the engine: the emitted interpreter with or without translator, or the reference one for tests. Calls out go to the CPU that `current` gives; `returned` hears of records whose handler an IRET has ended. */
export function makeEngine(
  { engine, jit, compiler }: MachineConfiguration,
  engineMemory: EngineMemory,
  code: CodeCache,
  current: () => Vcpu | undefined,
  returned: (record: number, cpu: number) => void,
): Engine {
  const executing = (): Vcpu => {
    const vcpu = current();
    if (vcpu === undefined) throw new Error("generated code called out while no CPU executes");
    return vcpu;
  };
  const calls = new CallCounts();
  const helper: EngineHost["helper"] = (id, a, b, lo, hi) => {
    calls.helpers[id]++;
    return executing().system.helper(id, a, b, lo, hi);
  };
  const host: EngineHost = {
    helper,
    load: (kind, lo, hi) => {
      calls.loads++;
      const { apicPage, mmu } = executing();
      return apicPage.load(kind, lo, hi) ? STATUS_OK : mmu.load(kind, lo, hi);
    },
    store: (kind, lo, hi) => {
      calls.stores++;
      const { apicPage, mmu } = executing();
      return apicPage.store(kind, lo, hi) ? STATUS_OK : mmu.store(kind, lo, hi);
    },
    segment: (op) => executing().system.segment(op),
    fault: (fault) => executing().system.fault(fault),
    divide: (op) => executing().system.divide(op),
    returned: (low, high) => {
      returned((high >>> 0) * 0x1_0000_0000 + (low >>> 0), executing().index);
      return STATUS_OK;
    },
  };
  if (engine === "reference") return { run: new ReferenceInterpreter(engineMemory, host).run, jit: undefined, calls, interrupt: undefined };
  const module = new WebAssembly.Module(assembledInterpreter());
  const table = new WebAssembly.Table({ element: "anyfunc", initial: FUNCTION_SLOTS });
  const { exports } = new WebAssembly.Instance(module, { env: { memory: engineMemory.memory, table, ...host } });
  const run = exports["run"] as RunFunction;
  const interrupt = exports["interrupt"] as DeliverFunction;
  if (engine === "interpreter") return { run, jit: undefined, calls, interrupt };
  const imports: GeneratedImports = {
    ...interpreterImports(exports),
    helper,
    hostAddress: (kind, lo, hi) => {
      calls.refills++;
      return executing().mmu.hostAddress(kind, lo, hi);
    },
  };
  const options = { ...(engine === "jit" ? eagerJitOptions : defaultJitOptions), ...jit };
  const translator = new Jit(engineMemory, code, table, imports, options, () => performance.now(), compiler?.());
  code.generated = translator;
  return { run, jit: translator, calls, interrupt };
}
