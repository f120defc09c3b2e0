import type { DebugProtocol } from "@vscode/debugprotocol";
import type { Args } from "./arguments";
import type { EngineMethod, EngineMethods } from "./rpc";

/** How the client counts and writes. */
export interface ClientSettings {
  readonly lineBase: 0 | 1;
  readonly columnBase: 0 | 1;
  /** Paths are URIs. */
  readonly uris: boolean;
  readonly invalidatedEvents: boolean;
  readonly memoryEvents: boolean;
  /** Shows how far long work is. */
  readonly progress: boolean;
}

/** What a request's handler may use of the session. */
export interface RequestContext {
  readonly client: ClientSettings;
  /** Asks the engine; the client can cancel the request while it waits. */
  readonly call: <M extends EngineMethod>(method: M, args: EngineMethods[M]["args"]) => Promise<EngineMethods[M]["result"]>;
  readonly sendEvent: (event: DebugProtocol.Event) => void;
  /** To be done once the response is out. */
  readonly after: (action: () => void) => void;
  readonly session: SessionControl;
}

/** The session's life, for the handlers that begin and end it. */
export interface SessionControl {
  setClient(client: ClientSettings): void;
  /** Starts an engine; there must be none. */
  startEngine(): void;
  stopEngine(): Promise<void>;
  /** Whether there is a guest: false before it has been loaded. */
  launched: boolean;
  /** How many CPUs the guest has, which are its threads; undefined without a guest. */
  cpus: number | undefined;
  /** Tells the client that there is no guest any more. */
  tellEnd(): void;
  /** Takes back another request; false when it is not under way. */
  cancel(request: number): boolean;
  /** Takes back the request whose work is told under this id; false when there is none. */
  cancelProgress(id: string): boolean;
  /** Ends the connection. */
  close(): void;
  /** Places that a client may choose to go on at, by the ids it was given. */
  readonly gotoTargets: Map<number, bigint>;
}

/** Carries out one kind of request and gives the response's body. Throws UserErrors for what the client did wrong. */
export type Handler = (args: Args, context: RequestContext) => Promise<object | void> | object | void;
export type HandlerTable = Readonly<Record<string, Handler>>;
