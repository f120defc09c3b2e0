// Generates functions and compiles them while the guest goes on (adapter/compileProvider.ts).
import { workerData } from "node:worker_threads";
import { type CompiledModule, Compiler, type ModuleOrder } from "../tcg/backend/compilation";
import { COMPILE_WORDS, type CompileThreadData, DONE, ENDED, READY, SENT } from "./compileRequests";

function serve({ words, port, patience }: CompileThreadData): void {
  const compiler = new Compiler(() => performance.now());
  const outcomeOf = (order: ModuleOrder): CompiledModule | string => {
    try {
      return compiler.compile(order);
    } catch (error) {
      return error instanceof Error ? (error.stack ?? error.message) : String(error);
    }
  };
  let done = 0;
  const end = (): void => {
    // The one who sends sees that nobody takes it any more, or is heard.
    if (Atomics.compareExchange(words, SENT, done, ENDED) === done) port.close();
    else idle.refresh();
  };
  const idle = setTimeout(end, patience);
  port.on("message", (order: ModuleOrder) => {
    port.postMessage(outcomeOf(order));
    done++;
    Atomics.store(words, DONE, done);
    idle.refresh();
  });
  Atomics.store(words, READY, 1);
}

const data = workerData as CompileThreadData | undefined;
if (data?.words.length === COMPILE_WORDS) serve(data);
