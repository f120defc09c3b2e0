// The screen's webview: draws pictures as they come, and sends keys while it has the focus.
import type { KeyInput, ScreenResponse } from "../../adapter/screenProtocol";
import { part } from "../elements";
import type { FromScreen, ToScreen } from "./messages";

declare function acquireVsCodeApi(): { postMessage(message: FromScreen): void };

const vscode = acquireVsCodeApi();

const canvas = part("screen", HTMLCanvasElement);
const text = part("text", HTMLPreElement);
const status = part("status", HTMLElement);
const hint = part("hint", HTMLElement);

async function inflate(base64: string): Promise<Uint8ClampedArray<ArrayBuffer>> {
  const packed = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  return new Uint8ClampedArray(await new Response(stream).arrayBuffer());
}

/** A picture that is made smaller loses no lines of its letters; one that is not keeps its pixels. */
function fit(): void {
  canvas.classList.toggle("shrunk", canvas.clientWidth < canvas.width || canvas.clientHeight < canvas.height);
}

new ResizeObserver(fit).observe(canvas);

/** Pictures are drawn in the order in which they came. */
let drawing = Promise.resolve();

async function draw({ width, height, first, rows, data, text: lines, picture }: ScreenResponse): Promise<void> {
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
    fit();
  }
  if (rows > 0) canvas.getContext("2d")?.putImageData(new ImageData(await inflate(data), width, rows), 0, first);
  const shown = lines?.map((line) => line.trimEnd()).join("\n") ?? "";
  if (rows > 0 && text.textContent !== shown) text.textContent = shown;
  vscode.postMessage({ kind: "drawn", picture });
}

window.addEventListener("message", ({ data }) => {
  const message = data as ToScreen;
  if (message.kind === "picture") drawing = drawing.then(() => draw(message.picture));
  else {
    status.textContent = message.text;
    canvas.setAttribute("aria-disabled", String(!message.live));
  }
});

// Keys

const down = new Set<string>();

function send(keys: KeyInput[]): void {
  if (keys.length > 0) vscode.postMessage({ kind: "keys", keys });
}

function release(): void {
  send([...down].map((code) => ({ code, down: false })));
  down.clear();
}

function showHint(): void {
  hint.textContent =
    document.activeElement === canvas ? "Keys go to the guest. Ctrl+Alt gives them back." : "Click the screen, or press Tab, to type.";
}

canvas.addEventListener("keydown", (event) => {
  // VS Code must not take the key for a command of its own.
  event.preventDefault();
  event.stopPropagation();
  if (event.code === "" || event.repeat) {
    if (event.code !== "") send([{ code: event.code, down: true }]);
    return;
  }
  down.add(event.code);
  send([{ code: event.code, down: true }]);
});
canvas.addEventListener("keyup", (event) => {
  event.preventDefault();
  event.stopPropagation();
  const given = [...down].every((code) => /^(Control|Alt)/.test(code)) && down.size >= 2;
  if (given) {
    release();
    return canvas.blur();
  }
  if (down.delete(event.code)) send([{ code: event.code, down: false }]);
});
canvas.addEventListener("focus", showHint);
canvas.addEventListener("blur", () => {
  // A key that is let go elsewhere would stay down for the guest.
  release();
  showHint();
});
part("ctrl-alt-del", HTMLButtonElement).addEventListener("click", () => {
  const keys = ["ControlLeft", "AltLeft", "Delete"];
  send([...keys.map((code) => ({ code, down: true })), ...keys.reverse().map((code) => ({ code, down: false }))]);
});
showHint();
vscode.postMessage({ kind: "ready" });
