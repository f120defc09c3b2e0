// Runs a Multiboot guest in v86: `node v86Guest.mjs IMAGE MEMORY_MIB COMMAND_LINE`. The guest's first serial port goes to standard output; a guest
// that leaves through port 0xf4 ends the process with status (value << 1) | 1, as QEMU's isa-debug-exit does.
import { readFileSync, writeSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { V86 } from "v86";

const [image, memory, commandLine] = process.argv.slice(2);
const bytes = readFileSync(image);
// v86 reports on its console what a guest writes to the port, then throws to stop: the one is silenced, the other ends the process.
console.log = () => undefined;
let status = 1;
process.on("uncaughtException", (error) => {
  if (error !== "HALT") {
    console.error(error);
    process.exit(2);
  }
  process.exit(status);
});

const emulator = new V86({
  wasm_path: fileURLToPath(new URL("build/v86.wasm", import.meta.resolve("v86/package.json"))),
  memory_size: Number(memory) * 2 ** 20,
  vga_memory_size: 2 ** 20,
  multiboot: { buffer: bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) },
  cmdline: commandLine,
  acpi: true,
  autostart: true,
  disable_speaker: true,
});
let line = "";
emulator.add_listener("serial0-output-byte", (byte) => {
  writeSync(1, Uint8Array.of(byte));
  line = byte === 10 ? "" : line + String.fromCharCode(byte);
  if (line === "FAIL") status = 3;
});
