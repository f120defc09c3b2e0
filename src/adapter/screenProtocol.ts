// Requests and events behind a guest's screen, keyboard and serial terminal. Types and names only, shared by the adapter and its clients.

/** Request `apicscope/screen`: what the guest's screen shows now. Works while the guest runs. */
export const screenRequest = "apicscope/screen";

export interface ScreenArguments {
  /** Number of the picture that the client has; only rows that differ from it come. Left out, or not the last one sent: all rows. */
  since?: number;
}

export interface ScreenResponse {
  width: number;
  height: number;
  /** Number of this picture. */
  picture: number;
  /** First row that is sent, and how many; 0 when nothing has changed. */
  first: number;
  rows: number;
  /** The rows as red, green, blue, 255 of each pixel, compressed (raw DEFLATE, RFC 1951), in base64. */
  data: string;
  /** Lines of a text screen. */
  text?: string[];
  running: boolean;
}

/** Request `apicscope/keyInput`: keys of the guest's keyboard go down and up. */
export const keyInputRequest = "apicscope/keyInput";

export interface KeyInput {
  /** The W3C's `KeyboardEvent.code`, such as "KeyA". */
  code: string;
  down: boolean;
}

export interface KeyInputArguments {
  keys: KeyInput[];
}

/** Event `apicscope/serialOutput`: bytes of the first serial port, with the launch attribute `serial` set to "terminal". */
export const serialOutputEvent = "apicscope/serialOutput";

export interface SerialOutputBody {
  /** Base64. */
  data: string;
}
