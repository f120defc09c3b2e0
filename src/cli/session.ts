import type { DebugProtocol } from "@vscode/debugprotocol";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { UserError } from "../common/errors";
import { launchDefaults } from "../adapter/protocol";
import { InProcessClient } from "./inProcessClient";

interface SessionOptions {
  readonly image: string;
  readonly cpus: number;
  readonly memory: number;
  readonly cmdline: string;
  /** Condition of the interrupt to follow. */
  readonly condition: string;
}

const usage = `apicscope session [IMAGE] [--cpus N] [--memory MIB] [--cmdline S] [--break CONDITION]

Debugs a guest in the terminal through the debug adapter: stops where an interrupt is delivered, shows its life and the local APICs of
both sides, steps an instruction, goes on to the end of the interrupt. Without IMAGE, the bundled SMP guest.
`;
const defaultCondition = "vector == 0xf0 && dst == 1";
const stopMilliseconds = 120_000;
/** Registers of each local APIC worth a line here. */
const shownRegisters = ["ICR", "IRR", "ISR", "PPR", "TPR"];

function bundledGuest(): string {
  const candidates = [join(__dirname, "../guests/smp/smp.elf"), join(__dirname, "../../guests/smp/smp.elf")];
  const found = candidates.find((path) => existsSync(path));
  if (found === undefined) throw new UserError(`The bundled guest is missing: ${candidates[0]}.`, "IMAGE");
  return found;
}

function parseOptions(args: readonly string[]): SessionOptions {
  const values = new Map<string, string>();
  let image: string | undefined;
  const names = ["--cpus", "--memory", "--cmdline", "--break"];
  for (let i = 0; i < args.length; i++) {
    const [name, ...inline] = args[i].split("=");
    if (!args[i].startsWith("-")) {
      if (image !== undefined) throw new UserError(`session takes one image, not also ${JSON.stringify(args[i])}.`, "IMAGE");
      image = args[i];
    } else if (names.includes(name)) {
      const value = inline.length > 0 ? inline.join("=") : args[++i];
      if (value === undefined) throw new UserError(`${name} needs a value.`, name);
      values.set(name, value);
    } else throw new UserError(`session has no option ${JSON.stringify(args[i])}; it takes ${names.join(", ")}.`, args[i]);
  }
  const whole = (name: string, otherwise: number): number => {
    const text = values.get(name);
    if (text !== undefined && !/^\d{1,6}$/.test(text)) throw new UserError(`${name} takes a whole number, not "${text}".`, name);
    return text === undefined ? otherwise : Number(text);
  };
  return {
    image: image ?? bundledGuest(),
    cpus: whole("--cpus", launchDefaults.cpus),
    memory: whole("--memory", launchDefaults.memory),
    cmdline: values.get("--cmdline") ?? launchDefaults.cmdline,
    condition: values.get("--break") ?? defaultCondition,
  };
}

/** `apicscope session`: the main job in the terminal. Resolves with the exit status. Throws a UserError for what the user got wrong. */
export async function sessionCommand(args: readonly string[]): Promise<number> {
  if (args.includes("--help") || args.includes("-h")) {
    process.stdout.write(usage);
    return 0;
  }
  const options = parseOptions(args);
  const session = new TerminalSession(new InProcessClient(), (text) => void process.stdout.write(`${text}\n`));
  try {
    return await session.run(options);
  } catch (error) {
    throw error instanceof UserError ? error : new UserError(error instanceof Error ? error.message : String(error));
  } finally {
    await session.close();
  }
}

/** Walks through the life of one interrupt, as a person would in an editor. */
class TerminalSession {
  private stops = 0;
  private guestLine = "";
  private ended = "";

  constructor(
    private readonly client: InProcessClient,
    private readonly print: (text: string) => void,
  ) {
    client.on("output", (body) => this.output(body as DebugProtocol.OutputEvent["body"]));
  }

  private output({ category, output }: DebugProtocol.OutputEvent["body"]): void {
    if (category !== "stdout") {
      this.ended = output.split("\n")[0];
      return this.print(output.trimEnd());
    }
    const lines = (this.guestLine + output).split("\n");
    this.guestLine = lines.pop() ?? "";
    for (const line of lines) this.print(`  guest | ${line.replace(/\r$/, "")}`);
  }

  async close(): Promise<void> {
    await this.client.request("disconnect").catch(() => undefined);
  }

  async run({ image, cpus, memory, cmdline, condition }: SessionOptions): Promise<number> {
    this.print(`Debugging ${image} on ${cpus} CPUs.`);
    this.print(`Breakpoint: interrupt.deliver where ${condition}\n`);
    await this.client.request("initialize", { adapterID: "apicscope", linesStartAt1: true, columnsStartAt1: true });
    await this.client.request("launch", { program: image, cpus, memory, cmdline });
    await this.breakOn("interrupt.deliver", condition);
    const delivered = await this.stopAfter("configurationDone", {});
    const target = delivered.threadId ?? 1;
    const sender = await this.sender(target);
    await this.show(delivered, sender, target);

    this.print("\nStepping one instruction of the handler.");
    const stepped = await this.stopAfter("next", { threadId: target, granularity: "instruction" });
    await this.show(stepped, sender, target);

    this.print(`\nBreakpoint: interrupt.eoi where ${condition}. Continuing.`);
    await this.breakOn("interrupt.eoi", condition);
    const end = await this.stopAfter("continue", { threadId: target });
    await this.show(end, sender, target);
    this.print("\nThe interrupt has ended; so does the session.");
    return 0;
  }

  private async breakOn(filterId: string, condition: string): Promise<void> {
    const filters = ["cpu.tripleFault", "guest.stuck"];
    const args = { filters, filterOptions: [{ filterId, condition }] };
    const { breakpoints } =
      (await this.client.request<DebugProtocol.SetExceptionBreakpointsResponse>("setExceptionBreakpoints", args)) ?? {};
    const refused = breakpoints?.find((breakpoint) => !breakpoint.verified);
    if (refused !== undefined) throw new UserError(refused.message ?? "The breakpoint was refused.", "--break");
  }

  /** Sends a request that lets the guest run, and waits for the stop. */
  private async stopAfter(command: string, args: object): Promise<DebugProtocol.StoppedEvent["body"]> {
    const late = `The guest did not stop within ${stopMilliseconds / 1000} seconds.`;
    const first = this.client.firstOf(["stopped", "terminated"], stopMilliseconds, late);
    // A refused request is told before the wait is over; the wait then ends with the session.
    first.catch(() => undefined);
    await this.client.request(command, args);
    const { event, body } = await first;
    if (event === "terminated") throw new UserError(`The guest ended before the interrupt came. ${this.ended}`.trim());
    return body as DebugProtocol.StoppedEvent["body"];
  }

  /** DAP thread of the CPU that sent the interrupt, or the target itself for an interrupt without one. */
  private async sender(target: number): Promise<number> {
    const { details } = await this.client.request<DebugProtocol.ExceptionInfoResponse>("exceptionInfo", { threadId: target });
    const record = (details as { record?: { src?: number } } | undefined)?.record;
    return record?.src === undefined || record.src < 0 ? target : record.src + 1;
  }

  private async show(stop: DebugProtocol.StoppedEvent["body"], sender: number, target: number): Promise<void> {
    this.print(`\n=== Stop ${++this.stops}: ${stop.text ?? stop.reason} ===`);
    if (stop.reason === "exception") {
      const info = await this.client.request<DebugProtocol.ExceptionInfoResponse>("exceptionInfo", { threadId: stop.threadId ?? target });
      const lines = (info.details?.stackTrace ?? "").split("\n");
      for (const line of lines) this.print(`  ${line}`);
    }
    for (const thread of new Set([sender, target])) await this.showCpu(thread, thread === target ? "target" : "sender");
  }

  private async showCpu(threadId: number, role: string): Promise<void> {
    const { threads } = await this.client.request<DebugProtocol.ThreadsResponse>("threads");
    const stack = await this.client.request<DebugProtocol.StackTraceResponse>("stackTrace", { threadId, levels: 1 });
    const frame = stack.stackFrames[0];
    const place = frame.source === undefined ? "" : ` (${frame.source.name}:${frame.line})`;
    this.print(`\n  ${threads.find((thread) => thread.id === threadId)?.name ?? `thread ${threadId}`} · ${role}`);
    this.print(`    at ${frame.instructionPointerReference} ${frame.name}${place}`);
    const { scopes } = await this.client.request<DebugProtocol.ScopesResponse>("scopes", { frameId: frame.id });
    const apic = scopes.find((scope) => scope.name === "Local APIC");
    if (apic === undefined) return;
    const { variablesReference } = apic;
    const { variables } = await this.client.request<DebugProtocol.VariablesResponse>("variables", { variablesReference });
    for (const name of shownRegisters)
      this.print(`    ${name.padEnd(4)} ${variables.find((variable) => variable.name === name)?.value ?? "?"}`);
  }
}
