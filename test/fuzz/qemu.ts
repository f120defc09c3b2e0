/**
 * QEMU's TCG in the place of the host's CPU: for code of 32 bits where the host's kernel has no segment for it. The native runner is the first program of a Linux kernel in QEMU. TCG follows the
 * manuals in what they define; for what they leave open it is no measure, nor in floating point.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { OpcodeRow } from "../../src/cpu/decode/rows";
import type { FeatureName } from "../../src/cpu/features";
import { initramfs } from "../linux/linux";
import { type Block, STATE_BYTES } from "./block";
import { buildRunner, encodeBlocks, folder, statesOf } from "./native";

/** Integer instructions that TCG of QEMU 7.2 has, but for those whose flags it gets wrong (ADX, BMI). */
export const tcgFeatures: ReadonlySet<FeatureName> = new Set<FeatureName>(["cmov", "cx8", "lahf", "movbe", "popcnt", "lzcnt"]);

const CS_OVERRIDE = 0x2e;

/**
 * What TCG does otherwise than we do, where the manuals or the host's CPU tell: vectors (no alignment, no flag for denormal numbers), no check that a segment may be written, #UD for the second encoding of TEST and for reserved NOPs, bit strings
 * that fault as a read, flags after CMPXCHG8B, what PUSHF has beside the status flags, CLFLUSH of what is not mapped, and which operand of CMPS faults first.
 */
export function differsInTcg(row: OpcodeRow, bytes: readonly number[]): boolean {
  return (
    row.operands.some(({ letter }) => "VWHLU".includes(letter)) ||
    bytes.includes(CS_OVERRIDE) ||
    (row.mnemonic === "test" && row.reg === 1) ||
    row.mnemonic === "nop" ||
    /^(bt[crs]|cmpxchg8b|cmps|pushf|clflush)$/.test(row.mnemonic)
  );
}

const busybox = "/bin/busybox";
const runner = join(folder, "fuzz-runner-static");
const script = `#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t devtmpfs devices /dev
stty raw -F /dev/ttyS1
chmod 755 /runner
/runner </blocks >/states
echo "the runner ended with $?"
cat /states >/dev/ttyS1
poweroff -f
`;

/** The states after blocks, as QEMU leaves them that runs the Linux kernel `kernel` (amd64, with modify_ldt, as Debian's). @throws Error for what is not installed. */
export function runInQemu(kernel: string, blocks: readonly Block[]): Uint8Array[] {
  const problem = buildRunner(runner, "-static-pie");
  if (problem !== undefined) throw new Error(problem);
  if (!existsSync(busybox)) throw new Error(`${busybox} is not installed (Debian: busybox-static).`);
  const made = mkdtempSync(join(tmpdir(), "apicscope-fuzz-"));
  try {
    const [initrd, states] = [join(made, "initrd"), join(made, "states")];
    const files = [
      { name: "runner", bytes: readFileSync(runner) },
      { name: "blocks", bytes: encodeBlocks(blocks) },
    ];
    writeFileSync(initrd, initramfs(script, files));
    const { stdout, stderr, error } = spawnSync(
      "qemu-system-x86_64",
      [
        ...["-accel", "tcg", "-cpu", "max", "-m", "512", "-display", "none", "-no-reboot", "-kernel", kernel, "-initrd", initrd],
        ...["-append", "console=ttyS0 quiet panic=-1", "-serial", "stdio", "-serial", `file:${states}`],
      ],
      { encoding: "latin1", timeout: 300_000, stdio: ["ignore", "pipe", "pipe"] },
    );
    const written = existsSync(states) ? readFileSync(states) : Buffer.alloc(0);
    if (written.length !== blocks.length * STATE_BYTES)
      throw new Error(`QEMU gave ${written.length / STATE_BYTES} of ${blocks.length} states: ${error?.message ?? ""}\n${stdout}${stderr}`);
    return statesOf(written, blocks.length);
  } finally {
    rmSync(made, { recursive: true });
  }
}
