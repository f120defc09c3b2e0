import type { State } from "../common/state";
import { RESET_PORT, SYSTEM_CONTROL_A_PORT } from "./board";
import type { Device, DeviceContext, RegisterView } from "./device";
import { byteHandler } from "./ports";
import { StateReader } from "./stateReader";

/** The A20 gate: one signal that the keyboard controller and port 0x92 both drive; the last to write wins. */
export class A20Gate {
  private state = true;

  /** `onChange` hears the new level: true lets address bit 20 through. */
  constructor(private readonly onChange: (enabled: boolean) => void = () => undefined) {}

  get enabled(): boolean {
    return this.state;
  }

  set(enabled: boolean): void {
    if (enabled === this.state) return;
    this.state = enabled;
    this.onChange(enabled);
  }

  /** Puts back a saved level without telling anybody: receivers save their own. */
  restore(enabled: boolean): void {
    this.state = enabled;
  }
}

/**
 * The reset control register at 0xCF9 and system control port A at 0x92 (fast A20 and fast reset). Owns the A20 gate.
 * `requestReset` is called from within the guest's OUT: the machine resets at the next instruction boundary.
 */
export class ResetControl implements Device {
  readonly name = "reset";
  readonly a20: A20Gate;
  private control = 0;
  private portA = 0;

  constructor(context: DeviceContext, requestReset: () => void, onA20Change?: (enabled: boolean) => void) {
    this.a20 = new A20Gate(onA20Change);
    context.mapPorts(
      "reset.control",
      RESET_PORT,
      1,
      byteHandler(
        () => this.control,
        (_port, value) => {
          // A rising RST_CPU (bit 2) resets; SYS_RST (bit 1) and FULL_RST (bit 3) only say how much.
          const rises = (value & ~this.control & 0x04) !== 0;
          this.control = value & 0x0e;
          if (rises) requestReset();
        },
      ),
    );
    context.mapPorts(
      "reset.portA",
      SYSTEM_CONTROL_A_PORT,
      1,
      byteHandler(
        () => (this.portA & ~0x02) | (this.a20.enabled ? 0x02 : 0),
        (_port, value) => {
          const rises = (value & ~this.portA & 0x01) !== 0;
          this.portA = value & 0xfd;
          this.a20.set((value & 0x02) !== 0);
          if (rises) requestReset();
        },
      ),
    );
  }

  reset(): void {
    this.control = 0;
    this.portA = 0;
    this.a20.set(true);
  }

  save(): State {
    return { control: this.control, portA: this.portA, a20: this.a20.enabled };
  }

  restore(state: State): void {
    const reader = new StateReader(state, this.name);
    this.control = reader.number("control");
    this.portA = reader.number("portA");
    this.a20.restore(reader.boolean("a20"));
  }

  registers(): readonly RegisterView[] {
    return [
      { name: "RST_CNT", value: BigInt(this.control), bits: 8 },
      {
        name: "port 0x92",
        value: BigInt((this.portA & ~2) | (this.a20.enabled ? 2 : 0)),
        bits: 8,
        text: this.a20.enabled ? "A20 on" : "A20 off",
      },
    ];
  }
}
