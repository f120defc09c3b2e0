// Mangled names of C++ and Rust, as symbol tables have them, and names that only look like some.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { demangle } from "../../../src/adapter/demangler";
import { Tag } from "../../../src/debugger/symbols/dwarf/constants";
import { readableName, withoutTemplates } from "../../../src/debugger/symbols/names";
import { SymbolStore } from "../../../src/debugger/symbols/table";
import { fixtureBytes } from "../../fixtures/dwarf/fixture";

describe("mangled names", () => {
  for (const [name, readable] of [
    ["_ZN4demo3fooEi", "demo::foo"],
    ["_ZNK5Shape4areaEv", "Shape::area"],
    ["_ZN5ShapeC2Ev", "Shape::Shape"],
    ["_ZTV5Shape", "{vtable(Shape)}"],
    ["_ZN12_GLOBAL__N_13fooEv", "(anonymous namespace)::foo"],
    ["_ZN4coreclERKi", "core::operator()"],
    ["_ZNSt6vectorIiSaIiEE9push_backERKi", "std::vector<int, std::allocator<int> >::push_back"],
    ["_ZN4demo3fooEi.cold", "demo::foo [clone .cold]"],
    ["_ZN3std2io5stdio6_print17h0123456789abcdefE", "std::io::stdio::_print"],
    ["_RNvCs1234_7mycrate3foo", "mycrate::foo"],
    ["_RNvMs_NtCs1234_7mycrate3barNtB4_3Baz3run", "<mycrate::bar::Baz>::run"],
    ["_RINvNtC3std3mem8align_ofjE", "std::mem::align_of::<usize>"],
    // These are none.
    ...["main", "_start", "_Zbroken", "_R", "_Z", "__raw_spin_lock", "_RAX", "_ZN99999999999999999999a", ""].map(
      (same) => [same, same] as const,
    ),
  ] as const)
    test(`${name} is ${readable}`, () => assert.equal(readableName(name, demangle), readable));

  test("hostile ones end soon, and others are read after them", () => {
    for (const hostile of [
      `_ZN${"1a".repeat(2_000)}E`,
      `_Z${"P".repeat(4_000)}i`,
      `_ZN1A${"IS_".repeat(1_300)}E`,
      `_R${"I".repeat(4_000)}`,
      `_Z${"x".repeat(1e6)}`,
    ]) {
      const before = process.cpuUsage();
      readableName(hostile, demangle);
      const { user, system } = process.cpuUsage(before);
      assert.ok((user + system) / 1000 < 2_000, hostile.slice(0, 20));
    }
    assert.equal(readableName("_ZN4demo3fooEi", demangle), "demo::foo");
  });

  test("instances of templates are called without the type of their result, and found by the template's name", () => {
    assert.equal(readableName("_ZN2hw7largestIiEET_RKS1_S3_", demangle), "hw::largest<int>");
    for (const [name, plain] of [
      ["hw::largest<int>", "hw::largest"],
      ["Box<std::pair<int, char> >::get<long>", "Box::get"],
      ["std::mem::align_of::<usize>", "std::mem::align_of"],
      ["a::operator<", "a::operator<"],
      ["A<int>::operator-><char>", "A::operator-><char>"],
      ["<krate::Baz>::run", "<krate::Baz>::run"],
      ["broken<", "broken<"],
      ["plain", "plain"],
    ])
      assert.equal(withoutTemplates(name), plain);
  });

  test("without a demangler they stay as they are", () => assert.equal(readableName("_ZN4demo3fooEi", undefined), "_ZN4demo3fooEi"));

  test("symbols are told and found by both names, overloads together", () => {
    const listing = ["1000 T _ZN4demo3fooEi", "1010 T _ZN4demo3fooEd", "1020 t plain", "1030 T _RNvCs1234_7mycrate3foo"].join("\n");
    const store = new SymbolStore({ demangle });
    store.add("System.map", new TextEncoder().encode(listing.replaceAll(/^(\d+)/gm, "000000000000$1")));
    assert.equal(store.describe(0x1004n), "demo::foo+0x4");
    assert.equal(store.describe(0x1030n), "mycrate::foo");
    assert.deepEqual(store.addressesOf("demo::foo"), [0x1000n, 0x1010n]);
    assert.deepEqual(store.functionBreakpoints("_ZN4demo3fooEd"), [0x1010n]);
    assert.deepEqual(store.addressesOf("mycrate::foo"), [0x1030n]);
    assert.deepEqual(store.addressesOf("demo::bar"), []);
    assert.deepEqual([...(store.modules[0]?.symbols.names() ?? [])], ["demo::foo", "plain", "mycrate::foo"]);
  });

  test("a breakpoint on a function is one on the clones that the compiler made of it, but not on its cold part", () => {
    const listing = [
      "1000 t scale.constprop.0",
      "1010 t scale.part.1.isra.0",
      "1020 t scale.cold",
      "1030 T scaled",
      "1040 t _ZN2hw7largestEi.isra.0",
    ];
    const store = new SymbolStore({ demangle });
    store.add("System.map", new TextEncoder().encode(listing.map((line) => `000000000000${line}`).join("\n")));
    assert.deepEqual(store.functionBreakpoints("scale"), [0x1000n, 0x1010n]);
    assert.deepEqual(store.functionBreakpoints("hw::largest"), [0x1040n]);
    assert.deepEqual(store.functionBreakpoints("scale.cold"), [0x1020n]);
    // An address is told by the symbol that it belongs to, with its mark: that is where the code is.
    assert.equal(store.describe(0x1024n), "scale.cold+0x4");
    assert.deepEqual(store.addressesOf("scale"), []);
  });

  // As gdb has them; of clamp's first instructions GCC names another as the one to stop at (DW_AT_entry_pc), as newer ones do.
  for (const [fixture, mix, clamp] of [
    ["c-O2-dwarf4", 0x40021en, 0x40020bn],
    ["c-O2-dwarf5", 0x40021en, 0x40020bn],
    ["clang-O2-dwarf5", 0x4001e4n, 0x4001d2n],
    ["c-O1-dwarf5", 0x4001b5n, 0x40019fn],
  ] as const)
    test(`${fixture}: a breakpoint on an inlined function stops where its copies begin`, () => {
      const store = new SymbolStore();
      store.add(fixture, fixtureBytes(fixture));
      assert.deepEqual(store.functionBreakpoints("mix"), [mix]);
      assert.deepEqual(store.functionBreakpoints("clamp"), [clamp]);
      assert.equal(store.framesAt(mix)[0].name, "mix");
    });

  for (const fixture of [
    "c-O1-dwarf5",
    "c-O2-dwarf4",
    "c-m32-O2",
    "clang-O2-dwarf4",
    "clang-O2-dwarf5",
    "cpp-O2-types4",
    "rust-O2",
    "zig-fast",
  ])
    test(`${fixture}: the walk that looks for inlined copies in all units finds what tables of entries have`, () => {
      const store = new SymbolStore();
      const info = store.add(fixture, fixtureBytes(fixture)).dwarf;
      assert.ok(info !== undefined);
      const names = new Set<string>();
      for (const unit of info.units)
        for (let index = 0; index < unit.entries.offsets.length; index++)
          if (unit.entry(index).tag === Tag.inlined_subroutine) names.add(unit.entry(index).name ?? "");
      assert.ok(names.size > 0);
      for (const name of names) {
        // Lambdas stand inside functions, where names are not looked for.
        if (name === "operator()") continue;
        const expected: bigint[] = info.units.flatMap((unit) => info.functionsOf(unit).inlinedCopies(name));
        assert.deepEqual(new Set(info.findInlined(name)), new Set(expected), name);
      }
    });

  for (const [fixture, mangledName] of [
    ["cpp-O0-dwarf5", /^_Z/],
    ["rust-O0", /^_(Z|R)/],
  ] as const)
    test(`${fixture}: debug information and symbol table call functions the same`, () => {
      const store = new SymbolStore({ demangle });
      const module = store.add(`${fixture}.elf`, fixtureBytes(fixture));
      const functions = (module.elf?.symbols() ?? []).filter(({ name, kind }) => kind === "function" && mangledName.test(name));
      assert.ok(functions.length > 2, `${functions.length} functions`);
      for (const { name, address } of functions) {
        const told = store.lookup(address)?.symbol ?? "";
        assert.doesNotMatch(told, mangledName);
        const readable = module.symbols.readableOf(name);
        assert.ok(store.addressesOf(readable).includes(address), `${readable} is not found`);
      }
    });
});
