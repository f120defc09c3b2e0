import type { DeliveredEvent } from "../cpu/system/context";
import { hex, hex64 } from "./numbers";
import { exceptionName } from "./words";

/** An exception as it was about to enter its handler. */
export interface LoggedException {
  readonly event: DeliveredEvent;
  /** Instructions that the machine had retired. */
  readonly instruction: number;
}

const kept = 16;

/** The last exceptions of each CPU: what is told when a guest dies. */
export class ExceptionLog {
  private readonly rings: LoggedException[][];

  constructor(cpus: number) {
    this.rings = Array.from({ length: cpus }, () => []);
  }

  add(cpu: number, event: DeliveredEvent, instruction: number): void {
    const ring = this.rings[cpu];
    if (ring.length === kept) ring.shift();
    ring.push({ event, instruction });
  }

  /** Remembers the log. Returns what brings it back. */
  save(): () => void {
    const rings = this.rings.map((ring) => [...ring]);
    return () => this.rings.forEach((ring, cpu) => ring.splice(0, ring.length, ...rings[cpu]));
  }

  /** Oldest first. */
  of(cpu: number): readonly LoggedException[] {
    return this.rings[cpu];
  }
}

/** Whether delivering this is an exception of the CPU rather than an interrupt or an INT instruction. */
export function isException(event: DeliveredEvent): boolean {
  switch (event.kind) {
    case "exception":
    case "trap":
      return true;
    case "software":
      return event.vector === 3 || event.vector === 4;
    case "external":
    case "nmi":
      return false;
  }
}

/** "#PF page fault, error code 0x2, CR2 0x0000000000001000 at 0xffffffff81000000 <symbol+0x4>". */
export function describeException(event: DeliveredEvent, symbolOf: (address: bigint) => string | undefined): string {
  const symbol = symbolOf(event.rip);
  return [
    exceptionName(event.vector),
    event.errorCode < 0 ? "" : `, error code ${hex(event.errorCode)}`,
    event.vector === 14 ? `, CR2 ${hex64(event.address)}` : "",
    ` at ${hex64(event.rip)}`,
    symbol === undefined ? "" : ` <${symbol}>`,
  ].join("");
}
