// The .vsix: its size and content, and that it works with nothing else from this project.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { builtinModules } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join, posix } from "node:path";
import { after, before, describe, test } from "node:test";
import { unzipSync } from "fflate";

interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly publisher: string;
  readonly main: string;
  readonly icon: string;
  readonly contributes: { readonly walkthroughs: { readonly steps: { readonly media: { readonly markdown: string } }[] }[] };
}

describe("the .vsix", () => {
  const folder = mkdtempSync(join(tmpdir(), "apicscope-vsix-"));
  const extension = join(folder, "extension");
  let size = 0;
  let manifest: Manifest;

  before(() => {
    const file = join(folder, "apicscope.vsix");
    const made = spawnSync(process.execPath, ["scripts/package.mjs", "--out", file], { encoding: "utf8", timeout: 480_000 });
    assert.equal(made.status, 0, made.stdout + made.stderr);
    const bytes = readFileSync(file);
    size = bytes.length;
    for (const [path, content] of Object.entries(unzipSync(bytes))) {
      assert.ok(!path.includes("..") && !path.startsWith("/"), path);
      mkdirSync(dirname(join(folder, path)), { recursive: true });
      writeFileSync(join(folder, path), content);
    }
    manifest = JSON.parse(readFileSync(join(extension, "package.json"), "utf8")) as Manifest;
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  test("is smaller than 3 MB and has what it needs, without sources and maps", () => {
    assert.ok(size < 3_000_000, `${size} bytes`);
    const needed = [
      "dist/cli.js",
      "dist/main.js",
      "dist/worker.js",
      "dist/adapter.js",
      "dist/engine.js",
      "dist/iced.js",
      "dist/memoryThread.js",
      "dist/compileThread.js",
      "dist/iced_x86_bg.wasm",
      "dist/demangle_bg.wasm",
      "dist/timeline.js",
      "guests/smp/smp.elf",
      "README.md",
      "LICENSE.txt",
    ];
    for (const path of [...needed, manifest.main, manifest.icon, "CHANGELOG.md"]) assert.ok(existsSync(join(extension, path)), path);
    for (const { steps } of manifest.contributes.walkthroughs)
      for (const { media } of steps) assert.ok(existsSync(join(extension, media.markdown)), media.markdown);
    const absent = [
      "src",
      "test",
      "node_modules",
      "dist/cli.js.map",
      "scripts",
      "docs/images/timeline-light.png",
      "docs/images/timeline-contrast.png",
    ];
    for (const path of absent) assert.ok(!existsSync(join(extension, path)), path);
  });

  test("names itself as the extension's manifest does", () => {
    const text = readFileSync(join(folder, "extension.vsixmanifest"), "utf8");
    assert.match(text, new RegExp(`Id="${manifest.name}" Version="${manifest.version}" Publisher="${manifest.publisher}"`));
    for (const [, path] of text.matchAll(/Path="([^"]+)"/g)) assert.ok(existsSync(join(folder, path)), path);
  });

  test("every link of its texts leads to something in it", () => {
    for (const file of ["README.md", "CHANGELOG.md", "docs/adapter.md"]) {
      const text = readFileSync(join(extension, file), "utf8");
      for (const [, link] of text.matchAll(/\]\(([^)#:]+)(?:#[^)]*)?\)/g))
        assert.ok(existsSync(join(extension, posix.join(posix.dirname(file), link))), `${file}: ${link}`);
    }
  });

  test("its bundles ask for nothing but Node, VS Code and each other", () => {
    const known = new Set([...builtinModules, ...builtinModules.map((name) => `node:${name}`), "vscode"]);
    for (const bundle of ["extension.js", "cli.js", "main.js", "adapter.js", "worker.js", "engine.js", "iced.js"]) {
      const text = readFileSync(join(extension, "dist", bundle), "utf8");
      for (const [, name] of text.matchAll(/\brequire\("([^"]+)"\)/g)) {
        const beside = name.startsWith("./") && existsSync(join(extension, "dist", name));
        assert.ok(known.has(name) || beside, `${bundle} requires ${name}`);
      }
    }
  });

  test("its command line runs the bundled guest, with nothing around it", () => {
    const run = spawnSync(process.execPath, [join(extension, "dist/cli.js"), "run", join(extension, "guests/smp/smp.elf"), "--cpus", "4"], {
      ...{ cwd: folder, env: {}, encoding: "utf8", timeout: 480_000 },
    });
    assert.equal(run.status, 1, run.stderr);
    assert.match(run.stdout, /^PASS$/m);
  });

  test("its adapter debugs the bundled guest", () => {
    const session = spawnSync(process.execPath, [join(extension, "dist/cli.js"), "session"], {
      ...{ cwd: folder, env: {}, encoding: "utf8", timeout: 480_000 },
    });
    assert.equal(session.status, 0, session.stderr);
    assert.match(session.stdout, /IPI vector 0xf0, CPU 0 -> CPU 1, delivered/);
  });
});
