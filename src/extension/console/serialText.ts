// What comes from a serial port, on its way to a terminal. Knows nothing of VS Code.

/** Characters kept for a terminal that is opened later. */
const maximumKept = 1 << 20;

/** Makes lines of a text whose guest ends them by LF alone begin at the left, as a terminal wants CR LF. Carries state from piece to piece. */
export class LineEnds {
  private last = "";

  next(text: string): string {
    const joined = text.replace(/\n/g, (_match, at: number) => ((at === 0 ? this.last : text[at - 1]) === "\r" ? "\n" : "\r\n"));
    if (text !== "") this.last = text[text.length - 1];
    return joined;
  }
}

/** The newest output of a session. */
export class SerialHistory {
  private pieces: string[] = [];
  private length = 0;

  add(text: string): void {
    this.pieces.push(text);
    this.length += text.length;
    while (this.length > maximumKept && this.pieces.length > 1) this.length -= this.pieces.shift()?.length ?? 0;
  }

  get text(): string {
    if (this.pieces.length > 1) this.pieces = [this.pieces.join("")];
    return this.pieces[0] ?? "";
  }
}
