/** Records the outcomes of every case on this processor: `main.ts RECORDER OUTPUT`. */
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { type Case, cases } from "../cases";
import { encodeOutcome, type Outcome, stateImage } from "../outcome";

const INPUT_BYTES = 140;
const OUTPUT_BYTES = 140;

function input(c: Case): Uint8Array {
  const record = new Uint8Array(INPUT_BYTES);
  record.set(stateImage(c));
  record.set(c.memory, 108);
  new DataView(record.buffer).setUint32(124, c.rflags, true);
  record[132] = 2;
  record.set(c.form.code, 133);
  return record;
}

function outcome(record: Uint8Array): Outcome {
  const view = new DataView(record.buffer, record.byteOffset, record.byteLength);
  const status = view.getUint16(4, true);
  const top = (status >> 11) & 7;
  const registers = Array.from({ length: 8 }, (_, physical) => {
    const at = 28 + ((physical - top) & 7) * 10;
    return { se: view.getUint16(at + 8, true), m: view.getBigUint64(at, true) };
  });
  return {
    control: view.getUint16(0, true),
    status,
    tags: view.getUint16(8, true),
    registers,
    memory: record.slice(108, 124),
    flags: view.getUint32(124, true) & 0x8d5,
    ax: view.getUint16(132, true),
  };
}

const [, , recorder, output] = process.argv;
const all = [...cases()];
const { stdout, status } = spawnSync(recorder, { input: Buffer.concat(all.map(input)), maxBuffer: 1 << 28 });
if (status !== 0 || stdout.length !== all.length * OUTPUT_BYTES)
  throw new Error(`the recorder gave ${stdout.length} bytes for ${all.length} cases`);
const encoded = all.flatMap((c, i) => encodeOutcome(c, outcome(stdout.subarray(i * OUTPUT_BYTES, (i + 1) * OUTPUT_BYTES))));
const packed = gzipSync(Uint8Array.from(encoded), { level: 9 });
writeFileSync(output, packed);
console.log(`${all.length} cases, ${packed.length} bytes`);
