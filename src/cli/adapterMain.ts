// `apicscope dap` has a bundle of its own: the session's side of the adapter is a twentieth of the emulator, which runs in a worker.
import { runDapServer } from "./dap";
import { endWith } from "./ending";

endWith(runDapServer(process.argv.slice(3)));
