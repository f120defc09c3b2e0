/** Debian's memtest86+ on four CPUs, booted as `apicscope run memtest86+x64.bin --cpus 4 --memory 64 --cmdline console=ttyS0,115200` does. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { Machine } from "../../src/machine/machine";
import { Screen } from "./screen";

/** Test number whose start ends the run: #5 says that #4 has passed. The 32-bit program needs twice the instructions for the same memory. */
const last = { x64: 5, ia32: 4 } as const;
const LIMIT = 8e9;

for (const width of ["x64", "ia32"] as const) {
  const file = `/boot/memtest86+${width}.bin`;
  const skip = existsSync(file) ? false : `needs ${file} of Debian's package memtest86+`;
  test(`memtest86+ (${width}) finds four CPUs and runs tests 0 to ${last[width] - 1} on all of them without an error`, { skip }, (t) => {
    const machine = Machine.create({ cpus: 4, memory: 64 << 20 });
    const screen = new Screen();
    machine.hooks = { serial: (bytes) => screen.write(bytes) };
    machine.boot({ image: readFileSync(file), imageName: `memtest86+${width}.bin`, cmdline: "console=ttyS0,115200" });
    const started = performance.now();
    const seen = new Set<number>();
    while (!seen.has(last[width])) {
      const end = machine.run(20e6);
      assert.equal(end.kind, "limit", `ended by ${end.kind}\n${screen.text}`);
      const shown = /Test #(\d+)/.exec(screen.line(4)) ?? /#(\d+) /.exec(screen.line(4));
      if (shown !== null) seen.add(Number(shown[1]));
      assert.match(screen.text, /Errors: 0|^(?![\s\S]*Errors:)/);
      assert.ok(machine.instructions() < LIMIT, `not there after ${LIMIT} instructions\n${screen.text}`);
    }
    const seconds = (performance.now() - started) / 1000;
    t.diagnostic(`${(machine.instructions() / seconds / 1e6).toFixed(1)} million guest instructions a second over ${seconds.toFixed(1)} s`);
    assert.match(screen.text, /4 Cores 4 Threads +SMP: 4T/);
    assert.match(screen.text, /SMP: 4T \(PAR\)/);
    assert.match(screen.text, /Using: All Cores/);
    assert.match(screen.text, /Errors: 0\b/);
    for (const cpu of machine.cpus) assert.ok(cpu.retired > 1e7, `CPU ${cpu.index} retired only ${cpu.retired} instructions`);
  });
}
