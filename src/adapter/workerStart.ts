// The file that the engine's worker runs: the engine's own code is in engine.js beside it.
import { runBundle } from "./cachedBundle";

runBundle(__dirname, "engine", require);
