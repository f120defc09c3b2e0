// What the adapter speaks beyond the Debug Adapter Protocol: launch attributes, exception filters, and the requests and events
// behind the 'Interrupts' view. Types and names only, shared by the adapter and its clients; nothing of either side is imported.
// Numbers that may exceed 2^53 travel as strings.

/** Attributes of a launch request. Only `program` is required; paths are absolute once a client has resolved its variables. */
export interface LaunchAttributes {
  /** The guest: a Multiboot 1 or 2, Linux bzImage, PVH or plain ELF image. */
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
  /** Further files with symbols; `offset` (a number, or a string such as "0xffffffff81000000") is added to their addresses. */
  symbols?: (string | SymbolFile)[];
  /** Path prefixes in debug information, and what they are on this machine. */
  sourceMap?: Record<string, string>;
  stopOnEntry?: boolean;
  /** Interrupt breakpoints that belong to this configuration, beside those the client sets. */
  interruptBreakpoints?: LaunchInterruptBreakpoint[];
  /** The first serial port: "stdio" (the debug console), "none", or a file. */
  serial?: string;
  engine?: "auto" | "jit" | "interpreter";
  /** Instructions that a CPU runs before the next CPU's turn. */
  quantum?: number;
  /** Seed of whatever is random in the machine. */
  seed?: number;
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
  pace: false,
} as const satisfies Partial<LaunchAttributes>;

export const engines = ["auto", "jit", "interpreter"] as const;
export const maximumCpus = 64;

/** The exception filters, all of which take a condition. Interrupt breakpoints use the same names. */
export const exceptionFilters = [
  { filter: "interrupt.send", label: "Interrupt Sent", description: "An interrupt leaves its source: ICR write, I/O APIC pin, MSI, LVT" },
  {
    filter: "interrupt.accept",
    label: "Interrupt Accepted",
    description: "A local APIC takes an interrupt in: IRR bit, or NMI, SMI, INIT latched",
  },
  { filter: "interrupt.deliver", label: "Interrupt Delivered", description: "A CPU starts the handler of an interrupt" },
  { filter: "interrupt.eoi", label: "End of Interrupt", description: "A handler writes EOI: the vector leaves ISR" },
  { filter: "interrupt.drop", label: "Interrupt Dropped", description: "An interrupt is lost, with the reason" },
  { filter: "interrupt.storm", label: "Interrupt Storm", description: "A source interrupts so often that the guest gets nowhere" },
  {
    filter: "interrupt.lint",
    label: "Interrupt Lint",
    description: "The guest does something wrong with its interrupts: missing EOI, IPI to nobody, lost edge and others",
  },
  {
    filter: "budget.latency",
    label: "Latency Budget",
    description: "An interrupt was delivered: condition on its latency since acceptance",
  },
  { filter: "budget.handler", label: "Handler Budget", description: "A handler runs or has returned: condition on its duration" },
  { filter: "budget.masked", label: "Interrupts-off Budget", description: "IF is clear or was set again: condition on the duration" },
  { filter: "budget.nesting", label: "Nesting Budget", description: "A handler was entered: condition on the depth" },
  { filter: "nmi", label: "NMI", description: "A CPU takes a non-maskable interrupt" },
  { filter: "smi", label: "SMI", description: "A CPU takes a system-management interrupt" },
  { filter: "init", label: "INIT", description: "A CPU is reset by an INIT IPI" },
  { filter: "sipi", label: "Start-up IPI", description: "A CPU starts at the page that a SIPI names" },
  { filter: "cpu.exception", label: "CPU Exception", description: "A CPU raises an exception, such as a page fault" },
  { filter: "cpu.tripleFault", label: "Triple Fault", description: "A CPU shuts down on a triple fault" },
  { filter: "guest.stuck", label: "Guest Stuck", description: "No CPU can ever run again" },
] as const;

export type ExceptionFilter = (typeof exceptionFilters)[number]["filter"];

/** An interrupt breakpoint as launch configurations write it. */
export interface LaunchInterruptBreakpoint {
  filter: ExceptionFilter;
  /** Expression over `vector`, `mode`, `src`, `dst`, `cpu`, `trigger`, `source`, `shorthand`, `count`, `time`, registers and symbols. */
  condition?: string;
  /** `N` or `== N`, `>= N`, `> N`, `<= N`, `< N`, `% N`, of the number of times the condition held. */
  hitCondition?: string;
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

/** What the adapter made of a breakpoint. `message` says why it is not verified, in one sentence. */
export interface InterruptBreakpointStatus {
  id: string;
  verified: boolean;
  message?: string;
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

/** Request `apicscope/interruptState`, without arguments: every APIC of the stopped machine. */
export const interruptStateRequest = "apicscope/interruptState";

export interface InterruptState {
  cpus: CpuInterruptState[];
  ioapics: { index: number; pins: IoApicPin[] }[];
  /** Counts the stops of the session: the same number means the same stop. */
  stopSequence: number;
}

export type CpuRunState = "running" | "halted" | "wait-for-SIPI" | "shutdown";

export interface CpuInterruptState {
  index: number;
  apicId: number;
  state: CpuRunState;
  /** DAP thread id of the CPU. */
  threadId: number;
  /** Vectors set in IRR, ISR and TMR, ascending. */
  irr: number[];
  isr: number[];
  tmr: number[];
  ppr: number;
  tpr: number;
  lvts: { name: string; raw: number; text: string }[];
  /** The CPU's last interrupt events, oldest first. */
  lastEvents: InterruptEventSummary[];
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
  /** The event in words. */
  text: string;
}

export interface IoApicPin {
  pin: number;
  /** The 64-bit redirection entry, hexadecimal with 0x. */
  raw: string;
  text: string;
  masked: boolean;
  remoteIrr: boolean;
}
