import { assert } from "../../common/errors";
import { BRANCH_HINTS } from "./branchHints";
import { type CodeBuilder, encodeType, type ValueType } from "./code";
import { pushUnsigned } from "./leb";
import { MAX_MEMORY_PAGES, SHARED_MEMORY } from "./sharedMemory";

/** Assembles a WebAssembly module: imports first, then functions. Memory, which is shared (memory.ts), is imported as "env"."memory", table 0 as "env"."table". */
export class ModuleBuilder {
  private readonly types: string[] = [];
  private readonly typeBytes: number[][] = [];
  private readonly imports: { name: string; type: number }[] = [];
  private readonly functions: { type: number; code: CodeBuilder }[] = [];
  private readonly exports: { name: string; index: number }[] = [];

  /** Imports function "env".`name`; returns its index. All imports come before the first `add`. */
  import(name: string, parameters: readonly ValueType[], results: readonly ValueType[]): number {
    assert(this.functions.length === 0, "imports come first");
    this.imports.push({ name, type: this.type(parameters, results) });
    return this.imports.length - 1;
  }

  /** Index that the function added next gets. */
  get nextIndex(): number {
    return this.imports.length + this.functions.length;
  }

  /** Adds a function, exported under `name` if given; returns its index. */
  add(code: CodeBuilder, name?: string): number {
    const index = this.nextIndex;
    this.functions.push({ type: this.type(code.parameters, code.results), code });
    if (name !== undefined) this.exports.push({ name, index });
    return index;
  }

  /** The binary module. `memoryPages` is the minimum size of the imported memory, in 64 KiB pages. */
  bytes(memoryPages: number): Uint8Array<ArrayBuffer> {
    const out: number[] = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00];
    const section = (id: number, body: number[]): void => {
      out.push(id);
      pushUnsigned(out, body.length);
      for (const byte of body) out.push(byte);
    };
    const vector = (items: number[][]): number[] => {
      const body: number[] = [];
      pushUnsigned(body, items.length);
      for (const item of items) for (const byte of item) body.push(byte);
      return body;
    };
    const name = (text: string): number[] => [text.length, ...new TextEncoder().encode(text)];
    const index = (value: number): number[] => {
      const bytes: number[] = [];
      pushUnsigned(bytes, value);
      return bytes;
    };
    section(1, vector(this.typeBytes));
    section(
      2,
      vector([
        [...name("env"), ...name("memory"), 0x02, SHARED_MEMORY, ...index(memoryPages), ...index(MAX_MEMORY_PAGES)],
        [...name("env"), ...name("table"), 0x01, 0x70, 0x00, 0x00],
        ...this.imports.map(({ name: imported, type }) => [...name("env"), ...name(imported), 0x00, ...index(type)]),
      ]),
    );
    section(3, vector(this.functions.map(({ type }) => index(type))));
    section(7, vector(this.exports.map((entry) => [...name(entry.name), 0x00, ...index(entry.index)])));
    section(0, [
      ...name(BRANCH_HINTS),
      ...vector(
        this.functions.flatMap(({ code: { hints } }, i) => {
          if (hints.length === 0) return [];
          const items: number[][] = [];
          for (let k = 0; k < hints.length; k += 2) items.push([...index(hints[k]), 1, hints[k + 1]]);
          return [[...index(this.imports.length + i), ...vector(items)]];
        }),
      ),
    ]);
    section(
      10,
      vector(
        this.functions.map(({ code }) => {
          const body = code.body();
          return [...index(body.length), ...body];
        }),
      ),
    );
    return Uint8Array.from(out);
  }

  /** Index of a function type, for indirect calls. */
  type(parameters: readonly ValueType[], results: readonly ValueType[]): number {
    const key = `${parameters.join()}>${results.join()}`;
    const known = this.types.indexOf(key);
    if (known >= 0) return known;
    this.types.push(key);
    this.typeBytes.push([0x60, parameters.length, ...parameters.map(encodeType), results.length, ...results.map(encodeType)]);
    return this.types.length - 1;
  }
}
