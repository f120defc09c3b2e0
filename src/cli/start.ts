/** The file that is run: the command line's own code is in main.js beside it, that of the debug adapter in adapter.js. */
import { setFlagsFromString } from "node:v8";
import { runBundle } from "../adapter/cachedBundle";
import { hasV8Flags, v8Flags } from "./v8Flags";

if (hasV8Flags(process.versions.v8)) setFlagsFromString(v8Flags.join(" "));

runBundle(__dirname, process.argv[2] === "dap" ? "adapter" : "main", require);
