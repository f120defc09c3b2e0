// How DAP messages travel in a stream of bytes: a header with Content-Length, an empty line, that many bytes of JSON.
import type { DebugProtocol } from "@vscode/debugprotocol";

/** A message as it is written to a stream. */
export function frame(message: object): Buffer {
  const body = Buffer.from(JSON.stringify(message), "utf8");
  return Buffer.concat([Buffer.from(`Content-Length: ${body.length}\r\n\r\n`, "latin1"), body]);
}

/** Cuts a stream into its messages, whatever pieces it comes in. */
export class MessageReader {
  private pieces: Buffer[] = [];
  private length = 0;
  /** Bytes of the message whose header has been read; undefined between messages. */
  private wanted: number | undefined;

  /** `take` gets each message. */
  constructor(private readonly take: (message: DebugProtocol.ProtocolMessage) => void) {}

  /** Takes in the next bytes. Throws a SyntaxError for a message that is no JSON; a header without a length is skipped. */
  push(piece: Buffer): void {
    this.pieces.push(piece);
    this.length += piece.length;
    // A large message comes in many pieces: they are joined once.
    if (this.wanted !== undefined && this.length < this.wanted) return;
    let rest = this.pieces.length === 1 ? piece : Buffer.concat(this.pieces);
    for (;;) {
      if (this.wanted === undefined) {
        const end = rest.indexOf("\r\n\r\n");
        if (end < 0) break;
        const length = /^Content-Length: *(\d+)$/im.exec(rest.toString("latin1", 0, end))?.[1];
        rest = rest.subarray(end + 4);
        if (length === undefined) continue;
        this.wanted = Number(length);
      }
      if (rest.length < this.wanted) break;
      const text = rest.toString("utf8", 0, this.wanted);
      rest = rest.subarray(this.wanted);
      this.wanted = undefined;
      this.take(JSON.parse(text) as DebugProtocol.ProtocolMessage);
    }
    this.pieces = rest.length === 0 ? [] : [rest];
    this.length = rest.length;
  }
}
