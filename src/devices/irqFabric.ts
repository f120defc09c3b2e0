import { assert } from "../common/errors";
import type { State } from "../common/state";
import type { Device, IrqLine, RegisterView } from "./device";
import { StateReader } from "./stateReader";

/**
 * The wires from devices to interrupt controllers: line n is asserted while any of its sources asserts it (wired OR), and
 * each change of the whole goes to `sink`.
 *
 * Saving: `restore` drives no wire. Every receiver saves the levels of its own inputs; so a device's `restore` need not, and must
 * not, call its line.
 */
export class IrqFabric implements Device {
  readonly name = "irq";
  private readonly levels: boolean[] = [];
  private readonly asserted: Uint8Array;

  /**
   * @param lines number of lines (24: the pins of the I/O APIC)
   * @param sink hears every change of a line's level; the board passes it on to 8259 and I/O APIC
   */
  constructor(
    lines: number,
    private readonly sink: (line: number, level: boolean) => void,
  ) {
    this.asserted = new Uint8Array(lines);
  }

  /** A new independent source of `line`. Sources are created once, when the board is built, always in the same order. */
  source(line: number): IrqLine {
    assert(line >= 0 && line < this.asserted.length, `interrupt line ${line}`);
    assert(this.levels.length < 0x100, "too many interrupt sources");
    const index = this.levels.length;
    this.levels.push(false);
    return (level) => {
      if (this.levels[index] === level) return;
      this.levels[index] = level;
      this.asserted[line] += level ? 1 : -1;
      if (this.asserted[line] === (level ? 1 : 0)) this.sink(line, level);
    };
  }

  /** Level of a line. */
  level(line: number): boolean {
    return this.asserted[line] > 0;
  }

  /** Wires keep no state of their own: devices drop their lines when they are reset. */
  reset(): void {}

  save(): State {
    return { levels: this.levels.map((level) => (level ? 1 : 0)), asserted: this.asserted.slice() };
  }

  restore(state: State): void {
    const reader = new StateReader(state, this.name);
    const levels = reader.numbers("levels");
    this.asserted.set(reader.bytes("asserted", this.asserted.length));
    for (let index = 0; index < this.levels.length; index++) this.levels[index] = levels[index] === 1;
  }

  registers(): readonly RegisterView[] {
    const high = [...this.asserted.keys()].filter((line) => this.asserted[line] > 0);
    const value = high.reduce((bits, line) => bits | (1n << BigInt(line)), 0n);
    return [
      { name: "lines", value, bits: this.asserted.length, text: high.length === 0 ? "none asserted" : `asserted: ${high.join(", ")}` },
    ];
  }
}
