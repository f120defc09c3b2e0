/** The recorded vectors can be read, cover every form, and a damaged file is refused. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { describe, test } from "node:test";
import { gunzipSync, gzipSync } from "node:zlib";
import { AREA, readVectorFile, type VectorCase, VectorFormatError } from "./format.js";
import { coverageList } from "./recorder/coverage.js";
import { FORMS } from "./recorder/forms/index.js";
import { outcomeDifferences, replay, type VectorTarget } from "./replay.js";

const DATA = join(import.meta.dirname, "data");
/** Cases that each form must have at the least. */
const FEWEST_CASES = 8;

function dataFiles(): string[] {
  return readdirSync(DATA)
    .filter((name) => name.endsWith(".bin.gz"))
    .sort()
    .map((name) => join(DATA, name));
}

const first = (): Buffer => readFileSync(join(DATA, "arithmetic.bin.gz"));

/** A target that answers with the recorded outcome, with a way to falsify it. */
class Echo implements VectorTarget {
  private item: VectorCase | undefined;

  constructor(private readonly falsify: (register: bigint) => bigint) {}

  load(item: VectorCase): void {
    this.item = item;
  }

  step(): void {}

  readRegister(index: number): bigint {
    return this.falsify(this.loaded().after.regs[index]);
  }

  readFlags(): bigint {
    return this.loaded().after.rflags;
  }

  readRip(): bigint {
    return this.loaded().after.rip;
  }

  readMemory(address: number, length: number): Uint8Array {
    const window = this.loaded().after.memory.find((each) => each.address === address);
    return window?.bytes ?? new Uint8Array(length);
  }

  readTrap(): VectorCase["trap"] {
    return this.loaded().trap;
  }

  private loaded(): VectorCase {
    assert.ok(this.item);
    return this.item;
  }
}

describe("instruction vectors", () => {
  test("every form of every mode is recorded", () => {
    const recorded = new Map<string, number>();
    for (const file of dataFiles()) {
      for (const form of readVectorFile(readFileSync(file)).forms) recorded.set(`${form.mode} ${form.id}`, form.cases);
    }
    const missing = FORMS.filter(({ mode, id }) => (recorded.get(`${mode} ${id}`) ?? 0) < FEWEST_CASES);
    assert.deepEqual(
      missing.map(({ mode, id }) => `${mode} ${id}`),
      [],
      "record them with test/vectors/record.sh --out test/vectors/data",
    );
    assert.equal(recorded.size, FORMS.length, "the data hold forms that the recorder no longer knows");
  });

  test("COVERAGE.md lists what is recorded", () => {
    const files = dataFiles().map((file) => [basename(file), readVectorFile(readFileSync(file)).forms] as const);
    const path = join(import.meta.dirname, "COVERAGE.md");
    assert.ok(readFileSync(path, "utf8") === coverageList(files), "write it with record.sh --coverage test/vectors/COVERAGE.md");
  });

  test("cases decode to a consistent state", () => {
    for (const file of dataFiles()) {
      const vectors = readVectorFile(readFileSync(file));
      // A tenth of the forms here; the replay and the long test read all of them.
      const sample = new Set(vectors.forms.filter((_, number) => number % 10 === 0));
      let cases = 0;
      for (const item of vectors.cases((form) => sample.has(form))) {
        cases++;
        if (item.before.memory.length !== item.after.memory.length) assert.fail(`windows of ${item.form.id}`);
        for (const { address, bytes } of item.before.memory) {
          if (address < AREA.codeStart || address + bytes.length > AREA.end) assert.fail(`a window of ${item.form.id} at ${address}`);
        }
        if (item.mode !== 64 && item.before.regs.some((value) => value > 0xffffffffn)) assert.fail(`registers of ${item.form.id}`);
      }
      assert.equal(
        cases,
        [...sample].reduce((sum, form) => sum + form.cases, 0),
      );
    }
  });

  test("forms can be selected, and reading twice gives the same", () => {
    const vectors = readVectorFile(first());
    const select = ({ id, mode }: { id: string; mode: number }): boolean => id === "ADC r/m32, r32 [mem]" && mode === 32;
    const once = [...vectors.cases(select)];
    assert.ok(once.length >= FEWEST_CASES);
    assert.ok(once.every((item) => item.mode === 32 && item.form.id === "ADC r/m32, r32 [mem]" && item.before.memory.length === 1));
    assert.deepEqual([...vectors.cases(select)], once);
  });

  test("a known sum comes out as the SDM says", () => {
    for (const item of readVectorFile(first()).cases(({ id, mode }) => id === "ADD AL, imm8" && mode === 64)) {
      const left = Number(item.before.regs[0] & 0xffn);
      const right = item.code[item.code.length - 1];
      assert.equal(Number(item.after.regs[0] & 0xffn), (left + right) & 0xff);
      assert.equal(Number(item.after.rflags & 1n), left + right > 0xff ? 1 : 0);
    }
  });

  test("a damaged file is refused", () => {
    const file = first();
    const refused = (bytes: Uint8Array, reason: RegExp): void => {
      assert.throws(
        () => [...readVectorFile(bytes).cases()],
        (error) => error instanceof VectorFormatError && reason.test(error.message),
      );
    };
    refused(new Uint8Array(0), /gzip/);
    refused(file.subarray(0, file.length >> 1), /gzip/);
    const flipped = Uint8Array.from(file);
    flipped[file.length >> 1] ^= 0x10;
    refused(flipped, /gzip/);
    const plain = gunzipSync(file);
    refused(gzipSync(plain.subarray(0, plain.length - 9)), /cut short|end/);
    refused(gzipSync(plain.subarray(0, 4)), /cut short/);
    const otherMagic = Uint8Array.from(plain);
    otherMagic[7] ^= 1;
    refused(gzipSync(otherMagic), /version/);
    const badHeader = Uint8Array.from(plain);
    badHeader[12] = 0x20;
    refused(gzipSync(badHeader), /JSON|header/);
  });

  test("replay accepts the recorded outcome and reports any other", () => {
    const vectors = readVectorFile(first());
    const select = ({ id }: { id: string }): boolean => id.startsWith("NEG");
    const right = replay(vectors, new Echo((value) => value), { select });
    assert.ok(right.cases > 0);
    assert.equal(right.failed, 0);
    const wrong = replay(vectors, new Echo((value) => value ^ 1n), { select, keep: 1 });
    assert.equal(wrong.failed, wrong.cases);
    assert.equal(wrong.failures.length, wrong.failedForms.size);
    assert.match(wrong.failures[0].differences[0], /instead of/);
  });

  test("flags that are undefined are not compared, all others are", () => {
    const [item] = readVectorFile(first()).cases(({ id, mode }) => id === "AND r/m32, r32 [reg]" && mode === 64);
    const actual = (flips: bigint): string[] =>
      outcomeDifferences(item, {
        regs: item.after.regs,
        rflags: item.after.rflags ^ flips,
        rip: item.after.rip,
        memory: [],
        trap: null,
      });
    assert.deepEqual(actual(0x10n), []);
    assert.equal(actual(0x40n).length, 1);
  });
});
