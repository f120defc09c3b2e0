import { createServer, type Server, type Socket } from "node:net";
import { ApicScopeSession } from "../adapter/session";
import { UserError } from "../common/errors";

interface DapOptions {
  /** Undefined: standard input and output. */
  readonly port: number | undefined;
}

function parseOptions(args: readonly string[]): DapOptions {
  let port: number | undefined;
  for (let i = 0; i < args.length; i++) {
    const [name, inline] = args[i].split("=", 2);
    if (name !== "--port") throw new UserError(`dap has no option ${JSON.stringify(args[i])}; it takes --port N.`, args[i]);
    const value = inline ?? args[++i];
    if (value === undefined || !/^\d{1,5}$/.test(value) || Number(value) > 65_535)
      throw new UserError(`--port takes a port number from 0 to 65535${value === undefined ? "" : `, not "${value}"`}.`, "--port");
    port = Number(value);
  }
  return { port };
}

/**
 * `apicscope dap [--port N]`: serves the Debug Adapter Protocol on standard input and output, or to any number of clients on a local TCP
 * port (0 chooses one). Resolves with the exit status when all is over. Throws a {@link UserError} for wrong options.
 */
export async function runDapServer(args: readonly string[]): Promise<number> {
  const { port } = parseOptions(args);
  return port === undefined ? serveStdio() : serveTcp(port);
}

function serveStdio(): Promise<number> {
  // Standard output belongs to the protocol.
  console.log = console.error;
  return new Promise((resolve) => {
    const session = new ApicScopeSession(() => {
      process.stdin.pause();
      process.stdin.unref?.();
      resolve(0);
    });
    session.start(process.stdin, process.stdout);
    process.stdin.on("end", () => session.shutdown());
    process.on("SIGTERM", () => session.shutdown());
  });
}

function serveClient(socket: Socket): void {
  const session = new ApicScopeSession(() => socket.end());
  session.setRunAsServer(true);
  socket.setNoDelay(true);
  session.start(socket, socket);
}

function serveTcp(port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const server: Server = createServer({ allowHalfOpen: false }, serveClient);
    server.on("error", (error) => reject(new UserError(`Port ${port} cannot be used: ${error.message}.`, "--port")));
    server.on("close", () => resolve(0));
    server.listen(port, "127.0.0.1", () => {
      const address = server.address();
      const actual = typeof address === "object" && address !== null ? address.port : port;
      process.stderr.write(`Listening for debug clients on 127.0.0.1:${actual}.\n`);
    });
    process.on("SIGTERM", () => process.exit(0));
  });
}
