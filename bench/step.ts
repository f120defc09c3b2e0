// How long a step takes from the request to the last answer that a client needs: the adapter alone, asked as VS Code and the
// extension ask it after a step. `node --import tsx bench/step.ts [--cpus N] [--steps N] [--granularity line|instruction]`, after
// `npm run build`. Prints medians and 95th percentiles in milliseconds.
import { spawn } from "node:child_process";
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import type { DebugProtocol } from "@vscode/debugprotocol";
import { MessageReader, frame } from "../src/adapter/framing";
import { interruptStateRequest } from "../src/adapter/protocol";
import { lintsRequest } from "../src/adapter/insightProtocol";
import { timelineRequest, type TimelinePage } from "../src/adapter/timelineProtocol";

/** Frames of the second reading of a stack, as VS Code asks for them. */
const furtherFrames = 19;

const { values } = parseArgs({
  options: {
    cpus: { type: "string", default: "4" },
    steps: { type: "string", default: "60" },
    granularity: { type: "string", default: "line" },
    program: { type: "string", default: resolve("guests/smp/smp.elf") },
  },
});

/** A DAP client over the adapter's standard input and output. */
class Client {
  private readonly adapter = spawn(process.execPath, [resolve("dist/cli.js"), "dap"], { stdio: ["pipe", "pipe", "inherit"] });
  private sequence = 0;
  private readonly waiting = new Map<number, (response: DebugProtocol.Response) => void>();
  private readonly heard = new Map<string, ((event: DebugProtocol.Event) => void)[]>();

  constructor() {
    const reader = new MessageReader((message) => this.receive(message));
    this.adapter.stdout.on("data", (piece: Buffer) => reader.push(piece));
  }

  private receive(message: DebugProtocol.ProtocolMessage): void {
    if (message.type === "response") {
      const response = message as DebugProtocol.Response;
      this.waiting.get(response.request_seq)?.(response);
      this.waiting.delete(response.request_seq);
    } else if (message.type === "event") {
      const event = message as DebugProtocol.Event;
      this.heard.get(event.event)?.shift()?.(event);
    }
  }

  /** Sends a request; the answer's body. */
  async ask(command: string, args: object = {}): Promise<unknown> {
    const seq = ++this.sequence;
    const answer = new Promise<DebugProtocol.Response>((taken) => this.waiting.set(seq, taken));
    this.adapter.stdin.write(frame({ seq, type: "request", command, arguments: args }));
    const response = await answer;
    if (!response.success) throw new Error(`${command}: ${response.message}`);
    return response.body as unknown;
  }

  /** The next event of this kind from now on. */
  next(kind: string): Promise<DebugProtocol.Event> {
    return new Promise((taken) => this.heard.set(kind, [...(this.heard.get(kind) ?? []), taken]));
  }

  end(): void {
    this.adapter.stdin.end();
    this.adapter.kill();
  }
}

const samples = new Map<string, number[]>();

async function timed<T>(name: string, work: Promise<T>): Promise<T> {
  const started = performance.now();
  const result = await work;
  samples.set(name, [...(samples.get(name) ?? []), performance.now() - started]);
  return result;
}

async function measure(): Promise<void> {
  const client = new Client();
  try {
    await client.ask("initialize", { adapterID: "apicscope", supportsInvalidatedEvent: true, supportsMemoryEvent: true });
    const initialized = client.next("initialized");
    await client.ask("launch", {
      program: values.program,
      cpus: Number(values.cpus),
      interruptBreakpoints: [{ filter: "interrupt.deliver", condition: "vector == 0xf0 && dst == 1" }],
    });
    await initialized;
    const first = client.next("stopped");
    await client.ask("configurationDone");
    await first;
    const read = async (since: object | undefined): Promise<TimelinePage> =>
      (await client.ask(timelineRequest, since === undefined ? {} : { since })) as TimelinePage;
    let page = await read(undefined);
    while (page.more) page = await read(page.point);
    let { point } = page;
    const threadId = 2;
    for (let step = 0; step < Number(values.steps); step++) {
      const started = performance.now();
      const stopped = client.next("stopped");
      void client.ask("stepIn", { threadId, granularity: values.granularity });
      await timed("step, to the stop", stopped);
      await timed(
        "all answers",
        (async () => {
          const ofTree = timed("interruptState", client.ask(interruptStateRequest));
          const ofTimeline = timed("timeline", read(point));
          await timed("threads", client.ask("threads"));
          const top = (await timed("stackTrace, 1 frame", client.ask("stackTrace", { threadId, startFrame: 0, levels: 1 }))) as {
            stackFrames: DebugProtocol.StackFrame[];
          };
          const { scopes } = (await timed("scopes", client.ask("scopes", { frameId: top.stackFrames[0].id }))) as {
            scopes: DebugProtocol.Scope[];
          };
          for (const { name, variablesReference } of scopes)
            await timed(`variables, ${name}`, client.ask("variables", { variablesReference }));
          await timed("stackTrace, the rest", client.ask("stackTrace", { threadId, startFrame: 1, levels: furtherFrames }));
          for (let other = 1; other <= Number(values.cpus); other++)
            if (other !== threadId)
              await timed("stackTrace, another CPU", client.ask("stackTrace", { threadId: other, startFrame: 0, levels: 1 }));
          await timed("lints", client.ask(lintsRequest));
          await ofTree;
          point = (await ofTimeline).point;
        })(),
      );
      const list = samples.get("whole step") ?? [];
      list.push(performance.now() - started);
      samples.set("whole step", list);
    }
  } finally {
    client.end();
  }
}

void measure().then(() => {
  for (const [name, list] of samples) {
    list.sort((a, b) => a - b);
    const at = (share: number): string => list[Math.min(list.length - 1, Math.floor(list.length * share))].toFixed(2).padStart(8);
    console.log(`${name.padEnd(28)} median ${at(0.5)}  p95 ${at(0.95)}  worst ${list[list.length - 1].toFixed(2).padStart(8)}`);
  }
});
