/** Branches that modules foretell: each must be one, or V8 heeds none of them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { assembleModule } from "../../src/tcg/backend/module";
import { assembleInterpreter } from "../../src/tcg/interpreter/interpreter";
import { FunctionWriter, insert, I32, W } from "../../src/tcg/wasm/writer";

const IF = 0x04;
const BR_IF = 0x0d;

interface Hint {
  readonly function: number;
  readonly offset: number;
  readonly taken: number;
}

/** Hints of a module, and its functions' bodies from their locals on. */
function read(module: Uint8Array): { hints: Hint[]; bodies: Uint8Array[]; imported: number } {
  const hints: Hint[] = [];
  const bodies: Uint8Array[] = [];
  let at = 8;
  let imported = 0;
  const unsigned = (): number => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = module[at++];
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < module.length) {
    const section = module[at++];
    const size = unsigned();
    const end = at + size;
    if (section === 2) {
      for (let entries = unsigned(); entries > 0; entries--) {
        for (let name = 0; name < 2; name++) {
          const length = unsigned();
          at += length;
        }
        const kind = module[at++];
        if (kind === 0) imported++;
        if (kind === 1) at++;
        // A type, or limits: flags, a minimum, a maximum.
        const flags = unsigned();
        for (let more = kind === 0 ? 0 : 1 + (flags & 1); more > 0; more--) unsigned();
      }
      assert.equal(at, end);
    } else if (section === 0) {
      const length = unsigned();
      assert.equal(Buffer.from(module.subarray(at, at + length)).toString(), "metadata.code.branch_hint");
      assert.equal(bodies.length, 0, "the section comes before the code");
      at += length;
      for (let functions = unsigned(); functions > 0; functions--) {
        const index = unsigned();
        for (let count = unsigned(); count > 0; count--) {
          const offset = unsigned();
          assert.equal(unsigned(), 1);
          hints.push({ function: index, offset, taken: unsigned() });
        }
      }
      assert.equal(at, end);
    } else if (section === 10) {
      for (let functions = unsigned(); functions > 0; functions--) {
        const length = unsigned();
        bodies.push(module.subarray(at, at + length));
        at += length;
      }
    }
    at = end;
  }
  return { hints, bodies, imported };
}

function check(module: Uint8Array, expected: number): void {
  const { hints, bodies, imported } = read(module);
  assert.ok(hints.length >= expected, `${hints.length} hints`);
  let last = { function: -1, offset: -1 };
  for (const hint of hints) {
    const opcode = bodies[hint.function - imported][hint.offset];
    assert.ok(opcode === IF || opcode === BR_IF, `function ${hint.function}, offset ${hint.offset}: ${opcode}`);
    assert.ok(hint.taken === 0 || hint.taken === 1);
    assert.ok(hint.function > last.function || (hint.function === last.function && hint.offset > last.offset), "in order");
    last = hint;
  }
}

test("the interpreter foretells what leaves its fast paths", () => check(assembleInterpreter(), 100));

test("generated code foretells its exits, wherever a body is put", () => {
  const w = new FunctionWriter(3);
  w.local(I32);
  w.get(1).ifRare().end().get(1).ifMostly(I32).i32(1).else().i32(2).end();
  const outer = new FunctionWriter(3).declare(w.declared);
  outer.block().append(w.code(), w.hints).op(W.drop).end().i32(0);
  const body = outer.hintedBody();
  assert.equal(body.hints.length, 4);
  check(assembleModule([body, body], [0, 1], 1), 4);
});

test("code put in at marks moves what is foretold behind it", () => {
  const w = new FunctionWriter(3);
  w.mark(0, 1n).get(1).ifRare().end().mark(0, 2n).get(1).ifRare().end().mark(0, undefined).i32(0);
  const piece = (size: number): FunctionWriter => {
    const inserted = new FunctionWriter(3);
    for (let i = 0; i < size; i++) inserted.get(1).ifUsual().end();
    return inserted;
  };
  const body = w.hintedBody();
  for (const pieces of [
    [piece(1), undefined, piece(2)],
    [undefined, piece(40), undefined],
    [piece(20), piece(20), piece(20)],
  ]) {
    const linked = insert(body, pieces);
    const added = pieces.reduce((sum, inserted) => sum + (inserted?.hints.length ?? 0), 0);
    assert.equal(linked.hints.length, body.hints.length + added);
    const module = assembleModule([linked, body], [0, 1], 1);
    check(module, linked.hints.length / 2);
    new WebAssembly.Module(module);
  }
  assert.equal(insert(body, [undefined, undefined, undefined]), body);
});
