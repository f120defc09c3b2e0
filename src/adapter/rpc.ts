// What the session says to the engine in its worker and back. Everything is plain data; addresses are bigints, as structured clones
// keep them exact.
import type { GuestWrite } from "../debugger/guestWrite";
import type { RecordQuery } from "../apic/recordQueries";
import type { ExportFormat } from "../debugger/records/recordExport";
import type { FilterSpec, FilterStatus } from "../debugger/eventFilters";
import type { CodeBreakpointStatus, FunctionRequest, InstructionRequest, LineRequest } from "../debugger/codeBreakpoints";
import type { DataBreakpointStatus, DataRequest } from "../debugger/dataBreakpoints";
import type { AccessType } from "../debugger/dataPlaces";
import type { InjectionRequest } from "../debugger/injections";
import type { FrameView, ScopeView, VariableView } from "../debugger/inspect/inspector";
import type { DelayRequest, Others, RunControlState, Stepping, StepInterrupts } from "../debugger/runControl";
import type { RewindRequest } from "../debugger/rewind";
import type { StepKind, StepUnit } from "../debugger/stepper";
import type { Schedule } from "../machine/turns";
import type { DecodeResponse, LintsResponse, ResolveAddressResponse } from "./insightProtocol";
import type {
  InterruptBreakpoint,
  InterruptBreakpointStatus,
  InterruptGate,
  InterruptState,
  LaunchAttributes,
  LocateResponse,
  ProgressResponse,
} from "./protocol";
import type { ScreenResponse } from "./screenProtocol";
import type { TimelinePage, TimelinePoint } from "./timelineProtocol";

export interface ThreadView {
  readonly cpu: number;
  readonly name: string;
}

export interface LineView {
  readonly address: bigint;
  readonly bytes: Uint8Array;
  readonly text: string;
  readonly symbol: string | undefined;
  readonly file: string | undefined;
  readonly line: number | undefined;
  readonly valid: boolean;
}

export interface ModuleView {
  readonly name: string;
  readonly path: string;
  readonly kind: "dwarf" | "elf" | "map";
  readonly offset: bigint;
  /** Of unlinked files, where their sections lie, as far as it is known. */
  readonly sections: ReadonlyMap<string, bigint> | undefined;
}

/** Why the machine stopped, for clients. */
export interface StopView {
  readonly reason: string;
  readonly cpu: number;
  readonly text: string;
  readonly breakpoints: readonly number[];
}

export interface EventDetails {
  readonly filter: string;
  readonly text: string;
  readonly lines: readonly string[];
  /** Of the interrupt, when there is one. */
  readonly record: unknown;
}

/** What was launched. */
export interface Launched {
  readonly cpus: number;
  /** What the entry point is, in words. */
  readonly entry: string;
  /** Whether source lines are known. */
  readonly hasLines: boolean;
}

/** The engine's methods: arguments and result of each. */
export interface EngineMethods {
  launch: { args: LaunchAttributes; result: Launched };
  /** Runs from the first instruction, or stops there. */
  start: { args: undefined; result: void };
  restart: { args: LaunchAttributes | undefined; result: Launched };
  setLineBreakpoints: { args: { path: string; breakpoints: LineRequest[] }; result: CodeBreakpointStatus[] };
  setFunctionBreakpoints: { args: FunctionRequest[]; result: CodeBreakpointStatus[] };
  setInstructionBreakpoints: { args: InstructionRequest[]; result: CodeBreakpointStatus[] };
  setExceptionFilters: { args: FilterSpec[]; result: FilterStatus[] };
  setInterruptBreakpoints: { args: InterruptBreakpoint[]; result: InterruptBreakpointStatus[] };
  dataPlace: { args: DataQuestion; result: DataPlaceView };
  setDataBreakpoints: { args: DataRequest[]; result: DataBreakpointStatus[] };
  codeLines: { args: { path: string; first: number; last: number }; result: number[] };
  /** Gives the CPUs that go on. */
  resume: { args: { cpu: number; single: boolean }; result: readonly number[] };
  step: { args: StepArguments; result: void };
  goBack: { args: RewindRequest; result: void };
  pause: { args: { cpu: number }; result: void };
  /** Ends a step, a way back or a run to a point before it is there; anything else goes on. */
  cancelRun: { args: undefined; result: void };
  runControl: { args: undefined; result: RunControlState };
  setStepping: { args: Partial<Stepping>; result: RunControlState };
  setFrozen: { args: { cpus: readonly number[] | undefined; frozen: boolean }; result: RunControlState };
  runOnly: { args: { cpus: readonly number[] }; result: RunControlState };
  setSchedule: { args: Partial<Schedule>; result: RunControlState };
  /** Gives what came of it, in words. */
  inject: { args: { request: InjectionRequest; at: number | undefined }; result: string };
  delayIpi: { args: DelayRequest; result: number };
  cancelDelays: { args: { ids: readonly number[] | undefined }; result: RunControlState };
  threads: { args: undefined; result: ThreadView[] };
  stackTrace: {
    args: { cpu: number; start: number; levels: number };
    result: { frames: (FrameView & { exists: boolean })[]; total: number };
  };
  scopes: { args: { frameId: number }; result: ScopeView[] };
  variables: { args: { reference: number; start: number | undefined; count: number | undefined }; result: VariableView[] };
  setVariable: { args: { reference: number; name: string; value: string }; result: VariableView };
  evaluate: { args: { expression: string; frameId: number | undefined; mayAssign: boolean }; result: VariableView };
  setExpression: { args: { expression: string; value: string; frameId: number | undefined }; result: VariableView };
  completions: { args: { prefix: string; frameId: number | undefined }; result: string[] };
  disassemble: { args: { address: bigint; offset: number; count: number; cpu: number | undefined }; result: LineView[] };
  readMemory: {
    args: { address: bigint; count: number; cpu: number | undefined; physical: boolean };
    result: { bytes: Uint8Array; unreadable: number };
  };
  writeMemory: {
    args: { address: bigint; bytes: Uint8Array; partial: boolean; cpu: number | undefined; physical: boolean };
    result: number;
  };
  resolveAddress: { args: { text: string; frameId: number | undefined }; result: ResolveAddressResponse };
  decode: { args: { register: string; value: bigint }; result: DecodeResponse };
  lints: { args: undefined; result: LintsResponse };
  exceptionInfo: { args: { cpu: number }; result: EventDetails };
  screen: { args: { since: number | undefined }; result: ScreenResponse };
  keyInput: { args: { codes: Uint8Array }; result: void };
  /** What has changed in the book of interrupts since a point. */
  timeline: { args: { since: TimelinePoint; limit: number }; result: TimelinePage };
  interruptState: { args: undefined; result: InterruptState };
  progress: { args: undefined; result: ProgressResponse };
  interruptTable: { args: { cpu: number }; result: InterruptGate[] };
  /** Where an address, or the handler of a vector, stands. */
  locate: { args: { cpu: number | undefined; place: { address: bigint } | { vector: number } }; result: LocateResponse };
  /** A line of the console, if it calls a command; undefined when it is an expression. */
  command: { args: { line: string; frameId: number | undefined; cpu: number | undefined }; result: CommandView | undefined };
  completeCommand: { args: { before: string; frameId: number | undefined }; result: string[] };
  guestWrite: { args: GuestWrite & { readonly cpu: number }; result: void };
  exportRecords: {
    args: { format: ExportFormat; file: string | undefined; query: RecordQuery; after: number };
    result: { records: number; text: string | undefined; next: number | undefined };
  };
  serialInput: { args: { bytes: Uint8Array }; result: void };
  gotoTargets: { args: { path: string; line: number }; result: { address: bigint; line: number }[] };
  goto: { args: { cpu: number; address: bigint }; result: void };
  sources: { args: undefined; result: string[] };
  modules: { args: undefined; result: ModuleView[] };
  terminate: { args: undefined; result: void };
}

/** What a data breakpoint is to be on: a variable of a container, or an expression or address in a frame. */
export interface DataQuestion {
  readonly name: string;
  readonly reference: number | undefined;
  readonly frameId: number | undefined;
  readonly bytes: number | undefined;
  readonly asAddress: boolean;
}

/** Where it is; without `id` its accesses cannot be seen, and the text says why. */
export interface DataPlaceView {
  readonly id: string | undefined;
  readonly text: string;
  readonly accesses: readonly AccessType[];
}

/** A step; `others` and `interrupts` go by the session's choice where left out. */
export interface StepArguments {
  readonly cpu: number;
  readonly kind: StepKind;
  readonly unit: StepUnit;
  readonly others: Others | undefined;
  readonly interrupts: StepInterrupts | undefined;
}
export type EngineMethod = keyof EngineMethods;

/** What a console command says. */
export interface CommandView {
  readonly text: string;
  readonly data: unknown;
  /** State was changed. */
  readonly changed: boolean;
}

/** Who is to blame for a failure: the person, or this program. */
export type Blame = "user" | "internal" | "cancelled";

export interface EngineFailure {
  readonly blame: Blame;
  readonly message: string;
  /** The launch attribute, option or file that it is about. */
  readonly subject: string | undefined;
}

export type ToEngine =
  | { readonly kind: "request"; readonly id: number; readonly method: EngineMethod; readonly args: unknown }
  | { readonly kind: "cancel"; readonly id: number };

export type EngineEvent =
  | { readonly kind: "stopped"; readonly stop: StopView }
  | { readonly kind: "output"; readonly category: "console" | "important" | "stdout"; readonly text: string }
  | { readonly kind: "thread"; readonly cpu: number; readonly reason: "started" | "exited" }
  | { readonly kind: "hits"; readonly breakpoints: { id: string; hits: number }[] }
  | { readonly kind: "serial"; readonly bytes: Uint8Array }
  | { readonly kind: "runControl"; readonly state: RunControlState }
  /** It has become known where a file of symbols lies. */
  | { readonly kind: "module"; readonly module: ModuleView }
  /** A breakpoint became verified, or has moved. */
  | { readonly kind: "breakpoint"; readonly status: CodeBreakpointStatus }
  /** Work that takes long on behalf of a request, by its number at the engine (0: none), or a run that goes somewhere. */
  | {
      readonly kind: "progress";
      readonly phase: "start" | "update" | "end";
      readonly request: number | "run";
      readonly title: string;
      readonly percentage: number;
    }
  /** A step, or a way back, of a CPU takes long, and these others move meanwhile. */
  | { readonly kind: "moving"; readonly cpu: number; readonly others: readonly number[]; readonly all: boolean }
  | { readonly kind: "ended"; readonly exitCode: number; readonly text: string };

export type FromEngine =
  | { readonly kind: "response"; readonly id: number; readonly result: unknown }
  | { readonly kind: "failure"; readonly id: number; readonly failure: EngineFailure }
  | { readonly kind: "event"; readonly event: EngineEvent };
