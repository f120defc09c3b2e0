/** The translator under stress: everything generated at first sight, code thrown away at random, code that changes all the time. The run stays the same. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { guestImage, GUEST_MEMORY } from "../../bench/benchmarks";
import type { Machine } from "../../src/machine/machine";
import type { MachineConfiguration, RunEnd } from "../../src/machine/types";
import { generator } from "./determinism";
import { lateThread } from "./lateThread";
import { bootGuest, eager, MIB } from "./runGuest";
import { CODE, DATA, testGuest } from "./testGuest";

interface Outcome {
  readonly end: RunEnd;
  readonly instructions: number;
  readonly hash: string;
  readonly output: string;
}

/** Runs a guest in portions of up to `longest` instructions, with `between` called after each. */
function run(
  image: string,
  configuration: Partial<MachineConfiguration>,
  longest: number,
  between: (machine: Machine, random: () => number) => void = () => undefined,
): Outcome & { readonly machine: Machine } {
  const { machine, output } = bootGuest(image, { memory: 16 * MIB, ...configuration });
  const random = generator(77);
  // Of its own, so that the portions are the same whatever happens between them.
  const other = generator(99);
  let end: RunEnd = { kind: "limit" };
  while (end.kind === "limit" && machine.instructions() < 1_000_000) {
    end = machine.run(1 + (random() % longest));
    between(machine, other);
  }
  return { machine, end, instructions: machine.instructions(), hash: machine.stateHash(), output: output() };
}

/** What `work` returns, and the WebAssembly instances that it makes. */
function instancesMadeBy<Result>(work: () => Result): { readonly result: Result; readonly made: readonly WeakRef<object>[] } {
  const made: WeakRef<object>[] = [];
  const { Instance } = WebAssembly;
  WebAssembly.Instance = new Proxy(Instance, {
    construct(target, parameters: ConstructorParameters<typeof Instance>) {
      const instance = new target(...parameters);
      made.push(new WeakRef(instance));
      return instance;
    },
  });
  try {
    return { result: work(), made };
  } finally {
    WebAssembly.Instance = Instance;
  }
}

function collectGarbage(): void {
  setFlagsFromString("--expose-gc");
  (runInNewContext("gc") as () => void)();
}

const guests: readonly (readonly [string, number])[] = [
  ["guests/checks/exceptions.elf", 1],
  ["guests/checks/exceptions32.elf", 1],
  ["guests/checks/paging.elf", 1],
  ["guests/checks/segments64.elf", 1],
  ["guests/smp/smp.elf", 2],
];

for (const [image, cpus] of guests) {
  describe(image, () => {
    const expected = run(image, { cpus, engine: "interpreter" }, 20_000);
    const same = (actual: Outcome, wanted: Outcome = expected): void => {
      assert.deepEqual(actual.end, wanted.end);
      assert.equal(actual.instructions, wanted.instructions);
      assert.equal(actual.output, wanted.output);
      assert.equal(actual.hash, wanted.hash);
    };
    test("everything generated at first sight", () => {
      const outcome = run(image, { cpus, jit: eager }, 20_000);
      same(outcome);
      assert.ok((outcome.machine.stats().jit?.regions ?? 0) > 20);
    });
    test("generated code thrown away at random", () =>
      same(
        run(image, { cpus, jit: { ...eager, threshold: 4 } }, 20_000, (machine, random) => {
          if (random() % 4 === 0) machine.discardCode("generated");
        }),
      ));
    test("all modules packed into one again and again", () => {
      const outcome = run(image, { cpus, jit: { ...eager, threshold: 4, batch: 2, packModules: 2, packPatience: 1 } }, 20_000);
      same(outcome);
      assert.ok((outcome.machine.stats().jit?.packs ?? 0) > 0);
    });
    test("more modules than may live: packed, not dropped", () => {
      const jit = { ...eager, threshold: 4, packModules: Infinity };
      const unbounded = run(image, { cpus, jit }, 20_000).machine.stats().jit;
      const outcome = run(image, { cpus, jit: { ...jit, maximumModules: 6 } }, 20_000);
      same(outcome);
      const bounded = outcome.machine.stats().jit;
      assert.ok(unbounded !== undefined && bounded !== undefined);
      assert.ok(unbounded.modulesLive > 6 && bounded.modulesLive <= 6 && bounded.packs > 1, JSON.stringify(bounded));
      assert.equal(bounded.regionsLive, unbounded.regionsLive);
    });
    test("modules that are gone are let go", async () => {
      const jit = { ...eager, threshold: 4, batch: 2, packModules: Infinity, maximumMade: 5 };
      const { made, result } = instancesMadeBy(() => run(image, { cpus, jit }, 20_000));
      same(result);
      // What a weak reference was made to stays until the job ends.
      await setImmediate();
      collectGarbage();
      const kept = made.filter((instance) => instance.deref() !== undefined).length;
      assert.ok((result.machine.stats().jit?.modules ?? 0) > 20);
      // The modules since everything was packed last, what copies memory, the interpreter, and its bridge to the host.
      assert.ok(kept >= 3 && kept <= 5 + 1 + 3, `${kept} of ${made.length} kept`);
    });
    test("another thread makes the modules, late and now and then not at all, while code is thrown away and packed", () => {
      const counts = { made: 0, failed: 0, refused: 0 };
      const outcome = run(
        image,
        {
          cpus,
          jit: { ...eager, threshold: 3, batch: 2, packModules: 3, packPatience: 1, maximumModules: 8, maximumMade: 7 },
          compiler: () => lateThread(counts),
        },
        3_000,
        (machine, random) => {
          if (random() % 64 === 0) machine.discardCode("all");
          else if (random() % 32 === 0) machine.discardCode("generated");
        },
      );
      // A guest that goes on beyond the last portion ends where that does.
      same(outcome, run(image, { cpus, engine: "interpreter" }, 3_000));
      const { jit } = outcome.machine.stats();
      assert.ok(jit !== undefined && jit.packs > 0 && jit.threadModules === counts.made, JSON.stringify({ jit, counts }));
      assert.ok(counts.made > 10 && counts.failed > 0 && counts.refused > 0, JSON.stringify(counts));
    });
    test("all code thrown away at random", () =>
      same(
        run(image, { cpus, jit: { ...eager, threshold: 3, batch: 3 } }, 20_000, (machine, random) => {
          if (random() % 8 === 0) machine.discardCode("all");
        }),
      ));
  });
}

test("functions of several packed modules are there at once, although another thread makes modules one by one", () => {
  const counts = { made: 0, failed: 0, refused: 0 };
  // More functions than a packed module has.
  const configuration = {
    memory: GUEST_MEMORY * MIB,
    jit: { ...eager, batch: 64, packPatience: 10, packModules: 2 },
    compiler: () => lateThread(counts),
  };
  const { machine, output } = bootGuest(guestImage(64), configuration, "bench=wide-1000 work=60");
  let end = machine.run(20_000);
  while (end.kind === "limit") end = machine.run(20_000);
  assert.equal(end.kind, "exit");
  assert.match(output(), /^end /m);
  const { jit } = machine.stats();
  assert.ok(jit !== undefined && jit.packs > 0 && jit.regionsLive > 1000 && counts.made > 0, JSON.stringify({ jit, counts }));
});

describe("regions", () => {
  test("a branch that is taken now and then joins the loop that jumps to it", () => {
    const turns = 200_000;
    const guest = testGuest(
      (a) => {
        a.label("cpu0").mov("rcx", 0).mov("rdx", 0).label("loop");
        // inc ecx; test ecx, 1023
        a.bytes(0xff, 0xc1, 0xf7, 0xc1).dword(1023).jcc("nz", "on");
        // inc edx
        a.bytes(0xff, 0xc2).jmp("on").label("on");
        // cmp ecx, turns
        a.bytes(0x81, 0xf9).dword(turns).jcc("nz", "loop").store(DATA, "rdx").exit();
      },
      { jit: { threshold: 150, batch: 64, patience: 1 } },
    );
    guest.finish(2_000_000);
    assert.equal(guest.read32(DATA), turns >> 10);
    const { jit } = guest.machine.stats();
    // The loop alone, then with the branch: at most one region more for where it was entered in the middle.
    assert.ok(jit !== undefined && jit.grown >= 1 && jit.regionsLive <= 2, JSON.stringify(jit));
  });
});

describe("code that changes", () => {
  test("a loop that writes its own code is translated less and less", () => {
    const turns = 1_000;
    const guest = testGuest(
      (a) => {
        a.label("cpu0").mov("rcx", 0).mov("rdx", 0).label("loop").address("rdi", "target");
        // mov [rdi + 1], cl; mov esi, 8
        a.bytes(0x88, 0x4f, 0x01, 0xbe).dword(8).jmp("target");
        // Eight times: mov eax, imm32; add rdx, rax; dec esi
        a.label("target").bytes(0xb8).dword(0).bytes(0x48, 0x01, 0xc2, 0xff, 0xce).jcc("nz", "target");
        // inc ecx; cmp ecx, turns
        a.bytes(0xff, 0xc1, 0x81, 0xf9).dword(turns);
        a.jcc("nz", "loop").store(DATA, "rdx").exit();
      },
      { jit: eager },
    );
    guest.finish();
    let sum = 0;
    for (let i = 0; i < turns; i++) sum += 8 * (i & 0xff);
    assert.equal(guest.read32(DATA), sum);
    const regions = guest.machine.stats().jit?.regions ?? 0;
    assert.ok(regions > 0 && regions < 40, `${regions} regions for ${turns} turns`);
  });

  test("a function that all CPUs have in their jump caches is another one after it was written", () => {
    const guest = testGuest(
      (a) => {
        // Loops before the calls, so that it is generated code that calls first after the store, and after a turn of the other CPU: mov esi, 50; dec esi; jnz
        const wait = (label: string): void => void a.bytes(0xbe).dword(50).label(label).bytes(0xff, 0xce).jcc("nz", label);
        a.label("cpu0").call("beside").address("rdi", "function").mov("rdx", 10).label("turn").mov("rcx", 3000);
        wait("wait0");
        // call rdi; dec ecx
        a.label("calls").bytes(0xff, 0xd7, 0xff, 0xc9).jcc("nz", "calls");
        // inc byte [rdi + 1]; dec edx
        a.bytes(0xfe, 0x47, 0x01, 0xff, 0xca).jcc("nz", "turn").exit();
        a.label("cpu1").address("rdi", "function").label("again");
        wait("wait1");
        // movzx ecx, byte [rdi + 1]; call rdi; movzx esi, byte [rdi + 1]; cmp ecx, esi
        a.bytes(0x0f, 0xb6, 0x4f, 0x01, 0xff, 0xd7, 0x0f, 0xb6, 0x77, 0x01, 0x39, 0xf1).jcc("nz", "again");
        // cmp eax, ecx
        a.bytes(0x39, 0xc8).jcc("nz", "wrong").inc(DATA).jmp("again");
        a.label("wrong").exit(1);
        a.upTo(CODE + 0x2000)
          .label("function")
          .bytes(0xb8)
          .dword(7)
          .ret();
        // Code that stays: the page is one of code all the time.
        a.upTo(CODE + 0x2800)
          .label("beside")
          .ret();
      },
      { cpus: 2, jit: eager },
    );
    guest.finish();
    assert.ok(guest.read32(DATA) > 1_000, `${guest.read32(DATA)} calls`);
    assert.ok((guest.machine.stats().jit?.discarded ?? 0) >= 5);
  });

  test("data beside code is written without leaving generated code for good", () => {
    const guest = testGuest((a) => {
      a.label("cpu0")
        .mov("rcx", 200)
        .label("loop")
        .inc(CODE + 0xf00)
        .bytes(0xff, 0xc9)
        .jcc("nz", "loop")
        .exit();
    });
    guest.finish();
    assert.equal(guest.read32(CODE + 0xf00), 200);
  });
});
