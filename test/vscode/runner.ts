// The test runner inside the extension host: tests register themselves on import, run() is called by VS Code and appends
// each result to the file named by APICSCOPE_TEST_REPORT as one line of JSON (scripts/vscode-test.mjs prints them). A file,
// since standard output of an extension host does not reach every kind of window.
import { appendFileSync } from "node:fs";

interface Test {
  readonly name: string;
  readonly body: () => void | Promise<void>;
  readonly timeout: number;
}

const tests: Test[] = [];
const preparations: (() => Promise<void>)[] = [];

/** What nothing takes however busy the machine is: only what hangs meets these limits. That of one wait is the shorter, since its message says more. */
const testMilliseconds = 5 * 60_000;
const waitMilliseconds = 2 * 60_000;

/** Registers a test. */
export function test(name: string, body: () => void | Promise<void>): void {
  tests.push({ name, body, timeout: testMilliseconds });
}

/** Registers what is done before each test, as a part of it: a test that failed may have left anything. */
export function beforeEach(prepare: () => Promise<void>): void {
  preparations.push(prepare);
}

/** Adds a line to the run's output. */
export function log(text: string): void {
  report({ kind: "log", text });
}

/** Runs all registered tests one after another; rejects if any failed, as VS Code expects of a test module. */
export async function run(): Promise<void> {
  let failed = 0;
  let unprepared: string | undefined;
  for (const { name, body, timeout } of tests) {
    const started = Date.now();
    let prepared = false;
    const whole = async (): Promise<void> => {
      for (const prepare of preparations) await prepare();
      prepared = true;
      await body();
    };
    const error = unprepared === undefined ? await outcome(whole, timeout) : `not tried: "${unprepared}" could not be prepared`;
    // What cannot be made ready for one test cannot for the others: each would wait in vain.
    if (!prepared) unprepared ??= name;
    if (error !== undefined) failed++;
    report({ kind: "test", name, milliseconds: Date.now() - started, error });
  }
  report({ kind: "done" });
  if (failed > 0) throw new Error(`${failed} of ${tests.length} tests failed`);
}

async function outcome(body: Test["body"], timeout: number): Promise<string | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no end after ${timeout} ms`)), timeout);
  });
  try {
    await Promise.race([Promise.resolve().then(body), late]);
    return undefined;
  } catch (error) {
    return error instanceof Error ? (error.stack ?? error.message) : String(error);
  } finally {
    clearTimeout(timer);
  }
}

function report(entry: object): void {
  const file = process.env["APICSCOPE_TEST_REPORT"];
  if (file === undefined) throw new Error("APICSCOPE_TEST_REPORT is not set");
  appendFileSync(file, `${JSON.stringify(entry)}\n`);
}

/** Waits until `probe` returns something other than undefined. */
export async function eventually<T>(
  what: string,
  probe: () => T | undefined | Promise<T | undefined>,
  milliseconds = waitMilliseconds,
): Promise<T> {
  const end = Date.now() + milliseconds;
  for (;;) {
    const value = await probe();
    if (value !== undefined) return value;
    if (Date.now() > end) throw new Error(`${what}: not within ${milliseconds} ms`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
