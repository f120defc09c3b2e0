// launch.json in the editor: completion, hovers, and what is marked as wrong, all by VS Code's own JSON support from the manifest's schema.
import assert from "node:assert/strict";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as vscode from "vscode";
import { eventually, test } from "./runner";

let files = 0;

/** A launch.json of its own each time: VS Code may know an old one's text for a while. */
function path(): string {
  const folder = join(vscode.workspace.workspaceFolders?.[0]?.uri.fsPath ?? "", `schema${++files}`, ".vscode");
  mkdirSync(folder, { recursive: true });
  return join(folder, "launch.json");
}

/** Opens a launch.json with one configuration of these attributes. */
async function opened(attributes: object): Promise<vscode.TextDocument> {
  const configuration = { type: "apicscope", request: "launch", name: "test", ...attributes };
  const file = path();
  writeFileSync(file, JSON.stringify({ version: "0.2.0", configurations: [configuration] }, null, 2));
  const document = await vscode.workspace.openTextDocument(vscode.Uri.file(file));
  await vscode.window.showTextDocument(document);
  return document;
}

async function closed(document: vscode.TextDocument): Promise<void> {
  await vscode.commands.executeCommand("workbench.action.closeAllEditors");
  rmSync(document.uri.fsPath, { force: true });
}

const wrong: readonly (readonly [string, object, RegExp])[] = [
  ["neither program nor disk", {}, /program|disks|cdrom/i],
  ["too many CPUs", { program: "/k", cpus: 65 }, /64/],
  ["an unknown engine", { program: "/k", engine: "fast" }, /auto|jit/],
  [
    "an initrd with firmware",
    { program: "/k", firmware: "seabios", disks: ["/d"], initrd: "/i" },
    /"initrd" has no effect with "firmware"/,
  ],
  ["a command line without a kernel", { disks: ["/d"], cmdline: "quiet" }, /"cmdline" needs the kernel in "program"/],
  ["firmware without anything to boot", { program: "/k", firmware: "seabios" }, /"firmware" boots from a disk or CD/],
  ["an unknown stage", { program: "/k", interruptBreakpoints: [{ filter: "interrupt.sent" }] }, /interrupt\.send/],
  ["a wrong hit count", { program: "/k", interruptBreakpoints: [{ filter: "nmi", hitCondition: "twice" }] }, /number of hits/],
];

for (const [name, attributes, expected] of wrong) {
  test(`launch.json with ${name} is marked`, async () => {
    const document = await opened(attributes);
    try {
      const found = await eventually("a mark", () => {
        const messages = vscode.languages.getDiagnostics(document.uri).map(({ message }) => message);
        return messages.some((message) => expected.test(message)) ? messages : undefined;
      });
      assert.ok(found.length > 0);
    } finally {
      await closed(document);
    }
  });
}

test("a good launch.json has no marks, hovers tell what an attribute means, and completion offers attributes and snippets", async () => {
  const document = await opened({ program: "/k", cpus: 65, interruptBreakpoints: [{ filter: "nmi", hitCondition: ">= 3" }] });
  const marks = (): string[] => vscode.languages.getDiagnostics(document.uri).map(({ message }) => message);
  try {
    // Marks come a moment later: that there are none tells something only where there was one.
    await eventually("the mark of what is wrong at first", () => (marks().length === 1 ? true : undefined));
    const wrong = document.getText().indexOf("65");
    const mend = new vscode.WorkspaceEdit();
    mend.replace(document.uri, new vscode.Range(document.positionAt(wrong), document.positionAt(wrong + 2)), "2");
    assert.ok(await vscode.workspace.applyEdit(mend));
    assert.ok(await document.save());
    await eventually("no mark", () => (marks().length === 0 ? true : undefined));
    const at = document.positionAt(document.getText().indexOf('"cpus"') + 2);
    let seen = "";
    const hover = await eventually("a hover", async () => {
      const hovers = await vscode.commands.executeCommand<vscode.Hover[]>("vscode.executeHoverProvider", document.uri, at);
      const text = hovers.flatMap(({ contents }) => contents.map((part) => (typeof part === "string" ? part : part.value))).join("\n");
      seen = text;
      return text.includes("Number of CPUs") ? text : undefined;
    }).catch((error: unknown) => {
      throw new Error(`hovers say: ${seen}`, { cause: error });
    });
    assert.match(hover, /Number of CPUs, 1 to 64, each with its own local APIC/);
    const labels = async (position: vscode.Position): Promise<string[]> => {
      const list = await vscode.commands.executeCommand<vscode.CompletionList>(
        "vscode.executeCompletionItemProvider",
        document.uri,
        position,
      );
      return list.items.map(({ label }) => (typeof label === "string" ? label : label.label));
    };
    const attributes = await eventually("attributes", async () => {
      const found = await labels(at);
      return found.some((label) => label.includes("memory")) ? found : undefined;
    });
    for (const name of ["initrd", "disks", "firmware", "symbols", "engine"])
      assert.ok(
        attributes.some((label) => label.includes(name)),
        name,
      );
    const list = document.positionAt(document.getText().indexOf("[") + 1);
    const kinds = ["Multiboot", "Linux", "PVH", "Disk image", "CD-ROM", "xv6", "memtest86+"];
    let offered: string[] = [];
    const missing = (): string[] => kinds.filter((kind) => !offered.some((label) => label.startsWith("APICScope") && label.includes(kind)));
    await eventually("snippets", async () => {
      offered = await labels(list);
      return missing().length === 0 ? true : undefined;
    }).catch((error: unknown) => {
      throw new Error(`${missing().join(", ")} among ${offered.join(", ")}`, { cause: error });
    });
  } finally {
    await closed(document);
  }
});
