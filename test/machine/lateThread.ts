import { type CompiledModule, Compiler, type CompileThread, type ModuleOrder } from "../../src/tcg/backend/compilation";
import { generator } from "./determinism";

/**
 * A thread that is late: outcomes come some looks after their orders, and now and then something goes wrong, or the thread is not there.
 */
export function lateThread(counts: { made: number; failed: number; refused: number }): CompileThread {
  const random = generator(55);
  const compiler = new Compiler(() => 0);
  const orders: { order: ModuleOrder; wait: number }[] = [];
  const outcome = (order: ModuleOrder): CompiledModule | string => {
    counts.failed++;
    if (random() % 8 === 0) return "lost";
    try {
      const compiled = compiler.compile(structuredClone(order));
      counts.failed--;
      counts.made++;
      return compiled;
    } catch (error) {
      return String(error);
    }
  };
  return {
    send(order) {
      if (random() % 8 === 0) {
        // One that ends has done everything before.
        for (const each of orders) each.wait = 0;
        counts.refused++;
        return false;
      }
      orders.push({ order: structuredClone(order), wait: random() % 6 });
      return true;
    },
    take() {
      const [first] = orders;
      if (first === undefined) return undefined;
      if (first.wait-- > 0) return undefined;
      orders.shift();
      return outcome(first.order);
    },
  };
}
