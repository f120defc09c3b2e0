/** Bytes of a line. */
const lineBytes = 16;

/** Lines of bytes: address, sixteen bytes, characters. What cannot be read of the `wanted` bytes is said. */
export function memoryText(address: bigint, bytes: Uint8Array, wanted: number): string {
  const lines: string[] = [];
  const place = (offset: number): string =>
    `0x${BigInt.asUintN(64, address + BigInt(offset))
      .toString(16)
      .padStart(16, "0")}`;
  for (let at = 0; at < bytes.length; at += lineBytes) {
    const line = bytes.subarray(at, at + lineBytes);
    const digits = [...line].map((byte) => byte.toString(16).padStart(2, "0"));
    const hex = `${digits.slice(0, 8).join(" ")}  ${digits.slice(8).join(" ")}`;
    const characters = [...line].map((byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : ".")).join("");
    lines.push(`${place(at)}  ${hex.padEnd(lineBytes * 3)}  ${characters}`);
  }
  if (bytes.length < wanted) lines.push(`${place(bytes.length)}  nothing that can be read`);
  return `${lines.join("\n")}\n`;
}
