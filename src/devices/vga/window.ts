import type { State } from "../../common/state";
import type { MmioHandler } from "../device";
import type { VideoMemory } from "./displayAdapter";
import type { Vga } from "./vga";

/** The VGA's memory: four planes of 64 KiB. */
export const PLANE_BYTES = 0x10000;
export const WINDOW_BASE = 0xa0000;
export const WINDOW_BYTES = 0x20000;

/** Where the memory map select of the graphics controller's register 6 puts the memory in the window: first byte, and length. */
const MAPS: readonly (readonly [start: number, length: number])[] = [
  [0, 0x20000],
  [0, 0x10000],
  [0x10000, 0x8000],
  [0x18000, 0x8000],
];

/** Four bits, one a plane, as a byte of ones for each. */
const SPREAD = Uint32Array.from({ length: 16 }, (_, bits) => {
  let mask = 0;
  for (let plane = 0; plane < 4; plane++) if (bits & (1 << plane)) mask |= 0xff << (8 * plane);
  return mask >>> 0;
});

/** Sequencer register 4. */
const SEQUENTIAL = 0x04;
const CHAIN4 = 0x08;
/** Graphics register 5. */
const READ_COMPARE = 0x08;
const READ_ODD_EVEN = 0x10;

/** A linear view of the whole video memory in the first 64 KiB of the window: a mode of the display interface with a bank, or undefined. */
type LinearBank = () => number | undefined;

/**
 * The legacy window to the VGA's planes at 0xa0000 to 0xbffff: latches, write modes 0 to 3, read modes 0 and 1, odd/even and chain-4 addressing (IBM PS/2 Hardware
 * Interface Technical Reference, "Video Subsystem"). Byte `plane` of each four bytes at the start of video memory is a plane's: one word is a byte of every plane.
 */
export class VgaWindow implements MmioHandler {
  private readonly words: Uint32Array;
  /** What the last read found in the four planes. */
  private latch = 0;

  constructor(
    private readonly vga: Vga,
    private readonly video: VideoMemory,
    private readonly linearBank: LinearBank,
  ) {
    const { bytes } = video;
    this.words = new Uint32Array(bytes.buffer, bytes.byteOffset, Math.min(PLANE_BYTES, bytes.length / 4));
  }

  reset(): void {
    this.latch = 0;
  }

  read(offset: number, size: 1 | 2 | 4 | 8): bigint {
    let value = 0n;
    for (let byte = 0; byte < size; byte++) value |= BigInt(this.readByte(offset + byte)) << BigInt(8 * byte);
    return value;
  }

  write(offset: number, size: 1 | 2 | 4 | 8, value: bigint): void {
    for (let byte = 0; byte < size; byte++) this.writeByte(offset + byte, Number((value >> BigInt(8 * byte)) & 0xffn));
  }

  /** Address in the VGA's memory, or -1 where the window does not show it. */
  private address(offset: number): number {
    const [start, length] = MAPS[(this.vga.graphics.values[6] >> 2) & 3];
    const address = offset - start;
    return address >= 0 && address < length ? address & (PLANE_BYTES - 1) : -1;
  }

  /** Byte of video memory that a linear bank puts at `offset`, or -1. */
  private linear(offset: number): number {
    const bank = this.linearBank();
    return bank === undefined || offset >= 0x10000 ? -1 : bank * 0x10000 + offset;
  }

  private readByte(offset: number): number {
    const linear = this.linear(offset);
    if (linear >= 0) return this.video.bytes[linear] ?? 0xff;
    const address = this.address(offset);
    if (address < 0) return 0xff;
    const { sequencer, graphics } = this.vga;
    const mode = graphics.values[5];
    let place = address;
    let plane = graphics.values[4] & 3;
    if (sequencer.values[4] & CHAIN4) {
      plane = address & 3;
      place = address & ~3;
    } else if (mode & READ_ODD_EVEN) {
      plane = (plane & 2) | (address & 1);
      place = address & ~1;
    }
    this.latch = this.words[place] ?? 0;
    if (!(mode & READ_COMPARE)) return (this.latch >>> (8 * plane)) & 0xff;
    // A bit is set where the planes that count have the colour to compare with.
    const different = (this.latch ^ SPREAD[graphics.values[2] & 15]) & SPREAD[graphics.values[7] & 15];
    return ~(different | (different >>> 8) | (different >>> 16) | (different >>> 24)) & 0xff;
  }

  private writeByte(offset: number, value: number): void {
    const linear = this.linear(offset);
    if (linear >= 0) {
      if (linear >= this.video.bytes.length) return;
      this.video.touch(linear, 1);
      this.video.bytes[linear] = value;
      return;
    }
    const address = this.address(offset);
    if (address < 0) return;
    const { sequencer } = this.vga;
    let planes = sequencer.values[2] & 15;
    let place = address;
    if (sequencer.values[4] & CHAIN4) {
      planes &= 1 << (address & 3);
      place = address & ~3;
    } else if (!(sequencer.values[4] & SEQUENTIAL)) {
      planes &= address & 1 ? 0b1010 : 0b0101;
      place = address & ~1;
    }
    if (planes === 0 || place >= this.words.length) return;
    const mask = SPREAD[planes];
    this.video.touch(4 * place, 4);
    this.words[place] = (this.words[place] & ~mask) | (this.written(value) & mask);
  }

  /** What the graphics controller makes of a byte for the four planes. */
  private written(value: number): number {
    const { values } = this.vga.graphics;
    const mode = values[5] & 3;
    if (mode === 1) return this.latch;
    const rotate = values[3] & 7;
    const rotated = ((value >> rotate) | (value << (8 - rotate))) & 0xff;
    const everywhere = (byte: number): number => Math.imul(byte, 0x01010101);
    let bits = everywhere(values[8]);
    let data: number;
    if (mode === 2) data = SPREAD[value & 15];
    else if (mode === 3) {
      bits &= everywhere(rotated);
      data = SPREAD[values[0] & 15];
    } else {
      const set = SPREAD[values[1] & 15];
      data = (everywhere(rotated) & ~set) | (SPREAD[values[0] & 15] & set);
    }
    switch ((values[3] >> 3) & 3) {
      case 1:
        data &= this.latch;
        break;
      case 2:
        data |= this.latch;
        break;
      case 3:
        data ^= this.latch;
        break;
      default:
        break;
    }
    return (data & bits) | (this.latch & ~bits);
  }

  save(): State {
    return this.latch;
  }

  restore(state: number): void {
    this.latch = state >>> 0;
  }
}
