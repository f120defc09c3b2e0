// The main job on the bundled guest: opens it in VS Code where one is found, else debugs it in the terminal.
//   node scripts/demo.mjs [--terminal]
import { spawn, spawnSync } from "node:child_process";
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "..");
const build = spawnSync(process.execPath, ["scripts/build.mjs"], { cwd: root, stdio: "inherit" });
if (build.status !== 0) process.exit(build.status ?? 1);

/** The `code` command of an installed VS Code: VSCODE_PATH, or on PATH where there is a display to show it on. */
function findCode() {
  if (process.argv.includes("--terminal")) return undefined;
  if (process.env.VSCODE_PATH) return process.env.VSCODE_PATH;
  const display = process.platform !== "linux" || process.env.DISPLAY || process.env.WAYLAND_DISPLAY;
  if (!display) return undefined;
  for (const name of ["code", "code-insiders", "codium"]) {
    const found = spawnSync(name, ["--version"], { stdio: "ignore", shell: process.platform === "win32" });
    if (found.status === 0) return name;
  }
  return undefined;
}

const code = findCode();
if (code === undefined) {
  const session = spawn(
    process.execPath,
    ["dist/cli.js", "session", ...process.argv.slice(2).filter((argument) => argument !== "--terminal")],
    {
      cwd: root,
      stdio: "inherit",
    },
  );
  session.on("exit", (status) => process.exit(status ?? 1));
} else {
  console.log("Opening the bundled guest in VS Code: press F5 there to start it; it stops on an interrupt from CPU 0 to CPU 1.");
  const window = spawn(code, ["--new-window", `--extensionDevelopmentPath=${root}`, resolve(root, "guests/smp")], {
    stdio: "inherit",
    shell: process.platform === "win32",
  });
  window.on("exit", (status) => process.exit(status ?? 1));
}
