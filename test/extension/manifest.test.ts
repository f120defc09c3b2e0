// The manifest: what is said of commands and menus in it, beyond what VS Code itself checks.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";

interface MenuItem {
  readonly command: string;
  readonly when?: string;
  readonly group?: string;
}

interface Manifest {
  readonly contributes: {
    readonly commands: readonly { readonly command: string; readonly title: string; readonly icon?: string }[];
    readonly menus: Readonly<Record<string, readonly MenuItem[]>>;
    readonly views: Readonly<Record<string, readonly { readonly id: string }[]>>;
    readonly walkthroughs: readonly {
      readonly steps: readonly { readonly id: string; readonly description: string; readonly completionEvents: readonly string[] }[];
    }[];
  };
}

const { contributes } = JSON.parse(readFileSync("package.json", "utf8")) as Manifest;
const commands = new Map(contributes.commands.map((entry) => [entry.command, entry]));
const buttons = (menu: string, group: string): readonly MenuItem[] =>
  contributes.menus[menu].filter((item) => item.group?.startsWith(group) === true);

describe("the manifest", () => {
  test("what a row's button does is in its context menu too, or in the Command Palette: a keyboard has no buttons", () => {
    const inMenu = contributes.menus["view/item/context"].filter(({ group }) => group?.startsWith("inline") !== true);
    const hidden = new Set(contributes.menus["commandPalette"].filter(({ when }) => when === "false").map(({ command }) => command));
    const inline = buttons("view/item/context", "inline");
    assert.ok(inline.length > 5);
    for (const { command, when } of inline)
      assert.ok(inMenu.some((item) => item.command === command && item.when === when) || !hidden.has(command), `${command} when ${when}`);
  });

  test("buttons have icons, and every command a title in words, which is what a screen reader says", () => {
    for (const { command } of [...buttons("view/item/context", "inline"), ...buttons("view/title", "navigation")])
      assert.match(commands.get(command)?.icon ?? "", /^\$\([a-z-]+\)$/, command);
    for (const { command, title } of contributes.commands) assert.match(title, /^[A-Z][\w\s]+(\.\.\.|\?)?$/, command);
  });

  test("the walkthrough's buttons and events are of commands and views that there are", () => {
    const views = Object.values(contributes.views).flatMap((list) => list.map(({ id }) => id));
    for (const { id, description, completionEvents } of contributes.walkthroughs.flatMap(({ steps }) => steps)) {
      const pressed = [...description.matchAll(/\]\(command:([\w.]+)\)/g)].map((match) => match[1]);
      assert.equal(pressed.length, 1, id);
      assert.ok(commands.has(pressed[0]) || views.includes(pressed[0].replace(/\.focus$/, "")), pressed[0]);
      for (const event of completionEvents) {
        const [kind, what] = event.split(":");
        assert.ok(kind === "onView" ? views.includes(what) : what === pressed[0], `${id}: ${event}`);
      }
    }
  });
});
