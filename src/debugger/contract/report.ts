import { recordLines } from "../stops";
import type { StatementResult } from "./contract";

type SymbolOf = (address: bigint) => string | undefined;

/** The results for people: each statement, and what broke it with its records. */
export function contractLines(results: readonly StatementResult[], symbolOf: SymbolOf): string[] {
  const lines: string[] = [];
  for (const { text, violations, count } of results) {
    lines.push(`${count === 0 ? "holds " : "BROKEN"}  ${text}`);
    for (const { text: why, record } of violations) {
      lines.push(`          ${why}`);
      if (record !== undefined) lines.push(...recordLines(record, symbolOf).map((line) => `            ${line}`));
    }
    if (count > violations.length) lines.push(`          and ${count - violations.length} more`);
  }
  const broken = results.filter((result) => result.count > 0).length;
  lines.push(
    broken === 0 ? `the contract holds: ${results.length} statements` : `the contract is broken: ${broken} of ${results.length} statements`,
  );
  return lines;
}

const escapes: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&apos;" };

/** XML 1.0 has no control characters but tab and line ends. */
function xml(text: string): string {
  // eslint-disable-next-line no-control-regex -- they are what is looked for
  return text.replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f]/g, "?").replace(/[&<>"']/g, (character) => escapes[character] ?? character);
}

/** The results as JUnit XML, one test case a statement. `seconds` is the wall-clock time of the run. */
export function junitReport(results: readonly StatementResult[], suite: string, seconds: number, symbolOf: SymbolOf): string {
  const failures = results.filter((result) => result.count > 0).length;
  const cases = results.map((result) => {
    const open = `  <testcase classname="${xml(suite)}" name="${xml(result.text)}"`;
    if (result.count === 0) return `${open}/>`;
    const details = contractLines([result], symbolOf).slice(1, -1).join("\n");
    const first = result.violations[0]?.text ?? "";
    return `${open}>\n    <failure message="${xml(first)}">${xml(details)}</failure>\n  </testcase>`;
  });
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuite name="${xml(suite)}" tests="${results.length}" failures="${failures}" time="${seconds.toFixed(3)}">`,
    ...cases,
    "</testsuite>",
    "",
  ].join("\n");
}
