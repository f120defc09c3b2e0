/** A text terminal of 80 by 25 cells, as much of one as guests' serial consoles need: text, CR, LF, and ESC [ row ; column H, ESC [ 2 J; other escapes change nothing. */
export class Screen {
  private readonly cells: string[][] = Array.from({ length: 25 }, () => Array.from({ length: 80 }, () => " "));
  private row = 0;
  private column = 0;
  private escape: string | undefined;

  write(bytes: Uint8Array): void {
    for (const byte of bytes) this.put(String.fromCharCode(byte));
  }

  /** Row `number`, counted from 1. */
  line(number: number): string {
    return this.cells[number - 1].join("");
  }

  get text(): string {
    return this.cells.map((row) => row.join("").trimEnd()).join("\n");
  }

  private put(character: string): void {
    if (this.escape !== undefined) return this.continueEscape(character);
    if (character === "\x1b") this.escape = "";
    else if (character === "\r") this.column = 0;
    else if (character === "\n") this.row = Math.min(24, this.row + 1);
    else if (character >= " ") {
      this.cells[this.row][this.column] = character;
      this.column = Math.min(79, this.column + 1);
    }
  }

  private continueEscape(character: string): void {
    this.escape = `${this.escape ?? ""}${character}`;
    const complete = /^\[([\d;?]*)([A-Za-z])$/.exec(this.escape);
    if (complete === null) {
      if (this.escape.length > 16) this.escape = undefined;
      return;
    }
    this.escape = undefined;
    const [row, column] = complete[1].split(";").map(Number);
    if (complete[2] === "H") {
      this.row = Math.min(24, Math.max(0, (row || 1) - 1));
      this.column = Math.min(79, Math.max(0, (column || 1) - 1));
    } else if (complete[2] === "J") for (const cells of this.cells) cells.fill(" ");
  }
}
