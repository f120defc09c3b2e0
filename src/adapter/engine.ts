// The engine: machine and debugger of one session. Runs in a worker, in portions of a few milliseconds, so that requests get through.
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { Debugger } from "../debugger/debugger";
import { completeCommand, evaluateLine, isCommand, runCommandLine, type CommandContext } from "../debugger/console/console";
import { accessesOf, formatPlace, placeText, type DataPlace } from "../debugger/dataPlaces";
import { guestWrite } from "../debugger/guestWrite";
import type { FilterSpec } from "../debugger/eventFilters";
import { compile, parseExpression, toInteger } from "../debugger/expr";
import { splitAssignment } from "../debugger/inspect/assignment";
import { DisassemblyReader } from "../debugger/inspect/disassembly";
import { readGate } from "../debugger/inspect/gates";
import { gateHandler } from "../debugger/inspect/idt";
import { Inspector, type VariableView } from "../debugger/inspect/inspector";
import { readGuest, readPhysical, writeGuest } from "../debugger/inspect/memory";
import { findPlace } from "../debugger/inspect/places";
import { hex, hex64 } from "../debugger/numbers";
import { RecordExport } from "../debugger/records/recordExport";
import type { RunControl, RunControlState } from "../debugger/runControl";
import type { DebuggerSink } from "../debugger/sink";
import { hitBreakpoints, type GuestEnd, type Stop } from "../debugger/stops";
import type { SymbolModule } from "../debugger/symbols/module";
import type { DebugCpu } from "../debugger/target";
import { cpuStateText } from "../debugger/words";
import { UserError } from "../machine/errors";
import { Pace } from "../machine/pace";
import { loadGuest } from "./guestLoader";
import { decodeView, lintsView, resolveAddress } from "./insights";
import { IcedDisassembler } from "./icedDisassembler";
import { interruptState, interruptTable } from "./interruptState";
import { launchDefaults, type LaunchAttributes, type LocateResponse } from "./protocol";
import { RecordingFile } from "./recordingFile";
import { RunLoop, type RunLoopHost } from "./runLoop";
import { ScreenPictures } from "./screenPictures";
import { SerialOutput } from "./serialOutput";
import { timelinePage } from "./timelinePage";
import { writeTextFile } from "./textFile";
import { WorkProgress } from "./workProgress";
import type {
  DataPlaceView,
  DataQuestion,
  EngineEvent,
  EngineMethod,
  EngineMethods,
  Launched,
  ModuleView,
  StopView,
  ThreadView,
} from "./rpc";

type Handlers = { readonly [M in EngineMethod]: (args: EngineMethods[M]["args"]) => EngineMethods[M]["result"] };

const maximumRead = 16 << 20;
/** A run that goes somewhere is shown once it has taken so long. */
const shownAfterMilliseconds = 500;

interface Session {
  readonly debugger: Debugger;
  readonly inspector: Inspector;
  readonly machine: ReturnType<typeof loadGuest>["machine"];
  readonly recording: RecordingFile | undefined;
  readonly serial: SerialOutput;
  readonly screen: ScreenPictures;
  readonly pace: Pace | undefined;
  /** Closes what the session reads from. */
  readonly close: () => void;
}

function moduleView({ name, kind, offset, isUnlinked, sections }: SymbolModule): ModuleView {
  return { name, path: name, kind, offset, sections: isUnlinked ? sections : undefined };
}

/** Everything a session's requests need, over plain data. `tell` sends events out. */
export class Engine {
  private session: Session | undefined;
  private attributes: LaunchAttributes | undefined;
  /** CPU whose frame the client looked at last, since the stop: what it asks without naming a CPU is about that one. */
  private focus: number | undefined;
  private lastHits = 0;
  private breakpoints: { [M in EngineMethod]?: Map<string, EngineMethods[M]["args"]> } = {};

  private readonly work: WorkProgress;
  private readonly way: WorkProgress;
  private readonly loop = new RunLoop(this.loopHost());

  /** `isCancelled` says whether the request of this number was taken back while it is carried out. */
  constructor(
    private readonly tell: (event: EngineEvent) => void,
    isCancelled: (request: number) => boolean = () => false,
  ) {
    this.work = new WorkProgress(tell, isCancelled);
    this.way = new WorkProgress(tell, () => false, shownAfterMilliseconds, true);
  }

  /** Carries out a request, of number `request` where it can be cancelled. Throws UserErrors for what the client did wrong. */
  call<M extends EngineMethod>(method: M, args: EngineMethods[M]["args"], request = 0): EngineMethods[M]["result"] {
    if (!Object.hasOwn(this.handlers, method)) throw new UserError(`The engine has no method ${method}.`);
    this.work.begin(request);
    try {
      return this.handlers[method](args);
    } finally {
      this.work.end();
    }
  }

  private get current(): Session {
    if (this.session === undefined) throw new UserError("No guest has been launched.");
    return this.session;
  }

  /** For requests that make sense only while the machine stands still. */
  private get stopped(): Session {
    const session = this.current;
    if (session.debugger.isRunning) throw new UserError("The guest is running; pause it first.");
    return session;
  }

  private load(attributes: LaunchAttributes): Launched {
    const { machine, symbols, entry, warnings, close } = loadGuest(attributes, this.work);
    const sink: DebuggerSink = {
      output: (text, kind) => this.tell({ kind: "output", category: kind, text }),
      serial: (bytes) => serial.write(bytes),
      cpuStarted: (cpu) => this.tell({ kind: "thread", cpu, reason: "started" }),
      cpuReset: (cpu) => this.tell({ kind: "thread", cpu, reason: "exited" }),
      breakpointChanged: (status) => this.tell({ kind: "breakpoint", status }),
      moduleChanged: (module) => this.tell({ kind: "module", module: moduleView(module) }),
      runControlChanged: (state) => this.tell({ kind: "runControl", state }),
    };
    const session = new Debugger({ machine, symbols, disassembler: new IcedDisassembler(), sink, clock: () => performance.now() });
    const launch: FilterSpec[] = (attributes.interruptBreakpoints ?? []).map((spec, index) => ({ ...spec, id: `launch ${index + 1}` }));
    try {
      session.filters.check(launch);
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      throw new UserError(`The launch attribute "interruptBreakpoints" is wrong: ${error.message}`, "interruptBreakpoints");
    }
    // Stops are numbered through the whole session, restarts included.
    session.stopSequence = this.session?.debugger.stopSequence ?? 0;
    session.filters.replace("launch", launch);
    session.filters.replace("workspace", attributes.workspaceInterruptBreakpoints ?? []);
    const serial = new SerialOutput(attributes.serial ?? launchDefaults.serial, this.tell);
    this.session?.recording?.close("quit");
    this.session?.close();
    const recording =
      attributes.record === undefined ? undefined : new RecordingFile(attributes.record, machine, 'The launch attribute "record"');
    const pace = attributes.pace === true ? new Pace(() => performance.now(), machine.now()) : undefined;
    this.attributes = attributes;
    this.session = {
      debugger: session,
      inspector: new Inspector(session),
      machine,
      recording,
      serial,
      screen: new ScreenPictures(machine),
      pace,
      close,
    };
    for (const warning of [...warnings, ...symbols.warnings]) sink.output(`${warning}\n`, "console");
    return { cpus: machine.cpus.length, entry, hasLines: symbols.modules.some(({ dwarf }) => dwarf !== undefined) };
  }

  // Running

  private loopHost(): RunLoopHost {
    const current = (): Session | undefined => this.session;
    return {
      get running() {
        return current();
      },
      underWay: (course) => {
        if (course === undefined) return this.way.end();
        const { title, done, total, cpu, moving } = course;
        if (!this.way.step(title, done, total) || moving === undefined) return;
        const others = moving.filter((index) => index !== cpu);
        this.tell({ kind: "moving", cpu, others, all: moving.length === this.current.machine.cpus.length });
      },
      ran: (result) => this.ran(result),
      failed: (error) => this.failed(error),
    };
  }

  private ran(result: Stop | GuestEnd | undefined): void {
    this.work.end();
    const { session } = this;
    if (session === undefined) return;
    this.tellHits(session, result !== undefined);
    if (result === undefined) return;
    this.way.end();
    this.tellEnd(session, result);
  }

  /** A bug of ours must not look like a guest that runs for ever. */
  private failed(error: unknown): void {
    this.session?.serial.flush();
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    this.tell({ kind: "output", category: "important", text: `APICScope failed: ${text}\n` });
    this.tell({ kind: "ended", exitCode: 70, text: "The session ended by an internal error." });
    this.session = undefined;
  }

  private tellHits(session: Session, now: boolean): void {
    if (!now && performance.now() - this.lastHits < 200) return;
    this.lastHits = performance.now();
    const breakpoints = session.debugger.filters.takeChangedHits("workspace");
    if (breakpoints.length > 0) this.tell({ kind: "hits", breakpoints });
  }

  private tellEnd(session: Session, result: Stop | GuestEnd): void {
    session.serial.flush();
    if ("exitCode" in result) session.recording?.close("quit");
    if ("exitCode" in result) this.tell({ kind: "ended", exitCode: result.exitCode, text: result.text });
    else this.tellStop(session, result);
  }

  private tellStop(session: Session, stop: Stop): void {
    this.focus = undefined;
    session.inspector.clear();
    this.tell({ kind: "stopped", stop: stopView(stop) });
  }

  private go(begin: () => void): void {
    const session = this.stopped;
    begin();
    session.inspector.clear();
    this.loop.schedule();
  }

  private startSession(): void {
    const session = this.current;
    if (this.attributes?.stopOnEntry === true) this.tellStop(session, session.debugger.stopHere("entry", 0, "At the first instruction"));
    else this.go(() => session.debugger.resume());
  }

  // Requests

  private cpu(index: number | undefined): DebugCpu {
    const { debugger: session } = this.current;
    return session.cpu(index ?? this.focus ?? session.stop?.cpu ?? 0);
  }

  /** Keeps what a client set, for the machine of a restart. */
  private keep<M extends EngineMethod>(method: M, key: string, args: EngineMethods[M]["args"]): void {
    const kept = this.breakpoints[method] ?? new Map<string, EngineMethods[M]["args"]>();
    kept.set(key, args);
    (this.breakpoints as Record<string, unknown>)[method] = kept;
  }

  private restart(attributes: LaunchAttributes | undefined): Launched {
    const next = attributes ?? this.attributes;
    if (next === undefined) throw new UserError("No guest has been launched.");
    const loaded = this.load(next);
    for (const method of [
      "setLineBreakpoints",
      "setFunctionBreakpoints",
      "setInstructionBreakpoints",
      "setDataBreakpoints",
      "setExceptionFilters",
      "setInterruptBreakpoints",
    ] as const)
      for (const args of this.breakpoints[method]?.values() ?? []) (this.handlers[method] as (args: unknown) => unknown)(args);
    return loaded;
  }

  private readonly handlers: Handlers = {
    launch: (attributes) => {
      if (this.session !== undefined) throw new UserError("A guest has been launched already.");
      return this.load(attributes);
    },
    start: () => this.startSession(),
    restart: (attributes) => this.restart(attributes),
    setLineBreakpoints: (args) => {
      const statuses = this.current.debugger.breakpoints.setLines(args.path, args.breakpoints);
      this.keep("setLineBreakpoints", args.path, args);
      return statuses;
    },
    setFunctionBreakpoints: (args) => {
      const statuses = this.current.debugger.breakpoints.setFunctions(args);
      this.keep("setFunctionBreakpoints", "", args);
      return statuses;
    },
    setInstructionBreakpoints: (args) => {
      const statuses = this.current.debugger.breakpoints.setInstructions(args);
      this.keep("setInstructionBreakpoints", "", args);
      return statuses;
    },
    setExceptionFilters: (args) => {
      const statuses = this.current.debugger.filters.replace("client", args);
      this.keep("setExceptionFilters", "", args);
      return statuses;
    },
    setInterruptBreakpoints: (args) => {
      const statuses = this.current.debugger.filters.replace("workspace", args);
      this.keep("setInterruptBreakpoints", "", args);
      return statuses;
    },
    dataPlace: (question) => this.dataPlace(question),
    setDataBreakpoints: (args) => {
      const statuses = this.current.debugger.data.replace("client", args);
      this.keep("setDataBreakpoints", "", args);
      return statuses;
    },
    codeLines: ({ path, first, last }) => this.current.debugger.symbols.codeLines(path).filter((line) => line >= first && line <= last),
    resume: ({ cpu, single }) => {
      this.go(() => {
        this.cpu(cpu);
        this.current.debugger.resume(single ? cpu : undefined);
      });
      const { machine, runControl } = this.current.debugger;
      return single ? [cpu] : machine.cpus.map(({ index }) => index).filter((index) => !runControl.isFrozen(index));
    },
    step: ({ cpu, kind, unit, others, interrupts }) =>
      this.go(() => {
        const { stepping } = this.current.debugger.runControl;
        this.current.debugger.step({
          cpu,
          kind,
          unit,
          others: (others ?? stepping.others) === "run",
          interrupts: interrupts ?? stepping.interrupts,
        });
      }),
    goBack: (request) => this.go(() => this.current.debugger.goBack(request)),
    pause: ({ cpu }) => this.current.debugger.pause(cpu),
    cancelRun: () => this.current.debugger.cancelCourse(),
    runControl: () => this.current.debugger.runControl.state,
    setStepping: (stepping) => this.controlled((control) => control.setStepping(stepping)),
    setFrozen: ({ cpus, frozen }) =>
      this.controlled((control, all) => {
        for (const cpu of cpus ?? []) this.cpu(cpu);
        control.setFrozen(cpus ?? all, frozen);
      }),
    runOnly: ({ cpus }) =>
      this.controlled((control) => {
        for (const cpu of cpus) this.cpu(cpu);
        control.runOnly(cpus);
      }),
    setSchedule: (schedule) => this.controlled((control) => control.setSchedule(schedule)),
    inject: ({ request, at }) => {
      const outcome = this.current.debugger.injections.add(request, at);
      if (at === undefined) this.current.inspector.refresh();
      return outcome;
    },
    delayIpi: (request) => this.current.debugger.runControl.delay(request),
    cancelDelays: ({ ids }) => this.controlled((control) => control.cancelDelays(ids)),
    threads: () => this.current.debugger.machine.cpus.map((cpu): ThreadView => this.thread(cpu)),
    stackTrace: ({ cpu, start, levels }) => {
      const { frames, total } = this.stopped.inspector.stackTrace(cpu, start, levels);
      return { frames: frames.map((frame) => ({ ...frame, exists: frame.file !== undefined && existsSync(frame.file) })), total };
    },
    scopes: ({ frameId }) => {
      const { inspector } = this.stopped;
      const scopes = inspector.scopes(frameId);
      this.focus = inspector.cpuOf(frameId).index;
      return scopes;
    },
    variables: ({ reference, start, count }) => this.stopped.inspector.variables(reference, start, count),
    setVariable: ({ reference, name, value }) => this.edited(this.stopped.inspector.setVariable(reference, name, value)),
    evaluate: ({ expression, frameId, mayAssign }) => {
      const { inspector } = this.stopped;
      const evaluate = (): VariableView => inspector.evaluate(expression, frameId, mayAssign);
      // Who may assign types in the console.
      const view = mayAssign ? evaluateLine(expression, evaluate) : evaluate();
      if (mayAssign && splitAssignment(expression) !== undefined) this.current.machine.edited();
      return view;
    },
    setExpression: ({ expression, value, frameId }) => this.edited(this.stopped.inspector.setExpression(expression, value, frameId)),
    completions: ({ prefix, frameId }) => this.stopped.inspector.completions(prefix, frameId),
    disassemble: ({ address, offset, count, cpu }) => {
      const { debugger: session } = this.current;
      return new DisassemblyReader(this.cpu(cpu), session.disassembler, session.symbols).read(address, offset, count);
    },
    readMemory: ({ address, count, cpu, physical }) => {
      if (count > maximumRead) throw new UserError(`At most ${maximumRead} bytes can be read at once.`);
      return physical ? readPhysical(this.cpu(cpu), Number(address), count) : readGuest(this.cpu(cpu), address, count);
    },
    writeMemory: ({ address, bytes, partial, cpu, physical }) => {
      const target = this.cpu(cpu);
      const readable = physical ? readPhysical(target, Number(address), bytes.length).bytes : target.readMemory(address, bytes.length);
      const writable = partial ? bytes.length : (readable?.length ?? 0);
      if (writable < bytes.length) throw new UserError(`Memory at ${hex64(address)} cannot be written.`);
      const written = physical ? target.writePhysical(Number(address), bytes) : writeGuest(target, address, bytes);
      if (written === 0 && bytes.length > 0) throw new UserError(`Memory at ${hex64(address)} cannot be written.`);
      this.current.inspector.refresh();
      return written;
    },
    exceptionInfo: ({ cpu }) => this.exceptionInfo(cpu),
    interruptState: () => interruptState(this.current.debugger),
    resolveAddress: ({ text, frameId }) => {
      const cpu = frameId === undefined ? this.cpu(undefined) : this.current.inspector.cpuOf(frameId);
      return resolveAddress(this.current.debugger, cpu, text, (expression) => this.number(expression, frameId));
    },
    decode: ({ register, value }) => decodeView(this.cpu(undefined), register, value),
    lints: () => lintsView(this.current.debugger),
    screen: ({ since }) => this.current.screen.next(since, this.current.debugger.isRunning),
    keyInput: ({ codes }) => this.current.machine.keyboardInput(codes),
    timeline: ({ since, limit }) => timelinePage(this.current.debugger, since, limit),
    progress: () => {
      const { machine } = this.current.debugger;
      return { instruction: String(machine.instructions()), time: String(machine.now()) };
    },
    interruptTable: ({ cpu }) => interruptTable(this.current.debugger, this.cpu(cpu)),
    locate: ({ cpu, place }) => this.locate("address" in place ? place.address : this.handlerOf(this.cpu(cpu), place.vector)),
    command: ({ line, frameId, cpu }) => {
      if (!isCommand(line)) return undefined;
      const { text, data, changed } = runCommandLine(line, this.commandContext(frameId, cpu));
      if (changed === true) this.current.inspector.refresh();
      return { text, data, changed: changed === true };
    },
    completeCommand: ({ before, frameId }) => completeCommand(before, this.commandContext(frameId, undefined)),
    guestWrite: (args) => {
      const { debugger: session, machine } = this.stopped;
      guestWrite(machine, session.cpu(args.cpu), args);
      this.edited(undefined);
    },
    exportRecords: ({ format, file, query, after }) => {
      const exporter = new RecordExport(this.current.debugger, format, query);
      if (file === undefined) return exporter.page(after);
      let records = 0;
      writeTextFile(file, function* () {
        for (const page of exporter.pages()) {
          records += page.records;
          yield page.text;
        }
      });
      return { records, text: undefined, next: undefined };
    },
    serialInput: ({ bytes }) => this.current.debugger.machine.serialInput(bytes),
    gotoTargets: ({ path, line }) => {
      const places = this.current.debugger.symbols.lineBreakpoints(path, line);
      return places?.line === line ? places.addresses.map((address) => ({ address, line: places.line })) : [];
    },
    goto: ({ cpu, address }) => {
      const session = this.stopped;
      session.debugger.cpu(cpu).setRip(address);
      session.machine.edited();
      this.tellStop(session, session.debugger.stopHere("goto", cpu, `RIP set to ${hex64(address)}`));
    },
    sources: () => this.current.debugger.symbols.sources(),
    modules: () => this.current.debugger.symbols.modules.map(moduleView),
    terminate: () => {
      const session = this.session;
      session?.serial.flush();
      session?.recording?.close("quit");
      session?.close();
      this.session = undefined;
      this.tell({ kind: "ended", exitCode: 0, text: "" });
    },
  };

  private dataPlace({ name, reference, frameId, bytes, asAddress }: DataQuestion): DataPlaceView {
    const { inspector } = this.stopped;
    try {
      const place =
        reference === undefined ? inspector.place(name, frameId, bytes, asAddress) : inspector.placeOfVariable(reference, name, bytes);
      return { id: formatPlace(place), text: placeText(place), accesses: accessesOf(place) };
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      return { id: undefined, text: error.message, accesses: [] };
    }
  }

  /** Changes how CPUs are run, and gives what came of it. `all`: every CPU. */
  private controlled(change: (control: RunControl, all: readonly number[]) => void): RunControlState {
    const { runControl, machine } = this.current.debugger;
    change(
      runControl,
      machine.cpus.map(({ index }) => index),
    );
    return runControl.state;
  }

  /** Something was changed by hand: it goes to the log, and frames are read anew. */
  private edited<T>(result: T): T {
    this.current.machine.edited();
    this.current.inspector.refresh();
    return result;
  }

  /** What a console command sees: the frame in focus while the machine stands still, else a CPU. */
  private commandContext(frameId: number | undefined, index: number | undefined): CommandContext {
    const { debugger: session, inspector } = this.current;
    const cpu = !session.isRunning && index === undefined ? inspector.cpuOf(frameId) : this.cpu(index);
    const place = (text: string, bytes?: number): DataPlace => {
      if (!session.isRunning) return inspector.place(text, frameId, bytes);
      return findPlace(text, { cpu, cpus: session.machine.cpus, scope: session.scope(cpu) }, bytes);
    };
    return { session, cpu, number: (text) => this.number(text, frameId, cpu), place, writeFile: writeTextFile };
  }

  /** Value of an expression, in a frame while the machine stands still. */
  private number(text: string, frameId: number | undefined, cpu = this.cpu(undefined)): bigint {
    const { debugger: session, inspector } = this.current;
    return session.isRunning
      ? toInteger(compile(parseExpression(text)).evaluate(session.scope(cpu))).value
      : inspector.number(text, frameId);
  }

  private thread(cpu: DebugCpu): ThreadView {
    const held = this.current.debugger.isHeld(cpu.index) ? " · frozen" : "";
    return { cpu: cpu.index, name: `CPU ${cpu.index} · APIC ${cpu.apicId} · ${cpuStateText(cpu)}${held}` };
  }

  private handlerOf(cpu: DebugCpu, vector: number): bigint {
    const gate = readGate(cpu, vector);
    if (gate === "outside" || gate === "unreadable" || gate.raw === 0n)
      throw new UserError(
        `CPU ${cpu.index} has no handler for vector ${hex(vector, 2)}: its IDT entry is ${gate === "outside" ? "outside the limit" : gate === "unreadable" ? "not mapped" : "empty"}.`,
      );
    return gateHandler(gate);
  }

  private locate(address: bigint): LocateResponse {
    const { symbols } = this.current.debugger;
    const line = symbols.lineAt(address);
    const symbol = symbols.describe(address);
    return {
      address: hex64(address),
      ...(symbol === undefined ? {} : { symbol }),
      ...(line === undefined || !existsSync(line.file) ? {} : { path: resolve(line.file), line: line.line }),
    };
  }

  private exceptionInfo(cpu: number): EngineMethods["exceptionInfo"]["result"] {
    const { debugger: session } = this.stopped;
    session.cpu(cpu);
    const { stop } = session;
    if (stop?.kind !== "event") throw new UserError("The machine did not stop on an event.");
    const record = session.recordOf(stop.cause);
    const senderStack = record === undefined ? [] : session.senderLines(record);
    return {
      filter: stop.filter,
      text: stop.text,
      lines: session.describeStop(stop),
      record: senderStack.length === 0 ? record : { ...record, senderStack },
    };
  }
}

function stopView(stop: Stop): StopView {
  const common = { cpu: stop.cpu, text: stop.text, breakpoints: hitBreakpoints(stop) };
  switch (stop.kind) {
    case "breakpoint":
      return { ...common, reason: stop.by === "line" ? "breakpoint" : `${stop.by} breakpoint` };
    case "event":
      return { ...common, reason: "exception" };
    case "entry":
    case "pause":
    case "step":
    case "goto":
      return { ...common, reason: stop.kind };
  }
}
