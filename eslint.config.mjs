import js from "@eslint/js";
import tseslint from "typescript-eslint";

const layers = (patterns, message) => ({ "no-restricted-imports": ["error", { patterns: [{ group: patterns, message }] }] });

export default tseslint.config(
  { ignores: ["dist/", "node_modules/", "out/", ".vscode-test/", "guests/**/*.js", "docs/"] },
  js.configs.recommended,
  {
    files: ["**/*.ts"],
    extends: [...tseslint.configs.recommendedTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      "@typescript-eslint/no-explicit-any": "error",
      "@typescript-eslint/no-non-null-assertion": "error",
      "@typescript-eslint/switch-exhaustiveness-check": ["error", { considerDefaultExhaustiveForUnions: true }],
      "@typescript-eslint/no-unused-vars": ["error", { argsIgnorePattern: "^_", varsIgnorePattern: "^_" }],
      "no-fallthrough": "off",
    },
  },
  {
    files: ["test/**/*.ts"],
    rules: { "@typescript-eslint/no-floating-promises": "off" },
  },
  {
    // The machine is host-agnostic: nothing below adapter/ may reach for Node or VS Code.
    files: ["src/{tcg,cpu,apic,devices,firmware,machine,debugger}/**/*.ts"],
    rules: layers(
      ["node:*", "vscode", "fs", "path", "worker_threads", "@vscode/*", "**/adapter/*", "**/extension/*", "**/cli/*"],
      "Layers below adapter/ are host-agnostic (docs/architecture.md).",
    ),
  },
  {
    files: ["src/{tcg,cpu,apic,devices,firmware}/**/*.ts"],
    rules: layers(
      ["node:*", "vscode", "fs", "path", "worker_threads", "@vscode/*", "**/adapter/*", "**/extension/*", "**/cli/*", "**/debugger/*"],
      "The emulator knows nothing of the debugger.",
    ),
  },
  {
    files: ["src/{adapter,cli}/**/*.ts"],
    rules: layers(["vscode", "**/extension/*"], "Only src/extension may import vscode."),
  },
  {
    files: ["**/*.mjs"],
    languageOptions: {
      globals: {
        process: "readonly",
        console: "readonly",
        URL: "readonly",
        setTimeout: "readonly",
        clearTimeout: "readonly",
        Buffer: "readonly",
        fetch: "readonly",
      },
    },
  },
  {
    // Functions that run in the page.
    files: ["scripts/webview-test.mjs", "scripts/vscode-workbench.mjs", "test/webview/browser/*.mjs", "test/vscode/browser/*.mjs"],
    languageOptions: { globals: { window: "readonly", document: "readonly", requestAnimationFrame: "readonly", performance: "readonly" } },
  },
);
