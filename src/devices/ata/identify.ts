/** IDENTIFY data of ATA and ATAPI devices (ATA8-ACS, 7.12 and 7.13). */

export const IDENTIFY_BYTES = 512;
/** Sectors of one READ or WRITE MULTIPLE at most. */
export const MAX_MULTIPLE = 16;
export const DEFAULT_HEADS = 16;
export const DEFAULT_SECTORS = 63;
/** Commands a queue of native command queuing holds. */
export const QUEUE_DEPTH = 32;
const MAX_CYLINDERS = 16_383;
const MIN_CYLINDERS = 2;
/** Sectors that 28 bits address. */
const LBA28_LIMIT = 0x0fff_ffff;

/** 16-bit words, little-endian, as IDENTIFY data is. */
class Words {
  readonly bytes = new Uint8Array(IDENTIFY_BYTES);

  put(index: number, value: number): void {
    this.bytes[index * 2] = value & 0xff;
    this.bytes[index * 2 + 1] = (value >> 8) & 0xff;
  }

  put32(index: number, value: number): void {
    this.put(index, value % 0x10000);
    this.put(index + 1, Math.floor(value / 0x10000) % 0x10000);
  }

  /** Text in ATA's order: the first character of each pair in the upper byte. Padded with spaces. */
  text(index: number, words: number, value: string): void {
    const padded = value.padEnd(words * 2);
    for (let i = 0; i < words * 2; i++) this.bytes[index * 2 + (i ^ 1)] = padded.charCodeAt(i) & 0x7f;
  }

  /** Word 255: signature and checksum. */
  seal(): Uint8Array {
    this.bytes[510] = 0xa5;
    let sum = 0;
    for (let i = 0; i < 511; i++) sum += this.bytes[i];
    this.bytes[511] = -sum & 0xff;
    return this.bytes;
  }
}

export interface IdentifySettings {
  /** Sectors of the current READ MULTIPLE setting; 0 if none. */
  readonly multiple: number;
  /** Selected transfer mode, as SET FEATURES gives it: 0x40 and up Ultra DMA, 0x20 and up multiword DMA. */
  readonly transferMode: number;
  readonly writeCache: boolean;
  readonly heads: number;
  readonly sectorsPerTrack: number;
  readonly serial: string;
  /** Serial ATA, with native command queuing. */
  readonly sata: boolean;
}

/** Words 63 and 88: supported modes, and the selected one in the upper byte. */
function dmaModes(words: Words, mode: number): void {
  words.put(63, 0x0007 | (mode >= 0x20 && mode < 0x28 ? 0x0100 << (mode & 7) : 0));
  words.put(88, 0x003f | (mode >= 0x40 && mode < 0x48 ? 0x0100 << (mode & 7) : 0));
}

/** IDENTIFY DEVICE of a disk of `sectors` sectors. */
export function identifyDisk(sectors: number, settings: IdentifySettings): Uint8Array {
  const words = new Words();
  const { heads, sectorsPerTrack } = settings;
  // Firmware refuses disks without a cylinder; images of a few sectors are common, and what is beyond their end is not found.
  const cylinders = Math.min(MAX_CYLINDERS, Math.max(MIN_CYLINDERS, Math.floor(sectors / (heads * sectorsPerTrack))));
  words.put(0, 0x0040);
  words.put(1, cylinders);
  words.put(3, heads);
  words.put(6, sectorsPerTrack);
  words.text(10, 10, settings.serial);
  words.text(23, 4, "1.0");
  words.text(27, 20, "APICScope disk");
  words.put(47, 0x8000 | MAX_MULTIPLE);
  // DMA, LBA, IORDY.
  words.put(49, 0x0f00);
  words.put(50, 0x4000);
  words.put(51, 0x0200);
  // Words 54 to 58, 64 to 70 and 88 are valid.
  words.put(53, 0x0007);
  words.put(54, cylinders);
  words.put(55, heads);
  words.put(56, sectorsPerTrack);
  words.put32(57, cylinders * heads * sectorsPerTrack);
  words.put(59, settings.multiple > 0 ? 0x0100 | settings.multiple : 0);
  words.put32(60, Math.min(sectors, LBA28_LIMIT));
  dmaModes(words, settings.transferMode);
  words.put(64, 0x0003);
  for (const word of [65, 66, 67, 68]) words.put(word, 120);
  if (settings.sata) {
    words.put(75, QUEUE_DEPTH - 1);
    // Native command queuing, 1.5 and 3 Gbit/s.
    words.put(76, 0x0106);
  }
  // ATA/ATAPI-5 to 7.
  words.put(80, 0x00e0);
  // Write cache; then 48-bit addresses and cache flushes; enabled likewise.
  words.put(82, 0x0020);
  words.put(83, 0x7400);
  words.put(84, 0x4000);
  words.put(85, settings.writeCache ? 0x0020 : 0);
  words.put(86, 0x3400);
  words.put(87, 0x4000);
  if (!settings.sata) words.put(93, 0x600b);
  words.put32(100, sectors);
  words.put32(102, Math.floor(sectors / 2 ** 32));
  words.put(106, 0x4000);
  return words.seal();
}

/** IDENTIFY PACKET DEVICE of a CD-ROM drive. */
export function identifyCdrom(settings: Pick<IdentifySettings, "transferMode" | "serial" | "sata">): Uint8Array {
  const words = new Words();
  // ATAPI CD-ROM, removable, DRQ within 50 microseconds, packets of 12 bytes.
  words.put(0, 0x85c0);
  words.text(10, 10, settings.serial);
  words.text(23, 4, "1.0");
  words.text(27, 20, "APICScope CD-ROM");
  words.put(49, 0x0f00);
  words.put(53, 0x0006);
  dmaModes(words, settings.transferMode);
  words.put(64, 0x0003);
  for (const word of [65, 66, 67, 68]) words.put(word, 120);
  if (settings.sata) words.put(76, 0x0006);
  words.put(80, 0x00e0);
  // PACKET, DEVICE RESET.
  words.put(82, 0x0210);
  words.put(83, 0x4000);
  words.put(85, 0x0210);
  words.put(87, 0x4000);
  return words.seal();
}
