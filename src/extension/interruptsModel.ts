// What the 'Interrupts' view shows, as plain nodes: made from the adapter's state and the breakpoints, compared with the last
// stop. Knows nothing of VS Code, so that it can be tested and so that the view is a mere rendering of it.
import type { InterruptGate, InterruptState } from "../adapter/protocol";
import { cpuNode } from "./cpuRows";
import type { InterruptNode } from "./interruptNodes";
import { ioApicNodes, messagesNode } from "./routeRows";
import { tableNodes } from "./tableRows";

/** State of one session's interrupts: this stop and the one before. */
export class InterruptHistory {
  private current: InterruptState | undefined;
  private previous: InterruptState | undefined;
  /** Gates of tables that were read at this stop and at the one before, by the table's row. */
  private gates = new Map<string, readonly InterruptGate[]>();
  private previousGates = new Map<string, readonly InterruptGate[]>();

  get state(): InterruptState | undefined {
    return this.current;
  }

  /** State at the stop before this one; undefined at the first. */
  get baseline(): InterruptState | undefined {
    return this.previous;
  }

  /** Takes in a newly read state. Reading the same stop again keeps what it is compared with. */
  update(state: InterruptState): void {
    if (this.current !== undefined && this.current.stopSequence !== state.stopSequence) {
      this.previous = this.current;
      this.previousGates = this.gates;
    }
    this.gates = new Map();
    this.current = state;
  }

  /** The gates of a table as of this stop, if they were read. */
  gatesOf(tableId: string): readonly InterruptGate[] | undefined {
    return this.gates.get(tableId);
  }

  /** The same at the stop before. */
  gatesBefore(tableId: string): readonly InterruptGate[] | undefined {
    return this.previousGates.get(tableId);
  }

  keepGates(tableId: string, gates: readonly InterruptGate[]): void {
    this.gates.set(tableId, gates);
  }
}

/** Rows of the whole machine. `focusedThread` is the DAP thread that the user looks at. */
export function machineNodes(history: InterruptHistory, focusedThread: number | undefined): InterruptNode[] {
  const { state, baseline } = history;
  if (state === undefined) return [];
  const cpus = state.cpus.map((cpu) => {
    const before = baseline?.cpus.find(({ index }) => index === cpu.index);
    return cpuNode(cpu, before, cpu.threadId === focusedThread);
  });
  return [...cpus, ...ioApicNodes(state, baseline), messagesNode(state, baseline), ...tableNodes(state, baseline)];
}
