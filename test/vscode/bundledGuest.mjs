// A workspace whose launch.json debugs the bundled guest on four CPUs.
import { writeFileSync } from "node:fs";
import { join } from "node:path";

/** Writes it: a configuration of this name that stops where CPU 1 takes an interrupt from another. */
export function debugBundledGuest(workspace, name) {
  const configuration = {
    type: "apicscope",
    request: "launch",
    name,
    program: "${command:bundledGuest}",
    cpus: 4,
    interruptBreakpoints: [{ filter: "interrupt.deliver", condition: "vector == 0xf0 && dst == 1" }],
  };
  writeFileSync(join(workspace, ".vscode", "launch.json"), JSON.stringify({ version: "0.2.0", configurations: [configuration] }));
}
