import type { CodeBreakpointStatus } from "./codeBreakpoints";
import type { RunControlState } from "./runControl";
import type { SymbolModule } from "./symbols/module";

/** What a debugger tells its owner while the machine runs. */
export interface DebuggerSink {
  /** Words for the person: log messages, warnings, how the guest ended. */
  output(text: string, kind: "console" | "important"): void;
  serial(bytes: Uint8Array): void;
  cpuStarted(cpu: number): void;
  /** A CPU was put back to wait-for-SIPI. */
  cpuReset(cpu: number): void;
  /** A breakpoint's code was loaded, or its place has become known. */
  breakpointChanged?(status: CodeBreakpointStatus): void;
  /** It has become known where a file of symbols lies, or it lies elsewhere. */
  moduleChanged?(module: SymbolModule): void;
  /** Which CPUs run, or how, was changed. */
  runControlChanged?(state: RunControlState): void;
}
