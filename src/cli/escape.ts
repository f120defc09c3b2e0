import type { InputSink } from "./standardInput";

const ESCAPE = 0x01;

const help = `
Ctrl-A x       end the run
Ctrl-A s       save the machine's state to the file of --save-state
Ctrl-A h       this help
Ctrl-A Ctrl-A  send Ctrl-A to the guest
`;

/** Sifts the commands of a person at a terminal out of what is for the guest: Ctrl-A and one more key. */
export class EscapeFilter {
  private escaped = false;

  constructor(private readonly sink: InputSink) {}

  input(bytes: Uint8Array): void {
    const passed: number[] = [];
    for (const byte of bytes) {
      if (!this.escaped) {
        if (byte === ESCAPE) this.escaped = true;
        else passed.push(byte);
        continue;
      }
      this.escaped = false;
      if (byte === ESCAPE) passed.push(byte);
      else this.command(String.fromCharCode(byte));
    }
    if (passed.length > 0) this.sink.bytes(Uint8Array.from(passed));
  }

  private command(key: string): void {
    switch (key) {
      case "x":
        return this.sink.quit();
      case "s":
        return this.sink.save();
      case "h":
      case "?":
        return this.sink.say(help);
      default:
        // Anything else was a slip: neither command nor input.
        return;
    }
  }
}
