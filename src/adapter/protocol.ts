import { filterNames, type FilterName } from "../debugger/filterNames";
import { MAX_CPUS, MAX_MEMORY } from "../machine/limits";

// What the adapter speaks beyond the Debug Adapter Protocol: launch attributes, exception filters, and the requests and events
// behind the 'Interrupts' view. Types and names only, shared by the adapter and its clients; nothing of either side but names and limits is imported.
// Numbers that may exceed 2^53 travel as strings.

/**
 * Attributes of a launch request. Only `program` is required, and not even that where `disks` or `cdrom` name what to boot; paths that
 * are not whole start from `cwd`.
 */
export interface LaunchAttributes {
  /** The guest: a Multiboot 1 or 2, Linux bzImage, PVH or plain ELF image. Empty: firmware boots from a disk or CD. */
  program: string;
  /** Number of CPUs, 1 to 64. */
  cpus?: number;
  /** RAM in MiB. */
  memory?: number;
  /** The kernel's command line. */
  cmdline?: string;
  /** Initial RAM disk, or Multiboot module. */
  initrd?: string;
  /** Disk images, each with options behind its path: `,ide` `,ahci` `,virtio`, `,raw` `,qcow2`, `,readonly` `,write-through`. */
  disks?: string[];
  /** CD-ROM image. */
  cdrom?: string;
  /** Firmware image, or "seabios": the guest then comes from a disk or CD, and `program` gives its symbols. */
  firmware?: string;
  cpuModel?: string;
  /**
   * Further files with symbols; `offset` (a number, or a string such as "0xffffffff81000000") is added to their addresses. Of unlinked files (kernel modules, .o) it is where .text lies, and
   * `sections` says that of others; what is not said of a kernel module is found in the guest once it is loaded.
   */
  symbols?: (string | SymbolFile)[];
  /** Path prefixes in debug information, and what they are on this machine. */
  sourceMap?: Record<string, string>;
  /** Where paths start from that are not whole, here and in debug information: the whole path of a directory. The adapter's own if left out. */
  cwd?: string;
  stopOnEntry?: boolean;
  /** Interrupt breakpoints that belong to this configuration, beside those the client sets. */
  interruptBreakpoints?: LaunchInterruptBreakpoint[];
  /** The first serial port: "stdio" (the debug console), "terminal" (events `apicscope/serialOutput`), "none", or a file. */
  serial?: string;
  engine?: "auto" | "jit" | "interpreter";
  /** Instructions that a CPU runs before the next CPU's turn. */
  quantum?: number;
  /** Seed of whatever is random in the machine. */
  seed?: number;
  /** What a triple fault does: "stop" ends the guest, "reset" resets the machine, as a PC's chips do. */
  tripleFault?: TripleFault;
  /** Holds virtual time back to the wall clock while the guest idles. */
  pace?: boolean;
  /** Records of interrupts kept, the newest. */
  interruptRecords?: number;
  /** File to write the log of outside inputs to. */
  record?: string;
  /**
   * What a first `apicscope/setInterruptBreakpoints` would carry, so that the client's breakpoints hold from the first
   * instruction. Replaced by each later such request.
   */
  workspaceInterruptBreakpoints?: InterruptBreakpoint[];
}

export interface SymbolFile {
  file: string;
  offset?: number | string;
  /** Addresses of an unlinked file's sections, by their names. */
  sections?: Record<string, number | string>;
}

/** Defaults of the attributes that every client shares. */
export const launchDefaults = {
  cpus: 4,
  memory: 128,
  cmdline: "",
  stopOnEntry: false,
  serial: "stdio",
  engine: "auto",
  seed: 0,
  tripleFault: "stop",
  pace: false,
} as const satisfies Partial<LaunchAttributes>;

export const tripleFaults = ["stop", "reset"] as const;
export type TripleFault = (typeof tripleFaults)[number];
export const engines = ["auto", "jit", "interpreter"] as const;
export const maximumCpus = MAX_CPUS;
/** MiB. */
export const maximumMemory = MAX_MEMORY;

const filterTexts: Readonly<Record<FilterName, readonly [label: string, description: string]>> = {
  "interrupt.send": ["Interrupt Sent", "An interrupt leaves its source: ICR write, I/O APIC pin, MSI, LVT"],
  "interrupt.accept": ["Interrupt Accepted", "A local APIC takes an interrupt in: IRR bit, or NMI, SMI, INIT latched"],
  "interrupt.deliver": ["Interrupt Delivered", "A CPU starts the handler of an interrupt"],
  "interrupt.eoi": ["End of Interrupt", "A handler writes EOI: the vector leaves ISR"],
  "interrupt.drop": ["Interrupt Dropped", "An interrupt is lost, with the reason"],
  "interrupt.storm": ["Interrupt Storm", "A source interrupts so often that the guest gets nowhere"],
  "interrupt.lint": [
    "Interrupt Lint",
    "The guest does something wrong with its interrupts: missing EOI, IPI to nobody, lost edge and others",
  ],
  "budget.latency": ["Latency Budget", "An interrupt was delivered: condition on its latency since acceptance"],
  "budget.handler": ["Handler Budget", "A handler runs or has returned: condition on its duration"],
  "budget.masked": ["Interrupts-off Budget", "IF is clear or was set again: condition on the duration"],
  "budget.nesting": ["Nesting Budget", "A handler was entered: condition on the depth"],
  nmi: ["NMI", "A CPU takes a non-maskable interrupt"],
  smi: ["SMI", "A CPU takes a system-management interrupt"],
  init: ["INIT", "A CPU is reset by an INIT IPI"],
  sipi: ["Start-up IPI", "A CPU starts at the page that a SIPI names"],
  "cpu.exception": ["CPU Exception", "A CPU raises an exception, such as a page fault"],
  "cpu.tripleFault": ["Triple Fault", "A CPU shuts down on a triple fault"],
  "guest.stuck": ["Guest Stuck", "No CPU can ever run again"],
  "guest.end": ["Guest's End", "The guest powers the machine off or ends with an exit status: to look, and to go back from there"],
};

/** The exception filters, all of which take a condition. Interrupt breakpoints use the same names. */
export const exceptionFilters = filterNames.map((filter) => ({
  filter,
  label: filterTexts[filter][0],
  description: filterTexts[filter][1],
}));

export type ExceptionFilter = FilterName;

/** An interrupt breakpoint as launch configurations write it. */
export interface LaunchInterruptBreakpoint {
  filter: ExceptionFilter;
  /** Expression over `vector`, `mode`, `src`, `dst`, `cpu`, `trigger`, `source`, `shorthand`, `count`, `time`, registers and symbols. */
  condition?: string | undefined;
  /** `N` or `== N`, `>= N`, `> N`, `<= N`, `< N`, `% N`, of the number of times the condition held. */
  hitCondition?: string | undefined;
  /** True if left out. */
  enabled?: boolean;
}

/** An interrupt breakpoint that a client set; `id` is the client's own. */
export interface InterruptBreakpoint extends LaunchInterruptBreakpoint {
  id: string;
  enabled: boolean;
}

/**
 * Request `apicscope/setInterruptBreakpoints`: replaces the client's interrupt breakpoints. They add to those of
 * `setExceptionBreakpoints` and of the launch configuration. Hit counts of breakpoints that stay unchanged are kept.
 */
export const setInterruptBreakpointsRequest = "apicscope/setInterruptBreakpoints";

export interface SetInterruptBreakpointsArguments {
  breakpoints: InterruptBreakpoint[];
}

/**
 * What the adapter made of a breakpoint, in the order asked. `message` says why it is not verified, in one sentence; `id` is empty where the request had none that is
 * text.
 */
export interface InterruptBreakpointStatus {
  id: string;
  verified: boolean;
  message?: string;
  /** Where it is not verified. */
  reason?: "failed";
  hits: number;
}

export interface SetInterruptBreakpointsResponse {
  breakpoints: InterruptBreakpointStatus[];
}

/** Event `apicscope/interruptBreakpointsChanged`: hit counts that changed since they were last told. */
export const interruptBreakpointsChangedEvent = "apicscope/interruptBreakpointsChanged";

export interface InterruptBreakpointsChangedBody {
  breakpoints: { id: string; hits: number }[];
}

/** Event `apicscope/runControlChanged`, and answer of the requests that change it: which CPUs run, and how. */
export const runControlChangedEvent = "apicscope/runControlChanged";

export interface RunControlBody {
  /** Threads that stand still whatever the others do. */
  frozenThreads: number[];
  stepping: {
    /** Whether the other CPUs run while one is stepped. */
    others: "run" | "hold";
    /** What a step does with interrupts of its CPU: see docs/adapter.md, "Steps". */
    interrupts: "auto" | "taken" | "held" | "into";
  };
  /** Instructions of a turn; `seed` 0: turns in order, else random ones. */
  schedule: { quantum: number; seed: number };
  /** IPIs that wait to be held back; `src` and `dst` are APIC ids. */
  delays: { id: number; instructions: number; vector?: number; mode?: string; src?: number; dst?: number }[];
}

/** Request `apicscope/interruptState`, without arguments: every interrupt controller of the machine. */
export const interruptStateRequest = "apicscope/interruptState";

export interface InterruptState {
  cpus: CpuInterruptState[];
  ioapics: { index: number; pins: IoApicPin[] }[];
  /** Interrupt messages that devices are set up to send. */
  messages: MessageSource[];
  /** The interrupt descriptor tables in use. */
  tables: InterruptTable[];
  /** Instructions retired by the whole machine, decimal. */
  instruction: string;
  /** Virtual time in nanoseconds, decimal. */
  time: string;
  /** Counts the stops of the session: the same number means the same stop. */
  stopSequence: number;
}

export type CpuRunState = "running" | "halted" | "wait-for-SIPI" | "shutdown";

export interface CpuInterruptState {
  index: number;
  apicId: number;
  state: CpuRunState;
  /** The state in a few words, as thread names have it: "halted, IF=1". */
  stateText: string;
  /** DAP thread id of the CPU. */
  threadId: number;
  /** The debugger keeps it from running. */
  frozen: boolean;
  /** Where it stands: hexadecimal with 0x, and `symbol+0x10` where that is known. */
  rip: string;
  symbol?: string;
  /** Vectors set in IRR, ISR and TMR, ascending. */
  irr: number[];
  isr: number[];
  tmr: number[];
  ppr: number;
  tpr: number;
  /** What keeps interrupts from this CPU now, what masks most first. */
  masks: InterruptMask[];
  /** More about the vectors of IRR and ISR; about the 32 highest at most. */
  pending: PendingVector[];
  serving: ServedVector[];
  lvts: { name: string; raw: number; text: string }[];
  /** The CPU's last interrupt events, oldest first. */
  lastEvents: InterruptEventSummary[];
}

export interface InterruptMask {
  /** "IF", "TPR", "ISR", "SVR", "IA32_APIC_BASE", "NMI", "Shadow", "Activity", "Debugger". */
  name: string;
  text: string;
  /** Who set it: "by CPU 0 at instruction 1234, ...", and the address of that instruction. */
  set?: string;
  rip?: string;
}

export interface PendingVector {
  vector: number;
  /** One sentence: the first thing that keeps it from its handler, or that nothing does. */
  why: string;
  /** That thing's name, such as "IF" or "PPR". */
  heldBy?: string;
  /** Id of its record, and the address of the instruction that sent it. */
  record?: number;
  sender?: string;
}

export interface ServedVector {
  vector: number;
  record?: number;
  sender?: string;
  /** Instructions that the machine had retired as its handler started, decimal. */
  since?: string;
}

export type EventStage = "send" | "accept" | "request" | "deliver" | "eoi" | "drop" | "return";

export interface InterruptEventSummary {
  /** Id of the interrupt's record; the stages of one interrupt share it. */
  id: number;
  stage: EventStage;
  vector: number;
  /** Delivery mode, as condition field `mode`. */
  mode: string;
  /** APIC ids; -1 where there is none. */
  src: number;
  dst: number;
  source: string;
  trigger: string;
  /** Instructions retired by the whole machine, decimal. */
  instruction: string;
  /** Hexadecimal with 0x. */
  rip: string;
  /** Address of the instruction that sent it; left out when a device or timer did. */
  sender?: string;
  /** The event in words. */
  text: string;
}

/** Where an interrupt of a pin or a message goes. */
export interface InterruptRoute {
  vector: number;
  /** Delivery mode, as condition field `mode`; "reserved" for an encoding without a meaning. */
  mode: string;
  trigger: string;
  /** Indices of the CPUs that its destination addresses. */
  cpus: number[];
}

export interface IoApicPin extends InterruptRoute {
  pin: number;
  /** The 64-bit redirection entry, hexadecimal with 0x. */
  raw: string;
  text: string;
  masked: boolean;
  remoteIrr: boolean;
  /** A line holds it asserted, and the names of those lines. */
  asserted: boolean;
  by: string[];
}

export interface MessageSource extends InterruptRoute {
  /** Name of the device, and of the message among the device's. */
  device: string;
  name: string;
  /** Hexadecimal with 0x. */
  address: string;
  data: string;
  text: string;
  masked: boolean;
  /** It waits to be unmasked. */
  waiting: boolean;
}

/** An interrupt descriptor table, or real-mode vector table, of one or more CPUs. */
export interface InterruptTable {
  /** Hexadecimal with 0x. */
  base: string;
  limit: number;
  kind: "16-bit" | "32-bit" | "64-bit";
  /** Indices of the CPUs that use it. */
  cpus: number[];
  /** How many handlers were entered through it. */
  hits: number;
}

/** Request `apicscope/interruptTable` with `{threadId}`: the gates of the CPU's table that are not empty. */
export const interruptTableRequest = "apicscope/interruptTable";

export interface InterruptTableResponse {
  gates: InterruptGate[];
}

export interface InterruptGate {
  vector: number;
  /** "interrupt gate", "trap gate", "task gate", "real-mode vector"; "type N" for what is no gate. */
  kind: string;
  /** The entry's first 64 bits, hexadecimal with 0x. */
  raw: string;
  dpl: number;
  /** Interrupt stack, 0 for none. */
  ist: number;
  /** Linear address of the handler, hexadecimal with 0x, and `symbol+0x10` where that is known. */
  handler: string;
  symbol?: string;
  /** Why an interrupt could not enter it now. */
  fault?: string;
  /** How often it was entered by the CPUs that share the table. */
  hits: number;
}

/**
 * Request `apicscope/locate` with `{threadId, vector}` or `{address}`: where the handler of a vector, or an address, stands in the
 * sources. An address is text with 0x.
 */
export const locateRequest = "apicscope/locate";

export interface LocateResponse {
  /** Hexadecimal with 0x. */
  address: string;
  symbol?: string;
  /** A file of this machine that exists, and a line counted from 1. */
  path?: string;
  line?: number;
}

/** Request `apicscope/command` with `{command, threadId?}`: a line of the console. */
export const commandRequest = "apicscope/command";

export interface CommandResponse {
  text: string;
}

/** Requests that freeze CPUs, run one alone or step it alone: see docs/adapter.md, "Run control". */
export const freezeRequest = "apicscope/freeze";
export const unfreezeRequest = "apicscope/unfreeze";
export const runOnlyRequest = "apicscope/runOnly";
export const stepRequest = "apicscope/step";

export interface StepArguments {
  threadId: number;
  kind: "in" | "over" | "out";
  granularity?: "instruction" | "line";
  others?: "run" | "hold";
  interrupts?: "auto" | "taken" | "held" | "into";
}

/** Request `apicscope/progress`, without arguments: how far the machine is. Cheap; for status lines. */
export const progressRequest = "apicscope/progress";

export interface ProgressResponse {
  /** Instructions retired by the whole machine, and nanoseconds of virtual time; decimal. */
  instruction: string;
  time: string;
}
