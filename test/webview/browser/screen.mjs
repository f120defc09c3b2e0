// The guest's screen: its letters stay whole in a small panel, keys go to the guest while it has the focus, and Ctrl+Alt gives them back.
import { deflateRawSync } from "node:zlib";

export async function check({ page, open, support, assert, out }) {
  const { screenHtml } = support;
  await open(({ source, nonce, at }) => screenHtml({ script: at("screen.js"), style: at("screen-style.css"), source, nonce }));
  const [width, height] = [640, 400];
  const pixels = Buffer.alloc(4 * width * height, 0xff);
  for (let at = 0; at < pixels.length; at += 4 * 3) pixels.writeUInt32LE(0xff000000, at);
  const picture = { width, height, picture: 1, first: 0, rows: height, data: deflateRawSync(pixels).toString("base64"), running: false };
  await page.evaluate((message) => window.postMessage(message, "*"), { kind: "picture", picture: { ...picture, text: ["login:"] } });
  await page.waitForFunction(() => window.told.some(({ kind }) => kind === "drawn"));
  assert.equal(await page.textContent("#text"), "login:");

  const rendering = () => page.evaluate(() => window.getComputedStyle(document.getElementById("screen")).imageRendering);
  assert.equal(await rendering(), "pixelated");
  await page.setViewportSize({ width: 420, height: 400 });
  await page.waitForFunction(() => document.getElementById("screen").clientWidth < 420);
  await page.waitForFunction(() => window.getComputedStyle(document.getElementById("screen")).imageRendering === "auto");
  await page.screenshot({ path: `${out}/screen.png` });
  await page.setViewportSize({ width: 1280, height: 800 });
  await page.waitForFunction(() => window.getComputedStyle(document.getElementById("screen")).imageRendering === "pixelated");

  const keys = () => page.evaluate(() => window.told.filter(({ kind }) => kind === "keys").flatMap(({ keys }) => keys));
  await page.focus("#screen");
  await page.keyboard.press("Tab");
  assert.deepEqual(await keys(), [
    { code: "Tab", down: true },
    { code: "Tab", down: false },
  ]);
  await page.keyboard.press("Control+Alt");
  assert.notEqual(await page.evaluate(() => document.activeElement.id), "screen");
  // Nothing stays down at the guest.
  const held = new Set();
  for (const { code, down } of await keys()) held[down ? "add" : "delete"](code);
  assert.deepEqual([...held], []);
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.id), "ctrl-alt-del");
}
