// A plugin for esbuild: bundles get the interpreter's WebAssembly module as bytes, not the code that assembles it.
import { build } from "esbuild";
import { createRequire } from "node:module";
import { join } from "node:path";

const MODULE = join("src", "tcg", "interpreter", "assembled.ts");

/** What a source file of the project in the current directory exports. */
export async function exportsOf(source) {
  const { outputFiles } = await build({ entryPoints: [source], bundle: true, format: "cjs", write: false, logLevel: "warning" });
  const module = { exports: {} };
  new Function("module", "exports", "require", outputFiles[0].text)(module, module.exports, createRequire(import.meta.url));
  return module.exports;
}

/** The bytes of the interpreter's module. */
export const interpreterBytes = async () => (await exportsOf(MODULE)).assembledInterpreter();

export const assembledInterpreter = {
  name: "assembled-interpreter",
  setup(bundler) {
    bundler.onLoad({ filter: /[\\/]interpreter[\\/]assembled\.ts$/ }, async () => {
      const text = Buffer.from(await interpreterBytes()).toString("base64");
      const contents = `
        const text = ${JSON.stringify(text)};
        /** The interpreter's module. */
        export const assembledInterpreter = () => {
          // atob takes Node 5 ms.
          if (typeof Buffer === "function") return Buffer.from(text, "base64");
          const characters = atob(text);
          const bytes = new Uint8Array(characters.length);
          for (let i = 0; i < bytes.length; i++) bytes[i] = characters.charCodeAt(i);
          return bytes;
        };`;
      return { contents, loader: "js" };
    });
  },
};
