// Runs the unit tests with Node's own runner: `npm test [-- PATTERN...]` runs the test files whose path contains a pattern.
// Files named *.long.test.ts are left to `npm run test:long` (--long). Bundles the entry points first: adapter tests run them.
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";

const args = process.argv.slice(2);
const long = args.includes("--long");
const patterns = args.filter((argument) => !argument.startsWith("--"));
const files = readdirSync("test", { recursive: true })
  .map((file) => `test/${file}`)
  .filter((file) => file.endsWith(".test.ts") && !file.startsWith("test/vscode/"))
  .filter((file) => file.endsWith(".long.test.ts") === long)
  .filter((file) => patterns.length === 0 || patterns.some((pattern) => file.includes(pattern)))
  .sort();
if (files.length === 0) {
  console.error(`No test file matches ${patterns.join(" ")}`);
  process.exit(1);
}
const build = spawnSync(process.execPath, ["scripts/build.mjs"], { stdio: "inherit" });
if (build.status !== 0) process.exit(build.status ?? 1);
const run = spawnSync(process.execPath, ["--import", "tsx", "--test", "--test-concurrency=2", "--test-reporter=spec", ...files], {
  stdio: "inherit",
});
process.exit(run.status ?? 1);
