/**
 * Records instruction vectors on the host's CPU, or verifies recorded files by running them there again.
 *
 *   record.sh [--inputs N] [--seed S] [--out DIRECTORY] [--only TEXT] [--coverage FILE]
 *   record.sh --verify FILE...
 *
 * Code of 16 and 32 bits needs a kernel that lets it run (32-bit programs, modify_ldt), a form of a CPUID feature a kernel that names it: without, forms are left out, and
 * said to be.
 */
import { cpus } from "node:os";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type Mode, RFLAGS, RIP, STATE_SIZE } from "../expand.js";
import { readVectorFile, type VectorCase, type VectorForm } from "../format.js";
import { describeCase, outcomeDifferences, type Observed } from "../replay.js";
import { type FormSpec, prepareCases } from "./cases.js";
import { coverageList } from "./coverage.js";
import { encodeFile, encodeForm } from "./encode.js";
import { FORMS } from "./forms/index.js";
import { hostFeatures } from "./hostFeatures.js";
import { type Outcome, type PreparedCase, type Runnable, runNatively } from "./native.js";

const BATCH = 20000;

interface Recorded {
  readonly form: VectorForm;
  readonly stream: Uint8Array;
}

function runnable(item: PreparedCase): Runnable {
  const windows = item.draft.windows.map(({ address }, number) => ({ address, bytes: item.memory[number] }));
  return { mode: item.mode, code: item.draft.code, state: item.state, windows };
}

function hex(bytes: ArrayLike<number>): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(" ");
}

/** How often a case is run again whose outcome cannot be the processor's, or is not what was recorded. */
const REPEATS = 5;

/**
 * Outcomes with what cannot be the processor's run again: a hypervisor without hardware's help may emulate an instruction that writes to a page it watches, and go on to
 * the INT3 behind it, which it reports as an invalid opcode.
 * @throws Error on a fault that the form does not foresee: its cases do not test what they should
 */
function settle(runner: string, spec: FormSpec, cases: readonly PreparedCase[], outcomes: readonly Outcome[]): Outcome[] {
  const foreseen = ({ trap }: Outcome): boolean => trap === null || spec.traps?.includes(trap.vector) === true;
  return outcomes.map((first, index) => {
    let outcome = first;
    for (let repeat = 0; repeat < REPEATS && !foreseen(outcome); repeat++) [outcome] = runNatively(runner, [runnable(cases[index])]);
    const { trap, state } = outcome;
    if (trap === null || foreseen(outcome)) return outcome;
    const registers = Array.from(cases[index].state, (value) => value.toString(16)).join(" ");
    throw new Error(
      `${spec.mode}-bit "${spec.id}" case ${index} (${hex(cases[index].draft.code)}) raised exception ${trap.vector} ` +
        `(error ${trap.error.toString(16)}) at ${state[RIP].toString(16)}; state before: ${registers}`,
    );
  });
}

/** Whether a NOP in a mode can be run on this machine. */
function runs(runner: string, mode: Mode): boolean {
    const state = new BigUint64Array(STATE_SIZE);
      state[RFLAGS] = 0x202n;
    state[RIP] = mode === 16 ? 0x100n : 0x20100n;
    try {
      return runNatively(runner, [{ mode, code: Uint8Array.of(0x90), state, windows: [] }])[0].trap === null;
    } catch {
      return false;
    }
}

/** Tells whether this machine can run a form; says what is left out, once. */
function hostRuns(runner: string): (form: Pick<FormSpec, "mode" | "feature">) => boolean {
  const modes = ([16, 32, 64] as const).filter((mode) => runs(runner, mode));
  if (modes.length < 3) console.log(`This kernel runs code of ${modes.join(" and ")} bits only: forms of other modes are left out.`);
  const has = hostFeatures();
  const lacking = new Set<string>();
  return ({ mode, feature = "base" }) => {
    if (!has(feature) && !lacking.has(feature)) {
      lacking.add(feature);
      console.log(`This kernel does not name ${feature}: forms that need it are left out.`);
    }
    return modes.includes(mode) && !lacking.has(feature);
  };
}

function recordForms(runner: string, seed: number, inputs: number, specs: readonly FormSpec[]): Recorded[] {
  const recorded: Recorded[] = [];
  let pending: { spec: FormSpec; cases: PreparedCase[] }[] = [];
  const flush = (): void => {
    const outcomes = runNatively(runner, pending.flatMap(({ cases }) => cases.map(runnable)));
    let at = 0;
    for (const { spec, cases } of pending) {
      const results = settle(runner, spec, cases, outcomes.slice(at, at + cases.length));
      at += cases.length;
      const form: VectorForm = {
        id: spec.id,
        mode: spec.mode,
        feature: spec.feature ?? "base",
        undefinedFlags: spec.undefinedFlags ?? 0,
        cases: cases.length,
      };
      recorded.push({ form, stream: encodeForm(form, cases, results) });
    }
    pending = [];
  };
  let size = 0;
  for (const spec of specs) {
    const cases = prepareCases(seed, spec, Math.max(8, Math.round(inputs * (spec.share ?? 1))));
    pending.push({ spec, cases });
    size += cases.length;
    if (size >= BATCH) {
      flush();
      size = 0;
    }
  }
  if (pending.length > 0) flush();
  return recorded;
}

function record(runner: string, seed: number, inputs: number, out: string, only: string): void {
  mkdirSync(out, { recursive: true });
  const keys = new Set<string>();
  for (const { mode, id } of FORMS) {
    if (keys.has(`${mode} ${id}`)) throw new Error(`Two forms are called ${mode} "${id}".`);
    keys.add(`${mode} ${id}`);
  }
  const possible = FORMS.filter(hostRuns(runner));
  const host = cpus()[0]?.model.trim() ?? "unknown";
  let forms = 0;
  let cases = 0;
  let bytes = 0;
  for (const group of new Set(FORMS.map((form) => form.group))) {
    const specs = possible.filter((form) => form.group === group && form.id.includes(only));
    if (specs.length === 0) continue;
    const recorded = recordForms(runner, seed, inputs, specs);
    const file = encodeFile(seed, host, recorded);
    writeFileSync(join(out, `${group}.bin.gz`), file);
    const count = recorded.reduce((sum, { form }) => sum + form.cases, 0);
    console.log(`${group}: ${recorded.length} forms, ${count} cases, ${(file.length / count).toFixed(1)} bytes a case, ${file.length} bytes`);
    forms += recorded.length;
    cases += count;
    bytes += file.length;
  }
  console.log(`${forms} forms, ${cases} cases, ${bytes} bytes`);
}

function observed(outcome: Outcome): Observed {
  return { regs: outcome.state.subarray(0, 16), rflags: outcome.state[RFLAGS], rip: outcome.state[RIP], memory: outcome.memory, trap: outcome.trap };
}

function verify(runner: string, files: readonly string[]): boolean {
  let failures = 0;
  const possible = hostRuns(runner);
  for (const file of files) {
    let batch: VectorCase[] = [];
    let count = 0;
    const flush = (): void => {
      const requests = batch.map((item): Runnable => {
        const state = new BigUint64Array(STATE_SIZE);
        state.set(item.before.regs);
        state[RFLAGS] = item.before.rflags;
        state[RIP] = item.before.rip;
        return { mode: item.mode, code: item.code, state, windows: item.before.memory };
      });
      runNatively(runner, requests).forEach((outcome, index) => {
        let differences = outcomeDifferences(batch[index], observed(outcome));
        for (let repeat = 0; repeat < REPEATS && differences.length > 0; repeat++) {
          const [again] = runNatively(runner, [requests[index]]);
          differences = outcomeDifferences(batch[index], observed(again));
        }
        if (differences.length === 0) return;
        if (failures++ < 20) console.log(`${describeCase(batch[index])}: ${differences.join("; ")}`);
      });
      count += batch.length;
      batch = [];
    };
    for (const item of readVectorFile(readFileSync(file)).cases(possible)) {
      batch.push(item);
      if (batch.length >= BATCH) flush();
    }
    flush();
    console.log(`${file}: ${count} cases run again`);
  }
  console.log(failures === 0 ? "Every case gave what was recorded." : `${failures} cases gave something else.`);
  return failures === 0;
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    runner: { type: "string" },
    inputs: { type: "string", default: "240" },
    seed: { type: "string", default: "1" },
    out: { type: "string", default: "out/vectors" },
    only: { type: "string", default: "" },
    coverage: { type: "string" },
    verify: { type: "boolean", default: false },
  },
});
if (values.runner === undefined) throw new Error("record.sh builds the runner and names it with --runner.");
const inputs = Number(values.inputs);
const seed = Number(values.seed);
if (!Number.isInteger(inputs) || inputs < 1 || !Number.isInteger(seed)) throw new Error("--inputs and --seed take whole numbers.");
if (values.verify) process.exitCode = verify(values.runner, positionals) ? 0 : 1;
else record(values.runner, seed, inputs, values.out, values.only);
if (values.coverage !== undefined) {
  const files = readdirSync(values.out).filter((name) => name.endsWith(".bin.gz"));
  writeFileSync(values.coverage, coverageList(files.sort().map((name) => [name, readVectorFile(readFileSync(join(values.out, name))).forms])));
}
