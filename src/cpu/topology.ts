import { UserError } from "../common/errors";

/** How a machine's CPUs are arranged. Neighbours share a core, then a socket; all cores have equally many threads, all sockets equally many cores. */
export interface Topology {
  readonly sockets: number;
  /** Cores of a socket. */
  readonly cores: number;
  /** Threads of a core. */
  readonly threads: number;
  /** Local APIC id of each CPU: thread, core and socket in as many bits as they need (SDM vol. 3, "Hierarchical Mapping of Shared Resources"). */
  readonly apicIds: readonly number[];
}

/** What the user says of it; undefined: whatever makes the number of CPUs come out. */
export interface Arrangement {
  readonly sockets?: number;
  readonly cores?: number;
  readonly threads?: number;
}

/** Bits that number `count` things. */
export const idBits = (count: number): number => (count <= 1 ? 0 : 32 - Math.clz32(count - 1));

/**
 * The topology of `cpus` CPUs. Without a word of the user they are the cores of one socket.
 * @throws UserError about `subject` when the numbers do not make `cpus`.
 */
export function arrange(cpus: number, wish: Arrangement, subject: string): Topology {
  const threads = wish.threads ?? 1;
  const cores = wish.cores ?? Math.floor(cpus / (threads * (wish.sockets ?? 1)));
  const sockets = wish.sockets ?? Math.floor(cpus / (threads * cores));
  if (sockets * cores * threads !== cpus) {
    const given = (["sockets", "cores", "threads"] as const).filter((name) => wish[name] !== undefined);
    const text = given.map((name) => `${name}=${wish[name]}`).join(",");
    throw new UserError(`\`${subject}\` has ${text}, which ${cpus} CPUs cannot be divided into.`, subject);
  }
  const threadBits = idBits(threads);
  const socketBits = threadBits + idBits(cores);
  const apicIds = Array.from({ length: cpus }, (_, cpu) => {
    const thread = cpu % threads;
    const core = Math.floor(cpu / threads) % cores;
    return (Math.floor(cpu / (threads * cores)) << socketBits) | (core << threadBits) | thread;
  });
  return { sockets, cores, threads, apicIds };
}
