import { deflateRawSync } from "node:zlib";
import { ScreenRenderer } from "../devices/vga/screen";
import { textLines } from "../devices/vga/snapshot";
import type { Machine } from "../machine/machine";
import type { ScreenResponse } from "./screenProtocol";

/** Pictures of one machine's screen for one client: each holds what has changed since the last. */
export class ScreenPictures {
  private readonly renderer = new ScreenRenderer();
  private picture = 0;

  constructor(private readonly machine: Machine) {}

  next(since: number | undefined, running: boolean): ScreenResponse {
    const { width, height, pixels, changed } = this.machine.screen(this.renderer);
    const whole = since === undefined || since !== this.picture;
    const [first, last] = whole ? [0, height - 1] : (changed ?? [0, -1]);
    if (whole || changed !== undefined) this.picture++;
    const rows = last - first + 1;
    const bytes = pixels.subarray(first * width * 4, (last + 1) * width * 4);
    const snapshot = rows === 0 ? undefined : this.machine.screenSnapshot();
    return {
      ...{ width, height, picture: this.picture, first, rows, running },
      data: rows === 0 ? "" : deflateRawSync(bytes, { level: 1 }).toString("base64"),
      ...(snapshot?.kind === "text" ? { text: textLines(snapshot) } : {}),
    };
  }
}
