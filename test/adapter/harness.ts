import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, before } from "node:test";
import { DebugClient } from "@vscode/debugadapter-testsupport";
import type { DebugProtocol } from "@vscode/debugprotocol";
import { elf } from "../firmware/support";

export const cli = resolve("dist/cli.js");
export const smpGuest = resolve("guests/smp/smp.elf");
export const smpSource = (name: string): string => resolve("guests/smp", name);
const stdioAdapter = resolve("test/adapter/stdioAdapter.cjs");

/** How long an event may take to come: on a busy computer much longer than otherwise. */
const patience = 180_000;

type Stopped = DebugProtocol.StoppedEvent["body"];

/** A client of the test-support package that keeps every event, so that none is missed between two waits. */
export class Client {
  readonly events: DebugProtocol.Event[] = [];
  private taken = new Map<string, number>();
  private readonly wakers = new Set<() => void>();

  private constructor(readonly dap: DebugClient) {
    const emit = dap.emit.bind(dap);
    // Every event passes here, whatever its kind.
    dap.emit = (kind: string | symbol, ...args: unknown[]): boolean => {
      const [event] = args as [DebugProtocol.Event | undefined];
      if (typeof kind === "string" && event?.type === "event") {
        this.events.push(event);
        for (const wake of [...this.wakers]) wake();
      }
      return emit(kind, ...args);
    };
  }

  /** Over standard input and output, or over TCP where a port is given; initialized. */
  static async open(port?: number): Promise<Client> {
    const client = new Client(new DebugClient("node", stdioAdapter, "apicscope"));
    await client.dap.start(port);
    const { body } = await client.dap.initializeRequest();
    assert.ok(body !== undefined);
    client.capabilities = body;
    return client;
  }

  capabilities: DebugProtocol.Capabilities = {};

  /** The next event of this kind that was not taken yet. */
  async next(kind: string, accept: (body: unknown) => boolean = () => true): Promise<unknown> {
    const end = Date.now() + patience;
    for (;;) {
      for (let i = this.taken.get(kind) ?? 0; i < this.events.length; i++) {
        if (this.events[i].event !== kind) continue;
        this.taken.set(kind, i + 1);
        if (accept(this.events[i].body)) return this.events[i].body;
      }
      const left = end - Date.now();
      if (left <= 0)
        throw new Error(`no event '${kind}'; there were ${this.events.map((event) => event.event).join(", ")}\n${this.output()}`);
      await new Promise<void>((wake) => {
        const timer = setTimeout(done, left);
        const { wakers } = this;
        function done(): void {
          clearTimeout(timer);
          wakers.delete(done);
          wake();
        }
        wakers.add(done);
      });
    }
  }

  async stop(): Promise<Stopped> {
    return (await this.next("stopped")) as Stopped;
  }

  /** All output of a category, or of all. */
  output(category?: string): string {
    return this.events
      .filter((event): event is DebugProtocol.OutputEvent => event.event === "output")
      .filter(({ body }) => category === undefined || body.category === category)
      .map(({ body }) => body.output)
      .join("");
  }

  request<Response extends DebugProtocol.Response>(command: string, args?: object): Promise<Response> {
    return this.dap.send(command, args) as Promise<Response>;
  }

  /** The body of a response. */
  async ask(command: string, args: object = {}): Promise<unknown> {
    return ((await this.dap.send(command, args)) as { body: unknown }).body;
  }

  /** What a console command gives for programs. */
  async data(command: string, threadId?: number): Promise<unknown> {
    return ((await this.ask("apicscope/command", { command, ...(threadId === undefined ? {} : { threadId }) })) as { data: unknown }).data;
  }

  /** Sends a request that must fail and returns its message. */
  async refused(command: string, args?: unknown): Promise<string> {
    try {
      await this.dap.send(command, args);
    } catch (error) {
      return (error as Error).message;
    }
    throw new Error(`${command} ${JSON.stringify(args)} should have been refused`);
  }

  /** Launches, configures and starts the guest. */
  async launch(attributes: object, configure: () => Promise<unknown> = () => Promise.resolve()): Promise<void> {
    await this.dap.launchRequest(attributes);
    await this.next("initialized");
    await configure();
    await this.dap.configurationDoneRequest();
  }

  async breakOn(...filterOptions: { filterId: string; condition?: string }[]): Promise<DebugProtocol.Breakpoint[]> {
    const response = await this.dap.setExceptionBreakpointsRequest({ filters: [], filterOptions });
    return response.body?.breakpoints ?? [];
  }

  async continue(threadId: number): Promise<Stopped> {
    await this.dap.continueRequest({ threadId });
    return this.stop();
  }

  async step(command: "next" | "stepIn" | "stepOut", threadId: number, granularity: "instruction" | "line"): Promise<Stopped> {
    await this.request(command, { threadId, granularity });
    return this.stop();
  }

  async stack(threadId: number): Promise<DebugProtocol.StackFrame[]> {
    return (await this.dap.stackTraceRequest({ threadId })).body.stackFrames;
  }

  async pc(threadId: number): Promise<bigint> {
    return BigInt((await this.stack(threadId))[0].instructionPointerReference ?? "");
  }

  async scope(threadId: number, name: string, level = 0): Promise<{ reference: number; variables: DebugProtocol.Variable[] }> {
    const { id } = (await this.stack(threadId))[level];
    const { scopes } = (await this.dap.scopesRequest({ frameId: id })).body;
    const found = scopes.find((scope) => scope.name === name);
    if (found === undefined) throw new Error(`no scope ${name} among ${scopes.map((scope) => scope.name).join(", ")}`);
    const reference = found.variablesReference;
    return { reference, variables: (await this.dap.variablesRequest({ variablesReference: reference })).body.variables };
  }

  async value(threadId: number, scope: string, name: string): Promise<string> {
    const { variables } = await this.scope(threadId, scope);
    const found = variables.find((variable) => variable.name === name);
    if (found === undefined) throw new Error(`no ${name} among ${variables.map((variable) => variable.name).join(", ")}`);
    return found.value;
  }

  async evaluate(expression: string, threadId: number, context = "repl"): Promise<string> {
    const frameId = (await this.stack(threadId))[0].id;
    return (await this.dap.evaluateRequest({ expression, frameId, context })).body.result;
  }

  async threadNames(): Promise<string[]> {
    return (await this.dap.threadsRequest()).body.threads.map((thread) => thread.name);
  }

  private disconnected = false;

  async disconnect(): Promise<void> {
    this.disconnected = true;
    await this.dap.disconnectRequest();
  }

  async close(): Promise<void> {
    // A second disconnect would wait for an adapter that is gone.
    if (this.disconnected) (this.dap as unknown as { stopAdapter: () => void }).stopAdapter();
    else await this.dap.stop();
  }
}

/** Runs `body` with a client that is closed afterwards, whatever happens. */
export async function withClient(body: (client: Client) => Promise<void>, port?: number): Promise<void> {
  const client = await Client.open(port);
  try {
    await body(client);
  } finally {
    await client.close();
  }
}

/** `cli.js dap --port 0`, and the port it chose. */
export async function startServer(): Promise<{ process: ChildProcess; port: number }> {
  const server = spawn(process.execPath, [cli, "dap", "--port", "0"], { stdio: ["ignore", "ignore", "pipe"] });
  const port = await new Promise<number>((found, fail) => {
    let text = "";
    server.stderr.on("data", (data: Buffer) => {
      text += data.toString();
      const match = /127\.0\.0\.1:(\d+)/.exec(text);
      if (match !== null) found(Number(match[1]));
    });
    server.on("exit", () => fail(new Error(`the server ended: ${text}`)));
  });
  return { process: server, port };
}

/** A server for all tests of the suite that this is called in; its port is known while they run. */
export function suiteServer(): { readonly port: number } {
  let server: Awaited<ReturnType<typeof startServer>> | undefined;
  before(async () => {
    server = await startServer();
  });
  after(() => void server?.process.kill());
  return {
    get port() {
      assert.ok(server !== undefined, "the suite's server has not started");
      return server.port;
    },
  };
}

/** A client on the server at `port`, stopped where the bundled guest delivers its first IPI to CPU 1: in 64-bit code, with all devices set up. */
export const atFirstIpi = (port: number, body: (client: Client) => Promise<void>): Promise<void> =>
  withClient(async (client) => {
    await client.launch({ program: smpGuest, cpus: 2 }, () =>
      client.breakOn({ filterId: "interrupt.deliver", condition: "vector == 0xf0 && dst == 1" }),
    );
    await client.stop();
    await body(client);
  }, port);

/** A folder for a test's files, removed afterwards by the function returned. */
export function temporaryFolder(): {
  path: (name: string) => string;
  write: (name: string, content: Uint8Array | string) => string;
  remove: () => void;
} {
  const folder = mkdtempSync(join(tmpdir(), "apicscope-"));
  const path = (name: string): string => join(folder, name);
  return {
    path,
    write: (name, content) => {
      writeFileSync(path(name), content);
      return path(name);
    },
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** Where the code of {@link codeImage} begins. */
export const codeBase = 0x100000n;

/** A 64-bit ELF image that begins at its first byte of code, with interrupts off. */
export function codeImage(...code: number[]): Uint8Array {
  return elf({ bits: 64, entry: codeBase, segments: [{ physical: codeBase, data: Uint8Array.from(code), memorySize: 0x2000 }] });
}

/** Line number (from 1) of the first line of a file that contains `text`. */
export function lineOf(content: string, text: string): number {
  const line = content.split("\n").findIndex((candidate) => candidate.includes(text));
  assert.ok(line >= 0, `no line contains ${text}`);
  return line + 1;
}
