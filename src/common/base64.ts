const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/** Base 64 (RFC 4648, section 4), padded. */
export function toBase64(bytes: Uint8Array): string {
  const parts: string[] = [];
  for (let at = 0; at < bytes.length; at += 3) {
    const left = bytes.length - at;
    const word = (bytes[at] << 16) | ((left > 1 ? bytes[at + 1] : 0) << 8) | (left > 2 ? bytes[at + 2] : 0);
    parts.push(
      alphabet[word >> 18],
      alphabet[(word >> 12) & 63],
      left > 1 ? alphabet[(word >> 6) & 63] : "=",
      left > 2 ? alphabet[word & 63] : "=",
    );
  }
  return parts.join("");
}

/** The bytes of padded base 64; undefined for any other text. */
export function fromBase64(text: string): Uint8Array | undefined {
  if (text.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(text)) return undefined;
  const padding = text.endsWith("==") ? 2 : text.endsWith("=") ? 1 : 0;
  const bytes = new Uint8Array((text.length / 4) * 3 - padding);
  let word = 0;
  let done = 0;
  for (let at = 0; at < text.length; at++) {
    word = (word << 6) | Math.max(0, alphabet.indexOf(text[at]));
    if (at % 4 !== 3) continue;
    for (let shift = 16; shift >= 0; shift -= 8) if (done < bytes.length) bytes[done++] = (word >> shift) & 0xff;
    word = 0;
  }
  return bytes;
}
