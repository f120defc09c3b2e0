import { test } from "node:test";
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { boot } from "./support";

const MEMTEST = ["/boot/memtest86+x64.bin", "/boot/memtest86+ia32.bin"];

for (const path of MEMTEST) {
  test(`${path} is loaded by the Linux protocol`, (context) => {
    if (!existsSync(path)) {
      context.skip("not installed (Debian package memtest86+)");
      return;
    }
    const file = readFileSync(path);
    const { state, memory } = boot(file, { cmdline: "console=ttyS0,115200", cpus: 4 });
    assert.equal(state.kind, "linux");
    assert.equal(state.rip, 0x100000n);
    // CLD, CLI: the 32-bit entry at the start of the protected-mode part.
    assert.deepEqual([...memory.read(0x100000, 2)], [0xfc, 0xfa]);
    const zero = Number(state.gprs.rsi);
    // The entry code finds its own address in code32_start.
    assert.equal(memory.u32(zero + 0x214), 0x100000);
    assert.equal(memory.text(memory.u32(zero + 0x228)), "console=ttyS0,115200");
  });
}
